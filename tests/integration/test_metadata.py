"""What lists say of a generation is kept beside its video, whole and without the key."""

import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.writable import WritableBag
from archiver.catalogue.store import Catalogue
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.errors import StorageError
from archiver.fixity.repair import repair
from archiver.fixity.verify import Selection, verify
from archiver.manifest.said import DOCUMENTS_LIMIT
from archiver.metadata import Metadata
from archiver.pipeline.backup import plan
from tests.support.archives import look_up, open_catalogue
from tests.support.backups import KEY, Backups, assert_true_bag, generation
from tests.support.running import ended

ONE = generation("1")
CREATED = {
    "status": "processing", "eta": 60, "id": 1, "output": [], "key": KEY,
    "fetch_result": "https://modelslab.com/api/v6/deepfake/fetch/1",
    "meta": {"prompt": "a cat", "seed": 7, "webhook": f"https://h/?to={KEY}"},
}  # fmt: skip
SAID = {"meta": {"prompt": "a cat", "seed": 7, "webhook": "https://h/?to=[API key]"}}


def lines(*items: object) -> list[str]:
    return [json.dumps(item) for item in items]


def entries(backups: Backups) -> list[Any]:
    """Return what is in the sidecars with what lists say of generation 1, in their order."""
    paths = (backups.archive / ONE.entry_path(number) for number in range(1, DOCUMENTS_LIMIT + 2))
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def metadata(backups: Backups) -> Metadata:
    return look_up(backups.archive, ONE).metadata


@pytest.fixture
def held(backups: Backups) -> Backups:
    backups.emulator.scripts[ONE] = Script(meta={"model": "cogvideox"})
    return backups


async def test_a_saved_response_is_kept_with_its_video(held: Backups) -> None:
    """One run archives both, in one bag, and the catalogue knows what both sidecars say."""
    report = await held.run(*lines(CREATED))
    assert (report.archived, report.exit_status) == (1, 0)
    assert sorted(held.held()) == [
        f"data/v6/deepfake/{name}" for name in ("1.entry.json", "1.json", "1.mp4")
    ]
    assert entries(held) == [SAID]
    assert KEY not in (held.archive / ONE.entry_path()).read_text()
    assert metadata(held) == Metadata("a cat", model="cogvideox", seed="7")
    assert report.bytes == (held.archive / "data/v6/deepfake/1.mp4").stat().st_size
    assert_true_bag(held.archive)
    assert verify(held.archive).exit_status == 0


async def test_another_program_validates_it(held: Backups) -> None:
    """The sidecars are payload of the bag, counted and listed as any other file."""
    await held.run(*lines(CREATED))
    await held.run(*lines({"id": 1, "note": "mine"}))
    assert len(entries(held)) == 2
    command = (sys.executable, "-W", "ignore", "-m", "bagit", "--validate", str(held.archive))
    validated = await ended(*command)
    assert validated.status == 0, validated.err


async def test_a_table_says_something_in_each_row(backups: Backups) -> None:
    """A row's empty cells say nothing, and a row that says nothing has no sidecar."""
    backups.emulator.scripts |= {generation(id_): Script() for id_ in "123"}
    await backups.run("ID;Negative Prompt;Model ID;Note", "1;dogs;wan;", "2;;;mine", "3;;;")
    assert entries(backups) == [{"negative prompt": "dogs", "model id": "wan"}]
    assert metadata(backups) == Metadata(negative_prompt="dogs", model="wan")
    assert [path for path in backups.held() if "entry" in path] == [
        "data/v6/deepfake/1.entry.json", "data/v6/deepfake/2.entry.json",
    ]  # fmt: skip


async def test_a_held_generation_gets_what_a_list_says_later(held: Backups) -> None:
    """On the next run whose list says it, without a request or a second download."""
    await held.run("1")
    assert entries(held) == []
    held.emulator.forget()
    report = await held.run(*lines(CREATED))
    assert (report.already_held, report.exit_status, held.emulator.requests) == (1, 0, [])
    assert entries(held) == [SAID]
    assert metadata(held).prompt == "a cat"
    assert_true_bag(held.archive)
    assert not (held.archive / ".archiver/incoming/v6~deepfake~1").exists()


