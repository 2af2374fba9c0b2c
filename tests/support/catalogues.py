"""Fixtures and helpers for a catalogue: a bag with files, and outcomes to record."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver.archive.bag import Bag
from archiver.archive.writable import WritableBag
from archiver.catalogue import store
from archiver.catalogue.store import Catalogue
from archiver.checksums import Mark
from archiver.generation import Generation
from archiver.manifest import Ids
from archiver.outcomes import Outcome, Streak
from archiver.pipeline.commit import record_of
from tests.support.archives import open_catalogue

START = Mark(0, b"")


def generation(id_: int | str) -> Generation:
    return Generation("v6/deepfake", str(id_))


def generations(*ids: int | str) -> list[Generation]:
    return [generation(id_) for id_ in ids]


def listed(*ids: int | str) -> list[Ids]:
    """Return these generations as manifests list them."""
    return [Ids("v6/deepfake", list(map(str, ids)))]


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 2, tzinfo=UTC)

    def now(self, zone: object) -> datetime:
        """Return the time."""
        assert zone is UTC
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store, "datetime", clock)
    return clock


@pytest.fixture
def bag(tmp_path: Path) -> Iterator[Bag]:
    with WritableBag.open(tmp_path / "archive") as bag:
        yield bag


@pytest.fixture
def catalogue(bag: Bag) -> Iterator[Catalogue]:
    with closing(open_catalogue(bag.layout.root)) as catalogue:
        yield catalogue


def place(bag: Bag, *paths: str) -> None:
    """Put files into the bag as a committed group does: each with its checksum line."""
    for path in paths:
        (bag.layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (bag.layout.root / path).write_bytes(path.encode())
        checksum = hashlib.sha256(path.encode()).hexdigest()
        with bag.manifest.path.open("a") as manifest:
            manifest.write(f"{checksum}  {path}\n")


def place_generations(bag: Bag, *ids: int | str) -> None:
    for one in generations(*ids):
        place(bag, one.payload_path(1, 1, "mp4"), one.sidecar_path)


def held(catalogue: Catalogue, *ids: int | str) -> list[int | str]:
    return [id_ for id_ in ids if catalogue.holds(generation(id_))]


def record(catalogue: Catalogue, *outcomes: Outcome, streak: Streak | None = None) -> None:
    """Record outcomes as a run does, without their report."""
    records = (record_of(outcome, streak) for outcome in outcomes)
    catalogue.record(filter(None, records), (), START)


def report(catalogue: Catalogue, *outcomes: Outcome, streak: Streak | None = None) -> None:
    """Record outcomes as a run does that lives to report them."""
    record(catalogue, *outcomes, streak=streak)
    with catalogue.connection as db:
        db.execute("UPDATE generation SET reported = 1")
