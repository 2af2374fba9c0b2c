"""The gallery's data: what is written, what is written again, and what is left as it is."""

import json
import re
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.bag import Bag
from archiver.archive.writable import WritableBag
from archiver.catalogue import store
from archiver.catalogue.store import Catalogue
from archiver.errors import ConfigurationError, StorageError
from archiver.gallery import data as gallery_data
from archiver.gallery import scripts
from archiver.gallery.data import Data
from archiver.gallery.rows import details_of
from archiver.gallery.scripts import script
from archiver.media.info import Properties
from archiver.metadata import Metadata
from archiver.run import Run
from tests.support.archives import open_catalogue
from tests.support.catalogues import Clock
from tests.support.gallery import NASTY, Shown, add
from tests.support.videos import MP4, OTHER_MP4, sha256

SCRIPT = re.compile(r"gallery\.take\((?P<name>\"[^\"]*\"), '(?P<text>.*)'\);\n", re.ASCII)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store, "datetime", clock)
    return clock


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gallery_data, "CHUNK", 3)
    return tmp_path / "archive"


def update(archive: Path, *, whole: bool = False) -> None:
    Data(Bag(archive)).update(whole=whole)


def read(path: Path) -> Any:
    """Return what a data script hands over, as a browser reads it."""
    match = SCRIPT.fullmatch(path.read_bytes().decode("ascii"))
    assert match
    assert json.loads(match["name"]) == path.stem
    literal = re.sub(r"\\(u003c|.)", lambda m: "<" if len(m[1]) > 1 else m[1], match["text"])
    return json.loads(literal)


def browsed(archive: Path, name: str) -> Any:
    return read(archive / f".archiver/browse/{name}.js")


def names(archive: Path) -> list[str]:
    """Return the names of all generations that the page is given, in its order."""
    chunks = [chunk["name"] for chunk in browsed(archive, "index")["chunks"]]
    return [row[0] for chunk in chunks for row in browsed(archive, f"data-{chunk}")]


def stamps(archive: Path) -> dict[str, int]:
    """Return which version of each data script is there."""
    directory = archive / ".archiver/browse"
    return {path.name: path.stat().st_ino for path in directory.glob("d*-*.js")}


def held(*ids: int, **fields: Any) -> list[Shown]:
    return [Shown(f"v6/deepfake/{id_}", **fields) for id_ in ids]


def test_a_row_has_what_the_grid_needs(archive: Path) -> None:
    """Name, state, date, prompt, model, shape, duration, size, files, poster, in this order."""
    said = Metadata(prompt="a fox", model="wan", width=64, created="2026-03-01T12:00:00Z")
    found = Properties(2.5, 160, 120, 10.0, "h264", "aac")
    add(archive, [Shown("v6/video/7", said=said, found=found)])
    update(archive)
    (row,) = browsed(archive, "data-0")
    assert row == [
        "v6/video/7", "held", 1772366400, "a fox", "wan", 160, 120, 2.5, len(MP4), [".mp4"],
    ]  # fmt: skip


def test_details_have_the_rest(archive: Path) -> None:
    """Checksum, size, codecs, seed, and the host of the link alone, not its path."""
    said = Metadata(seed="42", negative_prompt="blur", track_id="job")
    link = "proxy https://cdn.example:8443/secret/7.mp4"
    add(archive, [Shown("v6/video/7", said=said, found=Properties(2.5), link=link)])
    update(archive)
    since, checked, hosts, metadata, (file,) = browsed(archive, "details-0")["v6/video/7"]
    assert since == checked
    assert hosts == ["cdn.example"]
    assert metadata == ["blur", "42", None, None, None, "job", None]
    assert file == [len(MP4), sha256(MP4), since, 2.5, None, None, None, None, None]


