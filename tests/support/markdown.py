"""The documentation as its reader sees it: blocks, shell commands, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "archiver" / "manual"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(^|\s)#.*$")
_HEREDOC = re.compile(r"<<'(\w+)'")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and the language it is marked with."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A file of the documentation."""

    path: Path

    @property
    def name(self) -> str:
        """The path within the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        """The whole text."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[Block]:
        """Return the blocks of a language, in their order."""
        found = (Block(*match.groups()) for match in _FENCE.finditer(self.text))
        return [block for block in found if block.language == language]

    def scripts(self) -> list[tuple[str, ...]]:
        """Return the commands of each shell block."""
        return [tuple(_commands(block.text)) for block in self.blocks("sh")]

    def spans(self) -> list[str]:
        """Return what is marked as code in the prose, on one line or broken over two."""
        return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.prose)]

    def links(self) -> list[str]:
        """Return where the links lead."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    def anchors(self) -> set[str]:
        """Return what a link can name in this page, as GitHub derives it from the headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
        return {heading.replace(" ", "-") for heading in kept}


def topics() -> dict[str, Page]:
    """Return the pages of the manual by their topics."""
    return {path.stem: Page(path) for path in sorted(MANUAL.glob("*.md"))}


def _commands(script: str) -> Iterator[str]:
    """Yield the commands without comments; what a shell needs together stays together."""
    if script.startswith("#!"):
        yield script
        return
    lines = iter(script.splitlines())
    for line in lines:
        command = _COMMENT.sub("", line).rstrip()
        while command.endswith("\\"):
            command += "\n" + next(lines)
        if heredoc := _HEREDOC.search(command):
            while not command.endswith(f"\n{heredoc[1]}"):
                command += "\n" + next(lines)
        if command:
            yield command


def table(text: str, heading: str) -> dict[str, str]:
    """Return a table of two columns by its first column; `heading` is the first line's."""
    _, _, rest = text.partition(f"{heading}\n")
    rows: dict[str, str] = {}
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            break
        first, second = (cell.strip() for cell in line.strip("|").split(" | ", 1))
        rows[first] = second
    return rows
