"""The page itself: what it forbids, what it is made of, and what is never in it."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from archiver.archive.bag import Bag
from archiver.gallery.data import Data
from archiver.gallery.page import Page
from tests.support.gallery import Shown, add

ASSETS = sorted(
    (file for file in (files("archiver.gallery") / "page").iterdir()), key=lambda file: file.name
)
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function"
    r"|createContextualFragment|srcdoc|javascript:|\bfetch\(|XMLHttpRequest|sendBeacon|WebSocket"
    r"|localStorage|document\.cookie|@import|url\("
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    add(root, [Shown("v6/video/1")])
    Data(Bag(root)).update(whole=True)
    return root


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.name)
def test_no_asset_makes_markup_of_data(asset: Path) -> None:
    """Nothing makes elements of text, evaluates it, stores it or sends it anywhere."""
    text = asset.read_text()
    assert FORBIDDEN.findall(text) == []
    addresses = re.findall(r"https?://[^\s\"'`)]+", text)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_all_of_a_page_is_in_its_directory(archive: Path) -> None:
    """Each script, style and icon that the page names is there, and nothing is in line."""
    elements = Elements((archive / "index.html").read_text()).found
    loaded = [
        attributes.get("src") or attributes.get("href") or ""
        for tag, attributes in elements
        if tag in {"script", "link"}
    ]
    assert len(loaded) == len(set(loaded)) == len(ASSETS) - 1
    for address in loaded:
        path, _, version = address.partition("?")
        assert path.startswith(".archiver/browse/")
        assert (archive / path).is_file()
        assert re.fullmatch("[0-9a-f]{12}", version)
    for tag, attributes in elements:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_the_policy_is_strict(archive: Path) -> None:
    """Only what is the page's own may run, be shown or be played; nothing may be sent."""
    elements = Elements((archive / "index.html").read_text()).found
    (policy,) = [
        attributes["content"]
        for _, attributes in elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
        "img-src": "'self'", "media-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


def test_the_policy_comes_before_what_it_is_for(archive: Path) -> None:
    """A policy holds for what follows it alone."""
    tags = [
        attributes.get("http-equiv") or tag
        for tag, attributes in Elements((archive / "index.html").read_text()).found
    ]
    assert tags.index("Content-Security-Policy") < min(tags.index("script"), tags.index("link"))


def test_a_page_that_is_up_to_date_is_not_touched(archive: Path) -> None:
    """Neither the page nor what it needs is written again."""
    watched = [archive / "index.html", *(archive / ".archiver/browse").iterdir()]
    before = [path.stat().st_ino for path in watched]
    Page(Bag(archive)).write()
    assert [path.stat().st_ino for path in watched] == before


def test_a_page_of_an_earlier_version_is_replaced(archive: Path) -> None:
    """It is known as ours by its own word."""
    page = archive / "index.html"
    old = '<!doctype html><meta name="generator" content="archiver 0.0.1">'
    page.write_text(old)
    Page(Bag(archive)).check()
    Page(Bag(archive)).write()
    assert page.read_text() != old
