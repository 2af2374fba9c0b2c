"""Fixity in a bucket: what the store reports, what is read back, and what a repair does there."""

import asyncio
import hashlib
import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from archiver.archive.lock import locked
from archiver.bucket import lease as leases
from archiver.bucket.segments import Segments
from archiver.bucket.sender import Sender
from archiver.catalogue.store import Catalogue
from archiver.checksums import BagFile
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.errors import ArchiveLocked, NotAnArchive, StorageError
from archiver.fixity.repair import repair
from archiver.fixity.report import FixityReport
from archiver.fixity.verify import Selection, verify
from archiver.stores import open_store
from tests.support.backups import Backups, generation
from tests.support.buckets import Machine, assert_lines_true, download, paths_of
from tests.support.running import assert_valid_bag, ended, until
from tests.support.seaweed import Place, SeaweedFS, new_place
from tests.support.store_proxy import Corrupt, Respond, StoreProxy

pytestmark = pytest.mark.slow

ALL, READ = Selection(), Selection(read=True)
ONE = "data/v6/deepfake/1.mp4"
TWO = "data/v6/deepfake/2-2.mp4"
RESPONSE = "data/v6/deepfake/1.json"
MANIFEST = "manifest-sha256.txt"
FILES = 7
IDS = ("1", "2", "3")
_IMPATIENT = """
from functools import partial
from archiver.__main__ import main
from archiver.s3 import client
client.BucketSettings = partial(client.BucketSettings, retries=3, pause_first=0.05)
main()
"""
"""The command, but for how long a store is waited for."""


class Objects:
    """What another program does to the objects of an archive."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def put(self, path: str, body: bytes, *, checked: bool = True) -> None:
        """Write an object, with its checksum or without one."""
        sums = {"ChecksumSHA256": b64encode(hashlib.sha256(body).digest()).decode()}
        self._client.put_object(**self._at(path), Body=body, **(sums if checked else {}))

    def delete(self, path: str) -> None:
        """Delete an object."""
        self._client.delete_object(**self._at(path))

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """Write another text into an object."""
        self.put(path, change(self.place.read(path).decode()).encode())

    def edit_line(self, change: Callable[[str], str], path: str = ONE) -> None:
        """Change a line of the checksum manifest."""
        self.edit(MANIFEST, lambda text: _edited(text, path, change))

    @property
    def _client(self) -> Any:
        return self.place.server.client

    def _at(self, path: str) -> dict[str, str]:
        return {"Bucket": self.place.url.bucket, "Key": self.place.url.key(path)}


def _edited(text: str, path: str, change: Callable[[str], str]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(change(line) if line.endswith(f"  {path}\n") else line for line in lines)


@pytest.fixture
async def held(tmp_path: Path, emulator: Emulator, place: Place) -> Machine:
    """An archive that holds three generations."""
    for id_ in IDS:
        emulator.scripts[generation(id_)] = Script()
    two = (OutputScript(), OutputScript(size=7_000))
    emulator.scripts[generation("2")] = Script(outputs=two)
    machine = Machine(place, emulator, tmp_path / "one")
    report = await machine.run(*IDS)
    assert report.archived == 3
    emulator.forget()
    return machine


@pytest.fixture
def objects(held: Machine) -> Objects:
    return Objects(held.place)


@pytest.fixture
def other(held: Machine, tmp_path: Path) -> Machine:
    """Another machine, which knows nothing of the archive yet."""
    return Machine(held.place, held.emulator, tmp_path / "two")


async def verified(
    machine: Machine, selection: Selection = ALL, endpoint_url: str | None = None
) -> FixityReport:
    url = replace(machine.url, endpoint_url=endpoint_url or machine.url.endpoint_url)
    return await asyncio.to_thread(verify, url, selection)


async def repaired(
    machine: Machine, selection: Selection = ALL, *, accept_changed: bool = False
) -> FixityReport:
    settings = Backups(machine.home, machine.emulator).settings()
    return await repair(machine.url, selection, settings, accept_changed=accept_changed)


def found(report: FixityReport) -> list[tuple[str, str]]:
    """Return the kind and the path of each finding, in the manifest without the line's number."""
    return [(finding.kind, finding.path.partition(":")[0]) for finding in report.findings]


