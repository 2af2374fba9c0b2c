"""The API key goes to the API and nowhere else, however the servers spell it back to us."""

import asyncio
import base64
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from archiver.emulator.scripts import ApiScript, LinkScript, OutputScript, RawResponse, Script
from archiver.emulator.server import Emulator, Seen
from tests.support.backups import KEY, generation
from tests.support.raw_server import RawServer
from tests.support.running import Workspace, ended, started, until

VIDEO = "generations/v6.deepfake.1.1.mp4"


def json_escaped(text: str) -> str:
    """Return text as a JSON string may spell it, each character by its number."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


SPELLINGS = {
    "plain": KEY,
    "URL-encoded": quote(KEY, safe=""),
    "URL-encoded in lower case": quote(KEY, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "URL-encoded but for slashes": quote(KEY),
    "URL-encoded form": quote_plus(KEY),
    "all URL-encoded": "".join(f"%{ord(character):02X}" for character in KEY),
    "JSON with escaped slashes": KEY.replace("/", "\\/"),
    "JSON with escapes": json_escaped(KEY),
    "upper case": KEY.upper(),
    "lower case": KEY.lower(),
}
"""How the key may be spelt by who has it."""
ENCODED = {
    "base64": base64.b64encode(KEY.encode()).decode().rstrip("="),
    "base64 for URLs": base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
    "base64 of a password": base64.b64encode(f"user:{KEY}".encode()).decode().rstrip("="),
    "base64 of a user": base64.b64encode(f"{KEY}:".encode()).decode().rstrip("="),
    "hexadecimal": KEY.encode().hex(),
}
"""How it may come out of a library that encodes it on its way."""


def spellings_in(data: bytes | str) -> list[str]:
    """Return the spellings of the key that stand somewhere."""
    data = data.encode() if isinstance(data, str) else data
    found = {**SPELLINGS, **ENCODED}
    return [name for name, spelling in found.items() if spelling.encode() in data]


@dataclass
class Watched:
    """What can be seen of a run from outside while it goes on."""

    pid: int
    command_lines: set[bytes] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)

    def look(self) -> None:
        """Look at the process, and for children of it."""
        self._read(Path(f"/proc/{self.pid}/cmdline"), self.command_lines)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = stat.read_text().rpartition(")")[2].split()[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == str(self.pid):
                self.children.add(stat.parent.name)
                self._read(stat.with_name("environ"), self.environments)
                self._read(stat.with_name("cmdline"), self.command_lines)

    def _read(self, path: Path, into: set[bytes]) -> None:
        try:
            into.add(path.read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            return


@dataclass(frozen=True, slots=True)
class Traces:
    """All that a run has left anywhere, by where that is."""

    places: dict[str, bytes]

    def assert_keyless(self) -> None:
        """The key stands nowhere, in no spelling."""
        leaks = {
            place: found for place, data in self.places.items() if (found := spellings_in(data))
        }
        assert not leaks


def sent(seen: Seen) -> bytes:
    """Return a request as it went over the wire, or nearly."""
    headers = "".join(f"{name}: {value}\n" for name, value in seen.headers.items())
    return f"{seen.method} {seen.path}\n{headers}\n".encode() + seen.body


async def traces(workspace: Workspace, *args: str) -> Traces:
    """Back up as loudly as can be, watched; return all traces of it."""
    pipe = asyncio.subprocess.PIPE
    command = workspace.command("-vv", "--json", *args)
    async with started(*command, env=workspace.env(), stdout=pipe, stderr=pipe) as run:
        watched, told = Watched(run.pid), asyncio.ensure_future(run.communicate())
        async with asyncio.timeout(30):
            while not told.done():
                watched.look()
                await asyncio.sleep(0.01)
        out, err = await told
    assert run.returncode in (0, 3, 69, 77), err.decode()
    assert b"Traceback" not in err
    assert json.loads(out)["exit_status"] == run.returncode
    assert watched.children == set()
    places = {"stdout": out, "stderr": err}
    places |= {f"argv {n}": line for n, line in enumerate(watched.command_lines)}
    places |= {f"environ {n}": line for n, line in enumerate(watched.environments)}
    return Traces(places | left_by(workspace))


def left_by(workspace: Workspace) -> dict[str, bytes]:
    """Return the archive's files, their names too, and the requests that link hosts have seen."""
    files = [path for path in workspace.home.rglob("*") if path.is_file()]
    requests = [seen for seen in workspace.emulator.requests if seen.host != "api"]
    return {
        "names": "\n".join(map(str, workspace.home.rglob("*"))).encode(),
        **{str(path.relative_to(workspace.home)): path.read_bytes() for path in files},
        **{f"{seen.host} request {n}": sent(seen) for n, seen in enumerate(requests)},
    }


