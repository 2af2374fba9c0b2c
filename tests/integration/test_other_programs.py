"""Other people's bags: what other programs wrote into an archive is read, and not left wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.emulator.scripts import OutputScript, Script
from archiver.errors import NotAnArchive
from archiver.fixity.repair import repair
from archiver.fixity.report import FixityReport
from archiver.fixity.verify import Selection, verify
from tests.support.backups import Backups, generation
from tests.support.running import assert_valid_bag, ended

MANIFEST = "manifest-sha256.txt"
ADD_MANIFESTS = """
import bagit, sys
bag = bagit.Bag(sys.argv[1])
bag.algorithms = sys.argv[2:]
bag.save(manifests=True)
"""


@pytest.fixture
async def held(backups: Backups) -> Backups:
    """An archive that holds two generations; a third is ready."""
    for id_ in ("1", "2", "3"):
        backups.emulator.scripts[generation(id_)] = Script()
    assert (await backups.run("1", "2")).archived == 2
    return backups


async def repaired(backups: Backups, *, accept_changed: bool = False) -> FixityReport:
    settings = backups.settings()
    return await repair(backups.archive, Selection(), settings, accept_changed=accept_changed)


def checksums(archive: Path, *options: str, place: str = "data") -> bytes:
    """Return what `sha256sum` prints of all files."""
    files = "find " + place + " -type f -print0 | sort -z | xargs -0 sha256sum "
    command = ["sh", "-c", files + " ".join(options)]
    return subprocess.run(command, cwd=archive, check=True, capture_output=True).stdout


SPELLINGS: dict[str, Callable[[Path], bytes]] = {
    "sha256sum -b": lambda archive: checksums(archive, "-b"),
    "./data": lambda archive: checksums(archive, place="./data"),
    "./data and -b": lambda archive: checksums(archive, "-b", place="./data"),
    "one space": lambda archive: checksums(archive).replace(b"  ", b" "),
    "a tab": lambda archive: checksums(archive).replace(b"  ", b"\t"),
    "CR LF": lambda archive: checksums(archive).replace(b"\n", b"\r\n"),
    "CR": lambda archive: checksums(archive).replace(b"\n", b"\r"),
    "no last end": lambda archive: checksums(archive).rstrip(b"\n"),
    "upper case": lambda archive: b"".join(
        line[:64].upper() + line[64:] for line in checksums(archive).splitlines(keepends=True)
    ),
}


@pytest.mark.parametrize("catalogue", [True, False])
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_manifest_made_anew_is_read_in_each_spelling(
    held: Backups, spelling: str, catalogue: bool
) -> None:
    """Every file is read, and a backup that adds others leaves the bag valid, each listed once."""
    (held.archive / MANIFEST).write_bytes(SPELLINGS[spelling](held.archive))
    if not catalogue:
        shutil.rmtree(held.archive / ".archiver")
    await assert_validates(held.archive)
    report = verify(held.archive)
    assert (report.audit.checked, report.audit.listed, report.findings) == (4, 4, [])
    result = await held.run("1", "2", "3")
    assert (result.archived, result.already_held, result.exit_status) == (1, 2, 0)
    await assert_validates(held.archive)
    assert len((held.archive / MANIFEST).read_text().splitlines()) == 6
    assert verify(held.archive).findings == []


async def bagit(*arguments: str) -> None:
    """Run a program that has bagit-python."""
    result = await ended(sys.executable, "-W", "ignore", *arguments)
    assert result.status == 0, result.err


async def assert_validates(archive: Path) -> None:
    """The archive satisfies bagit-python; some of what that accepts `sha256sum` does not."""
    await bagit("-m", "bagit", "--validate", str(archive))


async def test_a_last_line_that_is_not_true_is_cut(held: Backups) -> None:
    """Only a line without an end that matches its file is one that an editor has saved."""
    before = (held.archive / MANIFEST).read_bytes()
    with (held.archive / MANIFEST).open("ab") as manifest:
        manifest.write(before[:64] + b"  data/v6/deepfake/2.mp")
    assert (await held.run("1", "2")).exit_status == 0
    assert (held.archive / MANIFEST).read_bytes() == before


async def test_names_are_decoded_as_bagit_has_them(held: Backups) -> None:
    """A line break in a name is encoded in a manifest, and other lines stay to the letter."""
    (held.archive / "data/a\nb%.txt").write_text("x")
    await bagit("-c", ADD_MANIFESTS, str(held.archive), "sha256")
    (held.archive / "tagmanifest-sha256.txt").unlink()
    assert verify(held.archive).findings == []
    (held.archive / "data/v6/deepfake/1.mp4").unlink()
    assert (await repaired(held)).exit_status == 0
    assert (await held.run("1", "2", "3")).exit_status == 0
    await assert_validates(held.archive)


async def test_folded_lines_are_kept_whole(held: Backups) -> None:
    """A tag of other people stays with its folded lines; one of ours goes with them."""
    info = held.archive / "bag-info.txt"
    theirs = "Source-Organization: A\n  folded\x85 name\n\tof three lines\nContact-Name: B\n"
    ours = "payload-oxum : 1.1\nBag-Software-Agent: other\n program\n"
    info.write_text(theirs + ours)
    assert (await held.run("3")).exit_status == 0
    assert info.read_text().startswith(theirs + "Bag-Software-Agent: archiver ")
    assert info.read_text().lower().count("payload-oxum") == 1
    assert "program" not in info.read_text()
    await assert_valid_bag(held.archive)


async def add_manifests(backups: Backups, *algorithms: str) -> None:
    """Let bagit-python write its manifests into the archive, and a run leave out what is ours."""
    await bagit("-c", ADD_MANIFESTS, str(backups.archive), *algorithms)
    await assert_validates(backups.archive)
    found = verify(backups.archive).findings
    assert all(".archiver/" in finding.detail for finding in found)
    assert (await backups.run("1", "2")).exit_status == 0
    await assert_valid_bag(backups.archive)
    assert verify(backups.archive).findings == []


async def test_tag_manifests_are_brought_up_to_date(held: Backups) -> None:
    """By each command that changes what they list; other lines in them stay."""
    (held.archive / "about.txt").write_text("mine")
    await add_manifests(held, "sha256")
    theirs = (held.archive / "tagmanifest-sha256.txt").read_text()
    assert "about.txt" in theirs
    assert (await held.run("1", "2", "3")).archived == 1
    await assert_valid_bag(held.archive)
    assert verify(held.archive).findings == []
    (held.archive / "data/v6/deepfake/1.mp4").write_bytes(b"damaged")
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    assert (await repaired(held, accept_changed=True)).exit_status == 0
    await assert_valid_bag(held.archive)
    about = [line for line in theirs.splitlines() if "about.txt" in line]
    assert about[0] in (held.archive / "tagmanifest-sha256.txt").read_text().splitlines()


async def test_a_killed_run_leaves_tag_manifests_to_the_next(held: Backups) -> None:
    """What it committed is in the checksum manifest; the next run has nothing else to do."""
    await add_manifests(held, "sha256")
    before = (held.archive / "tagmanifest-sha256.txt").read_bytes()
    assert (await held.run("1", "2", "3")).archived == 1
    (held.archive / "tagmanifest-sha256.txt").write_bytes(before)
    assert (await held.run("1", "2", "3")).archived == 0
    await assert_valid_bag(held.archive)


async def test_checksum_manifests_of_other_algorithms_are_set_aside(
    held: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    """Once something is added that they do not list; that is named, and they are kept."""
    await add_manifests(held, "sha256", "md5", "sha512")
    assert (await held.run("1", "2")).archived == 0
    assert (held.archive / "manifest-md5.txt").exists()
    assert (await held.run("1", "2", "3")).archived == 1
    await assert_valid_bag(held.archive)
    assert verify(held.archive).findings == []
    for name in ("manifest-md5.txt", "manifest-sha512.txt"):
        assert f"{name} is moved to .archiver/quarantine" in caplog.text
        assert len(list((held.archive / ".archiver/quarantine").rglob(name))) == 1
    assert "manifest-md5" not in (held.archive / "tagmanifest-sha512.txt").read_text()


async def test_a_repair_with_the_same_bytes_keeps_other_manifests(held: Backups) -> None:
    """What is fetched anew and matches is still as they list it; another file is not."""
    await add_manifests(held, "sha256", "sha512")
    (held.archive / "data/v6/deepfake/1.mp4").unlink()
    assert (await repaired(held)).exit_status == 0
    assert (held.archive / "manifest-sha512.txt").exists()
    await assert_valid_bag(held.archive)
    (held.archive / "data/v6/deepfake/1.mp4").unlink()
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(size=7_000),))
    assert (await repaired(held, accept_changed=True)).exit_status == 0
    assert not (held.archive / "manifest-sha512.txt").exists()
    await assert_valid_bag(held.archive)


async def test_a_manifest_of_an_unknown_algorithm_is_set_aside(held: Backups) -> None:
    """Its checksums cannot be computed here."""
    (held.archive / "tagmanifest-tiger.txt").write_text("00 bag-info.txt\n")
    assert (await held.run("1", "2")).exit_status == 0
    assert not (held.archive / "tagmanifest-tiger.txt").exists()
    assert len(list((held.archive / ".archiver/quarantine").rglob("tagmanifest-tiger.txt"))) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda archive: (archive / "manifest-sha512.txt").write_text(""),
        lambda archive: (archive / "manifest-sha512.txt").write_text("0" * 128 + "  data/x\n"),
        lambda archive: change(archive / "manifest-sha512.txt", "a", "b"),
        lambda archive: change(archive / "bagit.txt", "1.0", "one"),
        lambda archive: change(archive / "bag-info.txt", "Payload-Oxum: ", "Payload-Oxum: 1"),
    ],
)
async def test_wrong_declarations_are_named_and_repaired(
    held: Backups, damage: Callable[[Path], object]
) -> None:
    """As the validator would; after a repair it is content."""
    await add_manifests(held, "sha256", "sha512")
    damage(held.archive)
    assert {finding.kind for finding in verify(held.archive).findings} == {"contradictory"}
    report = await repaired(held)
    assert (report.exit_status, report.repairs.failed) == (0, {}), list(report.lines())
    await assert_valid_bag(held.archive)
    assert verify(held.archive).findings == []


def change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("name", ["bag.txt", "../x.txt", "/etc/passwd", "data/../x"])
async def test_a_tag_manifest_that_lists_what_is_not_there_is_named(
    held: Backups, name: str
) -> None:
    """Only a person can know what was meant; nothing outside the archive is read."""
    await add_manifests(held, "sha256")
    change(held.archive / "tagmanifest-sha256.txt", "bag-info.txt", name)
    (finding,) = verify(held.archive).findings
    assert (finding.kind, finding.path) == ("contradictory", "tagmanifest-sha256.txt")
    assert repr(name) in finding.detail
    report = await repaired(held)
    assert (report.exit_status, list(report.repairs.failed)) == (4, ["tagmanifest-sha256.txt"])


async def test_a_changed_tag_file_of_other_people_is_not_taken_for_right(held: Backups) -> None:
    """Nobody but they can know what it should be."""
    (held.archive / "about.txt").write_text("mine")
    await add_manifests(held, "sha256")
    (held.archive / "about.txt").write_text("damaged")
    report = await repaired(held)
    assert report.exit_status == 4
    assert "'about.txt' does not match" in report.repairs.failed["tagmanifest-sha256.txt"]


async def test_tag_files_in_utf_16_are_refused(held: Backups) -> None:
    """Nothing can be added to them, and nothing is."""
    declaration = "BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-16\n"
    (held.archive / "bagit.txt").write_text(declaration)
    with pytest.raises(NotAnArchive, match="only UTF-8 can be added to"):
        await held.run("3")
    assert verify(held.archive).exit_status == 4


@pytest.mark.parametrize("catalogue", [True, False])
async def test_a_file_that_comes_back_is_counted(held: Backups, catalogue: bool) -> None:
    """Payload-Oxum is right again after the next backup, whatever was known in between."""
    video = held.archive / "data/v6/deepfake/1.mp4"
    video.rename(held.archive.parent / "aside")
    if not catalogue:
        for path in (held.archive / ".archiver").glob("catalogue*"):
            path.unlink()
    assert (await held.run("1", "2", "3")).archived == 1
    assert verify(held.archive).exit_status == 4
    (held.archive.parent / "aside").rename(video)
    assert (await held.run("1", "2", "3")).exit_status == 0
    await assert_valid_bag(held.archive)
    assert verify(held.archive).findings == []


async def test_a_file_that_was_cut_when_it_was_listed_is_counted(held: Backups) -> None:
    """Verify learns its size, and the next backup writes Payload-Oxum by it."""
    video = held.archive / "data/v6/deepfake/1.mp4"
    whole = video.read_bytes()
    os.truncate(video, 10)
    for path in (held.archive / ".archiver").glob("catalogue*"):
        path.unlink()
    await held.run("1", "2", "3")
    video.write_bytes(whole)
    assert [finding.path for finding in verify(held.archive).findings] == ["bag-info.txt"]
    assert (await held.run("1", "2", "3")).exit_status == 0
    await assert_valid_bag(held.archive)
    assert verify(held.archive).findings == []


async def test_a_run_that_was_killed_makes_no_false_alarm(held: Backups) -> None:
    """Until the next run, Payload-Oxum lags behind; nothing is damaged."""
    info = (held.archive / "bag-info.txt").read_bytes()
    assert (await held.run("1", "2", "3")).archived == 1
    (held.archive / "bag-info.txt").write_bytes(info)
    killed = "UPDATE run SET ended = NULL, exit_status = NULL"
    database = str(held.archive / ".archiver/catalogue.sqlite")
    script = f"import sqlite3; d = sqlite3.connect({database!r}); d.execute({killed!r})"
    assert (await ended(sys.executable, "-c", f"{script}; d.commit()")).status == 0
    assert verify(held.archive).findings == []
    assert (await held.run("1", "2", "3")).exit_status == 0
    await assert_valid_bag(held.archive)


async def test_a_damaged_catalogue_does_not_keep_files_from_being_verified(held: Backups) -> None:
    """They are compared with the checksum manifest, and the damage is named."""
    (held.archive / ".archiver/catalogue.sqlite").write_bytes(b"garbage" * 1000)
    (held.archive / "data/v6/deepfake/1.mp4").write_bytes(b"damaged")
    report = verify(held.archive)
    assert report.audit.checked == 4
    assert [(f.kind, f.path) for f in report.findings] == [
        ("changed", "data/v6/deepfake/1.mp4"),
        ("contradictory", ".archiver/catalogue.sqlite"),
    ]
    assert json.dumps(report.as_json())