def quarantined(machine: Machine, path: str) -> list[bytes]:
    """Return what lies in the quarantine of an object."""
    return [
        machine.place.read(each)
        for each in paths_of(machine.place)
        if re.fullmatch(rf"\.archiver/quarantine/[^/]+/{re.escape(path)}", each)
    ]


async def assert_in_order(machine: Machine, directory: Path) -> None:
    """Nothing is found by reading, each line is true, and the downloaded bag validates."""
    assert (await verified(machine, READ)).findings == []
    assert_lines_true(machine.place)
    await assert_valid_bag(await download(machine.place, directory))


async def test_the_store_is_asked_of_every_object(held: Machine) -> None:
    """By default no object is read, and the report says so, in words and in numbers."""
    report = await verified(held)
    audit = report.audit
    assert (audit.listed, audit.reported, audit.read, audit.bytes) == (FILES, FILES, 0, 0)
    assert (report.findings, report.exit_status) == ([], 0)
    assert next(report.lines()).startswith(
        "7 of 7 files checked by what the store reports, none read back, in "
    )
    numbers = report.as_json()
    assert [numbers[name] for name in ("checked", "read", "reported")] == [7, 0, 7]
    assert held.emulator.requests == []


async def test_every_object_is_read_back_on_demand(held: Machine) -> None:
    """With `--read` every byte is hashed here."""
    report = await verified(held, READ)
    size = sum(len(held.place.read(path)) for path in paths_of(held.place) if path[:4] == "data")
    audit = report.audit
    assert (audit.reported, audit.read, audit.bytes) == (0, FILES, size)
    assert (report.findings, report.exit_status) == ([], 0)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda to: to.put(ONE, b"something else"), [("changed", ONE)]),
        (lambda to: to.put(ONE, to.place.read(ONE)[:100]), [("changed", ONE)]),
        (lambda to: to.put(ONE, b"", checked=False), [("changed", ONE)]),
        (lambda to: to.put(RESPONSE, b"{}"), [("changed", RESPONSE)]),
        (lambda to: to.delete(ONE), [("missing", ONE)]),
        (lambda to: to.put("data/notes.txt", b"x"), [("unexpected", "data/notes.txt")]),
        (lambda to: to.put("data/v6/", b""), []),
        (lambda to: to.edit_line(lambda line: ""), [("contradictory", ONE)]),
        (lambda to: to.edit_line(lambda line: "0" * 64 + line[64:]),
         [("changed", ONE), ("contradictory", ONE)]),
        (lambda to: to.edit_line(lambda line: line[:30] + "\n"),
         [("contradictory", MANIFEST), ("contradictory", ONE)]),
        (lambda to: to.edit_line(lambda line: line + line), [("contradictory", ONE)]),
        (lambda to: to.edit_line(lambda line: line.upper().replace("DATA/V6/DEEPFAKE/1.MP4", ONE)),
         []),
        (lambda to: to.delete("bagit.txt"), [("missing", "bagit.txt")]),
        (lambda to: to.put("bagit.txt", b"mine"), [("contradictory", "bagit.txt")]),
        (lambda to: to.edit("bag-info.txt", lambda text: text.replace("Oxum: ", "Oxum: 1")),
         [("contradictory", "bag-info.txt")]),
        (lambda to: to.put("manifest-sha512.txt", b"00  data/x\n"),
         [("contradictory", "manifest-sha512.txt"), ("contradictory", "manifest-sha512.txt")]),
        (lambda to: to.put("tagmanifest-md5.txt", b"00  bagit.txt\n"),
         [("contradictory", "tagmanifest-md5.txt")]),
        (lambda to: to.put("tagmanifest-md5.txt", b"00  ../outside\n00  gone.txt\n"),
         [("contradictory", "tagmanifest-md5.txt"), ("contradictory", "tagmanifest-md5.txt")]),
    ],
)  # fmt: skip
async def test_each_damage_has_its_name(
    held: Machine,
    objects: Objects,
    damage: Callable[[Objects], object],
    expected: list[tuple[str, str]],
) -> None:
    """The findings name the damage, whichever way it is looked for, and the exit status is 4."""
    damage(objects)
    for selection in (ALL, READ):
        report = await verified(held, selection)
        assert sorted(found(report)) == sorted(expected)
        assert report.exit_status == (4 if expected else 0)
        assert all(str(finding).isprintable() for finding in report.findings)


