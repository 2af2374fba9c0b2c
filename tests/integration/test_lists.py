"""Lists that come through a pipe, late or never, and lists as other programs write them."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from archiver.emulator.scripts import Script
from tests.support.backups import assert_true_bag, generation
from tests.support.marks import slow
from tests.support.running import COMMAND, Ended, Workspace, ended, started, until

PIPE = asyncio.subprocess.PIPE
MODES = ["backup", "dry run", "json", "strict", "status"]


def ready(workspace: Workspace, *names: str) -> None:
    """Give the emulator these videos."""
    workspace.emulator.scripts |= {generation(name): Script() for name in names}


def command(workspace: Workspace, mode: str, *lists: str) -> tuple[str, ...]:
    """Return the command that reads the lists."""
    match mode:
        case "status":
            return (COMMAND, "status", "-a", str(workspace.archive), *lists)
        case "backup":
            return workspace.command(*lists)
        case _:
            return workspace.command(f"--{mode.replace(' ', '-')}", *lists)


@contextmanager
def written(pipe: Path, text: str) -> Iterator[list[str]]:
    """Write a text to a named pipe, whenever it is opened; note errors of the writer."""
    faults: list[str] = []

    def write() -> None:
        try:
            pipe.write_text(text)
        except OSError as error:
            faults.append(str(error))

    os.mkfifo(pipe)
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield faults
    writer.join(40)
    assert not writer.is_alive()


@asynccontextmanager
async def waiting(
    workspace: Workspace, mode: str, *lists: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command that waits for its standard input, or for a pipe that nobody writes to."""
    process = started(
        *command(workspace, mode, *lists),
        env=workspace.env(),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    async with process as run:
        await until(lambda: handles(run.pid, signal.SIGTERM))
        yield run


def handles(pid: int, number: int) -> bool:
    """Return whether a process handles a signal, rather than dying of it."""
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


async def end(process: asyncio.subprocess.Process) -> Ended:
    """Wait for the end of a process, without closing its standard input before."""
    assert process.stdout
    assert process.stderr
    async with asyncio.timeout(40):
        out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
        await process.wait()
    return Ended(process.returncode or 0, out.decode(), err.decode())


# --- Pipes


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=slow) for mode in MODES])
async def test_a_named_pipe_is_read_once(workspace: Workspace, mode: str) -> None:
    """Its writer is never cut off, and all that it writes is read, in every mode."""
    ready(workspace, "1")
    await workspace.backup(workspace.manifest("1"))
    pipe = workspace.home / "pipe"
    with written(pipe, "1\n" * 50_000) as faults:
        run = await ended(*command(workspace, mode, str(pipe)), env=workspace.env())
    assert not faults
    assert run.status == 0, run.err
    if mode == "status":
        assert run.out.count("v6/deepfake/1  held: ") == 50_000


@slow
async def test_a_substituted_process_is_read_once(workspace: Workspace) -> None:
    """What a shell writes `<(…)` for is a pipe like any other."""
    ready(workspace, "1", "2")
    script = f"{' '.join(workspace.command())} <(seq 1 2)"
    assert await ended("bash", "-c", script, env=workspace.env()) == Ended(0, "", "")
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


