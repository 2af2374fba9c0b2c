"""The lease on a real S3 server: processes that race for it, die with it, or sleep through it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.layout import MANIFEST, Layout
from archiver.bucket.claim import LEASE
from archiver.bucket.lease import acquire, leased
from archiver.bucket.segments import Segments, refresh
from archiver.checksums import BagFile
from archiver.errors import ArchiveLocked, LeaseLost
from tests.support.running import wait_until
from tests.support.seaweed import Place

pytestmark = pytest.mark.slow

TTL = 2.0
PROGRAM = """
import sys
from pathlib import Path
from archiver.archive.layout import Layout
from archiver.s3.client import open_objects
from archiver.bucket.lease import leased
from archiver.bucket.segments import Segments
from archiver.checksums import BagFile
from archiver.errors import ArchiverError
from archiver.location import parse_location
from archiver.settings import BucketSettings

url, root = parse_location(sys.argv[1]), Path(sys.argv[2])
wait, ttl = map(float, sys.argv[3:])
try:
    with open_objects(url, BucketSettings(timeout=10, retries=3, pause_first=0.01)) as objects:
        print("ready", flush=True)
        sys.stdin.readline()
        with leased(objects, wait, ttl) as lease:
            segments = Segments(objects, lease, Layout(root))
            segments.begin()
            print("began", flush=True)
            for line in sys.stdin:
                path, sha256 = line.split()
                segments.append([BagFile(path, sha256, 1)])
                print("appended", path, flush=True)
except ArchiverError as error:
    print(type(error).__name__, error, flush=True)
    raise SystemExit(error.exit_status) from None
"""


class Child:
    """A process that takes the lease when it is asked to, and appends the lines it is given."""

    def __init__(self, place: Place, root: Path, wait: float, ttl: float) -> None:
        root.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(place.url), str(root), str(wait), str(ttl)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        self._ready = False

    def ask(self, line: str = "") -> None:
        """Write it a line, once it can read it."""
        self.is_ready()
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def is_ready(self) -> None:
        """Wait until it is."""
        assert self._ready or self.says() == "ready"
        self._ready = True

    def says(self) -> str:
        """Return the next line that it writes."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")


@contextmanager
def child(place: Place, root: Path, wait: float = 0, ttl: float = TTL) -> Iterator[Child]:
    """Start such a process; it does not outlive the test."""
    started = Child(place, root, wait, ttl)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate(timeout=40)


def file(name: str) -> BagFile:
    """Return a file of the archive."""
    return BagFile(f"data/v6/deepfake/{name}.mp4", name[0] * 64, 1)


def line(name: str) -> str:
    """Return what a child is asked to append."""
    return f"{file(name).path} {file(name).sha256}"


def made(root: Path) -> Layout:
    """Return the layout of a directory that is made."""
    root.mkdir()
    return Layout(root)


def lease_of(place: Place) -> dict[str, Any]:
    """Return what the lease says."""
    said: dict[str, Any] = json.loads(place.read(LEASE))
    return said


def test_of_eight_processes_one_gets_the_lease(place: Place, tmp_path: Path) -> None:
    """The others are refused, with the status of an archive that is locked, and name it."""
    with ExitStack() as stack:
        racers = [stack.enter_context(child(place, tmp_path / str(i), 0, 60)) for i in range(8)]
        for racer in racers:
            racer.is_ready()
        for racer in racers:
            racer.ask()
        words = {racer: racer.says() for racer in racers}
        winners = [racer for racer in racers if words[racer] == "began"]
        assert len(winners) == 1, words
        assert lease_of(place)["process"] == winners[0].process.pid
        for racer in {*racers} - {*winners}:
            assert words[racer].startswith("ArchiveLocked another run holds the archive")
            assert f"process {winners[0].process.pid} on" in words[racer]
            assert racer.process.wait(40) == 75


