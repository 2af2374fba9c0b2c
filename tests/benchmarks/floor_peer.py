"""The barest loop: `python floor_peer.py IDS API DIRECTORY CONNECTIONS`.

One POST, the JSON read, one GET, the body hashed and written: no proof, no fsync, no rename, no
catalogue, no report. What a run takes beyond this is the price of safety.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

_BLOCK = 1 << 20


async def fetch_all(ids: Iterator[str], api: str, directory: Path, connections: int) -> None:
    """Fetch every ID, this many at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(_work(session, ids, api, directory) for _ in range(connections)))


async def _work(session: aiohttp.ClientSession, ids: Iterator[str], api: str, to: Path) -> None:
    for id_ in ids:
        async with session.post(f"{api}/v6/deepfake/fetch/{id_}", json={"key": "k"}) as response:
            document = json.loads(await response.read())
        digest, blocks, size = hashlib.sha256(), list[bytes](), 0
        async with session.get(document["output"][0]) as response:
            with (to / f"{id_}.mp4").open("wb", buffering=0) as file:

                def take(block: bytes, digest=digest, file=file) -> None:  # type: ignore[no-untyped-def]
                    digest.update(block)
                    file.write(block)

                async for chunk in response.content.iter_any():
                    blocks.append(chunk)
                    size += len(chunk)
                    if size >= _BLOCK:
                        await asyncio.to_thread(take, b"".join(blocks))
                        blocks, size = [], 0
                take(b"".join(blocks))


if __name__ == "__main__":
    lines, url, out, count = sys.argv[1:]
    listed = iter(Path(lines).read_text().split())
    asyncio.run(fetch_all(listed, url, Path(out), int(count)))
