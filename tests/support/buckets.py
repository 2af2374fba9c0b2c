"""Backups from the emulator into a bucket, as a machine with a state directory of its own."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from archiver.emulator.server import Emulator
from archiver.location import BucketUrl
from archiver.outcomes import Outcome
from archiver.pipeline.backup import backup
from archiver.pipeline.report import Report
from tests.support.backups import Backups, Collected
from tests.support.running import COMMAND, LOCAL, QUICK, Ended, ended
from tests.support.seaweed import Place

SEGMENTS = ".archiver/segments/"


@dataclass
class Machine:
    """A machine that backs up into a bucket: nothing of it but the state directory is lasting."""

    place: Place
    emulator: Emulator
    home: Path
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def url(self) -> BucketUrl:
        """The place of the archive, as this machine reaches it."""
        return replace(self.place.url, state_dir=self.home / "state")

    @property
    def state(self) -> Path:
        """What is here of the archive."""
        (found,) = (self.home / "state").iterdir()
        return found

    def manifest(self, *lines: str) -> Path:
        """Write a list of these lines."""
        self.home.mkdir(exist_ok=True)
        path = self.home / "ids.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    async def run(self, *lines: str, **changes: object) -> Report:
        """Back up a manifest of these lines, with quick settings unless `changes` are given."""
        progress = Collected()
        quick = Backups(self.home, self.emulator).settings()
        settings = replace(quick, **changes)  # type: ignore[arg-type]
        report = await backup(self.url, [self.manifest(*lines)], settings, progress)
        self.outcomes = progress.outcomes
        return report

    def env(self, key: str | None) -> dict[str, str]:
        """Return the environment of a command, with an API key."""
        keys = {"MODELSLAB_API_KEY": key} if key else {}
        return {
            "PATH": "/usr/bin:/bin", "HOME": str(self.home), **keys, **LOCAL,
            **self.place.server.environment,
        }  # fmt: skip

    def where(self) -> tuple[str, ...]:
        """Return the options that name the archive."""
        return ("-a", str(self.place.url), "--state-dir", str(self.home / "state"))

    async def command(self, *args: str, key: str | None = None) -> Ended:
        """Run the installed command with these arguments and the options that name the archive."""
        self.home.mkdir(exist_ok=True)
        return await ended(COMMAND, *args, *self.where(), env=self.env(key), within=60)

    async def backup(self, *lines: str, key: str) -> Ended:
        """Run `archiver backup` with a manifest of these lines."""
        manifest = str(self.manifest(*lines))
        api = ("--api-url", self.emulator.api_url, *QUICK)
        return await self.command("backup", manifest, *api, key=key)

    def downloads(self) -> int:
        """Return how often a link was asked for since the emulator forgot."""
        return sum(1 for seen in self.emulator.requests if seen.number)


def paths_of(place: Place) -> list[str]:
    """Return the paths in the archive of all its objects, by another client."""
    return [*map(place.url.path, place.keys())]


def lines_of(place: Place) -> dict[str, str]:
    """Return what the bucket lists: the checksum of each path, in the manifest or a segment."""
    return {path: sha256 for sha256, path in _lines(place)}


def assert_lines_true(place: Place) -> dict[str, str]:
    """Each line of the manifest and of the segments names an object that is there and matches."""
    listed = lines_of(place)
    for path, sha256 in listed.items():
        assert hashlib.sha256(place.read(path)).hexdigest() == sha256, path
    return listed


def _lines(place: Place) -> Iterator[tuple[str, str]]:
    for path in paths_of(place):
        if path == "manifest-sha256.txt" or path.startswith(SEGMENTS):
            for line in place.read(path).decode().splitlines():
                sha256, _, named = line.partition("  ")
                if len(sha256) == 64 and named.startswith("data/"):
                    yield sha256.lower(), named


async def download(place: Place, directory: Path) -> Path:
    """Download the whole bucket, but for what is no part of the bag."""
    await asyncio.to_thread(place.download, directory)
    return directory


def lease_of(place: Place) -> dict[str, object]:
    """Return what the lease says."""
    found: dict[str, object] = json.loads(place.read(".archiver/lease"))
    return found
