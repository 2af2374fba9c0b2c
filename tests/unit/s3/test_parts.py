"""Large objects, which are written in parts: whole or not at all, and vouched for by the store."""

import hashlib
import os
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import StorageError
from archiver.s3.objects import Absent, ConditionFailed, Unchanged
from archiver.s3.parts import MOST, part_size
from tests.support.bodies import body, file_body
from tests.support.marks import slow_except
from tests.support.running import wait_until
from tests.support.seaweed import Place
from tests.support.store_proxy import CutRequest, Fault, Hold, LoseResponse, Respond, StoreProxy

PATH = "data/v6/deepfake/263.mp4"
PART = 5 << 20
CONTENT = os.urandom(2 * PART + 1234)
STEPS = {
    "begin": ("POST", "uploads"),
    "part": ("PUT", "partNumber=2"),
    "join": ("POST", "uploadId"),
}
FAULTS: dict[str, Fault] = {
    "503": Respond(503, "SlowDown"),
    "reset": CutRequest(100),
    "lost-response": LoseResponse(),
}


@pytest.fixture
def large(place: Place, proxy: StoreProxy) -> Place:
    """A place where our content is large, behind the proxy."""
    settings = replace(place.settings, multipart_above=PART, part_size=PART, timeout=5.0)
    return replace(place, settings=settings).at(proxy.endpoint_url)


def uploads(place: Place) -> list[str]:
    """Return the keys of the uploads that are under way, by another client."""
    found = place.server.client.list_multipart_uploads(
        Bucket=place.url.bucket, Prefix=place.url.key("")
    )
    return [each["Key"] for each in found.get("Uploads", ())]