async def test_the_manifest_that_is_gone_is_missing(held: Machine, objects: Objects) -> None:
    """Each file is then contradictory, as the catalogue knows it; a repair lists them again."""
    objects.delete(MANIFEST)
    report = await verified(held)
    assert ("missing", MANIFEST) in found(report)
    assert len(report.findings) == FILES + 1
    assert (await repaired(held)).exit_status == 0
    assert len(assert_lines_true(held.place)) == FILES


async def test_an_object_without_a_checksum_does_not_count_as_verified(
    held: Machine, objects: Objects
) -> None:
    """What another program has put there is named, until it is read back."""
    objects.put(ONE, held.place.read(ONE), checked=False)
    report = await verified(held)
    (finding,) = report.findings
    assert (finding.kind, finding.path) == ("unverified", ONE)
    assert finding.detail == "the store keeps no checksum of it: --read reads it back"
    assert (report.audit.checked, report.audit.reported, report.exit_status) == (6, 6, 4)
    assert (await verified(held, READ)).exit_status == 0


async def test_only_what_was_read_is_verified_from_then_on(held: Machine) -> None:
    """A sample reads what was read longest ago, and asks the store about the others."""
    with closing(Catalogue.open(held.state / ".archiver/catalogue.sqlite")) as catalogue:
        catalogue.connection.execute("UPDATE file SET verified = NULL")
        catalogue.connection.commit()
    await verified(held)
    sample = replace(ALL, sample=0.5)
    audits = [(await verified(held, sample)).audit for _ in range(2)]
    assert [(audit.read, audit.reported) for audit in audits] == [(4, 3), (4, 3)]
    audit = (await verified(held, replace(ALL, older_than=3600))).audit
    assert (audit.read, audit.reported) == (0, FILES)


async def test_reading_finds_what_the_store_does_not_know(held: Machine, proxy: StoreProxy) -> None:
    """Bytes that have changed under the store are found by reading alone, and it is not hidden."""
    for _ in range(2):
        proxy.instruct(Corrupt(50), "GET", "/1.mp4")
    report = await verified(held, endpoint_url=proxy.endpoint_url)
    assert (found(report), report.audit.read) == ([], 0)
    assert proxy.came("GET", "/1.mp4") == []
    report = await verified(held, READ, proxy.endpoint_url)
    assert (found(report), report.exit_status) == ([("changed", ONE)], 4)


async def test_a_size_that_is_another_is_read_back(held: Machine) -> None:
    """Where the recorded size contradicts a checksum that is right, the bytes decide."""
    with closing(Catalogue.open(held.state / ".archiver/catalogue.sqlite")) as catalogue:
        catalogue.set_sizes([(ONE, 17)])
    report = await verified(held)
    assert (report.findings, report.audit.read, report.audit.reported) == ([], 1, FILES - 1)
    assert (await verified(held)).audit.read == 0


