"""A tree of links is kept in step with the archive, and nothing else in it is touched."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from archiver.archive.bag import Bag
from archiver.archive.lock import locked
from archiver.errors import ArchiveLocked, ConfigurationError, NotAnArchive, StorageError
from archiver.generation import Generation
from archiver.media.info import Properties
from archiver.metadata import Metadata
from archiver.tree import names
from archiver.tree.state import How
from archiver.tree.target import Target
from tests.support.archives import open_catalogue
from tests.support.catalogues import generation
from tests.support.trees import Tree

PLAIN = "{prompt}.{extension}"
HOWS: list[How] = ["link", "symbolic", "copy"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An archive of two videos with prompts, and one of which nothing is said."""
    tree = Tree(tmp_path)
    tree.hold("deepfake/1.mp4", "deepfake/1.json", "deepfake/2.mp4", "deepfake/2.json")
    tree.hold("realtime/3.webm", "realtime/3.json")
    tree.say(**{"1": "A cat", "2": "A dog: big"})
    return tree


def snapshot(tree: Tree) -> dict[str, tuple[int, int, int]]:
    """Return what shows whether anything in the target was touched."""
    found = (path.lstat() for path in sorted(tree.target.rglob("*")))
    paths = [str(path) for path in sorted(tree.target.rglob("*"))]
    return {p: (f.st_ino, f.st_mtime_ns, f.st_ctime_ns) for p, f in zip(paths, found, strict=True)}


def archived_today(tree: Tree) -> str:
    with closing(open_catalogue(tree.archive)) as catalogue:
        since = catalogue.queries.of(Generation("v6/realtime", "3")).since
    assert since
    return since[:10]


# --- What is made


@pytest.mark.parametrize("how", HOWS)
def test_each_video_gets_a_name(tree: Tree, how: How) -> None:
    """With the date it was made or archived, and what was asked for; sidecars get none."""
    changes = tree.link(how=how)
    today = archived_today(tree)
    assert tree.names() == sorted(
        ["2026-11-23/A cat-1.mp4", "2026-11-23/A dog_ big-2.mp4", f"{today}/3.webm"]
    )
    assert tree.content("2026-11-23/A cat-1.mp4") == "data/v6/deepfake/1.mp4"
    assert tree.content(f"{today}/3.webm") == "data/v6/realtime/3.webm"
    assert (len(changes.made), changes.exit_status) == (3, 0)


def test_links_are_hard_ones(tree: Tree) -> None:
    """They take no space, and last as long as the video has any name."""
    tree.link()
    there = (tree.target / "2026-11-23/A cat-1.mp4").lstat()
    assert there.st_ino == (tree.archive / "data/v6/deepfake/1.mp4").stat().st_ino


def test_symbolic_links_survive_a_move_of_both(tree: Tree) -> None:
    """On one disk they are relative: archive and links may be moved together."""
    tree.link(how="symbolic")
    link = tree.target / "2026-11-23/A cat-1.mp4"
    assert str(link.readlink()) == "../../archive/data/v6/deepfake/1.mp4"
    moved = tree.home / "moved"
    moved.mkdir()
    tree.archive.rename(moved / "archive")
    tree.target.rename(moved / "by name")
    assert Tree(moved).content("2026-11-23/A cat-1.mp4") == "data/v6/deepfake/1.mp4"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no other file system")
