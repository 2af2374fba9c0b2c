"""Checks that the tests of every format share."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest

from archiver.media.info import MediaInfo
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator


def validate(*chunks: bytes) -> MediaInfo:
    validator = Validator()
    for chunk in chunks:
        validator.feed(chunk)
    return validator.finish()


def verdict(chunks: Iterable[bytes]) -> MediaInfo | str:
    try:
        return validate(*chunks)
    except NotWhole as error:
        return str(error)


def kind(media: MediaInfo) -> tuple[str, bool]:
    """Return the extension of a video, and whether it is open-ended."""
    return media.extension, media.open_ended


def chunked(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def assert_not_whole(data: bytes, reason: str) -> None:
    with pytest.raises(NotWhole, match=re.escape(reason)):
        validate(data)


def shown(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, MediaInfo) else ""
