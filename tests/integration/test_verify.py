"""Fixity: what has happened to the files is named rightly, and mended where it can be."""

import asyncio
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.archive.lock import locked
from archiver.catalogue.database import CATALOGUE
from archiver.catalogue.store import Catalogue
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.errors import ArchiveLocked, NotAnArchive
from archiver.fixity.repair import Fetching, repair
from archiver.fixity.report import FixityReport
from archiver.fixity.verify import Selection, verify
from tests.support.backups import Backups, Collected, assert_true_bag, generation
from tests.support.running import mounted

ALL = Selection()
ONE = "data/v6/deepfake/1.mp4"
ANSWER = "data/v6/deepfake/1.json"
MANIFEST = "manifest-sha256.txt"


@pytest.fixture
async def held(backups: Backups) -> Backups:
    """An archive that holds three generations."""
    for id_ in ("1", "2", "3"):
        backups.emulator.scripts[generation(id_)] = Script()
    report = await backups.run("1", "2", "3")
    assert report.archived == 3
    backups.emulator.forget()
    return backups


def audit(backups: Backups, selection: Selection = ALL) -> FixityReport:
    return verify(backups.archive, selection, Collected())


async def mend(backups: Backups, *, accept_changed: bool = False) -> FixityReport:
    fetching = Fetching(backups.settings(), accept_changed, Collected())
    return await repair(backups.archive, ALL, fetching)


def found(report: FixityReport) -> list[tuple[str, str]]:
    """Return the kind and the path of each finding, in the manifest without the line's number."""
    return [(finding.kind, finding.path.partition(":")[0]) for finding in report.findings]


def flip(archive: Path, path: str = ONE) -> None:
    data = bytearray((archive / path).read_bytes())
    data[len(data) // 2] ^= 1
    (archive / path).write_bytes(data)


def fragmented(count: int) -> tuple[bytes, list[bytes]]:
    """A fragmented movie: its beginning, and its fragments."""

    def box(name: bytes, data: bytes = b"") -> bytes:
        return struct.pack(">I4s", 8 + len(data), name) + data

    inside = box(b"mvhd", bytes(100)) + box(b"trak", bytes(8)) + box(b"mvex", bytes(8))
    begin = box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", inside)
    return begin, [box(b"moof", bytes(20)) + box(b"mdat", bytes(1000))] * count


def cut_line(archive: Path, path: str = ONE) -> None:
    manifest = archive / MANIFEST
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if not line.endswith(f"  {path}\n")))


def edit_line(archive: Path, change: Callable[[str], str], path: str = ONE) -> None:
    manifest = archive / MANIFEST
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(change(line) if path in line else line for line in lines))


async def test_an_archive_that_is_right_is_found_so(held: Backups) -> None:
    """All files are read, nothing is found, nothing is asked of anybody."""
    report = audit(held)
    assert (report.checked, report.listed, report.findings) == (6, 6, [])
    assert report.exit_status == 0
    assert held.emulator.requests == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (flip, [("changed", ONE)]),
        (lambda archive: flip(archive, ANSWER), [("changed", ANSWER)]),
        (lambda archive: os.truncate(archive / ONE, 100), [("changed", ONE)]),
        (lambda archive: (archive / ONE).write_bytes(b""), [("changed", ONE)]),
        (lambda archive: (archive / ONE).unlink(), [("missing", ONE)]),
        (lambda archive: (archive / "data/notes.txt").write_text("x"),
         [("unexpected", "data/notes.txt")]),
        (cut_line, [("contradictory", ONE)]),
        (lambda archive: edit_line(archive, lambda line: "0" * 64 + line[64:]),
         [("contradictory", ONE), ("changed", ONE)]),
        (lambda archive: edit_line(archive, lambda line: line[:30] + "\n"),
         [("contradictory", MANIFEST), ("contradictory", ONE)]),
        (lambda archive: edit_line(archive, lambda line: line + line), []),
        (lambda archive: edit_line(archive, lambda line: line + "0" * 64 + line[64:]),
         [("contradictory", ONE)]),
        (lambda archive: (archive / CATALOGUE).unlink(), []),
        (lambda archive: (archive / ONE).unlink() or (archive / ONE).mkdir(), [("missing", ONE)]),
    ],
)  # fmt: skip
async def test_each_damage_has_its_name(
    held: Backups, damage: Callable[[Path], object], expected: list[tuple[str, str]]
) -> None:
    """What was done to the archive is what the audit says, and 4 is what it returns."""
    damage(held.archive)
    report = audit(held)
    assert sorted(set(found(report))) == sorted(set(expected))
    assert report.exit_status == (4 if expected else 0)
    assert all(str(finding).isprintable() for finding in report.findings)


