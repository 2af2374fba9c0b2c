"""An archive in a bucket keeps every promise of one in a directory, on a real S3 server."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archiver.catalogue.store import Catalogue
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import NotAnArchive
from archiver.outcomes import Archived
from archiver.settings import BucketSettings, Timings
from tests.support.backups import KEY, generation
from tests.support.buckets import (
    Machine,
    assert_lines_true,
    download,
    lease_of,
    lines_of,
    paths_of,
)
from tests.support.running import assert_valid_bag, until
from tests.support.seaweed import Place, SeaweedFS, new_place
from tests.support.store_proxy import Hold, Respond, StoreProxy

pytestmark = pytest.mark.slow

SMALL, LARGE = OutputScript(size=20_000), OutputScript(size=700_000)
FEW = {
    generation("1"): Script(outputs=(SMALL,)),
    generation("2"): Script(outputs=(SMALL, LARGE)),
    generation("3"): Script(outputs=(LARGE,)),
    generation("4"): Script(response="failed"),
}
IDS = tuple(each.id for each in FEW)


@pytest.fixture
def machine(tmp_path: Path, emulator: Emulator, place: Place) -> Machine:
    emulator.scripts.update(FEW)
    return Machine(place, emulator, tmp_path / "one")


@pytest.fixture
def own_place(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place on a server of its own, which may be killed."""
    with SeaweedFS(tmp_path / "own") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield new_place(server)


async def test_what_is_archived_is_a_valid_bag(machine: Machine, tmp_path: Path) -> None:
    """Downloaded, the bucket satisfies `sha256sum` and an independent BagIt validator."""
    report = await machine.run(*IDS)
    assert (report.archived, report.failed, report.exit_status) == (3, 1, 3)
    assert len(assert_lines_true(machine.place)) == 7
    bag = await download(machine.place, tmp_path / "bag")
    await assert_valid_bag(bag)
    assert {path.name for path in bag.iterdir()} == {
        ".archiver", "bag-info.txt", "bagit.txt", "data", "manifest-sha256.txt",
    }  # fmt: skip
    whole = machine.emulator.payload(generation("3"), 1).whole()
    assert machine.place.read("data/v6/deepfake/3.mp4") == whole


async def test_between_runs_nothing_else_is_left(machine: Machine) -> None:
    """The lease is released, every segment is rolled up, nothing is staged here."""
    await machine.run(*IDS[:3])
    left = [path for path in paths_of(machine.place) if path.startswith(".archiver/")]
    assert left == [".archiver/lease"]
    assert lease_of(machine.place)["released"] is True
    assert list((machine.state / ".archiver/incoming").iterdir()) == []
    assert (machine.state / ".archiver/uploads.jsonl").read_text() == ""


async def test_what_is_held_is_not_asked_for_again(machine: Machine) -> None:
    """A second run downloads and uploads nothing."""
    await machine.run(*IDS[:3])
    before = paths_of(machine.place)
    machine.emulator.forget()
    report = await machine.run(*IDS[:3])
    assert (report.exit_status, report.archived) == (0, 0)
    assert machine.emulator.requests == []
    assert paths_of(machine.place) == before


async def test_losing_the_state_directory_loses_history_only(
    machine: Machine, tmp_path: Path
) -> None:
    """Another machine, or one that lost its disk, knows from the bucket what is held."""
    await machine.run(*IDS[:3])
    machine.emulator.forget()
    other = Machine(machine.place, machine.emulator, tmp_path / "two")
    machine.emulator.scripts[generation("5")] = Script()
    report = await other.run(*IDS[:3], "5")
    assert (report.archived, report.exit_status) == (1, 0)
    assert {seen.generation for seen in machine.emulator.requests} == {generation("5")}
    again = await machine.run(*IDS[:3], "5")
    assert (again.archived, again.exit_status) == (0, 0)
    assert len(assert_lines_true(machine.place)) == 9


async def test_other_objects_are_no_archive(machine: Machine) -> None:
    """A prefix with other people's objects is refused, and nothing is written there."""
    client = machine.place.server.client
    client.put_object(
        Bucket=machine.place.url.bucket, Key=machine.place.url.key("notes.txt"), Body=b"mine"
    )
    with pytest.raises(NotAnArchive, match=r"notes\.txt"):
        await machine.run("1")
    assert paths_of(machine.place) == ["notes.txt"]