def test_of_eight_processes_one_takes_over_from_a_dead_one(place: Place, tmp_path: Path) -> None:
    """They wait until its lease is stale; then the store decides who is first."""
    with ExitStack() as stack:
        dead = stack.enter_context(child(place, tmp_path / "dead"))
        dead.ask()
        assert dead.says() == "began"
        dead.process.kill()
        racers = [stack.enter_context(child(place, tmp_path / str(i), 5, 60)) for i in range(8)]
        for racer in racers:
            racer.is_ready()
        for racer in racers:
            racer.ask()
        words = [racer.says() for racer in racers]
        assert words.count("began") == 1, words
        assert lease_of(place)["process"] != dead.process.pid


def test_the_lines_of_a_killed_run_are_taken_over(place: Place, tmp_path: Path) -> None:
    """While its lease is fresh the next waits; then it has the other's lines, and keeps them."""
    layout = Layout(tmp_path / "here")
    layout.root.mkdir()
    with child(place, tmp_path / "dead") as dead, place.open() as objects:
        dead.ask()
        assert dead.says() == "began"
        dead.ask(line("a"))
        assert dead.says().startswith("appended")
        dead.process.send_signal(signal.SIGKILL)
        dead.process.wait(40)
        with (
            pytest.raises(ArchiveLocked, match=f"process {dead.process.pid} on"),
            leased(objects, ttl=TTL),
        ):
            pass
        with leased(objects, wait=20, ttl=TTL) as lease:
            assert lease.previous
            segments = Segments(objects, lease, layout)
            segments.begin()
            assert file("a").path in layout.manifest.read_text()
            segments.end()
    assert place.read(MANIFEST).decode().split() == [file("a").sha256, file("a").path]
    assert json.loads(place.read(LEASE))["released"]


def test_a_stopped_run_that_wakes_after_its_lease_was_taken_over_writes_no_line(
    place: Place, tmp_path: Path
) -> None:
    """Its next line fails, as a lease that is lost; the bucket has no trace of it."""
    layout = Layout(tmp_path / "here")
    layout.root.mkdir()
    with child(place, tmp_path / "sleeper") as sleeper, place.open() as objects:
        sleeper.ask()
        assert sleeper.says() == "began"
        sleeper.ask(line("a"))
        assert sleeper.says().startswith("appended")
        sleeper.process.send_signal(signal.SIGSTOP)
        sleeper.ask(line("b"))
        with leased(objects, wait=20, ttl=TTL) as lease:
            segments = Segments(objects, lease, layout)
            segments.begin()
            sleeper.process.send_signal(signal.SIGCONT)
            assert sleeper.says().startswith("LeaseLost this run has lost its lease")
            assert sleeper.process.wait(40) == 75
            segments.append([file("c")])
            segments.end()
            assert lease_of(place)["run"] == lease.run
        refresh(objects, layout)
    listed = place.read(MANIFEST).decode()
    assert [file(name).path in listed for name in "abc"] == [True, False, True]
    assert layout.manifest.read_text() == listed
    for key in iter(place.keys()):
        assert file("b").path not in place.read(place.url.path(key)).decode(), key


def test_a_fenced_run_that_is_not_aware_of_it_creates_no_segment(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it looks at its lease just before it sleeps: the store refuses its segment."""
    with place.open() as objects:
        lease = acquire(objects, 0, 1)
        sleeper = Segments(objects, lease, made(tmp_path / "sleeper"))
        sleeper.begin()
        sleeper.append([file("a")])
        monkeypatch.setattr(lease, "check", lambda: None)  # as it was when it looked
        with leased(objects, wait=20) as other:
            taker = Segments(objects, other, made(tmp_path / "taker"))
            taker.begin()
            with pytest.raises(LeaseLost, match="another run has taken it over"):
                sleeper.append([file("b")])
            taker.end()
    assert place.read(MANIFEST).decode().split() == [file("a").sha256, file("a").path]


def test_a_lease_outlives_its_time_by_being_renewed(place: Place, tmp_path: Path) -> None:
    """For as long as the holder works no other comes in, however short the time to live is."""
    with child(place, tmp_path / "holder") as holder, place.open() as objects:
        holder.ask()
        assert holder.says() == "began"
        wait_until(lambda: lease_of(place)["renewed"] >= 7)  # one proof, and two times to live
        with pytest.raises(ArchiveLocked), leased(objects, ttl=TTL):
            pass
        holder.ask(line("a"))
        assert holder.says().startswith("appended")