def test_each_state_comes_with_its_reason(archive: Path) -> None:
    """What is pending, failed or lost is shown too, and why."""
    add(
        archive,
        [
            Shown("v6/video/1", state="pending", reason="ModelsLab is still making it"),
            Shown("v6/video/2", state="failed", reason="503"),
            Shown("v6/video/3", state="lost", reason="404"),
        ],
    )
    update(archive)
    rows = browsed(archive, "data-unfinished") + browsed(archive, "data-1")
    found = {row[0]: (row[1], row[11]) for row in rows}
    assert found == {
        "v6/video/1": ("pending", "ModelsLab is still making it"),
        "v6/video/2": ("failed", "503"),
        "v6/video/3": ("lost", "404"),
    }


@pytest.mark.parametrize("prompt", NASTY, ids=range(len(NASTY)))
def test_any_prompt_comes_through(archive: Path, prompt: str) -> None:
    """A prompt is handed over to the letter, in ASCII, and ends no script element."""
    add(archive, held(1, said=Metadata(prompt=prompt)))
    update(archive)
    assert browsed(archive, "data-0")[0][3] == prompt
    assert b"<" not in (archive / ".archiver/browse/data-0.js").read_bytes()


def test_a_script_is_one_line_of_ascii() -> None:
    """No character of the data ends the string that it is in."""
    text = "".join(map(chr, range(0x2100))) + "\u2028\u2029\U0001f469"
    written = script("x", text)
    assert written.isascii()
    assert written.count(b"\n") == 1
    assert re.fullmatch(rb"gallery\.take\(\"x\", '(?:[^'\\\n]|\\.)*'\);\n", written)


def test_the_name_of_the_archive_is_escaped(tmp_path: Path) -> None:
    """A directory can have any name: it is text on the page."""
    archive = tmp_path / "<script>\"&'"
    add(archive, held(1))
    update(archive)
    page = (archive / "index.html").read_text()
    assert "&lt;script&gt;&#34;&amp;&#39;" in page
    assert "<script>" not in page


def test_only_what_is_new_is_written_again(archive: Path, clock: Clock) -> None:
    """A new video changes the last chunk alone; the others are not even touched."""
    add(archive, held(*range(1, 8)))
    update(archive)
    before = stamps(archive)
    clock.time = datetime(2026, 11, 24, 2, tzinfo=UTC)
    add(archive, held(8))
    update(archive)
    changed = {name for name, stamp in stamps(archive).items() if before.get(name) != stamp}
    assert changed == {"data-2.js", "details-2.js"}
    assert len(names(archive)) == 8


