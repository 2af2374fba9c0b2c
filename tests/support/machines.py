"""Machines: groups of processes that end all at once, as in a power cut.

Each is a process namespace: once its first process is killed, the kernel kills all the others
(pid_namespaces(7)), whatever sessions and groups they are in.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.running import ended, started, until

_PROC = Path("/proc")
_UNSHARED = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_FIRST = ("sh", "-c", "sleep infinity & wait")
"""The first process: `wait` also reaps what other processes leave behind."""


def require(*programs: str) -> None:
    """Skip the test unless these programs are installed and we may do all that root may."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid():
        pytest.skip("only root may do this")


@dataclass(frozen=True, slots=True)
class Machine:
    """A group of processes; its `first` one is seen from outside under this number."""

    first: int
    holder: asyncio.subprocess.Process

    def command(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs a command on this machine."""
        return ("nsenter", f"--target={self.first}", "--mount", "--pid", "--net", "--", *command)

    def processes(self, *words: str) -> list[int]:
        """Return those with all of these in their arguments or environment, as numbered outside."""
        ours = _namespace(self.first) if self.holder.returncode is None else None
        if ours is None:
            return []
        numbers = (int(path.name) for path in _PROC.iterdir() if path.name.isdecimal())
        return [each for each in numbers if _namespace(each) == ours and {*words} <= _words(each)]

    async def kill(self) -> None:
        """Kill all of its processes, and return when none is left."""
        if self.holder.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.first, signal.SIGKILL)
        await self.holder.wait()


@asynccontextmanager
async def machine(network: Path | None = None) -> AsyncIterator[Machine]:
    """Start a machine, in this network namespace or that of the tests, and kill it afterwards."""
    require("unshare", "nsenter")
    attempt = await ended(*_UNSHARED, "true")
    if attempt.status:
        pytest.skip(f"no process namespace can be made here: {attempt.err.strip()}")
    command = (*(("nsenter", f"--net={network}", "--") if network else ()), *_UNSHARED, *_FIRST)
    async with started(*command, env=dict(os.environ), stderr=asyncio.subprocess.DEVNULL) as holder:
        await until(lambda: _children(holder.pid))
        running = Machine(_children(holder.pid)[0], holder)
        try:
            await until(lambda: running.processes("sleep"))
            yield running
        finally:
            await running.kill()


def _children(process: int) -> list[int]:
    return [*map(int, (_PROC / f"{process}/task/{process}/children").read_text().split())]


def _namespace(process: int) -> str | None:
    try:
        return (_PROC / str(process) / "ns/pid").readlink().name
    except OSError:  # it has ended, or is about to
        return None


def _words(process: int) -> set[str]:
    try:
        files = [_PROC / str(process) / name for name in ("cmdline", "environ")]
        return {word for file in files for word in file.read_text(errors="replace").split("\0")}
    except OSError:
        return set()
