"""The command as a person or cron runs it: its output, where that goes, and its exit status."""

import asyncio
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import struct
import sys
import termios
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import pytest

from archiver.archive.writable import WritableBag
from archiver.emulator.scripts import ApiScript, LinkScript, OutputScript, RawResponse, Script
from archiver.emulator.server import Emulator
from archiver.run import Run
from tests.support.archives import open_catalogue
from tests.support.backups import KEY, assert_true_bag, generation, grow_hopeless
from tests.support.running import (
    COMMAND,
    Ended,
    Workspace,
    assert_valid_bag,
    ended,
    mounted,
    started,
    until,
)

OPTIONS = (
    "archive", "endpoint", "api-url", "api-key-file", "api-rate", "downloads", "wait", "timeout",
    "retries", "retry-lost", "strict", "dry-run", "json", "quiet", "verbose",
)  # fmt: skip
STATUSES = (0, 1, 2, 3, 4, 69, 74, 75, 77, 130, 143)
DEAD = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
TORN = Script(outputs=(OutputScript(primary=LinkScript(fault="disguised")),))


def slow(seconds: float, size: int = 1_000_000) -> Script:
    """Return the script of a video that takes this long to download."""
    return Script(outputs=(OutputScript(size=size, primary=LinkScript(seconds=seconds)),))


NEVER = slow(200, 20_000_000)
"""A video that downloads steadily, for longer than a test lasts."""


def script(workspace: Workspace, scripts: dict[str, Script]) -> str:
    """Give the emulator scripts for these generations; return a manifest of them."""
    workspace.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    return workspace.manifest(*scripts)


def ready(workspace: Workspace, *names: str) -> str:
    """Give the emulator these videos; return a manifest of them."""
    return script(workspace, {name: Script() for name in names})


@pytest.fixture
def workspace(tmp_path: Path, emulator: Emulator) -> Workspace:
    return Workspace(tmp_path, emulator)


# --- Version and help


async def test_version(workspace: Workspace) -> None:
    """`--version` is one line on standard output."""
    run = await workspace.run("--version")
    assert (run.status, run.err) == (0, "")
    assert re.fullmatch(r"archiver \d+\.\d+\.\d+\n", run.out)


async def test_help_is_a_good_page(workspace: Workspace) -> None:
    """`--help` has a summary, an example, the commands and the exit statuses."""
    page = await workspace.run("--help")
    assert (page.status, page.err) == (0, "")
    assert "archiver backup -a videos ids.txt" in page.out
    assert re.findall(r"^  (backup|demo) ", page.out, re.MULTILINE) == ["backup", "demo"]
    assert exit_statuses(page.out) == set(STATUSES)


async def test_help_names_every_option_and_its_variable(workspace: Workspace) -> None:
    """`backup --help` has each option with its `ARCHIVER_…`, and none takes the key itself."""
    page = await workspace.run("backup", "--help")
    assert (page.status, page.err) == (0, "")
    text = " ".join(page.out.split()).replace("- ", "-")
    for name in OPTIONS:
        assert re.search(rf"--{name}\b", text)
        assert f"ARCHIVER_{name.replace('-', '_').upper()}" in text
    assert {"MODELSLAB_API_KEY", "modelslab-api-key", "$CREDENTIALS_DIRECTORY"} <= set(
        re.findall(r"[$\w/-]+", text)
    )
    assert not re.search(r"--(api-)?key\b(?!-file)", text)
    assert exit_statuses(page.out) == set(STATUSES)


def exit_statuses(page: str) -> set[int]:
    """Return the exit statuses that a page of help explains."""
    table = page.partition("Exit status")[2]
    return {int(code) for code in re.findall(r"(?:^ +|, )(\d+)(?= )", table, re.MULTILINE)}


@pytest.mark.parametrize("command", [(), ("backup",), ("demo",)])
async def test_help_fits_a_terminal(workspace: Workspace, command: tuple[str, ...]) -> None:
    """No line of help is wider than 80 columns."""
    page = await workspace.run(*command, "--help")
    assert [line for line in page.out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("args", [("--version",), ("backup", "--help"), ("backup", "--nope")])
async def test_the_module_is_the_same_command(workspace: Workspace, args: tuple[str, ...]) -> None:
    """`python -m archiver` prints the same, with the same exit status."""
    module = await ended(sys.executable, "-m", "archiver", *args, env=workspace.env())
    assert module == await workspace.run(*args)


# --- Usage errors


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--nope",), "--nope"),
        (("--wait", "soon"), "--wait"),
        (("--wait", "-1"), "--wait"),
        (("--timeout", "5 parsecs"), "--timeout"),
        (("--api-rate", "fast"), "--api-rate"),
        (("--api-rate", "0/s"), "--api-rate"),
        (("--downloads", "0"), "--downloads"),
        (("--downloads", "many"), "--downloads"),
        (("--retries", "-1"), "--retries"),
        (("--endpoint", "deep fake"), "--endpoint"),
        (("--endpoint", "v6/../deepfake"), "--endpoint"),
        (("--api-url", "modelslab.com/api"), "--api-url"),
        (("--api-url", "ftp://modelslab.com/api"), "--api-url"),
        (("--api-url", "https://modelslab.com/api?key=1"), "--api-url"),
        (("--api-url", "http://[::1"), "--api-url"),
        (("--api-url", "http://127.0.0.1:99999/api"), "--api-url"),
    ],
)
async def test_a_wrong_option_is_named_in_one_line(
    workspace: Workspace, wrong: tuple[str, ...], named: str
) -> None:
    """A wrong value is refused with 2 and a line that names the option; nothing is created."""
    run = await workspace.backup(ready(workspace, "1"), *wrong)
    assert_refused(run, named)
    assert not workspace.archive.exists()
    assert not workspace.emulator.requests


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("nonsense",), "nonsense"),
        (("backup", "ids.txt"), "--archive"),
        (("backup", "-a", "somewhere"), "MANIFEST"),
    ],
)
async def test_a_missing_argument_is_named(
    workspace: Workspace, args: tuple[str, ...], named: str
) -> None:
    """A missing command, archive or manifest is named, with 2."""
    assert_refused(await workspace.run(*args), named)


async def test_a_wrong_variable_is_named(workspace: Workspace) -> None:
    """A wrong value from the environment is refused with the variable's name."""
    run = await workspace.run("backup", "-a", "x", ready(workspace, "1"), ARCHIVER_TIMEOUT="soon")
    assert_refused(run, "ARCHIVER_TIMEOUT")


def assert_refused(run: Ended, *named: str) -> None:
    """It ended with 2 and one line with the reason, without a traceback."""
    assert (run.status, run.out) == (2, "")
    assert "Traceback" not in run.err
    (line,) = [line for line in run.err.splitlines() if line.startswith(("Error:", "archiver:"))]
    assert all(name in line for name in named), line


# --- The key


async def test_a_missing_key_is_an_error(workspace: Workspace) -> None:
    """Without a key the run ends with 2, names both ways to give it, and creates nothing."""
    workspace.key = None
    assert_refused(
        await workspace.backup(ready(workspace, "1")), "MODELSLAB_API_KEY", "--api-key-file"
    )
    assert not workspace.archive.exists()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["variable", "option", "file variable", "credentials"])
