"""The API key goes to the API and nowhere else, however the servers echo it."""

import asyncio
import base64
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from archiver.emulator.scripts import (
    ApiScript,
    LinkScript,
    ListingScript,
    OutputScript,
    RawResponse,
    Response,
    Script,
)
from archiver.emulator.server import Seen
from tests.support.backups import KEY, generation
from tests.support.marks import slow, slow_except
from tests.support.raw_server import RawServer
from tests.support.running import Workspace, ended, started, until

VIDEO = "generations/v6.deepfake.1.1.mp4"


def json_escaped(text: str) -> str:
    """Return text as a JSON string may spell it, each character as an escape."""
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
"""How a server may spell the key."""
ENCODED = {
    "base64": base64.b64encode(KEY.encode()).decode().rstrip("="),
    "base64 for URLs": base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
    "base64 of a password": base64.b64encode(f"user:{KEY}".encode()).decode().rstrip("="),
    "base64 of a user": base64.b64encode(f"{KEY}:".encode()).decode().rstrip("="),
    "hexadecimal": KEY.encode().hex(),
}
"""How a library may encode the key."""


def spellings_in(data: bytes | str) -> list[str]:
    """Return the spellings of the key that are in some data."""
    data = data.encode() if isinstance(data, str) else data
    found = {**SPELLINGS, **ENCODED}
    return [name for name, spelling in found.items() if spelling.encode() in data]


@dataclass
class Watched:
    """What can be seen from outside of a running process."""

    pid: int
    command_lines: set[bytes] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)

    def look(self) -> None:
        """Look at the process, and for its children."""
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
    """Everything that a run left anywhere, by place."""

    places: dict[str, bytes]

    def assert_keyless(self) -> None:
        """The key is nowhere, in no spelling."""
        leaks = {
            place: found for place, data in self.places.items() if (found := spellings_in(data))
        }
        assert not leaks


def sent(seen: Seen) -> bytes:
    """Return a request, nearly as it went over the wire."""
    headers = "".join(f"{name}: {value}\n" for name, value in seen.headers.items())
    return f"{seen.method} {seen.path}\n{headers}\n".encode() + seen.body


async def traces(workspace: Workspace, *args: str) -> Traces:
    """Back up with all output, and watch the process; return all traces."""
    pipe = asyncio.subprocess.PIPE
    command = workspace.command("-vv", "--json", *args)
    async with started(*command, env=workspace.env(), stdout=pipe, stderr=pipe) as run:
        watched, output = Watched(run.pid), asyncio.ensure_future(run.communicate())
        async with asyncio.timeout(30):
            while not output.done():
                watched.look()
                await asyncio.sleep(0.01)
        out, err = await output
    assert run.returncode in (0, 3, 69, 77), err.decode()
    assert b"Traceback" not in err
    assert json.loads(out)["exit_status"] == run.returncode
    assert watched.children == set()
    places = {"stdout": out, "stderr": err}
    places |= {f"argv {n}": line for n, line in enumerate(watched.command_lines)}
    places |= {f"environ {n}": line for n, line in enumerate(watched.environments)}
    return Traces(places | left_by(workspace))


def left_by(workspace: Workspace) -> dict[str, bytes]:
    """Return all files and their names, and the requests to link hosts."""
    files = [path for path in workspace.home.rglob("*") if path.is_file()]
    requests = [seen for seen in workspace.emulator.requests if seen.host != "api"]
    return {
        "names": "\n".join(map(str, workspace.home.rglob("*"))).encode(),
        **{str(path.relative_to(workspace.home)): path.read_bytes() for path in files},
        **{f"{seen.host} request {n}": sent(seen) for n, seen in enumerate(requests)},
    }


def script(workspace: Workspace, scripts: dict[str, Script]) -> str:
    """Give the emulator these scripts; return a manifest of their generations."""
    workspace.emulator.scripts |= {generation(name): script for name, script in scripts.items()}
    return workspace.manifest(*scripts)


def linked(**link: object) -> Script:
    """Return the script of a video with this primary link."""
    return Script(outputs=(OutputScript(primary=LinkScript(**link)),))  # type: ignore[arg-type]


def success(workspace: Workspace, **more: object) -> RawResponse:
    """Return a response with the link to the first video, and with more fields."""
    links = [workspace.emulator.link(generation("1"))]
    return RawResponse({"status": "success", "id": 2, "output": links, "proxy_links": None, **more})


def test_each_spelling_is_found() -> None:
    """The search for the key finds all its spellings, and nothing where there is none."""
    for name, spelling in {**SPELLINGS, **ENCODED}.items():
        assert name in spellings_in(f"...{spelling}...")
    assert spellings_in("nothing of the kind") == []


# --- Where nothing is echoed


