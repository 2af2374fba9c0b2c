"""What is in the place of an object is never lost, nor replaced by who has lost the lease."""

import hashlib
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.staged import StagedFile, StagedGeneration
from archiver.bucket.sender import Sender
from archiver.bucket.uploads import UploadJournal
from archiver.checksums import BagFile
from archiver.errors import LeaseLost
from archiver.s3.measured import in_memory
from archiver.s3.objects import Absent
from tests.support.backups import generation
from tests.support.objects_in_memory import ObjectsInMemory

PATH = "data/v6/deepfake/1.mp4"


def staged(content: bytes) -> StagedFile:
    """Return a payload that is in memory."""
    target = BagFile(PATH, hashlib.sha256(content).hexdigest(), len(content))
    return StagedFile(".archiver/incoming/v6~deepfake~1/1.mp4", target, content)


def sender(objects: ObjectsInMemory, root: Path) -> Sender:
    """Return a sender of a run that has its lease."""
    (root / ".archiver/incoming").mkdir(parents=True)
    return Sender(objects, Layout(root), UploadJournal(root / "uploads.jsonl"), lambda: None)


def test_the_same_object_is_ours(tmp_path: Path) -> None:
    """An earlier run has sent it: it is neither sent again nor quarantined."""
    objects = ObjectsInMemory()
    before = objects.put(PATH, in_memory(b"the video"), Absent())
    each = sender(objects, tmp_path)
    each.begin(StagedGeneration(generation("1"), (staged(b"the video"),))).result(40)
    each.close()
    now = objects.head(PATH)
    assert now
    assert now.etag == before.etag
    assert [found.path for found in objects.list()] == [PATH]


def test_another_object_is_quarantined(tmp_path: Path) -> None:
    """What no line names is copied aside before the video takes its place."""
    objects = ObjectsInMemory()
    objects.put(PATH, in_memory(b"other"), Absent())
    each = sender(objects, tmp_path)
    each.send([StagedGeneration(generation("1"), (staged(b"the video"),))])
    each.close()
    assert objects.content(PATH) == b"the video"
    (aside,) = objects.list(".archiver/quarantine/")
    assert aside.path.endswith(PATH)
    assert objects.content(aside.path) == b"other"


def test_who_has_lost_the_lease_replaces_nothing(tmp_path: Path) -> None:
    """The run that has taken over may have put that object there, and written its line."""
    objects = ObjectsInMemory()
    objects.put(PATH, in_memory(b"the other run's"), Absent())

    def lost() -> None:
        raise LeaseLost("another run has taken it over")

    (tmp_path / ".archiver/incoming").mkdir(parents=True)
    each = Sender(objects, Layout(tmp_path), UploadJournal(tmp_path / "uploads.jsonl"), lost)
    ours = StagedGeneration(generation("1"), (staged(b"ours"),))
    with pytest.raises(LeaseLost):
        each.begin(ours).result(40)
    with pytest.raises(LeaseLost):  # so it was not noted as sent
        each.send([ours])
    each.close()
    assert objects.content(PATH) == b"the other run's"
