"""A body is read alike whether it is compressed or not, and never costs more than its limit."""

import gzip
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.modelslab.compressed import Plain

JSON = b'{"status":"processing"}' * 100


def read(chunks: Iterable[bytes]) -> list[bytes]:
    """Return what a body that comes in these chunks is decompressed to."""
    plain = Plain()
    return [*(piece for chunk in chunks for piece in plain.take(chunk)), plain.rest]


@given(st.booleans(), st.lists(st.integers(0, 2500), max_size=8))
def test_it_does_not_matter_how_a_body_is_cut(zipped: bool, cuts: list[int]) -> None:
    """Not even before its first byte, or after it."""
    body = gzip.compress(JSON) if zipped else JSON
    places = [0, *sorted(cuts), len(body)]
    assert b"".join(read(body[a:b] for a, b in pairwise(places))) == JSON


@pytest.mark.parametrize("body", [b"", b"\x1f", b"{", b"\x1f\x8c not gzip", b"<html>"])
def test_what_is_no_gzip_stays_what_it_is(body: bytes) -> None:
    """Also where it begins like it."""
    assert b"".join(read([body])) == body


def test_a_bomb_comes_in_pieces() -> None:
    """Whoever reads it can stop before it fills the memory."""
    pieces = read([gzip.compress(bytes(50 << 20), 1)])
    assert max(map(len, pieces)) == 1 << 20


def test_what_follows_the_end_is_left_out() -> None:
    """It is not kept either."""
    assert b"".join(read([gzip.compress(JSON) + b"more", b"and more"])) == JSON


def test_a_damaged_body_ends_where_it_is_damaged() -> None:
    """It is no whole JSON then."""
    body = bytearray(gzip.compress(JSON))
    body[15:20] = b"\xff" * 5
    assert b"".join(read([bytes(body), b"rest"])) != JSON
    cut = gzip.compress(JSON)[:-12]
    assert len(b"".join(read([cut]))) < len(JSON)
