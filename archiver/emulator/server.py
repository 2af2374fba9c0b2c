"""The emulator's server: ModelsLab's API and its link hosts, on this machine."""

import asyncio
import json
import re
import socket
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Self
from zlib import crc32

from aiohttp import web

from archiver.emulator import listing
from archiver.emulator.clip import Payload, grown_clip
from archiver.emulator.replies import Reply, canned, file_reply, page, with_fault, write
from archiver.emulator.scripts import (
    LATER,
    PAGE,
    RESPONSES,
    TIP,
    ApiScript,
    Host,
    LinkHost,
    LinkScript,
    OutputScript,
    RawResponse,
    Response,
    Script,
    encoded,
    id_spelled,
    proxy_field,
    shaped,
    throttled,
)
from archiver.generation import Generation


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; `at` is the loop's time, `client` where it came from."""

    host: Host
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    generation: Generation | None
    number: int | None
    client: str | None

    def json(self) -> object:
        """Return the body read as JSON."""
        return json.loads(self.body)


class Emulator:
    """ModelsLab's API and its two link hosts, each on a port of its own on one `address`."""

    def __init__(
        self,
        scripts: Mapping[Generation, Script],
        key: str = "demo-key",
        api: ApiScript | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.scripts = dict(scripts)
        self.key = key
        self.api = api or ApiScript()
        self.address = address
        self.requests: list[Seen] = []
        self.busiest: Counter[Host] = Counter()
        """How many requests each host served at once, at most."""
        self._under_way: Counter[Host] = Counter()
        self._requested: Counter[Generation] = Counter()
        self._served: Counter[tuple[Generation, int, Host]] = Counter()
        self._api_requests = 0
        self._pages = 0
        self._accepted: deque[float] = deque()
        self._hosts: dict[str, str] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for host in ("api", "primary", "proxy"):
                self._hosts[host] = await self._serve(host, stack)
            self._hosts["refuse"] = _port_without_listener(self.address, stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _serve(self, host: Host, stack: AsyncExitStack) -> str:
        server = web.Server(partial(self._handle, host), handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(_hang_up_all, server)
        await web.TCPSite(runner, self.address, 0, backlog=1024).start()
        address, port = runner.addresses[0]
        return f"{address}:{port}"

    @property
    def api_url(self) -> str:
        """The value for `--api-url`."""
        return f"http://{self._hosts['api']}/api"

    def link(
        self, generation: Generation, number: int = 1, host: LinkHost = "primary", request: int = 0
    ) -> str:
        """Return the link to an output, signed for a request unless that is 0."""
        output = self.scripts[generation].outputs[number - 1]
        script = _link_script(output, host)
        if script.url is not None:
            return self._with_hosts(script.url)
        name = f"{generation.name.replace('/', '.')}.{number}.{output.suffix}"
        signature = f"{crc32(f'{name}{request}'.encode()):08x}"
        signed = f"?X-Request={request}&X-Signature={signature}" if request else ""
        address = self._hosts["refuse" if script.fault == "refuse" else host]
        return f"http://{address}/generations/{name}{signed}"

    def _with_hosts(self, url: str) -> str:
        for host, address in self._hosts.items():
            url = url.replace(f"{{{host}}}", address)
        return url

    def payload(self, generation: Generation, number: int = 1) -> Payload:
        """Return the payload that a client should have in the end."""
        output = self.scripts[generation].outputs[number - 1]
        return _version(generation, number, output, output.versions)

    def sha256(self, generation: Generation, number: int = 1) -> str:
        """Return the checksum of the payload that a client should have in the end."""
        return self.payload(generation, number).sha256()

    def asked(self, generation: Generation | None = None) -> int:
        """Count the requests to the API, for one generation or in all."""
        return len(self._logged(generation, ("api",)))

    def pages(self) -> list[int]:
        """Return the numbers of the pages that were asked for, in order."""
        bodies = [seen.json() for seen in self.requests if _LISTING.fullmatch(seen.path)]
        return [body.get("page", 1) for body in bodies if isinstance(body, dict)]

    def downloads(self, generation: Generation | None = None, host: LinkHost | None = None) -> int:
        """Count the requests for files; a redirect and its target count once."""
        seen = self._logged(generation, (host,) if host else ("primary", "proxy"))
        return sum("hop=" not in one.path for one in seen)

    def _logged(self, generation: Generation | None, hosts: tuple[Host, ...]) -> list[Seen]:
        return [
            seen
            for seen in self.requests
            if seen.host in hosts and generation in (None, seen.generation)
        ]

    def forget(self) -> None:
        """Empty the log, and start every script from its beginning."""
        for record in (self.requests, self._requested, self._served, self._accepted, self.busiest):
            record.clear()
        self._api_requests = self._pages = 0

    async def _handle(self, host: Host, request: web.BaseRequest) -> web.StreamResponse:
        self._under_way[host] += 1
        self.busiest[host] = max(self.busiest[host], self._under_way[host])
        try:
            seen = await self._see(host, request)
            return await write(request, self._reply(seen))
        finally:
            self._under_way[host] -= 1

    async def _see(self, host: Host, request: web.BaseRequest) -> Seen:
        generation, number = _subject(host, request.path)
        seen = Seen(
            host=host,
            method=request.method,
            path=request.path_qs,
            headers=request.headers,
            body=await request.read(),
            at=asyncio.get_running_loop().time(),
            generation=generation,
            number=number,
            client=request.remote,
        )
        self.requests.append(seen)
        return seen

    def _reply(self, seen: Seen) -> Reply:
        if seen.host != "api":
            return self._link_reply(seen, seen.host)
        self._api_requests += 1
        return self._api_reply(seen.generation, self.api.always or self._response(seen))

    # The API.

    def _response(self, seen: Seen) -> Response | RawResponse:
        path = seen.path.removeprefix("/api/")
        lists = path in self.api.listing.paths
        if seen.method != "POST" or (seen.generation is None and not lists):
            status = 404 if seen.method == "POST" else 405
            return RawResponse(PAGE, status, {"Content-Type": "text/html", "Allow": "POST"})
        if self._throttles(seen.at):
            return self.api.throttled
        key = _key_in(seen)
        if key != self.key:
            return "malformed" if key is None else self.api.refusal
        if seen.generation is None:
            return self._page(seen)
        if seen.generation not in self.scripts:
            return self.api.unknown
        self._requested[seen.generation] += 1
        return self.scripts[seen.generation].response_to(self._requested[seen.generation])

    def _page(self, seen: Seen) -> Response | RawResponse:
        script, body = self.api.listing, seen.json()
        if script.refusal:
            return script.refusal
        if not isinstance(body, dict) or not (asked := listing.Asked.of(body)):
            return "malformed-lists"
        if instead := script.pages.get(asked.page):
            return instead
        found = listing.listed(self.scripts, script, asked.kind, self._pages)
        self._pages += 1
        items = [(one, self._listed_links(one)) for one in found]
        return self._echoed(RawResponse(listing.page(items, asked, script)))

    def _listed_links(self, generation: Generation) -> list[str]:
        """Return the links to a generation that is finished."""
        if not self._finished(generation) or self.scripts[generation].response == "failed":
            return []
        outputs = self.scripts[generation].outputs
        return [self.link(generation, number) for number in range(1, len(outputs) + 1)]

    def _throttles(self, now: float) -> bool:
        if self._api_requests <= self.api.throttle_first:
            return True
        while self._accepted and self._accepted[0] <= now - 1:
            self._accepted.popleft()
        if self.api.per_second is not None and len(self._accepted) >= self.api.per_second:
            return True
        self._accepted.append(now)
        return False

    def _api_reply(self, generation: Generation | None, response: Response | RawResponse) -> Reply:
        match response:
            case RawResponse():
                raw = response
            case "cut" | "reset" | "stall" | "hang-up" | "silent":
                return with_fault(page(200), response)
            case "redirect":
                onward = f"http://{self._hosts['primary']}/elsewhere"
                raw = RawResponse(PAGE, 307, {"Location": onward, "Content-Type": "text/html"})
            case _ if response.startswith("throttled"):
                raw = self._echoed(throttled(response, self.api.retry_after))
            case _ if response in RESPONSES:
                raw = self._echoed(RESPONSES[response])
            case _ if generation in self.scripts:
                raw = self._echoed(RawResponse(self._success(generation, response)))
            case _:
                raise LookupError(f"{response!r} needs a script for {generation}")
        headers = {"Content-Type": self.api.content_type, **raw.headers}
        return canned(encoded(raw.body), raw.status, headers)

    def _echoed(self, raw: RawResponse) -> RawResponse:
        match raw.body:
            case dict() as body if self.api.echo_key:
                message = f"{body.get('message', '')} (requested with {self.key})"
                return replace(raw, body=body | {"message": message, "request": {"key": self.key}})
            case bytes() as page if self.api.echo_key:
                return replace(raw, body=page.replace(b"</body>", self.key.encode() + b"</body>"))
            case _:
                return raw

    def _success(self, generation: Generation, response: str) -> dict[str, object]:
        """Return a response with links: success, or one that looks like it."""
        script = self.scripts[generation]
        request = self._requested[generation] if script.fresh_links else 0
        numbers = range(1, len(script.outputs) + 1)
        links = [self.link(generation, n, "primary", request) for n in numbers]
        proxies = [
            self.link(generation, n, "proxy", request)
            for n in numbers
            if script.outputs[n - 1].proxy
        ]
        id_ = id_spelled(generation.id, self.api.ids)
        success = {"status": "success", "id": id_, "output": shaped(links, script.output_shape)}
        success |= {"tip": TIP} | proxy_field(script.proxies, proxies, links)
        success |= {"meta": dict(script.meta)} if script.meta else {}
        match response:
            case "wrong-id":
                return success | {"id": 999_999_999}
            case "no-output":
                return success | {"output": "", "proxy_links": None}
            case "huge":
                return success | {"tip": "x" * 2**20}
            case "created":
                fetch = {"fetch_result": f"{self.api_url}/{generation.fetch_path}", "eta": 605}
                return LATER | fetch | {
                    "id": id_, "output": [], "meta": dict(script.meta), "future_links": links,
                }  # fmt: skip
            case "proxied":
                return LATER | {"proxy_links": proxies or links}
            case _:
                return success

    # The link hosts.

    def _link_reply(self, seen: Seen, host: LinkHost) -> Reply:
        script = self.scripts.get(seen.generation) if seen.generation else None
        number = seen.number or 0
        if not seen.generation or not script or not 1 <= number <= len(script.outputs):
            return page(404)
        if seen.method != "GET":
            return page(405, Allow="GET")
        link = _link_script(script.outputs[number - 1], host)
        if _query(seen.path, "X-Request", script.expired + 1) <= script.expired:
            link = replace(link, fault="forbidden", times=None)
        hop, hops = _query(seen.path, "hop", 0), link.redirects or int(link.redirect_to is not None)
        if hop < hops:
            last = (
                self._with_hosts(link.redirect_to) if link.redirect_to and hop == hops - 1 else None
            )
            return page(302, Location=last or _next_hop(seen.path, hop))
        return self._file(seen.generation, number, link, seen)

    def _file(self, generation: Generation, number: int, link: LinkScript, seen: Seen) -> Reply:
        self._served[generation, number, seen.host] += 1
        faulty = link.times is None or self._served[generation, number, seen.host] <= link.times
        output = self.scripts[generation].outputs[number - 1]
        served = sum(self._served[generation, number, host] for host in ("primary", "proxy"))
        version = min(served, output.versions)
        payload = _version(generation, number, output, version)
        if not self._finished(generation):
            payload = replace(payload, size=payload.size // 2)
        tag = f"{crc32(f'{generation} {number} {version} {payload.size}'.encode()):08x}"
        reply = file_reply(payload, tag, link, seen.headers)
        return with_fault(reply, link.fault) if faulty else reply

    def _finished(self, generation: Generation) -> bool:
        script = self.scripts[generation]
        waits = script.ready_after and not script.has_waited(self._requested[generation])
        return not waits and script.response not in _NOT_YET


_FETCH_PATH = re.compile(r"/api/(?P<endpoint>.+)/fetch/(?P<id>[^/]+)/?")
_FILE_PATH = re.compile(
    r"/generations/(?P<endpoint>.+)\.(?P<id>[^.]+)\.(?P<number>[0-9]+)\.[a-z0-9]+"
)
_LISTING = re.compile(r"/api/(?:v6/)?assets_generated")
_NOT_YET = ("processing", "created", "proxied", "queued", "nan", "odd")


def _key_in(seen: "Seen") -> str | None:
    """Return the key in a request's body, or None if the body has another form."""
    if not seen.headers.get("Content-Type", "").startswith("application/json"):
        return None
    try:
        body = json.loads(seen.body)
    except ValueError:
        return None
    return str(body.get("key", "")) if isinstance(body, dict) else None


def _subject(host: Host, path: str) -> tuple[Generation | None, int | None]:
    """Return the generation of a request, and the number of the output, for a link host."""
    pattern = _FETCH_PATH if host == "api" else _FILE_PATH
    match = pattern.fullmatch(path)
    if not match:
        return None, None
    try:
        generation = Generation.of(match["endpoint"].replace(".", "/"), match["id"])
    except ValueError:
        return None, None
    return generation, int(match["number"]) if host != "api" else None


def _query(path: str, name: str, default: int) -> int:
    match = re.search(rf"[?&]{name}=([0-9]+)", path)
    return int(match[1]) if match else default


def _next_hop(path: str, hop: int) -> str:
    plain = re.sub(r"[?&]hop=[0-9]+$", "", path)
    return f"{plain}{'&' if '?' in plain else '?'}hop={hop + 1}"


def _link_script(output: OutputScript, host: LinkHost) -> LinkScript:
    return output.primary if host == "primary" else output.proxy or output.primary


def _version(generation: Generation, number: int, output: OutputScript, version: int) -> Payload:
    if output.body is not None:
        return Payload.of(output.body)
    return grown_clip(output.size, f"{generation.name}/{number}/{version}")


def _port_without_listener(address: str, stack: AsyncExitStack) -> str:
    """Reserve a port on which every connection is refused."""
    reserved = stack.enter_context(socket.socket())
    reserved.bind((address, 0))
    return f"{address}:{reserved.getsockname()[1]}"


def _hang_up_all(server: web.Server) -> None:
    """Close every connection at once, which cancels the handlers that stall on it."""
    for connection in server.connections:
        if connection.transport is not None:
            connection.transport.abort()