async def test_the_key_is_found(workspace: Workspace, source: str) -> None:
    """The key is read from the environment, from a named file, or from systemd."""
    workspace.key = None
    file = workspace.manifest(KEY, name="credentials/modelslab-api-key")
    args = ("--api-key-file", file) if source == "option" else ()
    env = {
        "variable": {"MODELSLAB_API_KEY": KEY},
        "file variable": {"ARCHIVER_API_KEY_FILE": file},
        "credentials": {"CREDENTIALS_DIRECTORY": str(Path(file).parent)},
    }.get(source, {})
    run = await workspace.backup(ready(workspace, "1"), *args, **env)
    assert run == Ended(0, "", "")
    assert [seen.json() for seen in workspace.emulator.requests if seen.host == "api"] == [
        {"key": KEY}
    ]


@pytest.mark.slow
async def test_a_named_key_file_takes_precedence(workspace: Workspace) -> None:
    """A key file on the command line takes precedence over a key in the environment."""
    file = workspace.manifest(KEY, name="key")
    run = await workspace.backup(
        ready(workspace, "1"), "--api-key-file", file, MODELSLAB_API_KEY="old"
    )
    assert run == Ended(0, "", "")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"two words"])
async def test_an_unusable_key_file_is_refused(workspace: Workspace, content: bytes | None) -> None:
    """One that is missing, binary, empty or something else ends the run with 2, unshown."""
    workspace.key = None
    file = workspace.home / "key"
    if content is not None:
        file.write_bytes(content)
    run = await workspace.backup(ready(workspace, "1"), "--api-key-file", str(file))
    assert_refused(run, "API key")
    assert "words" not in run.err
    assert not workspace.archive.exists()


async def test_an_unusable_key_file_is_named(workspace: Workspace) -> None:
    """The error names the file, also when it could be read and has no key in it."""
    workspace.key = None
    file = workspace.manifest("", name="empty-key")
    assert_refused(await workspace.backup(ready(workspace, "1"), "--api-key-file", file), file)


@pytest.mark.slow
async def test_the_key_goes_to_the_api_and_nowhere_else(workspace: Workspace) -> None:
    """Whatever the server echoes, the key is in no output, no file and no link's request."""
    workspace.emulator.api = ApiScript(echo_key=True)
    thief = LinkScript(url=f"http://{{primary}}/generations/v6.deepfake.5.1.mp4?k={KEY}")
    names = script(workspace, {
        "1": Script(), "2": Script(response="failed"), "3": Script(response="malformed"), "4": DEAD,
        "5": Script(outputs=(OutputScript(primary=thief),)), "6": Script(response="error"),
        "7": Script(response="processing"),
    })  # fmt: skip
    run = await workspace.backup("-vv", "--json", names)
    workspace.emulator.api = ApiScript(echo_key=True, always="refused")
    refused = await workspace.backup("-vv", "--json", names)
    assert (run.status, refused.status) == (3, 77)
    assert "[API key]" in run.out
    assert "[API key]" in refused.err
    printed = [run.out, run.err, refused.out, refused.err]
    for spelling in (KEY, quote(KEY, safe="")):
        assert not any(spelling in text for text in printed)
        for path in filter(Path.is_file, workspace.archive.rglob("*")):
            assert spelling.encode() not in path.read_bytes(), path
        for seen in workspace.emulator.requests:
            sent = f"{seen.path} {dict(seen.headers)} {seen.body!r}"
            assert seen.host == "api" or spelling not in sent
    assert workspace.held() == ["v6/deepfake/1.mp4"]


# --- Manifests


def no_manifest(workspace: Workspace, kind: str) -> str:
    """Return a path at which no manifest can be read."""
    if kind == "empty directory":
        (workspace.home / "lists").mkdir()
        return str(workspace.home / "lists")
    if kind == "dangling":
        (workspace.home / "link.txt").symlink_to("nowhere.txt")
        return str(workspace.home / "link.txt")
    return {"missing": "/nowhere/ids.txt", "fails when read": "/proc/self/mem"}[kind]


UNREADABLE = ["missing", "dangling", "empty directory", "fails when read"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNREADABLE)
async def test_no_manifest_that_can_be_read(workspace: Workspace, kind: str) -> None:
    """When nothing can be read, the run ends with 2, the path and the reason."""
    path = no_manifest(workspace, kind)
    run = await workspace.backup(path)
    assert (run.status, run.out) == (2, "")
    assert path in run.err
    assert "Traceback" not in run.err
    if kind != "fails when read":
        assert_refused(run, path)
        assert not workspace.archive.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNREADABLE)
async def test_an_unreadable_manifest_beside_a_good_one(workspace: Workspace, kind: str) -> None:
    """One manifest that cannot be read is named and makes 3; the other is archived."""
    path = no_manifest(workspace, kind)
    run = await workspace.backup(path, ready(workspace, "1"))
    assert (run.status, run.out) == (3, "")
    assert path in run.err
    assert workspace.held() == ["v6/deepfake/1.mp4"]


@pytest.mark.slow
async def test_an_unreadable_list_in_a_directory(workspace: Workspace) -> None:
    """It is reported and the others are read; what an editor hides there is not a list."""
    lists = workspace.home / "lists"
    lists.mkdir()
    script(workspace, {"1": Script()})
    (lists / "ids.txt").write_text("1\n")
    (lists / ".#ids.txt").symlink_to("user@host.123")
    assert await workspace.backup(str(lists)) == Ended(0, "", "")
    (lists / "old.txt").mkdir()
    run = await workspace.backup(str(lists))
    assert run.status == 3
    assert f"{lists / 'old.txt'}: cannot be read: Is a directory" in run.err


@pytest.mark.slow
async def test_a_directory_of_manifests(workspace: Workspace) -> None:
    """All lists in a directory are read, in order and in any format; other files are not."""
    ready(workspace, *"12345")
    workspace.manifest("2", name="lists/b.txt")
    workspace.manifest("# header", "1", name="lists/a.txt")
    workspace.manifest("id,endpoint", "3,deepfake", name="lists/c.csv")
    workspace.manifest("prompt\trequest_id", "x\t4", name="lists/d.TSV")
    workspace.manifest('[{"id": 5}, 1]', name="lists/e.json")
    workspace.manifest("not a list", name="lists/README.md")
    lists = str(workspace.home / "lists")
    planned = await workspace.backup("--dry-run", lists)
    assert planned.out == "".join(f"would fetch v6/deepfake/{n}\n" for n in "12345")
    assert await workspace.backup(lists) == Ended(0, "", "")
    assert workspace.held() == [f"v6/deepfake/{n}.mp4" for n in "12345"]


@pytest.mark.slow
async def test_standard_input(workspace: Workspace) -> None:
    """`-` reads the list from standard input; a bad line in it is named `<stdin>`."""
    ready(workspace, "realtime/1", "2")
    run = await workspace.backup(
        "--endpoint", "realtime", "-", stdin=b"\xef\xbb\xbf1\r\n?\r\ndeepfake/2"
    )
    assert run.status == 3
    assert "<stdin>:2: '?'" in run.err
    assert workspace.held() == ["v6/deepfake/2.mp4", "v6/realtime/1.mp4"]


