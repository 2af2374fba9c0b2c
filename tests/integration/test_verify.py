"""Fixity: damage to files is found and named, and repaired where that is possible."""

import asyncio
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.archive import placement
from archiver.archive.checksum_manifest import ChecksumManifest
from archiver.archive.layout import Layout
from archiver.archive.lock import locked
from archiver.catalogue.store import Catalogue
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.errors import ArchiveLocked, NotAnArchive
from archiver.fixity.repair import repair
from archiver.fixity.report import FixityReport
from archiver.fixity.verify import Selection, verify
from tests.support.archives import open_catalogue
from tests.support.backups import Backups, assert_true_bag, generation, quick_downloads
from tests.support.marks import slow
from tests.support.running import mounted

ALL = Selection()
ONE = "data/v6/deepfake/1.mp4"
RESPONSE = "data/v6/deepfake/1.json"
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


def verified(backups: Backups, selection: Selection = ALL) -> FixityReport:
    return verify(backups.archive, selection)


async def repaired(backups: Backups, *, accept_changed: bool = False) -> FixityReport:
    return await repair(backups.archive, ALL, backups.settings(), accept_changed=accept_changed)


def found(report: FixityReport) -> list[tuple[str, str]]:
    """Return the kind and the path of each finding, in the manifest without the line's number."""
    return [(finding.kind, finding.path.partition(":")[0]) for finding in report.findings]


def flip(archive: Path, path: str = ONE) -> None:
    data = bytearray((archive / path).read_bytes())
    data[len(data) // 2] ^= 1
    (archive / path).write_bytes(data)


def fragmented(count: int) -> tuple[bytes, list[bytes]]:
    """Return a fragmented movie: its beginning, and its fragments."""

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


async def test_an_undamaged_archive_has_no_findings(held: Backups) -> None:
    """All files are read, nothing is found, and no request is sent."""
    report = verified(held)
    assert (report.audit.checked, report.audit.listed, report.findings) == (6, 6, [])
    assert report.exit_status == 0
    assert held.emulator.requests == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (flip, [("changed", ONE)]),
        (lambda archive: flip(archive, RESPONSE), [("changed", RESPONSE)]),
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
        (lambda archive: edit_line(archive, lambda line: line + line), [("contradictory", ONE)]),
        (lambda archive: edit_line(archive, lambda line: line + "0" * 64 + line[64:]),
         [("contradictory", ONE)]),
        (lambda archive: (Layout(archive).catalogue).unlink(), []),
        (lambda archive: (archive / ONE).unlink() or (archive / ONE).mkdir(), [("missing", ONE)]),
    ],
)  # fmt: skip
async def test_each_damage_has_its_name(
    held: Backups, damage: Callable[[Path], object], expected: list[tuple[str, str]]
) -> None:
    """The findings name the damage, and the exit status is 4."""
    damage(held.archive)
    report = verified(held)
    assert sorted(set(found(report))) == sorted(set(expected))
    assert report.exit_status == (4 if expected else 0)
    assert all(str(finding).isprintable() for finding in report.findings)


@pytest.mark.parametrize("damage", [flip, lambda archive: (archive / ONE).unlink()])
@pytest.mark.parametrize("catalogue", [True, False])
async def test_a_matching_download_repairs_a_payload(
    held: Backups, damage: Callable[[Path], object], catalogue: bool
) -> None:
    """A damaged or missing payload is downloaded again; a damaged one is quarantined."""
    before = held.held()
    damage(held.archive)
    damaged = (held.archive / ONE).read_bytes() if (held.archive / ONE).exists() else None
    if not catalogue:
        (Layout(held.archive).catalogue).unlink()
    report = await repaired(held)
    assert report.repairs.done.keys() == {ONE}
    assert report.exit_status == 0
    assert report.run.summary.endswith(", 1 repaired")
    assert held.held() == before
    quarantined = [p.read_bytes() for p in (held.archive / ".archiver/quarantine").rglob("1.mp4")]
    assert quarantined == ([] if damaged is None else [damaged])
    assert verified(held).findings == []
    assert_true_bag(held.archive)


async def test_another_file_does_not_replace_a_payload(held: Backups) -> None:
    """If the video is another one now, the damaged one stays, with the reason."""
    flip(held.archive)
    damaged = held.held()
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    report = await repaired(held)
    assert "--accept-changed" in report.repairs.failed[ONE]
    assert (report.exit_status, held.held()) == (4, damaged)


async def test_another_file_is_accepted_on_demand(held: Backups) -> None:
    """With `--accept-changed` the new file and its line replace the old ones."""
    flip(held.archive)
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    report = await repaired(held, accept_changed=True)
    assert (report.exit_status, list(report.repairs.done)) == (0, [ONE])
    assert held.held()[ONE] == held.emulator.payload(generation("1")).whole()
    assert verified(held).findings == []
    assert_true_bag(held.archive)


