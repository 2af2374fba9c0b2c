"""A site far away: `python wan_server.py VIDEOS API_DELAY FIRST_BYTE RATE [faults]`.

The API responds after API_DELAY seconds. A link sends its first byte after FIRST_BYTE seconds, then
RATE bytes a second, on each connection. It prints the port that it serves on; the proxy links lead
to another. With `faults`, one primary link in ten falls silent when it is first requested, half of
them before the head and half in mid-body, and one in ten answers 503 then.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

_PIECE = 0.01
"""A body is sent in pieces of this many seconds."""
_SILENT, _UNAVAILABLE = 3, 7
"""The last digits of the IDs whose links fail once."""
_FOREVER = 3600.0


@dataclass(slots=True)
class Site:
    """The API, and its links to the files in a directory."""

    videos: Path
    api_delay: float
    first_byte: float
    rate: float
    faults: bool
    ports: list[int] = field(default_factory=list)
    responses: int = 0
    requested: set[str] = field(default_factory=set)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond as the API or as a link host."""
        id_ = request.path.rpartition("/")[2].removesuffix(".mp4")
        if request.method == "POST":
            await request.read()
            await asyncio.sleep(self.api_delay)
            return web.json_response(self._links(id_))
        await asyncio.sleep(self.first_byte)
        return await self._serve(request, self._fault(request, int(id_)))

    def _links(self, id_: str) -> dict[str, object]:
        """Return a response with links that are signed anew: each run finds the same faults."""
        self.responses += 1
        names = (f"{port}/videos/{id_}.mp4?signature={self.responses}" for port in self.ports)
        primary, proxy = (f"http://127.0.0.1:{name}" for name in names)
        return {"status": "success", "id": id_, "output": [primary], "proxy_links": [proxy]}

    def _fault(self, request: web.BaseRequest, id_: int) -> str:
        """Return what is wrong with a request: "head", "body", "503", or "" if nothing is."""
        signature, primary = request.query["signature"], request.url.port == self.ports[0]
        if not (self.faults and primary) or signature in self.requested:
            return ""
        self.requested.add(signature)
        match id_ % 10:
            case digit if digit == _SILENT:
                return "head" if id_ // 10 % 2 else "body"
            case digit if digit == _UNAVAILABLE:
                return "503"
            case _:
                return ""

    async def _serve(self, request: web.BaseRequest, fault: str) -> web.StreamResponse:
        if fault == "503":
            return web.Response(status=503)
        if fault == "head":
            await asyncio.sleep(_FOREVER)
        content = (self.videos / Path(request.path).name).read_bytes()
        begin, size = request.http_range.start or 0, len(content)
        headers = {"ETag": f'"{size}"', "Content-Length": str(size - begin)}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
        response = web.StreamResponse(status=206 if begin else 200, headers=headers)
        await response.prepare(request)
        await self._send(response, memoryview(content)[begin : size // 2 if fault else size])
        if fault:
            await asyncio.sleep(_FOREVER)
        return response

    async def _send(self, response: web.StreamResponse, body: memoryview) -> None:
        """Send each piece when its last byte would have come over such a line."""
        clock = asyncio.get_running_loop().time
        began, length = clock(), int(self.rate * _PIECE)
        for at in range(0, len(body), length):
            piece = body[at : at + length]
            await asyncio.sleep(began + (at + len(piece)) / self.rate - clock())
            await response.write(piece)


async def serve(site: Site) -> None:
    """Serve until cancelled."""
    async with AsyncExitStack() as stack:
        server = web.Server(site.handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        for _ in range(2):
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        site.ports.extend(port for _, port in runner.addresses)
        print(site.ports[0], flush=True)
        await asyncio.sleep(_FOREVER)


if __name__ == "__main__":
    directory, api_delay, first_byte, rate, *faults = sys.argv[1:]
    far = Site(Path(directory), float(api_delay), float(first_byte), float(rate), bool(faults))
    asyncio.run(serve(far))