@pytest.mark.slow
async def test_bad_lines_are_named_and_the_others_archived(workspace: Workspace) -> None:
    """Every bad line is reported with its file and number, and makes 3; the rest is archived."""
    ready(workspace, "1", "2")
    first = workspace.manifest("1", "", "no such thing", "../2", name="first.txt")
    second = workspace.manifest("2", "x/y/z/4", name="second.txt")
    run = await workspace.backup(first, second)
    assert (run.status, run.out) == (3, "")
    for place in (f"{first}:3: 'no such thing'", f"{first}:4: ", f"{second}:2: "):
        assert f"\n{place}" in run.err
    assert run.err.count("expected") == 3
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


@pytest.mark.slow
async def test_strict_fetches_nothing(workspace: Workspace) -> None:
    """With `--strict` a bad line ends the run with 2 before any request."""
    ready(workspace, "1")
    manifest = workspace.manifest("1", "no such thing", "nor this")
    run = await workspace.backup("--strict", manifest)
    assert (run.status, run.out) == (2, "")
    assert f"{manifest}:2: " in run.err
    assert f"{manifest}:3: " in run.err
    assert not workspace.emulator.requests
    assert workspace.held() == []
    planned = await workspace.backup("--strict", "--dry-run", manifest)
    assert planned.status == 2


# --- Options from the environment


@pytest.mark.slow
async def test_every_option_can_come_from_the_environment(workspace: Workspace) -> None:
    """Flags and counts too: the manifest is then the only argument."""
    ready(workspace, "realtime/1")
    env = {
        "ARCHIVER_ARCHIVE": str(workspace.archive), "ARCHIVER_API_URL": workspace.emulator.api_url,
        "ARCHIVER_ENDPOINT": "realtime", "ARCHIVER_VERBOSE": "1", "ARCHIVER_JSON": "1",
        "ARCHIVER_DOWNLOADS": "2", "ARCHIVER_API_RATE": "60/m", "ARCHIVER_WAIT": "0",
        "ARCHIVER_TIMEOUT": "5", "ARCHIVER_RETRIES": "0", "ARCHIVER_STRICT": "no",
        "ARCHIVER_DRY_RUN": "false", "ARCHIVER_RETRY_LOST": "0", "ARCHIVER_QUIET": "",
    }  # fmt: skip
    run = await workspace.run("backup", workspace.manifest("1"), **env)
    assert run.status == 0
    assert json.loads(run.out)["outcomes"]["archived"] == 1
    assert "archived v6/realtime/1" in run.err
    bad = workspace.manifest("1", "no such thing")
    assert (await workspace.run("backup", bad, **env | {"ARCHIVER_STRICT": "1"})).status == 2
    plan = await workspace.run(
        "backup", workspace.manifest("2"), **env | {"ARCHIVER_DRY_RUN": "true"}
    )
    assert json.loads(plan.out)["generations"] == ["v6/realtime/2"]
    workspace.emulator.forget()
    lost = env | {"ARCHIVER_ENDPOINT": "video", "ARCHIVER_VERBOSE": "0"}
    assert (await workspace.run("backup", workspace.manifest("9"), **lost)).status == 3
    grow_hopeless(workspace.archive)
    assert (await workspace.run("backup", workspace.manifest("9"), **lost)).status == 3
    assert (await workspace.run("backup", workspace.manifest("9"), **lost)).status == 0
    again = lost | {"ARCHIVER_RETRY_LOST": "yes"}
    assert (await workspace.run("backup", workspace.manifest("9"), **again)).status == 3


# --- Output


async def test_nothing_is_printed_when_all_is_well(workspace: Workspace) -> None:
    """What ends with 0 is silent: archived, still processing, held, and nothing to do."""
    names = script(workspace, {"1": Script(), "2": Script(response="processing")})
    assert await workspace.backup(names) == Ended(0, "", "")
    assert await workspace.backup(names) == Ended(0, "", "")
    assert await workspace.backup(workspace.manifest("# nothing yet")) == Ended(0, "", "")
    assert workspace.held() == ["v6/deepfake/1.mp4"]


@pytest.mark.parametrize("quiet", [(), ("-q",)])
async def test_what_went_wrong_is_printed(workspace: Workspace, quiet: tuple[str, ...]) -> None:
    """A short paragraph on standard error: counts, and a line for each failure with its links."""
    proxied = OutputScript(primary=LinkScript(fault="dead"), proxy=LinkScript(fault="disguised"))
    names = script(
        workspace, {"1": Script(), "2": Script(outputs=(proxied,)), "3": Script(response="failed")}
    )
    run = await workspace.backup(*quiet, names)
    assert (run.status, run.out) == (3, "")
    counts, *failures = run.err.splitlines()
    failed, unmade = sorted(failures)
    assert counts.startswith("1 archived, 2 failed; 64.0 kB in ")
    assert failed.startswith("failed v6/deepfake/2: ")
    primary, proxy = (
        workspace.emulator.link(generation("2"), 1, host) for host in ("primary", "proxy")
    )
    assert f": primary {primary}: 404 Not Found; proxy {proxy}: not a video but an HTML" in failed
    assert unmade == (
        "failed v6/deepfake/3: ModelsLab responded: Failed, Try Again"
        " (run 1 of 3 before it counts as lost)"
    )


@pytest.mark.slow
async def test_the_paragraph_stays_short(workspace: Workspace) -> None:
    """Of many failures the first are listed and the rest is counted."""
    run = await workspace.backup(
        script(workspace, {str(n): Script(response="failed") for n in range(50)})
    )
    assert run.status == 3
    lines = run.err.splitlines()
    assert len(lines) < 30
    assert lines[0].startswith("50 failed; ")
    assert lines[-1] == "… and 30 more like these"


@pytest.mark.slow
async def test_verbose_prints_each_outcome(workspace: Workspace) -> None:
    """`-v` prints the link that served each video and why others did not, on standard error."""
    proxied = OutputScript(primary=LinkScript(fault="dead"), proxy=LinkScript())
    names = script(workspace, {"1": Script(), "2": Script(outputs=(proxied,))})
    run = await workspace.backup("-v", names)
    assert (run.status, run.out) == (0, "")
    link = workspace.emulator.link
    assert f"archived v6/deepfake/1: 64.0 kB from primary {link(generation('1'))}\n" in run.err
    assert (
        f"archived v6/deepfake/2: 64.0 kB from proxy {link(generation('2'), 1, 'proxy')}; "
        f"primary {link(generation('2'))}: 404 Not Found\n"
    ) in run.err
    assert run.err.splitlines()[-1].startswith("2 archived; 128.0 kB in ")


@pytest.mark.slow
async def test_verbose_is_for_people(workspace: Workspace) -> None:
    """`-v` prints in words also what is still processing, failed or lost."""
    names = script(
        workspace,
        {"1": Script(response="processing"), "2": Script(response="malformed"), "3": DEAD},
    )
    run = await workspace.backup("-v", names)
    assert "Generation(" not in run.err
    assert "pending v6/deepfake/1: still processing\n" in run.err


