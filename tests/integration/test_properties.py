"""What videos say of themselves: recorded with them, shown, and found again by verify."""

import csv
import io
import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from archiver.archive.layout import Layout
from archiver.cli.export_rows import write_rows
from archiver.cli.status_report import described, known_json
from archiver.emulator.scripts import OutputScript, Script
from archiver.fixity import checking as fixity
from archiver.fixity.repair import repair
from archiver.fixity.verify import Selection, verify
from archiver.media.files import examine, inspect
from archiver.media.info import Properties
from tests.support.archives import look_up, open_catalogue, stage
from tests.support.backups import Backups, generation
from tests.support.videos import HTML, MP4, WEBM, sha256

if TYPE_CHECKING:
    from typing_extensions import Buffer

ONE = "data/v6/deepfake/1.mp4"
SAID = Properties(0.5, 64, 64, 10.0, "h264")


@pytest.fixture
async def held(backups: Backups) -> Backups:
    """An archive that holds two videos."""
    for id_ in ("1", "2"):
        backups.emulator.scripts[generation(id_)] = Script(outputs=(OutputScript(size=5000),))
    report = await backups.run("1", "2")
    assert report.archived == 2
    return backups


def known(archive: Path, name: str = "1") -> Properties:
    """Return what the catalogue knows of a generation's first video."""
    return look_up(archive, generation(name)).files[-1].properties


def forget(archive: Path) -> None:
    """Make it the archive of a version that did not look at what videos say."""
    with closing(open_catalogue(archive)) as catalogue, catalogue.connection as db:
        db.execute("DELETE FROM properties")


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that verify looks at."""
    names: list[str] = []

    def noted(file: io.FileIO) -> tuple[str, Properties]:
        names.append(Path(str(file.name)).name)
        return examine(file)

    monkeypatch.setattr(fixity, "examine", noted)
    return names


async def test_a_backup_records_what_its_videos_say(held: Backups) -> None:
    """It is known from the commit on, and of the response there is nothing to know."""
    said = inspect(held.archive / ONE).media.properties
    files = look_up(held.archive, generation("1")).files
    assert {file.path: file.properties for file in files} == {
        ONE: said, "data/v6/deepfake/1.json": Properties(),
    }  # fmt: skip
    assert None not in (said.duration, said.width, said.height, said.frame_rate, said.video_codec)
    with closing(open_catalogue(held.archive)) as catalogue, catalogue.connection as db:
        assert db.execute("SELECT count(*) FROM properties").fetchone() == (2,)


async def test_a_video_on_the_disk_says_the_same(backups: Backups) -> None:
    """One that is too large to wait in memory, and one of several, are recorded too."""
    two = Script(outputs=(OutputScript(size=400_000), OutputScript(size=5000)))
    backups.emulator.scripts[generation("1")] = two
    await backups.run("1")
    files = look_up(backups.archive, generation("1")).files
    videos = [file for file in files if file.path.endswith(".mp4")]
    assert len(videos) == 2
    for file in videos:
        said = inspect(backups.archive / file.path).media.properties
        assert file.properties == said != Properties()


async def test_what_a_recovery_commits_is_known(backups: Backups) -> None:
    """What an interrupted run has staged whole is looked at again before it is committed."""
    backups.emulator.scripts[generation("1")] = Script()
    await backups.run("1")
    stage(backups.archive, "v6/deepfake/7", MP4)
    await backups.run("1")
    assert known(backups.archive, "7") == SAID


async def test_it_is_exported_and_shown(held: Backups) -> None:
    """In columns of their own, behind the file's; by status in words, and in JSON."""
    said, out = known(held.archive), io.StringIO()
    write_rows(held.archive, "csv", out)
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(out.getvalue()))}
    for name, value in asdict(said).items():
        assert rows[ONE][name] == ("" if value is None else str(value))
        assert rows["data/v6/deepfake/1.json"][name] == ""
    found = look_up(held.archive, generation("1"))
    size = f"{said.width} x {said.height}"
    assert f"{ONE} ({said.duration:.1f} s, {size}, {said.frame_rate:g} frames/s, h264" in (
        described(found)
    )
    files = json.loads(json.dumps(known_json(found)))["files"]
    assert {file["path"]: file["properties"] for file in files}[ONE] == asdict(said)