async def test_a_store_that_is_busy_is_asked_again(held: Machine, proxy: StoreProxy) -> None:
    """A few 503s are no finding: each request is repeated with backoff."""
    for selection in (ALL, READ):
        proxy.instruct(Respond(503, "SlowDown"), "HEAD|GET", "data", times=2)
        report = await verified(held, selection, proxy.endpoint_url)
        assert (report.findings, report.audit.checked) == ([], FILES)
        assert len([each for each in proxy.came() if each.status == 503]) == 2
        proxy.forget()


async def test_an_object_that_the_store_cannot_give_is_unreadable(
    held: Machine, proxy: StoreProxy
) -> None:
    """The others are checked all the same."""
    proxy.instruct(Respond(501, "NotImplemented"), "HEAD|GET", "/1.mp4", times=1000)
    for selection in (ALL, READ):
        report = await verified(held, selection, proxy.endpoint_url)
        assert (found(report), report.audit.checked) == ([("unreadable", ONE)], FILES)


@pytest.mark.parametrize("selection", [ALL, READ], ids=["reported", "read"])
async def test_a_store_that_is_gone_is_no_finding(
    held: Machine, proxy: StoreProxy, selection: Selection
) -> None:
    """It ends the run with 74, as a disk that fails does: nothing is said of any file."""
    for target in ("data/", MANIFEST):
        proxy.instruct(Respond(501, "NotImplemented"), "HEAD", target, times=10_000)
    proxy.instruct(Respond(501, "NotImplemented"), "GET", r"data/v6/.*mp4", times=10_000)
    with pytest.raises(StorageError) as caught:
        await verified(held, selection, proxy.endpoint_url)
    assert caught.value.exit_status == 74


async def test_another_machine_verifies_without_any_records(
    held: Machine, other: Machine, objects: Objects
) -> None:
    """All that is needed is in the bucket; what it has read it remembers."""
    assert (await verified(other)).findings == []
    objects.put(ONE, b"other")
    objects.delete(TWO)
    assert sorted(found(await verified(other, READ))) == [("changed", ONE), ("missing", TWO)]
    audit = (await verified(other, replace(ALL, older_than=3600))).audit
    assert (audit.read, audit.reported) == (1, FILES - 1 - 1)


async def test_old_records_of_another_machine_ring_no_alarm(held: Machine, other: Machine) -> None:
    """What this machine knows is older than the bucket, and that is no damage."""
    await verified(other)
    held.emulator.scripts[generation("5")] = Script()
    assert (await held.run("5")).archived == 1
    report = await verified(other)
    assert (report.findings, report.audit.listed) == ([], FILES + 2)


def test_what_is_no_archive_is_named(place: Place, tmp_path: Path, emulator: Emulator) -> None:
    """A prefix without an archive is an error, and stays as it is."""
    with pytest.raises(NotAnArchive, match=MANIFEST):
        verify(Machine(place, emulator, tmp_path / "one").url)
    assert place.keys() == []


async def test_verify_needs_no_lease(held: Machine, other: Machine) -> None:
    """It works while a run here has lock and lease; a repair does not, from wherever."""
    with open_store(held.url):
        assert (await verified(held)).findings == []
        assert (await verified(other)).findings == []
        for machine in (held, other):
            with pytest.raises(ArchiveLocked):
                await repaired(machine)


@pytest.mark.parametrize(
    "damage",
    [
        lambda to: to.put(ONE, b"something else"),
        lambda to: to.put(ONE, to.place.read(ONE)[:1000], checked=False),
        lambda to: to.delete(ONE),
    ],
    ids=["overwritten", "truncated", "deleted"],
)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_a_matching_download_repairs_an_object(
    held: Machine, other: Machine, tmp_path: Path, damage: Callable[[Objects], object],
    elsewhere: bool,
) -> None:  # fmt: skip
    """It is downloaded again, on any machine; what lay in its place is quarantined."""
    before = held.place.read(ONE)
    damage(Objects(held.place))
    there = ONE in paths_of(held.place)
    damaged = [held.place.read(ONE)] if there else []
    machine = other if elsewhere else held
    report = await repaired(machine, READ if elsewhere else ALL)  # the size is known here alone
    assert (report.exit_status, [*report.repairs.done]) == (0, [ONE]), [*report.lines()]
    assert held.place.read(ONE) == before
    assert quarantined(held, ONE) == damaged
    await assert_in_order(machine, tmp_path / "bag")