@pytest.mark.slow
async def test_very_verbose_prints_each_request(workspace: Workspace) -> None:
    """`-vv` prints each request and the response of the API."""
    names = script(workspace, {"1": Script(ready_after=0)})
    more, less = (
        await workspace.backup("-vv", names),
        await workspace.backup("-v", "--retry-lost", names),
    )
    assert "v6/deepfake/fetch/1" in more.err
    assert "v6/deepfake/fetch/1" not in less.err


@pytest.mark.slow
async def test_json_is_one_object(workspace: Workspace) -> None:
    """`--json` prints counts, bytes, seconds and reasons to standard output, nothing else there."""
    ready(workspace, "1")
    script(
        workspace, {"2": Script(response="processing"), "3": Script(response="failed"), "4": DEAD}
    )
    names = workspace.manifest("1", "2", "3", "4", "bad line")
    run = await workspace.backup("--json", "-v", names, "/nowhere")
    summary = json.loads(run.out)
    assert run.status == summary["exit_status"] == 3
    assert summary["outcomes"] == {
        "archived": 1, "already_held": 0, "pending": 1, "failed": 2, "lost": 0,
        "known_lost": 0, "skipped": 0,
    }  # fmt: skip
    assert summary["bytes"] == 64_000
    assert 0 < summary["seconds"] < 60
    assert summary["ended_early"] is None
    failures = {failure["generation"]: failure for failure in summary["failures"]}
    assert failures["v6/deepfake/3"]["reason"].startswith("ModelsLab responded: Failed, Try Again")
    assert failures["v6/deepfake/4"]["outcome"] == "failed"
    assert failures["v6/deepfake/4"]["links"] == [
        {
            "role": "primary",
            "link": workspace.emulator.link(generation("4")),
            "reason": "404 Not Found",
        }
    ]
    assert summary["bad_lines"] == [
        f"{names}:5: 'bad line': expected an ID, ENDPOINT/ID or a fetch URL"
    ]
    assert summary["unreadable_manifests"] == [
        "/nowhere: cannot be read: No such file or directory"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "status"),
    [
        ("no key", 2), ("unreadable", 2), ("strict", 2), ("not an archive", 2),
        ("refused", 77), ("unreachable", 69),
    ],
)  # fmt: skip
async def test_json_also_when_a_run_ends_early(
    workspace: Workspace, problem: str, status: int
) -> None:
    """Whatever ends the run, `--json` prints its one object, with the reason."""
    names, args = ready(workspace, "1"), []
    match problem:
        case "no key":
            workspace.key = None
        case "unreadable":
            names = "/nowhere"
        case "strict":
            names, args = workspace.manifest("bad line"), ["--strict"]
        case "not an archive":
            args = ["-a", __file__]
        case "refused":
            workspace.key = "wrong"
        case "unreachable":
            args = ["--api-url", "http://127.0.0.1:1/api"]
    run = await workspace.backup("--json", names, *args)
    summary = json.loads(run.out)
    assert run.status == summary["exit_status"] == status
    assert summary["ended_early"]
    assert run.err


# --- The next run


async def test_a_second_run_makes_no_request(workspace: Workspace) -> None:
    """What is held or known to be lost is not requested again, which is no failure."""
    names = script(
        workspace, {"1": Script(), "realtime/2": Script(), "3": Script(response="unknown")}
    )
    assert (await workspace.backup(names)).status == 3
    grow_hopeless(workspace.archive)
    assert "1 lost" in (await workspace.backup(names)).err
    workspace.emulator.forget()
    assert await workspace.backup(names) == Ended(0, "", "")
    run = await workspace.backup("-v", names)
    assert "2 already held, 1 known lost; 0 bytes in " in run.err
    assert workspace.emulator.requests == []


@pytest.mark.slow
async def test_retry_lost_tries_again(workspace: Workspace) -> None:
    """`--retry-lost` requests what was lost, and only that; it may be there after all."""
    names = script(workspace, {"1": Script(), "2": Script(response="unknown")})
    assert (await workspace.backup(names)).status == 3
    grow_hopeless(workspace.archive)
    assert (await workspace.backup(names)).status == 3
    workspace.emulator.forget()
    workspace.emulator.scripts[generation("2")] = Script()
    assert await workspace.backup("--retry-lost", names) == Ended(0, "", "")
    assert {seen.generation for seen in workspace.emulator.requests} == {generation("2")}
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


@pytest.mark.slow
async def test_a_lost_catalogue_downloads_nothing_again(workspace: Workspace) -> None:
    """The catalogue is rebuilt from the checksum manifest: no request, a valid bag, and 0."""
    names = ready(workspace, "1", "2", "v7/video-fusion/3")
    assert (await workspace.backup(names)).status == 0
    workspace.emulator.forget()
    (workspace.archive / ".archiver/catalogue.sqlite").unlink()
    plan = await workspace.backup("--dry-run", names)
    assert "would fetch v6" not in plan.out
    assert await workspace.backup(names) == Ended(0, "", "")
    assert workspace.emulator.requests == []
    await assert_valid_bag(workspace.archive)


# --- A dry run


