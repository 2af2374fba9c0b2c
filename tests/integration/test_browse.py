"""`archiver browse` and `backup --browse`: the page is written, kept up to date, and in no way."""

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from contextlib import closing, suppress
from pathlib import Path

import pytest

from archiver.archive.layout import Layout
from archiver.archive.writable import WritableBag
from archiver.emulator.scripts import Script
from archiver.fixity.verify import verify
from archiver.gallery.browse import browse
from tests.support.archives import open_catalogue
from tests.support.backups import generation
from tests.support.gallery import Shown, add
from tests.support.running import COMMAND, Workspace
from tests.support.videos import MP4

bagit = pytest.importorskip("bagit")


def rows(archive: Path) -> str:
    """Return the data scripts of the page."""
    return "".join(path.read_text() for path in (archive / ".archiver/browse").glob("data-*.js"))


async def test_it_writes_a_page_beside_the_data(workspace: Workspace) -> None:
    """It prints where the page is, which needs nothing outside of the archive."""
    add(workspace.archive, [Shown("v6/deepfake/263"), Shown("v6/deepfake/264")])
    done = await workspace.run("browse", "-a", str(workspace.archive))
    assert (done.status, done.err) == (0, "")
    assert done.out == f"2 generations: {workspace.archive}/index.html\n"
    text = (workspace.archive / "index.html").read_text()
    assert "http:" not in text
    assert "https:" not in text


async def test_quiet_prints_nothing(workspace: Workspace) -> None:
    """With -q, silence means that all went well."""
    add(workspace.archive, [Shown("v6/deepfake/263")])
    done = await workspace.run("browse", "-q", "-a", str(workspace.archive))
    assert (done.status, done.out, done.err) == (0, "", "")


async def test_verbose_names_what_has_no_poster(workspace: Workspace) -> None:
    """A file that cannot be read is a line at -v, and no failure."""
    add(workspace.archive, [Shown("v6/deepfake/263", [b"broken"])])
    done = await workspace.run("browse", "-v", "-a", str(workspace.archive))
    assert done.status == 0
    assert done.err.startswith("no poster of data/v6/deepfake/263.mp4: ")


async def test_the_extra_is_named_only_where_it_is_missing(workspace: Workspace) -> None:
    """A video that is not on the disk has no poster whatever is installed."""
    pytest.importorskip("av")
    add(workspace.archive, [Shown("v6/deepfake/263")])
    (workspace.archive / "data/v6/deepfake/263.mp4").unlink()
    done = await workspace.run("browse", "-a", str(workspace.archive))
    assert done.out.endswith("\n1 video without a poster: -v says why\n")


async def test_open_opens_a_browser(workspace: Workspace) -> None:
    """The browser of $BROWSER is given the page; where there is none, a line says so."""
    add(workspace.archive, [Shown("v6/deepfake/263")])
    opened = workspace.home / "opened"
    command = workspace.home / "browser"
    command.write_text(f'#!/bin/sh\nprintf %s "$1" >{opened}\n')
    command.chmod(0o755)
    args = ("browse", "--open", "-a", str(workspace.archive))
    done = await workspace.run(*args, BROWSER=str(command))
    assert done.status == 0
    assert opened.read_text() == (workspace.archive / "index.html").as_uri()


async def test_there_must_be_an_archive(workspace: Workspace) -> None:
    """Where there is none, nothing is written."""
    done = await workspace.run("browse", "-a", str(workspace.archive))
    assert done.status == 2
    assert "does not exist" in done.err
    assert not workspace.archive.exists()


async def test_a_page_of_somebody_else_stays(workspace: Workspace) -> None:
    """It is named, with status 2, and what to do."""
    add(workspace.archive, [Shown("v6/deepfake/263")])
    (workspace.archive / "index.html").write_text("mine")
    done = await workspace.run("browse", "-a", str(workspace.archive))
    assert done.status == 2
    assert "index.html is not a page of this program: move it elsewhere first" in done.err
    assert (workspace.archive / "index.html").read_text() == "mine"


async def test_a_backup_keeps_it_up_to_date(workspace: Workspace) -> None:
    """`backup --browse` adds what it has archived, and what it has not, and prints no more."""
    workspace.emulator.scripts[generation("263")] = Script()
    workspace.emulator.scripts[generation("264")] = Script()
    first = await workspace.backup("--browse", workspace.manifest("263"))
    assert (first.status, first.out, first.err) == (0, "", "")
    assert '"v6/deepfake/263","held"' in rows(workspace.archive)
    second = await workspace.backup("--browse", workspace.manifest("264", "265"))
    assert second.status == 3
    shown = rows(workspace.archive)
    assert '"v6/deepfake/264","held"' in shown
    assert '"v6/deepfake/265","failed"' in shown
    index = (workspace.archive / ".archiver/browse/index.js").read_text()
    assert index.count('"command":"backup"') == 2


