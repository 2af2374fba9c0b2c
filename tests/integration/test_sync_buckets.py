"""`archiver sync` to, from and between buckets, on a real S3 server."""

import hashlib
import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.emulator.scripts import OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import NotAnArchive
from archiver.location import BucketUrl
from archiver.pipeline.backup import backup
from archiver.pipeline.indexing import opened_to_read
from archiver.progress import Silent
from archiver.s3.objects import Absent
from archiver.sync.sync import SyncSettings, sync
from tests.support.backups import Backups, assert_true_bag, generation
from tests.support.bodies import body
from tests.support.buckets import assert_lines_true, download, lines_of, paths_of
from tests.support.copies import generation_files, lines_in, make_archive
from tests.support.running import COMMAND, Ended, assert_valid_bag, ended
from tests.support.seaweed import Place, new_place

pytestmark = pytest.mark.slow


@pytest.fixture
async def source(backups: Backups, emulator: Emulator) -> Path:
    """A directory with three generations that a backup has archived."""
    emulator.scripts |= {
        generation("1"): Script(),
        generation("2"): Script(outputs=(OutputScript(size=5_000), OutputScript(size=700_000))),
        generation("realtime/3"): Script(outputs=(OutputScript(size=200_000),)),
    }
    await backups.run(json.dumps({"id": 1, "prompt": "a cat"}))
    await backups.run("2", "realtime/3")
    return backups.archive


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def url(place: Place, state: Path) -> BucketUrl:
    """Return a place in a bucket, as a machine with this state directory reaches it."""
    return replace(place.url, endpoint_url=place.server.endpoint_url, state_dir=state)


def known(location: BucketUrl | Path) -> dict[str, object]:
    """Return what is known of each generation that an archive holds."""
    with opened_to_read(location) as (_, catalogue):
        return {
            each.generation.name: (each.since, each.metadata, [f.properties for f in each.files])
            for each in catalogue.queries.all()
            if each.state == "held"
        }


def written(place: Place) -> dict[str, object]:
    """Return when each object of the archive was written."""
    with place.open() as objects:
        return {each.path: (each.modified, each.etag) for each in objects.list("data/")}


def archive(root: Path, count: int, size: int = 20_000) -> Path:
    """Make an archive of so many generations."""
    files = {
        path: data for n in range(count) for path, data in generation_files(str(n), size).items()
    }
    return make_archive(root, files)


async def test_an_archive_goes_to_a_bucket_and_back(
    source: Path, tmp_path: Path, place: Place, state: Path
) -> None:
    """The downloaded bucket is a valid bag, and so is the copy of the copy; nothing is lost."""
    report = sync(source, url(place, state))
    assert (report.exit_status, report.tally.copied) == (0, 8)
    assert assert_lines_true(place) == lines_in(source)
    await assert_valid_bag(await download(place, tmp_path / "bag"))
    assert [path for path in paths_of(place) if path.startswith(".archiver/")] in (
        [], [".archiver/lease"],
    )  # fmt: skip
    back = tmp_path / "back"
    report = sync(url(place, state), back)
    assert (report.exit_status, report.tally.copied) == (0, 8)
    assert lines_in(back) == lines_in(source)
    assert_true_bag(back)
    await assert_valid_bag(back)
    assert known(back) == known(url(place, state)) == known(source)


async def test_the_store_keeps_the_checksums(source: Path, place: Place, state: Path) -> None:
    """What it reports of each object is the SHA-256 of the line."""
    sync(source, url(place, state))
    with place.open() as objects:
        for path, sha256 in lines_of(place).items():
            found = objects.head(path)
            assert found
            assert found.sha256 == sha256


async def test_a_bucket_is_copied_to_another(
    source: Path, tmp_path: Path, place: Place, state: Path
) -> None:
    """Also by a machine that knows nothing of either."""
    sync(source, url(place, state))
    other = new_place(place.server)
    report = sync(url(place, tmp_path / "new"), url(other, tmp_path / "new"))
    assert (report.exit_status, report.tally.copied) == (0, 8)
    assert assert_lines_true(other) == lines_in(source)
    await assert_valid_bag(await download(other, tmp_path / "bag"))