async def test_an_object_corrupted_under_the_store_is_repaired_after_reading(
    held: Machine, objects: Objects, tmp_path: Path
) -> None:
    """An object without a checksum of the store's is replaced where its bytes are other ones."""
    whole = held.place.read(ONE)
    objects.put(ONE, whole[:-1] + b"X", checked=False)
    report = await repaired(held)
    assert (report.exit_status, found(report)) == (4, [("unverified", ONE)])
    report = await repaired(held, READ)
    assert (report.exit_status, [*report.repairs.done]) == (0, [ONE])
    assert held.place.read(ONE) == whole
    await assert_in_order(held, tmp_path / "bag")


async def test_another_file_replaces_an_object_on_demand_alone(
    held: Machine, objects: Objects, tmp_path: Path
) -> None:
    """With `--accept-changed` the new object and its line replace the old ones."""
    objects.put(ONE, b"damaged")
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    report = await repaired(held)
    assert "--accept-changed" in report.repairs.failed[ONE]
    assert (report.exit_status, held.place.read(ONE)) == (4, b"damaged")
    report = await repaired(held, accept_changed=True)
    assert (report.exit_status, [*report.repairs.done]) == (0, [ONE]), [*report.lines()]
    assert held.place.read(ONE) == held.emulator.payload(generation("1")).whole()
    assert quarantined(held, ONE) == [b"damaged"]
    await assert_in_order(held, tmp_path / "bag")


async def test_an_object_that_cannot_be_fetched_stays_as_it_is(
    held: Machine, objects: Objects
) -> None:
    """A damaged video that ModelsLab no longer has is neither deleted nor forgotten."""
    objects.put(ONE, b"damaged")
    held.emulator.scripts[generation("1")] = Script(response="failed")
    report = await repaired(held)
    assert "failed v6/deepfake/1" in report.repairs.failed[ONE]
    assert (report.exit_status, held.place.read(ONE)) == (4, b"damaged")
    assert found(await verified(held)) == [("changed", ONE)]
    assert (await held.run("1")).already_held == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda line: "",
        lambda line: "0" * 64 + line[64:],
        lambda line: line[:30] + "\n",
        lambda line: line + "0" * 64 + line[64:],
        lambda line: line + "garbage\n",
        lambda line: line + line.replace("  ", " *"),
    ],
    ids=["missing", "wrong", "cut", "twice", "garbage", "listed twice"],
)
async def test_a_damaged_line_is_repaired(
    held: Machine, objects: Objects, tmp_path: Path, change: Callable[[str], str]
) -> None:
    """Catalogue and object agree against the line: nothing is downloaded from a link."""
    objects.edit_line(change)
    odd = held.place.read(MANIFEST)
    report = await repaired(held)
    assert report.exit_status == 0, [*report.lines()]
    assert held.emulator.requests == []
    assert odd in quarantined(held, MANIFEST)
    assert len(assert_lines_true(held.place)) == FILES
    await assert_in_order(held, tmp_path / "bag")


async def test_the_number_of_a_line_is_that_in_the_object(held: Machine, objects: Objects) -> None:
    """Whoever downloads the checksum manifest finds the line there."""
    objects.edit(MANIFEST, lambda text: text + "garbage\n")
    number = held.place.read(MANIFEST).decode().splitlines().index("garbage") + 1
    (finding,) = (await verified(held)).findings
    assert finding.path == f"{MANIFEST}:{number}"


