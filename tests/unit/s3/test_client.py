"""The client of a bucket: imported when it is needed, and ended in order."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.errors import ConfigurationError, StorageError
from archiver.location import BucketUrl
from archiver.s3.client import open_objects
from archiver.s3.objects import Absent, Unchanged
from archiver.settings import BucketSettings
from tests.support.bodies import body, file_body
from tests.support.marks import slow
from tests.support.running import until
from tests.support.seaweed import Place
from tests.support.store_proxy import Hold, Respond, Stall, StoreProxy

PATH = "data/v6/deepfake/263.mp4"
EXTRA = ("aiobotocore", "botocore")
MANY = 1_005
MEMORY = 40 << 10
"""In KiB."""
_MEASURED = """
import sys
from archiver.s3.client import open_objects
from archiver.s3.objects import Absent, Body
from archiver.location import parse_location, reached
from archiver.settings import BucketSettings

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))

url, endpoint, file, sha256, size, above = sys.argv[1:]
settings = BucketSettings(multipart_above=int(above))
with open_objects(reached(parse_location(url), endpoint, None), settings) as objects:
    before = peak()
    objects.put("large", Body(sha256, int(size), file=file), Absent())
    written = peak()
    with objects.open("large") as reading:
        read = sum(map(len, reading))
    print(written - before, peak() - before, read)
"""


def test_nothing_is_imported_before_it_is_needed() -> None:
    """Whoever has no bucket waits for no botocore, and may do without it."""
    code = "import sys, archiver.s3.client, archiver.s3.probe; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {name.encode() for name in (*EXTRA, "asyncio", "aiohttp")}.intersection(
        loaded.split()
    )


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, status 2: what to install."""
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    opened = open_objects(BucketUrl("bucket", "videos"), BucketSettings())
    with (
        pytest.raises(ConfigurationError, match=r"pip install 'archiver\[s3\]'") as missing,
        opened,
    ):
        pass
    assert "\n" not in str(missing.value)


def test_the_recorded_checksum_is_what_is_signed(place: Place, proxy: StoreProxy) -> None:
    """It goes along as the payload hash, and as the checksum to be kept."""
    with place.at(proxy.endpoint_url).open() as objects:
        objects.put(PATH, body(b"hello"), Absent())
    (request,) = proxy.came("PUT")
    assert request.headers["x-amz-content-sha256"] == body(b"hello").sha256
    assert "x-amz-checksum-sha256" in request.headers["Authorization"]


async def test_a_put_is_awaited_on_another_event_loop(place: Place) -> None:
    """Several at once, and none waits for another."""
    contents = {f"{PATH}-{number}": os.urandom(1000) for number in range(8)}
    with place.open() as objects:
        puts = [
            asyncio.wrap_future(objects.begin_put(path, body(content), Absent()))
            for path, content in contents.items()
        ]
        stored = await asyncio.gather(*puts)
    assert [each.sha256 for each in stored] == [body(each).sha256 for each in contents.values()]


async def test_a_put_that_is_cancelled_ends(place: Place, proxy: StoreProxy) -> None:
    """Cancelling the task that awaits it closes its connection; the object is not there."""
    proxy.instruct(Stall(), "PUT")
    held = Hold()
    proxy.instruct(held, "PUT")
    settings = replace(place.settings, timeout=60.0)
    with replace(place, settings=settings).at(proxy.endpoint_url).open() as objects:
        put = asyncio.wrap_future(objects.begin_put(PATH, body(b"hello"), Absent()))
        await until(lambda: proxy.came("PUT"))
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert await asyncio.to_thread(objects.head, "other") is None


def test_an_interruption_ends_what_is_waited_for(place: Place, proxy: StoreProxy) -> None:
    """Ctrl-C in the thread that waits: the request is cancelled, and the place closed, soon."""
    proxy.instruct(Stall(), "PUT")
    settings = replace(place.settings, timeout=60.0)
    begun = time.monotonic()

    def interrupt() -> None:
        while not proxy.came("PUT"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with (
        pytest.raises(KeyboardInterrupt),
        replace(place, settings=settings).at(proxy.endpoint_url).open() as objects,
    ):
        objects.put(PATH, body(b"hello"), Absent())
    thread.join()
    assert time.monotonic() - begun < 40
    assert not [each.name for each in threading.enumerate() if each.name == "s3"]


@slow
def test_many_objects_are_listed_and_deleted(place: Place) -> None:
    """More than a store lists, or deletes, at once."""
    paths = [f"data/{number:04} ü.json" for number in range(MANY)]
    with place.open() as objects:
        puts = [objects.begin_put(path, body(b"{}"), Absent()) for path in paths]
        for put in puts:
            put.result(60)
        assert [each.path for each in objects.list()] == paths
        objects.delete(paths)
        assert list(objects.list()) == []


@pytest.mark.parametrize("refusal", [Respond(501, "NotImplemented"), Respond(405), Respond(200)])
def test_objects_are_deleted_one_by_one_where_they_must(
    place: Place, proxy: StoreProxy, refusal: Respond
) -> None:
    """Some stores do not delete several at once; others only seem to."""
    with place.at(proxy.endpoint_url).open() as objects:
        for path in ("a", "b", "c"):
            objects.put(path, body(b"hello"), Absent())
        proxy.instruct(refusal, "POST", "delete")
        objects.delete(["a", "b"])
    assert place.keys() == [place.url.key("c")]


@pytest.mark.parametrize("refusal", [Respond(501, "NotImplemented"), Respond(400)])
def test_a_store_without_conditional_deletes_deletes_all_the_same(
    place: Place, proxy: StoreProxy, refusal: Respond
) -> None:
    """It is looked at once more: what is there now is not deleted if it is another object."""
    with place.at(proxy.endpoint_url).open() as objects:
        first, other = (objects.put(path, body(b"hello"), Absent()) for path in ("a", "b"))
        objects.put("b", body(b"another"), Unchanged(other.etag))
        proxy.instruct(refusal, "DELETE")
        objects.delete_unchanged(first)
        proxy.instruct(refusal, "DELETE")
        with pytest.raises(StorageError, match="/b has changed meanwhile"):
            objects.delete_unchanged(other)
    assert place.keys() == [place.url.key("b")]


def test_uploads_are_throttled_together(place: Place) -> None:
    """All bytes of all uploads count, wherever they come from."""
    content = os.urandom(150_000)
    settings = replace(place.settings, limit_rate=200_000.0)
    with replace(place, settings=settings).open() as objects:
        begun = time.monotonic()
        puts = [objects.begin_put(path, body(content), Absent()) for path in ("a", "b")]
        for put in puts:
            put.result(30)
        took = time.monotonic() - begun
    assert took > 1.0


@slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("above", [1 << 30, 1 << 28], ids=["whole", "in-parts"])
def test_memory_stays_flat(place: Place, tmp_path: Path, above: int) -> None:
    """A gigabyte is written and read in less than 40 MB more than nothing."""
    file = tmp_path / "263.mp4"
    block = os.urandom(1 << 20)
    with file.open("wb") as opened:
        for _ in range(1000):
            opened.write(block)
    large = file_body(file)
    command = [sys.executable, "-c", _MEASURED, str(place.url), place.server.endpoint_url]
    command += [large.file, large.sha256, str(large.size), str(above)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True)
    to_write, to_read, read = map(int, done.stdout.split())
    assert read == large.size
    assert max(to_write, to_read) < MEMORY, (to_write, to_read)