async def test_an_object_in_the_way_is_quarantined(machine: Machine) -> None:
    """What no line names is not trusted: it is copied aside, and the video takes its place."""
    await machine.run("1")
    path = "data/v6/deepfake/3.mp4"
    machine.place.server.client.put_object(
        Bucket=machine.place.url.bucket, Key=machine.place.url.key(path), Body=b"something else"
    )
    report = await machine.run("3")
    assert isinstance(machine.outcomes[0], Archived)
    assert report.exit_status == 0
    assert_lines_true(machine.place)
    aside = [each for each in paths_of(machine.place) if "/quarantine/" in each]
    assert [each.rpartition(".archiver/quarantine/")[2].partition("/")[2] for each in aside] == [
        path
    ]
    assert machine.place.read(aside[0]) == b"something else"


async def test_a_store_that_goes_ends_the_run_and_loses_nothing(
    tmp_path: Path, emulator: Emulator, own_place: Place
) -> None:
    """Exit status 74; what was downloaded is kept here, and needs no link the next time."""
    machine = Machine(own_place, emulator, tmp_path / "one")
    ids = [str(number) for number in range(10, 26)]
    for each in ids:
        link = LinkScript(seconds=0.0 if each < "20" else 0.6)
        emulator.scripts[generation(each)] = Script(
            outputs=(OutputScript(size=30_000, primary=link),)
        )
    bucket = BucketSettings(timeout=5, retries=2, pause_first=0.05)
    running = asyncio.ensure_future(machine.run(*ids, bucket=bucket))
    await until(lambda: machine.downloads() >= 8)
    own_place.server.kill()
    report = await running
    assert report.exit_status == 74
    own_place.server.start()
    downloaded = {seen.generation for seen in emulator.requests if seen.number}
    emulator.forget()
    again = await machine.run(*ids)
    assert again.exit_status == 0
    assert len(assert_lines_true(own_place)) == 2 * len(ids)
    twice = {seen.generation for seen in emulator.requests if seen.number} & downloaded
    assert len(twice) < len(downloaded) / 2


async def test_the_command_says_nothing_when_all_is_well(machine: Machine) -> None:
    """The installed program, as cron runs it: silent, status 0, no secret in any file."""
    result = await machine.backup(*IDS[:3], key=KEY)
    assert (result.status, result.out, result.err) == (0, "", "")
    secrets = [KEY, machine.place.server.secret_key, machine.place.server.access_key]
    for file in machine.home.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in data], file
    for path in paths_of(machine.place):
        assert KEY.encode() not in machine.place.read(path)


async def test_a_dry_run_knows_what_the_bucket_holds(machine: Machine, tmp_path: Path) -> None:
    """Also where the state directory is new; and it writes nothing to the bucket."""
    await machine.run("1")
    before = paths_of(machine.place)
    other = Machine(machine.place, machine.emulator, tmp_path / "two")
    manifest = str(other.manifest("1", "2"))
    result = await other.command("backup", "--dry-run", manifest)
    assert (result.status, result.out) == (0, "would fetch v6/deepfake/2\n")
    assert paths_of(machine.place) == before


async def test_one_machine_at_a_time(machine: Machine, tmp_path: Path) -> None:
    """While one works in the archive, another ends with 75 and says which does."""
    other = Machine(machine.place, machine.emulator, tmp_path / "two")
    output = OutputScript(size=30_000, primary=LinkScript(seconds=3))
    machine.emulator.scripts[generation("9")] = Script(outputs=(output,))
    running = asyncio.ensure_future(machine.run("9"))
    await until(machine.downloads)
    result = await other.backup("1", key=KEY)
    assert result.status == 75
    assert f"process {os.getpid()}" in result.err
    report = await running
    assert (report.archived, report.exit_status) == (1, 0)
    assert (await other.backup("1", key=KEY)).status == 0


async def test_the_store_keeps_the_recorded_checksum(machine: Machine) -> None:
    """What it reports of an object is the SHA-256 of the line."""
    await machine.run(*IDS[:3])
    with machine.place.open() as objects:
        for path, sha256 in lines_of(machine.place).items():
            found = objects.head(path)
            assert found
            assert found.sha256 == sha256


async def test_a_run_that_is_ended_keeps_what_it_was_sending(machine: Machine) -> None:
    """Time is up while a video is sent: it is not in the bucket, is here, and needs no link."""
    machine.emulator.scripts[generation("9")] = Script(outputs=(LARGE,))
    slow = BucketSettings(limit_rate=50_000)
    timings = Timings(grace=0.2)
    report = await machine.run("9", bucket=slow, max_time=2.0, timings=timings)
    assert report.archived == 0
    assert lines_of(machine.place) == {}
    assert "data/v6/deepfake/9.mp4" not in paths_of(machine.place)
    machine.emulator.forget()
    assert (await machine.run("9")).exit_status == 0
    assert machine.downloads() == 0
    assert len(assert_lines_true(machine.place)) == 2


