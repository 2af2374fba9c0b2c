"""Runs the installed `archiver` command as a person or cron would, to an end in any case."""

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
"""What lets the links lead to the emulator, whatever the disk has left."""
QUICK = ("--retries", "0", "--api-rate", "1000/s", "--wait", "0", "--timeout", "5s")
"""Options with which nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit status and what it said."""

    status: int
    out: str
    err: str


@asynccontextmanager
async def started(
    *command: str, env: dict[str, str], **streams: object
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command; whatever happens, it and its children have ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, start_new_session=True, **streams
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def ended(
    *command: str, env: dict[str, str] | None = None, stdin: bytes = b"", within: float = 30
) -> Ended:
    """Run a command to its end, which must come within so many seconds."""
    pipe = asyncio.subprocess.PIPE
    env = {"PATH": os.environ["PATH"]} if env is None else env
    async with started(*command, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def until(condition: Callable[[], object], within: float = 20) -> None:
    """Wait until something is so, which must be within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.01)


@dataclass
class Workspace:
    """Where the command is run: a home, an archive, manifests, and an emulated ModelsLab."""

    home: Path
    emulator: Emulator
    key: str | None = KEY

    @property
    def archive(self) -> Path:
        """Where `backup` puts the videos."""
        return self.home / "archive"

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment: clean but for the key."""
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
        return await ended(*self.command(*args), env=self.env(**env), stdin=_encoded(stdin))

    def held(self) -> list[str]:
        """Return the names of the videos in the archive."""
        found = (self.archive / "data").rglob("*.mp4")
        return sorted(path.relative_to(self.archive / "data").as_posix() for path in found)


def _encoded(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


async def assert_valid_bag(archive: Path) -> None:
    """The archive satisfies `sha256sum` and a BagIt validator that is not ours."""
    checked = await ended(
        "sh", "-c", f"cd '{archive}' && sha256sum -c --strict --quiet manifest-sha256.txt"
    )
    assert checked.status == 0, checked
    validator = (sys.executable, "-W", "ignore", "-m", "bagit", "--validate", str(archive))
    validated = await ended(*validator)
    assert validated.status == 0, validated


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Have a file system of its own at `place`."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "archiver-test", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
