"""What is recorded as held is durable by then: the order of the real system calls."""

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.staging import Staging
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from tests.support.archives import kept, outputs
from tests.support.backups import assert_true_bag, generation
from tests.support.marks import slow
from tests.support.running import Workspace, ended

MP4 = (Path(__file__).parents[1] / "videos" / "faststart.mp4").read_bytes()
TRACED = (
    "openat,?open,write,writev,pwrite64,?pwritev,fsync,fdatasync,?rename,renameat,renameat2,"
    "ftruncate,truncate,?unlink,unlinkat,?mkdir,mkdirat"
)
STRACE = ("strace", "-f", "-y", "-s", "5000", "-e", f"trace={TRACED}", "-e", "signal=none")
WRITING = re.compile("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
JOURNAL = ".archiver/settling.json"
LINES = "manifest-sha256.txt"
WAL = ".archiver/catalogue.sqlite-wal"


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded, and between which lines of the log it happened."""

    name: str
    args: str
    """As they were printed."""
    began: int
    ended: int

    def after(self, other: "Call") -> bool:
        """Whether it began after the other's end."""
        return self.began > other.ended

    @property
    def path(self) -> str:
        """The file of a descriptor, or else the first path among the arguments."""
        match = re.match(r"[0-9]+<([^>]*)>", self.args) or re.search(r'"([^"]*)"', self.args)
        return match[1] if match else ""

    @property
    def paths(self) -> list[str]:
        """The paths of a rename: from, to."""
        return re.findall(r'"([^"]*)"', self.args)


class Log:
    """The log of `strace -f -y` of a run in an archive; paths are relative to the archive."""

    def __init__(self, text: str, archive: str) -> None:
        self.calls = list(_calls(text.replace(f"{archive}/", "").replace(f"{archive}>", ".>")))

    def of(self, path: str, *names: str) -> list[Call]:
        """Return the calls of these kinds on a file."""
        return [call for call in self.calls if call.name in names and call.path == path]

    def writes(self, path: str) -> list[Call]:
        """Return the calls that write to a file."""
        return self.of(path, "write", "writev", "pwrite64", "pwritev")

    def syncs(self, path: str) -> list[Call]:
        """Return the calls that make a file or a directory durable."""
        return self.of(path, "fsync", "fdatasync")

    def emptyings(self, path: str) -> list[Call]:
        """Return the calls after which a file is empty."""
        cut = [call for call in self.of(path, "truncate", "ftruncate") if ", 0" in call.args]
        return cut + [call for call in self.of(path, "openat", "open") if "O_TRUNC" in call.args]

    def renames(self) -> list[Call]:
        """Return all renames."""
        return [call for call in self.calls if call.name.startswith("rename")]

    def placings(self) -> list[Call]:
        """Return the renames into `data/`."""
        return [call for call in self.renames() if call.paths[1].startswith("data/")]

    def names_before(self, placing: Call) -> set[str]:
        """Return the names of a file before it was placed."""
        names = {placing.paths[0]}
        for rename in reversed(self.renames()):
            if placing.after(rename) and rename.paths[1] in names:
                names.add(rename.paths[0])
        return names


def _calls(text: str) -> Iterable[Call]:
    begun: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.splitlines()):
        thread, _, rest = line.partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>"), number
            continue
        began = number
        if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
            before, began = begun.pop(thread)
            rest = before + rest[resumed.end() :]
        if match := re.fullmatch(r"(\w+)\((.*)\) += (\d+)(?:<.*>)?", rest):
            yield Call(match[1], match[2], began, number)


def between(first: Call, calls: Iterable[Call], last: Call) -> list[Call]:
    """Return the calls that lie wholly between two others."""
    return [call for call in calls if call.after(first) and last.after(call)]


def line_of(log: Log, path: str) -> Call:
    """Return the write of a file's checksum line."""
    (line,) = [call for call in log.writes(LINES) if f"  {path}\\n" in call.args]
    return line


def commit_of(log: Log, path: str) -> tuple[Call, Call]:
    """Return the first write of a file's path into the catalogue, and the commit after it."""
    entry = next(call for call in log.writes(WAL) if path in call.args)
    commits = [call for call in log.syncs(WAL) if call.after(entry)]
    assert commits, f"the catalogue never commits {path}"
    return entry, commits[0]


def assert_synced_before_it_is_placed(log: Log, placing: Call) -> None:
    """A file's bytes are durable, all of them, before its name is one under `data/`.

    Nor does the journal name a file whose bytes are not: the next run would place it.
    """
    named = next((call for call in log.writes(JOURNAL) if placing.paths[0] in call.args), placing)
    for step, done in ((placing, "placed"), (named, "journalled")):
        syncs = syncs_of_all_bytes(log, placing)
        assert any(step.after(call) for call in syncs), f"{done} before its bytes are durable"


