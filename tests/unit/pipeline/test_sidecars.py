"""What sidecars say of the generations that are held is in the catalogue, and stays there."""

import json
import os
from contextlib import closing

import pytest

from archiver.archive.bag import Bag
from archiver.catalogue.store import UNDESCRIBED, Catalogue, Described
from archiver.checksums import BagFile
from archiver.emulator.scripts import Script
from archiver.fixity.verify import verify
from archiver.metadata import Metadata
from archiver.pipeline import sidecars
from archiver.pipeline.indexing import absorb
from archiver.pipeline.sidecars import describe_held
from tests.support.archives import look_up, open_catalogue
from tests.support.backups import Backups
from tests.support.catalogues import generation, place


def place_sidecars(bag: Bag, *ids: str, document: object = None) -> None:
    """Put generations into the bag whose responses say something."""
    for one in map(generation, ids):
        place(bag, one.payload_path(1, 1, "mp4"), one.sidecar_path)
        said = document or {"id": one.id, "meta": {"prompt": f"a cat, {one.id} times"}}
        (bag.layout.root / one.sidecar_path).write_text(json.dumps(said))


def prompt(catalogue: Catalogue, id_: str) -> str | None:
    return catalogue.queries.of(generation(id_)).metadata.prompt


async def test_a_response_is_described_when_it_is_committed(backups: Backups) -> None:
    """What the API says of a generation is known as soon as its video is held."""
    meta = {"prompt": "a cat", "seed": 7, "W": 512, "H": "288", "model_id": "cogvideox"}
    backups.emulator.scripts[generation("1")] = Script(meta=meta)
    backups.emulator.scripts[generation("2")] = Script()
    await backups.run("1", "2")
    said = look_up(backups.archive, generation("1")).metadata
    assert said == Metadata("a cat", None, "cogvideox", "7", 512, 288)
    assert look_up(backups.archive, generation("2")).metadata == Metadata()
    with closing(open_catalogue(backups.archive)) as catalogue:
        assert catalogue.undescribed(10) == []


async def test_a_lost_catalogue_is_described_again(backups: Backups) -> None:
    """The next run reads the sidecars, and no video for that."""
    backups.emulator.scripts[generation("1")] = Script(meta={"prompt": "a cat"})
    await backups.run("1")
    (backups.archive / ".archiver/catalogue.sqlite").unlink()
    os.truncate(backups.archive / "data/v6/deepfake/1.mp4", 0)  # nobody notices
    assert (await backups.run("1")).already_held == 1
    assert look_up(backups.archive, generation("1")).metadata.prompt == "a cat"


def test_verify_describes_all_of_an_older_archive(bag: Bag) -> None:
    """It reads every file anyway."""
    place_sidecars(bag, *map(str, range(sidecars._BATCH + 1)))
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        absorb(bag, catalogue)
    verify(bag.layout.root)
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        assert catalogue.undescribed(10) == []
        assert prompt(catalogue, "500") == "a cat, 500 times"


def test_some_are_read_on_each_run(
    bag: Bag, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When time is up the rest waits, and what was read is not read again."""
    monkeypatch.setattr(sidecars, "_BATCH", 2)
    place_sidecars(bag, "1", "2", "3", "4", "5")
    absorb(bag, catalogue)
    for left in (3, 1, 0):
        describe_held(bag, catalogue, lambda: False)
        assert len(catalogue.undescribed(10)) == left
    (bag.layout.data / "v6/deepfake/1.json").write_text('{"prompt": "a dog"}')
    describe_held(bag, catalogue, lambda: True)
    assert prompt(catalogue, "1") == "a cat, 1 times"


def test_what_cannot_be_read_is_left(bag: Bag, catalogue: Catalogue) -> None:
    """Nothing in the place of a sidecar keeps a run, or is read again and again."""
    place_sidecars(bag, "gone", "pipe", "huge", "broken", "deep", "good")
    absorb(bag, catalogue)
    directory = bag.layout.data / "v6/deepfake"
    for name in ("gone", "pipe"):
        (directory / f"{name}.json").unlink()
    os.mkfifo(directory / "pipe.json")
    with (directory / "huge.json").open("wb") as huge:
        huge.truncate(10**12)
    (directory / "broken.json").write_bytes(b'\xff{"prompt"')
    (directory / "deep.json").write_bytes(b"[" * 100_000)
    describe_held(bag, catalogue, lambda: True)
    assert catalogue.undescribed(10) == []
    assert prompt(catalogue, "good") == "a cat, good times"


def test_what_manifests_say_comes_after_the_response(bag: Bag, catalogue: Catalogue) -> None:
    """Then the first of them counts most, by its number."""
    place_sidecars(bag, "1", document={"meta": {"prompt": "of the response"}})
    one = generation("1")
    for number, said in (
        (10, {"model": "c"}),
        (2, {"model": "b"}),
        (1, {"seed": 1, "prompt": "x"}),
    ):
        place(bag, one.entry_path(number))
        (bag.layout.root / one.entry_path(number)).write_text(json.dumps(said))
    absorb(bag, catalogue)
    describe_held(bag, catalogue, lambda: True)
    found = catalogue.queries.of(one).metadata
    assert found == Metadata("of the response", model="b", seed="1")


def test_what_was_read_before_a_commit_does_not_replace_it(catalogue: Catalogue, bag: Bag) -> None:
    """A `verify` may have read sidecars before a backup adds one."""
    one, mark = generation("1"), bag.manifest.mark()
    catalogue.absorb([BagFile("data/v6/deepfake/1.mp4", "a" * 64, 1)], mark, whole=True)
    catalogue.record((), (), mark, [Described(one, Metadata("new"))])
    catalogue.describe([Described(one, Metadata("old"))])
    assert prompt(catalogue, "1") == "new"


def test_a_sidecar_that_is_lost_or_repaired_is_read_again(bag: Bag, catalogue: Catalogue) -> None:
    """And what the manifests say of its generation is compared with its sidecars again."""
    place_sidecars(bag, "1", "2", "3")
    absorb(bag, catalogue)
    one = generation("1")
    catalogue.describe(
        [Described(each, Metadata("old"), ("digest",)) for each in catalogue.undescribed(9)]
    )
    catalogue.forget([BagFile(one.sidecar_path, "", 0)])
    catalogue.correct([BagFile(generation("2").sidecar_path, "", 0)])
    catalogue.forget([BagFile("data/v6/deepfake/3-9.gif", "", 0)])
    assert catalogue.undescribed(10) == [one, generation("2")]
    describe_held(bag, catalogue, lambda: True)
    assert [prompt(catalogue, id_) for id_ in "12"] == [None, "a cat, 2 times"]


def test_finding_what_is_left_costs_nothing(catalogue: Catalogue) -> None:
    """A quiet run does not look at every generation that is held."""
    plan = catalogue.connection.execute(f"EXPLAIN QUERY PLAN {UNDESCRIBED}", (5,)).fetchall()
    assert [row[3] for row in plan] == ["SCAN generation USING INDEX undescribed"]
