"""Run the installed `archiver` command as a person or cron would; no process outlives its test."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.emulator.server import Emulator
from tests.support.backups import KEY

COMMAND = str(Path(sys.executable).with_name("archiver"))
LOCAL = {"ARCHIVER_ALLOW_PRIVATE_LINKS": "1", "ARCHIVER_MIN_FREE": "0"}
"""Allow links to the emulator, and disregard how much disk space is free."""
QUICK = ("--retries", "0", "--api-rate", "1000/s", "--wait", "0", "--timeout", "20s")
"""Options for a run without retries or pauses."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a command: its exit status, and its output."""

    status: int
    out: str
    err: str


@asynccontextmanager
async def started(
    *command: str,
    env: dict[str, str],
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command, and kill it and its children afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, start_new_session=True, stdin=stdin, stdout=stdout, stderr=stderr
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def ended(
    *command: str, env: dict[str, str] | None = None, stdin: bytes = b"", within: float = 60
) -> Ended:
    """Run a command to its end, which must come `within` some seconds."""
    pipe = asyncio.subprocess.PIPE
    env = {"PATH": os.environ["PATH"]} if env is None else env
    async with started(*command, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def until(condition: Callable[[], object], within: float = 60) -> None:
    """Wait until a condition holds, which must be `within` some seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object], within: float = 40) -> None:
    """Wait as `until` does, where no event loop runs."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)


@dataclass
class Workspace:
    """Where the command runs: a home, an archive, manifests, and an emulated ModelsLab."""

    home: Path
    emulator: Emulator
    key: str | None = KEY

    @property
    def archive(self) -> Path:
        """The archive."""
        return self.home / "archive"

    def env(self, **more: str) -> dict[str, str]:
        """Return an environment with the key, the settings of `LOCAL` and `more`."""
        key = {} if self.key is None else {"MODELSLAB_API_KEY": self.key}
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), **key, **LOCAL, **more}

    def manifest(self, *lines: str, name: str = "ids.txt") -> str:
        """Write a manifest of these lines and return its path."""
        path = self.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def command(self, *args: str) -> tuple[str, ...]:
        """Return the command that backs up into the archive, from the emulator, quickly."""
        where = ("-a", str(self.archive), "--api-url", self.emulator.api_url)
        return (COMMAND, "backup", *where, *QUICK, *args)

    async def run(self, *args: str, stdin: bytes | str = b"", **env: str) -> Ended:
        """Run `archiver` with just these arguments."""
        return await ended(COMMAND, *args, env=self.env(**env), stdin=_encoded(stdin))

    async def backup(self, *args: str, stdin: bytes | str = b"", **env: str) -> Ended:
        """Run `archiver backup` into the archive."""
        command = self.command(*args)
        return await ended(*command, env=self.env(**env), stdin=_encoded(stdin))

    def held(self) -> list[str]:
        """Return the names of the videos in the archive."""
        found = (self.archive / "data").rglob("*.mp4")
        return sorted(path.relative_to(self.archive / "data").as_posix() for path in found)


def _encoded(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


async def assert_valid_bag(archive: Path) -> None:
    """The archive satisfies `sha256sum` and an independent BagIt validator."""
    checked = await ended(
        "sh", "-c", f"cd '{archive}' && sha256sum -c --strict --quiet manifest-sha256.txt"
    )
    assert checked.status == 0, checked
    validator = (sys.executable, "-W", "ignore", "-m", "bagit", "--validate", str(archive))
    validated = await ended(*validator)
    assert validated.status == 0, validated


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a file system of its own at `place`."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "archiver-test", str(place)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if result.returncode:
        pytest.skip(f"no file system can be mounted here: {result.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
