"""The help: whole, in order, and fit to be read on any terminal."""

import os
import pty
import re
import subprocess
import sys
from functools import cache

import pytest

from archiver.cli.help import OTHERS, Argument, Option
from archiver.cli.main import cli
from tests.support.running import COMMAND

PAGES = [(), *((name,) for name in cli.commands)]
BACKUP = [
    "What and where", "The API", "Downloads", "Time and disk", "Reporting", "Night watch", OTHERS,
]  # fmt: skip


def archiver(*args: str, columns: int = 80, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the command for a terminal of this width."""
    env = {"PATH": os.environ["PATH"], "HOME": "/home/ada", "COLUMNS": str(columns)} | env
    return subprocess.run(
        [COMMAND, *args], env=env, capture_output=True, text=True, timeout=30, check=False
    )


@cache
def help_of(*command: str, columns: int = 80, **env: str) -> str:
    """Return a page of help."""
    done = archiver(*command, "--help", columns=columns, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def sections(page: str) -> dict[str, str]:
    """Return what stands under each heading, in order."""
    found = re.split(r"^(\S.*):\n", page.partition("\n\n  Exit status")[0], flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


# --- What it says


def test_options_stand_under_headings() -> None:
    """What to back up comes first and what is common to all last."""
    found = sections(help_of("backup"))
    assert list(found) == BACKUP
    first, last = found[BACKUP[0]], found[BACKUP[-1]]
    assert re.findall(r"^  (?:-., )?(\S+)", first, re.MULTILINE)[:3] == [
        "MANIFEST...", "--archive", "--endpoint",
    ]  # fmt: skip
    assert re.findall(r"--[a-z]+(?= FILE|  )", last) == ["--config", "--help"]


def test_what_is_for_repairs_alone_comes_after_them() -> None:
    """`verify` tells of its own options before those that only `--repair` needs."""
    found = list(sections(help_of("verify")))
    assert found[:2] == ["What and where", "Repair"]
    assert found[-4:] == ["The API", "Downloads", "Time and disk", "General"]
    assert 'from "The API" on are for --repair alone' in " ".join(help_of("verify").split())


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", cli.commands)
def test_every_option_says_all_of_itself(command: str, columns: int) -> None:
    """Each has its heading, a sentence, its default and its variable."""
    told = " ".join(help_of(command, columns=columns).split())
    for param in cli.commands[command].params:
        assert isinstance(param, Option | Argument)
        assert (param.heading == OTHERS) == (param.name == "config")
        assert param.help
        assert param.help.endswith(".")
        assert " ".join(param.help.split()) in told
        assert not param.envvar or f"env: {param.envvar}]" in told
        if isinstance(param, Option) and param.show_default is True:
            assert f"[default: {param.default}; " in told


def test_it_says_what_else_there_is_to_know() -> None:
    """Ranges, what must be given, defaults that are no values, and where the file lies."""
    told = " ".join(help_of("backup").split())
    for said in (
        "[default: 8; 1 to 256; env: ARCHIVER_DOWNLOADS]", "[required; env: ARCHIVER_ARCHIVE]",
        "[default: as --downloads; 1 to 256; env: ARCHIVER_DOWNLOADS_PER_HOST]",
        "[default: ~/.config/archiver/config.toml; env: ARCHIVER_CONFIG]",
    ):  # fmt: skip
        assert said in told
    assert "--no-dry-run" not in told


def test_commands_come_most_used_first() -> None:
    """The page of all commands begins with what is called every night, each with a sentence."""
    found = sections(help_of())
    assert list(found) == ["Commands", "General"]
    told = re.findall(r"^  (\S+) +(\S.*\.)$", found["Commands"], re.MULTILINE)
    assert [name for name, _ in told] == list(cli.commands)
    assert [name for name, _ in told][:2] == ["backup", "verify"]


# --- How it looks


@pytest.mark.parametrize("columns", [20, 40, 61, 62, 80, 200])
@pytest.mark.parametrize("command", PAGES)
def test_nothing_is_torn(command: tuple[str, ...], columns: int) -> None:
    """At any width the same words come in the same order, and lines end where the terminal does."""
    page = help_of(*command, columns=columns)
    assert page.split() == help_of(*command).split()
    for line in page.splitlines():
        assert line == line.rstrip()
        assert len(line) <= min(columns, 80) or len(line.split()) <= 2


@pytest.mark.parametrize("command", PAGES)
def test_forty_columns_are_enough(command: tuple[str, ...]) -> None:
    """Nothing is wider than a narrow terminal but one URL, which cannot be shorter."""
    lines = help_of(*command, columns=40).splitlines()
    wide = {line.strip() for line in lines if len(line) > 40}
    assert wide <= {"https://modelslab.com/api/v6/video/fetch/147"}


def test_a_table_stays_one() -> None:
    """On a narrow terminal the meaning of an exit status goes on below where it began."""
    page = help_of(columns=40)
    assert (
        "      3  some generations could not be\n"
        "         archived, or a line was not\n"
        "         understood\n"
    ) in page


def test_a_narrow_terminal_has_one_column() -> None:
    """What is said of an option stands below its names, the rest in brackets below that."""
    assert (
        "  --lock-wait DURATION\n"
        "      How long to wait for another run\n"
        "      that holds the archive.\n"
        "      [default: 0;\n"
        "       env: ARCHIVER_LOCK_WAIT]\n"
    ) in help_of("backup", columns=40)


@pytest.mark.parametrize("args", [("--help",), ("backup", "--help"), ("nope",), ("backup", "-z")])
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}])
def test_there_is_no_colour(args: tuple[str, ...], env: dict[str, str]) -> None:
    """On a terminal too help and errors are plain text, whatever the environment says of colour."""
    written = on_a_terminal(*args, TERM="xterm-256color", **env)
    assert b"Usage: archiver" in written
    assert b"\x1b" not in written


def on_a_terminal(*args: str, **env: str) -> bytes:
    """Run the command on a terminal of its own and return what it wrote there."""
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": "/home/ada"} | env
    with subprocess.Popen([COMMAND, *args], stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        written = b""
        try:
            while read := os.read(ours, 65536):
                written += read
        except OSError:  # nobody has the terminal open any more
            pass
        finally:
            process.kill()
            os.close(ours)
    return written


# --- What it does not say, or load


@pytest.mark.parametrize(
    "args",
    [
        ("backup", "--help"),
        ("verify", "--help"),
        ("verify", "-a", "x"),
        ("verify", "-a", "x", "-z"),
    ],
)
def test_the_ping_url_is_not_shown(args: tuple[str, ...]) -> None:
    """Neither the help nor a complaint has the URL in it, right or wrong, wherever it came from."""
    for url in (
        "hc-ping.com/s3cret",
        "https://s3cret:1@hc-ping.com",
        "https://hc-ping.com:x/s3cret",
    ):
        for typed, env in (((f"--ping={url}",), {}), ((), {"ARCHIVER_PING": url})):
            done = archiver(args[0], *typed, *args[1:], **env)
            assert "s3cret" not in done.stdout + done.stderr
            assert (done.returncode == 0) == ("--help" in args)
            if args[-1] == "x":
                assert "ARCHIVER_PING" in done.stderr


@pytest.mark.parametrize("command", [(), ("backup",)])
def test_it_loads_nothing_that_it_does_not_need(command: tuple[str, ...]) -> None:
    """What only a run, a file or a mistake needs is left out: help comes at once."""
    code = (
        "import sys; from archiver.cli.main import cli\n"
        f"cli.main({[*command, '--help']!r}, standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=30, check=True,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert "archiver.cli.options" in loaded
    assert not loaded & {
        "asyncio", "json", "tomllib", "difflib", "pathlib", "shutil", "dataclasses", "sqlite3",
        "aiohttp", "archiver.cli.config", "archiver.monitoring.ping", "archiver.generation", "archiver.settings",
    }  # fmt: skip
