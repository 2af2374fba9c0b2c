"""One process, measured: its wall time, its CPU seconds and its peak resident memory.

What a process has resident counts towards the peak of each child, until the child becomes another
program. So this process stays small: it holds no long lists, and children set up what needs memory.
No peak can be below what this process takes.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from .tools import search_path

if TYPE_CHECKING:
    from resource import struct_rusage

_SHOWN = 4000
_OUTPUT = 1 << 20


class Unsuccessful(Exception):
    """A command failed or did not do its work: there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run took; `cpu` is user and system time, with that of its children."""

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
    """A command and its name; neither `prepare`, before each run, nor `check` is measured."""

    name: str
    command: Sequence[str]
    prepare: Callable[[], object] = _nothing
    check: Callable[[Measurement], object] = _nothing
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rounds:
    """The runs of each contender, in the order of the rounds."""

    runs: dict[str, list[Measurement]] = field(default_factory=dict)

    def of(self, name: str, quantity: str = "wall") -> list[float]:
        """Return one quantity of each run of a contender."""
        return [getattr(run, quantity) for run in self.runs[name]]

    def as_json(self) -> dict[str, list[dict[str, float]]]:
        """Return everything that was measured."""
        return {name: [_numbers(run) for run in runs] for name, runs in self.runs.items()}


def in_turn(contenders: Sequence[Contender], rounds: int) -> Rounds:
    """Run all of them in turn, round after round; the first round is a warm-up, not counted.

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
        output = out.read(_OUTPUT).decode(errors="replace")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, output)


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
        env={**_clean_environment(), **contender.env},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        process_group=0,  # its children can be killed with it
    )


def _clean_environment() -> dict[str, str]:
    """Return an environment without proxies or settings, and with a made-up key."""
    return {"PATH": search_path(), "HOME": os.devnull, "MODELSLAB_API_KEY": "a-key-for-benchmarks"}


def _usage(process: "subprocess.Popen[bytes]") -> "struct_rusage":
    """Wait for a process; if the wait is interrupted, kill it."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _failure(contender: Contender, status: int, output: str) -> str:
    shown = " ".join(contender.command)[:300]
    return f"{contender.name} ended with {status}: {shown}\n{output}"


def _tail(file: BinaryIO) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _SHOWN))
    return file.read().decode(errors="replace")


def _numbers(run: Measurement) -> dict[str, float]:
    return {name: value for name, value in asdict(run).items() if name != "out"}