async def test_a_whole_video_that_is_not_listed_is_adopted(
    held: Machine, other: Machine, objects: Objects, tmp_path: Path
) -> None:
    """On a machine that knows nothing of it: with its response beside it, and proven whole."""
    objects.edit_line(lambda line: "")
    assert found(await verified(other)) == [("unexpected", ONE)]
    report = await repaired(other)
    assert (report.exit_status, [*report.repairs.done]) == (0, [ONE]), [*report.lines()]
    assert len(assert_lines_true(held.place)) == FILES
    await assert_in_order(other, tmp_path / "bag")


@pytest.mark.parametrize("cut", [True, False], ids=["a cut video", "a video without a response"])
async def test_what_is_not_proven_is_not_adopted(
    held: Machine, objects: Objects, cut: bool
) -> None:
    """It is named and left: a part of a generation would keep the rest from being fetched."""
    path, whole = "data/v6/deepfake/7.mp4", held.place.read(ONE)
    objects.put(path, whole[:3000] if cut else whole)
    report = await repaired(held)
    assert (report.exit_status, [*report.repairs.failed]) == (4, [path])
    assert path in paths_of(held.place)
    held.emulator.scripts[generation("7")] = Script()
    assert (await held.run("7")).archived == 1
    assert (await verified(held)).findings == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bagit.txt", b"mine"),
        ("bagit.txt", None),
        ("bag-info.txt", b"Payload-Oxum: 1.1\n"),
        ("manifest-sha512.txt", b"00  data/x\n"),
        ("tagmanifest-md5.txt", b"00  bagit.txt\n"),
    ],
)
async def test_what_the_bag_declares_is_repaired(
    held: Machine, objects: Objects, tmp_path: Path, name: str, content: bytes | None
) -> None:
    """It is brought up to date, or moved to the quarantine, as it was."""
    objects.put(name, content) if content else objects.delete(name)
    report = await repaired(held)
    assert (report.exit_status, {*report.repairs.done}) == (0, {name}), [*report.lines()]
    kept = quarantined(held, name)
    assert kept == ([content] if content and name != "bag-info.txt" else [])
    await assert_in_order(held, tmp_path / "bag")


async def test_manifests_of_other_programs_are_compared(held: Machine, objects: Objects) -> None:
    """Those that list what is there are right; reading compares their checksums, too."""
    listed = [path for path in paths_of(held.place) if path.startswith("data/")]
    sums = {path: hashlib.sha512(held.place.read(path)).hexdigest() for path in listed}
    objects.put("manifest-sha512.txt", _manifest(sums))
    tags = {
        name: hashlib.md5(held.place.read(name)).hexdigest() for name in ("bagit.txt", MANIFEST)
    }
    objects.put("tagmanifest-md5.txt", _manifest(tags))
    for selection in (ALL, READ):
        assert (await verified(held, selection)).findings == []
    objects.put("manifest-sha512.txt", _manifest(sums | {ONE: "0" * 128}))
    assert (await verified(held)).findings == []
    (finding,) = (await verified(held, READ)).findings
    assert str(finding) == f"contradictory manifest-sha512.txt: it has another checksum of {ONE}"


def _manifest(sums: dict[str, str]) -> bytes:
    return "".join(f"{checksum}  {path}\n" for path, checksum in sums.items()).encode()


RUN = "20260101T000000Z-0123456789ab"
SEGMENT = f".archiver/segments/{RUN}-00000001.txt"


def in_segment(objects: Objects, lines: int, *, in_both: bool = False) -> None:
    """Put the last lines of the manifest into a segment, as a run leaves them that is killed."""
    text = objects.place.read(MANIFEST).decode().splitlines(keepends=True)
    objects.put(SEGMENT, "".join(text[-lines:]).encode())
    if not in_both:
        objects.put(MANIFEST, "".join(text[:-lines]).encode())


