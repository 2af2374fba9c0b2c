"""Proxies: which one leads to a host, as curl takes it from the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Self
from urllib.parse import urlsplit

from archiver.errors import ConfigurationError

_EXAMPLE = "http://proxy.example:3128"
_PORTS = {"http": 80, "https": 443}
"""The port of a proxy by its scheme: one without either is no proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Its URL may have a user and a password in it."""

    url: str
    host: str
    port: int

    def __repr__(self) -> str:
        return f"Proxy({self.host!r}, {self.port})"


class Proxies:
    """The proxies of http and https URLs, and the hosts that need none.

    The rules are curl's (curl(1), "Environment" and `--noproxy`).
    """

    def __init__(self, by_scheme: Mapping[str, Proxy], bypass: str = "") -> None:
        self._by_scheme = by_scheme
        self._bypass = bypass

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the proxies that the environment names.

        `http_proxy` and `https_proxy` come before `all_proxy`, and each before its name in
        capitals; an empty one is none.

        Raises:
            ConfigurationError: if one that would be used is of no use.
        """
        _, bypass = _first(environment, "no_proxy", "NO_PROXY")
        by_scheme: dict[str, Proxy] = {}
        for scheme in ("http", "https") if bypass != "*" else ():
            names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
            name, value = _first(environment, *names)
            if value:
                by_scheme[scheme] = _parse(name, value)
        return cls(by_scheme, bypass)

    def all(self) -> frozenset[Proxy]:
        """Return every proxy."""
        return frozenset(self._by_scheme.values())

    def lead_to(self, scheme: str, host: str) -> Proxy | None:
        """Return the proxy for a host, which is a name or an address, or None."""
        proxy = self._by_scheme.get(scheme)
        return None if proxy and self._bypasses(host) else proxy

    def _bypasses(self, host: str) -> bool:
        fits = _is_in_network if _is_address(host) else _is_in_domain
        return any(fits(host, pattern) for pattern in re.split(r"[,\s]+", self._bypass))


def _first(environment: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first of these variables that is not empty, and its value."""
    found = ((name, environment.get(name, "").strip()) for name in names)
    return next(((name, value) for name, value in found if value), ("", ""))


def _parse(variable: str, value: str) -> Proxy:
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower().startswith("socks"):
        raise ConfigurationError(
            f"the proxy in {variable} is a SOCKS proxy, which is not supported: "
            f"name an HTTP proxy such as {_EXAMPLE}, or unset it"
        )
    url = value if separator else f"http://{value}"
    try:
        parts = urlsplit(url)
        port = parts.port or (_PORTS.get(parts.scheme) if separator else None)
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or not port or re.search(r"\s", url):
        raise ConfigurationError(f"the proxy in {variable} is not a URL such as {_EXAMPLE}")
    return Proxy(url, parts.hostname, port)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_in_network(address: str, pattern: str) -> bool:
    try:
        return ip_address(address) in ip_network(pattern, strict=False)
    except ValueError:
        return False


def _is_in_domain(host: str, pattern: str) -> bool:
    name = host.removesuffix(".").lower()
    domain = pattern.removesuffix(".").removeprefix(".").lower()
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))
