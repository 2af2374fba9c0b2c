"""The quarantine takes what is not what it should be, and never deletes it."""

import errno
import os
import re
import shutil
from collections.abc import Callable

import pytest

from archiver.archive.layout import Layout
from archiver.archive.quarantine import Quarantine
from tests.support.disk import DiskLog, everything, failing, names

PATH = "data/v6/deepfake/263.mp4"
OTHER = "data/v6/deepfake/263.json"


@pytest.fixture
def damaged(layout: Layout) -> Layout:
    """An archive with two files that are not what they should be."""
    for path in (PATH, OTHER):
        (layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / path).write_text(f"damaged {path}")
    return layout


def quarantined(layout: Layout) -> dict[str, str]:
    """Return what is in the quarantine, by the path that it had."""
    return {
        path.relative_to(moment).as_posix(): path.read_text()
        for moment in layout.quarantine.iterdir()
        for path in moment.rglob("*")
        if path.is_file()
    }


def test_what_is_moved_keeps_its_path(damaged: Layout) -> None:
    """In a directory that is named for the moment; in the archive it is gone."""
    Quarantine(damaged).move([PATH, OTHER])
    assert quarantined(damaged) == {PATH: f"damaged {PATH}", OTHER: f"damaged {OTHER}"}
    assert names(damaged.root / "data/v6/deepfake") == []
    (moment,) = names(damaged.quarantine)
    assert re.fullmatch(r"20[0-9]{6}T[0-9]{6}\.[0-9]{6}Z", moment)