async def test_what_is_listed_is_replaced_only_once_its_line_is_withdrawn(
    machine: Machine, proxy: StoreProxy
) -> None:
    """One video of two is gone, with its line, and both are served in other bytes now."""
    place = machine.place
    machine.place = place.at(proxy.endpoint_url)
    await machine.run("2")
    lines = place.read("manifest-sha256.txt").decode().splitlines(keepends=True)
    gone, kept = "data/v6/deepfake/2-1.mp4", "data/v6/deepfake/2-2.mp4"
    rest = "".join(line for line in lines if gone not in line)
    client, bucket = place.server.client, place.url.bucket
    client.put_object(Bucket=bucket, Key=place.url.key("manifest-sha256.txt"), Body=rest.encode())
    client.delete_object(Bucket=bucket, Key=place.url.key(gone))
    script = Script(outputs=(SMALL, OutputScript(size=600_000)))
    machine.emulator.scripts[generation("2")] = script
    withdrawing = "quarantine/.*/manifest-sha256.txt"
    held = Hold()
    proxy.instruct(held, "PUT", withdrawing)
    running = asyncio.ensure_future(machine.run("2"))
    await until(lambda: proxy.came("PUT", withdrawing))
    before = assert_lines_true(place)
    held.released.set()
    assert (await running).archived == 1
    assert assert_lines_true(place)[kept] != before[kept]


async def test_a_machine_that_ran_last_needs_no_listing(
    machine: Machine, proxy: StoreProxy
) -> None:
    """Its journal has all that may have been sent and not listed."""
    machine.place = machine.place.at(proxy.endpoint_url)
    await machine.run("1")
    proxy.forget()
    await machine.run("3")
    assert proxy.came("PUT", "data/v6/deepfake/3.mp4")
    assert proxy.came("GET", "prefix=[^&]*data%2F") == []


async def test_what_another_machine_has_sent_and_not_listed_is_recovered(
    machine: Machine, proxy: StoreProxy, tmp_path: Path
) -> None:
    """Though that run has ended in order: its store took no lines."""
    await machine.run("1")
    other = Machine(machine.place.at(proxy.endpoint_url), machine.emulator, tmp_path / "other")
    proxy.instruct(Respond(503, "SlowDown"), "PUT", "segments", times=99)
    failed = await other.run("2", bucket=BucketSettings(retries=1, pause_first=0.05))
    assert failed.exit_status == 74
    machine.emulator.forget()
    assert (await machine.run("3")).exit_status == 0
    lines = assert_lines_true(machine.place)
    assert "data/v6/deepfake/2-1.mp4" in lines
    assert {path for path in paths_of(machine.place) if path.startswith("data/")} == set(lines)
    assert machine.emulator.downloads(generation("2")) == 0


async def test_what_the_store_refuses_is_that_generation_alone(
    machine: Machine, proxy: StoreProxy
) -> None:
    """Bytes that are damaged on their way are refused by the store; the others are archived."""
    machine.place = machine.place.at(proxy.endpoint_url)
    proxy.instruct(Respond(400, "BadDigest"), "PUT", r"data/v6/deepfake/3\.mp4")
    report = await machine.run(*IDS[:3])
    assert (report.archived, report.failed, report.exit_status) == (2, 1, 3)
    assert "other bytes" in str(machine.outcomes)
    assert {path for path in assert_lines_true(machine.place) if "/3." in path} == set()


async def test_ones_own_generations_are_archived_in_a_bucket(machine: Machine) -> None:
    """With --discover, also what is listed alone; and what is held is not downloaded again."""
    report = await machine.run(*IDS[:1], discover=("video",))
    assert (report.archived, report.exit_status) == (3, 0)
    assert len(assert_lines_true(machine.place)) == 7
    machine.emulator.forget()
    again = await machine.run(*IDS[:1], discover=("video",))
    assert (again.archived, again.exit_status, machine.downloads()) == (0, 0, 0)


async def test_a_machine_that_is_new_reads_the_sidecars(machine: Machine, tmp_path: Path) -> None:
    """What was asked for is known there after its first backup, too."""
    ids = [str(number) for number in range(100, 140)]
    for each in ids:
        meta = {"prompt": f"prompt {each}"}
        machine.emulator.scripts[generation(each)] = Script(outputs=(SMALL,), meta=meta)
    await machine.run(*ids)
    other = Machine(machine.place, machine.emulator, tmp_path / "two")
    assert (await other.run(*ids)).exit_status == 0
    with closing(Catalogue.open(other.state / ".archiver/catalogue.sqlite")) as catalogue:
        known = [catalogue.queries.of(generation(each)).metadata.prompt for each in ids]
    assert known == [f"prompt {each}" for each in ids]
