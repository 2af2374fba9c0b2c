"""The clip: videos of any size."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.emulator.clip import Payload, grown_clip


@pytest.mark.parametrize("size", [4_000, 20_000, 64_000, 5_000_000])
def test_a_grown_clip_has_the_requested_size(size: int) -> None:
    """Its size is the requested one, and so is the size of its bytes."""
    assert grown_clip(size, "a").size == size == len(grown_clip(size, "a").whole())


def test_a_clip_is_never_too_small_to_differ() -> None:
    """Below the smallest possible size, different seeds still make different files."""
    assert grown_clip(0, "a").whole() != grown_clip(0, "b").whole()
    assert grown_clip(0, "a").size < 5_000


def test_seeds_decide_the_bytes() -> None:
    """The same seed gives the same file, another seed another file."""
    whole = grown_clip(20_000, "a").whole()
    grown_clip.cache_clear()
    assert grown_clip(20_000, "a").whole() == whole
    assert grown_clip(20_000, "b").whole() != whole


@pytest.mark.parametrize("size", [0, 20_000, 5_000_000, 2**32 + 2_000, 2**32 + 5_000, 2**40])
def test_the_boxes_add_up(size: int) -> None:
    """A grown clip is a whole MP4, also where a box has a 64-bit size."""
    clip = grown_clip(size, "a")
    at, kinds = 0, list[bytes]()
    while at < clip.size:
        header = clip.piece(at, at + 16)
        length, kind = struct.unpack_from(">I4s", header)
        at += length if length != 1 else struct.unpack_from(">Q", header, 8)[0]
        kinds.append(kind)
    assert at == clip.size
    assert kinds[0] == b"ftyp"
    assert {b"moov", b"mdat"} < set(kinds)
    assert kinds[-1] == b"free"


@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(500, 70_000))
def test_any_part_is_as_slicing_the_whole_gives(start: int, length: int, step: int) -> None:
    """Parts and pieces are slices of the whole."""
    clip = grown_clip(150_001, "a")
    whole = clip.whole()
    assert clip.piece(start, start + length) == whole[start : start + length]
    stop = min(start + length, clip.size)
    assert b"".join(clip.pieces(range(start, stop), step)) == whole[start:stop]


def test_its_checksum_is_that_of_its_bytes() -> None:
    """The checksum is that of all the bytes, also where they were given."""
    for payload in (grown_clip(700_000, "a"), Payload.of(b"just these"), Payload.of(b"")):
        assert payload.sha256() == hashlib.sha256(payload.whole()).hexdigest()
