"""Many runs share a list: each generation is asked for and archived once, by its shard's run."""

import asyncio
import json
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from archiver.emulator.scripts import Script
from archiver.shards import shard_of
from tests.support.archives import open_catalogue
from tests.support.backups import assert_true_bag, generation
from tests.support.marks import slow
from tests.support.running import COMMAND, QUICK, Ended, Workspace, ended

SHARDS = 4
IDS = [str(number) for number in range(1000, 1024)]
OF_0 = [id_ for id_ in IDS if shard_of(id_, SHARDS) == 0]
OF_1 = [id_ for id_ in IDS if shard_of(id_, SHARDS) == 1]


@pytest.fixture
def shared(workspace: Workspace) -> Workspace:
    """A workspace with a place for the archives of shards, and a list of videos."""
    (workspace.home / "videos").mkdir()
    workspace.emulator.scripts |= {generation(id_): Script() for id_ in IDS}
    workspace.manifest(*IDS)
    return workspace


def archive_of(workspace: Workspace, number: int) -> Path:
    """Return the archive of a shard."""
    return workspace.home / "videos" / str(number)


async def back_up(workspace: Workspace, *args: str, **env: str) -> Ended:
    """Back up the list into the archives of shards."""
    return await ended(*command(workspace, *args), env=workspace.env(**env))


def command(workspace: Workspace, *args: str) -> tuple[str, ...]:
    """Return the command that backs up the list into the archives of shards."""
    where = ("-a", f"{workspace.home}/videos/{{shard}}", "--api-url", workspace.emulator.api_url)
    return (COMMAND, "backup", *where, *QUICK, f"{workspace.home}/ids.txt", *args)


async def each_shard(workspace: Workspace, *args: str) -> list[Ended]:
    """Back up all shards at the same time."""
    runs = (back_up(workspace, "--shard", f"{number}/{SHARDS}", *args) for number in range(SHARDS))
    return list(await asyncio.gather(*runs))


def held(workspace: Workspace) -> dict[int, list[str]]:
    """Return the names of the videos that each shard's archive holds."""
    return {
        number: sorted(
            path.relative_to(archive / "data").with_suffix("").as_posix()
            for path in (archive / "data").rglob("*.mp4")
        )
        for number in range(SHARDS)
        if (archive := archive_of(workspace, number)).exists()
    }


def mark(workspace: Workspace, number: int = 0) -> list[str]:
    """Return the lines of `bag-info.txt` that name a shard."""
    info = archive_of(workspace, number) / "bag-info.txt"
    return [line for line in info.read_text().splitlines() if line.startswith("Archiver-Shard")]


# --- The whole is shared out


async def test_each_generation_is_archived_once(shared: Workspace) -> None:
    """Each is asked for and downloaded by the run of its shard, into an archive that is marked."""
    runs = await each_shard(shared)
    assert [run.status for run in runs] == [0] * SHARDS
    assert held(shared) == {
        number: [f"v6/deepfake/{id_}" for id_ in IDS if shard_of(id_, SHARDS) == number]
        for number in range(SHARDS)
    }
    requests = Counter((seen.host, str(seen.generation)) for seen in shared.emulator.requests)
    assert {*requests.values()} == {1}
    assert len(requests) == 2 * len(IDS)
    for number in range(SHARDS):
        assert_true_bag(archive_of(shared, number))
        assert mark(shared, number) == [f"Archiver-Shard: {number}/{SHARDS}"]


async def test_a_generation_has_one_shard_under_all_its_names(shared: Workspace) -> None:
    """A bare ID, a full name, the other name of a family and a fetch URL lead to one archive."""
    names = ["deepfake/{}", "faceswap/{}", "v6/faceswap/{}", "{}",
             "https://modelslab.com/api/v6/deepfake/fetch/{}"]  # fmt: skip
    shared.manifest(*(name.format(id_) for id_ in IDS for name in names))
    assert {run.status for run in await each_shard(shared)} == {0}
    found = [name for archive in held(shared).values() for name in archive]
    assert sorted(found) == [f"v6/deepfake/{id_}" for id_ in IDS]