@given(st.integers(1, 5 << 40), st.sampled_from([5 << 20, 64 << 20]))
def test_there_are_never_too_many_parts(size: int, least: int) -> None:
    """Parts grow with the object, up to the largest that S3 takes, and are not small."""
    step = part_size(size, least)
    assert step >= least
    assert -(-size // step) <= MOST


def test_a_large_object_is_written_in_parts(
    large: Place, proxy: StoreProxy, tmp_path: Path
) -> None:
    """Its checksum is the recorded one: the store's of its parts agrees with what we computed."""
    file = tmp_path / "263.mp4"
    file.write_bytes(CONTENT)
    with large.open() as objects:
        stored = objects.put(PATH, file_body(file), Absent())
        assert objects.head(PATH) == replace(stored, now=stored.now)
    assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert len(proxy.came("PUT", "partNumber=")) == 3
    assert large.read(PATH) == CONTENT
    assert uploads(large) == []


@pytest.mark.parametrize("fault", slow_except(FAULTS, "lost-response"))
@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_tried_again(large: Place, proxy: StoreProxy, step: str, fault: str) -> None:
    """Whatever fails first, the object is there once, and whole."""
    with large.open() as objects:
        proxy.instruct(FAULTS[fault], *STEPS[step])
        stored = objects.put(PATH, body(CONTENT), Absent())
    assert stored.sha256 == body(CONTENT).sha256
    assert large.read(PATH) == CONTENT


@pytest.mark.parametrize("step", STEPS)
def test_an_upload_that_fails_is_aborted(large: Place, proxy: StoreProxy, step: str) -> None:
    """Nothing is left of what could not be written."""
    with large.open() as objects:
        proxy.instruct(Respond(503, "SlowDown"), *STEPS[step], times=100)
        with pytest.raises(StorageError, match="503 SlowDown"):
            objects.put(PATH, body(CONTENT), Absent())
    assert uploads(large) == []
    assert large.keys() == []


def test_an_upload_that_is_cancelled_is_aborted(large: Place, proxy: StoreProxy) -> None:
    """Neither the object is there, nor parts of it."""
    held = Hold()
    proxy.instruct(held, *STEPS["part"])
    with large.open() as objects:
        future = objects.begin_put(PATH, body(CONTENT), Absent())
        wait_until(lambda: proxy.came(*STEPS["part"]))
        future.cancel()
        wait_until(lambda: uploads(large) == [])
        held.released.set()
    assert large.keys() == []


def test_an_upload_is_aborted_at_the_end(large: Place, proxy: StoreProxy) -> None:
    """Who closes the place does not leave behind what was being written."""
    proxy.instruct(Hold(), *STEPS["part"])
    with large.open() as objects:
        future = objects.begin_put(PATH, body(CONTENT), Absent())
        wait_until(lambda: proxy.came(*STEPS["part"]))
    assert future.cancelled()
    assert uploads(large) == []


def test_a_large_object_does_not_replace_one(large: Place, proxy: StoreProxy) -> None:
    """Where there is one already nothing is sent."""
    with large.open() as objects:
        objects.put(PATH, body(b"first"), Absent())
        with pytest.raises(ConditionFailed):
            objects.put(PATH, body(CONTENT), Absent())
    assert not proxy.came("PUT", "partNumber=")
    assert large.read(PATH) == b"first"


def test_the_store_judges_when_the_parts_are_joined(large: Place, proxy: StoreProxy) -> None:
    """An object that somebody else wrote meanwhile stays, and our parts are dropped."""
    held = Hold()
    proxy.instruct(held, *STEPS["join"])
    with large.open() as objects:
        future = objects.begin_put(PATH, body(CONTENT), Absent())
        wait_until(lambda: proxy.came(*STEPS["join"]))
        objects.put(PATH, body(b"first"), Absent())
        held.released.set()
        with pytest.raises(ConditionFailed):
            future.result(40)
    assert large.read(PATH) == b"first"
    assert uploads(large) == []


def test_a_large_object_replaces_only_the_one_that_is_meant(large: Place) -> None:
    """Its ETag is compared as the parts are joined."""
    with large.open() as objects:
        first = objects.put(PATH, body(b"first"), Absent())
        second = objects.put(PATH, body(CONTENT), Unchanged(first.etag))
        with pytest.raises(ConditionFailed):
            objects.put(PATH, body(CONTENT[::-1]), Unchanged(first.etag))
    assert second.sha256 == body(CONTENT).sha256
    assert large.read(PATH) == CONTENT


def test_a_file_that_has_changed_is_not_written(
    large: Place, proxy: StoreProxy, tmp_path: Path
) -> None:
    """Its bytes are compared with the recorded checksum before an upload is begun."""
    file = tmp_path / "263.mp4"
    file.write_bytes(CONTENT)
    recorded = file_body(file)
    with file.open("r+b") as changed:
        changed.write(b"other")
    with large.open() as objects, pytest.raises(StorageError, match=r"263\.mp4 .* has changed"):
        objects.put(PATH, recorded, Absent())
    assert not proxy.came(*STEPS["begin"])


def test_metadata_alone_vouch_for_nothing(large: Place) -> None:
    """Whoever wrote the parts: a checksum counts only where the store's own agrees."""
    client = large.server.client
    name = {"Bucket": large.url.bucket, "Key": large.url.key(PATH)}
    digest = hashlib.sha256(hashlib.sha256(b"other").digest()).digest()
    claimed = {
        "sha256": body(b"other").sha256,
        "sha256-of-parts": f"{b64encode(digest).decode()}-1",
    }
    upload = client.create_multipart_upload(**name, ChecksumAlgorithm="SHA256", Metadata=claimed)
    name["UploadId"] = upload["UploadId"]
    part = client.upload_part(**name, PartNumber=1, Body=b"bytes", ChecksumAlgorithm="SHA256")
    keep = {key: part[key] for key in ("ETag", "ChecksumSHA256")} | {"PartNumber": 1}
    client.complete_multipart_upload(**name, MultipartUpload={"Parts": [keep]})
    with large.open() as objects:
        stored = objects.head(PATH)
    assert stored
    assert (stored.size, stored.sha256) == (5, "")


def test_a_large_object_is_copied_in_parts(large: Place, proxy: StoreProxy) -> None:
    """The copy is vouched for as it was."""
    with large.open() as objects:
        objects.put(PATH, body(CONTENT), Absent())
        objects.copy(PATH, "copy")
        copied = objects.head("copy")
    assert copied
    assert copied.sha256 == body(CONTENT).sha256
    assert len(proxy.came("PUT", "copy.*partNumber=")) == 3
    assert large.read("copy") == CONTENT


def test_stale_uploads_are_aborted(large: Place) -> None:
    """Those under our prefix that are older than that, and no others."""
    client, name = large.server.client, {"Bucket": large.url.bucket}
    elsewhere = f"{large.url.prefix}-2/263.mp4"
    for key in (elsewhere, large.url.key(PATH), large.url.key("a b+ü.mp4")):
        client.create_multipart_upload(**name, Key=key)
    with large.open() as objects:
        assert objects.abort_uploads(timedelta(days=1)) == 0
        assert len(uploads(large)) == 2
        assert objects.abort_uploads(timedelta(seconds=-2)) == 2
    assert uploads(large) == []
    found = client.list_multipart_uploads(**name, Prefix=elsewhere)
    assert [each["Key"] for each in found["Uploads"]] == [elsewhere]