def test_what_is_copied_is_in_place_at_every_instant(
    damaged: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step is the last: a second link is made, and the first is never taken away."""
    seen: list[str] = []
    calls: list[tuple[object, str]] = [
        (os, "link"), (os, "open"), (os, "fsync"), (os, "mkdir"), (os, "rename"), (os, "unlink"),
    ]  # fmt: skip

    def watched(name: str, plain: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            result = plain(*args, **kwargs)
            seen.append(name)
            for path in (PATH, OTHER):
                assert os.path.exists(damaged.root / path)  # noqa: PTH110
            return result

        return call

    with monkeypatch.context() as patch:
        for place, name in calls:
            patch.setattr(place, name, watched(name, getattr(place, name)))
        Quarantine(damaged).copy([PATH, OTHER])
    assert (seen.count("link"), seen.count("fsync")) == (2, 2)
    assert {"rename", "unlink"}.isdisjoint(seen)
    for path in (PATH, OTHER):
        assert (damaged.root / path).read_text() == f"damaged {path}"
        assert (damaged.root / path).stat().st_nlink == 2
    assert quarantined(damaged) == {PATH: f"damaged {PATH}", OTHER: f"damaged {OTHER}"}


def test_a_copy_is_durable(damaged: Layout, disk: DiskLog) -> None:
    """The directory with the second link is flushed: what replaces the first may come at once."""
    Quarantine(damaged).copy([PATH])
    assert [step.split()[1] for step in disk.flushes()] == ["deepfake"]


def test_a_copy_outlives_the_file_that_replaces_it(damaged: Layout) -> None:
    """The quarantine keeps the old bytes, whatever is renamed into their place."""
    Quarantine(damaged).copy([PATH])
    (damaged.root / "new").write_text("new")
    (damaged.root / "new").rename(damaged.root / PATH)
    assert quarantined(damaged) == {PATH: f"damaged {PATH}"}


NO_LINKS = ["EPERM", "EACCES", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EMLINK", "EXDEV", "EINVAL"]


@pytest.mark.parametrize("error", NO_LINKS)
def test_without_hard_links_a_copy_is_made(
    damaged: Layout, disk: DiskLog, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """It is flushed before it has its name, and its directory after; the first stays in place."""
    monkeypatch.setattr(os, "link", failing(getattr(errno, error)))
    Quarantine(damaged).copy([PATH])
    kinds = [" ".join(step.split()[:2]) for step in disk.steps]
    assert kinds[-3:] == ["fsync 263.mp4.part", "rename 263.mp4.part", "fsync deepfake"]
    assert quarantined(damaged) == {PATH: f"damaged {PATH}"}
    assert (damaged.root / PATH).read_text() == f"damaged {PATH}"
    assert (damaged.root / PATH).stat().st_nlink == 1


def test_a_copy_that_the_disk_does_not_take_leaves_nothing(
    damaged: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a copy takes the place of nothing, and the first stays where it is."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        Quarantine(damaged).copy([PATH])
    assert quarantined(damaged) == {}
    assert (damaged.root / PATH).read_text() == f"damaged {PATH}"


def test_what_cannot_be_read_is_moved_where_there_are_no_hard_links(
    damaged: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be of no use in its place, and one such file keeps no other from being repaired."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(shutil, "copy2", failing(errno.EIO))
    Quarantine(damaged).copy([PATH])
    assert quarantined(damaged) == {PATH: f"damaged {PATH}"}
    assert not (damaged.root / PATH).exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_symbolic_link_is_kept_as_one(
    damaged: Layout, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """What it leads to is not ours."""
    if not links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    (damaged.root / PATH).rename(damaged.root / "elsewhere")
    (damaged.root / PATH).symlink_to(damaged.root / "elsewhere")
    Quarantine(damaged).copy([PATH])
    (kept,) = damaged.quarantine.rglob("263.mp4")
    assert kept.readlink() == damaged.root / "elsewhere"


@pytest.mark.parametrize("act", [Quarantine.copy, Quarantine.move])
def test_what_is_no_file_is_moved(
    layout: Layout, act: Callable[[Quarantine, list[str]], None]
) -> None:
    """A directory cannot have a second link; it goes with all that is in it."""
    (layout.root / PATH).mkdir(parents=True)
    (layout.root / PATH / "note").write_text("mine")
    act(Quarantine(layout), [PATH])
    assert quarantined(layout) == {f"{PATH}/note": "mine"}
    assert not (layout.root / PATH).exists()


@pytest.mark.parametrize("act", [Quarantine.copy, Quarantine.move])
def test_what_is_not_there_is_passed_over(
    damaged: Layout, act: Callable[[Quarantine, list[str]], None]
) -> None:
    """A damaged generation may have lost a file altogether."""
    act(Quarantine(damaged), ["data/v6/deepfake/264.mp4", "data/x/y.mp4", PATH])
    assert set(quarantined(damaged)) == {PATH}


@pytest.mark.parametrize("act", [Quarantine.copy, Quarantine.move])
def test_where_nothing_is_there_there_is_no_quarantine(
    layout: Layout, act: Callable[[Quarantine, list[str]], None]
) -> None:
    """Not even an empty directory."""
    act(Quarantine(layout), [])
    act(Quarantine(layout), [PATH])
    assert not layout.quarantine.exists()


def test_each_moment_has_a_directory_of_its_own(layout: Layout) -> None:
    """What was quarantined before under the same path is not replaced."""
    for text in ("first", "second"):
        (layout.root / PATH).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / PATH).write_text(text)
        Quarantine(layout).move([PATH])
    moments = [moment / PATH for moment in sorted(layout.quarantine.iterdir())]
    assert [path.read_text() for path in moments] == ["first", "second"]


def test_staged_payloads_are_taken_under_their_generations_name(layout: Layout) -> None:
    """They have no path in the archive; a person finds them by the name of the directory."""
    staged = layout.incoming / "v6~deepfake~263"
    staged.mkdir()
    for name in ("a.mp4", "b.mp4", "answer.json"):
        (staged / name).write_text(name)
    Quarantine(layout).take_payloads(staged.name, [staged / "a.mp4", staged / "b.mp4"])
    aside = layout.quarantine / "v6~deepfake~263"
    assert everything(aside) == {"a.mp4": b"a.mp4", "b.mp4": b"b.mp4"}
    assert names(staged) == ["answer.json"]


def test_without_payloads_there_is_no_quarantine(layout: Layout) -> None:
    """Not even an empty directory."""
    Quarantine(layout).take_payloads("v6~deepfake~263", iter(()))
    assert not layout.quarantine.exists()


def test_a_disk_that_does_not_take_it_is_an_error(damaged: Layout) -> None:
    """What cannot be quarantined is left where it is."""
    damaged.quarantine.touch()
    for act in (Quarantine.copy, Quarantine.move):
        with pytest.raises(NotADirectoryError):
            act(Quarantine(damaged), [PATH])
    assert (damaged.root / PATH).read_text() == f"damaged {PATH}"