@pytest.mark.parametrize("in_both", [True, False], ids=["rolled up", "not rolled up"])
async def test_segments_of_a_killed_run_are_no_error(
    held: Machine, other: Machine, objects: Objects, tmp_path: Path, in_both: bool
) -> None:
    """Their lines count once, whether or not they were rolled up; the next run does that."""
    in_segment(objects, 3, in_both=in_both)
    objects.edit("bag-info.txt", lambda text: text.replace("Oxum: ", "Oxum: 1"))
    for machine in (held, other):
        report = await verified(machine)
        assert (report.findings, report.audit.listed, report.audit.checked) == ([], FILES, FILES)
    objects.delete(ONE)
    assert found(await verified(other)) == [("missing", ONE)]
    assert (await repaired(held)).exit_status == 0
    await assert_in_order(held, tmp_path / "bag")


async def test_an_odd_line_of_a_segment_is_named(held: Machine, objects: Objects) -> None:
    """Its number is that in the segment's object; a repair keeps it aside."""
    in_segment(objects, 3)
    objects.edit(SEGMENT, lambda text: text + "garbage\n")
    (finding,) = (await verified(held)).findings
    assert str(finding) == f"contradictory {SEGMENT}: 'garbage' is not a checksum line"
    assert (await repaired(held)).exit_status == 0
    assert (await verified(held)).findings == []


async def test_what_a_run_has_sent_and_not_listed_is_no_finding(
    held: Machine, other: Machine, objects: Objects
) -> None:
    """While it works and when it has ended, until the next one begins; here and elsewhere."""
    path, whole = "data/v6/deepfake/7.mp4", held.place.read(ONE)
    with open_store(held.url):
        objects.put(path, whole)
        objects.put("data/v6/deepfake/8.mp4", whole, checked=False)
        for machine in (held, other):
            assert found(await verified(machine)) == [("unexpected", "data/v6/deepfake/8.mp4")]
    objects.delete("data/v6/deepfake/8.mp4")
    assert (await verified(other)).findings == []
    await asyncio.sleep(2.1)  # the store's clock shows whole seconds
    with open_store(held.url):
        assert found(await verified(other)) == [("unexpected", path)]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_verify_beside_a_backup_finds_nothing(
    held: Machine, other: Machine, tmp_path: Path, elsewhere: bool
) -> None:
    """Again and again while videos are sent, listed and rolled up, there is no false alarm."""
    names = [str(number) for number in range(100, 160)]
    for number, name in enumerate(names):
        link = LinkScript(seconds=number % 7 / 4)
        outputs = (OutputScript(primary=link), OutputScript(size=9_000))[: 1 + number % 2]
        held.emulator.scripts[generation(name)] = Script(outputs=outputs)
    machine, audits = other if elsewhere else held, list[FixityReport]()
    backup = asyncio.create_task(held.run(*names))
    await until(lambda: held.downloads() > 0)
    while not backup.done():
        audits.append(await verified(machine))
    assert (await backup).archived
    assert len(audits) >= 2
    assert [each for each in audits if each.findings] == []
    assert len({each.audit.listed for each in audits}) > 1
    await assert_in_order(machine, tmp_path / "bag")


