"""JSON manifests: a list, a single value, values one after the other or one a line.

The standard decoder reads one value at a time. A streaming parser such as ijson ends at the first
fault; here a broken line costs no more than itself.
"""

import json
import re
from collections.abc import Iterator
from enum import Enum, auto

from archiver.manifest.elements import (
    LINE,
    LINE_ENDS,
    SHOWN,
    BareIds,
    Element,
    Malformed,
    Value,
    hides_entry,
)
from archiver.manifest.pages import is_page, page_items

_LARGEST = 1024 * 1024  # characters in a value, at most
_KEPT = 16 * 1024  # characters that stay in memory after they are read, at most
_REREAD = 16 * 1024 * 1024  # characters that are read again after broken values, at most
_NEAR = 16  # a cut in `-Infinity` or an escape stops the decoder at most this far before it

_GAP = re.compile(r"[ \t\r\n,\ufeff]+")
_BARE_IDS = re.compile(
    r'(?:(?:"[A-Za-z0-9_-]{1,128}"|0|[1-9][0-9]{0,127})[ \t\r\n]*,[ \t\r\n]*){1,1000}'
)
_BARE_ID = re.compile(r"[A-Za-z0-9_-]+")
_AFTER_VALUE = " \t\r\n,]{\ufeff"
_WHOLE = "expected a whole JSON element of at most 1 MiB"
_DECODER = json.JSONDecoder()
_BROKEN = object()


class _Place(Enum):
    OUTSIDE = auto()
    IN_LIST = auto()
    UNSURE = auto()
    """In a list whose end may have been skipped with a broken value."""


def json_elements(blocks: Iterator[str]) -> Iterator[Element]:
    """Yield the values; those of a list one by one, and the items of a page.

    A broken value is skipped to the end of its line. Between values, commas and comments may
    stand wherever spaces may.
    """
    text, place = _Text(blocks), _Place.OUTSIDE
    while mark := text.next_mark():
        if mark == "[" and place is not _Place.IN_LIST:
            place = _Place.IN_LIST
            text.step()
        elif mark == "]" and place is not _Place.OUTSIDE:
            place = _Place.OUTSIDE
            text.step()
        elif mark == "#":
            yield from text.comment()
        elif ids := text.bare_ids() if mark != "{" else None:
            yield ids
        else:
            for element in text.values(may_be_cut=place is not _Place.OUTSIDE):
                if isinstance(element, Malformed) and place is _Place.IN_LIST:
                    place = _Place.UNSURE
                yield element
    if place is _Place.IN_LIST:
        yield Malformed(text.line, "", "expected ] at the end of the list")


class _Text:
    """A text that is read from beginning to end; only the stretch around `_at` is in memory."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.line = 1
        self._blocks = blocks
        self._stretch = ""
        self._at = 0
        self._may_reread = _REREAD

    def next_mark(self) -> str:
        """Skip spaces and commas; return the character that follows, "" at the end."""
        while True:
            if gap := _GAP.match(self._stretch, self._at):
                self._step_to(gap.end())
            mark = self._stretch[self._at : self._at + 1]
            if mark or not self._extend():
                return mark

    def step(self) -> None:
        """Step over one character."""
        self._step_to(self._at + 1)

    def bare_ids(self) -> BareIds | None:
        """Step over the bare IDs from here on, if there are any with a comma after each."""
        if found := _BARE_IDS.match(self._stretch, self._at):
            self._step_to(found.end())
            return BareIds(_BARE_ID.findall(found[0]))
        return None

    def comment(self) -> list[Malformed]:
        """Step over a comment; return it if it hides an entry."""
        line, comment = self.line, self._rest_of_line()
        self._skip_line()
        return [Malformed(line, comment, LINE_ENDS)] if hides_entry(comment) else []

    def values(self, *, may_be_cut: bool) -> list[Value] | list[Malformed]:
        """Step over the value that begins here or, if it is broken, to the next line.

        A page gives its items.

        With `may_be_cut`, a number at the very end counts as broken: digits may be missing.
        """
        value, end = self._decode()
        line, text = self.line, self._stretch[self._at : min(end, self._at + SHOWN + 1)]
        cut = may_be_cut and end == len(self._stretch) and not isinstance(value, str | dict | list)
        if value is _BROKEN or cut or self._stretch[end : end + 1] not in _AFTER_VALUE:
            text = self._stretch[self._at : self._at + SHOWN + 1].partition("\n")[0]
            self._skip_broken(end)
            return [Malformed(line, text, _WHOLE)]
        items = self._page_items() if is_page(value) else [Value(line, text, value)]
        self._step_to(end)
        return items

    def _page_items(self) -> list[Value]:
        """Return the items of the page that begins here."""
        items = []
        line, counted = self.line, self._at
        for _, at, end, item in page_items(self._stretch, self._at):
            line += self._stretch.count("\n", counted, at)
            counted = at
            items.append(Value(line, self._stretch[at : min(end, at + SHOWN + 1)], item))
        return items

    def _decode(self) -> tuple[object, int]:
        """Return the value that begins here and where it ends, however far that is."""
        while True:
            value, end = _decoded(self._stretch, self._at)
            if end < len(self._stretch) - _NEAR or not self._extend():
                return value, end

    def _step_to(self, position: int) -> None:
        self.line += self._stretch.count("\n", self._at, position)
        self._at = position

    def _rest_of_line(self) -> str:
        """Return what is left of the line, or the beginning of that if it is long."""
        while True:
            ahead = self._stretch[self._at : self._at + LINE]
            if "\n" in ahead or len(ahead) == LINE or not self._extend():
                return ahead.partition("\n")[0]

    def _skip_line(self) -> None:
        while (end := self._stretch.find("\n", self._at)) < 0:
            self._at = len(self._stretch)
            if not self._extend():
                return
        self._step_to(end + 1)
        if self._at > _KEPT:  # the decoder counts the lines before each error that it raises
            self._stretch, self._at = self._stretch[self._at :], 0

    def _skip_broken(self, stopped: int) -> None:
        """Go on at the next line: what the decoder took for a part of this may be whole itself.

        Once too much was read again in this way, go on at the line where the decoder stopped.
        """
        line_end = self._stretch.find("\n", self._at, stopped)
        if line_end >= 0:
            self._may_reread -= stopped - line_end
        if self._may_reread < 0:
            self._step_to(max(self._at, self._stretch.rfind("\n", self._at, stopped)))
        self._skip_line()

    def _extend(self) -> bool:
        """Drop what was read and at least double what is ahead; return whether there was more.

        What is ahead never grows beyond twice the largest value.
        """
        ahead, grown, blocks = len(self._stretch) - self._at, 0, []
        while grown <= ahead < _LARGEST and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            grown += len(block)
        if grown:
            self._stretch, self._at = "".join([self._stretch[self._at :], *blocks]), 0
        return grown > 0


def _decoded(text: str, at: int) -> tuple[object, int]:
    """Return the JSON value that begins there, or `_BROKEN`, and where decoding ended."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        string_is_open = error.msg.startswith("Unterminated string")
        return _BROKEN, len(text) if string_is_open else error.pos
    except (ValueError, RecursionError):  # a number of thousands of digits, nesting without end
        return _BROKEN, len(text)