@slow
@pytest.mark.parametrize("source", ["variable", "file"])
async def test_the_key_is_not_where_others_can_read_it(workspace: Workspace, source: str) -> None:
    """It is on no command line, and no child process inherits it."""
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


async def test_a_key_from_a_file_is_in_no_environment(workspace: Workspace) -> None:
    """A run that reads its key from a file has it neither in its environment nor in argv."""
    file = workspace.home.parent / f"{workspace.home.name}-key"
    file.write_text(KEY)
    workspace.key = None
    names = script(workspace, {"1": linked(fault="stall")})
    command = workspace.command("--api-key-file", str(file), names)
    async with started(*command, env=workspace.env()) as run:
        await until(workspace.emulator.downloads)
        process = Path(f"/proc/{run.pid}")
        seen = [(process / name).read_bytes() for name in ("environ", "cmdline")]
        assert [spellings_in(data) for data in seen] == [[], []]


# --- Echoed by the API


@slow
async def test_no_response_leaks_an_echoed_key(workspace: Workspace) -> None:
    """Whatever response echoes the key, it is neither kept nor passed on."""
    kinds: list[Response] = [
        "ready", "failed", "unknown", "malformed", "malformed-lists", "error", "html", "html-200",
        "processing", "queued", "created", "proxied", "odd", "no-output", "wrong-id", "redirect",
        "not-json", "refused-old", "throttled-words",
    ]  # fmt: skip
    workspace.emulator.api = ApiScript(echo_key=True, retry_after=0)
    names = script(workspace, {
        str(n): Script(response=kind, proxies="absent") for n, kind in enumerate(kinds, 1)
    })  # fmt: skip
    (await traces(workspace, "--max-time", "5s", names)).assert_keyless()


@slow
@pytest.mark.parametrize("always", ["refused", "refused-old", "no-credit", "plan", "html"])
async def test_no_rejection_leaks_an_echoed_key(workspace: Workspace, always: Response) -> None:
    """The message that rejects a key may contain it."""
    workspace.emulator.api = ApiScript(echo_key=True, always=always)
    (await traces(workspace, script(workspace, {"1": Script()}))).assert_keyless()


@slow
@pytest.mark.parametrize("name", SPELLINGS)
async def test_no_field_of_a_response_leaks_an_echoed_key(workspace: Workspace, name: str) -> None:
    """A key in messages, names, nested values or headers gets into no sidecar."""
    key = SPELLINGS[name]
    meta = {"prompt": f"a {key} b", key: [1, {"deep": f"{key}"}], "x": json.dumps({"k": key})}
    odd = {"X-Key": key, "Retry-After": key}
    names = script(workspace, {
        "1": Script(),
        "2": Script(),
        "3": Script(response=RawResponse({"status": "failed", "message": f"no: {key}"}, 200, odd)),
        "4": Script(response=RawResponse({"status": "error", "message": {"key": [key]}})),
        "5": Script(response=RawResponse({"status": key, "message": key})),
        "6": Script(response=RawResponse(f"<html>{key}</html>".encode(), 500, odd)),
    })  # fmt: skip
    workspace.emulator.scripts[generation("2")] = Script(response=success(workspace, meta=meta))
    (await traces(workspace, names)).assert_keyless()
    assert workspace.held() == ["v6/deepfake/1.mp4", "v6/deepfake/2.mp4"]


@slow
@pytest.mark.parametrize("name", SPELLINGS)
async def test_nothing_that_a_list_says_leaks_a_key(workspace: Workspace, name: str) -> None:
    """A key anywhere in a list gets into no sidecar and not into the catalogue."""
    key = SPELLINGS[name]
    said = {
        "prompt": f"a {key} b",
        key: [1, {"deep": key}],
        "x": json.dumps({"k": key}),
        "key": key,
    }
    items = [said | {"id": 1}, {"id": 1, "meta": said}, {"id": 1, "hook": f"https://h/?a={key}"}]
    script(workspace, {"1": Script()})
    manifest = workspace.manifest(*map(json.dumps, items), name="said.jsonl")
    found = await traces(workspace, manifest)
    del found.places["said.jsonl"]  # that is the person's own
    found.assert_keyless()
    assert (workspace.archive / generation("1").entry_path()).exists()


@slow
async def test_no_json_escape_leaks_an_echoed_key(workspace: Workspace) -> None:
    """JSON may spell the key with escapes."""
    script(workspace, {"1": Script()})
    link = workspace.emulator.link(generation("1"))
    spelt = [json_escaped(KEY), KEY.replace("/", "\\/")]
    fields = ", ".join(f'"x{n}": "{each}", "{each}": {n}' for n, each in enumerate(spelt))
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


