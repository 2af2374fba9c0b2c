"""A fleet: the shards of one list, backed up at once by processes that are killed and run again.

The emulator's log of requests shows what they ask for, and a thread compares what they record with
what is on the disk.
"""

import asyncio
import hashlib
import json
import os
import re
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from pathlib import Path
from typing import Self

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.generation import Generation, generation_at
from archiver.shards import shard_of
from tests.support.backups import KEY, generation
from tests.support.running import COMMAND, LOCAL, Ended, assert_valid_bag, ended

RATE = 40
"""How many API requests a second all shards together may send."""
DOWNLOADS = 4
LATE = 0.5
"""For how many seconds a request that was in time may wait for a processor of a busy machine."""
_PAUSE = 0.05
_TURNS = 20
"""In fewer turns of its loop the emulator accepts, reads and logs what has reached it."""


def videos(count: int) -> dict[Generation, Script]:
    """Return scripts of this many generations, of several sizes, whose downloads take a while."""
    return {
        generation(str(number)): Script(outputs=(_video(number),)) for number in range(1, count + 1)
    }


def _video(number: int) -> OutputScript:
    link = LinkScript(seconds=0.1 + number % 5 / 5)
    return OutputScript(size=20_000 + number % 7 * 30_000, primary=link)


@dataclass(frozen=True, slots=True)
class Killed:
    """A run of a shard that was killed, when on the emulator's clock, and what it has left."""

    shard: int
    since: float
    """When the run before it was killed."""
    at: float
    whole: frozenset[Generation]
    """Those whose video is in its place, or staged."""
    known: frozenset[Generation]
    """Those of them whose response is there, too: they are recovered without a request."""

    def interrupted(self, requests: Iterable[float]) -> bool:
        """Return whether this run has made one of the requests."""
        return any(self.since < at <= self.at for at in requests)


