"""Help pages are complete, ordered, and readable on any terminal."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

import pytest

from archiver.cli.help import GENERAL, Argument, Option
from archiver.cli.main import COMMANDS, cli
from tests.support.marks import slow
from tests.support.running import COMMAND

BARE = {"PATH": os.environ["PATH"], "HOME": "/home/ada"}
PAGES = [(), *((name,) for name in cli.commands)]
BACKUP = [
    "Input and output", "API", "Downloads", "Limits", "Reporting", "Monitoring", GENERAL,
]  # fmt: skip


def archiver(
    *args: str, columns: int = 80, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command for a terminal of this width."""
    env = {"COLUMNS": str(columns), **BARE, **(env or {})}
    return subprocess.run(
        [COMMAND, *args], env=env, capture_output=True, text=True, timeout=30, check=False
    )


@cache
def help_of(*command: str, columns: int = 80) -> str:
    """Return a page of help."""
    done = archiver(*command, "--help", columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def sections(page: str) -> dict[str, str]:
    """Return the text under each heading, in order."""
    found = re.split(r"^(\S.*):\n", page.partition("\n\n  Exit status")[0], flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


# --- Contents


def test_options_are_in_groups() -> None:
    """Input and output come first, and the options of all commands last."""
    found = sections(help_of("backup"))
    assert list(found) == BACKUP
    first, last = found[BACKUP[0]], found[BACKUP[-1]]
    assert re.findall(r"^  (?:-., )?(\S+)", first, re.MULTILINE)[:3] == [
        "[MANIFEST]...", "--archive", "--endpoint-url",
    ]  # fmt: skip
    assert re.findall(r"--[a-z]+(?= FILE|  )", last) == ["--config", "--help"]


def test_options_for_repair_alone_come_after_the_others() -> None:
    """`verify` lists its own options before those that only `--repair` needs."""
    found = list(sections(help_of("verify")))
    assert found[:2] == ["Input and output", "Repair"]
    assert found[-4:] == ["API", "Downloads", "Limits", "General"]
    page = " ".join(help_of("verify").split())
    assert "under API, Downloads and Limits are for --repair alone" in page


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", cli.commands)
def test_every_option_is_documented(command: str, columns: int) -> None:
    """Each has a heading, a sentence, its default and its variable."""
    page = " ".join(help_of(command, columns=columns).split())
    for param in cli.commands[command].params:
        assert isinstance(param, Option | Argument)
        assert (param.heading == GENERAL) == (param.name == "config")
        assert param.help
        assert param.help.endswith(".")
        assert " ".join(param.help.split()) in page
        assert not param.envvar or f"env: {param.envvar}]" in page
        if isinstance(param, Option) and param.show_default is True:
            assert f"[default: {param.default}; " in page


def test_details_are_in_brackets() -> None:
    """Ranges, what is required, defaults that are no values, and the configuration file's path."""
    page = " ".join(help_of("backup").split())
    for details in (
        "[default: 8; 1 to 256; env: ARCHIVER_DOWNLOADS]", "[required; env: ARCHIVER_ARCHIVE]",
        "[default: as --downloads; 1 to 256; env: ARCHIVER_DOWNLOADS_PER_HOST]",
        "[default: ~/.config/archiver/config.toml; env: ARCHIVER_CONFIG]",
    ):  # fmt: skip
        assert details in page
    assert "--no-dry-run" not in page


def test_the_most_used_commands_come_first() -> None:
    """The help of the group begins with the commands of a scheduled run, each with a sentence."""
    found = sections(help_of())
    assert list(found) == ["Commands", "General"]
    lines = re.findall(r"^  (\S+) +(\S.*\.)$", found["Commands"], re.MULTILINE)
    assert [name for name, _ in lines] == list(cli.commands)
    assert [name for name, _ in lines][:2] == ["backup", "verify"]


@pytest.mark.parametrize("command", cli.commands)
def test_each_command_is_found_in_its_module(command: str) -> None:
    """The group has the command's name, and the line about it, without importing it."""
    assert cli.commands[command].name == command
    assert cli.commands[command].short_help == COMMANDS[command]


# --- Layout


@pytest.mark.parametrize("columns", [20, 40, 61, 62, 80, 200])
@pytest.mark.parametrize("command", PAGES)
def test_no_word_is_torn(command: tuple[str, ...], columns: int) -> None:
    """At any width there are the same words in the same order, and no line is too long."""
    page = help_of(*command, columns=columns)
    assert page.split() == help_of(*command).split()
    for line in page.splitlines():
        assert line == line.rstrip()
        assert len(line) <= min(columns, 80) or len(line.split()) <= 2


@pytest.mark.parametrize("command", PAGES)
def test_forty_columns_are_enough(command: tuple[str, ...]) -> None:
    """No line is longer but one with a URL, which cannot be shorter."""
    lines = help_of(*command, columns=40).splitlines()
    wide = {line.strip() for line in lines if len(line) > 40}
    assert wide <= {"https://modelslab.com/api/v6/video/fetch/147"}


def test_a_table_keeps_its_columns() -> None:
    """On a narrow terminal the meaning of an exit status continues below where it began."""
    page = help_of(columns=40)
    assert (
        "      3  some generations could not be\n"
        "         archived, or a manifest or\n"
        "         one of its lines could not be\n"
        "         read\n"
    ) in page


def test_a_narrow_terminal_has_one_column() -> None:
    """The meaning of an option is below its names, and the details are below that."""
    assert (
        "  --lock-wait DURATION\n"
        "      How long to wait while another\n"
        "      run holds the archive.\n"
        "      [default: 0;\n"
        "       env: ARCHIVER_LOCK_WAIT]\n"
    ) in help_of("backup", columns=40)


@pytest.mark.parametrize("args", [("--help",), ("backup", "--help"), ("nope",), ("backup", "-z")])
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}])
def test_help_has_no_colour(args: tuple[str, ...], env: dict[str, str]) -> None:
    """Help and errors are plain text on a terminal too, whatever the environment asks for."""
    written = on_a_terminal(*args, TERM="xterm-256color", **env)
    assert b"Usage: archiver" in written
    assert b"\x1b" not in written


