"""URLs are requested in the letters in which they are given."""

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from archiver.http.urls import redirected, to_the_letter

SIGNED = "/a%2Fb%3Ac%40d%7E%27%2E%41%c3%a9/[x]|y;z='\\{}^`\"<>?s=%2f+%2B&t=[1]|2;'\\~%zz"
"""Letters that libraries like to change, some of which are not allowed in URLs at all."""


@pytest.mark.parametrize(
    "target",
    [
        SIGNED,
        "/",
        "/a",
        "/a?",
        "/a?b?c",
        "/a//b/",
        "//a",
        "/a/../b/./c/..",
        "/..",
        "/?a",
        "/%",
        "/a;b=c,d:e@f",
        "/a?b=http://c/../d",
    ],
)
def test_what_can_be_sent_is_sent(target: str) -> None:
    """Dot segments and an empty query too."""
    assert to_the_letter(f"http://a.example{target}").raw_path_qs == target
    onward = redirected(URL("http://a.example/x/y?z"), f"http://b.example{target}")
    assert (onward.host, onward.raw_path_qs) == ("b.example", target)
    if not target.startswith("//"):
        onward = redirected(URL("http://a.example/x/y?z"), target)
        assert (onward.host, onward.raw_path_qs) == ("a.example", target)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/a b%2Fc", "/a%20b%2Fc"),
        ("/é%c3%a9|~", "/%C3%A9%c3%a9|~"),
        ("/a\tb\x7fc\x00", "/a%09b%7Fc%00"),
        ("/a?x=é ü+%2f", "/a?x=%C3%A9%20%C3%BC+%2f"),
        ("/\udce9", "/%E9"),
        ("/\U0001f600", "/%F0%9F%98%80"),
        ("/a#b?c", "/a"),
        ("/a?b#c d", "/a?b"),
        ("", "/"),
        ("?a", "/?a"),
        ("?", "/?"),
    ],
)
def test_only_what_cannot_be_sent_is_encoded(given: str, sent: str) -> None:
    """In UTF-8, or as the bytes that came; the fragment is for nobody else."""
    assert to_the_letter(f"http://a.example{given}").raw_path_qs == sent
    assert redirected(URL("http://b.example/"), f"http://a.example{given}").raw_path_qs == sent


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#")))
def test_no_letter_changes(letters: str) -> None:
    """Whatever they are."""
    assert to_the_letter(f"https://a.example/{letters}").raw_path_qs == f"/{letters}"
    onward = redirected(URL("http://b.example/"), f"https://a.example/{letters}")
    assert onward.raw_path_qs == f"/{letters}"


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("http://bücher.example/é", "xn--bcher-kva.example"),
        ("http://A.Example/x", "a.example"),
        ("HTTPS://a.example", "a.example"),
        ("http://[::1]:80/", "::1"),
        ("http://é:ü@a.example/", "a.example"),
    ],
)
def test_the_host_is_one_that_can_be_looked_up(link: str, host: str) -> None:
    """Also where its name is in another script."""
    url = to_the_letter(link)
    assert (url.raw_host or "").lower() == host
    assert url.scheme in ("http", "https")


@pytest.mark.parametrize(
    "link", ["http://[::1", "http://a:99999/", "http://a:b/", "http://a\\@b/", "http://a/\ud800"]
)
def test_what_is_no_url_is_an_error(link: str) -> None:
    """In a link and in a redirect."""
    with pytest.raises(ValueError):  # noqa: PT011 (its text is never shown)
        to_the_letter(link)
    with pytest.raises(aiohttp.InvalidURL):
        redirected(URL("http://a.example/"), link)


@pytest.mark.parametrize("location", ["ftp://a/", "file:///a", "data:,a", "mailto:a@b", "ws://a/"])
def test_a_redirect_leads_to_http(location: str) -> None:
    """Or nowhere."""
    with pytest.raises(aiohttp.NonHttpUrlClientError):
        redirected(URL("http://a.example/"), location)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        (";x", "http://a/b/c/;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("http:g", "http://a/b/c/g"),
        ("%2e%2e/g%2F", "http://a/b/c/%2e%2e/g%2F"),
    ],
)
def test_a_relative_redirect_leads_on_from_where_it_stands(location: str, target: str) -> None:
    """As in the examples of RFC 3986, 5.4, and without another change of letters."""
    assert redirected(URL("http://a/b/c/d;p?q", encoded=True), location) == URL(
        target, encoded=True
    )


@pytest.mark.parametrize(
    ("location", "user"),
    [
        ("/b", "me"),
        ("http://a.example:80/b", "me"),
        ("http://you:x@a.example/b", "you"),
        ("http://b.example/b", None),
        ("http://a.example:81/b", None),
        ("https://a.example/b", None),
        ("//b.example/b", None),
    ],
)
def test_a_password_stays_with_its_host(location: str, user: str | None) -> None:
    """A redirect to another host, port or scheme does not take it along."""
    url = redirected(to_the_letter("http://me:p%40ss@a.example/a"), location)
    assert url.user == user
    assert url.password == {"me": "p@ss", "you": "x", None: None}[user]
