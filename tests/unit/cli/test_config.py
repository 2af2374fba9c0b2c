"""What an option is where the command line does not say so: the configuration file."""

import os
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from archiver.apikey import ApiKey
from archiver.cli.main import cli
from archiver.cli.options import settings_of
from archiver.emulator.scripts import Script
from archiver.emulator.server import Emulator
from archiver.errors import ConfigurationError
from archiver.settings import ApiSettings, DownloadSettings, Settings
from tests.support.backups import KEY, generation
from tests.support.running import Ended, Workspace

SAID = {
    "accept-changed": ("true", "--accept-changed"),
    "allow-private-links": ("true", "--allow-private-links"),
    "api-key-file": ('"/k"', "--api-key-file /k"),
    "api-rate": ("7", "--api-rate 7/s"),
    "api-url": ('"https://example.com/api/"', "--api-url https://example.com/api"),
    "archive": ('"/srv/videos"', "--archive /srv/videos"),
    "downloads": ("3", "--downloads 3"),
    "downloads-per-host": ("2", "--downloads-per-host 2"),
    "dry-run": ("true", "--dry-run"),
    "endpoint": ('"realtime"', "--endpoint realtime"),
    "format": ('"jsonl"', "--format jsonl"),
    "json": ("true", "--json"),
    "limit-rate": ('"20M"', "--limit-rate 20M/s"),
    "lock-wait": ("90", "--lock-wait 90s"),
    "log-file": ('"/l"', "--log-file /l"),
    "log-format": ('"json"', "--log-format json"),
    "manifests": ('["/m 1", "-"]', '"/m 1" -'),
    "max-size": ("1e9", "--max-size 1G"),
    "max-time": ('"2h"', "--max-time 120m"),
    "metrics": ('"/m"', "--metrics /m"),
    "min-free": ("1_000_000", "--min-free 1M"),
    "older-than": ('"30d"', "--older-than 30d"),
    "ping": ('"https://hc-ping.com/s3cret"', "--ping https://hc-ping.com/s3cret"),
    "quiet": ("true", "-q"),
    "repair": ("true", "--repair"),
    "retries": ("0", "--retries 0"),
    "retry-lost": ("true", "--retry-lost"),
    "sample": ("0.05", "--sample 5%"),
    "strict": ("true", "--strict"),
    "threads": ("200", "--threads 200"),
    "timeout": ("2.5", "--timeout 2.5s"),
    "verbose": ("2", "-vv"),
    "wait": ("0", "--wait 0"),
}
"""Each name in the file, a value there, and the command line that says the same."""
COMMANDS = [name for name, command in cli.commands.items() if any(p.envvar for p in command.params)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a file, and an environment that says nothing."""
    for name in [name for name in os.environ if name.startswith(("ARCHIVER_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a configuration file, beside which nothing lies."""
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc/config.toml"


@pytest.fixture
def workspace(tmp_path: Path, emulator: Emulator) -> Workspace:
    return Workspace(tmp_path, emulator)


def understood(*args: str) -> dict[str, Any]:
    """Return the options of a command as it would be called with them."""
    with cli.make_context("archiver", list(args)) as ctx:
        rest = [*ctx._protected_args, *ctx.args]
        name, command, rest = cli.resolve_command(ctx, rest)
        assert command
        with command.make_context(name, rest, parent=ctx) as own:
            return own.params


def configured(file: Path, text: str, *args: str) -> dict[str, Any]:
    """Return the options of a command with this file; what must be there is."""
    file.write_text(text)
    rest = [] if "archive" in text else needed(args[0], "")
    return understood("--config", str(file), *args, *rest)


def refused(file: Path, text: str, *args: str) -> list[str]:
    """Return what is said against a file, each line from its line number on."""
    with pytest.raises(ConfigurationError) as caught:
        configured(file, text, *(args or ("backup",)))
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}:") for line in lines), lines
    return [line.removeprefix(f"{file}:") for line in lines]


# --- What can be said


def keys(command: click.Command) -> dict[str, str]:
    """Return what can be said to a command in a file: its name there, and its parameter's."""
    return {
        param.envvar.removeprefix("ARCHIVER_").lower().replace("_", "-"): param.name or ""
        for param in command.params
        if isinstance(param.envvar, str) and param.name != "config"
    }


def test_the_table_has_every_option() -> None:
    """What the environment can say to some command is tested below for the file."""
    assert set().union(*(keys(cli.commands[name]) for name in COMMANDS)) == set(SAID)