async def test_a_second_sync_sends_nothing(
    source: Path, tmp_path: Path, place: Place, state: Path
) -> None:
    """Also if the state directory is lost: what the bucket lists is held."""
    sync(source, url(place, state))
    before = written(place)
    for where in (state, tmp_path / "new"):
        report = sync(source, url(place, where))
        assert (report.exit_status, report.tally.copied, report.tally.held) == (0, 0, 8)
    assert written(place) == before


async def test_a_backup_goes_on_in_the_bucket(
    source: Path, backups: Backups, place: Place, state: Path
) -> None:
    """An archive that has moved there is not fetched again."""
    sync(source, url(place, state))
    backups.emulator.forget()
    moved = Backups(url(place, state), backups.emulator)  # type: ignore[arg-type]
    manifest = source.with_name("ids.txt")
    manifest.write_text("1\n2\nrealtime/3\n")
    report = await backup(moved.archive, [manifest], moved.settings())
    assert (report.exit_status, backups.emulator.requests) == (0, [])


def test_objects_that_match_are_listed_and_not_sent(
    tmp_path: Path, place: Place, state: Path
) -> None:
    """The store says which match; others are sent, and what was in their way is quarantined."""
    source = archive(tmp_path / "source", 3, 300_000)
    at = "data/v6/deepfake"
    with place.open() as objects:
        for path in (f"{at}/0.mp4", f"{at}/0.json", f"{at}/1.mp4"):
            objects.put(path, body((source / path).read_bytes()), Absent())
        objects.put(f"{at}/2.mp4", body(b"half of it"), Absent())
        objects.put("bagit.txt", body((source / "bagit.txt").read_bytes()), Absent())
    before = written(place)
    report = sync(source, url(place, state))
    # A generation that is there whole was recovered, as any run would.
    tally = report.tally
    assert (report.exit_status, tally.held, tally.found, tally.copied) == (0, 2, 1, 3)
    assert assert_lines_true(place) == lines_in(source)
    now = written(place)
    assert {path for path in before if now[path] == before[path]} == {*before} - {f"{at}/2.mp4"}
    (aside,) = (path for path in paths_of(place) if "/quarantine/" in path)
    assert place.read(aside) == b"half of it"


def test_many_objects_are_listed_rather_than_asked_for(
    tmp_path: Path, place: Place, state: Path
) -> None:
    """Of some hundred files those are found that are there."""
    source = archive(tmp_path / "source", 120, 10)
    with place.open() as objects:
        objects.put("bagit.txt", body((source / "bagit.txt").read_bytes()), Absent())
        for path in [path for path in lines_in(source) if path.endswith("7.mp4")]:
            objects.put(path, body((source / path).read_bytes()), Absent())
    report = sync(source, url(place, state))
    assert (report.exit_status, report.tally.found, report.tally.copied) == (0, 12, 228)
    assert assert_lines_true(place) == lines_in(source)


def test_a_damaged_object_is_named(tmp_path: Path, place: Place, state: Path) -> None:
    """What a bucket has lost or got wrong is not copied: 4."""
    source = archive(tmp_path / "source", 4)
    sync(source, url(place, state))
    at, client = "data/v6/deepfake", place.server.client
    client.put_object(Bucket=place.url.bucket, Key=place.url.key(f"{at}/1.mp4"), Body=b"no")
    client.delete_object(Bucket=place.url.bucket, Key=place.url.key(f"{at}/2.mp4"))
    report = sync(url(place, state), tmp_path / "copy")
    assert report.exit_status == 4
    assert {(p.kind, p.path) for p in report.tally.kept} == {
        ("changed", f"{at}/1.mp4"), ("missing", f"{at}/2.mp4"),
    }  # fmt: skip
    assert report.tally.copied == 6
    assert_true_bag(tmp_path / "copy")


def test_tags_go_along(tmp_path: Path, place: Place, state: Path) -> None:
    """Those of other people, and the mark of a shard, there and back."""
    source = archive(tmp_path / "source", 1)
    (source / "bag-info.txt").write_text("Contact-Name: Ada\nArchiver-Shard: 0/8\n")
    sync(source, url(place, state))
    assert place.read("bag-info.txt").startswith(b"Contact-Name: Ada\nArchiver-Shard: 0/8\n")
    sync(url(place, tmp_path / "new"), tmp_path / "back")
    info = (tmp_path / "back/bag-info.txt").read_text()
    assert info.startswith("Contact-Name: Ada\nArchiver-Shard: 0/8\n")