def tree(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return everything in a directory with its size, inode and modification time."""
    found = {str(path): path.lstat() for path in (root, *root.rglob("*"))}
    return {name: (s.st_size, s.st_ino, s.st_mtime_ns) for name, s in found.items()}


async def test_a_dry_run_touches_nothing(workspace: Workspace) -> None:
    """`--dry-run` needs no key, changes nothing, and lists what a run would fetch."""
    script(workspace, {"1": Script(), "2": Script(response="unknown")})
    assert (await workspace.backup(workspace.manifest("1", "2"))).status == 3
    grow_hopeless(workspace.archive)
    assert (await workspace.backup(workspace.manifest("1", "2"))).status == 3
    workspace.emulator.forget()
    workspace.key = None
    names = workspace.manifest("1", "2", "faceswap/3", "video/4", "deepfake/3")
    before = tree(workspace.home)
    run = await workspace.backup("--dry-run", names)
    assert run.status == 0
    assert run.out == "would fetch v6/deepfake/3\nwould fetch v6/video/4\n"
    again = await workspace.backup("--dry-run", "--retry-lost", names)
    assert "would fetch v6/deepfake/2\n" in again.out
    assert tree(workspace.home) == before
    assert workspace.emulator.requests == []


async def test_a_dry_run_makes_no_archive(workspace: Workspace) -> None:
    """Where there is no archive yet, none is created, and all of the list would be fetched."""
    run = await workspace.backup("--dry-run", ready(workspace, "1", "2"))
    assert run.status == 0
    assert run.out == "would fetch v6/deepfake/1\nwould fetch v6/deepfake/2\n"
    assert "nothing to do" not in run.err
    assert not workspace.archive.exists()


@pytest.mark.slow
async def test_a_dry_run_names_bad_lines(workspace: Workspace) -> None:
    """Bad lines and unreadable manifests have the exit status they would have in a run."""
    run = await workspace.backup("--dry-run", workspace.manifest("1", "no such thing"), "/nowhere")
    assert run.status == 3
    assert "ids.txt:2: 'no such thing'" in run.err
    assert "/nowhere: cannot be read" in run.err
    assert run.out == "would fetch v6/deepfake/1\n"
    assert_refused(
        await workspace.backup("--dry-run", "-a", __file__, workspace.manifest("1")), __file__
    )


async def test_a_dry_run_in_json(workspace: Workspace) -> None:
    """`--dry-run --json` prints one JSON object and nothing else to standard output."""
    run = await workspace.backup("--dry-run", "--json", ready(workspace, "1"))
    assert run.status == 0
    assert isinstance(json.loads(run.out), dict)


@pytest.mark.slow
async def test_a_dry_run_can_be_cut_short(workspace: Workspace) -> None:
    """Piped into `head` it ends without a traceback."""
    names = workspace.manifest(*(str(n) for n in range(100_000)))
    command = " ".join(workspace.command("--dry-run", names))
    run = await ended("bash", "-c", f"{command} | head -n 1", env=workspace.env())
    assert run.out == "would fetch v6/deepfake/0\n"
    assert "Traceback" not in run.err


# --- Exit statuses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scripts", "api", "status", "message"),
    [
        ({"1": Script()}, ApiScript(), 0, ""),
        ({"1": Script(response="processing")}, ApiScript(), 0, ""),
        ({"1": Script(response="created")}, ApiScript(), 0, ""),
        ({"1": Script(response="proxied")}, ApiScript(), 0, ""),
        ({"1": Script(response="no-output")}, ApiScript(), 0, ""),
        ({"1": Script(response="failed")}, ApiScript(), 3, "Failed, Try Again"),
        ({"1": Script(response="unknown")}, ApiScript(), 3, "Request not found"),
        ({"1": Script(response="unknown-404")}, ApiScript(), 3, "Request not found"),
        ({"1": Script(response="malformed")}, ApiScript(), 3, "Invalid API Request"),
        ({"1": DEAD}, ApiScript(), 3, "404 Not Found"),
        ({"1": TORN}, ApiScript(), 3, "not a video but an HTML page"),
        ({"1": Script(), "2": Script(response="error")}, ApiScript(), 3, "Server Error"),
        ({"1": Script(), "2": DEAD}, ApiScript(refusal="refused"), 3, "404 Not Found"),
        ({"1": Script()}, ApiScript(always="refused"), 77, "Invalid API key"),
        ({"1": Script()}, ApiScript(always="refused-old"), 77, "Invalid Api Key"),
        ({"1": Script()}, ApiScript(always="plan"), 77, "Your plan does not include this"),
        ({"1": Script()}, ApiScript(always="no-credit"), 77, "Insufficient credits"),
        ({"1": Script()}, ApiScript(always="no-credit-old"), 77, "monthly limit exceeded"),
        ({"1": Script()}, ApiScript(always="html"), 69, "an HTML page"),
        ({"1": Script()}, ApiScript(always="html-200"), 69, "an HTML page"),
        ({"1": Script()}, ApiScript(always="hang-up"), 69, "closed early"),
        ({"1": Script(), "2": Script(response="refused")}, ApiScript(), 77, "Invalid API key"),
    ],
)
async def test_exit_statuses(
    workspace: Workspace, scripts: dict[str, Script], api: ApiScript, status: int, message: str
) -> None:
    """Each way in which a run can end has its published status, and a reason or no output."""
    workspace.emulator.api = api
    run = await workspace.backup(script(workspace, scripts))
    assert (run.status, run.out) == (status, "")
    assert message in run.err if status else run.err == ""
    assert "Traceback" not in run.err


@pytest.mark.slow
async def test_an_api_that_is_gone_is_not_hammered(workspace: Workspace) -> None:
    """When no server listens the run ends early with 69, and names the API and what was skipped."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/api"
        run = await workspace.backup(ready(workspace, *map(str, range(200))), "--api-url", url)
    assert (run.status, run.out) == (69, "")
    assert url in run.err
    assert re.search(r"skipped 1\d\d, retried on the next run", run.err)
    assert len(run.err.splitlines()) < 30


@pytest.mark.slow
async def test_pages_instead_of_responses_end_the_run(workspace: Workspace) -> None:
    """An API that gives only HTML counts as unreachable: 69, after a few requests."""
    workspace.emulator.api = ApiScript(always="html-200")
    run = await workspace.backup(ready(workspace, *map(str, range(200))))
    assert run.status == 69
    assert workspace.emulator.asked() <= 60
    assert "retried on the next run" in run.err


@pytest.mark.slow
async def test_a_long_rate_limit_skips_the_rest(workspace: Workspace) -> None:
    """A run that may not wait half an hour skips the rest, with 3."""
    words = RawResponse({"status": "error", "message": "Slow down, try again in 30 minutes"}, 429)
    names = script(
        workspace, {"1": Script(), "2": Script(response=words), "3": Script(response=words)}
    )
    run = await workspace.backup("--api-rate", "1000/s", names)
    assert (run.status, run.out) == (3, "")
    assert "30 min" in run.err
    assert re.search(r"skipped \d, retried on the next run: rate-limited, retry in 30 min", run.err)
    assert workspace.emulator.asked() <= 4
    workspace.emulator.scripts |= {generation("2"): Script(), generation("3"): Script()}
    assert await workspace.backup(names) == Ended(0, "", "")


@pytest.mark.slow
async def test_another_run_holds_the_archive(workspace: Workspace) -> None:
    """A second run at the same time ends with 75 and names the first, whose lock dies with it."""
    stalled = LinkScript(fault="stall")
    names = script(workspace, {"1": Script(outputs=(OutputScript(primary=stalled),))})
    async with started(*workspace.command(names, "--timeout", "1m"), env=workspace.env()) as first:
        await until(workspace.emulator.downloads)
        run = await workspace.backup("--json", names)
        assert run.status == 75
        assert f"process {first.pid}" in run.err
        assert f"process {first.pid}" in json.loads(run.out)["ended_early"]
        first.kill()
    workspace.emulator.scripts[generation("1")] = Script()
    assert await workspace.backup(names) == Ended(0, "", "")
    assert_true_bag(workspace.archive)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "other directory", "missing parent", "dangling"])
async def test_a_wrong_archive_is_left_alone(workspace: Workspace, kind: str) -> None:
    """What is not an archive is named with 2, and nothing is created or changed there."""
    place = workspace.home / "place"
    match kind:
        case "file":
            place.write_text("mine")
        case "other directory":
            (place / "mine").mkdir(parents=True)
        case "missing parent":
            place = place / "archive"
        case "dangling":
            place.symlink_to("nowhere")
    names = ready(workspace, "1")
    before = tree(workspace.home)
    run = await workspace.backup(names, "-a", str(place))
    assert_refused(run, str(place if kind != "missing parent" else place.parent))
    assert tree(workspace.home) == before
    assert not workspace.emulator.requests


@pytest.mark.slow
@pytest.mark.parametrize("made_before", [True, False])
async def test_a_read_only_archive(workspace: Workspace, made_before: bool) -> None:
    """On a disk that cannot be written the run ends with 74 and one line, before any request."""
    ready(workspace, "1", "2")
    with mounted(workspace.archive, "size=10m"):
        if made_before:
            assert (await workspace.backup(workspace.manifest("1"))).status == 0
        workspace.emulator.forget()
        assert (await ended("mount", "-o", "remount,ro", str(workspace.archive))).status == 0
        run = await workspace.backup(workspace.manifest("2"))
        assert (run.status, run.out) == (74, "")
        (line,) = run.err.splitlines()
        assert "Read-only file system" in line
        assert str(workspace.archive) in line
        assert not workspace.emulator.requests