def syncs_of_all_bytes(log: Log, placing: Call) -> list[Call]:
    """Return the calls that make all of a placed file durable.

    If nothing was written to it, an earlier run wrote it, and may not have synced it.
    """
    names = log.names_before(placing) | {placing.paths[1]}
    written = [call for name in names for call in log.writes(name)]
    syncs = [call for name in names for call in log.syncs(name)]
    return [sync for sync in syncs if all(sync.after(call) for call in written)]


def assert_journal_before_it_is_placed(log: Log, placing: Call) -> None:
    """The journal that names a file is durable, and not empty, when the file is placed."""
    written = [call for call in log.writes(JOURNAL) if placing.after(call)]
    assert written, "placed without a journal"
    assert all(path in written[-1].args for path in placing.paths), "not in the journal"
    assert between(written[-1], log.syncs(JOURNAL), placing), "the journal is not durable"
    assert not between(written[-1], log.emptyings(JOURNAL), placing), "the journal is empty"


def assert_directories_before_its_line(log: Log, placing: Call) -> None:
    """The new name, and those of new directories above it, are durable before its line."""
    target = Path(placing.paths[1])
    line = line_of(log, placing.paths[1])
    made = {call.path: call for call in log.calls if call.name in ("mkdir", "mkdirat")}
    for path in (target, *target.parents):
        if named := placing if path == target else made.get(str(path)):
            syncs = log.syncs(str(path.parent))
            assert between(named, syncs, line), "the directory is not durable before the line"


def assert_line_before_the_commit(log: Log, placing: Call) -> None:
    """The checksum line is durable before the catalogue knows of the file."""
    line = line_of(log, placing.paths[1])
    entry, _ = commit_of(log, placing.paths[1])
    assert between(line, log.syncs(LINES), entry), "in the catalogue before the line is durable"


def assert_commit_before_the_journal_is_emptied(log: Log, placing: Call) -> None:
    """The journal stays until the catalogue has committed what it names."""
    _, commit = commit_of(log, placing.paths[1])
    emptied = [call for call in log.emptyings(JOURNAL) if call.after(placing)]
    assert emptied, "the journal is never emptied"
    assert all(call.after(commit) for call in emptied), "the journal is emptied too early"


def assert_nothing_written_in_place(log: Log) -> None:
    """No file under `data/` is ever opened for writing."""
    opened = [call for call in log.calls if call.name in ("openat", "open")]
    written = [c for c in opened if c.path.startswith("data/") and WRITING.search(c.args)]
    assert not written, "written in place"


EACH: list[Callable[[Log, Call], None]] = [
    assert_synced_before_it_is_placed,
    assert_journal_before_it_is_placed,
    assert_directories_before_its_line,
    assert_line_before_the_commit,
    assert_commit_before_the_journal_is_emptied,
]


def assert_durable(log: Log) -> None:
    """The whole order holds for every file that was placed."""
    for placing in log.placings():
        for holds in EACH:
            holds(log, placing)
    assert_nothing_written_in_place(log)


# --- The real system calls


async def traced(workspace: Workspace, *args: str) -> Log:
    """Back up under `strace`, successfully; return its log."""
    log = workspace.home / "strace.log"
    result = await ended(*STRACE, "-o", str(log), *workspace.command(*args), env=workspace.env())
    if result.status and "ptrace" in result.err.lower():
        pytest.skip(f"nothing can be traced here: {result.err.strip()}")
    assert result.status == 0, result.err
    return Log(log.read_text(errors="replace"), str(workspace.archive))


needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@slow
@needs_strace
@pytest.mark.parametrize("downloads", ["1", "8"])
async def test_the_order_of_the_real_system_calls(
    tmp_path: Path, emulator: Emulator, downloads: str
) -> None:
    """Payload, journal, names, checksum line, commit: each is durable before the next begins."""
    workspace = Workspace(tmp_path, emulator)
    two = Script(outputs=(OutputScript(size=700_000), OutputScript(size=30_000)))
    large = Script(outputs=(OutputScript(size=6_000_000),))
    first = {"1": Script(), "2": two, "realtime/3": Script()}
    second = {"4": large, "5": Script(), "v7/video-fusion/6": Script()}
    for scripts, files in ((first, 7), (second, 6)):
        emulator.scripts |= {generation(name): script for name, script in scripts.items()}
        log = await traced(workspace, "--downloads", downloads, workspace.manifest(*scripts))
        assert len(log.placings()) == files
        assert_durable(log)
    assert_true_bag(workspace.archive)


def origins(log: Log) -> dict[str, bool]:
    """Return whether each file that was placed was written to in the same run, by its target."""
    return {
        placing.paths[1].removeprefix("data/v6/deepfake/"): any(
            log.writes(name) for name in log.names_before(placing)
        )
        for placing in log.placings()
    }


