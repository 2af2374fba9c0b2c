"""Networks of machines: network namespaces that are joined by a bridge, and by nothing else."""

import ctypes
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.machines import Machine, machine, require

_CLONE_NEWNET = 0x40000000
_NAMESPACES = Path("/run/netns")
_OURS = Path("/proc/thread-self/ns/net")


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace, and its address on the bridge."""

    name: str
    address: str

    @asynccontextmanager
    async def machine(self) -> AsyncIterator[Machine]:
        """Start a machine here, and kill it afterwards."""
        async with machine(_NAMESPACES / self.name) as running:
            yield running

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread open its sockets here; they stay here afterwards."""
        with _OURS.open() as ours, (_NAMESPACES / self.name).open() as here:
            _enter(here.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())

    def disconnect(self) -> None:
        """Take its interface down: no packet leaves or arrives any more."""
        _ip("-n", self.name, "link", "set", "eth0", "down")


@dataclass(frozen=True, slots=True)
class Network:
    """A place that has the bridge, and others that are connected to it."""

    hub: Place
    places: tuple[Place, ...]


@contextmanager
def network(places: int) -> Iterator[Network]:
    """Make a network of this many places besides the hub, and remove it afterwards."""
    require("ip", "nsenter")
    with ExitStack() as stack:
        try:
            made = _made(places, stack)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network can be made here: {error.stderr.strip()}")
        yield made


def _made(places: int, stack: ExitStack) -> Network:
    unique = f"archiver-{secrets.token_hex(4)}"
    hub, *others = (_place(unique, number, stack) for number in range(places + 1))
    _ip("-n", hub.name, "link", "add", "bridge", "type", "bridge")
    _configure(hub, "bridge")
    for number, place in enumerate(others):
        port = ("-n", hub.name, "link")
        here, there = ("name", f"port{number}"), ("name", "eth0", "netns", place.name)
        _ip(*port, "add", *here, "type", "veth", "peer", *there)
        _ip(*port, "set", f"port{number}", "master", "bridge", "up")
        _configure(place, "eth0")
    return Network(hub, tuple(others))


def _place(unique: str, number: int, stack: ExitStack) -> Place:
    place = Place(f"{unique}-{number}", f"10.77.0.{number + 1}")
    _ip("netns", "add", place.name)
    stack.callback(_ip, "netns", "delete", place.name)
    return place


def _configure(place: Place, interface: str) -> None:
    _ip("-n", place.name, "address", "add", f"{place.address}/24", "dev", interface)
    for each in ("lo", interface):
        _ip("-n", place.name, "link", "set", each, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _enter(namespace: int) -> None:
    """Move this thread to a network namespace; `os` has this only from Python 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
