"""The elements of an ID list, in whatever of the usual formats it is written."""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, TypeAlias

_OPENING = 64 * 1024  # bytes that the format is told by
_BLOCK = 16 * 1024
_LINE = 64 * 1024  # characters in a line of text or a CSV record, at most
_ELEMENT = 1024 * 1024  # characters in a JSON element, at most
_REREAD = 16 * 1024 * 1024  # characters read twice for what is whole behind broken JSON, at most
_NEAR = 16  # the decoder may stop this far before a cut: at an escape's start, or `-Infinity`'s
_BINARY = 100  # control characters that no text has in its opening
SHOWN = 60

_BARE_LINES = re.compile(r"(?:[A-Za-z0-9_-]{0,128}\r?\n)*[A-Za-z0-9_-]{0,128}\r?")
_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
FETCH_URL = re.compile(
    r"https?://[^/?#\s]+(?:/[^?#\s]*?)?/(?P<endpoint>v[0-9]+/[^?#\s]{1,60}?)/fetch/"
    r"(?P<id>[^/?#\s]+)/?(?:[?#]\S*)?",
    re.IGNORECASE,
)
_SIGNIFICANT = re.compile(r"^[^\S\n]*[^\s#].*", re.MULTILINE)
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_GAP = re.compile(r"[ \t\r\n,]+")
_AFTER_ELEMENT = " \t\r\n,]{"
_COLUMNS = ("id", "request_id", "fetch_result")
_DELIMITERS = ",;\t"
_JSON = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Fault:
    """Stands for the value of an element that has none."""

    expected: str


@dataclass(frozen=True, slots=True)
class Bare:
    """Stands for the value of many lines, each of which is a bare ID or blank."""

    ids: Sequence[str]


BAD_SPELLING = Fault("expected an ID, ENDPOINT/ID or a fetch URL")
_BAD_ROW = Fault("expected a CSV row of at most 64 KiB")
_BAD_JSON = Fault("expected a whole JSON element of at most 1 MiB")
_OPEN_LIST = Fault("expected ] at the end of the list")
_NO_HEADER = Fault("expected a header with a column named id")
_NO_TEXT = Fault("expected text, CSV or JSON, not a binary file")

Element: TypeAlias = tuple[int, str, object]
"""The line where it begins, the text that stands there, and its value as JSON would have it: text
is a string, and a CSV row an object."""


def elements(stream: BinaryIO, suffix: str) -> Iterator[Element]:
    """Return what the manifest lists, by the format that its opening shows."""
    blocks = _decoded(stream)
    opening = next(blocks)
    blocks = chain([opening], blocks)
    significant = _SIGNIFICANT.search(opening)
    first = significant[0] if significant else ""
    if len(_CONTROL.findall(opening)) >= _BINARY:
        return iter([(1, opening, _NO_TEXT)])
    if _is_json(first, suffix):
        return _json_elements(_Window(blocks))
    if delimiter := _delimiter(first):
        return _csv_elements(_Window(blocks), delimiter)
    if significant and suffix in {"csv", "tsv"} and _lacks_header(first):
        return iter([(opening.count("\n", 0, significant.start()) + 1, first, _NO_HEADER)])
    return _text_elements(blocks)


def _decoded(stream: BinaryIO) -> Iterator[str]:
    """Yield the text in blocks, the first of them as long as telling the format needs.

    Bytes that are no UTF-8 become lone surrogates. No ID has any, so only those that stand
    where an ID should be are bad: a comment may be in any encoding.
    """
    opening = b""
    while len(opening) < _OPENING and (block := stream.read(_OPENING - len(opening))):
        opening += block
    if opening.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
    else:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    yield decoder.decode(opening)
    while block := stream.read(_BLOCK):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _is_json(first: str, suffix: str) -> bool:
    if first.lstrip().startswith(("[", "{")):
        return True
    if _delimiter(first):
        return False
    if suffix in {"json", "jsonl"}:
        return not first or _decode(first.strip(), 0)[0] is not _BAD_JSON
    return first.lstrip().startswith('"') and not any(mark in first for mark in _DELIMITERS)


