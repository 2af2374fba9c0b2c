"""Fixity: how much of the processor's hashing speed `archiver verify` reaches."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import ours
from .comparison import Spread, Target, at_least, ratios
from .held import id_list
from .measure import Contender, Measurement, Rounds, Unsuccessful, in_turn, succeed
from .payloads import write_payloads
from .site import FIRST_ID
from .table import Row
from .tools import archiver
from .workbench import Workbench

_SIZE = 20_000_000
_VERIFY = "archiver verify"
_SUMS = "sha256sum -c"
_DIGESTS = "openssl dgst on all cores"
_ONE = "openssl speed, one core's"
_ALL = "openssl speed, all cores'"
_SHARE = at_least(0.9)
_FASTER = at_least(4)
_USES_INSTRUCTIONS = 0.5
"""A `sha256sum` with at least this share of openssl's speed uses the same instructions."""


@dataclass(frozen=True, slots=True)
class _Speeds:
    """Bytes a second, round by round."""

    verify: Sequence[float]
    reading: Sequence[float]
    """By its own clock, which begins after the interpreter has started."""
    sums: Sequence[float]
    one: Sequence[float]
    all: Sequence[float]

    @property
    def sums_lack_instructions(self) -> bool:
        """Whether the system's `sha256sum` uses no SHA instructions."""
        return median(ratios(self.sums, self.one)) < _USES_INSTRUCTIONS


def fixity(bench: Workbench) -> None:
    """6 GB in memory, read and hashed: compared with openssl speed and sha256sum."""
    count = bench.scaled(300, 4)
    with bench.subdirectory("fixity") as home:
        archive = _archive(home, count)
        rounds = in_turn(_contenders(archive, count), bench.pairs)
    bench.keep("fixity", rounds)
    speeds = _speeds(rounds)
    _show(bench, rounds, speeds)
    bench.table.note(_note(speeds))


def _archive(home: Path, count: int) -> Path:
    """Return an archive of videos that are written where they belong: there is no second copy.

    Its catalogue is rebuilt from the checksum manifest.
    """
    archive, ids = home / "archive", range(FIRST_ID, FIRST_ID + count)
    videos = archive / "data" / "v6" / "deepfake"
    for directory in (videos, archive / ".archiver"):
        directory.mkdir(parents=True)
    write_payloads(videos, ids, _SIZE)
    listing = "openssl dgst -sha256 -r data/v6/deepfake/*.mp4 > manifest-sha256.txt"
    succeed("sh", "-c", f'cd "$0" && {listing}', str(archive))
    succeed(*ours.backup(archive, id_list(home, count)))
    return archive


def _contenders(archive: Path, files: int) -> Sequence[Contender]:
    def check(run: Measurement) -> None:
        if (checked := json.loads(run.out)["checked"]) != files:
            raise Unsuccessful(f"{_VERIFY}: {checked:,} files checked, not {files:,}")

    speed = ("openssl", "speed", "-bytes", "1048576", "-seconds", "1")
    sums = ("sha256sum", "-c", "--quiet", "manifest-sha256.txt")
    each = -(-files // _cores())
    digests = f"find data -type f | xargs -P {_cores()} -n {each} openssl dgst -sha256"
    return (
        Contender(_VERIFY, (archiver(), "verify", "-a", str(archive), "--json"), check=check),
        Contender(_ALL, (*speed, "-multi", str(_cores()), "sha256")),
        Contender(_ONE, (*speed, "sha256")),
        Contender(_DIGESTS, ("sh", "-c", digests), cwd=archive),
        Contender(_SUMS, sums, cwd=archive),
    )


def _speeds(rounds: Rounds) -> _Speeds:
    reports = [json.loads(run.out) for run in rounds.runs[_VERIFY]]
    sizes = [report["bytes"] for report in reports]
    return _Speeds(
        ratios(sizes, rounds.of(_VERIFY)),
        ratios(sizes, [report["seconds"] for report in reports]),
        ratios(sizes, rounds.of(_SUMS)),
        [_openssl_speed(run.out) for run in rounds.runs[_ONE]],
        [_openssl_speed(run.out) for run in rounds.runs[_ALL]],
    )


def _openssl_speed(output: str) -> float:
    """Return the speed in bytes a second; `openssl speed` prints thousands at its end."""
    found = re.findall(r"^sha256\s+([0-9.]+)k", output, re.MULTILINE)
    if not found:
        raise Unsuccessful(f"openssl speed printed no speed: {output[-300:]}")
    return float(found[-1]) * 1000


def _show(bench: Workbench, rounds: Rounds, speeds: _Speeds) -> None:
    table, cores = bench.table, _cores()
    table.add(Row("fixity", _VERIFY, rounds.runs[_VERIFY]))
    table.add(_row(f"{_ALL} ({cores})", speeds.verify, speeds.all, _SHARE))
    table.add(_row("  without the start-up", speeds.reading, speeds.all))
    table.add(
        _row(f"  {cores} times one core's", speeds.verify, [cores * one for one in speeds.one])
    )
    bare = Spread.of(ratios(rounds.of(_DIGESTS), rounds.of(_VERIFY)))
    table.add(Row("fixity", _DIGESTS, rounds.runs[_DIGESTS], bare))
    faster = Spread.of(ratios(speeds.verify, speeds.sums))
    target = _FASTER if speeds.sums_lack_instructions else None
    table.add(Row("fixity", _SUMS, rounds.runs[_SUMS], faster, target))


def _row(
    who: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None
) -> Row:
    return Row("fixity", who, (), Spread.of(ratios(ours, theirs)), target)


def _note(speeds: _Speeds) -> str:
    does = "does not use them" if speeds.sums_lack_instructions else "uses them or is as quick"
    return (
        f"fixity: GB a second: verify {_giga(speeds.verify)}, {_giga(speeds.reading)} once "
        f"started; openssl {_giga(speeds.one)} on one core, {_giga(speeds.all)} on {_cores()}; "
        f"sha256sum {_giga(speeds.sums)}. {_processor()}; the system's sha256sum {does}"
    )


def _giga(speed: Sequence[float]) -> str:
    return f"{median(speed) / 1e9:.2f}"


def _processor() -> str:
    flags = Path("/proc/cpuinfo")
    has = flags.exists() and re.search(r"\bsha_ni\b|\bsha2\b", flags.read_text())
    return f"This processor has {'' if has else 'no '}SHA instructions"


def _cores() -> int:
    return len(os.sched_getaffinity(0))