@pytest.mark.parametrize("mode", ["dry run", pytest.param("backup", marks=slow)])
async def test_a_pipe_in_a_directory_is_named_and_skipped(
    workspace: Workspace, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe or a socket beside lists may have no writer: it holds up nothing, and is named."""
    ready(workspace, "1")
    workspace.manifest("1", name="lists/a.txt")
    lists = workspace.home / "lists"
    os.mkfifo(lists / "b.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(lists)  # the path of a socket must be short
        listener.bind("c.txt")
        run = await ended(*command(workspace, mode, str(lists)), env=workspace.env())
    assert run.status == 3
    for name in ("b.txt", "c.txt"):
        assert f"{lists / name}: no regular file: a pipe is read only if it is named" in run.err
    if mode == "backup":
        assert workspace.held() == ["v6/deepfake/1.mp4"]


@slow
async def test_a_damaged_catalogue_and_a_pipe(workspace: Workspace) -> None:
    """A pipe that was not read yet is read by the run with the catalogue that is rebuilt."""
    ready(workspace, "1", "2")
    await workspace.backup(workspace.manifest("1"))
    (workspace.archive / ".archiver/catalogue.sqlite").write_bytes(b"no database" * 1000)
    pipe = workspace.home / "pipe"
    with written(pipe, "1\n2\n") as faults:
        run = await workspace.backup(str(pipe))
    assert not faults
    assert run.status == 0, run.err
    assert list(workspace.archive.glob(".archiver/*.damaged-*"))
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


# --- Lists that do not come


SIGNALS = [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=slow)]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize("source", ["-", pytest.param("pipe", marks=slow)])
@pytest.mark.parametrize("mode", ["backup", pytest.param("dry run", marks=slow)])
async def test_a_signal_ends_the_wait_for_a_list(
    workspace: Workspace, mode: str, source: str, number: int, status: int
) -> None:
    """It is reported in one line, and the archive is as usable as before."""
    ready(workspace, "1")
    names = workspace.manifest("1")
    os.mkfifo(workspace.home / "pipe")
    source = source if source == "-" else str(workspace.home / source)
    async with waiting(workspace, mode, names, source) as run:
        sent = time.monotonic()
        run.send_signal(number)
        result = await end(run)
        assert time.monotonic() - sent < 40
    assert result == Ended(status, "", f"archiver: interrupted by {signal.Signals(number).name}\n")
    if mode == "backup":
        shown = await workspace.run("status", "--json", "-a", str(workspace.archive))
        (last,) = json.loads(shown.out)["last_runs"]
        assert (last["exit_status"], last["ended"] is None) == (status, False)
        assert not list(workspace.archive.glob(".archiver/*-wal"))
    assert await workspace.backup(names) == Ended(0, "", "")


@slow
async def test_a_signal_that_was_ignored_ends_the_wait_too(workspace: Workspace) -> None:
    """A job in the background of a script, which ignores SIGINT, ends like any other."""
    script = f"trap '' INT; exec {' '.join(workspace.command('-'))}"
    async with started(
        "sh", "-c", script, env=workspace.env(), stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as run:
        await until(lambda: handles(run.pid, signal.SIGTERM))
        run.send_signal(signal.SIGINT)
        assert await end(run) == Ended(130, "", "archiver: interrupted by SIGINT\n")


@pytest.mark.parametrize("source", ["-", pytest.param("pipe", marks=slow)])
async def test_a_time_limit_ends_the_wait_for_a_list(workspace: Workspace, source: str) -> None:
    """The list is named, for nobody knows what it would have listed; others are skipped."""
    ready(workspace, "1")
    os.mkfifo(workspace.home / "pipe")
    path = source if source == "-" else str(workspace.home / source)
    before = time.monotonic()
    arguments = ("--max-time", "1s", workspace.manifest("1"), path)
    async with waiting(workspace, "backup", *arguments) as run:
        result = await end(run)
    assert 1 <= time.monotonic() - before < 40
    name = "<stdin>" if source == "-" else path
    limit = "the time limit was reached (--max-time)"
    assert (result.status, result.out) == (3, "")
    assert result.err.splitlines()[1:] == [
        f"skipped 1, retried on the next run: {limit}",
        f"{name}: not read to its end: {limit}",
    ]
    assert_true_bag(workspace.archive)
    assert await workspace.backup(workspace.manifest("1")) == Ended(0, "", "")


@slow
async def test_a_time_limit_ends_an_endless_list(workspace: Workspace) -> None:
    """A list without end is no reason to go on for ever, whatever comes."""
    command_ = " ".join(workspace.command("--dry-run", "--max-time", "1s", "-"))
    run = await ended("sh", "-c", f"yes 1 | {command_}", env=workspace.env())
    assert (run.status, run.out) == (3, "would fetch v6/deepfake/1\n")
    assert "<stdin>: not read to its end: the time limit was reached" in run.err


@slow
async def test_the_wait_for_a_list_counts_for_the_time_limit(workspace: Workspace) -> None:
    """What is left of the limit is for the downloads."""
    ready(workspace, *map(str, range(100)))
    arguments = ("--max-time", "10s", "--api-rate", "10/s", "-")
    before = time.monotonic()
    async with waiting(workspace, "backup", *arguments) as run:
        assert run.stdin
        await asyncio.sleep(2)
        run.stdin.write("".join(f"{number}\n" for number in range(100)).encode())
        run.stdin.close()
        result = await end(run)
    assert result == Ended(0, "", "")
    assert 10 <= time.monotonic() - before < 60
    assert 5 < len(workspace.held()) < 95


async def test_a_list_that_comes_slowly_is_read(workspace: Workspace) -> None:
    """A list is read to its end, however many pauses its writer makes."""
    ready(workspace, "1", "2", "3")
    async with waiting(workspace, "backup", "-") as run:
        assert run.stdin
        for part in (b"1\n", b"2", b"\n", b"3"):
            run.stdin.write(part)
            await run.stdin.drain()
            await asyncio.sleep(0.3)
        run.stdin.close()
        assert await end(run) == Ended(0, "", "")
    assert len(workspace.held()) == 3


# --- A closed standard input


@pytest.mark.parametrize("mode", ["backup", *(pytest.param(m, marks=slow) for m in MODES[1:])])
@pytest.mark.parametrize(
    ("how", "reason"),
    [("<&-", "standard input is closed"), pytest.param("0>/dev/null", "Bad file", marks=slow)],
)
async def test_a_closed_standard_input(
    workspace: Workspace, mode: str, how: str, reason: str
) -> None:
    """`-` is one line and status 2 then, in every mode."""
    if mode == "status":
        ready(workspace, "1")
        await workspace.backup(workspace.manifest("1"))
    script = f"{' '.join(command(workspace, mode, '-'))} {how}"
    run = await ended("sh", "-c", script, env=workspace.env())
    assert run.status == 2
    assert run.err.startswith("archiver: <stdin>: cannot be read: ")
    assert reason in run.err
    assert run.err.count("\n") == 1
    if mode == "json":
        assert json.loads(run.out)["exit_status"] == 2
    elif mode != "status" and "closed" in reason:
        assert not workspace.archive.exists()


# --- Lists as other programs write them


@slow
@pytest.mark.parametrize("name", ["ids.txt", "ids.csv"])
async def test_a_list_from_excel_for_mac(workspace: Workspace, name: str) -> None:
    """Lines that end in CR alone are lines: nothing is swallowed by a comment or a header."""
    ready(workspace, "1", "2")
    path = workspace.home / name
    path.write_bytes({"ids.txt": b"# mine\r1\r2\r", "ids.csv": b"id;name\r1;a\r2;b"}[name])
    assert await workspace.backup(str(path)) == Ended(0, "", "")
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


@slow
async def test_no_list_is_passed_over_in_silence(workspace: Workspace) -> None:
    """A list of which nothing is read is named, and --strict refuses it."""
    path = workspace.home / "ids.txt"
    path.write_text("# mine\u20281\u20282")
    run = await workspace.backup(str(path))
    assert run.status == 3
    assert f"{path}:1: '# mine" in run.err
    run = await workspace.backup("--strict", str(path))
    assert run.status == 2
    assert "nothing was fetched, because of --strict" in run.err


@slow
async def test_saved_documents_are_lists(workspace: Workspace) -> None:
    """What the API has returned, and what it has sent to a webhook, is archived."""
    ready(workspace, "1", "video/2", "3", "4", "5")
    lists = workspace.home / "lists"
    lists.mkdir()
    fetch = "https://modelslab.com/api/v6/video/fetch/2"
    created = {"status": "processing", "eta": 5, "id": 2, "fetch_result": fetch, "output": []}
    link = workspace.emulator.link(generation("3"))
    webhook = {"status": "success", "id": 3, "output": [link], "track_id": 9}
    page = {"status": "success", "type": "video", "data": [{"id": 4, "output": []}, {"id": 5}]}
    (lists / "fetched.json").write_text(json.dumps({"status": "success", "id": 1, "output": []}))
    (lists / "hooks.jsonl").write_text(f"{json.dumps(created)}\n{json.dumps(webhook)}\n")
    (lists / "page.json").write_text(json.dumps(page, indent=4))
    assert await workspace.backup(str(lists)) == Ended(0, "", "")
    held = [*(f"v6/deepfake/{id_}.mp4" for id_ in "1345"), "v6/video/2.mp4"]
    assert workspace.held() == held