def test_what_is_written_while_it_is_set_aside_stays(
    held: Machine, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there is in the quarantine; what somebody puts there just then is not deleted."""
    path, check = "data/notes.txt", Segments.check
    objects.put(path, b"before")

    def checking(self: Segments) -> None:
        check(self)
        objects.put(path, b"after")

    with open_store(held.url) as store:
        monkeypatch.setattr(Segments, "check", checking)
        with pytest.raises(StorageError, match=r"notes\.txt has changed meanwhile"):
            store.set_aside([path])
    assert held.place.read(path) == b"after"
    assert quarantined(held, path) == [b"before"]


class Killed(BaseException):
    """What a test raises in the place of a kill."""


@pytest.mark.parametrize("step", ["rewrite", "replace", "append"])
async def test_a_kill_while_a_changed_object_is_accepted_is_recovered_from(
    held: Machine, objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The next run finishes it; the video is not downloaded again, and no line is ever false."""
    objects.put(ONE, b"damaged")
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7000),))

    def kill(*_args: object, **_kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(Sender if step == "replace" else Segments, step, kill)
        killing.setattr(leases.Lease, "release", lambda _: None)
        with pytest.raises(BaseExceptionGroup):
            await repaired(held, accept_changed=True)
    held.emulator.forget()
    if step == "rewrite":  # nothing has happened yet
        assert found(await verified(held)) == [("changed", ONE)]
        assert (await repaired(held, accept_changed=True)).exit_status == 0
        held.emulator.forget()
    assert_lines_true(held.place)
    assert (await held.run(*IDS)).already_held == 3
    assert_lines_true(held.place)
    assert (await repaired(held)).exit_status == 0
    assert held.emulator.requests == []
    assert held.place.read(ONE) == held.emulator.payload(generation("1")).whole()
    assert quarantined(held, ONE) == [b"damaged"]
    await assert_in_order(held, tmp_path / "bag")


async def test_a_kill_while_records_are_repaired_is_recovered_from(
    held: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that matches its line, and not the catalogue here, does not lose the line."""
    with closing(Catalogue.open(held.state / ".archiver/catalogue.sqlite")) as catalogue:
        catalogue.correct([BagFile(ONE, "0" * 64, 17)])
    assert found(await verified(held)) == [("contradictory", ONE)]

    def kill(*_args: object, **_kwargs: object) -> None:
        raise Killed

    for place, step in ((Segments, "rewrite"), (Catalogue, "correct")):
        with monkeypatch.context() as killing:
            killing.setattr(place, step, kill)
            with pytest.raises(Killed):
                await repaired(held)
        assert len(assert_lines_true(held.place)) == FILES
    assert (await held.run(*IDS)).already_held == 3
    assert (await repaired(held)).exit_status == 0
    await assert_in_order(held, tmp_path / "bag")


async def test_a_backup_waits_for_whoever_reads(held: Machine) -> None:
    """What verify brings up to date here is no reason for a run to give up."""
    reading = ExitStack()
    reading.enter_context(locked(held.state / ".archiver/lock", briefly=True))
    release = Timer(0.5, reading.close)
    release.start()
    assert (await held.run("1")).already_held == 1
    release.join()


async def test_the_command_says_what_was_read(held: Machine, objects: Objects) -> None:
    """`archiver verify` names both ways to check, in words and in JSON, and returns 4."""
    objects.put(ONE, b"damaged")
    result = await held.command("verify")
    assert (result.status, result.out) == (4, "")
    assert "7 of 7 files checked by what the store reports, none read back, in " in result.err
    assert f"changed {ONE}: the store reports 7 bytes with the checksum " in result.err
    result = await held.command("verify", "--read", "--json")
    report = json.loads(result.out)
    assert [report[name] for name in ("checked", "read", "reported")] == [7, 7, 0]
    assert (result.status, report["counts"]) == (4, {"changed": 1})
    result = await held.command("verify", "--sample", "50%")
    assert "7 of 7 files checked, 3 by what the store reports, 4 read: " in result.err


async def test_a_store_that_is_killed_ends_the_command_with_74(
    tmp_path: Path, emulator: Emulator, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said of any file: whether they are there is not known."""
    with SeaweedFS(tmp_path / "own") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        machine = Machine(new_place(server), emulator, tmp_path / "one")
        emulator.scripts[generation("1")] = Script()
        assert (await machine.run("1")).archived == 1
        server.kill()
        result = await ended(
            *(sys.executable, "-c", _IMPATIENT, "verify", *machine.where()), env=machine.env(None)
        )
    assert (result.status, result.out) == (74, "")
    assert "missing" not in result.err
