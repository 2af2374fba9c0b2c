"""The pages of the manual: Markdown files in `archiver/manual/`, and how a terminal shows them."""

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

import click

from archiver.cli.terminal import fill

_MAX_WIDTH = 80
_SENTENCE = re.compile(r".+?[.!?](?=\s+[^a-z]|$)|.+")
_HEADING = re.compile(r"#{1,6}\s+(?P<text>.+)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+\.)\s+(?=\S)")
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
_PAGE = re.compile(r"(?P<topic>[\w-]+)\.md(?:#.*)?")


def topics() -> dict[str, str]:
    """Return the name of each page and the sentence about it, in alphabetical order."""
    pages = [page for page in _directory().iterdir() if page.name.endswith(".md")]
    texts = {page.name.removesuffix(".md"): page.read_text(encoding="utf-8") for page in pages}
    return {name: description(texts[name]) for name in sorted(texts)}


def read(topic: str) -> str:
    """Return the Markdown of a page that is among the `topics`."""
    return (_directory() / f"{topic}.md").read_text(encoding="utf-8")


def description(text: str) -> str:
    """Return the first sentence below the title of a page."""
    body = "\n".join(line for line in text.splitlines() if not _HEADING.fullmatch(line))
    first = " ".join(body.strip().partition("\n\n")[0].split())
    match = _SENTENCE.match(_LINK.sub(r"\g<text>", first))
    return match[0] if match else ""


def rendered(text: str, width: int) -> str:
    """Return a page for a terminal: paragraphs wrapped, headings bold, fences and links plain."""
    return "\n".join(_lines(text, min(width, _MAX_WIDTH)))


def _directory() -> Traversable:
    return files("archiver") / "manual"


def _lines(text: str, width: int) -> Iterator[str]:
    paragraph: list[str] = []
    in_fence = False
    for line in [*text.splitlines(), ""]:
        fence = line.lstrip().startswith("```")
        if paragraph and (fence or _ends_paragraph(line)):
            yield from _filled(paragraph, width)
            paragraph = []
        if fence:
            in_fence = not in_fence
        elif in_fence:
            yield f"    {line}".rstrip()
        elif heading := _HEADING.fullmatch(line):
            yield click.style(heading["text"], bold=True)
        elif not line.strip() or line.startswith("|"):
            yield line
        else:
            paragraph.append(line)


def _ends_paragraph(line: str) -> bool:
    return not line.strip() or line.startswith(("#", "|")) or bool(_ITEM.match(line))


def _filled(paragraph: Sequence[str], width: int) -> list[str]:
    """Return a paragraph or an item of a list, wrapped at a width."""
    text = _without_links(" ".join([paragraph[0].rstrip(), *map(str.strip, paragraph[1:])]))
    item = _ITEM.match(text)
    indent = len(item[0]) if item else len(text) - len(text.lstrip())
    return fill(text, width, " " * indent)


def _without_links(text: str) -> str:
    return _LINK.sub(_without_link, text)


def _without_link(link: re.Match[str]) -> str:
    """Return a link as text; another page is named by the command that shows it."""
    if page := _PAGE.fullmatch(link["target"]):
        return f"{link['text']} (archiver manual {page['topic']})"
    return f"{link['text']} ({link['target']})" if "://" in link["target"] else link["text"]
