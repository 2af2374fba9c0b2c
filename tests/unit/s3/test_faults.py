"""Faults between a store and us: what may pass is tried again, and nothing is done twice."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archiver.errors import StorageError
from archiver.s3.objects import Absent, ConditionFailed, Objects, Unchanged
from tests.support.bodies import body
from tests.support.marks import slow, slow_except
from tests.support.seaweed import Place
from tests.support.store_proxy import (
    Corrupt,
    CutRequest,
    CutResponse,
    Fault,
    LoseResponse,
    Respond,
    Rewrite,
    Stall,
    StopReading,
    StoreProxy,
)

PATH = "data/v6/deepfake/263.mp4"
CONTENT = os.urandom(1_000_000)
PASSING: dict[str, Fault] = {
    "500": Respond(500, "InternalError"),
    "502-html": Respond(502),
    "503-slow-down": Respond(503, "SlowDown"),
    "503-html": Respond(503),
    "429": Respond(429, "TooManyRequests"),
    "400-request-timeout": Respond(400, "RequestTimeout"),
    "409-conflict": Respond(409, "ConditionalRequestConflict"),
    "reset-at-once": CutRequest(),
    "reset-mid-request": CutRequest(300_000),
    "lost-response": LoseResponse(),
    "silence": Stall(),
}
QUICK = ("500", "503-slow-down", "409-conflict", "reset-mid-request", "lost-response")
BROKEN_READS: dict[str, Fault] = {
    "500": Respond(500, "InternalError"),
    "reset-at-once": CutRequest(),
    "reset-after-the-head": CutResponse(0),
    "reset-midway": CutResponse(300_000),
    "silence": Stall(),
    "silence-midway": Stall(300_000),
}
ASK: dict[str, Callable[[Objects], object]] = {
    "HEAD": lambda objects: objects.head(PATH),
    "GET": lambda objects: objects.get(PATH),
    "LIST": lambda objects: list(objects.list()),
    "COPY": lambda objects: objects.copy(PATH, "copy"),
    "DELETE": lambda objects: objects.delete([PATH]),
    "UPLOADS": lambda objects: objects.abort_uploads(timedelta(days=1)),
}


@pytest.fixture
def faulty(place: Place, proxy: StoreProxy) -> Place:
    """A place behind the proxy, whose silence is soon too long."""
    there = place.at(proxy.endpoint_url)
    return replace(there, settings=replace(there.settings, timeout=1))


@slow
def test_a_store_that_stops_reading_is_given_up(place: Place, proxy: StoreProxy) -> None:
    """No run waits for it for ever, with its lease; the next try goes through."""
    there = place.at(proxy.endpoint_url)
    there = replace(there, settings=replace(there.settings, timeout=3))
    deaf, large = StopReading(300_000), body(bytes(48 << 20))
    proxy.instruct(deaf, "PUT")
    with there.open() as objects:
        assert objects.put(PATH, large, Absent()).size == large.size
        deaf.released.set()
        for _ in range(20):  # its connection cannot be closed before that
            objects.head(PATH)
    assert len(proxy.came("PUT")) == 2


@pytest.mark.parametrize("name", slow_except(PASSING, *QUICK))
def test_a_put_is_tried_again(faulty: Place, proxy: StoreProxy, name: str) -> None:
    """Whatever happened to the first two tries, whole or half or done, the object is there."""
    with faulty.open() as objects:
        proxy.instruct(PASSING[name], "PUT", times=2)
        stored = objects.put(PATH, body(CONTENT), Absent())
    assert stored.sha256 == body(CONTENT).sha256
    assert len(proxy.came("PUT")) == 3
    assert faulty.read(PATH) == CONTENT


def test_a_replacement_whose_response_was_lost_is_ours(faulty: Place, proxy: StoreProxy) -> None:
    """The ETag has changed, by us: what is there now has our checksum."""
    with faulty.open() as objects:
        before = objects.put(PATH, body(b"before"), Absent())
        proxy.instruct(LoseResponse(), "PUT")
        stored = objects.put(PATH, body(CONTENT), Unchanged(before.etag))
    assert stored.sha256 == body(CONTENT).sha256
    assert stored.etag != before.etag


@pytest.mark.parametrize("name", ["500", "lost-response"])
def test_a_deletion_is_tried_again(faulty: Place, proxy: StoreProxy, name: str) -> None:
    """Of the very object that was looked at: the second try may find that the first has done it."""
    with faulty.open() as objects:
        there = objects.put(PATH, body(CONTENT), Absent())
        proxy.instruct(PASSING[name], "DELETE")
        objects.delete_unchanged(there)
    assert len(proxy.came("DELETE")) == 2
    assert faulty.keys() == []


@pytest.mark.parametrize("name", ["500", "lost-response"])
def test_what_somebody_else_wrote_is_not_ours(faulty: Place, proxy: StoreProxy, name: str) -> None:
    """An object that is there after a first try has failed, and has other bytes, is not taken."""
    with faulty.open() as objects:
        objects.put(PATH, body(b"theirs"), Absent())
        proxy.instruct(PASSING[name], "PUT")
        with pytest.raises(ConditionFailed):
            objects.put(PATH, body(CONTENT), Absent())
    assert faulty.read(PATH) == b"theirs"


def test_one_try_is_enough_to_know_that_somebody_was_first(
    faulty: Place, proxy: StoreProxy
) -> None:
    """A condition that does not hold is no trouble that may pass."""
    with faulty.open() as objects:
        objects.put(PATH, body(CONTENT), Absent())
        proxy.forget()
        with pytest.raises(ConditionFailed):
            objects.put(PATH, body(CONTENT), Absent())
    assert [request.method for request in proxy.requests] == ["PUT"]


@pytest.mark.parametrize("name", slow_except(PASSING, "503-slow-down", "reset-at-once"))
def test_a_put_is_given_up(faulty: Place, proxy: StoreProxy, name: str) -> None:
    """When all tries have failed one line says so, and names the object."""
    with faulty.open() as objects:
        proxy.instruct(PASSING[name], "PUT|HEAD", times=100)
        with pytest.raises(StorageError, match=rf"writing {faulty.url}/{PATH}: ") as failed:
            objects.put(PATH, body(CONTENT), Absent())
    assert "\n" not in str(failed.value)
    assert len(proxy.came("PUT")) == faulty.settings.retries + 1


@pytest.mark.parametrize("name", slow_except(BROKEN_READS, "500", "reset-midway"))
def test_a_broken_read_goes_on_where_it_was(faulty: Place, proxy: StoreProxy, name: str) -> None:
    """Each byte is read once, of the same object, however often the connection breaks."""
    with faulty.open() as objects:
        objects.put(PATH, body(CONTENT), Absent())
        proxy.instruct(BROKEN_READS[name], "GET", PATH, times=2)
        with objects.open(PATH) as reading:
            assert reading
            assert b"".join(reading) == CONTENT
    ranges = [request.headers.get("Range") for request in proxy.came("GET", PATH)]
    assert len(ranges) == 3
    if name.endswith("midway"):
        assert ranges[0] is None
        assert all(ranges[1:])


def test_a_read_does_not_go_on_with_another_object(faulty: Place, proxy: StoreProxy) -> None:
    """What was replaced meanwhile has other bytes: one line says so."""
    with faulty.open() as objects:
        before = objects.put(PATH, body(CONTENT), Absent())
        proxy.instruct(Stall(300_000), "GET", PATH)
        with objects.open(PATH) as reading:
            assert reading
            blocks = iter(reading)
            next(blocks)
            objects.put(PATH, body(CONTENT[::-1]), Unchanged(before.etag))
            with pytest.raises(StorageError, match="it has changed meanwhile"):
                list(blocks)


def test_a_store_that_resumes_with_another_object_is_found_out(
    faulty: Place, proxy: StoreProxy
) -> None:
    """Some ignore that it must be unchanged: its ETag tells."""
    with faulty.open() as objects:
        objects.put(PATH, body(CONTENT), Absent())
        proxy.instruct(CutResponse(300_000), "GET", PATH)
        proxy.instruct(Rewrite({"ETag": '"other"'}), "GET", PATH)
        with objects.open(PATH) as reading:
            assert reading
            with pytest.raises(StorageError, match="it has changed meanwhile"):
                list(reading)


def test_a_read_that_cannot_resume_ends(faulty: Place, proxy: StoreProxy) -> None:
    """A store that sends everything anew would have bytes read twice."""
    with faulty.open() as objects:
        objects.put(PATH, body(CONTENT), Absent())
        proxy.instruct(CutResponse(300_000), "GET", PATH)
        proxy.instruct(Rewrite({"Content-Range": ""}), "GET", PATH)
        with objects.open(PATH) as reading:
            assert reading
            with pytest.raises(StorageError, match="cannot resume"):
                list(reading)


def test_a_byte_that_changed_on_the_way_is_read_anew(faulty: Place, proxy: StoreProxy) -> None:
    """A small object that does not match the store's own checksum is not returned."""
    with faulty.open() as objects:
        objects.put(PATH, body(b"hello"), Absent())
        proxy.instruct(Corrupt(2), "GET", PATH)
        found = objects.get(PATH)
        proxy.instruct(Corrupt(2), "GET", PATH, times=100)
        with pytest.raises(StorageError, match="does not match its checksum"):
            objects.get(PATH)
    assert found
    assert found[0] == b"hello"


@pytest.mark.parametrize("name", ASK)
def test_other_requests_are_tried_again(faulty: Place, proxy: StoreProxy, name: str) -> None:
    """Whatever is asked is asked again after trouble that may pass, and given up in one line."""
    with faulty.open() as objects:
        objects.put(PATH, body(CONTENT), Absent())
        for fault in (Respond(503, "SlowDown"), CutRequest(), LoseResponse()):
            proxy.instruct(fault, "(?!PUT).*" if name != "COPY" else "PUT")
        ASK[name](objects)
        proxy.instruct(Respond(503, "SlowDown"), times=100)
        with pytest.raises(StorageError, match="responds 503") as failed:
            ASK[name](objects)
    assert "\n" not in str(failed.value)


def test_the_clock_is_the_stores(faulty: Place, proxy: StoreProxy) -> None:
    """What time it is says the store, and not this computer."""
    with faulty.open() as objects:
        proxy.clock = timedelta(hours=5)
        stored = objects.put(PATH, body(b"hello"), Absent())
        listed = next(objects.list())
    late = datetime.now(UTC) + timedelta(hours=4)
    assert stored.now > late
    assert listed.now > late
    assert listed.modified < late