async def test_a_payload_that_cannot_be_fetched_stays_as_it_is(held: Backups) -> None:
    """A damaged video that ModelsLab no longer has is neither deleted nor forgotten."""
    flip(held.archive)
    damaged = held.held()
    held.emulator.scripts[generation("1")] = Script(response="failed")
    report = await repaired(held)
    assert "failed v6/deepfake/1" in report.repairs.failed[ONE]
    assert (report.exit_status, held.held()) == (4, damaged)
    assert found(verified(held)) == [("changed", ONE)]
    assert (await held.run("1")).already_held == 1


@pytest.mark.parametrize("catalogue", [True, False])
async def test_a_missing_line_is_restored(held: Backups, catalogue: bool) -> None:
    """The file is there and whole, so nothing is downloaded."""
    cut_line(held.archive)
    if not catalogue:
        (Layout(held.archive).catalogue).unlink()
    report = await repaired(held)
    assert (report.exit_status, list(report.repairs.done)) == (0, [ONE])
    assert held.emulator.requests == []
    assert verified(held).findings == []
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
async def test_a_damaged_line_is_repaired(held: Backups, change: Callable[[str], str]) -> None:
    """The catalogue and the file agree against the line; the old manifest is quarantined."""
    before = held.held()
    edit_line(held.archive, change)
    report = await repaired(held)
    assert report.exit_status == 0, list(report.lines())
    assert held.held() == before
    assert any((held.archive / ".archiver/quarantine").rglob(MANIFEST))
    assert verified(held).findings == []
    assert_true_bag(held.archive)


@pytest.fixture
async def pair(held: Backups) -> Backups:
    """The archive also holds a generation of two videos."""
    held.emulator.scripts[generation("4")] = Script(
        outputs=(OutputScript(), OutputScript(size=7_000))
    )
    assert (await held.run("4")).archived == 1
    held.emulator.forget()
    return held


@pytest.mark.parametrize("path", [ONE, "data/v6/deepfake/4-2.mp4"])
async def test_a_generation_without_one_of_its_videos_is_not_held(pair: Backups, path: str) -> None:
    """If its line is gone too, it is downloaded again, and each file has one line."""
    before = pair.held()
    cut_line(pair.archive, path)
    (pair.archive / path).unlink()
    report = await pair.run("1", "2", "3", "4")
    assert (report.archived, report.already_held) == (1, 3)
    assert pair.held() == before
    assert verified(pair).findings == []
    assert_true_bag(pair.archive)


async def test_a_generation_of_which_a_video_is_lost_is_not_held(pair: Backups) -> None:
    """What is left of it stays listed, run after run."""
    path = "data/v6/deepfake/4-2.mp4"
    cut_line(pair.archive, path)
    (pair.archive / path).unlink()
    forbidden = OutputScript(primary=LinkScript(fault="forbidden"))
    pair.emulator.scripts[generation("4")] = Script(outputs=(forbidden, forbidden))
    for _ in range(2):
        assert (await pair.run("1", "2", "3", "4")).exit_status == 3
    assert verified(pair).findings == []
    assert "data/v6/deepfake/4-1.mp4" in (pair.archive / MANIFEST).read_text()


async def test_what_a_failed_repair_downloaded_serves_the_next(pair: Backups) -> None:
    """A backup in between does not delete it, and its link may be dead by then."""
    first, second = (f"data/v6/deepfake/4-{number}.mp4" for number in (1, 2))
    before = pair.held()
    for path in (first, second):
        (pair.archive / path).unlink()
    outputs, dead = (OutputScript(), OutputScript(size=7_000)), LinkScript(fault="gone")
    pair.emulator.scripts[generation("4")] = Script(
        outputs=(outputs[0], replace(outputs[1], primary=dead))
    )
    assert (await repaired(pair)).exit_status == 4
    assert (await pair.run("4")).already_held == 1
    pair.emulator.scripts[generation("4")] = Script(
        outputs=(replace(outputs[0], primary=dead), outputs[1])
    )
    assert (await repaired(pair)).exit_status == 0
    assert pair.held() == before


@pytest.mark.parametrize("path", [ONE, "data/v6/deepfake/4-2.mp4", RESPONSE])
async def test_a_file_that_only_the_catalogue_knows_is_fetched(pair: Backups, path: str) -> None:
    """A file that is neither listed nor there is not forgotten by a repair that fails."""
    before, script = pair.held(), dict(pair.emulator.scripts)
    cut_line(pair.archive, path)
    (pair.archive / path).unlink()
    pair.emulator.scripts = {}
    for _ in range(2):
        report = await repaired(pair)
        assert (report.exit_status, list(report.repairs.failed)) == (4, [path])
    pair.emulator.scripts = script
    report = await repaired(pair)
    assert (report.exit_status, list(report.repairs.done)) == (0, [path])
    assert pair.held() == before
    assert verified(pair).findings == []
    assert_true_bag(pair.archive)


