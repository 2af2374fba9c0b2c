"""Address guard: only the public internet, however an address is written."""

import socket

import aiohttp
import pytest

from archiver.http.address_guard import AddressGuard, PrivateAddress, SocketFactory, is_public


def info(address: str, port: int = 80) -> aiohttp.AddrInfoType:
    """Return an address as `getaddrinfo` does."""
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("1.1.1.1", True), ("172.15.0.1", True), ("172.32.0.1", True),
        ("100.63.0.1", True), ("100.128.0.1", True),
        ("2606:4700:4700::1111", True), ("2a00:1450:4001::1", True),
        ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("0.0.0.0", False), ("0.1.2.3", False), ("127.0.0.1", False), ("127.255.255.255", False),
        ("10.0.0.1", False), ("172.16.0.1", False), ("172.31.255.255", False),
        ("192.168.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("100.127.255.255", False), ("192.0.0.1", False), ("192.0.2.1", False),
        ("198.18.0.1", False), ("198.51.100.1", False), ("203.0.113.1", False),
        ("224.0.0.1", False), ("239.255.255.250", False), ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False), ("::1", False), ("fe80::1", False), ("fe80::1%eth0", False),
        ("fc00::1", False), ("fd12:3456::1", False), ("ff02::1", False), ("ff0e::1", False),
        ("100::1", False), ("2001:db8::1", False),
        ("fec0::1", False),  # site-local (RFC 3879)
        ("5f00::1", False),  # segment routing (RFC 9602)
        ("3fff::1", False),  # documentation (RFC 9637)
        ("4000::1", False),  # not assigned
        ("::127.0.0.1", False), ("::10.0.0.1", False),  # IPv4-compatible
        ("::ffff:0:7f00:1", False),  # IPv4-translated (RFC 2765)
        ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False), ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False), ("64:ff9b::a00:1", False),
        ("64:ff9b:1::808:808", False),  # a local NAT64 (RFC 8215)
        ("2002:7f00:1::", False), ("2002:a00:1::1", False), ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    """Only what is routed on the internet is; an address within an address counts too."""
    assert is_public(address) is public


def test_the_guard_refuses_private_addresses_but_for_the_exempt() -> None:
    """A proxy may be on a private network; another port of the same host is not exempt."""
    guard = AddressGuard(frozenset({("10.0.0.1", 3128)}))
    guard.check(info("8.8.8.8"))
    guard.check(info("10.0.0.1", 3128))
    for private in (info("10.0.0.1"), info("127.0.0.1", 3128)):
        with pytest.raises(PrivateAddress):
            guard.check(private)


def test_no_socket_is_made_for_a_private_address() -> None:
    """With a guard; without one any address will do."""
    with pytest.raises(PrivateAddress):
        SocketFactory(AddressGuard(frozenset()))(info("127.0.0.1"))
    SocketFactory(None)(info("127.0.0.1")).close()


def test_a_receive_buffer_is_kept_small() -> None:
    """What the kernel reads ahead would come faster than a limited rate."""
    sizes = []
    for buffer in (None, 1 << 14):
        with SocketFactory(None, buffer)(info("127.0.0.1")) as made:
            sizes.append(made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    default, small = sizes
    assert small < default