@slow
@needs_strace
async def test_a_resumed_partial_file_is_durable_too(tmp_path: Path, emulator: Emulator) -> None:
    """A payload staged by an earlier run, and a partial file that is resumed, are synced."""
    workspace, dead = Workspace(tmp_path, emulator), LinkScript(fault="dead", times=1)
    cut = LinkScript(fault="cut", times=2, seconds=0.3)
    emulator.scripts |= {
        generation("1"): Script(outputs=(OutputScript(), OutputScript(primary=dead))),
        generation("2"): Script(outputs=(OutputScript(size=3_000_000, primary=cut),)),
    }
    manifest = workspace.manifest("1", "2")
    assert (await workspace.backup(manifest)).status == 3
    (part,) = workspace.archive.glob(".archiver/incoming/*/*.part")
    before = part.stat().st_size
    log = await traced(workspace, manifest)
    assert origins(log) == {
        "1-1.mp4": False, "1-2.mp4": True, "1.json": True, "2.mp4": True, "2.json": True,
    }  # fmt: skip
    ranges = [seen.headers.get("Range") for seen in emulator.requests]
    assert f"bytes={before}-" in ranges
    assert_durable(log)
    assert_true_bag(workspace.archive)


@slow
@needs_strace
async def test_what_a_killed_run_staged_is_recovered_durably(
    tmp_path: Path, emulator: Emulator
) -> None:
    """A generation that was staged and not committed is synced first, with its response."""
    workspace = Workspace(tmp_path, emulator)
    emulator.scripts[generation("1")] = Script()
    assert (await workspace.backup(workspace.manifest("1"))).status == 0
    url = "https://a.example/263.mp4"
    document, (output,) = {"status": "success", "output": [url]}, outputs(url)
    staging = Staging(Layout(workspace.archive), generation("263"), document)
    (workspace.archive / ".archiver/incoming/v6~deepfake~263").mkdir()
    kept(staging, output, staging.resume(output), MP4)
    log = await traced(workspace, workspace.manifest("1"))
    assert origins(log) == {"263.mp4": False, "263.json": False}
    assert_durable(log)
    assert_true_bag(workspace.archive)


# --- The assertions themselves

RIGHT = r"""
7 openat(AT_FDCWD</>, "/a/.archiver/incoming/x/1.part", O_RDWR|O_CREAT|O_TRUNC, 0666) = 5</a/.archiver/incoming/x/1.part>
7 write(5</a/.archiver/incoming/x/1.part>, "\0\0\0 ftyp"..., 7000) = 7000
7 write(5</a/.archiver/incoming/x/1.part>, "the rest"..., 70) = 70
8 fsync(5</a/.archiver/incoming/x/1.part> <unfinished ...>
7 unlink("/a/.archiver/incoming/x/2.part.json") = -1 ENOENT (No such file or directory)
8 <... fsync resumed>)              = 0
8 rename("/a/.archiver/incoming/x/1.part", "/a/.archiver/incoming/x/1.mp4") = 0
8 openat(AT_FDCWD</>, "/a/.archiver/settling.json", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 5</a/.archiver/settling.json>
8 write(5</a/.archiver/settling.json>, "/a/.archiver/incoming/x/1.mp4 data/v6/1.mp4", 90) = 90
8 fsync(5</a/.archiver/settling.json>) = 0
8 mkdir("/a/data/v6", 0777) = 0
8 rename("/a/.archiver/incoming/x/1.mp4", "/a/data/v6/1.mp4") = 0
8 fsync(5</a/data/v6>) = 0
8 fsync(5</a/data>) = 0
8 write(5</a/manifest-sha256.txt>, "16fc7c  data/v6/1.mp4\n", 80) = 80
8 fsync(5</a/manifest-sha256.txt>) = 0
8 pwrite64(6</a/.archiver/catalogue.sqlite-wal>, "\r\0\0data/v6/1.mp4\0", 4096, 56) = 4096
8 fdatasync(6</a/.archiver/catalogue.sqlite-wal>) = 0
8 truncate("/a/.archiver/settling.json", 0) = 0
""".strip()  # noqa: E501 (as strace writes it)


def without(*parts: str) -> str:
    """Return the right log without the lines that have one of these parts."""
    return "\n".join(line for line in RIGHT.splitlines() if not any(p in line for p in parts))


def moved(part: str, before: str) -> str:
    """Return the right log with the one line that has a part moved to just before another."""
    lines = RIGHT.splitlines()
    (moved,) = [line for line in lines if part in line]
    lines.remove(moved)
    lines.insert(next(n for n, line in enumerate(lines) if before in line), moved)
    return "\n".join(lines)