async def test_an_unknown_file_is_named_and_left(held: Backups) -> None:
    """It is neither listed nor moved."""
    (held.archive / "data/notes.txt").write_text("mine")
    report = await repaired(held)
    assert (report.exit_status, list(report.repairs.failed)) == (4, ["data/notes.txt"])
    assert (held.archive / "data/notes.txt").read_text() == "mine"


async def test_a_cut_video_without_a_line_is_not_adopted(held: Backups) -> None:
    """A copy that was cut between two fragments looks complete, but is not proven whole."""
    begin, fragments = fragmented(2)
    (held.archive / "data/v6/deepfake/7.mp4").write_bytes(begin + fragments[0])
    report = await repaired(held)
    assert report.repairs.failed.keys() == {"data/v6/deepfake/7.mp4"}


async def test_a_response_without_its_video_is_not_adopted(held: Backups) -> None:
    """Its generation is not held, and is requested."""
    response = held.archive / "data/v6/deepfake/7.json"
    response.write_text('{"status": "success"}')
    held.emulator.scripts[generation("7")] = Script()
    assert list((await repaired(held)).repairs.failed) == ["data/v6/deepfake/7.json"]
    assert (await held.run("7")).archived == 1
    assert verified(held).findings == []


async def test_a_file_verified_in_the_future_is_read(held: Backups) -> None:
    """A clock that was wrong once exempts no file."""
    with open_catalogue(held.archive).connection as db:
        db.execute("UPDATE file SET verified = '2099-01-01T00:00:00+00:00'")
    db.close()
    flip(held.archive)
    assert found(verified(held, replace(ALL, older_than=3600))) == [("changed", ONE)]


@pytest.mark.parametrize("path", ["data/v6/deep\0\0\0", "data/" + "a" * 300, "bagit.txt/x"])
async def test_a_line_with_an_impossible_path_stops_nothing(held: Backups, path: str) -> None:
    """It is named, and removed by a repair where it is no valid line."""
    with (held.archive / MANIFEST).open("a") as manifest:
        manifest.write(f"{'0' * 64}  {path}\n")
    assert (await held.run("1")).already_held == 1
    assert verified(held).exit_status == 4
    valid = path.startswith("data/") and "\0" not in path
    assert (await repaired(held)).exit_status == (4 if valid else 0)


async def test_a_name_that_is_not_utf8_is_named_and_left(held: Backups) -> None:
    """Such a file is unexpected, and stops nothing."""
    (held.archive / os.fsdecode(b"data/caf\xe9.txt")).write_text("x")
    (held.archive / ONE).unlink()
    assert sorted(found(verified(held))) == [("missing", ONE), ("unexpected", r"data/caf\xe9.txt")]
    report = await repaired(held)
    assert (report.exit_status, (held.archive / ONE).is_file()) == (4, True)


async def test_a_directory_in_place_of_a_file_is_quarantined(held: Backups) -> None:
    """The file is downloaded, and so are the others."""
    (held.archive / ONE).unlink()
    (held.archive / ONE).mkdir()
    (held.archive / "data/v6/deepfake/2.mp4").unlink()
    assert (await repaired(held)).exit_status == 0
    assert verified(held).findings == []
    (quarantined,) = (held.archive / ".archiver/quarantine").rglob("1.mp4")
    assert quarantined.is_dir()


async def test_a_rejected_key_ends_a_repair(held: Backups) -> None:
    """A repair that cannot use the API ends with the status of that error."""
    flip(held.archive)
    held.emulator.key = "another"
    report = await repaired(held)
    assert report.exit_status == 77
    assert ONE in report.repairs.failed


async def test_samples_cover_the_archive_in_turn(held: Backups) -> None:
    """Each sample takes what was verified longest ago, so that all files are read in the end."""
    with open_catalogue(held.archive).connection as db:
        db.execute("UPDATE file SET verified = NULL")
    db.close()
    half = replace(ALL, sample=0.5)
    flip(held.archive)
    reports = [verified(held, half) for _ in range(3)]
    assert [report.audit.checked for report in reports] == [3, 3, 3]
    assert {finding for report in reports for finding in found(report)} == {("changed", ONE)}
    assert verified(held, replace(ALL, older_than=3600)).audit.checked == 1


async def test_a_recently_verified_file_is_not_read_again(held: Backups) -> None:
    """With `--older-than` only files that were not verified for that time are read."""
    recent = replace(ALL, older_than=3600)
    assert verified(held, recent).audit.checked == 0
    with open_catalogue(held.archive).connection as db:
        db.execute("UPDATE file SET verified = '2026-01-01T00:00:00+00:00' WHERE path = ?", (ONE,))
    db.close()
    assert [verified(held, recent).audit.checked for _ in range(2)] == [1, 0]