async def test_verify_looks_at_videos_of_an_older_archive(
    held: Backups, examined: list[str]
) -> None:
    """Once, while it hashes them, and at nothing else: the next time it only hashes."""
    said = known(held.archive)
    forget(held.archive)
    assert known(held.archive) == Properties()
    report = verify(held.archive)
    assert (report.audit.checked, report.findings) == (4, [])
    assert (known(held.archive), known(held.archive, "2")) == (said, said)
    assert sorted(examined) == ["1.mp4", "2.mp4"]
    verify(held.archive)
    assert len(examined) == 2


class Counted(io.FileIO):
    """A file whose bytes are counted as they are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        data = super().read(size)
        Counted.count += len(data)
        return data

    def readinto(self, buffer: "Buffer", /) -> int:
        """Read, and count."""
        size = super().readinto(buffer)
        Counted.count += size
        return size


@pytest.mark.parametrize("older", [True, False], ids=["an older archive", "ours"])
async def test_verify_reads_each_byte_once(
    held: Backups, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    """What a video says is found in the pass in which it is hashed."""
    if older:
        forget(held.archive)
    monkeypatch.setattr(Counted, "count", 0)
    monkeypatch.setattr(fixity, "open_file", Counted)
    report = verify(held.archive)
    assert Counted.count == report.audit.bytes == sum(map(len, held.held().values()))


async def test_only_what_is_read_is_looked_at(held: Backups, examined: list[str]) -> None:
    """A verify of what was not read lately reads no more for it."""
    forget(held.archive)
    report = verify(held.archive, Selection(older_than=3600))
    assert report.audit.checked == 0
    assert examined == []
    assert known(held.archive) == Properties()


async def test_a_damaged_video_says_nothing(held: Backups) -> None:
    """What does not match is not what the archive holds."""
    forget(held.archive)
    (held.archive / ONE).write_bytes(MP4)
    assert [finding.path for finding in verify(held.archive).findings] == [ONE]
    assert known(held.archive) == Properties()
    assert known(held.archive, "2") != Properties()


async def test_what_is_no_video_is_looked_at_once(held: Backups, examined: list[str]) -> None:
    """A file of another program may be called so; nothing is known of it, and it is no finding."""
    for name, data in {"page.mp4": HTML, "cut.webm": WEBM[:-1]}.items():
        (held.archive / "data" / name).write_bytes(data)
        with (held.archive / "manifest-sha256.txt").open("a") as manifest:
            manifest.write(f"{sha256(data)}  data/{name}\n")
    await held.run("1", "2")  # the catalogue learns that they are listed
    for _ in range(2):
        assert verify(held.archive).findings == []
        assert sorted(examined) == ["cut.webm", "page.mp4"]


async def test_a_lost_catalogue_gets_it_back(held: Backups) -> None:
    """The next run rebuilds it from the checksum manifest, and the next verify looks."""
    said = known(held.archive)
    Layout(held.archive).catalogue.unlink()
    verify(held.archive)
    await held.run("1", "2")
    assert known(held.archive) == Properties()
    verify(held.archive)
    assert known(held.archive) == said


async def test_an_archive_that_cannot_remember_is_only_hashed(
    held: Backups, examined: list[str]
) -> None:
    """Without a catalogue to write to, nobody would know it afterwards."""
    Layout(held.archive).catalogue.unlink()
    assert verify(held.archive).findings == []
    assert examined == []


async def test_a_repair_looks_too(held: Backups) -> None:
    """At what it only reads, and at what it fetches anew, also if that is another file."""
    said = known(held.archive)
    forget(held.archive)
    (held.archive / ONE).unlink()
    report = await repair(held.archive, Selection(), held.settings())
    assert report.exit_status == 0
    assert (known(held.archive), known(held.archive, "2")) == (said, said)
    held.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(body=MP4),))
    (held.archive / ONE).unlink()
    await repair(held.archive, Selection(), held.settings(), accept_changed=True)
    assert known(held.archive) == SAID != said