@pytest.mark.parametrize("name", slow_except(SPELLINGS, "URL-encoded"))
async def test_a_link_with_the_key_is_not_followed(workspace: Workspace, name: str) -> None:
    """Wherever in a link the key is, the link is neither requested nor shown."""
    key = SPELLINGS[name]
    urls = [template.format(key=key, video=VIDEO) for template in LINKS.values()]
    scripts = {str(n): linked(url=url) for n, url in enumerate(urls, 11)}
    (await traces(workspace, script(workspace, {"1": Script()} | scripts))).assert_keyless()
    assert workspace.held() == ["v6/deepfake/1.mp4"]


@slow
@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_redirect_with_the_key_is_not_followed(workspace: Workspace, name: str) -> None:
    """A host that has the key cannot make us pass it on to another one."""
    key = SPELLINGS[name]
    onward = [f"http://{{proxy}}/{VIDEO}?k={key}", f"http://user:{key}@{{proxy}}/{VIDEO}"]
    scripts = {str(n): linked(redirect_to=url) for n, url in enumerate(onward, 11)}
    found = await traces(workspace, script(workspace, {"1": Script()} | scripts))
    found.assert_keyless()
    assert not workspace.emulator.downloads(host="proxy")


@slow
async def test_a_redirect_of_the_api_is_not_followed(workspace: Workspace) -> None:
    """The key is not sent to the target of a redirect."""
    names = script(workspace, {"1": Script(response="redirect")})
    (await traces(workspace, names)).assert_keyless()
    assert {seen.host for seen in workspace.emulator.requests} == {"api"}


# --- Bugs


async def test_a_bug_does_not_show_the_key(workspace: Workspace) -> None:
    """A traceback shows only source code and the messages of errors."""
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
    result = await ended(*command, env=workspace.env(PATH=os.environ["PATH"]))
    assert result.status == 1
    assert "RuntimeError" in result.err
    assert spellings_in(result.err + result.out) == []
    Traces(left_by(workspace)).assert_keyless()


@slow
async def test_an_old_kind_of_redirect_with_the_key_is_not_followed(
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


# --- In the list of one's own generations


@pytest.mark.parametrize("name", slow_except(SPELLINGS, "URL-encoded"))
async def test_no_page_leaks_an_echoed_key(workspace: Workspace, name: str) -> None:
    """A key in an item, its links or the page gets into no sidecar, and to no host."""
    key = SPELLINGS[name]
    script(workspace, {"1": Script(response="unknown"), "2": Script()})
    first, second = (workspace.emulator.link(generation(id_)) for id_ in ("1", "2"))
    items: list[dict[str, object]] = [
        {"id": 1, "output": [first], "meta": {"prompt": f"a {key}", key: [key, {"deep": key}]}},
        {"id": 2, "output": [second, f"{first}?k={key}"], "key": key},
        {"id": key, "output": [first]},
    ]
    host = first.split("/")[2]
    urls = (url.format(key=key, video=VIDEO).format(primary=host) for url in LINKS.values())
    items += [{"id": number, "output": [url]} for number, url in enumerate(urls, 11)]
    page = RawResponse({"status": "success", "data": items, "message": key}, 200, {"X-Key": key})
    workspace.emulator.api = ApiScript(listing=ListingScript(pages=dict.fromkeys((1, 2), page)))
    (await traces(workspace, "--discover")).assert_keyless()
    assert "v6/assets_generated/1.mp4" in workspace.held()


@pytest.mark.parametrize("refusal", ["plan", "malformed", "error", "html"])
async def test_no_refusal_to_list_leaks_an_echoed_key(
    workspace: Workspace, refusal: Response
) -> None:
    """Neither a backup nor the command that lists shows a key that a refusal repeats."""
    workspace.emulator.api = ApiScript(echo_key=True, listing=ListingScript(refusal=refusal))
    (await traces(workspace, "--discover")).assert_keyless()
    url = ("--api-url", workspace.emulator.api_url, "--retries", "0")
    done = await workspace.run("discover", "-vv", *url)
    assert done.status in (3, 77)
    assert spellings_in(done.out + done.err) == []


async def test_a_list_of_ones_own_has_no_key(workspace: Workspace) -> None:
    """What `archiver discover` prints and writes is free of a key that the API repeats."""
    script(workspace, {"1": Script(), "video/2": Script(response="unknown")})
    workspace.emulator.api = ApiScript(echo_key=True)
    url = ("--api-url", workspace.emulator.api_url)
    file = workspace.home / "own.txt"
    done = await workspace.run("discover", "-vv", *url)
    await workspace.run("discover", "-vv", *url, "-o", str(file))
    assert file.read_text() == done.out
    assert "v6/deepfake/1" in done.out
    assert spellings_in(done.out + done.err) == []
