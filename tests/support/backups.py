"""Backups from the emulator into an archive, as most tests need them."""

import hashlib
import signal
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from archiver.apikey import ApiKey
from archiver.emulator.server import Emulator
from archiver.generation import Generation
from archiver.outcomes import Archived, Outcome
from archiver.pipeline.backup import backup
from archiver.pipeline.report import Report
from archiver.progress import Silent
from archiver.settings import ApiSettings, DownloadSettings, Settings
from tests.support.archives import open_catalogue

KEY = "sk-Emulated/Key+42"
PATIENT = 20.0
"""A timeout in seconds that no busy machine makes pass."""


def quick_downloads(**changes: object) -> DownloadSettings:
    """Return settings that try each link once, without a pause, and allow the emulator."""
    settings = DownloadSettings(timeout=PATIENT, retries=0, min_free=0, allow_private=True)
    return replace(settings, **changes)  # type: ignore[arg-type]


class Collected(Silent):
    """Progress that keeps the outcomes, and ends the run once so many videos are archived."""

    def __init__(self, enough: int | None = None) -> None:
        self.outcomes: list[Outcome] = []
        self._left = enough

    def finished(self, outcome: Outcome) -> None:
        """Keep it."""
        self.outcomes.append(outcome)
        if self._left and isinstance(outcome, Archived):
            self._left -= 1
            if not self._left:
                signal.raise_signal(signal.SIGINT)


@dataclass
class Backups:
    """An archive, an emulator, and runs of backing up from one to the other."""

    archive: Path
    emulator: Emulator
    outcomes: list[Outcome] = field(default_factory=list)

    async def run(
        self,
        *lines: str,
        api_rate: float = 1000,
        silence: float = PATIENT,
        enough: int | None = None,
        **changes: object,
    ) -> Report:
        """Back up a manifest of these lines, with quick settings unless `changes` are given.

        The run is interrupted once `enough` videos are archived.
        """
        manifest = self.archive.with_name("ids.txt")
        manifest.write_text("\n".join(lines) + "\n")
        progress = Collected(enough)
        settings = self.settings(api_rate=api_rate, silence=silence, **changes)
        report = await backup(self.archive, [manifest], settings, progress)
        self.outcomes = progress.outcomes
        return report

    def settings(
        self, *, api_rate: float = 1000, silence: float = PATIENT, **changes: object
    ) -> Settings:
        """Return settings without retries, pauses or polling; `silence` is all timeouts."""
        api = ApiSettings(ApiKey(KEY), self.emulator.api_url, api_rate, silence, retries=0)
        settings = Settings(api, quick_downloads(timeout=silence), wait=0)
        return replace(settings, **changes)  # type: ignore[arg-type]

    def held(self) -> dict[str, bytes]:
        """Return everything under `data/`, by its path in the archive."""
        return {
            path.relative_to(self.archive).as_posix(): path.read_bytes()
            for path in sorted((self.archive / "data").rglob("*"))
            if path.is_file()
        }


def grow_hopeless(archive: Path) -> None:
    """Make the next run that finds something hopeless the third, forty hours after the first."""
    with closing(open_catalogue(archive)) as catalogue, catalogue.connection as db:
        db.execute(
            "UPDATE generation SET trouble_runs = 2, trouble_seconds = 144000"
            " WHERE trouble = 'hopeless'"
        )


def generation(name: str) -> Generation:
    """Return the generation of a short name: `deepfake/263`, or `263`."""
    endpoint, _, id_ = name.rpartition("/")
    return Generation.of(endpoint or "deepfake", id_)


def assert_lines_true(archive: Path) -> dict[str, str]:
    """Each checksum line names another file, which is there and matches; return them by path."""
    lines = (archive / "manifest-sha256.txt").read_text().splitlines()
    named = dict(line.split("  ", 1)[::-1] for line in lines)
    assert len(named) == len(lines), "a file is listed twice"
    for path, sha256 in named.items():
        assert hashlib.sha256((archive / path).read_bytes()).hexdigest() == sha256, path
    return named


def assert_true_bag(archive: Path) -> None:
    """Every line is true, every payload file has one, and `bag-info.txt` counts them."""
    named = assert_lines_true(archive)
    found = [path for path in (archive / "data").rglob("*") if path.is_file()]
    assert {path.relative_to(archive).as_posix() for path in found} == set(named)
    oxum = f"{sum(path.stat().st_size for path in found)}.{len(found)}"
    assert f"Payload-Oxum: {oxum}\n" in (archive / "bag-info.txt").read_text()
