"""Formats: which one a manifest is written in, as its beginning and its name show."""

import codecs
import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterator
from contextlib import suppress
from io import IncrementalNewlineDecoder
from itertools import chain
from typing import Protocol

from archiver.manifest.csv_rows import DELIMITERS, csv_elements, header_delimiter
from archiver.manifest.elements import BYTE_ORDER_MARK, Element, Malformed
from archiver.manifest.spelling import FETCH_URL
from archiver.manifest.text import text_elements, without_comment

_OPENING = 64 * 1024  # bytes that show the format
_BLOCK = 16 * 1024
_BINARY = 100  # control characters that no text has in its opening
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_SIGNIFICANT = re.compile(r"^(?:[^\S\n]|\ufeff)*[^\s\ufeff#].*", re.MULTILINE)
_ENCODINGS = (
    (re.compile(re.escape(BOM_UTF32_LE) + b"|" + re.escape(BOM_UTF32_BE)), "utf-32"),
    (re.compile(re.escape(BOM_UTF16_LE) + b"|" + re.escape(BOM_UTF16_BE)), "utf-16"),
    (re.compile(rb"(?:[^\0]\0\0\0){2}"), "utf-32-le"),
    (re.compile(rb"(?:\0\0\0[^\0]){2}"), "utf-32-be"),
    (re.compile(rb"(?:[^\0]\0){4}"), "utf-16-le"),
    (re.compile(rb"(?:\0[^\0]){4}"), "utf-16-be"),
)
"""How a manifest begins that is not in UTF-8; one without a byte order mark shows by its zeros."""
_NO_TEXT = "expected text, CSV or JSON, not a binary file"
_NO_HEADER = "expected a header with a column named id"


class Stream(Protocol):
    """What a manifest is read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises:
            OSError: if it cannot be read.
        """


def elements(stream: Stream, suffix: str) -> Iterator[Element]:
    """Return what a manifest lists; `suffix` is that of its name, such as "csv".

    Raises:
        OSError: if the stream cannot be read.
    """
    blocks = _decoded(stream)
    opening = next(blocks)
    blocks = chain([opening], blocks)
    significant = _SIGNIFICANT.search(opening)
    first = significant[0].replace(BYTE_ORDER_MARK, " ") if significant else ""
    if len(_CONTROL.findall(opening)) >= _BINARY:
        return iter([Malformed(1, opening, _NO_TEXT)])
    if _is_json(first, suffix):
        from archiver.manifest.json_values import json_elements  # noqa: PLC0415 (as its pages)

        return json_elements(blocks)
    if delimiter := header_delimiter(first):
        return csv_elements(blocks, delimiter)
    if significant and suffix in {"csv", "tsv"} and _has_columns(first):
        line = opening.count("\n", 0, significant.start()) + 1
        return iter([Malformed(line, first, _NO_HEADER)])
    return text_elements(blocks)


def _decoded(stream: Stream) -> Iterator[str]:
    """Yield the text in blocks, the first of them long enough to show the format.

    Each line ends in LF, whether it ends in CR LF, in CR or in LF there.

    Bytes that are not UTF-8 become lone surrogates. No ID has any, so only those that stand
    where an ID should be are bad: a comment may be in any encoding.
    """
    opening = b""
    while len(opening) < _OPENING and (block := stream.read(_OPENING - len(opening))):
        opening += block
    decoder = IncrementalNewlineDecoder(_decoder(opening), translate=True)
    yield decoder.decode(opening)
    while block := stream.read(_BLOCK):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _decoder(opening: bytes) -> codecs.IncrementalDecoder:
    for beginning, encoding in _ENCODINGS:
        if beginning.match(opening):
            return codecs.getincrementaldecoder(encoding)("replace")
    return codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")


def _is_json(first: str, suffix: str) -> bool:
    """Return whether the first line with something on it begins a JSON text."""
    if first.lstrip().startswith(("[", "{")):
        return True
    if header_delimiter(first):
        return False
    if suffix in {"json", "jsonl"}:
        return not first or _begins_with_value(first)
    return first.lstrip().startswith('"') and not any(mark in first for mark in DELIMITERS)


def _begins_with_value(line: str) -> bool:
    with suppress(ValueError, RecursionError):
        json.JSONDecoder().raw_decode(line.strip())
        return True
    return False


def _has_columns(first: str) -> bool:
    entry = without_comment(first)
    return any(mark in entry for mark in DELIMITERS) and not FETCH_URL.fullmatch(entry)