@pytest.mark.slow
async def test_a_full_disk(workspace: Workspace) -> None:
    """What does not fit ends the run with 74; what was finished is held in a valid bag."""
    with mounted(workspace.archive, "size=3m"):
        assert (await workspace.backup(ready(workspace, "1"))).status == 0
        names = script(workspace, {"1": Script(), "2": Script(outputs=(OutputScript(5_000_000),))})
        run = await workspace.backup(names)
        assert (run.status, run.out) == (74, "")
        assert "it does not fit on the disk" in run.err
        assert "Traceback" not in run.err
        assert workspace.held() == ["v6/deepfake/1.mp4"]
        assert_true_bag(workspace.archive)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "name", "never"),
    [(signal.SIGINT, 130, "SIGINT", True), (signal.SIGTERM, 143, "SIGTERM", False)],
)
async def test_a_signal_ends_a_run_in_order(
    workspace: Workspace, number: int, status: int, name: str, never: bool
) -> None:
    """What is finished, or soon will be, is committed; the next run goes on with the rest."""
    later = {str(n): Script(response="error", trouble=("silent",)) for n in range(5, 30)}
    last = NEVER if never else slow(1)
    names = script(workspace, {"1": Script(), "2": slow(2), "3": last, "4": Script()} | later)
    command = workspace.command(names, "--downloads", "2", "--api-rate", "20/s")
    pipe = asyncio.subprocess.PIPE
    async with started(*command, env=workspace.env(), stdout=pipe, stderr=pipe) as process:
        await until(lambda: workspace.held() and workspace.emulator.downloads(generation("3")))
        process.send_signal(number)
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    assert (process.returncode, out) == (status, b"")
    assert f"interrupted by {name}" in err.decode()
    assert "Traceback" not in err.decode()
    assert ", retried on the next run" in err.decode()
    finished = {"1", "2"} if never else {"1", "2", "3"}
    assert {f"v6/deepfake/{n}.mp4" for n in finished} <= set(workspace.held())
    await assert_valid_bag(workspace.archive)
    workspace.emulator.scripts |= {generation(n): Script() for n in ("3", *later)}
    assert await workspace.backup(names) == Ended(0, "", "")
    assert all(workspace.emulator.downloads(generation(n)) == 1 for n in finished)


@pytest.mark.slow
async def test_a_second_signal_ends_a_run_at_once(workspace: Workspace) -> None:
    """The run ends at once, and the archive is none the worse."""
    names = script(workspace, {"1": Script(), "2": NEVER})
    async with started(*workspace.command(names), env=workspace.env()) as process:
        await until(lambda: workspace.held() and workspace.emulator.downloads(generation("2")))
        before = time.monotonic()
        while process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.2)
            assert time.monotonic() < before + 9  # less than the time that downloads have
        assert process.returncode == 130
    workspace.emulator.scripts[generation("2")] = Script()
    assert await workspace.backup(names) == Ended(0, "", "")
    assert_true_bag(workspace.archive)


# --- On a terminal


