"""The commands that read an archive read one in a bucket too, from any machine."""

import asyncio
import csv
import hashlib
import io
import json
import os
import re
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.bucket.claim import LEASE, Claim
from archiver.catalogue.store import Catalogue
from archiver.cli.status_report import follow, look
from archiver.cli.status_watch import watch
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import ConfigurationError, StorageError
from archiver.pipeline.backup import backup
from archiver.s3.objects import Absent, Objects
from archiver.stores import look_into
from archiver.tree import link as tree
from archiver.tree.template import Template
from tests.support.backups import KEY, Backups, generation
from tests.support.bodies import body
from tests.support.buckets import Machine, paths_of
from tests.support.markdown import ROOT, topics
from tests.support.running import COMMAND, Ended, ended, started, until
from tests.support.seaweed import Place
from tests.support.store_proxy import StoreProxy
from tests.support.videos import MP4, OTHER_MP4

pytestmark = pytest.mark.slow

SCRIPTS = {
    generation("1"): Script(outputs=(OutputScript(body=MP4),), meta={"prompt": "a red fox"}),
    generation("2"): Script(
        outputs=(OutputScript(body=MP4 + b"\0\0\0\x08free"), OutputScript(body=OTHER_MP4)),
        meta={"prompt": "a blue whale"},
    ),
    generation("3"): Script(response="failed"),
}
VIDEOS = {
    "data/v6/deepfake/1.mp4", "data/v6/deepfake/2-1.mp4", "data/v6/deepfake/2-2.mp4",
}  # fmt: skip
FORM = Template.parse("{prompt}-{id}-{number}.{extension}")
RUN = "20261123T020000Z-abcdef012345"
COPIES = tree.Naming(FORM, "copy")


@pytest.fixture
async def one(tmp_path: Path, emulator: Emulator, place: Place) -> Machine:
    """A machine that has archived three videos."""
    emulator.scripts.update(SCRIPTS)
    machine = Machine(place, emulator, tmp_path / "one")
    assert (await machine.run("1", "2", "3")).archived == 2
    return machine


@pytest.fixture
def two(tmp_path: Path, one: Machine) -> Machine:
    """Another machine, which has never seen the archive."""
    (tmp_path / "two").mkdir()
    return Machine(one.place, one.emulator, tmp_path / "two")


def put_lease(objects: Objects, ttl: float, **changes: object) -> None:
    """Let a run on another machine have the lease."""
    claim = Claim(RUN, ttl, "node7", 881, "2026-11-23T02:00:00+00:00")
    objects.delete([LEASE])
    objects.put(LEASE, body(replace(claim, **changes).encoded()), Absent())  # type: ignore[arg-type]


# --- Status and export


async def test_status_shows_what_is_held(one: Machine) -> None:
    """As of a directory, with the URL for its name, and where its records are on this machine."""
    done = await one.command("status")
    assert (done.status, done.err) == (0, "")
    lines = {line[:12].strip(): line[12:] for line in done.out.splitlines()}
    assert lines["archive"] == str(one.place.url)
    assert lines["held"].startswith("2 generations in 5 files, ")
    assert lines["records"].startswith(f"{one.state}, ")
    assert "disk free" not in done.out
    assert "running" not in lines
    assert "backup, exit status 3" in done.out


async def test_another_machine_shows_the_same_of_what_is_held(one: Machine, two: Machine) -> None:
    """Its records come from the bucket; what has failed, and the runs, the first alone knows."""
    here, there = look(one.url), look(two.url)
    assert there.holdings == here.holdings
    assert there.holdings.bytes > 3 * len(MP4)
    assert (here.unfinished["failed"].tally.count, here.runs[0].command) == (1, "backup")
    assert (there.unfinished["failed"].tally.count, there.runs) == (0, [])
    assert "last runs   none yet on this machine" in [*there.lines()]


async def test_what_another_machine_has_added_is_shown(one: Machine, two: Machine) -> None:
    """Each look brings up to date what is known here."""
    look(two.url)
    one.emulator.scripts[generation("4")] = Script(outputs=(OutputScript(size=20_000),))
    await one.run("4")
    held = {known["path"]: known["bytes"] for known in await exported(two)}
    assert held["data/v6/deepfake/4.mp4"] == 20_000
    assert look(two.url).holdings == look(one.url).holdings