@dataclass
class Fleet:
    """The shards of a list, some of which run at the same time, and the emulator that they ask."""

    home: Path
    emulator: Emulator
    shards: int
    at_once: int
    """How many run at the same time, at most."""
    kills: list[Killed] = field(default_factory=list)

    def __post_init__(self) -> None:
        every = self.emulator.scripts
        for place in ("srv/shards", "srv/manifests", "etc/archiver"):
            (self.home / place).mkdir(parents=True)
        (self.home / "etc/archiver/api-key").write_text(KEY)
        (self.manifests / "ids.txt").write_text("".join(f"{each.id}\n" for each in every))
        self._parts: dict[int, set[Generation]] = {n: set() for n in range(self.shards)}
        for each in every:
            self._parts[shard_of(each.id, self.shards)].add(each)

    @property
    def manifests(self) -> Path:
        """The directory of the list that they share."""
        return self.home / "srv/manifests"

    @property
    def archives(self) -> list[Path]:
        """The archives, in the order of the shards."""
        return [self.home / "srv/shards" / str(shard) for shard in range(self.shards)]

    def localized(self, job: str) -> str:
        """Return a job file of the manual with paths of this fleet in place of the usual ones."""
        command = job.replace("/opt/archiver/.venv/bin/archiver", COMMAND)
        return re.sub(r"(?<![\w./])/(srv|etc)/", rf"{self.home}/\1/", command)

    def env(self) -> dict[str, str]:
        """Return the environment of a run: where the emulator is, and limits that suit it."""
        return LOCAL | {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "ARCHIVER_API_URL": self.emulator.api_url,
            "ARCHIVER_API_RATE": f"{RATE}/s",
            "ARCHIVER_DOWNLOADS": str(DOWNLOADS),
        }

    def shard(self, number: int) -> set[Generation]:
        """Return the generations that belong to a shard."""
        return self._parts[number]

    def held(self, shard: int) -> set[Generation]:
        """Return the generations whose video is in a shard's archive, in its place."""
        archive = self.archives[shard]
        paths = (path.relative_to(archive) for path in archive.glob("data/**/*.mp4"))
        return {held for path in paths if (held := generation_at(path.as_posix()))}

    def is_busy(self, shard: int) -> bool:
        """Return whether a shard is in the middle: some are held, some in flight, many left."""
        requests, every = self.requests("api"), self.shard(shard)
        asked = sum(bool(requests[each]) for each in every)
        return 3 <= len(self.held(shard)) < asked < len(every) * 0.7

    async def killed(self, shard: int) -> None:
        """Note that the run of a shard was killed by now, and what it has left."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)  # the emulator reads what the run has sent
        since = max((kill.at for kill in self.kills if kill.shard == shard), default=-inf)
        staged = self.archives[shard].glob(".archiver/incoming/*/*of*.mp4")
        whole = [path for path in staged if self._is_whole(path)]
        known = [path for path in whole if _is_json(path.with_name("answer.json"))]
        held = self.held(shard)
        left = (frozenset(held | {*map(_staged, paths)}) for paths in (whole, known))
        self.kills.append(Killed(shard, since, time.monotonic(), *left))

    def _is_whole(self, staged: Path) -> bool:
        sha256 = hashlib.sha256(staged.read_bytes()).hexdigest()
        return sha256 == self.emulator.sha256(_staged(staged))

    def requests(self, *hosts: str) -> dict[Generation, list[float]]:
        """Return when each generation was asked for at these hosts."""
        times: dict[Generation, list[float]] = {each: [] for each in self.emulator.scripts}
        for seen in self.emulator.requests:
            if seen.host in hosts and seen.generation:
                times[seen.generation].append(seen.at)
        return times

    def assert_requested_once(self) -> None:
        """Each was asked about and downloaded once, and again only if a kill interrupted that."""
        self._assert_once(self.requests("api"), lambda kill: kill.known)
        self._assert_once(self.requests("primary", "proxy"), lambda kill: kill.whole)

    def _assert_once(
        self,
        requests: Mapping[Generation, list[float]],
        kept: Callable[[Killed], frozenset[Generation]],
    ) -> None:
        again: Counter[Generation] = Counter()
        for kill in self.kills:
            lost = self.shard(kill.shard) - kept(kill)
            interrupted = {each for each in lost if kill.interrupted(requests[each])}
            assert len(interrupted) <= self._in_flight, f"lost by one kill: {interrupted}"
            again.update(interrupted)
        wrong = {each: times for each, times in requests.items() if len(times) != 1 + again[each]}
        assert not wrong, f"not requested once: {wrong}"

    @property
    def _in_flight(self) -> int:
        """How many generations a run has in flight, at most.

        Two for each download are in hand, and what a second brings may be about to be committed.
        """
        return 2 * DOWNLOADS + RATE // self.at_once

    async def assert_merged(self) -> None:
        """Each archive is a valid bag, and together they hold each video once, as it was served."""
        for archive in self.archives:
            await assert_valid_bag(archive)
        place = self.home / "srv/shards"
        shards = ("--shards", str(self.shards), f"{place}/{{shard}}")
        merged = await ended(COMMAND, "merge", *shards, env=self.env())
        assert (merged.status, merged.err) == (0, ""), merged
        check = f"cd '{place}' && sha256sum -c --strict --quiet all-sha256.txt"
        checked = await ended("sh", "-c", check)
        assert checked == Ended(0, "", ""), checked
        listed = [line.split("  ") for line in (place / "all-sha256.txt").read_text().splitlines()]
        served = Counter(map(self.emulator.sha256, self.emulator.scripts))
        assert Counter(sha256 for sha256, path in listed if path.endswith(".mp4")) == served

    def assert_rate_held(self) -> None:
        """In no second, and in no longer time, all shards together sent more than they may.

        Besides the rate, each run may send its first request at once, and one that was in time may
        arrive late.
        """
        times = sorted(chain.from_iterable(self.requests("api").values()))
        runs = self.shards + len(self.kills)
        for window in (1.0, 3.0, times[-1] - times[0]):
            most = most_within(times, window)
            assert most <= RATE * (window + LATE) + runs, f"{most} requests in {window} s"


def most_within(times: Sequence[float], window: float) -> int:
    """Return how many of these times, in order, lie within a window, at most."""
    return max(bisect_right(times, start + window) - n for n, start in enumerate(times))


def _staged(path: Path) -> Generation:
    return Generation.from_name(path.parent.name.replace("~", "/"))


def _is_json(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return False


class Watch:
    """Compares each line of these checksum manifests with its file, again and again, meanwhile."""

    def __init__(self, archives: Iterable[Path]) -> None:
        self._manifests = [archive / "manifest-sha256.txt" for archive in archives]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.false: list[str] = []
        self.lines: set[int] = set()
        """How many lines there were in all, each time."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_PAUSE):
            self.lines.add(sum(map(self._compare, self._manifests)))

    def _compare(self, manifest: Path) -> int:
        """Note each line that is false now; return how many there are."""
        if not manifest.exists():
            return 0
        # What has no end yet is being written.
        *lines, _ = manifest.read_text().split("\n")
        self.false += [line for line in lines if not _is_true(line, manifest.parent)]
        return len(lines)


def _is_true(line: str, archive: Path) -> bool:
    sha256, _, path = line.partition("  ")
    try:
        return hashlib.sha256((archive / path).read_bytes()).hexdigest() == sha256
    except OSError:
        return False