FOUND = "\n".join(
    [
        "8 fsync(5</a/.archiver/incoming/x/1.mp4>) = 0",
        *(line for line in RIGHT.splitlines() if ".part" not in line and "8 <..." not in line),
    ]
)
"""The same file, staged whole by an earlier run."""


def test_a_file_of_an_earlier_run_needs_no_write() -> None:
    """A file to which nothing was written is right if it was synced."""
    log = Log(FOUND, "/a")
    assert_durable(log)
    assert origins(log) == {"data/v6/1.mp4": False}


def test_the_right_order_passes() -> None:
    """A correct log satisfies all assertions, and its calls are read correctly."""
    log = Log(RIGHT, "/a")
    assert_durable(log)
    assert [call.paths[1] for call in log.placings()] == ["data/v6/1.mp4"]
    (sync,) = log.syncs(".archiver/incoming/x/1.part")
    assert sync.ended - sync.began == 2
    assert not any("ENOENT" in call.args or call.name == "unlink" for call in log.calls)
    assert all(b.ended > a.ended for a, b in pairwise(log.calls))


DOCTORED = {
    "never synced": (without("fsync(5</a/.archiver/incoming", "8 <..."), "its bytes are durable"),
    "written after the sync": (moved("the rest", "8 openat"), "its bytes are durable"),
    "written and never synced again": (
        RIGHT.replace("8 mkdir", '9 write(5</a/.archiver/incoming/x/1.mp4>, "x", 1) = 1\n8 mkdir'),
        "placed before its bytes are durable",
    ),
    "written when it is placed": (
        RIGHT + '\n9 write(5</a/data/v6/1.mp4>, "x", 1) = 1', "placed before its bytes are durable",
    ),
    "synced while it is placed": (
        moved("1.mp4\", \"/a/data/v6/1.mp4", "8 <... fsync"), "its bytes are durable",
    ),
    "synced after the journal": (
        without("8 fsync(5</a/.archiver/incoming", "8 <...").replace(
            "8 mkdir", "8 fsync(5</a/.archiver/incoming/x/1.mp4>) = 0\n8 mkdir"
        ),
        "journalled before its bytes are durable",
    ),
    "found and never synced": (
        "\n".join(FOUND.splitlines()[1:]), "placed before its bytes are durable",
    ),
    "found and synced late": (
        "\n".join([*FOUND.splitlines()[1:], FOUND.splitlines()[0]]),
        "placed before its bytes are durable",
    ),
    "no journal": (without("8 write(5</a/.archiver/settling"), "without a journal"),
    "another file's journal": (RIGHT.replace("1.mp4 data/v6/1.mp4", "2.mp4"), "not in the journal"),
    "journal not synced": (without("fsync(5</a/.archiver/settling"), "journal is not durable"),
    "journal synced late": (
        moved("8 fsync(5</a/.archiver/settling", "8 fsync(5</a/data/v6>"), "journal is not durable",
    ),
    "journal emptied at once": (moved("8 truncate", "8 mkdir"), "journal is empty"),
    "directory not synced": (without("fsync(5</a/data/v6>"), "directory is not durable"),
    "new directory's parent not synced": (without("fsync(5</a/data>"), "directory is not durable"),
    "directory synced before": (
        moved("fsync(5</a/data/v6>", "\"/a/data/v6/1.mp4\""), "directory is not durable",
    ),
    "directory synced late": (
        moved("8 write(5</a/manifest", "8 fsync(5</a/data/v6>"), "directory is not durable",
    ),
    "line not synced": (without("fsync(5</a/manifest"), "before the line is durable"),
    "catalogue before the line": (moved("8 pwrite64", "8 fsync(5</a/man"), "line is durable"),
    "no commit": (without("fdatasync"), "never commits"),
    "journal never emptied": (without("8 truncate"), "never emptied"),
    "journal emptied early": (moved("8 truncate", "8 fdatasync"), "emptied too early"),
    "journal emptied by opening": (
        without("8 truncate").replace(
            "8 fdatasync", '8 openat("/a/.archiver/settling.json", O_TRUNC) = 7\n8 fdatasync'
        ),
        "emptied too early",
    ),
    "written in place": (
        RIGHT + '\n8 openat(AT_FDCWD</>, "/a/data/v6/1.mp4", O_RDWR) = 5</a/data/v6/1.mp4>',
        "written in place",
    ),
}  # fmt: skip
"""Logs in a wrong order, and the message for each."""


@pytest.mark.parametrize("how", DOCTORED)
def test_a_wrong_order_is_noticed(how: str) -> None:
    """Each assertion fails on a log that breaks it."""
    text, message = DOCTORED[how]
    with pytest.raises(AssertionError, match=message):
        assert_durable(Log(text, "/a"))