async def test_status_of_some_generations(two: Machine) -> None:
    """Where their files are, and that others are unknown."""
    done = await two.command("status", "1", "9")
    assert done.out.splitlines() == [
        "v6/deepfake/1  held: data/v6/deepfake/1.json, data/v6/deepfake/1.mp4",
        "v6/deepfake/9  unknown: it is not in this archive's catalogue",
    ]


async def test_status_in_json_has_no_disk_of_the_bucket(one: Machine) -> None:
    """There is none; the disk of the state directory goes by its name, and no secret is shown."""
    done = await one.command("status", "--json")
    said = json.loads(done.out)
    assert said["archive"] == str(one.place.url)
    assert (said["disk_free_bytes"], said["disk_bytes"], said["lease"]) == (None, None, None)
    assert 0 < said["state_disk_free_bytes"] <= said["state_disk_bytes"]
    assert said["state_dir"] == str(one.state)
    assert one.place.server.secret_key not in done.out


async def exported(machine: Machine) -> list[dict[str, object]]:
    done = await machine.command("export", "--format", "jsonl")
    assert (done.status, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


async def test_export_is_the_whole_catalogue(one: Machine, two: Machine) -> None:
    """On another machine too, with sizes and checksums; what sidecars say is read by a backup."""
    here, there = await exported(one), await exported(two)
    assert {row["path"] for row in there} >= VIDEOS
    facts = ("generation", "path", "bytes", "sha256")
    held = [row for row in here if row["state"] == "held"]
    assert [[row[fact] for fact in facts] for row in there] == [
        [row[fact] for fact in facts] for row in held
    ]
    assert {row["prompt"] for row in held} == {"a red fox", "a blue whale"}
    assert {row["prompt"] for row in there} == {None}
    await two.run("1")
    assert {row["prompt"] for row in await exported(two)} == {"a red fox", "a blue whale"}


async def test_a_table_is_exported(two: Machine) -> None:
    """CSV, as of a directory."""
    done = await two.command("export")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {row["path"] for row in rows} >= VIDEOS


async def test_a_dry_run_knows_what_is_held(two: Machine) -> None:
    """It lists what would be fetched, and writes nothing into the bucket."""
    before = two.place.keys()
    two.emulator.scripts[generation("4")] = Script()
    manifest = str(two.manifest("1", "2", "4"))
    done = await two.command("backup", "--dry-run", manifest)
    assert (done.status, done.out) == (0, "would fetch v6/deepfake/4\n")
    assert two.place.keys() == before


async def test_where_there_is_no_archive_it_says_so(one: Machine) -> None:
    """With one line and status 2, and nothing is created."""
    elsewhere = replace(one, place=replace(one.place, url=replace(one.place.url, prefix="none")))
    for command in ("status", "export", "browse"):
        done = await elsewhere.command(command)
        assert (done.status, done.out) == (2, "")
        assert done.err == (
            "archiver: there is no archive at s3://test/none: it has no manifest-sha256.txt\n"
        )
    assert elsewhere.place.keys() == []


# --- The lease


async def test_a_run_on_another_machine_is_shown(two: Machine) -> None:
    """By its host and process, since when, and how long ago it has shown that it lives."""
    with two.place.open() as objects:
        put_lease(objects, 60)
    found = look(two.url)
    assert found.running
    assert found.running.startswith(
        "process 881 on node7, since 2026-11-23 02:00 UTC; its lease was renewed "
    )
    lease = found.as_json()["lease"]
    assert isinstance(lease, dict)
    assert lease["renewed"] < 30
    assert (lease["host"], lease["process"], lease["alive"]) == ("node7", 881, True)
    assert not [line for line in found.lines() if line.startswith("lease")]


async def test_a_run_that_was_killed_is_shown(two: Machine) -> None:
    """Its lease is stale: the store's clock says so."""
    with two.place.open() as objects:
        put_lease(objects, -10)
    found = look(two.url)
    assert found.running is None
    (line,) = (line for line in found.lines() if line.startswith("lease"))
    assert line.startswith("lease       a run was killed (process 881 on node7, since ")
    assert line.endswith(" ago): the next one takes over")


async def test_a_lease_that_was_released_is_no_run(two: Machine) -> None:
    """A run has come to its end."""
    with two.place.open() as objects:
        put_lease(objects, 60, released=True)
    found = look(two.url)
    assert (found.running, found.as_json()["lease"]) == (None, None)


async def test_a_run_is_followed_from_another_machine(
    two: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it has archived is counted as its lines come, until its lease is released."""
    payload = body(MP4 * 2)
    line = f"{payload.sha256}  data/v6/deepfake/4.mp4\n".encode()
    with two.place.open() as objects:
        put_lease(objects, 60)

        def archive(_seconds: float) -> None:
            objects.put("data/v6/deepfake/4.mp4", payload, Absent())
            objects.put(f".archiver/segments/{RUN}-00000001.txt", body(line), Absent())
            monkeypatch.setattr(time, "sleep", end)

        def end(_seconds: float) -> None:
            put_lease(objects, 60, released=True)

        monkeypatch.setattr(time, "sleep", archive)
        seen = await asyncio.to_thread(watch, two.url, colours=False)
    assert seen
    assert seen.elsewhere
    lines = [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    begins = "a run on another machine: process 881 on node7, since 2026-11-23 02:00 UTC; "
    assert [line.removeprefix(begins)[:7] for line in lines] == ["2 held,", "3 held,"]


async def test_where_the_followed_run_was_killed_it_says_so(two: Machine) -> None:
    """A lease that goes stale is no run that has ended."""
    with two.place.open() as objects:
        put_lease(objects, 3)
    done = await two.command("status", "--watch")
    assert done.out.splitlines()[-1].startswith("a run was killed (process 881 on node7, ")


async def test_the_run_here_is_followed_by_its_records(one: Machine) -> None:
    """Of a run on this machine it is known what it has found; killed, that shows at once."""
    stuck = Script(outputs=(OutputScript(primary=LinkScript(fault="stall")),))
    one.emulator.scripts[generation("4")] = stuck
    api = ("--api-url", one.emulator.api_url, "--timeout", "60s")
    command = (COMMAND, "backup", str(one.manifest("4")), *api, *one.where())
    async with started(*command, env=one.env(KEY)) as process:
        await until(lambda: one.downloads() > 3)
        running = await asyncio.to_thread(follow, one.url)
        assert running
        assert (running.name, running.elsewhere) == ("backup", False)
        assert f"process {process.pid}," in str((await asyncio.to_thread(look, one.url)).running)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    found = await asyncio.to_thread(look, one.url)
    assert found.running is None
    assert "a run was killed" in "\n".join(found.lines())


# --- Copies


async def test_videos_are_copied(two: Machine, tmp_path: Path) -> None:
    """Each under its name, with its very bytes; a second run copies nothing."""
    await two.run("1")
    target = tmp_path / "by name"
    changes = tree.link(two.url, target, COPIES)
    copies = {path.name: path.read_bytes() for path in target.glob("*.mp4")}
    assert copies == {
        "a red fox-1-1.mp4": MP4,
        "a blue whale-2-1.mp4": MP4 + b"\0\0\0\x08free",
        "a blue whale-2-2.mp4": OTHER_MP4,
    }
    assert changes.bytes == sum(map(len, copies.values()))
    again = tree.link(two.url, target, COPIES)
    assert (len(again.kept), again.made, again.removed, again.exit_status) == (3, [], [], 0)


async def test_copies_are_planned(one: Machine, tmp_path: Path) -> None:
    """A dry run lists them, and touches nothing."""
    target = tmp_path / "by name"
    form = ("--format", "{id}-{number}.{extension}")
    done = await one.command("link", str(target), "--copy", "--dry-run", *form)
    assert done.out.splitlines() == [
        "would copy 1-1.mp4 to data/v6/deepfake/1.mp4",
        "would copy 2-1.mp4 to data/v6/deepfake/2-1.mp4",
        "would copy 2-2.mp4 to data/v6/deepfake/2-2.mp4",
    ]
    assert not target.exists()


async def test_what_is_damaged_in_the_bucket_is_not_copied(one: Machine, tmp_path: Path) -> None:
    """Nor what is missing there: each is named, with status 4, and the others are copied."""
    place, target = one.place, tmp_path / "by name"
    damaged, missing, _ = sorted(VIDEOS)
    bucket = {"Bucket": place.url.bucket}
    place.server.client.put_object(**bucket, Key=place.url.key(damaged), Body=MP4[::-1])
    place.server.client.delete_object(**bucket, Key=place.url.key(missing))
    changes = tree.link(one.url, target, COPIES)
    assert changes.exit_status == 4
    assert changes.damaged == {
        damaged: f"{damaged} does not match its checksum (see archiver verify)",
        missing: f"{missing} is missing (see archiver verify)",
    }
    assert [path.name for path in target.glob("*.mp4")] == ["a blue whale-2-2.mp4"]


async def test_an_interrupted_copy_goes_on(
    one: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied before the store went away is not downloaded again."""
    target, asked = tmp_path / "by name", list[str]()
    with look_into(one.url) as store:
        kind = type(store)
    blocks = kind.blocks

    def failing(self: object, path: str) -> object:
        asked.append(path)
        if len(asked) == 2:
            raise StorageError("the store is gone")
        return blocks(self, path)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "blocks", failing)
    with pytest.raises(StorageError, match="the store is gone"):
        tree.link(one.url, target, COPIES)
    assert len(list(target.glob("*.mp4"))) == 1
    changes = tree.link(one.url, target, COPIES)
    assert len(list(target.glob("*.mp4"))) == 3
    assert (len(changes.kept), len(asked)) == (1, 4)


async def test_no_link_leads_into_a_bucket(one: Machine, tmp_path: Path) -> None:
    """Without --copy a line says what to do, and nothing is asked of the store."""
    for how in ((), ("--symbolic",), ("--dry-run",)):
        done = await one.command("link", str(tmp_path / "by name"), *how)
        assert done == Ended(
            2, "", f"archiver: no link leads into a bucket: copy {one.place.url} with --copy\n"
        )
    assert not (tmp_path / "by name").exists()


async def test_the_copies_of_another_archive_are_left_alone(
    one: Machine, tmp_path: Path, place: Place
) -> None:
    """A target belongs to one archive, wherever that is."""
    target = tmp_path / "by name"
    tree.link(one.url, target, COPIES)
    other = replace(one, place=replace(place, url=replace(place.url, prefix="other")))
    await other.run("1")
    with pytest.raises(ConfigurationError, match=f"links to another archive, {place.url}"):
        tree.link(other.url, target, COPIES)


# --- Where it is said


@pytest.mark.parametrize("written", ["S3://{0.bucket}/{0.prefix}/", "s3://{0.bucket}//{0.prefix}"])
async def test_however_it_is_written_it_is_one_archive(one: Machine, written: str) -> None:
    """The scheme in any case, with slashes more or less: one URL, and one state directory."""
    where = ("-a", written.format(one.place.url), "--state-dir", str(one.home / "state"))
    done = await ended(COMMAND, "status", "--json", *where, env=one.env(None))
    said = json.loads(done.out)
    assert (said["archive"], said["held"]["generations"]) == (str(one.place.url), 2)
    assert said["state_dir"] == str(one.state)


async def test_a_slash_after_the_endpoint_is_none_of_the_archive(one: Machine) -> None:
    """With or without it, and in the environment or as an option, the state is in one place."""
    url = one.place.server.endpoint_url
    for endpoint in (("--endpoint-url", f"{url}/"), ("--endpoint-url", url), ()):
        done = await one.command("status", "--json", *endpoint)
        assert json.loads(done.out)["state_dir"] == str(one.state)


async def test_a_bucket_alone_is_an_archive(one: Machine, tmp_path: Path) -> None:
    """Without a prefix, and with a slash at its end or not."""
    client = one.place.server.client
    client.create_bucket(Bucket="alone")
    place = replace(one.place, url=replace(one.place.url, bucket="alone", prefix=""))
    alone = Machine(place, one.emulator, tmp_path / "alone")
    await alone.run("1")
    assert "data/v6/deepfake/1.mp4" in paths_of(place)
    for written in ("s3://alone", "s3://alone/", "S3://alone"):
        where = ("-a", written, "--state-dir", str(alone.home / "state"))
        done = await ended(COMMAND, "status", "--json", *where, env=alone.env(None))
        said = json.loads(done.out)
        assert (said["archive"], said["held"]["generations"]) == ("s3://alone", 1)


async def test_the_environment_names_it(one: Machine) -> None:
    """As it names a directory, and with it how it is reached."""
    env = {name: value for name, value in one.env(None).items() if "ENDPOINT" not in name}
    env |= {
        "ARCHIVER_ARCHIVE": str(one.place.url),
        "ARCHIVER_ENDPOINT_URL": one.place.server.endpoint_url,
        "ARCHIVER_STATE_DIR": str(one.home / "elsewhere"),
    }
    done = await ended(COMMAND, "status", "--json", env=env)
    said = json.loads(done.out)
    assert (said["archive"], said["held"]["generations"]) == (str(one.place.url), 2)
    assert Path(said["state_dir"]).parent == one.home / "elsewhere"


async def test_the_configuration_file_names_it(one: Machine) -> None:
    """The URL is none of the paths that begin where the file is; the state directory is one."""
    config = one.home / "etc" / "archiver.toml"
    config.parent.mkdir()
    config.write_text(
        f'archive = "{one.place.url}"\nstate-dir = "here"\n'
        f'endpoint-url = "{one.place.server.endpoint_url}"\n'
    )
    env = {name: value for name, value in one.env(None).items() if "ENDPOINT" not in name}
    done = await ended(COMMAND, "--config", str(config), "status", "--json", env=env)
    said = json.loads(done.out)
    assert (said["archive"], said["held"]["generations"]) == (str(one.place.url), 2)
    assert Path(said["state_dir"]).parent == config.parent / "here"


async def test_metrics_and_logs_name_the_url(one: Machine, tmp_path: Path) -> None:
    """The label of the metrics is the URL, the log begins with it, and neither has a secret."""
    metrics, log = tmp_path / "archiver.prom", tmp_path / "archiver.log"
    api = ("--api-url", one.emulator.api_url, "--metrics", str(metrics), "--log-file", str(log))
    done = await one.command("backup", str(one.manifest("1")), *api, key=KEY)
    assert done == Ended(0, "", "")
    assert f'archiver_held_generations{{archive="{one.place.url}"}} 2.0' in metrics.read_text()
    assert f"backup begins in {one.place.url}\n" in log.read_text()
    for path in (metrics, log, *one.state.rglob("*")):
        if path.is_file():
            assert one.place.server.secret_key.encode() not in path.read_bytes(), path


HIDDEN = "import sys\nsys.modules['{}'] = None\n"
COMMANDS = {
    "status": (), "export": (), "browse": (), "verify": (), "backup": ("ids.txt",),
    "link": ("by name", "--copy"),
}  # fmt: skip


@pytest.mark.parametrize("missing", ["aiobotocore", "platformdirs"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_without_the_extra_a_line_names_it(
    tmp_path: Path, place: Place, command: str, missing: str
) -> None:
    """Every command ends with status 2, whether or not the state directory is named."""
    (tmp_path / "ids.txt").write_text("263\n")
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(missing))
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path),
        "MODELSLAB_API_KEY": KEY, **place.server.environment,
    }  # fmt: skip
    paths = [arg if arg.startswith("-") else str(tmp_path / arg) for arg in COMMANDS[command]]
    done = await ended(COMMAND, command, *paths, "-a", str(place.url), env=env)
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert done.err.endswith("pip install 'archiver[s3]'\n")