@pytest.mark.parametrize("table", ["", "own"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_file_says_the_same_as_the_command_line(file: Path, command: str, table: str) -> None:
    """Each option of each command can stand in the file, for all commands or in its own table."""
    for key, name in keys(cli.commands[command]).items():
        value, typed = SAID[key]
        besides = [command, *needed(command, key)]
        file.write_text((f"[{command}]\n" if table else "") + f"{key} = {value}\n")
        in_file = understood("--config", str(file), *besides)
        assert in_file == understood(*besides, *shlex.split(typed))
        if key not in ("archive", "manifests"):
            assert in_file[name] != understood(*besides)[name]


def needed(command: str, key: str) -> list[str]:
    """Return the arguments that a command cannot do without, where the file has this key."""
    archive = [] if command == "demo" or key == "archive" else ["-a", "x"]
    return archive + (["ids"] if command == "backup" and key != "manifests" else [])


def test_one_manifest_needs_no_list(file: Path) -> None:
    """A single path stands for a list of one, also with a space in it."""
    assert configured(file, 'archive = "a"\nmanifests = "/one list"', "backup")["manifests"] == (
        "/one list",
    )


@pytest.mark.parametrize(("value", "count"), [("true", 1), ("false", 0), ("2", 2)])
def test_how_verbose(file: Path, value: str, count: int) -> None:
    """What is counted on the command line is a number, or true for once."""
    assert configured(file, f"verbose = {value}", "verify")["verbose"] == count


def test_paths_are_relative_to_the_file(file: Path, home: Path) -> None:
    """Wherever cron begins: relative paths are beside the file, and `~` is the home."""
    text = 'archive = "../videos"\nmanifests = ["lists", "-", "~/more"]\nlog-file = "~/log"\n'
    said = configured(file, text, "backup")
    assert said["archive"] == file.parent / "../videos"
    assert said["manifests"] == (str(file.parent / "lists"), "-", str(home / "more"))
    assert said["log_file"] == home / "log"


def test_a_byte_order_mark_and_crlf_do_no_harm(file: Path) -> None:
    """A file from Windows is read like any other, and its lines are counted right."""
    file.write_bytes(b"\xef\xbb\xbfdownloads = 3\r\n")
    assert understood("--config", str(file), "verify", "-a", "x")["downloads"] == 3
    file.write_bytes(b"\xef\xbb\xbfdownloads = 3\r\n\r\nnope = 1\r\n")
    with pytest.raises(ConfigurationError, match=r"config\.toml:3: nope: "):
        understood("--config", str(file), "verify", "-a", "x")


# --- Who wins


@pytest.mark.parametrize(
    ("key", "general", "own", "variable", "typed", "expected"),
    [
        ("downloads", "2", "3", "4", "--downloads=5", [8, 2, 3, 4, 5]),
        ("strict", "true", "false", "yes", "--no-strict", [False, True, False, True, False]),
        ("strict", "true", "true", "no", "--strict", [False, True, True, False, True]),
        ("verbose", "2", "0", "3", "-v", [0, 2, 0, 3, 1]),
        ("wait", '"1m"', "0", "2m", "--wait=3m", [900.0, 60.0, 0.0, 120.0, 180.0]),
        ("limit-rate", '"1M"', '"2M"', "3M", "--limit-rate=4M", [None, 10**6, 2 * 10**6, 3 * 10**6,
                                                                 4 * 10**6]),
        ("log-format", '"json"', '"text"', "json", "--log-format=text",
         ["text", "json", "text", "json", "text"]),
    ],
)  # fmt: skip
def test_who_wins(  # noqa: PLR0917
    file: Path, monkeypatch: pytest.MonkeyPatch, key: str, general: str, own: str, variable: str,
    typed: str, expected: list[object],
) -> None:  # fmt: skip
    """The command line over the environment over the command's table over all over the default."""
    both = f"{key} = {general}\n[backup]\n{key} = {own}\n"
    name = key.replace("-", "_")
    found = [configured(file, text, "backup")[name] for text in ("", f"{key} = {general}\n", both)]
    monkeypatch.setenv(f"ARCHIVER_{name.upper()}", variable)
    found.append(configured(file, both, "backup")[name])
    found.append(configured(file, both, "backup", typed)[name])
    assert found == expected


def test_who_wins_for_the_manifests(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments too: those of the command line come instead of the others, not beside them."""
    text = 'archive = "/a"\nmanifests = ["/1", "/2"]\n'
    assert configured(file, text, "backup")["manifests"] == ("/1", "/2")
    text += '[backup]\nmanifests = ["/3"]\n'
    assert configured(file, text, "backup")["manifests"] == ("/3",)
    monkeypatch.setenv("ARCHIVER_MANIFESTS", "/4:/5")
    assert configured(file, text, "backup")["manifests"] == ("/4", "/5")
    assert configured(file, text, "backup", "6")["manifests"] == ("6",)


def test_what_one_command_is_told_is_not_told_to_others(file: Path) -> None:
    """A table is for its command; what a command does not know of is not said to it."""
    text = "sample = '5%'\n[backup]\ndownloads = 3\n[verify]\ndownloads = 4\n"
    assert configured(file, text, "backup")["downloads"] == 3
    assert configured(file, text, "verify")["downloads"] == 4
    assert configured(file, text, "verify")["sample"] == 0.05
    assert "downloads" not in configured(file, text, "demo")


FLAGS = [
    (command, param.opts[-1], param.name or "")
    for command in COMMANDS
    for param in cli.commands[command].params
    if isinstance(param, click.Option) and param.is_flag and param.envvar
]


@pytest.mark.parametrize(("command", "flag", "name"), FLAGS)
def test_a_flag_of_the_file_can_be_unset(file: Path, command: str, flag: str, name: str) -> None:
    """Whatever flag the file sets, its opposite on the command line unsets it."""
    text = f"{flag.strip('-')} = true\n"
    assert configured(file, text, command)[name] is True
    assert configured(file, text, command, f"--no-{flag[2:]}")[name] is False


def test_the_demo_never_goes_into_the_archive(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor the environment says where the demo goes, for that is the real archive."""
    monkeypatch.setenv("ARCHIVER_ARCHIVE", "/srv/videos")
    assert configured(file, 'archive = "/srv/videos"\n', "demo")["archive"] is None
    assert refused(file, '[demo]\narchive = "/srv/demo"\n', "demo") == [
        "2: demo.archive: demo has no such option"
    ]


# --- Where the file is


def test_where_the_file_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the command over before it over the environment over the usual place."""
    places = {n: home / f"{n}.toml" for n in (3, 4, 5)}
    places[2] = home / ".config/archiver/config.toml"
    places[2].parent.mkdir(parents=True)
    for number, place in places.items():
        place.write_text(f"downloads = {number}\n")
    called = ("verify", "-a", "x")
    assert understood(*called)["downloads"] == 2
    monkeypatch.setenv("ARCHIVER_CONFIG", str(places[3]))
    assert understood(*called)["downloads"] == 3
    before = ("--config", str(places[4]))
    assert understood(*before, *called)["downloads"] == 4
    assert understood(*before, *called, "--config", str(places[5]))["downloads"] == 5
    assert understood(*called, "--config", str(places[5]))["downloads"] == 5
    assert understood(*called, "--config", "/dev/null")["downloads"] == 8


def test_no_file_is_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the usual place is as good as an empty file, also where there is no home."""
    assert understood("verify", "-a", "x")["downloads"] == 8
    (home / "archiver").mkdir()
    (home / "archiver/config.toml").write_text("downloads = 3\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", "")  # Click would look into the working directory
    assert understood("verify", "-a", "x")["downloads"] == 8


@pytest.mark.parametrize("how", ["before", "after", "environment"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("directory", "cannot be read: Is a directory"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
async def test_a_named_file_must_be_there(
    workspace: Workspace, how: str, content: bytes | str | None, said: str
) -> None:
    """A file that is named and cannot be read ends the run with 2 and one line that names it."""
    path = workspace.home / "named.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    option = ("--config", str(path))
    before, after = (option if how == place else () for place in ("before", "after"))
    env = {"ARCHIVER_CONFIG": str(path)} if how == "environment" else {}
    told = await workspace.run(*before, "verify", "-a", "x", *after, **env)
    (line,) = told.err.splitlines()
    assert (told.status, told.out) == (2, "")
    assert line.startswith(f"archiver: the configuration file {path} {said}")


async def test_an_unreadable_file_in_the_usual_place_is_named(workspace: Workspace) -> None:
    """What is there and cannot be read may have been meant: the run ends with 2."""
    path = workspace.home / ".config/archiver/config.toml"
    path.mkdir(parents=True)
    told = await workspace.run("verify", "-a", "x")
    assert told.status == 2
    assert f"{path} cannot be read: Is a directory" in told.err


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("backup", "--help")])
async def test_help_needs_no_file(workspace: Workspace, args: tuple[str, ...]) -> None:
    """Who asks for help is given it, however wrong the file is."""
    broken = workspace.manifest("nonsense", name="broken.toml")
    told = await workspace.run(*args, ARCHIVER_CONFIG=broken)
    assert (told.status, told.err) == (0, "")


# --- What is wrong in it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("downloads = 0", "1: downloads: 0 is not a whole number from 1 to 256"),
        ("downloads = 8.5", "1: downloads: 8.5 is not a whole number from 1 to 256"),
        ("downloads = true", "1: downloads: expected a number, or text in quotes"),
        ("api-rate = 0", "1: api-rate: '0' is not a rate such as 5/s or 30/m"),
        ("wait = -1", "1: wait: '-1' is not a duration such as 90, 90s, 15m, 2h or 30d"),
        ("timeout = 0", "1: timeout: it must be more than 0"),
        ("wait = [1]", "1: wait: expected a number, or text in quotes"),
        ("wait = 07:32:00", "1: wait: expected a number, or text in quotes"),
        ("wait = {m = 1}", "1: wait: expected a number, or text in quotes"),
        ('wait = ""', "1: wait: expected a number, or text in quotes"),
        ("max-size = inf", "1: max-size: 'inf' is not a size such as 500K, 20M or 1G"),
        ('strict = "yes"', "1: strict: expected true or false, without quotes"),
        ("strict = 1", "1: strict: expected true or false, without quotes"),
        ("verbose = -1", "1: verbose: -1 is not in the range x>=0"),
        ("archive = 5", "1: archive: expected a path in quotes"),
        ('archive = ""', "1: archive: expected a path in quotes"),
        ('archive = "a\\u0000b"', "1: archive: expected a path in quotes"),
        ("manifests = 5", '1: manifests: expected paths in quotes: ["one", "another"]'),
        ("manifests = [5]", "1: manifests: expected a path in quotes"),
        ("# one\nmanifests = [\n  5,\n]\n", "2: manifests: expected a path in quotes"),
        ('log-format = "xml"', "1: log-format: 'xml' is not one of 'text', 'json'"),
        ('log-file = "/"', "1: log-file: File '/' is a directory"),
        ('api-url = "x"', "1: api-url: 'x' is not an http(s) URL such as"),
        ("dowloads = 8", "1: dowloads: there is no such option; did you mean downloads?"),
        ("api_rate = 8", "1: api_rate: there is no such option; did you mean api-rate?"),
        ("zzz = 8", "1: zzz: there is no such option"),
        ("config = 'x'", "1: config: there is no such option"),
        ('"a\\nb" = 8', "1: a\N{REPLACEMENT CHARACTER}b: there is no such option"),
        ("[bakup]", "1: bakup: there is no such table; did you mean [backup]?"),
        ("[completion]", "1: completion: there is no such table"),
        ("backup = 8", "1: backup: this is a command: its options stand below a line [backup]"),
        ("[[backup]]", "1: backup: this is a command: its options stand below a line [backup]"),
        ("[backup]\n\nsample = 1", "3: backup.sample: backup has no such option"),
        ("[verify]\n\nsampel = 1", "3: verify.sampel: verify has no such option; did you mean sam"),
        ("[verify]\nsample = 7", "2: verify.sample: '7' is not more than 0 and at most 100%"),
        ("[backup]\nx.y = 1", "2: backup.x: there is no such table"),
        ("archive = /srv", "1: this is no TOML: Invalid value; text stands in quotes"),
        ("\n=\n", "2: this is no TOML: "),
        ("strict = true\nstrict = true\n", "2: this is no TOML: "),
        ('wait = """\n1m\n', "2: this is no TOML: "),
        (f"wait = {'[' * 5000}", " it is nested too deeply"),
        (f"wait = {'1' * 5000}", " this is no TOML: Exceeds the limit"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, said: str) -> None:
    """One line: the file, the line in it, the name, and what is wrong, or what was meant."""
    (line,) = refused(file, text)
    assert line.startswith(said)
    assert len(line) < 100


def test_all_that_is_wrong_is_told_in_order(file: Path) -> None:
    """Every mistake has a line, in the order of the file, also what is said to other commands."""
    text = "zzz = 1\nverify.sample = 7\nbackup.downloads = 0\nverify.nope = 1\n"
    lines = refused(file, text, "demo")
    assert [line.split(":")[:2] for line in lines] == [
        ["1", " zzz"], ["2", " verify.sample"], ["3", " backup.downloads"], ["4", " verify.nope"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "number"),
    [
        ("", 1),
        ("# downloads = 0\n\n", 3),
        ('endpoint = """\\\n  deepfake\\\n  """\n', 4),
        ("api-url = '''\nhttps://example.com/api\ndownloads = 0'''\n", 4),
        ('manifests = [\n  "downloads = 0",  # one\n  "two",\n]\n', 5),
        ("[verify]\ndownloads = 3\n[backup]\n", 4),
        ("verify.downloads = 3\nverify.wait = 0\n", 3),
    ],
)
def test_the_line_is_counted_right(file: Path, before: str, number: int) -> None:
    """Strings and lists of many lines, comments and tables before it do not mislead."""
    lines = refused(file, f"{before}downloads = 0\n")
    assert lines[-1].startswith(f"{number}: ")
    assert lines[-1].endswith("downloads: 0 is not a whole number from 1 to 256")


async def test_a_wrong_file_ends_the_run(workspace: Workspace) -> None:
    """Nothing is asked and nothing made: the status is 2, and standard error has the one line."""
    path = workspace.manifest("downloads = 0", name="config.toml")
    told = await workspace.backup("--config", path, workspace.manifest("1"))
    said = f"archiver: {path}:1: downloads: 0 is not a whole number from 1 to 256\n"
    assert told == Ended(2, "", said)
    assert not workspace.archive.exists()
    assert not workspace.emulator.requests


# --- Secrets


@pytest.mark.parametrize(
    "key",
    ["api-key", "api_key", "key", "apiKey", "API KEY", "modelslab-api-key", "token", "password"],
)
@pytest.mark.parametrize("table", ["", "[backup]\n"])
def test_the_key_itself_is_refused(file: Path, key: str, table: str) -> None:
    """However it is called: a hint says where it belongs, and it is not shown."""
    (line,) = refused(file, f'{table}"{key}" = "sk-s3cret"\n')
    assert "name a file that holds the API key with api-key-file" in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "value",
    ['"hc-ping.com/s3cret"', '["https://hc-ping.com/s3cret"]', "https://hc-ping.com/s3cret",
     '{url = "s3cret"}', '"https://s3cret:s3cret@hc-ping.com/"', '"https://hc-ping.com/s3cret'],
)  # fmt: skip
def test_a_wrong_ping_url_is_not_shown(file: Path, value: str) -> None:
    """Whoever has the URL can speak for the run: what is wrong with it is said without it."""
    (line,) = refused(file, f"ping = {value}\n")
    assert line.startswith("1: ")
    assert "s3cret" not in line


@pytest.mark.parametrize("key", ["pign", "pings"])
def test_a_ping_url_under_a_wrong_name_is_not_shown(file: Path, key: str) -> None:
    """Who misspells `ping` is told so, and the URL is not told to anybody."""
    (line,) = refused(file, f'{key} = "https://hc-ping.com/s3cret"\n')
    assert line == f"1: {key}: there is no such option; did you mean ping?"


# --- A night with it


async def test_a_night_from_a_file(workspace: Workspace) -> None:
    """With everything in the file the command alone is enough; a secret in it is no scandal."""
    workspace.emulator.scripts[generation("realtime/1")] = Script()
    lines = (
        'endpoint = "realtime"', f'api-url = "{workspace.emulator.api_url}"', 'archive = "archive"',
        "[backup]", f'manifests = "{workspace.manifest("1")}"', "verbose = 1", "retries = 0", "wait = 0",
    )  # fmt: skip
    path = workspace.manifest(*lines, 'ping = "http://127.0.0.1:9/s3cret"', name="config.toml")
    (workspace.home / "config.toml").chmod(0o644)
    planned = await workspace.run("--config", path, "backup", "--dry-run")
    assert (planned.status, planned.out) == (0, "would ask for v6/realtime/1\n")
    assert "s3cret" not in planned.err
    assert "config" not in planned.err
    told = await workspace.run(
        "backup", ARCHIVER_CONFIG=workspace.manifest(*lines, name="config.toml")
    )
    assert told.status == 0
    assert "archived v6/realtime/1" in told.err
    assert workspace.held() == ["v6/realtime/1.mp4"]


# --- Defaults


def test_the_options_defaults_are_the_settings_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who calls the program and who calls its modules get the same, unless they say otherwise."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    context = cli.make_context("archiver", ["backup", "-a", str(tmp_path), "ids.txt"])
    arguments = ["-a", str(tmp_path), "ids.txt"]
    command = cli.commands["backup"].make_context("backup", arguments, parent=context)
    key = ApiKey(KEY)
    api = ApiSettings("https://modelslab.com/api", key)
    assert settings_of(command.params) == Settings(api, DownloadSettings(key))