@pytest.mark.parametrize("damage", [flip, lambda archive: (archive / ONE).unlink()])
@pytest.mark.parametrize("catalogue", [True, False])
async def test_a_copy_that_matches_heals(
    held: Backups, damage: Callable[[Path], object], catalogue: bool
) -> None:
    """A bad or missing payload is fetched anew; a bad one is kept aside."""
    before = held.held()
    damage(held.archive)
    damaged = (held.archive / ONE).read_bytes() if (held.archive / ONE).exists() else None
    if not catalogue:
        (held.archive / CATALOGUE).unlink()
    report = await mend(held)
    assert report.mended.keys() == {ONE}
    assert report.exit_status == 0
    assert held.held() == before
    aside = [p.read_bytes() for p in (held.archive / ".archiver/quarantine").rglob("1.mp4")]
    assert aside == ([] if damaged is None else [damaged])
    assert audit(held).findings == []
    assert_true_bag(held.archive)


async def test_another_file_is_not_put_in_its_place(held: Backups) -> None:
    """What ModelsLab gives now is another video: the damaged one stays, and it is said why."""
    flip(held.archive)
    damaged = held.held()
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    report = await mend(held)
    assert "--accept-changed" in report.unmended[ONE]
    assert (report.exit_status, held.held()) == (4, damaged)


async def test_another_file_is_accepted_on_request(held: Backups) -> None:
    """With `--accept-changed` the new file and its line take the place of the old ones."""
    flip(held.archive)
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    report = await mend(held, accept_changed=True)
    assert (report.exit_status, list(report.mended)) == (0, [ONE])
    assert held.held()[ONE] == held.emulator.payload(generation("1")).whole()
    assert audit(held).findings == []
    assert_true_bag(held.archive)


async def test_what_cannot_be_fetched_stays_as_it_is(held: Backups) -> None:
    """A damaged video that ModelsLab no longer has is not thrown away, nor forgotten."""
    flip(held.archive)
    damaged = held.held()
    held.emulator.scripts[generation("1")] = Script(response="failed")
    report = await mend(held)
    assert "lost v6/deepfake/1" in report.unmended[ONE]
    assert (report.exit_status, held.held()) == (4, damaged)
    assert found(audit(held)) == [("changed", ONE)]
    assert (await held.run("1")).already_held == 1


@pytest.mark.parametrize("catalogue", [True, False])
async def test_a_line_that_was_cut_is_written_back(held: Backups, catalogue: bool) -> None:
    """The file is there and whole: nothing has to be fetched for that."""
    cut_line(held.archive)
    if not catalogue:
        (held.archive / CATALOGUE).unlink()
    report = await mend(held)
    assert (report.exit_status, list(report.mended)) == (0, [ONE])
    assert held.emulator.requests == []
    assert audit(held).findings == []
    assert_true_bag(held.archive)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: "0" * 64 + line[64:],
        lambda line: line[:30] + "\n",
        lambda line: line + "0" * 64 + line[64:],
        lambda line: line + "garbage\n",
    ],
)
async def test_a_line_that_was_spoilt_is_mended(
    held: Backups, change: Callable[[str], str]
) -> None:
    """The catalogue and the file agree against the line; the old manifest is kept aside."""
    before = held.held()
    edit_line(held.archive, change)
    report = await mend(held)
    assert report.exit_status == 0, list(report.lines())
    assert held.held() == before
    assert any((held.archive / ".archiver/quarantine").rglob(MANIFEST))
    assert audit(held).findings == []
    assert_true_bag(held.archive)


@pytest.fixture
async def pair(held: Backups) -> Backups:
    """The archive holds a generation of two videos as well."""
    held.emulator.scripts[generation("4")] = Script(
        outputs=(OutputScript(), OutputScript(size=7_000))
    )
    assert (await held.run("4")).archived == 1
    held.emulator.forget()
    return held


@pytest.mark.parametrize("path", [ONE, "data/v6/deepfake/4-2.mp4"])
async def test_a_generation_that_has_lost_a_video_is_not_held(pair: Backups, path: str) -> None:
    """Its line is gone with it: it is fetched again, and each file has one line."""
    before = pair.held()
    cut_line(pair.archive, path)
    (pair.archive / path).unlink()
    report = await pair.run("1", "2", "3", "4")
    assert (report.archived, report.already_held) == (1, 3)
    assert pair.held() == before
    assert audit(pair).findings == []
    assert_true_bag(pair.archive)


async def test_a_video_that_is_lost_for_good_is_not_called_held(pair: Backups) -> None:
    """What is left of its generation stays listed, night after night."""
    path = "data/v6/deepfake/4-2.mp4"
    cut_line(pair.archive, path)
    (pair.archive / path).unlink()
    refusing = OutputScript(primary=LinkScript(fault="forbidden"))
    pair.emulator.scripts[generation("4")] = Script(outputs=(refusing, refusing))
    for _ in range(2):
        assert (await pair.run("1", "2", "3", "4")).exit_status == 3
    assert audit(pair).findings == []
    assert "data/v6/deepfake/4-1.mp4" in (pair.archive / MANIFEST).read_text()