async def test_a_shell_completes_directories_only(tmp_path: Path) -> None:
    """What begins as a URL is left as it is."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "_ARCHIVER_COMPLETE": "bash_complete",
        "COMP_WORDS": "archiver status -a s3://b", "COMP_CWORD": "3",
    }  # fmt: skip
    done = await ended(COMMAND, env=env)
    assert done == Ended(0, "dir,s3://b\n", "")


async def test_what_a_killed_process_has_downloaded_is_deleted(one: Machine) -> None:
    """By a run a day later: until then a command may be at work with it."""
    old, new, other = (one.state / ".archiver" / name for name in (
        "local-abcd1234", "records-abcd1234", "else-abcd1234",
    ))  # fmt: skip
    for directory in (old, new, other):
        directory.mkdir()
        (directory / "263.mp4").write_bytes(MP4)
    for directory in (old, other):
        os.utime(directory, (1, 1))
    await one.run("1")
    assert [directory.exists() for directory in (old, new, other)] == [False, True, True]


def catalogue_of(machine: Machine) -> Catalogue:
    return Catalogue.open(Layout(machine.state).catalogue)


async def test_the_sizes_are_those_of_the_objects(two: Machine) -> None:
    """Learnt by a listing, or by looking at each where they are few."""
    look(two.url)
    with closing(catalogue_of(two)) as catalogue:
        assert catalogue.empty() == []
        assert catalogue.totals()[0] == 5


async def test_every_byte_is_as_recorded(one: Machine) -> None:
    """What is exported of the checksums is true of the objects."""
    for row in await exported(one):
        if row["path"]:
            content = one.place.read(str(row["path"]))
            assert hashlib.sha256(content).hexdigest() == row["sha256"]


# --- What the manual says

BUCKETS = topics()["buckets"]
ACTIONS = {
    "s3:GetObject": ("get_object", "head_object", "copy_object", "upload_part_copy"),
    "s3:PutObject": (
        "put_object", "copy_object", "create_multipart_upload", "upload_part", "upload_part_copy",
        "complete_multipart_upload",
    ),
    "s3:DeleteObject": ("delete_object", "delete_objects"),
    "s3:AbortMultipartUpload": ("abort_multipart_upload",),
    "s3:ListBucket": ("list_objects_v2",),
    "s3:ListBucketMultipartUploads": ("list_multipart_uploads",),
}  # fmt: skip
"""Which requests each action of a policy allows, as Amazon's reference of the S3 API says."""