async def test_an_assumed_endpoint_changes_no_shard(shared: Workspace) -> None:
    """An ID whose links prove another endpoint stays with its shard, and is there once."""
    videos = {id_: generation(f"video/{id_}") for id_ in IDS}
    shared.emulator.scripts = {video: Script() for video in videos.values()}
    links = ((id_, shared.emulator.link(video)) for id_, video in videos.items())
    saved = [json.dumps({"id": id_, "output": [link]}) for id_, link in links]
    shared.manifest(*saved, *(json.dumps(f"video/{id_}") for id_ in IDS))
    runs = await each_shard(shared)
    assert [run.status for run in runs] == [0] * SHARDS, runs
    found = [name for archive in held(shared).values() for name in archive]
    assert sorted(found) == [f"v6/video/{id_}" for id_ in IDS]


async def test_what_is_discovered_has_the_shard_of_the_listed(shared: Workspace) -> None:
    """ModelsLab lists no endpoints: what a list names with one is not archived a second time."""
    shared.emulator.scripts = {generation(f"video/{id_}"): Script() for id_ in IDS}
    shared.manifest(*(f"video/{id_}" for id_ in IDS[::2]))
    assert {run.status for run in await each_shard(shared, "--discover")} == {0}
    found = [name for archive in held(shared).values() for name in archive]
    assert sorted(name.rpartition("/")[2] for name in found) == IDS
    again = await each_shard(shared, "--discover", "--json", "-v")
    outcomes = [json.loads(run.out)["outcomes"] for run in again]
    assert f"ModelsLab lists {len(OF_0)} generations of yours, in shard 0/4" in again[0].err
    assert sum(each["already_held"] for each in outcomes) == len(IDS)


async def test_shards_of_a_list_from_standard_input(shared: Workspace) -> None:
    """Lists are shared in every form: rows of a table, objects, and text on standard input."""
    table = "id,prompt\n" + "".join(f"{id_},a cat\n" for id_ in IDS)
    options = ("-a", f"{shared.home}/videos/{{shard}}", *QUICK, "--shard", f"0/{SHARDS}")
    url = ("--api-url", shared.emulator.api_url)
    done = await shared.run("backup", *options, *url, "-", stdin=table)
    assert done.status == 0, done
    assert held(shared) == {0: [f"v6/deepfake/{id_}" for id_ in OF_0]}


async def test_a_dry_run_lists_what_its_shard_would_fetch(shared: Workspace) -> None:
    """A dry run names the part of its shard, and touches nothing."""
    done = await back_up(shared, "--dry-run", "--shard", f"0/{SHARDS}")
    assert (done.status, done.out.splitlines()) == (
        0, [f"would fetch v6/deepfake/{id_}" for id_ in OF_0],
    )  # fmt: skip
    assert held(shared) == {}


async def test_status_shows_the_part_of_a_shard(shared: Workspace) -> None:
    """With a list and a shard, the states of that shard's generations are shown."""
    await each_shard(shared)
    done = await shared.run(
        "status", "-a", f"{shared.home}/videos/{{shard}}", f"{shared.home}/ids.txt", "--json",
        ARCHIVER_SHARD=f"1/{SHARDS}",
    )  # fmt: skip
    shown = [json.loads(line) for line in done.out.splitlines()]
    assert [each["generation"] for each in shown] == [f"v6/deepfake/{id_}" for id_ in OF_1]
    assert {each["state"] for each in shown} == {"held"}


async def test_discover_prints_the_part_of_a_shard(shared: Workspace) -> None:
    """`archiver discover` names, and asks for, what belongs to its shard."""
    done = await shared.run(
        "discover", "--api-url", shared.emulator.api_url, "--api-rate", "1000", "--shard", "0/4"
    )
    assert done.status == 0, done
    assert sorted(done.out.splitlines()) == [f"v6/deepfake/{id_}" for id_ in OF_0]
    assert done.err == f"{len(OF_0)} generations of shard 0/4 on 1 page\n"
    asked = {seen.generation.id for seen in shared.emulator.requests if seen.generation}
    assert asked == {*OF_0}


# --- What is not understood


