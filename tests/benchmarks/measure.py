"""One process, measured: its wall time, its CPU seconds and its peak resident memory.

What a process had resident counts towards the peak of each child it starts, up to the moment that
the child becomes another program. So this process keeps small: it holds no long lists, and what
needs memory to set up is set up by children. No peak can read below what this process takes.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from .tools import search_path

if TYPE_CHECKING:
    from resource import struct_rusage

_TOLD = 4000
_OUTPUT = 1 << 20


class Unsuccessful(Exception):
    """A command failed, or has not done its work: there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run took; `cpu` is user and system time, of its children too."""

    wall: float
    cpu: float
    peak: float
    """In MB, 1,000,000 bytes each."""
    out: str = ""
    """What it wrote to standard output."""

    def __add__(self, other: "Measurement") -> "Measurement":
        return Measurement(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Contender:
    """A command under a name; what it needs before each run is not measured, nor is the check."""

    name: str
    command: Sequence[str]
    prepare: Callable[[], object] = _nothing
    check: Callable[[Measurement], object] = _nothing
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Rounds:
    """The runs of each contender, in the order of the rounds."""

    runs: dict[str, list[Measurement]] = field(default_factory=dict)

    def of(self, name: str, quantity: str = "wall") -> list[float]:
        """Return one quantity of each run of a contender."""
        return [getattr(run, quantity) for run in self.runs[name]]

    def as_json(self) -> dict[str, list[dict[str, float]]]:
        """Return all that was measured."""
        return {name: [_numbers(run) for run in runs] for name, runs in self.runs.items()}


def in_turn(contenders: Sequence[Contender], rounds: int) -> Rounds:
    """Run all of them one after the other, round after round; a first round is not counted.

    Raises:
        Unsuccessful: if one fails.
    """
    taken = Rounds({contender.name: [] for contender in contenders})
    for number in range(rounds + 1):
        for contender in contenders:
            contender.prepare()
            run = measured(contender)
            contender.check(run)
            if number:
                taken.runs[contender.name].append(run)
    return taken


def measured(contender: Contender) -> Measurement:
    """Run a command to its end.

    Raises:
        Unsuccessful: if its exit status is not 0.
    """
    with TemporaryFile() as out, TemporaryFile() as err:
        start = time.monotonic()
        process = _started(contender, out, err)
        usage = _usage(process)
        wall = time.monotonic() - start
        if process.returncode:
            raise Unsuccessful(_failure(contender, process.returncode, _tail(err) or _tail(out)))
        out.seek(0)
        said = out.read(_OUTPUT).decode(errors="replace")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, said)


def succeed(*command: str) -> str:
    """Run a command that prepares something; return what it wrote.

    Raises:
        Unsuccessful: if it fails.
    """
    return measured(Contender(command[0], command)).out


def _started(contender: Contender, out: BinaryIO, err: BinaryIO) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        contender.command,
        cwd=contender.cwd,
        env=_clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        process_group=0,  # what it starts itself is ended with it
    )


def _clean_environment() -> dict[str, str]:
    """No proxy, no settings of one's own; the key is anybody's."""
    return {"PATH": search_path(), "HOME": os.devnull, "MODELSLAB_API_KEY": "a-key-for-benchmarks"}


def _usage(process: "subprocess.Popen[bytes]") -> "struct_rusage":
    """Wait for a process; it has ended even if the waiting is interrupted."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _failure(contender: Contender, status: int, said: str) -> str:
    shown = " ".join(contender.command)[:300]
    return f"{contender.name} ended with {status}: {shown}\n{said}"


def _tail(file: BinaryIO) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TOLD))
    return file.read().decode(errors="replace")


def _numbers(run: Measurement) -> dict[str, float]:
    return {name: value for name, value in asdict(run).items() if name != "out"}
