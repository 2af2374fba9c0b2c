"""`archiver link` as a person or cron runs it."""

import os
import signal
from pathlib import Path

import pytest

from archiver.metadata import Metadata
from tests.support.marks import slow
from tests.support.running import COMMAND, Ended, ended
from tests.support.trees import MADE, Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An archive of two videos."""
    tree = Tree(tmp_path)
    tree.hold("deepfake/1.mp4", "deepfake/1.json", "deepfake/2.mp4", "deepfake/2.json")
    tree.say(**{"1": "A cat", "2": "A dog"})
    return tree


async def link(tree: Tree, *args: str, **env: str) -> Ended:
    command = (COMMAND, "link", "-a", str(tree.archive), str(tree.target), *args)
    return await ended(*command, env={"PATH": os.environ["PATH"], "HOME": str(tree.home), **env})


def tree_in(tree: Tree, name: str) -> Tree:
    """Move an archive into a directory of this name."""
    (tree.home / name).mkdir()
    tree.archive.rename(tree.home / name / "archive")
    return Tree(tree.home / name)


async def test_links_are_made_in_silence(tree: Tree) -> None:
    """All is well: nothing is printed, as cron wants it, and a second run does nothing."""
    assert await link(tree) == Ended(0, "", "")
    assert tree.names() == ["2026-11-23/A cat-1.mp4", "2026-11-23/A dog-2.mp4"]
    done = await link(tree, "-v")
    assert done == Ended(0, "", "names for 2 videos: 0 new, 0 removed\n")


async def test_what_is_done_is_listed(tree: Tree) -> None:
    """With -v each link, and with --dry-run what would be done, which touches nothing."""
    form = ("--format", "{prompt}.{extension}")
    planned = await link(tree, *form, "--dry-run")
    would = "would link A cat.mp4 to data/v6/deepfake/1.mp4\n"
    assert (planned.status, planned.err) == (0, "")
    assert planned.out.startswith(would)
    assert not tree.target.exists()
    done = await link(tree, *form, "-v")
    assert done.out == planned.out.replace("would link", "linked")
    assert done.err == "names for 2 videos: 2 new, 0 removed\n"
    done = await link(tree, "--copy", "-v")
    assert done.out.startswith("removed A cat.mp4\nremoved A dog.mp4\ncopied 2026-11-23/A cat-1")
    assert done.err == "names for 2 videos: 2 new, 2 removed; 44 bytes copied\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--format", "{promt}"], "there is no field {promt}; did you mean {prompt}?"),
        (["--format", "{prompt:x}"], "{prompt:x} is not understood: a text may be followed by"),
        (["--format", "../{id}"], "it is a relative path, in which no part is empty"),
        (["--copy", "--symbolic"], "--copy and --symbolic exclude each other"),
    ],
)
async def test_a_wrong_command_line_is_an_error(tree: Tree, args: list[str], message: str) -> None:
    """With status 2 and what is wrong, before anything is made."""
    done = await link(tree, *args)
    assert done.status == 2
    assert message in " ".join(done.err.split())
    assert not tree.target.exists()


async def test_the_format_is_read_from_the_environment(tree: Tree) -> None:
    """Under a name of its own: `ARCHIVER_FORMAT` is that of `export`."""
    done = await link(tree, ARCHIVER_FORMAT="jsonl", ARCHIVER_LINK_FORMAT="{id}.{extension}")
    assert done == Ended(0, "", "")
    assert tree.names() == ["1.mp4", "2.mp4"]


async def test_what_cannot_be_linked_is_named(tree: Tree) -> None:
    """A name that is taken with status 3, a missing video with 4; the rest is linked."""
    tree.target.mkdir()
    (tree.target / "A cat").write_text("mine")
    form = ("--format", "{prompt}/{id}.{extension}")
    done = await link(tree, *form)
    assert (done.status, done.out) == (3, "")
    assert "A cat is in the way, which is no directory of ours" in done.err
    (tree.archive / "data/v6/deepfake/1.mp4").unlink()
    done = await link(tree, *form)
    assert done.status == 4
    assert "data/v6/deepfake/1.mp4 cannot be read: No such file or directory" in done.err
    assert tree.names() == ["A cat", "A dog/2.mp4"]


async def test_a_target_in_the_archive_ends_with_2(tree: Tree) -> None:
    """The message says where it may be."""
    where = tree.archive / "names"
    done = await ended(COMMAND, "link", "-a", str(tree.archive), str(where))
    assert done.status == 2
    assert done.err.endswith("name a directory outside it\n")


async def test_any_prompt_gives_a_name_in_any_locale(tree: Tree) -> None:
    """The same name in each: what was made in one is known in another."""
    prompt = "\U0001f408 \u202e\u0645\u06cc </script>\x00" * 100
    tree.describe({"1": Metadata(prompt=prompt, created=MADE)})
    tree = tree_in(tree, "vid\u00e9os")
    form = ("-v", "--format", "{prompt}/{id}.{extension}")
    no_utf8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for how in ("--no-copy", "--symbolic", "--copy"):
        done = await link(tree, *form, how, **no_utf8)
        assert (done.status, len(tree.names())) == (0, 2), done
        assert done.out.count(" to data/v6/deepfake/1.mp4") == 1
        again = await link(tree, *form, how, LC_ALL="C.UTF-8")
        assert (again.out, again.status) == ("", 0)


@slow
@pytest.mark.parametrize("seconds", [0.15, 0.25, 0.4])
async def test_a_killed_run_is_gone_on_with(tree: Tree, seconds: float) -> None:
    """Whenever it was: in the end each video has one name, and nothing else is there."""
    tree.hold(*(f"deepfake/{n}.mp4" for n in range(10, 400)))
    await link(tree, "--copy", "--format", "{id}/{id}.{extension}")
    killed = f"timeout -s KILL {seconds} {COMMAND} link -a '{tree.archive}' '{tree.target}' --copy"
    await ended("sh", "-c", f"{killed} --format 'new/{{id}}.{{extension}}'")
    done = await link(tree, "--copy", "--format", "last {id}.{extension}")
    assert (done.status, len(tree.names())) == (0, 392)
    assert all(name.startswith("last ") for name in tree.names())
    assert [path.name for path in tree.target.iterdir() if path.is_dir()] == [".archiver-links"]


@slow
async def test_an_interrupted_run_ends_with_130(tree: Tree) -> None:
    """As any command does."""
    tree.hold(*(f"deepfake/{n}.mp4" for n in range(10, 3000)))
    script = f"timeout -s {signal.SIGINT.value} 1 {COMMAND} link -a '{tree.archive}'"
    done = await ended("sh", "-c", f"{script} '{tree.target}' --copy || echo $?")
    assert done.out.strip() in ("", "130", "124")
    assert "Traceback" not in done.err