async def test_a_bad_line_is_named_once(shared: Workspace) -> None:
    """All runs read the same lines: the first shard names one that belongs to nobody."""
    shared.manifest(*IDS, "no such thing")
    runs = await each_shard(shared)
    assert [run.status for run in runs] == [3, 0, 0, 0]
    assert [("no such thing" in run.err) for run in runs] == [True, False, False, False]


async def test_a_bad_line_stops_every_strict_run(shared: Workspace) -> None:
    """`--strict` means that nothing is fetched, by no shard."""
    shared.manifest(*IDS, "no such thing")
    runs = await each_shard(shared, "--strict")
    assert [run.status for run in runs] == [2] * SHARDS
    assert all("no such thing" in run.err for run in runs)
    assert not any(held(shared).values())


async def test_every_run_names_a_list_that_it_cannot_read(shared: Workspace) -> None:
    """A file may be unreadable on one machine alone."""
    runs = await each_shard(shared, "/no/such/list")
    assert [run.status for run in runs] == [3] * SHARDS


# --- Which shard


async def test_an_array_counts_the_shards(shared: Workspace) -> None:
    """The number comes from the array, and how many there are from the environment."""
    task = {"ARCHIVER_SHARDS": str(SHARDS), "AWS_BATCH_JOB_ARRAY_INDEX": "1"}
    assert (await back_up(shared, AWS_BATCH_JOB_ARRAY_SIZE="4", **task)).status == 0
    assert held(shared) == {1: [f"v6/deepfake/{id_}" for id_ in OF_1]}
    wrong = await back_up(shared, AWS_BATCH_JOB_ARRAY_SIZE="5", **task)
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)


async def test_an_array_alone_changes_nothing(shared: Workspace) -> None:
    """A run in a task of an array that says nothing of shards backs up all of its list."""
    shared.manifest(*IDS)
    done = await shared.backup(f"{shared.home}/ids.txt", SLURM_ARRAY_TASK_ID="3")
    assert done.status == 0
    assert len(shared.held()) == len(IDS)


@pytest.mark.parametrize(
    ("args", "env"),
    [
        ((), {}),
        (("--shards", "4"), {}),
        (("--shard", "4/4"), {}),
        (("--shard", "0/4", "--shards", "5"), {}),
        (("--shard", "0/4"), {"SLURM_ARRAY_TASK_ID": "1"}),
        (("--shards", "4"), {"JOB_COMPLETION_INDEX": "4"}),
        (("--shards", "0"), {"JOB_COMPLETION_INDEX": "0"}),
    ],
)
async def test_what_makes_no_shard_is_refused(
    args: tuple[str, ...], env: dict[str, str], shared: Workspace
) -> None:
    """A place without a number, or numbers that do not go together: 2, and nothing is asked."""
    done = await back_up(shared, *args, **env)
    (*before, last) = done.err.splitlines()
    assert done.status == 2
    assert last.startswith("Error: ") if before else last.startswith("archiver: ")
    assert not shared.emulator.requests
    assert held(shared) == {}


# --- Whose archive it is


async def test_the_archive_of_another_shard_is_refused(shared: Workspace) -> None:
    """Another number, another count, or none: nothing is put into it, nor into its history."""
    await back_up(shared, "--shard", f"0/{SHARDS}")
    fetched, archive = len(shared.emulator.requests), archive_of(shared, 0)
    before = (archive / "bag-info.txt").read_bytes()
    for args in (("--shard", "1/4"), ("--shard", "0/5"), ()):
        for more in ((), ("--dry-run",)):
            options = ("-a", str(archive), "--api-url", shared.emulator.api_url, *QUICK)
            done = await shared.run("backup", *options, f"{shared.home}/ids.txt", *args, *more)
            assert done.status == 2, (args, done)
            assert "is the archive of shard 0/4" in done.err
            assert done.err.count("\n") == 1
    assert len(shared.emulator.requests) == fetched
    assert (archive / "bag-info.txt").read_bytes() == before
    with closing(open_catalogue(archive)) as catalogue:
        assert len(catalogue.history.last(10)) == 1