async def test_what_a_repair_has_fetched_in_vain_is_there_for_the_next(pair: Backups) -> None:
    """A backup in between does not throw it away, and the link it came from may be dead by then."""
    first, second = (f"data/v6/deepfake/4-{number}.mp4" for number in (1, 2))
    before = pair.held()
    for path in (first, second):
        (pair.archive / path).unlink()
    outputs, dead = (OutputScript(), OutputScript(size=7_000)), LinkScript(fault="gone")
    pair.emulator.scripts[generation("4")] = Script(
        outputs=(outputs[0], replace(outputs[1], primary=dead))
    )
    assert (await mend(pair)).exit_status == 4
    assert (await pair.run("4")).already_held == 1
    pair.emulator.scripts[generation("4")] = Script(
        outputs=(replace(outputs[0], primary=dead), outputs[1])
    )
    assert (await mend(pair)).exit_status == 0
    assert pair.held() == before


@pytest.mark.parametrize("path", [ONE, "data/v6/deepfake/4-2.mp4", ANSWER])
async def test_what_the_catalogue_alone_remembers_is_fetched(pair: Backups, path: str) -> None:
    """Neither listed nor there: a repair that cannot have it does not forget it."""
    before, script = pair.held(), dict(pair.emulator.scripts)
    cut_line(pair.archive, path)
    (pair.archive / path).unlink()
    pair.emulator.scripts = {}
    for _ in range(2):
        report = await mend(pair)
        assert (report.exit_status, list(report.unmended)) == (4, [path])
    pair.emulator.scripts = script
    report = await mend(pair)
    assert (report.exit_status, list(report.mended)) == (0, [path])
    assert pair.held() == before
    assert audit(pair).findings == []
    assert_true_bag(pair.archive)


async def test_a_foreign_file_is_named_and_left(held: Backups) -> None:
    """Nobody knows what it is: it is neither listed nor moved."""
    (held.archive / "data/notes.txt").write_text("mine")
    report = await mend(held)
    assert (report.exit_status, list(report.unmended)) == (4, ["data/notes.txt"])
    assert (held.archive / "data/notes.txt").read_text() == "mine"


async def test_a_cut_video_that_nobody_lists_is_not_adopted(held: Backups) -> None:
    """A copy that stopped at the end of a fragment adds up; so did the whole of it."""
    begin, fragments = fragmented(2)
    (held.archive / "data/v6/deepfake/7.mp4").write_bytes(begin + fragments[0])
    report = await mend(held)
    assert report.unmended.keys() == {"data/v6/deepfake/7.mp4"}


async def test_an_answer_without_its_video_is_not_adopted(held: Backups) -> None:
    """An interrupted copy has brought it alone: its generation is not held, and is asked for."""
    response = held.archive / "data/v6/deepfake/7.json"
    response.write_text('{"status": "success"}')
    held.emulator.scripts[generation("7")] = Script()
    assert list((await mend(held)).unmended) == ["data/v6/deepfake/7.json"]
    assert (await held.run("7")).archived == 1
    assert audit(held).findings == []


async def test_what_was_proven_in_the_future_is_read(held: Backups) -> None:
    """A clock that was wrong once excuses nothing."""
    with Catalogue.open(held.archive)._db as db:
        db.execute("UPDATE file SET proven = '2099-01-01T00:00:00+00:00'")
    db.close()
    flip(held.archive)
    assert found(audit(held, replace(ALL, older_than=3600))) == [("changed", ONE)]


@pytest.mark.parametrize("path", ["data/v6/deep\0\0\0", "data/" + "a" * 300, "bagit.txt/x"])
async def test_a_line_for_what_can_be_no_file_stops_nothing(held: Backups, path: str) -> None:
    """It is named, and taken out by a repair where it is no line at all."""
    with (held.archive / MANIFEST).open("a") as manifest:
        manifest.write(f"{'0' * 64}  {path}\n")
    assert (await held.run("1")).already_held == 1
    assert audit(held).exit_status == 4
    assert (await mend(held)).exit_status == (0 if "\0" in path else 4)


async def test_a_name_that_is_no_text_is_named_and_left(held: Backups) -> None:
    """A file whose name is not UTF-8 is none of ours, and stops nothing."""
    (held.archive / os.fsdecode(b"data/caf\xe9.txt")).write_text("x")
    (held.archive / ONE).unlink()
    assert sorted(found(audit(held))) == [("missing", ONE), ("unexpected", r"data/caf\xe9.txt")]
    report = await mend(held)
    assert (report.exit_status, (held.archive / ONE).is_file()) == (4, True)