def test_the_policy_allows_what_is_asked_and_no_more() -> None:
    """Each request that the program makes is allowed by an action, and each action is needed."""
    (block,) = BUCKETS.blocks("json")
    statements = json.loads(block.text)["Statement"]
    allowed = {each["Resource"]: set(each["Action"]) for each in statements}
    of_bucket = {"s3:ListBucket", "s3:ListBucketMultipartUploads"}
    assert allowed == {
        "arn:aws:s3:::my-bucket/videos/*": {*ACTIONS} - of_bucket,
        "arn:aws:s3:::my-bucket": of_bucket,
    }
    sources = (ROOT / "archiver/s3").glob("*.py")
    text = "".join(path.read_text() for path in sources)
    asked = set(re.findall(r"\.client\.([a-z_0-9]+)\b", text)) - {"meta"}
    assert asked == {request for requests in ACTIONS.values() for request in requests}


def scripts() -> list[str]:
    """Return the commands of the page that are ours."""
    commands = (command for script in BUCKETS.scripts() for command in script)
    return [command for command in commands if command.startswith("archiver")]


async def test_each_command_of_the_page_succeeds(one: Machine, tmp_path: Path) -> None:
    """On an archive in a bucket, as it is printed there."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/ids.txt").write_text("1\n2\n")
    env = one.env(KEY) | {
        "PATH": f"{Path(COMMAND).parent}:/usr/bin:/bin",
        "ARCHIVER_API_URL": one.emulator.api_url,
        "ARCHIVER_STATE_DIR": str(one.home / "state"),
    }
    for command in scripts():
        here = command.replace("s3://my-bucket/videos", str(one.place.url))
        here = here.replace("http://127.0.0.1:8333", one.place.server.endpoint_url)
        here = here.replace(" /srv/", f" {tmp_path}/")
        done = await ended("/bin/sh", "-c", here, env=env, within=60)
        assert (done.status, done.err) == (0, ""), here
    assert len(scripts()) == 7
    assert len(list((tmp_path / "by-name").glob("*/*.mp4"))) == 3


async def test_the_requests_are_as_few_as_the_page_says(one: Machine, proxy: StoreProxy) -> None:
    """Two for each generation, and about 15 for a run that has nothing to do, 30 for another."""
    url = replace(one.url, endpoint_url=proxy.endpoint_url)
    settings = Backups(one.home, one.emulator).settings()
    ids = [f"{number}" for number in range(10, 40)]
    some = Script(outputs=(OutputScript(size=10_000),))
    one.emulator.scripts.update({generation(id_): some for id_ in ids})
    await backup(url, [one.manifest(*ids)], settings)
    proxy.forget()
    await backup(url, [one.manifest(*ids)], settings)
    assert len(proxy.came()) <= 20
    proxy.forget()
    more = [f"{number}" for number in range(40, 70)]
    one.emulator.scripts.update({generation(id_): some for id_ in more})
    await backup(url, [one.manifest(*more)], settings)
    assert len(proxy.came("PUT", "/data/")) == 2 * len(more)
    assert len(proxy.came()) - 2 * len(more) <= 40