def test_the_cost_is_that_of_what_is_new(
    archive: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ten times as much held, an update reads as few generations."""
    costs = []
    for count in (30, 300):
        root = archive.with_name(f"of-{count}")
        clock.time = datetime(2026, 11, 23, 2, tzinfo=UTC)
        add(root, held(*range(1, count + 1)))
        update(root)
        clock.time = datetime(2026, 11, 24, 2, tzinfo=UTC)
        add(root, held(count + 1))
        read_rows: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                gallery_data,
                "details_of",
                lambda known, rows=read_rows: rows.append(known) or details_of(known),
            )
            update(root)
        assert len(names(root)) == count + 1
        costs.append(len(read_rows))
    assert costs[0] == costs[1] <= 3


def test_nothing_new_writes_nothing_again(archive: Path) -> None:
    """Another update, and one of the whole, leave every data script as it is."""
    add(archive, held(1, 2, 3, 4))
    update(archive)
    before = stamps(archive)
    update(archive)
    update(archive, whole=True)
    assert stamps(archive) == before


def test_what_was_pending_moves_when_it_is_held(archive: Path, clock: Clock) -> None:
    """A generation is in one place: it leaves the unfinished for the chunk of its number."""
    add(archive, [Shown("v6/video/1", state="pending", reason="still"), *held(2, 3, 4)])
    update(archive)
    clock.time = datetime(2026, 11, 24, 2, tzinfo=UTC)
    add(archive, [Shown("v6/video/1")])
    update(archive)
    assert sorted(names(archive)) == ["v6/deepfake/2", "v6/deepfake/3", "v6/deepfake/4",
                                      "v6/video/1"]  # fmt: skip
    assert not (archive / ".archiver/browse/data-unfinished.js").exists()


def test_what_is_held_no_more_goes(archive: Path, clock: Clock) -> None:
    """Counts that do not add up have all of the catalogue read again."""
    add(archive, held(1, 2, 3, 4, 5, 6))
    update(archive)
    with closing(open_catalogue(archive)) as catalogue:
        gone = catalogue.queries.of(Shown("v6/deepfake/2").generation).files
        catalogue.connection.executemany(
            "DELETE FROM file WHERE path = ?", [(file.path,) for file in gone]
        )
        catalogue.connection.execute("DELETE FROM generation WHERE name = 'v6/deepfake/2'")
        catalogue.connection.commit()
    update(archive)
    assert "v6/deepfake/2" not in names(archive)
    assert len(names(archive)) == 5


def test_what_is_learnt_of_old_videos_is_shown(archive: Path, clock: Clock) -> None:
    """Metadata and properties that come later are found without a new state of anything."""
    add(archive, held(1, 2, 3, 4, 5, 6))
    update(archive)
    clock.time = datetime(2026, 11, 24, 2, tzinfo=UTC)
    one = Shown("v6/deepfake/1").generation
    with closing(open_catalogue(archive)) as catalogue:
        catalogue.set_metadata([(one, Metadata(prompt="now known"))])
        catalogue.set_properties([("data/v6/deepfake/2.mp4", Properties(9.0))])
    update(archive)
    rows = {row[0]: row for row in browsed(archive, "data-0")}
    assert rows["v6/deepfake/1"][3] == "now known"
    assert rows["v6/deepfake/2"][7] == 9.0


def test_files_of_nobody_are_no_reason_to_read_everything(archive: Path, clock: Clock) -> None:
    """A bag may list files that belong to no generation: they count as before."""
    add(archive, held(1, 2, 3, 4, 5, 6))
    with closing(open_catalogue(archive)) as catalogue:
        catalogue.connection.execute("INSERT INTO file VALUES ('data/notes.txt', 'x', 5, NULL)")
        catalogue.connection.commit()
    update(archive)
    clock.time = datetime(2026, 11, 24, 2, tzinfo=UTC)
    add(archive, held(7))
    before = stamps(archive)
    update(archive)
    changed = {name for name, stamp in stamps(archive).items() if before.get(name) != stamp}
    assert changed == {"data-2.js", "details-2.js"}


def test_a_catalogue_that_was_rebuilt_is_read_anew(archive: Path) -> None:
    """Without the catalogue, and with another, the page shows what is held."""
    add(archive, held(1, 2, 3, 4))
    update(archive)
    (archive / ".archiver/catalogue.sqlite").unlink()
    update(archive)
    assert len(names(archive)) == 4


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', '{"format": 0, "chunks": {}}', "[]"])
def test_a_record_that_makes_no_sense_is_written_anew(archive: Path, text: str) -> None:
    """What was written is only remembered: where that is damaged, all is written."""
    add(archive, held(1, 2, 3, 4))
    update(archive)
    (archive / ".archiver/browse/written.json").write_text(text)
    (archive / ".archiver/browse/data-0.js").unlink()
    update(archive)
    assert len(names(archive)) == 4


def test_several_videos_are_in_their_order(archive: Path) -> None:
    """Output 10 comes after output 9; the sidecar is no video."""
    add(archive, [Shown("v6/video/1", videos=[MP4] * 10)])
    update(archive)
    (row,) = browsed(archive, "data-0")
    assert row[9] == [f"-{number}.mp4" for number in range(1, 11)]


def test_the_summary_has_runs_fixity_and_space(archive: Path) -> None:
    """The last runs with their exit status, the last fixity check, and the free space."""
    add(archive, held(1, 2))
    began = datetime(2026, 11, 1, tzinfo=UTC)
    with closing(Catalogue.open(archive / ".archiver/catalogue.sqlite")) as catalogue:
        catalogue.history.add(Run("verify", began, began, 4, {"checked": 9}, summary="1 changed"))
        catalogue.history.add(Run("backup", began, began, 0, summary="2 archived"))
        catalogue.history.add(Run("backup", began))
    update(archive)
    index = browsed(archive, "index")
    runs = [(run["command"], run["status"], run["summary"]) for run in index["runs"]]
    assert runs == [("backup", None, ""), ("backup", 0, "2 archived"), ("verify", 4, "1 changed")]
    assert (index["fixity"]["status"], index["fixity"]["checked"]) == (4, 9)
    assert index["states"] == {"held": 2, "pending": 0, "failed": 0, "lost": 0}
    assert 0 < index["disk"]["free"] < index["disk"]["size"]


def test_two_at_once_do_not_clash(archive: Path) -> None:
    """Writers wait for each other, and what is there at the end is whole."""
    add(archive, held(*range(1, 20)))
    errors: list[Exception] = []

    def write() -> None:
        try:
            update(archive, whole=True)
        except Exception as error:  # noqa: BLE001 (it is asserted below)
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(names(archive)) == 19
    assert not list((archive / ".archiver/browse").glob("*.new"))


def test_the_page_opens_whatever_is_killed(
    archive: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever writing ends, all that the page is to load is there, whole."""
    add(archive, held(*range(1, 8)))
    update(archive)
    steps = 0
    write, writes = scripts.write, 0

    def fail_at_step(directory: Path, files: dict[str, bytes]) -> None:
        nonlocal writes
        writes += 1
        if writes == steps:
            raise OSError(5, "Input/output error")
        write(directory, files)

    for steps in range(1, 6):
        clock.time += timedelta(days=1)
        add(archive, held(steps, said=Metadata(prompt=f"step {steps}")))
        add(archive, held(100 + steps, 200 + steps))
        writes = 0
        with monkeypatch.context() as patch:
            patch.setattr(scripts, "write", fail_at_step)
            with suppress(StorageError):
                update(archive)
        assert len(names(archive)) >= 7
    update(archive)
    assert len(names(archive)) == 17


def test_somebody_elses_page_is_left_alone(archive: Path) -> None:
    """An index.html that is not ours is not replaced; nothing is written."""
    add(archive, held(1))
    (archive / "index.html").write_text("<h1>My own page</h1>")
    with pytest.raises(ConfigurationError, match=r"index\.html is not a page of this program"):
        update(archive)
    assert (archive / "index.html").read_text() == "<h1>My own page</h1>"
    assert not (archive / ".archiver/browse").exists()


def test_it_may_be_written_while_a_run_holds_the_archive(archive: Path) -> None:
    """Reading the catalogue needs no lock of the archive."""
    add(archive, held(1))
    with WritableBag.open(archive):
        update(archive)
    assert names(archive) == ["v6/deepfake/1"]


def test_what_killed_writing_leaves_is_removed(archive: Path) -> None:
    """A file that was being written when the power went is no part of the page."""
    add(archive, held(1))
    update(archive)
    leftover = archive / ".archiver/browse/data-0.js.new"
    leftover.write_text("gallery.ta")
    update(archive)
    assert not leftover.exists()


def test_another_video_in_its_place_is_shown(archive: Path, clock: Clock) -> None:
    """A video that a repair has replaced has another checksum, and so other details."""
    add(archive, held(1, 2, 3, 4))
    update(archive)
    clock.time = datetime(2026, 11, 24, 2, tzinfo=UTC)
    add(archive, held(2, videos=[OTHER_MP4 + b"\0\0\0\x08free"]))
    update(archive)
    file = browsed(archive, "details-0")["v6/deepfake/2"][4][0]
    assert file[1] == sha256(OTHER_MP4 + b"\0\0\0\x08free")
