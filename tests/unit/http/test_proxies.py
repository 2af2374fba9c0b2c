"""Proxies: the environment is read as curl reads it."""

import pytest

from archiver.errors import ConfigurationError
from archiver.http.proxies import Proxies

PROXY = "http://proxy.example:3128"


def leading(host: str, scheme: str = "http", **environment: str) -> str | None:
    """Return the URL of the proxy that leads to a host, if one does."""
    proxy = Proxies.from_environment(environment).lead_to(scheme, host)
    return proxy.url if proxy else None


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://a:1"}, "http://a:1", None),
        ({"HTTP_PROXY": "http://a:1"}, "http://a:1", None),
        ({"https_proxy": "http://a:1"}, None, "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, None, "http://a:1"),
        ({"all_proxy": "http://a:1"}, "http://a:1", "http://a:1"),
        ({"ALL_PROXY": "http://a:1"}, "http://a:1", "http://a:1"),
        ({"all_proxy": "http://a:1", "ALL_PROXY": "http://b:1"}, "http://a:1", "http://a:1"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, None, "http://a:1"),
        ({"all_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "http://a:1", "http://b:1"),
        ({"http_proxy": "", "all_proxy": "http://a:1"}, "http://a:1", "http://a:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://a:1"}, None, "http://a:1"),
        ({"ftp_proxy": "http://a:1", "socks_proxy": "x"}, None, None),
        ({"http_proxy": "a:1", "https_proxy": "b:1", "all_proxy": "socks5://c:1"},
         "http://a:1", "http://b:1"),
        ({"all_proxy": " http://a:1\n"}, "http://a:1", "http://a:1"),
    ],
)  # fmt: skip
def test_the_proxy_of_a_scheme_comes_before_that_of_all(
    environment: dict[str, str], http: str | None, https: str | None
) -> None:
    """Each in small letters before capitals; one that is empty is none."""
    assert leading("x.example", "http", **environment) == http
    assert leading("x.example", "https", **environment) == https


@pytest.mark.parametrize(
    ("value", "url", "host", "port"),
    [
        ("proxy.example:3128", "http://proxy.example:3128", "proxy.example", 3128),
        ("me:p%40ss@proxy.example:3128", "http://me:p%40ss@proxy.example:3128",
         "proxy.example", 3128),
        ("http://proxy.example", "http://proxy.example", "proxy.example", 80),
        ("https://proxy.example", "https://proxy.example", "proxy.example", 443),
        ("HTTP://proxy.example:1", "HTTP://proxy.example:1", "proxy.example", 1),
        ("[::1]:3128", "http://[::1]:3128", "::1", 3128),
    ],
)  # fmt: skip
def test_a_proxy_without_a_scheme_is_an_http_proxy(
    value: str, url: str, host: str, port: int
) -> None:
    """Where it has a port; one with a scheme has that scheme's."""
    (proxy,) = Proxies.from_environment({"ALL_PROXY": value}).all()
    assert (proxy.url, proxy.host, proxy.port) == (url, host, port)


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    ["s3cret", "http://", "http://[s3cret", "ftp://s3cret:1", "http://s3cret:x", "//s3cret:1",
     "http://s3 cret:1", "me:s3cret@:1", "http://me:s3/cret@a:1", "http://s3cret:99999"],
)  # fmt: skip
def test_what_is_no_proxy_is_an_error(name: str, value: str) -> None:
    """By the variable's name, and without a password that may be in it."""
    with pytest.raises(ConfigurationError, match=f"the proxy in {name} is not a URL") as raised:
        Proxies.from_environment({name: value})
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "socks", "SOCKS5"])
def test_a_socks_proxy_is_an_error(scheme: str) -> None:
    """One line says that it is not supported, and what is; the password is not in it."""
    with pytest.raises(
        ConfigurationError, match="the proxy in ALL_PROXY is a SOCKS proxy"
    ) as error:
        Proxies.from_environment({"ALL_PROXY": f"{scheme}://me:s3cret@127.0.0.1:1080"})
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_proxy_that_nothing_needs_is_no_error() -> None:
    """Where every host is requested directly."""
    environment = {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "*"}
    assert Proxies.from_environment(environment).all() == frozenset()


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("", "a.example", False),
        ("*", "a.example", True),
        ("*", "192.0.2.1", True),
        ("b,*", "a.example", False),
        ("*.example", "a.example", False),
        ("a.example", "a.example", True),
        ("example", "a.example", True),
        (".example", "a.example", True),
        (".example", "example", True),
        ("..example", "a.example", False),
        ("ample", "a.example", False),
        ("a.example", "b.a.example", True),
        ("b.a.example", "a.example", False),
        ("A.EXAMPLE", "a.example", True),
        ("a.example", "A.EXAMPLE", True),
        ("a.example.", "a.example", True),
        ("a.example", "a.example.", True),
        ("a.example:80", "a.example", False),
        ("b,a.example", "a.example", True),
        ("b, a.example", "a.example", True),
        ("b a.example", "a.example", True),
        (",,", "a.example", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.2", "192.0.2.1", False),
        ("192.0.2", "192.0.2.1", False),
        (".192.0.2.1", "192.0.2.1", False),
        ("192.0.2.1:80", "192.0.2.1", False),
        ("192.0.2.0/24", "192.0.2.1", True),
        ("192.0.2.7/24", "192.0.2.1", True),
        ("192.0.2.0/33", "192.0.2.1", False),
        ("192.0.3.0/24", "192.0.2.1", False),
        ("192.0.2.0/24", "a.example", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:DB8::1", "2001:db8::1", True),
        ("2001:db9::/32", "2001:db8::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_some_hosts_need_no_proxy(name: str, no_proxy: str, host: str, direct: bool) -> None:
    """Domains with all that is in them, addresses and networks; a port belongs to none of them."""
    found = leading(host, ALL_PROXY=PROXY, **{name: no_proxy})
    assert found == (None if direct else PROXY)


def test_small_letters_come_first_for_the_exceptions_too() -> None:
    """Unless there is nothing in them."""
    both = {"no_proxy": "b.example", "NO_PROXY": "a.example"}
    assert leading("a.example", ALL_PROXY=PROXY, **both) == PROXY
    assert leading("a.example", ALL_PROXY=PROXY, **both | {"no_proxy": ""}) is None


def test_a_proxy_does_not_show_its_password() -> None:
    """Wherever it is printed."""
    assert "s3cret" not in repr(Proxies.from_environment({"ALL_PROXY": "me:s3cret@a:1"}).all())