@pytest.fixture
def workspace(tmp_path: Path, emulator: Emulator) -> Workspace:
    return Workspace(tmp_path, emulator)


def script(workspace: Workspace, scripts: dict[str, Script]) -> str:
    """Tell the emulator how these generations behave; return a manifest of them."""
    workspace.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    return workspace.manifest(*scripts)


def linked(**link: object) -> Script:
    """Return the script of a video with such a primary link."""
    return Script(outputs=(OutputScript(primary=LinkScript(**link)),))  # type: ignore[arg-type]


def success(workspace: Workspace, **more: object) -> RawResponse:
    """Return a response with the link to the first video, and more."""
    links = [workspace.emulator.link(generation("1"))]
    return RawResponse({"status": "success", "id": 2, "output": links, "proxy_links": None, **more})


def test_each_spelling_is_found() -> None:
    """What looks for the key finds it in all its spellings, and nothing where there is none."""
    for name, spelling in {**SPELLINGS, **ENCODED}.items():
        assert name in spellings_in(f"...{spelling}...")
    assert spellings_in("nothing of the kind") == []


# --- Before anything is echoed


@pytest.mark.parametrize("source", ["variable", "file"])
async def test_the_key_is_not_where_others_can_read_it(workspace: Workspace, source: str) -> None:
    """It is in no command line, and there are no children that would inherit it."""
    args: tuple[str, ...] = ()
    if source == "file":
        file = workspace.home.parent / f"{workspace.home.name}-key"
        file.write_text(KEY)
        args, workspace.key = ("--api-key-file", str(file)), None
    names = script(workspace, {"1": linked(seconds=0.5), "2": Script(response="failed")})
    found = await traces(workspace, *args, names)
    found.assert_keyless()
    assert any(place.startswith("argv") for place in found.places)
    assert any(place.startswith("primary") for place in found.places)
    assert workspace.held() == ["v6/deepfake/1.mp4"]


async def test_a_file_of_the_environment_is_all_a_run_is_told(workspace: Workspace) -> None:
    """A run that is given its key in a file has it in no environment either."""
    file = workspace.home.parent / f"{workspace.home.name}-key"
    file.write_text(KEY)
    workspace.key = None
    names = script(workspace, {"1": linked(fault="stall")})
    command = workspace.command("--api-key-file", str(file), names)
    async with started(*command, env=workspace.env()) as run:
        await until(workspace.emulator.downloads)
        process = Path(f"/proc/{run.pid}")
        told = [(process / name).read_bytes() for name in ("environ", "cmdline")]
        assert [spellings_in(data) for data in told] == [[], []]


# --- Echoed by the API


async def test_the_api_echoes_the_key_in_everything(workspace: Workspace) -> None:
    """Whatever kind of response the key comes back in, none of it stays and none goes on."""
    kinds = [
        "ready", "failed", "unknown", "malformed", "malformed-lists", "error", "html", "html-200",
        "processing", "queued", "created", "proxied", "odd", "no-output", "wrong-id", "redirect",
        "not-json", "refused-old", "throttled-words",
    ]  # fmt: skip
    workspace.emulator.api = ApiScript(echo_key=True, retry_after=0)
    names = script(workspace, {
        str(n): Script(response=kind, proxies="absent") for n, kind in enumerate(kinds, 1)
    })  # fmt: skip
    (await traces(workspace, "--max-time", "5s", names)).assert_keyless()


@pytest.mark.parametrize("always", ["refused", "refused-old", "no-credit", "plan", "html"])
async def test_a_refusal_echoes_the_key(workspace: Workspace, always: str) -> None:
    """The words in which a key is refused may be those that hold it."""
    workspace.emulator.api = ApiScript(echo_key=True, always=always)  # type: ignore[arg-type]
    (await traces(workspace, script(workspace, {"1": Script()}))).assert_keyless()


@pytest.mark.parametrize("name", SPELLINGS)
async def test_an_answer_echoes_the_key(workspace: Workspace, name: str) -> None:
    """In messages and fields, in names and nested values, in headers: it is in no sidecar."""
    said = SPELLINGS[name]
    meta = {"prompt": f"a {said} b", said: [1, {"deep": f"{said}"}], "x": json.dumps({"k": said})}
    odd = {"X-Key": said, "Retry-After": said}
    names = script(workspace, {
        "1": Script(),
        "2": Script(),
        "3": Script(response=RawResponse({"status": "failed", "message": f"no: {said}"}, 200, odd)),
        "4": Script(response=RawResponse({"status": "error", "message": {"key": [said]}})),
        "5": Script(response=RawResponse({"status": said, "message": said})),
        "6": Script(response=RawResponse(f"<html>{said}</html>".encode(), 500, odd)),
    })  # fmt: skip
    workspace.emulator.scripts[generation("2")] = Script(response=success(workspace, meta=meta))
    (await traces(workspace, names)).assert_keyless()
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