def on_a_terminal(*args: str, **env: str) -> bytes:
    """Run the command on a terminal of its own and return its output."""
    ours, theirs = pty.openpty()
    env = BARE | env
    with subprocess.Popen([COMMAND, *args], stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        written = b""
        try:
            while read := os.read(ours, 65536):
                written += read
        except OSError:  # the command has closed the terminal
            pass
        finally:
            process.kill()
            os.close(ours)
    return written


# --- Secrets and speed


@slow
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
    """Neither help nor an error shows the URL, valid or not, wherever it is set."""
    for url in (
        "hc-ping.com/s3cret",
        "https://s3cret:1@hc-ping.com",
        "https://hc-ping.com:x/s3cret",
    ):
        for typed, env in (((f"--ping={url}",), {}), ((), {"ARCHIVER_PING": url})):
            done = archiver(args[0], *typed, *args[1:], env=env)
            assert "s3cret" not in done.stdout + done.stderr
            assert (done.returncode == 0) == ("--help" in args)
            if args[-1] == "x":
                assert "ARCHIVER_PING" in done.stderr


@pytest.mark.parametrize("command", [(), ("backup",)])
def test_help_imports_only_what_it_needs(command: tuple[str, ...]) -> None:
    """What only a run, a configuration file or an error needs is not imported: help is quick."""
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
        "aiohttp", "archiver.cli.config", "archiver.monitoring.ping", "archiver.generation",
        "archiver.settings", "archiver.cli.fetching", "archiver.cli.reporting",
    }  # fmt: skip
    others = {f"archiver.cli.{name}" for name in COMMANDS if name not in command}
    assert not loaded & others