def _delimiter(header: str) -> str | None:
    """Return what separates the columns, if this is a header with one that names generations."""
    for delimiter in _DELIMITERS:
        row, _ = _record(iter([header]), delimiter)
        if any(cell.lower() in _COLUMNS for cell in row or ()):
            return delimiter
    return None


def _lacks_header(first: str) -> bool:
    entry = _COMMENT.sub("", first).strip()
    return any(mark in entry for mark in _DELIMITERS) and not FETCH_URL.fullmatch(entry)


def _text_elements(blocks: Iterable[str]) -> Iterator[Element]:
    """Yield a block of nothing but bare IDs, as most are, as one element, and others by the line.

    Of a line that is too long, no more is kept than tells so.
    """
    number, rest = 1, ""
    for block in blocks:
        lines, newline, rest = (rest + block).rpartition("\n")
        if _BARE_LINES.fullmatch(lines):
            yield number, "", Bare(lines.split())
        else:
            yield from _by_the_line(number, lines)
        number += lines.count("\n") + len(newline)
        rest = rest[: _LINE + 1]
    yield from _by_the_line(number, rest)


def _by_the_line(number: int, lines: str) -> Iterator[Element]:
    for at, line in enumerate(lines.split("\n"), number):
        spelling = (_COMMENT.sub("", line) if "#" in line else line).strip()
        if len(line) > _LINE:
            yield at, line, BAD_SPELLING
        elif spelling:
            yield at, line, spelling


def _csv_elements(window: "_Window", delimiter: str) -> Iterator[Element]:
    header: list[str] = []
    while window.has_line():
        line, text = window.line, window.glimpse()
        row, length = _record(window.lines(), delimiter)
        for _ in range(length):
            window.skip_line()
        fields = dict(zip(header, row or (), strict=False))
        if row is None:
            yield line, text, _BAD_ROW
        elif not any(row) or str(given(fields, *_COLUMNS) or row[0]).startswith("#"):
            continue
        elif header:
            yield line, text, fields
        else:
            header = [cell.lower() for cell in row]


def _record(lines: Iterator[str], delimiter: str) -> tuple[list[str] | None, int]:
    """Return the cells of the CSV record that begins these lines, and how many lines it takes.

    A record that is too long has no cells. A quote that is left open is none: one bad line must
    not take the good ones after it along.
    """
    first = next(lines, None)
    if first is None:
        return None, 1
    if '"' not in first:  # a short way for most rows
        return [cell.strip() for cell in first.split(delimiter)], 1
    for record, strict in (chain([first], lines), True), ([first], False):
        reader = csv.reader(record, delimiter=delimiter, skipinitialspace=True, strict=strict)
        with suppress(csv.Error, StopIteration):
            return [cell.strip() for cell in next(reader)], reader.line_num
    return None, 1


def _json_elements(window: "_Window") -> Iterator[Element]:
    in_list: bool | None = False  # None: in a list whose end may have been skipped
    while character := window.next_character():
        line = window.line
        if character == "[" and not in_list:
            in_list = True
            window.step_to(window.at + 1)
        elif character == "]" and in_list is not False:
            in_list = False
            window.step_to(window.at + 1)
        else:
            text, value = window.element(may_be_cut=in_list is not False)
            if value is _BAD_JSON and in_list:
                in_list = None
            yield line, text, value
    if in_list:
        yield window.line, "", _OPEN_LIST


