"""What an archive asks of its file system, and what it does where that is not to be had."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from archiver.archive.layout import Layout
from archiver.archive.staged import write_contents
from archiver.emulator.scripts import Script
from archiver.errors import ConfigurationError
from archiver.fixity.repair import repair
from archiver.fixity.verify import Selection, verify
from archiver.outcomes import Failed
from tests.support.archives import stage
from tests.support.backups import Backups, assert_true_bag, generation
from tests.support.disk import everything, in_any_case
from tests.support.running import Workspace, mounted
from tests.support.videos import MP4

OTHER_DISK = Path("/dev/shm")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system here")
    with TemporaryDirectory(dir=OTHER_DISK) as directory:
        yield Path(directory)


@pytest.fixture
async def held(backups: Backups) -> Backups:
    """An archive that holds a generation; another is ready."""
    for id_ in ("1", "2"):
        backups.emulator.scripts[generation(id_)] = Script()
    assert (await backups.run("1")).archived == 1
    return backups


@pytest.mark.parametrize("name", ["data", "data/v6", "data/v6/deepfake", ".archiver/incoming"])
async def test_a_directory_on_another_disk_is_refused(
    held: Backups, elsewhere: Path, name: str
) -> None:
    """Before anything is fetched or written; verify works as before."""
    moved = held.archive / name
    shutil.copytree(moved, elsewhere / "moved")
    shutil.rmtree(moved)
    moved.symlink_to(elsewhere / "moved")
    before = everything(held.archive / "data")
    for run in (held.run("1", "2"), repair(held.archive, Selection(), held.settings())):
        with pytest.raises(ConfigurationError, match="on another file system than"):
            await run
    assert everything(held.archive / "data") == before
    report = verify(held.archive)
    assert report.audit.checked == 2
    assert {finding.kind for finding in report.findings} <= {"contradictory"}
    moved.unlink()
    shutil.copytree(elsewhere / "moved", moved)
    assert (await held.run("1", "2")).archived == 1


@contextmanager
def bound(source: Path, place: Path) -> Iterator[None]:
    """Mount a directory at another place, too."""
    subprocess.run(["mount", "--bind", str(source), str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("name", ["data", "data/v6/deepfake", ".archiver/incoming"])
async def test_a_mounted_directory_is_refused(held: Backups, tmp_path: Path, name: str) -> None:
    """Also if the same file system is mounted there a second time, as containers do."""
    place = held.archive / name
    with mounted(tmp_path / "disk", "size=10m") as disk, ExitStack() as stack:
        for source in (disk, tmp_path):
            stack.enter_context(bound(source, place))
            with pytest.raises(ConfigurationError, match="on another file system than"):
                await held.run("1", "2")
    assert (await held.run("1", "2")).archived == 1


async def test_the_command_says_so_in_a_line(workspace: Workspace, elsewhere: Path) -> None:
    """The configuration is wrong, and not the disk."""
    (workspace.archive / ".archiver").mkdir(parents=True)
    (workspace.archive / "data").symlink_to(elsewhere)
    result = await workspace.backup(workspace.manifest("1"))
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert f"{workspace.archive / 'data'} is on another file system" in result.err
    assert everything(elsewhere) == {}


async def test_ids_that_differ_in_case_alone_hold_up_nobody(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system takes `A` for `a`, the second fails, by name, and is not fetched."""
    for id_ in ("abc", "ABC", "aBc", "1", "2"):
        backups.emulator.scripts[generation(id_)] = Script()
    backups.archive.mkdir()
    in_any_case(monkeypatch, backups.archive)
    report = await backups.run("abc", "ABC", "1")
    assert (report.archived, report.failed, report.exit_status) == (2, 1, 3)
    report = await backups.run("aBc", "ABC", "abc", "1", "2")
    assert (report.archived, report.failed, report.exit_status) == (1, 2, 3)
    assert {str(outcome) for outcome in backups.outcomes if isinstance(outcome, Failed)} == {
        f"failed v6/deepfake/{id_}: its files would replace those of v6/deepfake/abc: this file "
        "system does not distinguish upper case from lower; move the archive to one that does"
        for id_ in ("aBc", "ABC")
    }
    assert {seen.generation for seen in backups.emulator.requests} == {
        generation(id_) for id_ in ("abc", "1", "2")
    }
    assert_true_bag(backups.archive)


async def test_what_was_staged_for_a_name_in_another_case_holds_up_nobody(
    held: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays staged: an archive that is moved to another file system has it at once."""
    for id_ in ("abc", "3"):
        held.emulator.scripts[generation(id_)] = Script()
    assert (await held.run("abc")).archived == 1
    staged = stage(held.archive, "v6/deepfake/ABC", MP4)
    write_contents(Layout(held.archive), [staged])
    with monkeypatch.context() as patch:
        in_any_case(patch, held.archive)
        assert (await held.run("3")).archived == 1
        assert (held.archive / staged.files[0].staged).exists()
    assert (await held.run("ABC")).already_held == 1
    assert_true_bag(held.archive)
