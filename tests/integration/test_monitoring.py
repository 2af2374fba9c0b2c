"""A run that nobody watches is reported: in a log file, in metrics, and by pings."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from tests.support.backups import generation
from tests.support.marks import slow
from tests.support.running import COMMAND, Workspace, ended

DEAD = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))


@pytest.fixture
def workspace(tmp_path: Path, emulator: Emulator) -> Workspace:
    emulator.scripts |= {generation("1"): Script(), generation("2"): DEAD}
    return Workspace(tmp_path, emulator)


@asynccontextmanager
async def monitoring_service(status: int = 200) -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """A server that is pinged: its URL, and the pings it received, path and body."""
    pings: list[tuple[str, str]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        pings.append((request.path, await request.text()))
        return web.Response(status=status)

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address, port = runner.addresses[0]
    try:
        yield f"http://{address}:{port}/s3cret-uuid", pings
    finally:
        await runner.cleanup()


def metrics(path: Path) -> dict[tuple[str, str], float]:
    """Each value by its name and by its command or outcome."""
    samples = [s for f in text_string_to_metric_families(path.read_text()) for s in f.samples]
    return {
        (s.name, s.labels.get("outcome") or s.labels.get("command", "")): s.value for s in samples
    }


async def test_a_good_run_is_reported_everywhere(workspace: Workspace) -> None:
    """There is a ping at its start and its end, and the files have its metrics and its log."""
    prom, log = workspace.home / "a.prom", workspace.home / "run.log"
    async with monitoring_service() as (url, pings):
        run = await workspace.backup(
            "--metrics",
            str(prom),
            "--log-file",
            str(log),
            workspace.manifest("1"),
            ARCHIVER_PING=url,
        )
    assert (run.status, run.out, run.err) == (0, "", "")
    assert [path for path, _ in pings] == ["/s3cret-uuid/start", "/s3cret-uuid/0"]
    assert pings[1][1].startswith("1 archived")
    values = metrics(prom)
    assert values["archiver_last_run_exit_status", "backup"] == 0
    assert values["archiver_last_run_generations", "archived"] == 1
    assert values["archiver_held_generations", ""] == 1
    assert values["archiver_held_files", ""] == 2
    text = log.read_text()
    assert "INFO backup begins in " in text
    assert "INFO archived v6/deepfake/1: " in text
    assert "INFO backup ends with exit status 0" in text
    assert "s3cret" not in text + prom.read_text()


@slow
async def test_a_failure_is_reported_everywhere(workspace: Workspace) -> None:
    """With its exit status and its reasons; the last success stays what it was."""
    prom, log = workspace.home / "a.prom", workspace.home / "run.log"
    watched = ("--metrics", str(prom), "--log-file", str(log), "--log-format", "json")
    await workspace.backup(*watched, workspace.manifest("1"))
    good = metrics(prom)["archiver_last_success_timestamp_seconds", "backup"]
    async with monitoring_service() as (url, pings):
        run = await workspace.backup(*watched, "--ping", url, workspace.manifest("1", "2"))
    assert run.status == 3
    assert pings[1][0] == "/s3cret-uuid/3"
    assert "failed v6/deepfake/2: all links failed" in pings[1][1]
    values = metrics(prom)
    assert values["archiver_last_run_exit_status", "backup"] == 3
    assert values["archiver_last_success_timestamp_seconds", "backup"] == good
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(
        line["level"] == "warning" and "failed v6/deepfake/2" in line["message"] for line in lines
    )


@slow
async def test_a_run_that_cannot_begin_is_reported_too(workspace: Workspace) -> None:
    """No key, no archive: the ping and the metrics have the exit status, the log the reason."""
    prom, log = workspace.home / "a.prom", workspace.home / "run.log"
    workspace.key = None
    async with monitoring_service() as (url, pings):
        run = await workspace.backup(
            "--metrics",
            str(prom),
            "--log-file",
            str(log),
            workspace.manifest("1"),
            ARCHIVER_PING=url,
        )
    assert run.status == 2
    assert run.err.startswith("archiver: no API key")
    assert pings[1][0] == "/s3cret-uuid/2"
    assert "no API key" in pings[1][1]
    assert metrics(prom)["archiver_last_run_exit_status", "backup"] == 2
    assert "did not begin: no API key" in log.read_text()


@slow
async def test_a_verify_keeps_the_metrics_of_a_backup_that_could_not_begin(
    workspace: Workspace,
) -> None:
    """The run is in the history too, so the next run of another command shows it."""
    prom = workspace.home / "a.prom"
    watched = ("--metrics", str(prom))
    await workspace.backup(*watched, workspace.manifest("1"))
    workspace.key = None
    assert (await workspace.backup(*watched, workspace.manifest("1"))).status == 2
    verified = await workspace.run("verify", "-a", str(workspace.archive), *watched)
    assert verified.status == 0
    assert metrics(prom)["archiver_last_run_exit_status", "backup"] == 2
    shown = await workspace.run("status", "-a", str(workspace.archive))
    assert shown.out.count("backup, exit status 2: did not begin: no API key") == 1


@slow
@pytest.mark.parametrize("status", [404, 500])
async def test_a_ping_that_fails_changes_nothing(workspace: Workspace, status: int) -> None:
    """It is a warning without the URL, and the run ends as it would have."""
    async with monitoring_service(status) as (url, _):
        run = await workspace.backup(workspace.manifest("1"), ARCHIVER_PING=url)
    assert (run.status, workspace.held()) == (0, ["v6/deepfake/1.mp4"])
    assert run.err.count("of the run failed: ") == 2
    assert "s3cret" not in run.err


@slow
async def test_metrics_that_cannot_be_written_change_nothing(workspace: Workspace) -> None:
    """There is an error with the reason, and the run ends as it would have."""
    run = await workspace.backup(
        "--metrics", str(workspace.home / "no" / "a.prom"), workspace.manifest("1")
    )
    assert (run.status, workspace.held()) == (0, ["v6/deepfake/1.mp4"])
    assert run.err.startswith("archiver: no metrics: ")
    assert run.err.count("\n") == 1


@slow
async def test_a_verify_is_reported_too(workspace: Workspace) -> None:
    """The metrics of the last backup stay in the file."""
    prom = workspace.home / "a.prom"
    await workspace.backup("--metrics", str(prom), workspace.manifest("1"))
    (workspace.archive / "data/v6/deepfake/1.mp4").write_bytes(b"damaged")
    async with monitoring_service() as (url, pings):
        run = await workspace.run(
            "verify", "-a", str(workspace.archive), "--metrics", str(prom), ARCHIVER_PING=url
        )
    assert run.status == 4
    assert pings[1][0] == "/s3cret-uuid/4"
    assert "changed data/v6/deepfake/1.mp4" in pings[1][1]
    values = metrics(prom)
    assert values["archiver_last_run_exit_status", "verify"] == 4
    assert values["archiver_last_run_exit_status", "backup"] == 0
    assert values["archiver_last_run_files", "changed"] == 1


async def test_a_bad_ping_url_is_refused_and_not_shown(workspace: Workspace) -> None:
    """Before any request."""
    run = await workspace.backup("--ping", "s3cret-uuid", workspace.manifest("1"))
    assert run.status == 2
    assert "--ping" in run.err
    assert "s3cret" not in run.err
    assert workspace.emulator.requests == []


# --- Status, export and completion


@slow
async def test_status_and_export_from_the_command_line(workspace: Workspace) -> None:
    """Without a key and without a lock; a manifest and IDs may be named together."""
    await workspace.backup(workspace.manifest("1", "2"))
    workspace.key = None
    archive = ("-a", str(workspace.archive))
    run = await workspace.run("status", *archive)
    assert (run.status, run.err) == (0, "")
    assert "held        1 generation in 2 files" in run.out
    assert "v6/deepfake/2  failed since" in run.out
    assert (
        json.loads((await workspace.run("status", *archive, "--json")).out)["failed"]["count"] == 1
    )
    some = await workspace.run(
        "status", *archive, "realtime/1", workspace.manifest("1", "2", name="b.txt")
    )
    assert [line.split()[:2] for line in some.out.splitlines()] == [
        ["v6/realtime/1", "unknown:"], ["v6/deepfake/1", "held:"], ["v6/deepfake/2", "failed"],
    ]  # fmt: skip
    (row,) = (await workspace.run("status", *archive, "--json", "1")).out.splitlines()
    assert json.loads(row)["files"][1]["path"] == "data/v6/deepfake/1.mp4"
    table = await workspace.run("export", *archive)
    assert (table.status, table.out.count("\n")) == (0, 4)
    rows = await workspace.run("export", *archive, "--format", "jsonl")
    assert [json.loads(line)["state"] for line in rows.out.splitlines()] == [
        "held", "held", "failed",
    ]  # fmt: skip


@slow
async def test_what_is_no_id_is_reported(workspace: Workspace) -> None:
    """The others are shown, and the exit status is that of a line not understood."""
    await workspace.backup(workspace.manifest("1"))
    run = await workspace.run("status", "-a", str(workspace.archive), "1", "no id")
    assert run.status == 3
    assert run.out.startswith("v6/deepfake/1  held")
    assert run.err == "'no id': neither an ID nor a file\n"


@slow
async def test_a_reader_that_stops_reading_is_no_error(workspace: Workspace) -> None:
    """Such as `head`: no traceback."""
    many = workspace.manifest(*map(str, range(3000)))
    await workspace.backup("--api-rate", "100000/s", workspace.manifest("1"))
    run = await ended(
        "sh", "-c", f"{COMMAND} status -a {workspace.archive} {many} | head -1", env=workspace.env()
    )
    assert (run.out.count("\n"), run.err) == (1, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_is_printed(workspace: Workspace, shell: str) -> None:
    """A script for the shell, which calls this program."""
    script = await workspace.run("completion", shell)
    assert script.status == 0
    assert f"_ARCHIVER_COMPLETE={shell}_complete" in script.out


async def test_completion_completes(workspace: Workspace) -> None:
    """Commands and options, as bash requests them."""
    request = {
        "_ARCHIVER_COMPLETE": "bash_complete",
        "COMP_WORDS": "archiver st",
        "COMP_CWORD": "1",
    }
    assert (await workspace.run(**request)).out == "plain,status\n"
    request["COMP_WORDS"], request["COMP_CWORD"] = "archiver backup --limit", "2"
    assert (await workspace.run(**request)).out == "plain,--limit-rate\n"