def test_files_of_no_generation_are_objects_too(tmp_path: Path, place: Place, state: Path) -> None:
    """Whatever they are called, there and back; also one of no bytes."""
    files = {"data/notes/ä b+%.txt": b"of another program", "data/.keep": b""}
    source = make_archive(tmp_path / "source", {})
    for path, content in files.items():
        (source / path).parent.mkdir(exist_ok=True)
        (source / path).write_bytes(content)
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path.replace('%', '%25')}\n"
        for path, content in files.items()
    )
    (source / "manifest-sha256.txt").write_text(lines)
    assert sync(source, url(place, state)).tally.copied == 2
    assert sync(url(place, state), tmp_path / "back").tally.copied == 2
    for path, content in files.items():
        assert (tmp_path / "back" / path).read_bytes() == content
    back = (tmp_path / "back/manifest-sha256.txt").read_text()
    assert sorted(back.splitlines()) == sorted(lines.splitlines())


def test_a_bucket_without_an_archive_is_no_source(
    tmp_path: Path, place: Place, state: Path
) -> None:
    """And no target is made for it."""
    with pytest.raises(NotAnArchive, match="there is no archive"):
        sync(url(place, state), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


class _Interrupting(Silent):
    """Sends a signal once so many bytes have come."""

    def __init__(self, count: int) -> None:
        self._left = count

    def received(self, count: int) -> None:
        """Count them."""
        before, self._left = self._left, self._left - count
        if before > 0 >= self._left:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_ends_a_sync_to_a_bucket_in_order(
    tmp_path: Path, place: Place, state: Path
) -> None:
    """What is sent whole is listed, and the next sync does the rest."""
    source = archive(tmp_path / "source", 100, 30_000)
    settings = SyncSettings(limit_rate=3_000_000)
    report = sync(source, url(place, state), settings, _Interrupting(1_000_000))
    assert report.exit_status == 130
    assert 0 < report.tally.copied < 200
    listed = assert_lines_true(place)
    assert len(listed) == report.tally.copied
    before = written(place)
    again = sync(source, url(place, state))
    assert again.exit_status == 0
    assert again.tally.copied + again.tally.found <= 200 - len(listed)  # the rest is recovered
    now = written(place)
    assert {path: now[path] for path in before} == before
    assert assert_lines_true(place) == lines_in(source)


# --- The command


async def command(place: Place, *args: object) -> Ended:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **place.server.environment}
    return await ended(COMMAND, "sync", *map(str, args), env=env, within=60)


async def test_the_command_copies_there_and_back(
    source: Path, tmp_path: Path, place: Place, state: Path
) -> None:
    """Silent when all is well; a dry run writes nothing to the bucket."""
    at = ("--state-dir", state)
    dry = await command(place, *at, "--dry-run", source, place.url)
    assert (dry.status, len(dry.out.splitlines())) == (0, 8)
    assert paths_of(place) == []
    assert await command(place, *at, source, place.url) == Ended(0, "", "")
    assert await command(place, *at, place.url, tmp_path / "back") == Ended(0, "", "")
    assert lines_in(tmp_path / "back") == lines_in(source)
    for two in ((place.url, place.url), (place.url, f"{place.url}/copy")):
        refused = await command(place, *at, *two)
        assert refused.status == 2, refused
        assert re.search(r"the same place|an archive cannot be part of its copy", refused.err)


async def test_the_two_places_may_have_two_endpoints(
    source: Path, tmp_path: Path, place: Place, state: Path
) -> None:
    """`--source-endpoint-url` is that of the source alone; by default both have one."""
    at, here = ("--state-dir", state), place.server.endpoint_url
    other, nowhere = new_place(place.server), "http://127.0.0.1:9"
    assert (await command(place, *at, "--endpoint-url", here, source, place.url)).status == 0
    both = ("--source-endpoint-url", here, "--endpoint-url", here)
    assert await command(place, *at, *both, place.url, other.url) == Ended(0, "", "")
    one = ("--source-endpoint-url", here, "--endpoint-url", nowhere)
    assert await command(place, *at, *one, place.url, tmp_path / "back") == Ended(0, "", "")