async def test_a_directory_in_the_place_of_a_file_is_moved_aside(held: Backups) -> None:
    """The file is fetched, and so are the others."""
    (held.archive / ONE).unlink()
    (held.archive / ONE).mkdir()
    (held.archive / "data/v6/deepfake/2.mp4").unlink()
    assert (await mend(held)).exit_status == 0
    assert audit(held).findings == []
    (aside,) = (held.archive / ".archiver/quarantine").rglob("1.mp4")
    assert aside.is_dir()


async def test_a_refused_key_is_told(held: Backups) -> None:
    """A repair that cannot ask ends with the status of what stopped it."""
    flip(held.archive)
    held.emulator.key = "another"
    report = await mend(held)
    assert report.exit_status == 77
    assert ONE in report.unmended


async def test_a_sample_spreads_the_work(held: Backups) -> None:
    """Each sample takes what was proven longest ago, so that all are read in the end."""
    with Catalogue.open(held.archive)._db as db:
        db.execute("UPDATE file SET proven = NULL")
    db.close()
    half = replace(ALL, sample=0.5)
    flip(held.archive)
    reports = [audit(held, half) for _ in range(3)]
    assert [report.checked for report in reports] == [3, 3, 3]
    assert {finding for report in reports for finding in found(report)} == {("changed", ONE)}
    assert audit(held, replace(ALL, older_than=3600)).checked == 1


async def test_what_was_proven_lately_is_not_read_again(held: Backups) -> None:
    """With `--older-than` only what was not proven for so long is read."""
    recent = replace(ALL, older_than=3600)
    assert audit(held, recent).checked == 0
    with Catalogue.open(held.archive)._db as db:
        db.execute("UPDATE file SET proven = '2026-01-01T00:00:00+00:00' WHERE path = ?", (ONE,))
    db.close()
    assert [audit(held, recent).checked for _ in range(2)] == [1, 0]


async def test_a_copied_archive_verifies_without_its_catalogue(held: Backups) -> None:
    """The checksum manifest is enough, and nothing is added to the copy."""
    shutil.rmtree(held.archive / ".archiver")
    before = sorted(path.name for path in held.archive.iterdir())
    assert audit(held).findings == []
    assert sorted(path.name for path in held.archive.iterdir()) == before


async def test_a_backup_under_way_is_not_called_wrong(held: Backups) -> None:
    """What the journal names is just being placed: it is not unexpected yet."""
    (held.archive / "data/v6/deepfake/9.mp4").write_bytes(b"placed")
    journal = '{"offset": 0, "files": [{"staged": "x", "path": "data/v6/deepfake/9.mp4", '
    (held.archive / ".archiver/settling.json").write_text(journal + '"sha256": "", "bytes": 6}]}')
    assert audit(held).findings == []


async def test_verify_works_while_the_archive_is_held(held: Backups) -> None:
    """An audit takes no lock; a repair does."""
    with locked(held.archive / ".archiver/lock"):
        assert audit(held).findings == []
        with pytest.raises(ArchiveLocked):
            await mend(held)


async def test_audits_beside_a_busy_backup_find_nothing(held: Backups) -> None:
    """Again and again while videos are being placed: no false alarm."""
    names = [str(number) for number in range(100, 220)]
    held.emulator.scripts |= {generation(name): Script() for name in names}
    night = asyncio.create_task(held.run(*names))
    audits = 0
    while not night.done():
        report = await asyncio.to_thread(audit, held)
        assert report.findings == []
        audits += 1
    assert (await night).archived == len(names)
    assert audits > 1


def test_no_archive_is_no_audit(tmp_path: Path) -> None:
    """A directory without a checksum manifest is not an archive, and is not made one."""
    with pytest.raises(NotAnArchive):
        verify(tmp_path, ALL, Collected())
    assert list(tmp_path.iterdir()) == []


async def test_the_command_says_what_it_finds(held: Backups) -> None:
    """`archiver verify` prints one line for each finding, and returns 4."""
    flip(held.archive)
    command = (sys.executable, "-m", "archiver", "verify", "-a", str(held.archive))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (4, b"")
    assert f"changed {ONE}: its " in err.decode()


def test_a_read_only_archive_can_be_verified(held: Backups, tmp_path: Path) -> None:
    """What cannot be written to is read all the same; that it was proven is not remembered."""
    with mounted(tmp_path / "read-only", "size=10m") as place:
        shutil.copytree(held.archive, place / "archive")
        flip(place / "archive")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        report = verify(place / "archive", ALL, Collected())
    assert (report.checked, found(report)) == (6, [("changed", ONE)])


async def test_an_age_beyond_all_times_is_one(held: Backups) -> None:
    """Nothing was last proven so long ago."""
    assert audit(held, replace(ALL, older_than=99999999 * 86400.0)).checked == 0