async def test_a_copied_archive_verifies_without_its_catalogue(held: Backups) -> None:
    """The checksum manifest is enough, and nothing is added to the copy."""
    shutil.rmtree(held.archive / ".archiver")
    before = sorted(path.name for path in held.archive.iterdir())
    assert verified(held).findings == []
    assert sorted(path.name for path in held.archive.iterdir()) == before


async def test_a_file_in_the_journal_is_not_unexpected(held: Backups) -> None:
    """What the journal names is just being committed by a backup."""
    (held.archive / "data/v6/deepfake/9.mp4").write_bytes(b"placed")
    journal = '{"offset": 0, "files": [{"staged": "x", "path": "data/v6/deepfake/9.mp4", '
    (held.archive / ".archiver/settling.json").write_text(journal + '"sha256": "", "bytes": 6}]}')
    assert verified(held).findings == []


async def test_verify_works_while_the_archive_is_locked(held: Backups) -> None:
    """Verify takes no lock; a repair does."""
    with locked(held.archive / ".archiver/lock"):
        assert verified(held).findings == []
        with pytest.raises(ArchiveLocked):
            await repaired(held)


@slow
async def test_verify_during_a_busy_backup_finds_nothing(held: Backups) -> None:
    """Again and again while videos are committed, there is no false alarm."""
    names = [str(number) for number in range(100, 220)]
    held.emulator.scripts |= {generation(name): Script() for name in names}
    backup = asyncio.create_task(held.run(*names))
    audits = 0
    while not backup.done():
        report = await asyncio.to_thread(verified, held)
        assert report.findings == []
        audits += 1
    assert (await backup).archived == len(names)
    assert audits > 1


def test_a_directory_that_is_no_archive_is_an_error(tmp_path: Path) -> None:
    """A directory without a checksum manifest is not an archive, and stays as it is."""
    with pytest.raises(NotAnArchive):
        verify(tmp_path, ALL)
    assert list(tmp_path.iterdir()) == []


async def test_the_command_prints_its_findings(held: Backups) -> None:
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
    """It is read all the same; that it was verified is not recorded."""
    with mounted(tmp_path / "read-only", "size=10m") as place:
        shutil.copytree(held.archive, place / "archive")
        flip(place / "archive")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        report = verify(place / "archive", ALL)
    assert (report.audit.checked, found(report)) == (6, [("changed", ONE)])


async def test_an_impossible_age_is_accepted(held: Backups) -> None:
    """No file was verified that long ago."""
    assert verified(held, replace(ALL, older_than=99999999 * 86400.0)).audit.checked == 0


async def test_a_repair_leaves_the_reserved_space(held: Backups) -> None:
    """`--min-free` holds for the smallest video, too."""
    (held.archive / ONE).unlink()
    settings = held.settings(download=quick_downloads(min_free=10**15))
    report = await repair(held.archive, ALL, settings)
    assert report.exit_status == 74
    assert not (held.archive / ONE).exists()


@pytest.mark.parametrize("step", ["remove", "place", "append"])
async def test_a_kill_while_a_changed_file_is_accepted_is_recovered_from(
    held: Backups, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The next run finishes it, and a repair then finds every file and its records in order."""
    flip(held.archive)
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7000),))

    class Killed(BaseException):
        pass

    def kill(*_args: object, **_kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(placement if step == "place" else ChecksumManifest, step, kill)
        with pytest.raises(BaseExceptionGroup):
            await repaired(held, accept_changed=True)
    held.emulator.forget()
    assert (await held.run("1", "2", "3")).already_held == 3
    assert (await repaired(held)).exit_status == 0
    assert verified(held).findings == []
    assert held.emulator.requests == []
    whole = held.emulator.payload(generation("1")).whole()
    assert (held.archive / ONE).read_bytes() == whole
    assert_true_bag(held.archive)


async def test_a_kill_while_records_are_repaired_is_recovered_from(
    held: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that matched its checksum line and not the catalogue does not lose the line."""
    with closing(open_catalogue(held.archive)) as catalogue, catalogue.connection as db:
        db.execute("UPDATE file SET sha256 = ? WHERE path = ?", ("0" * 64, ONE))

    class Killed(BaseException):
        pass

    def kill(*_args: object, **_kwargs: object) -> None:
        raise Killed

    for step in ("append", "correct"):
        with monkeypatch.context() as killing, suppress(Killed):
            killing.setattr(ChecksumManifest if step == "append" else Catalogue, step, kill)
            await repaired(held)
    assert (await held.run("1", "2", "3")).already_held == 3
    assert (await repaired(held)).exit_status == 0
    assert verified(held).findings == []
    assert_true_bag(held.archive)