async def test_an_archive_of_all_is_not_filled_by_a_shard(shared: Workspace) -> None:
    """What holds generations without a mark is refused, until a person says whose it is."""
    options = ("-a", str(archive_of(shared, 0)), "--api-url", shared.emulator.api_url, *QUICK)
    await shared.run("backup", *options, "-", stdin="1000\n1001\n")
    refused = await back_up(shared, "--shard", "0/4")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    line = "Archiver-Shard: 0/4"
    assert f"'{line}'" in refused.err
    with (archive_of(shared, 0) / "bag-info.txt").open("a") as info:
        info.write(f"{line}\n")
    assert (await back_up(shared, "--shard", "0/4")).status == 0
    assert mark(shared) == [line]


async def test_an_empty_archive_becomes_a_shards(shared: Workspace) -> None:
    """A run that archived nothing has mixed nothing up."""
    options = ("-a", str(archive_of(shared, 0)), "--api-url", shared.emulator.api_url, *QUICK)
    await shared.run("backup", *options, "-", stdin="1\n")
    assert (await back_up(shared, "--shard", "0/4")).status == 0
    assert mark(shared) == ["Archiver-Shard: 0/4"]


async def test_a_shard_may_have_any_directory(shared: Workspace) -> None:
    """`{shard}` is no must: a machine of its own may call its archive as it likes."""
    done = await shared.backup(f"{shared.home}/ids.txt", "--shard", "0/4")
    assert done.status == 0
    assert "Archiver-Shard: 0/4\n" in (shared.archive / "bag-info.txt").read_text()


@pytest.mark.parametrize("marks", ["nonsense", "9/8", "0/4\nArchiver-Shard: 1/4", ""])
async def test_a_mark_without_sense_is_refused(marks: str, shared: Workspace) -> None:
    """Nobody can know whose archive that is."""
    await back_up(shared, "--shard", "0/4")
    info = archive_of(shared, 0) / "bag-info.txt"
    info.write_text(info.read_text().replace("Archiver-Shard: 0/4", f"Archiver-Shard: {marks}"))
    refused = await back_up(shared, "--shard", "0/4")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "one shard such as 0/8 was expected" in refused.err


@slow
async def test_every_command_finds_the_archive_of_its_shard(shared: Workspace) -> None:
    """A task of an array may verify, show and export its own; reading needs no shard at all."""
    await each_shard(shared)
    place, links = f"{shared.home}/videos/{{shard}}", shared.home / "links"
    commands = {
        "verify": (), "export": (), "status": (), "browse": (), "link": (str(links), "--copy"),
    }  # fmt: skip
    for name, args in commands.items():
        shard = ("--shard", "1/4")
        done = await shared.run(name, "-a", place, *shard, *args)
        assert (done.status, done.err) == (0, ""), (name, done)
        assert (await shared.run(name, "-a", str(archive_of(shared, 1)), *args)).status == 0
        wrong = await shared.run(name, "-a", str(archive_of(shared, 1)), "--shard", "2/4", *args)
        assert (wrong.status, wrong.err.count("\n")) == (2, 1), (name, wrong)
        assert (await shared.run(name, "-a", place, *args)).status == 2


async def test_files_may_have_the_number_too(shared: Workspace) -> None:
    """A log and metrics of each shard, in one job file."""
    log, metrics = shared.home / "{shard}.log", shared.home / "{shard}.prom"
    options = ("--log-file", str(log), "--metrics", str(metrics))
    assert (await back_up(shared, "--shard", "1/4", *options)).status == 0
    assert (shared.home / "1.log").exists()
    assert (shared.home / "1.prom").exists()


# --- The rate of the account


@slow
async def test_processes_share_the_rate_of_the_account(shared: Workspace) -> None:
    """With `--api-share`, four processes together send no more than the account's rate."""
    began = asyncio.get_running_loop().time()
    await each_shard(shared, "--api-rate", "16/s", "--api-share", str(SHARDS))
    times = sorted(seen.at for seen in shared.emulator.requests if seen.host == "api")
    assert len(times) == len(IDS)
    largest = max(len(each) for each in held(shared).values())
    assert times[-1] - times[0] >= (largest - 1) / (16 / SHARDS) - 0.1
    assert asyncio.get_running_loop().time() - began < 60
