"""The configuration file sets options where neither command line nor environment does."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from archiver.apikey import ApiKey
from archiver.cli.fetching import ApiOptions, FetchOptions
from archiver.cli.main import cli
from archiver.cli.options import pick
from archiver.emulator.scripts import Script
from archiver.emulator.server import Emulator
from archiver.errors import ConfigurationError
from archiver.generation import canonical_endpoint
from archiver.settings import ApiSettings, DownloadSettings, Settings
from tests.support.backups import KEY, generation
from tests.support.marks import slow
from tests.support.running import Ended, Workspace

VALUES = {
    "accept-changed": ("true", "--accept-changed"),
    "allow-private-links": ("true", "--allow-private-links"),
    "api-key-file": ('"/k"', "--api-key-file /k"),
    "api-rate": ("7", "--api-rate 7/s"),
    "api-share": ("4", "--api-share 4"),
    "api-url": ('"https://example.com/api/"', "--api-url https://example.com/api"),
    "archive": ('"/srv/videos"', "--archive /srv/videos"),
    "browse": ("true", "--browse"),
    "color": ("true", "--color"),
    "copy": ("true", "--copy"),
    "discover": ("true", "--discover"),
    "discover-type": ('"image"', "--discover-type image"),
    "downloads": ("3", "--downloads 3"),
    "downloads-per-host": ("2", "--downloads-per-host 2"),
    "dry-run": ("true", "--dry-run"),
    "endpoint-url": ('"https://s3.example.com"', "--endpoint-url https://s3.example.com"),
    "endpoint": ('"realtime"', "--endpoint realtime"),
    "format": ('"jsonl"', "--format jsonl"),
    "json": ("true", "--json"),
    "limit-rate": ('"20M"', "--limit-rate 20M/s"),
    "link-format": ('"{id}"', "--format {id}"),
    "lock-wait": ("90", "--lock-wait 90s"),
    "log-file": ('"/l"', "--log-file /l"),
    "log-format": ('"json"', "--log-format json"),
    "manifests": ('["/m 1", "-"]', '"/m 1" -'),
    "max-size": ("1e9", "--max-size 1G"),
    "max-time": ('"2h"', "--max-time 120m"),
    "merge-output": ('"/o"', "--output /o"),
    "metrics": ('"/m"', "--metrics /m"),
    "min-free": ("1_000_000", "--min-free 1M"),
    "older-than": ('"30d"', "--older-than 30d"),
    "output": ('"/o"', "--output /o"),
    "ping": ('"https://hc-ping.com/s3cret"', "--ping https://hc-ping.com/s3cret"),
    "quiet": ("true", "-q"),
    "read": ("true", "--read"),
    "repair": ("true", "--repair"),
    "retries": ("0", "--retries 0"),
    "retry-lost": ("true", "--retry-lost"),
    "sample": ("0.05", "--sample 5%"),
    "shard": ('"3/8"', "--shard 3/8"),
    "shards": ("8", "--shards 8"),
    "source-endpoint-url": (
        '"https://s3.example.com"',
        "--source-endpoint-url https://s3.example.com",
    ),
    "state-dir": ('"/s"', "--state-dir /s"),
    "strict": ("true", "--strict"),
    "symbolic": ("true", "--symbolic"),
    "target": ('"/t"', "/t"),
    "threads": ("200", "--threads 200"),
    "timeout": ("2.5", "--timeout 2.5s"),
    "transfers": ("4", "--transfers 4"),
    "type": ('"video, image"', "--type video,image"),
    "verbose": ("2", "-vv"),
    "wait": ("0", "--wait 0"),
    "watch": ("true", "--watch"),
}
"""Each name in the file, a value there, and the same on the command line."""
COMMANDS = [name for name, command in cli.commands.items() if any(p.envvar for p in command.params)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a configuration file, and an environment without variables of ours."""
    for name in [name for name in os.environ if name.startswith(("ARCHIVER_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a configuration file, in a directory of its own."""
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc/config.toml"


@pytest.fixture
def workspace(tmp_path: Path, emulator: Emulator) -> Workspace:
    return Workspace(tmp_path, emulator)


def parsed(*args: str) -> dict[str, Any]:
    """Return the options of a command line, as the command would receive them."""
    with cli.make_context("archiver", list(args)) as ctx:
        rest = [*ctx._protected_args, *ctx.args]
        name, command, rest = cli.resolve_command(ctx, rest)
        assert command
        with command.make_context(name, rest, parent=ctx) as own:
            return own.params


def configured(file: Path, text: str, *args: str) -> dict[str, Any]:
    """Return the options of a command with this file; required arguments are added."""
    file.write_text(text)
    rest = [] if "archive" in text else needed(args[0], "")
    return parsed("--config", str(file), *args, *rest)


def errors(file: Path, text: str, *args: str) -> list[str]:
    """Return the error messages about a file, each from the line number on."""
    with pytest.raises(ConfigurationError) as caught:
        configured(file, text, *(args or ("backup",)))
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}:") for line in lines), lines
    return [line.removeprefix(f"{file}:") for line in lines]


# --- Values


def keys(command: click.Command) -> dict[str, str]:
    """Return the options of a command in a file: the name there, and the parameter's."""
    return {
        param.envvar.removeprefix("ARCHIVER_").lower().replace("_", "-"): param.name or ""
        for param in command.params
        if isinstance(param.envvar, str) and param.name != "config"
    }


def test_the_table_has_every_option() -> None:
    """Every option that the environment can set is tested below for the file."""
    assert set().union(*(keys(cli.commands[name]) for name in COMMANDS)) == set(VALUES)


@pytest.mark.parametrize("table", ["", "own"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_file_sets_what_the_command_line_sets(file: Path, command: str, table: str) -> None:
    """Each option of each command can be in the file, for all commands or in a table."""
    for key, name in keys(cli.commands[command]).items():
        value, typed = VALUES[key]
        besides = [command, *needed(command, key)]
        file.write_text((f"[{command}]\n" if table else "") + f"{key} = {value}\n")
        in_file = parsed("--config", str(file), *besides)
        assert in_file == parsed(*besides, *shlex.split(typed))
        if key not in ("archive", "manifests", "target"):
            assert in_file[name] != parsed(*besides)[name]


def needed(command: str, key: str) -> list[str]:
    """Return the required arguments of a command, where the file has this key."""
    if command == "sync":
        return ["x", "y"]
    archive = [] if command in ("demo", "discover", "merge") or key == "archive" else ["-a", "x"]
    inputs = {
        "backup": ("manifests", "ids"), "link": ("target", "t"), "merge": ("archives", "x"),
    }  # fmt: skip
    name, value = inputs.get(command, (key, ""))
    return archive + ([value] if key != name else [])


def test_one_manifest_needs_no_list(file: Path) -> None:
    """A single path is a list of one, also with a space in it."""
    assert configured(file, 'archive = "a"\nmanifests = "/one list"', "backup")["manifests"] == (
        "/one list",
    )


@pytest.mark.parametrize(("value", "count"), [("true", 1), ("false", 0), ("2", 2)])
def test_verbosity_is_a_number(file: Path, value: str, count: int) -> None:
    """An option that is counted on the command line is a number, or true for 1."""
    assert configured(file, f"verbose = {value}", "verify")["verbose"] == count


def test_paths_are_relative_to_the_file(file: Path, home: Path) -> None:
    """Wherever cron starts: relative paths start at the file, and `~` is the home."""
    text = 'archive = "../videos"\nmanifests = ["lists", "-", "~/more"]\nlog-file = "~/log"\n'
    options = configured(file, text, "backup")
    assert options["archive"] == file.parent / "../videos"
    assert options["manifests"] == (str(file.parent / "lists"), "-", str(home / "more"))
    assert options["log_file"] == home / "log"


def test_a_byte_order_mark_and_crlf_do_no_harm(file: Path) -> None:
    """A file from Windows is read like any other, and its lines are numbered right."""
    file.write_bytes(b"\xef\xbb\xbfdownloads = 3\r\n")
    assert parsed("--config", str(file), "verify", "-a", "x")["downloads"] == 3
    file.write_bytes(b"\xef\xbb\xbfdownloads = 3\r\n\r\nnope = 1\r\n")
    with pytest.raises(ConfigurationError, match=r"config\.toml:3: nope: "):
        parsed("--config", str(file), "verify", "-a", "x")


# --- Precedence


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
def test_precedence(  # noqa: PLR0917
    file: Path, monkeypatch: pytest.MonkeyPatch, key: str, general: str, own: str, variable: str,
    typed: str, expected: list[object],
) -> None:  # fmt: skip
    """Command line over environment over the command's table over the rest over the default."""
    both = f"{key} = {general}\n[backup]\n{key} = {own}\n"
    name = key.replace("-", "_")
    found = [configured(file, text, "backup")[name] for text in ("", f"{key} = {general}\n", both)]
    monkeypatch.setenv(f"ARCHIVER_{name.upper()}", variable)
    found.append(configured(file, both, "backup")[name])
    found.append(configured(file, both, "backup", typed)[name])
    assert found == expected


def test_precedence_of_manifests(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments on the command line replace the others, and are not added to them."""
    text = 'archive = "/a"\nmanifests = ["/1", "/2"]\n'
    assert configured(file, text, "backup")["manifests"] == ("/1", "/2")
    text += '[backup]\nmanifests = ["/3"]\n'
    assert configured(file, text, "backup")["manifests"] == ("/3",)
    monkeypatch.setenv("ARCHIVER_MANIFESTS", "/4:/5")
    assert configured(file, text, "backup")["manifests"] == ("/4", "/5")
    assert configured(file, text, "backup", "6")["manifests"] == ("6",)


def test_a_table_is_for_its_command_alone(file: Path) -> None:
    """A command receives no value from another's table, and none that it has no option for."""
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
def test_a_flag_in_the_file_can_be_unset(file: Path, command: str, flag: str, name: str) -> None:
    """Whatever flag the file sets, its opposite on the command line unsets it."""
    text = f"{flag.strip('-')} = true\n"
    assert configured(file, text, command)[name] is True
    assert configured(file, text, command, f"--no-{flag[2:]}")[name] is False


def test_the_demo_never_goes_into_the_archive(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor the environment sets the demo's archive: that is the real one."""
    monkeypatch.setenv("ARCHIVER_ARCHIVE", "/srv/videos")
    assert configured(file, 'archive = "/srv/videos"\n', "demo")["archive"] is None
    assert errors(file, '[demo]\narchive = "/srv/demo"\n', "demo") == [
        "2: demo.archive: demo has no such option"
    ]


# --- Which file


def test_precedence_of_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config after the command over before it over the environment over the default path."""
    places = {n: home / f"{n}.toml" for n in (3, 4, 5)}
    places[2] = home / ".config/archiver/config.toml"
    places[2].parent.mkdir(parents=True)
    for number, place in places.items():
        place.write_text(f"downloads = {number}\n")
    called = ("verify", "-a", "x")
    assert parsed(*called)["downloads"] == 2
    monkeypatch.setenv("ARCHIVER_CONFIG", str(places[3]))
    assert parsed(*called)["downloads"] == 3
    before = ("--config", str(places[4]))
    assert parsed(*before, *called)["downloads"] == 4
    assert parsed(*before, *called, "--config", str(places[5]))["downloads"] == 5
    assert parsed(*called, "--config", str(places[5]))["downloads"] == 5
    assert parsed(*called, "--config", "/dev/null")["downloads"] == 8


def test_no_file_is_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file there are the defaults, also where there is no home."""
    assert parsed("verify", "-a", "x")["downloads"] == 8
    (home / "archiver").mkdir()
    (home / "archiver/config.toml").write_text("downloads = 3\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", "")  # Click would look into the working directory
    assert parsed("verify", "-a", "x")["downloads"] == 8


@pytest.mark.parametrize("how", ["before", "after", "environment"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("directory", "cannot be read: Is a directory"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
async def test_a_named_file_must_be_there(
    workspace: Workspace, how: str, content: bytes | str | None, message: str
) -> None:
    """A named file that cannot be read ends the run with 2 and one line that names it."""
    path = workspace.home / "named.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    option = ("--config", str(path))
    before, after = (option if how == place else () for place in ("before", "after"))
    env = {"ARCHIVER_CONFIG": str(path)} if how == "environment" else {}
    run = await workspace.run(*before, "verify", "-a", "x", *after, **env)
    (line,) = run.err.splitlines()
    assert (run.status, run.out) == (2, "")
    assert line.startswith(f"archiver: the configuration file {path} {message}")


async def test_an_unreadable_default_file_is_named(workspace: Workspace) -> None:
    """A default file that exists and cannot be read ends the run with 2."""
    path = workspace.home / ".config/archiver/config.toml"
    path.mkdir(parents=True)
    run = await workspace.run("verify", "-a", "x")
    assert run.status == 2
    assert f"{path} cannot be read: Is a directory" in run.err


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("backup", "--help")])
async def test_help_needs_no_file(workspace: Workspace, args: tuple[str, ...]) -> None:
    """Help is shown however wrong the file is."""
    broken = workspace.manifest("nonsense", name="broken.toml")
    run = await workspace.run(*args, ARCHIVER_CONFIG=broken)
    assert (run.status, run.err) == (0, "")


# --- Errors


@pytest.mark.parametrize(
    ("text", "message"),
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
        ("dowloads = 8", "1: dowloads: no such option; did you mean downloads?"),
        ("api_rate = 8", "1: api_rate: no such option; did you mean api-rate?"),
        ("zzz = 8", "1: zzz: no such option"),
        ("config = 'x'", "1: config: no such option"),
        ('"a\\nb" = 8', "1: a\N{REPLACEMENT CHARACTER}b: no such option"),
        ("[bakup]", "1: bakup: no such table; did you mean [backup]?"),
        ("[completion]", "1: completion: no such table"),
        ("backup = 8", "1: backup: this is a command: its options follow a line [backup]"),
        ("[[backup]]", "1: backup: this is a command: its options follow a line [backup]"),
        ("[backup]\n\nsample = 1", "3: backup.sample: backup has no such option"),
        ("[verify]\n\nsampel = 1", "3: verify.sampel: verify has no such option; did you mean sam"),
        ("[verify]\nsample = 7", "2: verify.sample: '7' is not more than 0 and at most 100%"),
        ("[backup]\nx.y = 1", "2: backup.x: no such table"),
        ("archive = /srv", "1: not valid TOML: Invalid value; text needs quotes"),
        ("\n=\n", "2: not valid TOML: "),
        ("strict = true\nstrict = true\n", "2: not valid TOML: "),
        ('wait = """\n1m\n', "2: not valid TOML: "),
        (f"wait = {'[' * 5000}", " it is nested too deeply"),
        (f"wait = {'1' * 5000}", " not valid TOML: Exceeds the limit"),
    ],
)
def test_an_error_is_named(file: Path, text: str, message: str) -> None:
    """In one line: the file, the line number, the name, and what is wrong or was meant."""
    (line,) = errors(file, text)
    assert line.startswith(message)
    assert len(line) < 100


def test_all_errors_are_reported_in_order(file: Path) -> None:
    """Every error has a line, in the order of the file, also in tables of other commands."""
    text = "zzz = 1\nverify.sample = 7\nbackup.downloads = 0\nverify.nope = 1\n"
    lines = errors(file, text, "demo")
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
def test_lines_are_numbered_right(file: Path, before: str, number: int) -> None:
    """Strings and lists of several lines, comments and tables above do not mislead."""
    lines = errors(file, f"{before}downloads = 0\n")
    assert lines[-1].startswith(f"{number}: ")
    assert lines[-1].endswith("downloads: 0 is not a whole number from 1 to 256")


async def test_a_wrong_file_ends_the_run(workspace: Workspace) -> None:
    """The exit status is 2, with one line on standard error; no request, and no archive."""
    path = workspace.manifest("downloads = 0", name="config.toml")
    run = await workspace.backup("--config", path, workspace.manifest("1"))
    message = f"archiver: {path}:1: downloads: 0 is not a whole number from 1 to 256\n"
    assert run == Ended(2, "", message)
    assert not workspace.archive.exists()
    assert not workspace.emulator.requests


# --- Secrets


@pytest.mark.parametrize(
    "key",
    ["api-key", "api_key", "key", "apiKey", "API KEY", "modelslab-api-key", "token", "password"],
)
@pytest.mark.parametrize("table", ["", "[backup]\n"])
def test_the_key_itself_is_errors(file: Path, key: str, table: str) -> None:
    """However it is called: a hint shows where it belongs, and it is not quoted."""
    (line,) = errors(file, f'{table}"{key}" = "sk-s3cret"\n')
    assert "name a file that holds the API key with api-key-file" in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "value",
    ['"hc-ping.com/s3cret"', '["https://hc-ping.com/s3cret"]', "https://hc-ping.com/s3cret",
     '{url = "s3cret"}', '"https://s3cret:s3cret@hc-ping.com/"', '"https://hc-ping.com/s3cret'],
)  # fmt: skip
def test_a_wrong_ping_url_is_not_shown(file: Path, value: str) -> None:
    """The URL is a secret: an error about it does not quote it."""
    (line,) = errors(file, f"ping = {value}\n")
    assert line.startswith("1: ")
    assert "s3cret" not in line


@pytest.mark.parametrize("key", ["pign", "pings"])
def test_a_ping_url_under_a_wrong_name_is_not_shown(file: Path, key: str) -> None:
    """A misspelt `ping` is reported without the URL."""
    (line,) = errors(file, f'{key} = "https://hc-ping.com/s3cret"\n')
    assert line == f"1: {key}: no such option; did you mean ping?"


# --- A run


@slow
async def test_a_run_from_a_file(workspace: Workspace) -> None:
    """With everything in the file the command alone is enough, whoever may read the file."""
    workspace.emulator.scripts[generation("realtime/1")] = Script()
    lines = (
        'endpoint = "realtime"', f'api-url = "{workspace.emulator.api_url}"', 'archive = "archive"',
        "[backup]", f'manifests = "{workspace.manifest("1")}"', "verbose = 1", "retries = 0",
        "wait = 0",
    )  # fmt: skip
    path = workspace.manifest(*lines, 'ping = "http://127.0.0.1:9/s3cret"', name="config.toml")
    (workspace.home / "config.toml").chmod(0o644)
    planned = await workspace.run("--config", path, "backup", "--dry-run")
    assert (planned.status, planned.out) == (0, "would fetch v6/realtime/1\n")
    assert "s3cret" not in planned.err
    assert "config" not in planned.err
    run = await workspace.run(
        "backup", ARCHIVER_CONFIG=workspace.manifest(*lines, name="config.toml")
    )
    assert run.status == 0
    assert "archived v6/realtime/1" in run.err
    assert workspace.held() == ["v6/realtime/1.mp4"]


# --- Defaults


def test_the_options_defaults_are_the_settings_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command and the library have the same defaults."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    context = cli.make_context("archiver", ["backup", "-a", str(tmp_path), "ids.txt"])
    arguments = ["-a", str(tmp_path), "ids.txt"]
    command = cli.commands["backup"].make_context("backup", arguments, parent=context)
    settings = pick(FetchOptions, command.params).settings()
    defaults = Settings(ApiSettings(ApiKey(KEY)), DownloadSettings())
    assert settings == replace(defaults, endpoint=canonical_endpoint(defaults.endpoint))


@pytest.mark.parametrize(
    ("command", "kind"),
    [("backup", FetchOptions), ("verify", FetchOptions), ("discover", ApiOptions)],
)
def test_a_process_takes_its_share_of_the_rate(
    command: str, kind: type[FetchOptions | ApiOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is the account's: one of four processes sends a fourth of it."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    monkeypatch.setenv("ARCHIVER_API_SHARE", "4")
    options = parsed(command, *needed(command, ""), "--api-rate", "6/s")
    assert pick(kind, options).settings().api.rate == 1.5