class _Window:
    """A stretch of a text that slides along it, and knows on which line it stands."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self._blocks = blocks
        self._may_reread = _REREAD
        self._text = ""
        self.at = 0
        self.line = 1

    def step_to(self, position: int) -> None:
        self.line += self._text.count("\n", self.at, position)
        self.at = position

    def skip_line(self) -> None:
        while (end := self._text.find("\n", self.at)) < 0:
            self.at = len(self._text)
            if not self._extend():
                return
        self.step_to(end + 1)
        if self.at > _BLOCK:  # the decoder's errors count the lines from the text's beginning
            self._text, self.at = self._text[self.at :], 0

    def glimpse(self) -> str:
        """Return the beginning of the line from here on."""
        return self._text[self.at : self.at + SHOWN + 1].partition("\n")[0]

    def has_line(self) -> bool:
        while len(self._text) - self.at <= _LINE and self._extend():
            pass
        return self.at < len(self._text)

    def lines(self) -> Iterator[str]:
        """Yield the next lines, not more than a record may have, without stepping over them."""
        start, limit = self.at, self.at + _LINE
        while end := self._text.find("\n", start, limit) + 1:
            yield self._text[start:end]
            start = end
        if start < len(self._text) <= limit:
            yield self._text[start:]

    def next_character(self) -> str:
        """Step over spaces, commas and comments; return what stands there, "" at the end."""
        while True:
            if gap := _GAP.match(self._text, self.at):
                self.step_to(gap.end())
            if self._text.startswith("#", self.at):
                self.skip_line()
            elif self.at < len(self._text) or not self._extend():
                return self._text[self.at : self.at + 1]

    def element(self, *, may_be_cut: bool) -> tuple[str, object]:
        """Step over the JSON element that begins here; return its text's beginning and its value.

        Where there is no whole one, step to the next line and return `_BAD_JSON`. A number at
        the very end `may_be_cut`, and then is not whole.
        """
        while True:
            value, end = _decode(self._text, self.at)
            if end < len(self._text) - _NEAR or not self._extend():
                break
        cut = may_be_cut and end == len(self._text) and not isinstance(value, str | dict | list)
        if value is _BAD_JSON or cut or self._text[end : end + 1] not in _AFTER_ELEMENT:
            text, value = self.glimpse(), _BAD_JSON
            self._skip_broken(end)
        else:
            text = self._text[self.at : min(end, self.at + SHOWN + 1)]
            self.step_to(end)
        return text, value

    def _extend(self) -> bool:
        """Drop what lies behind and at least double what lies ahead; return whether there was more.

        What lies ahead does not grow beyond twice an element's size.
        """
        ahead, grown, blocks = len(self._text) - self.at, 0, []
        while (
            ahead < _ELEMENT and grown <= ahead and (block := next(self._blocks, None)) is not None
        ):
            blocks.append(block)
            grown += len(block)
        if grown:
            self._text, self.at = "".join([self._text[self.at :], *blocks]), 0
        return grown > 0

    def _skip_broken(self, noticed: int) -> None:
        """Go on at the next line, for what is whole there may have been taken for a part of this.

        Having read too much twice in that way, go on at the line where the fault was `noticed`.
        """
        line_end = self._text.find("\n", self.at, noticed)
        if line_end >= 0:
            self._may_reread -= noticed - line_end
        if self._may_reread < 0:
            self.step_to(max(self.at, self._text.rfind("\n", self.at, noticed)))
        self.skip_line()


def _decode(text: str, at: int) -> tuple[object, int]:
    """Return the JSON value that begins there, or `_BAD_JSON`, and where decoding ended."""
    try:
        return _JSON.raw_decode(text, at)
    except json.JSONDecodeError as error:
        string_is_open = error.msg.startswith("Unterminated string")
        return _BAD_JSON, len(text) if string_is_open else error.pos
    except (ValueError, RecursionError):  # an enormous number, bottomless brackets
        return _BAD_JSON, len(text)


def given(fields: Mapping[str, object], *keys: str) -> object:
    """Return the first of these that says anything."""
    for key in keys:
        value = fields.get(key)
        if value is not None and value != "":
            return value
    return None
