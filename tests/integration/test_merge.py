"""`archiver merge` after the runs of all shards: sums, the worst exit status, one list of files."""

import asyncio
import json

import pytest

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.shards import shard_of
from tests.support.backups import generation
from tests.support.running import COMMAND, QUICK, Ended, Workspace, ended, started, until

IDS = [str(number) for number in range(2000, 2012)]


@pytest.fixture
async def filled(workspace: Workspace) -> Workspace:
    """A workspace in which two shards have backed up a list."""
    (workspace.home / "videos").mkdir()
    workspace.emulator.scripts |= {generation(id_): Script() for id_ in IDS}
    workspace.manifest(*IDS)
    done = await asyncio.gather(*(back_up(workspace, number) for number in range(2)))
    assert [run.status for run in done] == [0, 0]
    return workspace


def command(workspace: Workspace, number: int, of: int = 2) -> tuple[str, ...]:
    """Return the command of a shard."""
    where = ("-a", f"{workspace.home}/videos/{{shard}}", "--api-url", workspace.emulator.api_url)
    shard = ("--shard", f"{number}/{of}")
    return (COMMAND, "backup", *where, *QUICK, *shard, f"{workspace.home}/ids.txt")


async def back_up(workspace: Workspace, number: int) -> Ended:
    """Run a shard."""
    return await ended(*command(workspace, number), env=workspace.env())


async def merge(workspace: Workspace, *args: str, **env: str) -> Ended:
    """Merge the archives of both shards."""
    return await workspace.run("merge", f"{workspace.home}/videos/{{shard}}", *args, **env)


async def test_sha256sum_accepts_the_files_of_all(filled: Workspace) -> None:
    """From the directory of the list, with `--strict`; and the report counts them."""
    done = await merge(filled, "--shards", "2")
    assert (done.status, done.err) == (0, ""), done
    shown = " ".join(done.out.split())
    assert "archives 2 held 12 generations in 24 files, " in shown
    assert "pending 0 failed 0 lost 0" in shown
    assert "backups the last of 2 archives: 12 archived; " in shown
    assert f"checksums {filled.home}/videos/all-sha256.txt" in shown
    checked = await ended(
        "sh", "-c", f"cd '{filled.home}/videos' && sha256sum -c --strict all-sha256.txt"
    )
    assert (checked.status, checked.out.count(": OK\n")) == (0, 24), checked


async def test_the_report_is_in_json(filled: Workspace) -> None:
    """Sums, and what each archive says; the number of shards may come from the environment."""
    filled.emulator.scripts[generation("2000")] = Script()
    done = await merge(filled, "--json", ARCHIVER_SHARDS="2")
    found = json.loads(done.out)
    assert (done.status, found["exit_status"], found["problems"]) == (0, 0, [])
    assert found["held"]["generations"] == 12
    assert found["held"]["bytes"] == sum(each["bytes"] for each in found["archives"]) > 0
    assert (found["outcomes"]["archived"], found["failed"]) == (12, 0)
    assert [each["shard"] for each in found["archives"]] == ["0/2", "1/2"]
    assert {run["exit_status"] for each in found["archives"] for run in each["last_runs"]} == {0}


async def test_the_worst_status_is_that_of_the_merge(filled: Workspace) -> None:
    """A generation that failed in one shard is in the sums, and its run is named."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
    id_ = next(str(n) for n in range(5000, 6000) if shard_of(str(n), 2) == 1)
    filled.emulator.scripts[generation(id_)] = dead
    filled.manifest(*IDS, id_)
    assert [(await back_up(filled, number)).status for number in range(2)] == [0, 3]
    done = await merge(filled, "--shards", "2", "-q")
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith(f"{filled.home}/videos/1: backup, exit status 3: 4 already held,")
    assert json.loads((await merge(filled, "--shards=2", "--json")).out)["failed"] == 1


async def test_a_killed_run_is_named(filled: Workspace) -> None:
    """Until its shard is run again."""
    slow = Script(outputs=(OutputScript(size=5_000_000, primary=LinkScript(seconds=60)),))
    id_ = next(str(n) for n in range(5000, 6000) if shard_of(str(n), 2) == 0)
    filled.emulator.scripts[generation(id_)] = slow
    filled.manifest(*IDS, id_)
    async with started(*command(filled, 0), env=filled.env()) as process:
        await until(lambda: filled.emulator.busiest["primary"] and _asked(filled, id_))
        running = await merge(filled, "--shards", "2")
        process.kill()
        await process.wait()
    assert (running.status, "backup is in progress, process" in running.err) == (75, True)
    killed = await merge(filled, "--shards", "2")
    assert (killed.status, "/videos/0: its last backup has no end" in killed.err) == (3, True)
    filled.emulator.scripts[generation(id_)] = Script()
    assert (await back_up(filled, 0)).status == 0
    assert (await merge(filled, "--shards", "2")).status == 0


def _asked(workspace: Workspace, id_: str) -> bool:
    return any(seen.generation == generation(id_) for seen in workspace.emulator.requests)


async def test_a_place_for_a_number_needs_the_number_of_shards(filled: Workspace) -> None:
    """Without it nobody knows how many archives there should be."""
    done = await merge(filled)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "--shards" in done.err


async def test_a_shard_that_never_ran_is_named(filled: Workspace) -> None:
    """It has no archive: the list of the others is not taken for one of all."""
    before = await merge(filled, "--shards", "2")
    assert before.status == 0
    done = await merge(filled, "--shards", "3")
    assert done.status == 2
    assert f"{filled.home}/videos/2 does not exist" in done.err
    assert "all-sha256.txt was not written" in done.err