def test_links_to_another_disk_are_symbolic(tree: Tree, tmp_path: Path) -> None:
    """And absolute: the two are not moved together. A second run does nothing."""
    place = Path("/dev/shm") / f"archiver-links-{os.getpid()}"
    tree.target.symlink_to(place)
    place.mkdir()
    try:
        tree.link()
        link = place / "2026-11-23/A cat-1.mp4"
        assert link.readlink() == tree.archive / "data/v6/deepfake/1.mp4"
        assert not tree.link().made
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_there_are_no_hard_links_they_are_symbolic(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """As on FAT, or where a video belongs to somebody else; a second run does nothing."""

    def refuse(*_args: object, **_named: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    tree.link()
    assert all((tree.target / name).is_symlink() for name in tree.names())
    assert len(tree.names()) == 3
    assert not tree.link().made


def test_without_any_links_copies_are_named(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do instead."""

    def refuse(*_args: object, **_named: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(ConfigurationError, match="no links: copy with --copy"):
        tree.link()


@pytest.mark.parametrize("hard_links", [True, False])
def test_copies_are_files_of_their_own(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    """With the video's time; also where no hard link gives a copy its name."""

    def refuse(*_args: object, **_named: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not hard_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    changes = tree.link(how="copy")
    copy = (tree.target / "2026-11-23/A cat-1.mp4").lstat()
    video = (tree.archive / "data/v6/deepfake/1.mp4").stat()
    assert (copy.st_nlink, copy.st_mtime_ns) == (1, video.st_mtime_ns)
    assert copy.st_ino != video.st_ino
    assert changes.bytes == sum(map(len, map(tree.content, tree.names())))
    assert [path.name for path in (tree.target / ".archiver-links").iterdir()] == [
        "lock",
        "links.jsonl",
    ] or not list((tree.target / ".archiver-links").glob("copy-*"))


def test_a_damaged_video_is_not_copied(tree: Tree) -> None:
    """A copy is proven by its checksum before it has a name; the others are made."""
    (tree.archive / "data/v6/deepfake/1.mp4").write_text("damaged")
    changes = tree.link(PLAIN, how="copy")
    assert tree.names() == ["A dog_ big.mp4", "unknown.webm"]
    assert changes.exit_status == 4
    (line,) = list(changes.lines())[1:]
    assert line.startswith("data/v6/deepfake/1.mp4 does not match its checksum")


def test_several_outputs_have_names_of_their_own(tree: Tree) -> None:
    """By their number, or by a suffix where the format has none."""
    tree.hold("deepfake/4-1.mp4", "deepfake/4-2.mp4", "deepfake/4.json")
    tree.say(**{"4": "Two"})
    tree.link("{prompt} {number}.{extension}")
    assert {"Two 1.mp4", "Two 2.mp4"} <= set(tree.names())
    tree.link(PLAIN)
    assert {
        names.suffixed("Two.mp4", f"data/v6/deepfake/4-{n}.mp4") for n in (1, 2)
    } <= set(tree.names())  # fmt: skip


def test_what_the_video_says_is_in_its_name(tree: Tree) -> None:
    """From the catalogue."""
    tree.show("deepfake/1.mp4", Properties(4.0, 1280, 720, 24.0, "h264", "aac"))
    tree.link("{prompt} {resolution} {duration}s.{extension}")
    assert "A cat 1280x720 4s.mp4" in tree.names()


# --- Again


@pytest.mark.parametrize("how", HOWS)
def test_a_second_run_does_nothing(tree: Tree, how: How) -> None:
    """Not a file is touched, our own among them."""
    tree.link(how=how)
    before = snapshot(tree)
    changes = tree.link(how=how)
    assert (changes.made, changes.removed, len(changes.kept)) == ([], [], 3)
    after = snapshot(tree)
    lock = str(tree.target / ".archiver-links/lock")
    assert {k: v for k, v in after.items() if k != lock} == {
        k: v for k, v in before.items() if k != lock
    }


@pytest.mark.parametrize("how", HOWS)
def test_a_new_prompt_gives_a_new_name(tree: Tree, how: How) -> None:
    """The old one goes, and so does its directory if nothing is left in it."""
    tree.link("{prompt}/{id}.{extension}", how)
    tree.say(**{"1": "A lion"})
    changes = tree.link("{prompt}/{id}.{extension}", how)
    assert tree.names() == ["A dog_ big/2.mp4", "A lion/1.mp4", "unknown/3.webm"]
    assert not (tree.target / "A cat").exists()
    assert (len(changes.made), len(changes.removed), changes.bytes) == (1, 1, 0)


@pytest.mark.parametrize("how", HOWS)
def test_names_can_be_exchanged(tree: Tree, how: How) -> None:
    """What had one name has the other then, and the other way round."""
    tree.link(PLAIN, how)
    tree.say(**{"1": "A dog: big", "2": "A cat"})
    tree.link(PLAIN, how)
    assert tree.content("A cat.mp4") == "data/v6/deepfake/2.mp4"
    assert tree.content("A dog_ big.mp4") == "data/v6/deepfake/1.mp4"


@pytest.mark.parametrize("before", HOWS)
@pytest.mark.parametrize("after", HOWS)
def test_one_kind_takes_the_place_of_another(tree: Tree, before: How, after: How) -> None:
    """Under the same names; and nothing is done twice."""
    tree.link(how=before)
    tree.link(how=after)
    assert len(tree.names()) == 3
    link = tree.target / "2026-11-23/A cat-1.mp4"
    is_copy = link.stat().st_ino != (tree.archive / "data/v6/deepfake/1.mp4").stat().st_ino
    assert (link.is_symlink(), is_copy) == (after == "symbolic", after == "copy")
    assert not tree.link(how=after).made


def test_a_repaired_video_is_linked_anew(tree: Tree) -> None:
    """A repair puts another file in the old one's place."""
    tree.link(PLAIN)
    video = tree.archive / "data/v6/deepfake/1.mp4"
    (video.parent / "new").write_text("repaired")
    (video.parent / "new").rename(video)
    assert len(tree.link(PLAIN).made) == 1
    assert tree.content("A cat.mp4") == "repaired"


def test_a_link_that_was_deleted_is_made_again(tree: Tree) -> None:
    """Also if its directory is gone."""
    tree.link()
    shutil.rmtree(tree.target / "2026-11-23")
    assert len(tree.link().made) == 2
    assert len(tree.names()) == 3


def test_a_name_does_not_depend_on_when_the_catalogue_was_rebuilt(tree: Tree) -> None:
    """What has no date of its own keeps that of when it was archived."""
    with closing(open_catalogue(tree.archive)) as catalogue, catalogue.connection as db:
        db.execute("UPDATE generation SET since = '2025-01-31T23:00:00+00:00'")
    tree.link()
    assert "2025-01-31/3.webm" in tree.names()
    (tree.archive / ".archiver/catalogue.sqlite").unlink()
    tree.hold()
    tree.say(**{"1": "A cat", "2": "A dog: big"})
    assert not tree.link().made


def test_a_rival_gets_both_a_suffix(tree: Tree) -> None:
    """The same ones in whatever order they were archived."""
    tree.link("{family}.{extension}")
    found = tree.names()
    assert names.suffixed("deepfake.mp4", "data/v6/deepfake/1.mp4") in found
    assert names.suffixed("deepfake.mp4", "data/v6/deepfake/2.mp4") in found
    assert "realtime.webm" in found


def test_an_archive_may_be_moved(tree: Tree) -> None:
    """The links follow it."""
    tree.link(how="symbolic")
    (tree.home / "elsewhere").mkdir()
    tree.archive.rename(tree.home / "elsewhere/archive")
    (tree.home / "elsewhere/by name").symlink_to(tree.target)
    moved = Tree(tree.home / "elsewhere")
    assert len(moved.link(how="symbolic").made) == 3
    assert moved.content("2026-11-23/A cat-1.mp4") == "data/v6/deepfake/1.mp4"


def test_a_name_may_change_in_case_alone(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a file system that takes `A` for `a`, where the new name seems to be taken."""

    def exists(self: Target, path: str) -> bool:
        there = self.root / path
        found = there.parent.iterdir() if there.parent.is_dir() else iter(())
        return there.name.lower() in {each.name.lower() for each in found}

    monkeypatch.setattr(Target, "exists", exists)
    tree.link(PLAIN)
    tree.say(**{"1": "a CAT"})
    changes = tree.link(PLAIN)
    assert (len(changes.made), len(changes.removed), changes.exit_status) == (1, 1, 0)
    assert "a CAT.mp4" in tree.names()


def test_links_are_known_again_after_a_restore(tree: Tree) -> None:
    """Of archive and links together, where each file has another inode."""
    tree.link()
    restored = Tree(tree.home / "restored")
    restored.home.mkdir()
    for path in ("archive", "by name"):
        shutil.copytree(tree.home / path, restored.home / path)
    for each in tree.names():
        (restored.target / each).unlink()
        number = each.removesuffix(".mp4")[-1]
        source = "realtime/3.webm" if "webm" in each else f"deepfake/{number}.mp4"
        (restored.target / each).hardlink_to(restored.archive / "data/v6" / source)
    shutil.rmtree(tree.archive)
    assert restored.link("{id}.{extension}").exit_status == 0
    assert restored.names() == ["1.mp4", "2.mp4", "3.webm"]


# --- What is not ours


@pytest.mark.parametrize("how", HOWS)
def test_files_of_a_person_are_not_touched(tree: Tree, how: How) -> None:
    """Neither beside ours nor in the place of one: that gets a suffix, and keeps it."""
    (tree.target / "2026-11-23").mkdir(parents=True)
    mine = [tree.target / "notes.txt", tree.target / "2026-11-23/A cat-1.mp4"]
    for path in mine:
        path.write_text("mine")
    tree.link(how=how)
    suffixed = names.suffixed("2026-11-23/A cat-1.mp4", "data/v6/deepfake/1.mp4")
    assert tree.content(suffixed) == "data/v6/deepfake/1.mp4"
    assert not tree.link(how=how).made
    tree.link("{id}.{extension}", how)
    assert {path.read_text() for path in mine} == {"mine"}
    mine[1].unlink()
    assert len(tree.link(how=how).made) == 3
    assert tree.content("2026-11-23/A cat-1.mp4") == "data/v6/deepfake/1.mp4"


@pytest.mark.parametrize("how", HOWS)
def test_what_a_person_has_changed_is_theirs(tree: Tree, how: How) -> None:
    """A file that took the place of a link is not removed, nor replaced."""
    tree.link(PLAIN, how)
    (tree.target / "A cat.mp4").unlink()
    (tree.target / "A cat.mp4").write_text("edited")
    tree.link(PLAIN, how)
    tree.link("{id}.{extension}", how)
    assert tree.content("A cat.mp4") == "edited"
    assert len(tree.names()) == 4


def test_a_copy_that_was_edited_in_place_is_theirs(tree: Tree) -> None:
    """Also if its size is the same: its checksum tells."""
    tree.link(PLAIN, how="copy")
    copy = tree.target / "A cat.mp4"
    copy.write_text(copy.read_text().upper())
    tree.link("{id}.{extension}", how="copy")
    assert tree.content("A cat.mp4") == "DATA/V6/DEEPFAKE/1.MP4"


def test_a_copy_whose_time_has_changed_is_still_ours(tree: Tree) -> None:
    """As on FAT, when the clocks go back: its bytes are the same."""
    tree.link(PLAIN, how="copy")
    os.utime(tree.target / "A cat.mp4", (1, 1))
    assert not tree.link(PLAIN, how="copy").made
    tree.link("{id}.{extension}", how="copy")
    assert tree.names() == ["1.mp4", "2.mp4", "3.webm"]


def test_a_directory_with_a_file_of_a_person_stays(tree: Tree) -> None:
    """With that file alone in it; it goes when it is empty."""
    tree.link("{prompt}/{id}.{extension}")
    (tree.target / "A cat/notes.txt").write_text("mine")
    (tree.target / "empty").mkdir()
    tree.link("{id}.{extension}")
    assert tree.names() == ["1.mp4", "2.mp4", "3.webm", "A cat/notes.txt"]
    assert (tree.target / "empty").is_dir()
    assert not (tree.target / "A dog_ big").exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_in_the_way_of_a_directory_stays(tree: Tree, kind: str) -> None:
    """A file, or a link that leads elsewhere; what has no place is named, with status 3."""
    outside = tree.home / "outside"
    outside.mkdir()
    tree.target.mkdir()
    if kind == "file":
        (tree.target / "2026-11-23").write_text("mine")
    else:
        (tree.target / "2026-11-23").symlink_to(outside)
    changes = tree.link()
    assert changes.exit_status == 3
    assert len(changes.made) == 1
    assert all("is in the way" in line for line in list(changes.lines())[1:])
    assert list(outside.iterdir()) == []


def test_a_directory_that_became_a_link_is_left_alone(tree: Tree) -> None:
    """What a person has moved elsewhere is not removed from there."""
    tree.link("{prompt}/{id}.{extension}")
    (tree.target / "A cat").rename(tree.home / "moved")
    (tree.target / "A cat").symlink_to(tree.home / "moved")
    tree.link("{id}.{extension}")
    assert (tree.home / "moved/1.mp4").exists()


def test_a_link_of_a_person_to_the_same_video_serves(tree: Tree) -> None:
    """It is neither doubled nor, later, removed."""
    tree.target.mkdir()
    (tree.target / "A cat.mp4").hardlink_to(tree.archive / "data/v6/deepfake/1.mp4")
    changes = tree.link(PLAIN)
    assert (len(changes.made), changes.others, changes.exit_status) == (2, 1, 0)
    tree.link("{id}.{extension}")
    assert (tree.target / "A cat.mp4").exists()


# --- What the archive does not hold any more


def forget(tree: Tree, id_: str) -> None:
    """Let the archive forget a generation, as when its lines were taken out of the manifest."""
    with closing(open_catalogue(tree.archive)) as catalogue, catalogue.connection as db:
        db.execute("DELETE FROM generation WHERE name = ?", (generation(id_).name,))


@pytest.mark.parametrize("how", ["link", "symbolic"])
def test_stale_links_are_removed(tree: Tree, how: How) -> None:
    """Those to videos that the archive does not list any more."""
    tree.link(PLAIN, how)
    forget(tree, "1")
    changes = tree.link(PLAIN, how)
    assert (tree.names(), len(changes.removed)) == (["A dog_ big.mp4", "unknown.webm"], 1)


@pytest.mark.parametrize("how", ["link", "copy"])
def test_the_last_copy_of_a_video_is_kept(tree: Tree, how: How) -> None:
    """Where the archive has lost it, and forgotten it; each run says so."""
    tree.link(PLAIN, how)
    forget(tree, "1")
    (tree.archive / "data/v6/deepfake/1.mp4").unlink()
    for _ in range(2):
        changes = tree.link("{id}.{extension}", how)
        assert tree.content("A cat.mp4") == "data/v6/deepfake/1.mp4"
        assert "kept A cat.mp4: the archive does not hold it any more" in list(changes.lines())[1]
        assert changes.noteworthy
        assert len(changes.last) == 1


@pytest.mark.parametrize("how", ["link", "copy"])
def test_what_is_missing_is_named_and_keeps_its_link(tree: Tree, how: How) -> None:
    """A held video that is not there ends with 4; its hard link is what is left of it."""
    tree.link(PLAIN, how)
    (tree.archive / "data/v6/deepfake/1.mp4").unlink()
    changes = tree.link("{id}.{extension}", how)
    assert changes.exit_status == 4
    assert "data/v6/deepfake/1.mp4 cannot be read: No such file" in list(changes.lines())[1]
    assert tree.content("A cat.mp4") == "data/v6/deepfake/1.mp4"


# --- Where a target may be


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("archive", "is in the archive"),
        ("archive/names", "is in the archive"),
        ("archive/data/v6", "is in the archive"),
        ("alias/names", "is in the archive"),
        (".", "the archive is in"),
        ("file", "is not a directory"),
        ("no/such", "does not exist: only the last part"),
    ],
)
def test_a_target_in_the_archive_is_refused(tree: Tree, place: str, message: str) -> None:
    """However it is named; so is one around it, and one that is no place."""
    (tree.home / "alias").symlink_to(tree.archive)
    (tree.home / "file").touch()
    before = sorted(map(str, tree.home.rglob("*")))
    with pytest.raises(ConfigurationError, match=message):
        Target(Bag(tree.archive), tree.home / place).check()
    assert sorted(map(str, tree.home.rglob("*"))) == before


def test_another_archives_links_are_not_removed(tree: Tree, tmp_path: Path) -> None:
    """Two archives do not share a target."""
    tree.link()
    (tmp_path / "second").mkdir()
    second = Tree(tmp_path / "second")
    second.hold("deepfake/9.mp4")
    (tmp_path / "second/by name").symlink_to(tree.target)
    with pytest.raises(ConfigurationError, match="links to another archive"):
        second.link()
    assert len(tree.names()) == 3


def test_no_archive_has_no_links(tmp_path: Path) -> None:
    """A directory that is no archive is an error, and nothing is created."""
    with pytest.raises(NotAnArchive):
        Tree(tmp_path).link()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_are_not_at_work_in_one_target(tree: Tree) -> None:
    """The second ends with 75."""
    tree.link()
    with (
        locked(tree.target / ".archiver-links/lock"),
        pytest.raises(ArchiveLocked, match="another run makes links"),
    ):
        tree.link()


# --- Interruptions, and the state


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_run_is_gone_on_with(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, how: How, after: int
) -> None:
    """What was made before it was killed is ours, and is removed when it has no use any more."""
    tree.link(PLAIN, how)
    make, calls = Target.make_directories, iter(range(100))

    def dies(self: Target, path: str) -> None:
        if next(calls) == after:
            raise KeyboardInterrupt
        make(self, path)

    tree.say(**{"1": "A lion", "2": "A wolf"})
    with monkeypatch.context() as patch:
        patch.setattr(Target, "make_directories", dies)
        with pytest.raises(KeyboardInterrupt):
            tree.link("{prompt}/{id}.{extension}", how)
    tree.link("{prompt}/{number}.{extension}", how)
    assert tree.names() == ["A lion/1.mp4", "A wolf/1.mp4", "unknown/1.webm"]
    assert sorted(path.name for path in tree.target.iterdir()) == [
        ".archiver-links", "A lion", "A wolf", "unknown",
    ]  # fmt: skip


def test_a_full_disk_ends_the_run(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 74 and without a partial copy; the next run goes on."""

    def full(*_args: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Target, "_copied", full)
        with pytest.raises(StorageError, match="No space left"):
            tree.link(how="copy")
    assert tree.names() == []
    assert len(tree.link(how="copy").made) == 3


def test_what_a_killed_copy_has_left_is_deleted(tree: Tree) -> None:
    """It lies among our own files."""
    tree.link(how="copy")
    left = tree.target / ".archiver-links/copy-1"
    left.write_text("half")
    tree.link(how="copy")
    assert not left.exists()


def test_without_its_state_nothing_is_doubled(tree: Tree) -> None:
    """What leads to the right video serves as it is."""
    tree.link()
    shutil.rmtree(tree.target / ".archiver-links")
    changes = tree.link()
    assert (changes.made, changes.others, len(tree.names())) == ([], 3, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda text: text[:-20], StorageError, "is damaged: delete it"),
        (lambda text: "nonsense\n", StorageError, "is damaged: delete it"),
        (lambda text: "", StorageError, "is damaged: delete it"),
        (lambda text: text.replace('"version": 1', '"version": 2'), ConfigurationError, "newer"),
    ],
)
def test_a_state_that_is_not_understood_is_an_error(
    tree: Tree, change: Callable[[str], str], error: type[Exception], message: str
) -> None:
    """Nothing is removed on a guess."""
    tree.link()
    state = tree.target / ".archiver-links/links.jsonl"
    state.write_text(change(state.read_text()))
    with pytest.raises(error, match=message):
        tree.link("{id}.{extension}")
    assert len(tree.names()) == 3


def test_a_plan_touches_nothing(tree: Tree) -> None:
    """Not even the target is created."""
    changes = tree.plan()
    assert len(changes.made) == 3
    assert not tree.target.exists()
    tree.link(PLAIN)
    before = snapshot(tree)
    changes = tree.plan("{id}.{extension}")
    assert (len(changes.made), len(changes.removed)) == (3, 3)
    assert snapshot(tree) == before


def test_the_state_names_each_link(tree: Tree) -> None:
    """A person can read it: a heading, and a line of JSON for each."""
    tree.link(PLAIN)
    lines = (tree.target / ".archiver-links/links.jsonl").read_text().splitlines()
    heading, *links = map(json.loads, lines)
    assert heading["archive"] == str(tree.archive)
    assert {each[0]: each[1] for each in links}["A cat.mp4"] == "data/v6/deepfake/1.mp4"


@pytest.mark.parametrize("created", ["soon", "9999-99-99", ""])
def test_a_date_that_is_none_is_not_believed(tree: Tree, created: str) -> None:
    """It then counts when it was archived."""
    tree.describe({"1": Metadata(created=created)})
    tree.link("{date} {id}.{extension}")
    assert f"{archived_today(tree)} 1.mp4" in tree.names()
