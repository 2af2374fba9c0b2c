"""Resolver: each name is looked up in a thread of its own, which nothing waits for."""

import asyncio
import socket
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

_Info: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """Looks names up as the system does.

    A lookup cannot be cancelled, and takes a minute where no name server responds. In the few
    threads of an event loop, a handful of such names would keep all others waiting, and the end of
    the program too.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            OSError: if it has none.
        """
        found: Future[list[_Info]] = Future()
        Thread(target=_look_up, args=(found, host, port, family), daemon=True).start()
        return [_result(host, info) for info in await asyncio.wrap_future(found)]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _look_up(
    found: Future[list[_Info]], host: str, port: int, family: socket.AddressFamily
) -> None:
    found.set_running_or_notify_cancel()
    try:
        infos = socket.getaddrinfo(
            host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except Exception as error:  # noqa: BLE001 (whoever awaits it has to deal with it)
        found.set_exception(error)
    else:
        found.set_result([*infos])


def _result(host: str, info: _Info) -> ResolveResult:
    family, _, protocol, _, (address, port, *rest) = info
    scope = f"%{rest[1]}" if rest and rest[1] else ""  # of a link-local address
    return ResolveResult(
        hostname=host,
        host=f"{address}{scope}",
        port=int(port),
        family=family,
        proto=protocol,
        flags=_NUMERIC,
    )
