"""What is sent is named before, and one that the store refuses keeps no other from being sent."""

import threading
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.staged import StagedFile, StagedGeneration
from archiver.bucket.uploads import Cancelling, UploadJournal, Uploads
from archiver.checksums import BagFile
from archiver.errors import StorageError
from archiver.s3.objects import ChecksumRefused
from tests.support.backups import generation


def staged(id_: str) -> StagedGeneration:
    """Return a generation with a payload and its response."""
    place = f".archiver/incoming/v6~deepfake~{id_}"
    files = tuple(
        StagedFile(f"{place}/{id_}.{suffix}", BagFile(f"data/v6/deepfake/{id_}.{suffix}", "0", 3))
        for suffix in ("mp4", "json")
    )
    return StagedGeneration(generation(id_), files)


def test_the_journal_has_what_is_not_committed(tmp_path: Path) -> None:
    """Until it is shortened also what is; and half a line, of a run that was killed, is nothing."""
    path = tmp_path / "uploads.jsonl"
    journal = UploadJournal(path)
    for id_ in "123":
        journal.add(staged(id_).files)
    assert [files[0].target.path for files in UploadJournal(path).read()] == [
        f"data/v6/deepfake/{id_}.mp4" for id_ in "123"
    ]
    journal.remove([staged("2").files[0].directory])
    journal.shorten()
    with path.open("a") as file:
        file.write('[["half')
    assert [*UploadJournal(path).read()] == [staged("1").files, staged("3").files]


def test_payloads_go_before_the_response() -> None:
    """Where the response is, all of a generation is."""
    sent: list[str] = []
    uploads = Uploads(lambda file, _: sent.append(file.target.path))
    assert uploads.begin(staged("1"), lambda _: pytest.fail("it is kept")).result(40) == ""
    uploads.close()
    assert sent == ["data/v6/deepfake/1.mp4", "data/v6/deepfake/1.json"]


def test_what_the_store_refuses_is_a_value() -> None:
    """One generation's trouble is its own; the reason says what it is."""

    def put(file: StagedFile, _: Cancelling) -> None:
        raise ChecksumRefused(f"other bytes came for {file.target.path}")

    uploads = Uploads(put)
    reason = uploads.begin(staged("1"), lambda _: pytest.fail("it is kept")).result(40)
    uploads.close()
    assert reason == "other bytes came for data/v6/deepfake/1.mp4"


def test_a_store_that_is_gone_is_an_error_and_nothing_is_lost() -> None:
    """What was to be sent is kept before anybody hears of it."""
    kept: list[StagedGeneration] = []

    def put(_file: StagedFile, _: Cancelling) -> None:
        raise StorageError("it is gone")

    uploads = Uploads(put)
    sending = uploads.begin(staged("1"), kept.append)
    with pytest.raises(StorageError, match="gone"):
        sending.result(40)
    uploads.close()
    assert kept == [staged("1")]


def test_cancelling_ends_what_is_being_sent() -> None:
    """The request under way is cancelled, and no other is begun."""
    begun, kept = threading.Event(), threading.Event()
    requests: list[Future[Any]] = []

    def request() -> "Future[Any]":
        requests.append(Future())
        begun.set()
        return requests[-1]

    uploads = Uploads(lambda _file, cancelling: cancelling.result(request))
    sending = uploads.begin(staged("1"), lambda _: kept.set())
    assert begun.wait(40)
    assert sending.cancel()
    assert kept.wait(40)
    uploads.close()
    assert [each.cancelled() for each in requests] == [True]
    with pytest.raises(CancelledError):
        sending.result()
