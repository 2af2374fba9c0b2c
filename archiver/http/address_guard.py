"""Address guard: no connection to addresses that are not on the public internet."""

import errno
import ipaddress
import os
import socket

import aiohttp

_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
"""From RFC 4291 and RFC 9637; the standard library's list is not up to date."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(PermissionError):
    """A connection was refused because the address is not public."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, os.strerror(errno.EACCES))


class AddressGuard:
    """Checks each address before a connection is made to it: after DNS, after each redirect.

    The `exempt` pairs of address and port are those of the proxies.
    """

    def __init__(self, exempt: frozenset[tuple[str, int]]) -> None:
        self._exempt = exempt

    def check(self, info: aiohttp.AddrInfoType) -> None:
        """Check where a connection would lead.

        Raises:
            PrivateAddress: if the address is neither public nor exempt.
        """
        address = info[4]
        if address[:2] not in self._exempt and not is_public(str(address[0])):
            raise PrivateAddress


class SocketFactory:
    """Makes sockets for aiohttp, for addresses that a guard lets through.

    A `receive_buffer`, in bytes, limits how much the kernel reads ahead.
    """

    def __init__(self, guard: AddressGuard | None, receive_buffer: int | None = None) -> None:
        self._guard = guard
        self._receive_buffer = receive_buffer

    def __call__(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket of one connection.

        Raises:
            PrivateAddress: if the guard refuses the address.
        """
        if self._guard:
            self._guard.check(info)
        made = socket.socket(*info[:3])
        if self._receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        return made


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet, and any address embedded in it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            embedded.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(inner and not is_public(str(inner)) for inner in embedded):
            return False
        if ip.ipv4_mapped or ip in _NAT64:
            return True
        if ip not in _UNICAST or ip in _DOCUMENTATION:
            return False
    return ip.is_global and not ip.is_multicast
