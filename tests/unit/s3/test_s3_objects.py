"""The objects of an archive in a real store: SeaweedFS."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.errors import StorageError
from archiver.s3.objects import Absent, ChecksumRefused, ConditionFailed, Unchanged
from tests.support.bodies import body, file_body
from tests.support.seaweed import Place

PATH = "data/v6/deepfake/263 ä+%&=.mp4"
MEANWHILE = timedelta(minutes=1)


def test_what_is_put_is_there(place: Place) -> None:
    """An object has the bytes that it was to have, and the store's checksum is theirs."""
    content = os.urandom(3_000_000)
    with place.open() as objects:
        stored = objects.put(PATH, body(content), Absent())
        assert (stored.sha256, stored.size) == (body(content).sha256, len(content))
        found = objects.head(PATH)
    assert found
    assert (found.sha256, found.size, found.etag) == (stored.sha256, stored.size, stored.etag)
    assert place.keys() == [place.url.key(PATH)]
    assert place.read(PATH) == content


def test_an_empty_object_is_an_object(place: Place) -> None:
    """It has no bytes, and their checksum."""
    with place.open() as objects:
        objects.put(PATH, body(b""), Absent())
        found = objects.get(PATH)
        with objects.open(PATH) as reading:
            assert reading
            assert list(reading) == []
    assert found
    assert (found[0], found[1].sha256) == (b"", body(b"").sha256)


def test_a_file_is_put(place: Place, tmp_path: Path) -> None:
    """A body may be in a file, and is read as it is sent."""
    file = tmp_path / "263.mp4"
    file.write_bytes(os.urandom(5_000_001))
    with place.open() as objects:
        objects.put(PATH, file_body(file), Absent())
    assert place.read(PATH) == file.read_bytes()


def test_a_file_that_has_shrunk_is_named(place: Place, tmp_path: Path) -> None:
    """Nothing is stored of a file that is not what was recorded, and it is named."""
    file = tmp_path / "263.mp4"
    file.write_bytes(os.urandom(100_000))
    recorded = file_body(file)
    os.truncate(file, 50_000)
    with place.open() as objects, pytest.raises(StorageError, match=r"263\.mp4 .* too early"):
        objects.put(PATH, recorded, Absent())
    assert place.keys() == []


def test_nothing_is_overwritten(place: Place) -> None:
    """Where there is an object already, one that must be the first is refused."""
    with place.open() as objects:
        objects.put(PATH, body(b"first"), Absent())
        for content in (b"second", b"first"):
            with pytest.raises(ConditionFailed):
                objects.put(PATH, body(content), Absent())
    assert place.read(PATH) == b"first"


def test_only_the_object_that_is_meant_is_replaced(place: Place) -> None:
    """Its ETag says which: one that has changed meanwhile, or is not there, is not."""
    with place.open() as objects:
        first = objects.put(PATH, body(b"first"), Absent())
        objects.put(PATH, body(b"second"), Unchanged(first.etag))
        for path in (PATH, "elsewhere"):
            with pytest.raises(ConditionFailed):
                objects.put(path, body(b"third"), Unchanged(first.etag))
    assert place.read(PATH) == b"second"


def test_a_wrong_checksum_is_refused(place: Place) -> None:
    """The store itself compares what it got with the recorded checksum."""
    wrong = replace(body(b"hello"), sha256="00" * 32)
    with place.open() as objects, pytest.raises(ChecksumRefused, match="other bytes"):
        objects.put(PATH, wrong, Absent())
    assert place.keys() == []


def test_what_is_not_there_is_none(place: Place) -> None:
    """No object, no error: to look, to get and to open alike."""
    with place.open() as objects:
        assert objects.head(PATH) is None
        assert objects.get(PATH) is None
        with objects.open(PATH) as reading:
            assert reading is None


def test_an_object_is_read(place: Place) -> None:
    """It is read whole, in blocks."""
    content = os.urandom(3_000_000)
    with place.open() as objects:
        objects.put(PATH, body(content), Absent())
        with objects.open(PATH) as reading:
            assert reading
            assert reading.stored.sha256 == body(content).sha256
            assert b"".join(reading) == content
        found = objects.get(PATH)
    assert found
    assert found[0] == content


def test_a_large_object_is_not_got_at_once(place: Place) -> None:
    """More than the limit would fill the memory."""
    with place.open() as objects:
        objects.put(PATH, body(b"hello"), Absent())
        with pytest.raises(StorageError, match="larger than 4 bytes"):
            objects.get(PATH, 4)


def test_a_reader_may_leave_early(place: Place) -> None:
    """What is not read any more does not keep the connection."""
    content = os.urandom(3_000_000)
    with place.open() as objects:
        objects.put(PATH, body(content), Absent())
        with objects.open(PATH) as reading:
            assert reading
            assert content.startswith(next(iter(reading)))
        assert objects.head(PATH)


def test_objects_are_listed(place: Place) -> None:
    """By the beginning of their paths, whatever characters are in them, and only ours."""
    paths = [f"data/{name}" for name in ("1", "a b", "a+b", "b/c", "é&=%2F", "ü")]
    with place.open() as objects:
        for path in ("bagit.txt", *paths):
            objects.put(path, body(path.encode()), Absent())
        listed = list(objects.list("data/"))
        assert [each.path for each in objects.list()] == ["bagit.txt", *paths]
    assert [each.path for each in listed] == paths
    assert [each.size for each in listed] == [len(path.encode()) for path in paths]


def test_the_neighbour_is_not_listed(place: Place) -> None:
    """A prefix that begins with ours is somebody else's."""
    neighbour = replace(place, url=replace(place.url, prefix=f"{place.url.prefix}-2"))
    with neighbour.open() as objects:
        objects.put(PATH, body(b"theirs"), Absent())
    with place.open() as objects:
        assert list(objects.list()) == []


def test_the_times_are_the_stores(place: Place) -> None:
    """When an object was written and when the store said so, in UTC, by its clock."""
    with place.open() as objects:
        put = objects.put(PATH, body(b"hello"), Absent())
        found = objects.head(PATH)
        (listed,) = objects.list()
    assert found
    now = datetime.now(UTC)
    for stored in (put, found, listed):
        assert abs(stored.modified - now) < MEANWHILE
        assert abs(stored.now - now) < MEANWHILE


def test_an_object_is_copied(place: Place) -> None:
    """The copy has its bytes and its checksum, and the object is still there."""
    with place.open() as objects:
        objects.put(PATH, body(b"hello"), Absent())
        objects.copy(PATH, ".archiver/quarantine/263 ä+%.mp4")
        copied = objects.head(".archiver/quarantine/263 ä+%.mp4")
        assert objects.head(PATH)
    assert copied
    assert copied.sha256 == body(b"hello").sha256


def test_objects_are_deleted(place: Place) -> None:
    """Those that are there; the others do not matter."""
    with place.open() as objects:
        for path in (PATH, "a", "b"):
            objects.put(path, body(b"hello"), Absent())
        objects.delete([PATH, "nothing", "a"])
    assert place.keys() == [place.url.key("b")]


def test_what_was_looked_at_is_deleted_and_nothing_else(place: Place) -> None:
    """What somebody else has written there since stays; that it is gone already does not matter."""
    with place.open() as objects:
        first = objects.put(PATH, body(b"hello"), Absent())
        objects.delete_unchanged(first)
        objects.delete_unchanged(first)
        assert place.keys() == []
        objects.put(PATH, body(b"another"), Absent())
        with pytest.raises(StorageError, match=r"263.+ has changed meanwhile"):
            objects.delete_unchanged(first)
    assert place.read(PATH) == b"another"