def shown(written: str, width: int = 80) -> list[str]:
    """Return the lines that a terminal shows after this was written to it."""
    rows: list[list[str]] = [[]]
    row = column = 0
    for move, character in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|(.)", written, re.DOTALL):
        if move.endswith("A"):
            row = max(0, row - int(move[2:-1] or 1))
        elif move.endswith("J"):
            del rows[row][column:], rows[row + 1 :]
        elif move.endswith("K"):
            del rows[row][column:]
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            rows.extend([] for _ in range(row + 1 - len(rows)))
        elif character:
            if column >= width:
                row, column = row + 1, 0
                rows.extend([] for _ in range(row + 1 - len(rows)))
            rows[row] += " " * (column + 1 - len(rows[row]))
            rows[row][column] = character
            column += 1
    lines = ["".join(characters).rstrip() for characters in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


async def on_a_terminal(workspace: Workspace, *command: str, width: int = 80) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its status and its output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    written = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: written.extend(_available(ours)))
    env = workspace.env(TERM="xterm")
    try:
        async with started(*command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as it:
            async with asyncio.timeout(30):
                await it.wait()
            await asyncio.sleep(0)
            written.extend(_rest(ours))
            return it.returncode or 0, written.decode()
    finally:
        loop.remove_reader(ours)
        os.close(theirs)
        os.close(ours)


def _available(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def _rest(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    return b"".join(iter(lambda: _available(descriptor), b""))


@pytest.mark.slow
async def test_a_terminal_shows_bars_and_keeps_lines_whole(workspace: Workspace) -> None:
    """Bars move during the run; in the end there are only whole lines, the counts last."""
    names = script(workspace, {str(n): slow(0.3 + n / 10) for n in range(1, 7)})
    status, written = await on_a_terminal(workspace, *workspace.command("-v", names), width=200)
    assert status == 0
    assert re.search(r"generations:\s+\d+%\|.*\| [1-5]/6 \[", written)
    assert re.search(r"bytes:\s+[1-9]\d?%\|.*M/6\.00M \[.*B/s\]", written)
    planned, *archived, counts = shown(written, 200)
    assert planned == "6 to fetch, 0 already held, 0 known lost"
    expected = r"archived v6/deepfake/\d: 1\.0 MB from primary http://[\w.:/]+\.mp4"
    assert all(re.fullmatch(expected, line) for line in archived), archived
    assert len(archived) == 6
    assert re.fullmatch(r"6 archived; 6\.0 MB in \d s", counts)


@pytest.mark.slow
async def test_a_terminal_shows_the_counts(workspace: Workspace) -> None:
    """A person sees the counts also when all is well, and nothing with `--quiet`."""
    names = script(workspace, {"1": slow(0.3)})
    status, written = await on_a_terminal(workspace, *workspace.command(names))
    (counts,) = shown(written)
    assert status == 0
    assert re.fullmatch(r"1 archived; 1\.0 MB in \d s", counts)
    status, written = await on_a_terminal(workspace, *workspace.command(names))
    assert shown(written) == ["1 already held; 0 bytes in 0 s"]
    assert await on_a_terminal(workspace, *workspace.command("-q", ready(workspace, "2"))) == (
        0,
        "",
    )


@pytest.mark.slow
async def test_a_terminal_is_clean_after_a_failure(workspace: Workspace) -> None:
    """No rest of a bar stays among the lines of the report."""
    names = script(workspace, {"1": slow(0.3), "2": Script(response="failed")})
    status, written = await on_a_terminal(workspace, *workspace.command(names))
    counts, *why = shown(written)
    assert status == 3
    assert re.fullmatch(r"1 archived, 1 failed; 1\.0 MB in \d s", counts)
    assert " ".join(why).startswith("failed v6/deepfake/2: ModelsLab responded: Failed, Try Again")


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
async def test_a_terminal_has_columns_and_whole_links(workspace: Workspace, width: int) -> None:
    """What is too long continues in its column; a link stays in one piece, to be copied."""
    dead = Script(outputs=(OutputScript(primary=LinkScript(fault="dead")),))
    assert (await workspace.backup(script(workspace, {"1": Script(), "2": dead}))).status == 3
    command = (COMMAND, "status", "-a", str(workspace.archive))
    _, written = await on_a_terminal(workspace, *command, width=width)
    plain = re.sub("\x1b\\[[0-9]*m", "", written)
    assert plain != written
    lines = plain.replace("\r\n", "\n").splitlines()
    link = re.compile(r"http://[\w.:/]+/v6\.deepfake\.2\.1\.mp4")
    assert any(link.search(line) for line in lines)
    assert all(
        len(line) <= width or link.search(line) or str(workspace.home) in line for line in lines
    )
    assert [label for line in lines if (label := line[:10].strip())] == [
        "archive", "held", "failed", "disk", "fixity", "runs", "failed",
    ]  # fmt: skip


# --- Output that cannot be written


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&-", "2>/dev/full", "2>&1 | true"])
async def test_a_closed_standard_error_changes_no_result(
    workspace: Workspace, redirection: str
) -> None:
    """Neither does a full one, nor a reader that has gone."""
    names = script(workspace, {"1": Script(), "2": Script(response="failed")})
    command = shlex.join(workspace.command(names))
    run = await ended(
        "bash", "-c", f"{command} {redirection}; exit ${{PIPESTATUS[0]}}", env=workspace.env()
    )
    assert run == Ended(3, "", "")
    assert workspace.held() == ["v6/deepfake/1.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "status", "status --json", "backup --json"])
async def test_a_full_standard_output_is_an_error(workspace: Workspace, command: str) -> None:
    """It is reported in one line, with 74."""
    names = script(workspace, {"1": Script()})
    assert (await workspace.backup(names)).status == 0
    name, *options = command.split()
    arguments = (
        workspace.command(*options, names)
        if name == "backup"
        else (COMMAND, name, "-a", str(workspace.archive), *options)
    )
    run = await ended("sh", "-c", f"{shlex.join(arguments)} >/dev/full", env=workspace.env())
    assert run == Ended(74, "", "archiver: the disk failed: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-15"])
async def test_any_locale_will_do(workspace: Workspace, encoding: str) -> None:
    """What it cannot write is escaped; what programs read is UTF-8, as ever."""
    message = "失敗 …"
    reply = RawResponse({"status": "failed", "message": message})
    names, env = script(workspace, {"1": Script(response=reply)}), {"PYTHONIOENCODING": encoding}
    assert (await workspace.backup(names, **env)).status == 3
    archive = ("-a", str(workspace.archive))
    status = await workspace.run("status", *archive, **env)
    assert (status.status, status.err) == (0, "")
    for form in ("csv", "jsonl"):
        rows = await workspace.run("export", *archive, "--format", form, **env)
        assert (rows.status, rows.err) == (0, "")
        assert message in rows.out


async def test_no_space_for_temporary_files(workspace: Workspace, tmp_path: Path) -> None:
    """A long list needs some: their directory is named, while the archive's disk has plenty."""
    names = workspace.manifest(*map(str, range(100_000)))
    with mounted(tmp_path / "small", "size=64k") as small:
        run = await workspace.backup("--dry-run", names, TMPDIR=str(small))
    assert (run.status, run.out, run.err.count("\n")) == (74, "", 1)
    assert "is full: the archive's, or that of temporary files ($TMPDIR, or /var/tmp)" in run.err


async def test_the_limit_of_open_files_is_raised(workspace: Workspace) -> None:
    """The soft limit is low for the sake of old programs; only the hard one is meant."""
    names = script(workspace, {str(number): Script() for number in range(1, 61)})
    backup = shlex.join(workspace.command("--downloads", "60", names))
    run = await ended("sh", "-c", f"ulimit -S -n 40; exec {backup}", env=workspace.env())
    assert run == Ended(0, "", "")
    assert len(workspace.held()) == 60


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "status", "status --json", "backup --json"])
async def test_a_reader_that_has_gone_is_no_bug(workspace: Workspace, command: str) -> None:
    """The status is 141, as that of any program that SIGPIPE ends, and nothing is printed."""
    names = script(workspace, {"1": Script()})
    assert (await workspace.backup(names)).status == 0
    name, *options = command.split()
    arguments = (
        workspace.command(*options, names)
        if name == "backup"
        else (COMMAND, name, "-a", str(workspace.archive), *options)
    )
    pipe = f"{shlex.join(arguments)} | exec <&-; exit ${{PIPESTATUS[0]}}"
    assert await ended("bash", "-c", pipe, env=workspace.env()) == Ended(141, "", "")


@pytest.mark.slow
async def test_a_log_file_on_a_full_disk_is_reported_once(workspace: Workspace) -> None:
    """In one line; the run goes on, and its result is not affected."""
    run = await workspace.backup("--log-file", "/dev/full", script(workspace, {"1": Script()}))
    assert (run.status, run.out) == (0, "")
    why = "archiver: no log: the disk failed while writing to /dev/full: No space left on device."
    assert run.err == f"{why} The run is not affected\n"


@pytest.mark.slow
async def test_what_was_repaired_is_reported(workspace: Workspace) -> None:
    """Damage is reported also when all of it is repaired: the disk may be failing."""
    assert (await workspace.backup(script(workspace, {"1": Script()}))).status == 0
    video = workspace.archive / "data/v6/deepfake/1.mp4"
    video.write_bytes(video.read_bytes()[:-1])
    where = ("-a", str(workspace.archive), "--api-url", workspace.emulator.api_url)
    run = await workspace.run("verify", "--repair", *where)
    assert (run.status, run.out) == (0, "")
    counts, finding = run.err.splitlines()
    assert ": 1 changed" in counts
    assert finding.startswith("changed data/v6/deepfake/1.mp4: ")
    assert finding.endswith("; repaired: fetched anew")


# --- Empty names


@pytest.mark.parametrize("arguments", [("",), ("-a", "", "ids.txt"), ("--config", "", "ids.txt")])
async def test_an_empty_name_is_an_error(workspace: Workspace, arguments: tuple[str, ...]) -> None:
    """An unset variable is not the working directory."""
    run = await workspace.backup(*arguments)
    assert (run.status, run.out) == (2, "")
    assert run.err.endswith(": it is empty\n")
    assert not workspace.archive.exists()


# --- The demo


@pytest.mark.slow
async def test_the_demo(workspace: Workspace) -> None:
    """`archiver demo` creates an archive of videos that play, in a new place."""
    workspace.key = None
    run = await workspace.run("demo", TMPDIR=str(workspace.home))
    assert run.status == 0
    (archive,) = workspace.home.glob("archiver-demo-*")
    assert "13 archived, 1 failed; " in run.out
    check = re.search(r"^ +\((cd .*sha256sum.*)\)$", run.out, re.MULTILINE)
    assert check
    assert str(archive) in check[1]
    assert (await ended("sh", "-c", check[1])).status == 0
    await assert_valid_bag(archive)
    videos = list((archive / "data").rglob("*.mp4"))
    assert len(videos) == 14
    assert archive / "data/v6/assets_generated/9402.mp4" in videos
    if shutil.which("ffprobe"):
        for video in videos:
            await assert_plays(video)
    again = await workspace.run("demo", "-a", str(archive))
    assert again == Ended(
        2, "", f"archiver: {archive} is not empty: the demo needs a new directory\n"
    )


@pytest.mark.slow
async def test_the_demo_offers_the_page(workspace: Workspace) -> None:
    """With `--browse` it says where it is, and what the lists say of the videos is on it."""
    workspace.key = None
    archive = workspace.home / "demo"
    run = await workspace.run("demo", "--browse", "-a", str(archive))
    assert run.status == 0
    assert run.out.endswith(f"Look at it in a browser:\n  {archive}/index.html\n")
    data = "".join(path.read_text() for path in (archive / ".archiver/browse").glob("*.js"))
    assert "A fox in fresh snow, at dawn" in data
    await assert_valid_bag(archive)


async def assert_plays(video: Path) -> None:
    """`ffprobe` reads the video and finds frames in it."""
    count = ("-count_packets", "-show_entries", "stream=codec_type,nb_read_packets", "-of", "csv")
    probed = await ended("ffprobe", "-v", "error", *count, str(video))
    assert (probed.status, probed.err) == (0, "")
    assert re.search(r"video,[1-9]", probed.out), probed.out


def test_the_list_of_the_demo_is_an_example() -> None:
    """The demo backs up what is in `manifests/demo.txt`."""
    shown = Path(__file__).parents[2] / "manifests" / "demo.txt"
    assert (files("archiver.emulator") / "demo.txt").read_text() == shown.read_text()


async def test_accepting_changes_needs_a_repair(workspace: Workspace) -> None:
    """Alone it would be ignored, and whoever gave it would wait for nothing."""
    run = await workspace.run("verify", "-a", str(workspace.archive), "--accept-changed")
    assert run.status == 2
    assert "--accept-changed needs --repair" in run.err


# --- Watching a run


@pytest.mark.slow
async def test_a_run_can_be_watched(workspace: Workspace) -> None:
    """In a log a line for each change, on a terminal in place; both end with the run."""
    names = script(workspace, {str(n): slow(1.0 + n) for n in range(1, 4)})
    watch = (COMMAND, "status", "-a", str(workspace.archive), "--watch")
    async with started(*workspace.command(names), env=workspace.env()) as run:
        await until((workspace.archive / ".archiver/catalogue.sqlite").exists)
        await until((workspace.archive / ".archiver/lock").read_text)
        in_a_log, (status, written) = await asyncio.gather(
            ended(*watch, env=workspace.env()), on_a_terminal(workspace, *watch)
        )
        assert await run.wait() == 0
    assert (in_a_log.status, in_a_log.err, status) == (0, "", 0)
    *changes, end = in_a_log.out.splitlines()
    assert len(changes) >= 2
    assert any("backup: nothing yet; 0 held, 0 bytes" in change for change in changes[:2])
    assert "backup, exit status 0: 3 archived" in end
    assert re.search(r"running.*backup for \d s, process \d+", written)
    last = [re.sub("\x1b\\[[0-9]*m", "", line) for line in shown(written)]
    assert not any("process" in line for line in last)
    assert any(line.startswith("runs      ok ") for line in last)


async def test_of_a_watched_run_the_end_is_shown(workspace: Workspace) -> None:
    """Also where it was recorded a moment before the run let go of the archive."""
    workspace.archive.mkdir()
    began, pipe = datetime.now(UTC), asyncio.subprocess.PIPE
    command = (COMMAND, "status", "-a", str(workspace.archive), "--watch")
    with (
        WritableBag.open(workspace.archive) as bag,
        closing(open_catalogue(bag.layout.root)) as catalogue,
    ):
        with catalogue.history.recording("backup", began) as close:
            watching = await asyncio.create_subprocess_exec(
                *command, env=workspace.env(), stdout=pipe, stderr=pipe
            )
            assert watching.stdout
            first = await asyncio.wait_for(watching.stdout.readline(), 20)
            close(Run("backup", began, began, 0, summary="3 archived"))
        second = await asyncio.wait_for(watching.stdout.readline(), 20)
    out, err = await asyncio.wait_for(watching.communicate(), 20)
    assert (watching.returncode, err) == (0, b"")
    assert b"  backup: nothing yet; 0 held" in first
    assert b"  a run: begins or ends; 0 held" in second
    assert b"backup, exit status 0: 3 archived" in out


@pytest.mark.slow
async def test_watching_ends_with_control_c(workspace: Workspace) -> None:
    """With 130 and without a traceback; the run goes on."""
    names = script(workspace, {"1": slow(4)})
    async with started(*workspace.command(names), env=workspace.env()) as run:
        await until((workspace.archive / ".archiver/catalogue.sqlite").exists)
        await until((workspace.archive / ".archiver/lock").read_text)
        pipe = asyncio.subprocess.PIPE
        command = (COMMAND, "status", "-a", str(workspace.archive), "--watch")
        async with started(*command, env=workspace.env(), stdout=pipe, stderr=pipe) as watching:
            assert watching.stdout
            await asyncio.wait_for(watching.stdout.readline(), 20)
            watching.send_signal(signal.SIGINT)
            _, err = await asyncio.wait_for(watching.communicate(), 20)
        assert (watching.returncode, err.strip()) == (130, b"")
        assert await run.wait() == 0


async def test_without_a_run_there_is_nothing_to_watch(workspace: Workspace) -> None:
    """The status is shown as it is; IDs and --json do not go with it."""
    (workspace.archive / ".archiver").mkdir(parents=True)
    (workspace.archive / "manifest-sha256.txt").touch()
    done = await workspace.run("status", "-a", str(workspace.archive), "--watch")
    assert (done.status, done.err) == (0, "no run is in progress\n")
    assert "nothing yet" in done.out
    for args in (["--json"], ["263"]):
        done = await workspace.run("status", "-a", str(workspace.archive), "--watch", *args)
        assert done.status == 2
        assert "--watch follows a run" in done.err


@pytest.mark.slow
async def test_the_bars_tick_in_a_run_that_waits(workspace: Workspace) -> None:
    """The time goes on, what is waited for is named, and no end is promised."""
    names = script(workspace, {"1": Script(), "2": Script(ready_after=1)})
    command = (*workspace.command(names), "--wait", "20s")
    status, written = await on_a_terminal(workspace, *command)
    assert status == 0
    assert len(set(re.findall(r"1/2 (\[00:0\d\])", written))) >= 2
    assert "waiting for 1 still being made" in written
    assert "<00:00" not in written
    assert re.fullmatch(r"2 archived; .* in \d s", shown(written)[-1])


@pytest.mark.slow
async def test_a_narrow_terminal_shows_numbers(workspace: Workspace) -> None:
    """Instead of a bar: whole lines, with the time and the rate."""
    names = script(workspace, {"1": slow(2.5), "2": slow(2.5)})
    status, written = await on_a_terminal(workspace, *workspace.command(names), width=40)
    assert status == 0
    assert "generations: 0/2 [00:01]" in written
    assert re.search(r"bytes: \S+M/2\.00M \[00:0\d, \S+B/s\]", written)
    assert "2 downloading" in written
    assert all(len(line) <= 40 for line in shown(written, 10_000))