async def test_a_page_that_fails_is_no_failed_backup(workspace: Workspace) -> None:
    """The run is recorded as the success that it was; the line says what is wrong with the page."""
    workspace.emulator.scripts[generation("263")] = Script()
    workspace.archive.mkdir()
    (workspace.archive / "bagit.txt").write_text(
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    )
    (workspace.archive / "index.html").write_text("mine")
    done = await workspace.backup("--browse", workspace.manifest("263"))
    assert done.status == 2
    assert done.err.startswith("archiver: the page is not up to date: ")
    with closing(open_catalogue(workspace.archive)) as catalogue:
        assert [run.exit_status for run in catalogue.history.last(1)] == [0]


def test_posters_show_a_bar_and_can_be_interrupted(workspace: Workspace) -> None:
    """On a terminal a bar counts; Ctrl-C ends it with 130; the next time makes only the rest."""
    videos = [MP4 + b"\0\0\0\x0cfree" + number.to_bytes(4, "big") for number in range(600)]
    add(workspace.archive, [Shown(f"v6/video/{n}", [video]) for n, video in enumerate(videos)])
    posters = workspace.archive / ".archiver/browse/posters"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [COMMAND, "browse", "-a", str(workspace.archive)]
    shown = b""
    with subprocess.Popen(command, env=workspace.env(TERM="xterm"), stderr=theirs) as process:
        os.close(theirs)
        while not re.search(rb"posters: +[1-9]", shown):
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # it has no other end any more
            while data := os.read(ours, 65536):
                shown += data
        assert process.wait(60) == 130
    os.close(ours)
    assert b"/600 [" in shown
    assert b"Traceback" not in shown
    made = {path: path.stat().st_ino for path in posters.rglob("*.webp")}
    assert 0 < len(made) < 600
    assert not list(posters.rglob("*.new"))
    text = rows(workspace.archive)
    assert sum(path.stem in text for path in made) == len(made)
    browse(workspace.archive)
    again = {path: path.stat().st_ino for path in posters.rglob("*.webp")}
    assert len(again) == 600
    assert made.items() <= again.items()


# --- A bag with a page is a bag


def test_a_bag_with_a_page_is_valid(tmp_path: Path) -> None:
    """bagit-python and `verify` accept it, and the next run opens it as before."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/deepfake/263")])
    browse(archive)
    assert bagit.Bag(str(archive)).validate()
    report = verify(archive)
    assert (report.exit_status, report.audit.findings.kept) == (0, [])
    with WritableBag.open(archive):
        pass


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_tag_manifest_that_lists_the_page_stays_true(tmp_path: Path, algorithm: str) -> None:
    """Another program has listed the page: a new one is listed with its own checksum."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/deepfake/263")])
    browse(archive)
    page = archive / "index.html"
    page.write_text(page.read_text() + "<!-- an earlier version -->\n")
    manifest = archive / f"tagmanifest-{algorithm}.txt"
    names = ["index.html", "bagit.txt", "bag-info.txt", "manifest-sha256.txt"]
    done = subprocess.run(
        [f"{algorithm}sum", *names], cwd=archive, capture_output=True, check=True, timeout=20
    )
    manifest.write_bytes(done.stdout)
    assert bagit.Bag(str(archive)).validate()
    browse(archive)
    assert "an earlier version" not in page.read_text()
    assert "index.html" in manifest.read_text()
    assert bagit.Bag(str(archive)).validate()
    assert verify(archive).exit_status == 0


def test_a_moved_archive_needs_nothing_new(tmp_path: Path) -> None:
    """Nothing in the page names where the archive was."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/deepfake/263")])
    browse(archive)
    written = [archive / "index.html", *(archive / ".archiver/browse").glob("*.js")]
    assert [path for path in written if str(tmp_path) in path.read_text()] == []
    shutil.move(archive, tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere/index.html").is_file()


@pytest.mark.parametrize("blocked", ["av", "jinja2"])
def test_what_the_page_needs_is_imported_only_for_it(tmp_path: Path, blocked: str) -> None:
    """A backup and the help import neither PyAV nor Jinja2."""
    code = (
        f"import sys; sys.modules[{blocked!r}] = None\n"
        "import archiver.cli.backup, archiver.cli.browse, archiver.cli.status\n"
        "import archiver.pipeline.backup, archiver.fixity.verify\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_read_only_catalogue_is_enough(tmp_path: Path) -> None:
    """The catalogue is only read: it is the same to the byte afterwards."""
    archive = tmp_path / "archive"
    add(archive, [Shown("v6/deepfake/263")])
    catalogue = Layout(archive).catalogue
    before = catalogue.read_bytes()
    browse(archive)
    assert catalogue.read_bytes() == before