async def test_what_is_kept_is_never_changed(held: Backups) -> None:
    """Lists that say less or the same add nothing; those that say more add another sidecar."""
    await held.run(*lines(CREATED))
    before = held.held()
    await held.run("1")
    await held.run(*lines({"id": 1, "meta": {"seed": "7"}}), *lines(CREATED))
    assert held.held() == before
    await held.run(*lines({"id": 1, "meta": {"seed": 8, "prompt": "a cat"}, "note": "mine"}))
    assert entries(held) == [SAID, {"meta": {"seed": 8}, "note": "mine"}]
    assert before.items() < held.held().items()
    assert metadata(held).seed == "7"
    assert_true_bag(held.archive)


async def test_a_list_that_always_says_something_else_comes_to_an_end(
    held: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    """No archive fills up with it, and that is said once."""
    await held.run(*lines(*({"id": 1, "at": number} for number in range(DOCUMENTS_LIMIT + 5))))
    assert [each["at"] for each in entries(held)] == [*range(DOCUMENTS_LIMIT)]
    assert caplog.text.count("not all is kept") == 1
    await held.run(*lines(*({"id": 1, "at": number} for number in range(DOCUMENTS_LIMIT + 5))))
    assert caplog.text.count("not all is kept") == 1
    assert_true_bag(held.archive)


async def test_what_is_known_is_not_read_again(
    held: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list whose items were all kept before costs a digest each."""
    await held.run(*lines(CREATED))

    def unexpected(*_: object) -> None:
        raise AssertionError("a sidecar is read")

    monkeypatch.setattr("archiver.archive.bag.Bag.read", unexpected)
    assert (await held.run(*lines(CREATED, CREATED))).exit_status == 0


async def test_a_lost_catalogue_knows_it_again(held: Backups) -> None:
    """From the sidecars; a list that says the same adds nothing then."""
    await held.run(*lines(CREATED))
    before = held.held()
    (held.archive / ".archiver/catalogue.sqlite").unlink()
    await held.run("1")
    assert metadata(held) == Metadata("a cat", model="cogvideox", seed="7")
    await held.run(*lines(CREATED))
    assert held.held() == before
    assert_true_bag(held.archive)


async def test_what_fails_has_no_sidecar_yet(backups: Backups) -> None:
    """What a list says of it is kept when its video is."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="error")),))
    backups.emulator.scripts[ONE] = dead
    await backups.run(*lines(CREATED))
    assert backups.held() == {}
    backups.emulator.scripts[ONE] = Script()
    await backups.run(*lines(CREATED))
    assert entries(backups) == [SAID]


async def test_what_was_listed_under_another_family(backups: Backups) -> None:
    """It is kept with the generation that it proves to be, on this run and on later ones."""
    actual = generation("video/1")
    backups.emulator.scripts[actual] = Script()
    link = backups.emulator.link(actual, 1, "primary", 0)
    await backups.run(*lines({"id": 1, "output": [link], "prompt": "a cat"}))
    assert look_up(backups.archive, actual).metadata.prompt == "a cat"
    await backups.run(*lines({"id": 1, "output": [link], "seed": 7}))
    assert look_up(backups.archive, actual).metadata == Metadata("a cat", seed="7")


async def test_a_dry_run_writes_nothing(held: Backups) -> None:
    """Also where a list says more of what is held."""
    await held.run("1")
    before = held.held()
    manifest = held.archive.with_name("more.jsonl")
    manifest.write_text(json.dumps(CREATED))
    with plan(held.archive, [str(manifest)], held.settings()) as (found, _):
        assert found.worklist.already_held == 1
    assert held.held() == before


async def test_a_disk_that_fails_is_reported(
    held: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be recorded is recovered by the next run, and nothing is said twice."""
    await held.run("1")

    def unplugged(*_: object) -> None:
        raise StorageError("unplugged")

    with monkeypatch.context() as patched:
        patched.setattr(Catalogue, "record", unplugged)
        assert (await held.run(*lines(CREATED))).exit_status == 74
    assert (await held.run("1")).exit_status == 0
    assert metadata(held).prompt == "a cat"
    assert (await held.run(*lines(CREATED))).exit_status == 0
    assert entries(held) == [SAID]
    assert_true_bag(held.archive)
    assert verify(held.archive).exit_status == 0


async def test_a_signal_ends_it_cleanly(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is whole, the run says that it was ended, and the next one goes on."""
    ids = ["1", "2", "3"]
    backups.emulator.scripts |= {generation(id_): Script() for id_ in ids}
    await backups.run(*ids)
    say = lines(*({"id": id_, "prompt": "a cat"} for id_ in ids))
    plain = WritableBag.commit

    def interrupted(*args: Any) -> None:
        plain(*args)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("archiver.pipeline.entries._GROUP", 1)
    with monkeypatch.context() as patched:
        patched.setattr(WritableBag, "commit", interrupted)
        assert (await backups.run(*say)).exit_status == 143
    assert sum("entry" in path for path in backups.held()) == 1
    assert_true_bag(backups.archive)
    assert (await backups.run(*say)).exit_status == 0
    assert sum("entry" in path for path in backups.held()) == 3


async def test_what_is_too_large_is_not_kept(
    held: Backups, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hostile list cannot fill the archive; what else it says is kept."""
    monkeypatch.setattr("archiver.pipeline.sidecars.LARGEST", 1000)
    await held.run(*lines({"id": 1, "note": "x" * 1000}))
    assert entries(held) == []
    assert "not all is kept" in caplog.text
    await held.run(*lines({"id": 1, "note": "mine"}))
    assert entries(held) == [{"note": "mine"}]


# --- Fixity


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_text('{"prompt": "a dog"}')


@pytest.mark.parametrize("how", ["missing", "changed"])
async def test_a_damaged_sidecar_is_nobody_elses(held: Backups, how: str) -> None:
    """No response takes its place; with `--accept-changed` it is removed, and written anew."""
    await held.run(*lines(CREATED))
    path = held.archive / ONE.entry_path()
    damage(path, how)
    assert verify(held.archive).exit_status == 4
    held.emulator.forget()
    found = await repair(held.archive, Selection(), held.settings())
    assert (found.exit_status, held.emulator.requests) == (4, [])
    assert "restore it from a copy" in "\n".join(found.lines())
    found = await repair(held.archive, Selection(), held.settings(), accept_changed=True)
    assert (found.exit_status, held.emulator.requests) == (0, [])
    assert_true_bag(held.archive)
    assert (await held.run(*lines(CREATED))).exit_status == 0
    assert entries(held) == [SAID]
    assert_true_bag(held.archive)


async def test_a_sidecar_without_a_line_is_adopted(held: Backups) -> None:
    """Beside a whole video, as a response is; what is no JSON is not."""
    await held.run("1")
    (held.archive / ONE.entry_path()).write_text('{"prompt": "a dog"}')
    (held.archive / ONE.entry_path(2)).write_text("a dog")
    (held.archive / generation("2").entry_path()).write_text('{"prompt": "a dog"}')
    found = await repair(held.archive, Selection(), held.settings())
    assert [*found.repairs.done] == [ONE.entry_path()]
    assert sorted(found.repairs.failed) == [ONE.entry_path(2), generation("2").entry_path()]
    verify(held.archive)
    assert metadata(held).prompt == "a dog"


async def test_a_generation_that_is_fetched_again_keeps_its_sidecar(held: Backups) -> None:
    """Its video was deleted, line and all: what lists have said of it is there still."""
    await held.run(*lines(CREATED))
    manifest = held.archive / "manifest-sha256.txt"
    kept = [line for line in manifest.read_text().splitlines(True) if "1.mp4" not in line]
    manifest.write_text("".join(kept))
    (held.archive / "data/v6/deepfake/1.mp4").unlink()
    report = await held.run(*lines({"id": 1, "note": "mine"}))
    assert report.archived == 1
    assert entries(held) == [SAID, {"note": "mine"}]
    assert metadata(held) == Metadata("a cat", model="cogvideox", seed="7")
    assert_true_bag(held.archive)
    with closing(open_catalogue(held.archive)) as catalogue:
        assert catalogue.undescribed(10) == []
