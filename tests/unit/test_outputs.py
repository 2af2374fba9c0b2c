"""An output is known again on a later run by the path of its first link."""

import pytest

from archiver.outputs import Link, Output, link_path


def output(*urls: str) -> Output:
    return Output(tuple(Link(url, "primary") for url in urls))


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x/one.mp4?signature=2",
        "https://b.example/x/one.mp4?signature=1",
        "http://b.example:8080/x/one.mp4#t=1",
    ],
)
def test_an_output_is_known_by_its_links_path(url: str) -> None:
    """A link that is signed anew, or leads to another host, belongs to the same output."""
    assert output(url).key == output("https://a.example/x/one.mp4?signature=1").key
    assert output(url).links[0].path == "/x/one.mp4"


@pytest.mark.parametrize("path", ["y/one.mp4", "x/two.mp4", "x/one.mp4/", "x/One.mp4", ""])
def test_another_path_is_another_output(path: str) -> None:
    """Also if the file has the same name."""
    assert output(f"https://a.example/{path}").key != output("https://a.example/x/one.mp4").key


def test_the_first_link_decides() -> None:
    """Proxies come and go, and may have paths of their own."""
    url = "https://a.example/x/one.mp4"
    assert output(url, "https://proxy.example/z/one.mp4").key == output(url).key


@pytest.mark.parametrize("url", ["https://[a/x", "https://a.example/\ud83d", "", "x" * 5000])
def test_whatever_a_link_is_it_has_a_key(url: str) -> None:
    """A key is part of a file name: short, of digits and letters alone, and always the same."""
    key = output(url).key
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")
    assert output(url).key == key


def test_what_is_no_url_is_its_own_path() -> None:
    """So that two of them are not taken for one another."""
    assert link_path("https://[a/x?q") == "https://[a/x?q"