async def test_an_answer_in_raw_escapes_echoes_the_key(workspace: Workspace) -> None:
    """JSON may spell each character by its number; what is meant is the key all the same."""
    script(workspace, {"1": Script()})
    link = workspace.emulator.link(generation("1"))
    said = [json_escaped(KEY), KEY.replace("/", "\\/")]
    fields = ", ".join(f'"x{n}": "{each}", "{each}": {n}' for n, each in enumerate(said))
    body = f'{{"status": "success", "id": 2, "output": ["{link}"], {fields}}}'
    names = script(workspace, {"1": Script(), "2": Script(response=RawResponse(body.encode()))})
    (await traces(workspace, names)).assert_keyless()
    assert len(workspace.held()) == 2


# --- In links


LINKS = {
    "query": "http://{{primary}}/{video}?k={key}",
    "path": "http://{{primary}}/{key}/{video}",
    "user": "http://{key}@{{primary}}/{video}",
    "password": "http://user:{key}@{{primary}}/{video}",
    "fragment": "http://{{primary}}/{video}#{key}",
    "file name": "http://{{primary}}/generations/{key}.mp4",
    "scheme": "{key}://{{primary}}/{video}",
}


@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_link_that_holds_the_key_is_not_followed(workspace: Workspace, name: str) -> None:
    """Wherever in a link the key stands, it is not asked for, and not shown."""
    key = SPELLINGS[name]
    urls = [template.format(key=key, video=VIDEO) for template in LINKS.values()]
    scripts = {str(n): linked(url=url) for n, url in enumerate(urls, 11)}
    (await traces(workspace, script(workspace, {"1": Script()} | scripts))).assert_keyless()
    assert workspace.held() == ["v6/deepfake/1.mp4"]


@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_redirect_that_holds_the_key_is_not_followed(
    workspace: Workspace, name: str
) -> None:
    """A host that knows the key does not get it passed on by us to another one."""
    key = SPELLINGS[name]
    onward = [f"http://{{proxy}}/{VIDEO}?k={key}", f"http://user:{key}@{{proxy}}/{VIDEO}"]
    scripts = {str(n): linked(redirect_to=url) for n, url in enumerate(onward, 11)}
    found = await traces(workspace, script(workspace, {"1": Script()} | scripts))
    found.assert_keyless()
    assert not workspace.emulator.downloads(host="proxy")


async def test_an_api_that_redirects_is_not_followed(workspace: Workspace) -> None:
    """The key is not sent again where a response of the API points."""
    names = script(workspace, {"1": Script(response="redirect")})
    (await traces(workspace, names)).assert_keyless()
    assert {seen.host for seen in workspace.emulator.requests} == {"api"}


# --- On the way down


async def test_a_bug_does_not_show_the_key(workspace: Workspace) -> None:
    """Even a traceback has only what stands in the source and in the messages of errors."""
    names = script(workspace, {"1": Script()})
    broken = "from archiver.cli.main import main\nfrom archiver.modelslab.client import Client\n\n"
    broken += "def fetch(*a):\n    key = a[0]._settings.key\n"
    broken += "    raise RuntimeError(f'{key} {key!r} {a[0]._settings!r}')\n\n"
    broken += "Client.fetch = fetch\nmain()\n"
    (workspace.home / "broken.py").write_text(broken)
    command = (
        sys.executable,
        str(workspace.home / "broken.py"),
        *workspace.command("-vv", names)[1:],
    )
    told = await ended(*command, env=workspace.env(PATH=os.environ["PATH"]))
    assert told.status == 1
    assert "RuntimeError" in told.err
    assert spellings_in(told.err + told.out) == []
    Traces(left_by(workspace)).assert_keyless()


async def test_an_old_kind_of_redirect_that_holds_the_key_is_not_followed(
    workspace: Workspace,
) -> None:
    """Aiohttp follows the header `URI` as well."""
    spelt = KEY.replace("/", "%2F").replace("+", "%2B")
    missing = b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"
    async with RawServer({"*": (missing,)}) as third:
        onward = f"http://{third.host}/v.mp4?key={spelt}"
        head = f"HTTP/1.1 302 Found\r\nURI: {onward}\r\nContent-Length: 0\r\n\r\n".encode()
        async with RawServer({"*": (head,)}) as first:
            link = LinkScript(url=f"http://{first.host}/v.mp4")
            workspace.emulator.scripts[generation("1")] = Script(
                outputs=(OutputScript(primary=link),)
            )
            assert (await workspace.backup(workspace.manifest("1"))).status == 3
        assert not third.heads
