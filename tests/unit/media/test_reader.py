"""How parsers read bytes that arrive in chunks."""

import pytest

from archiver.media import NotWhole
from archiver.media.reader import FILE, MAX_READ, Extent, Reader


def test_a_parser_waits_for_more_bytes() -> None:
    """A read that spans chunks yields until all its bytes have arrived."""
    reader = Reader()
    reading = reader.read(4, FILE)
    for chunk in (b"f", b"ty"):
        reader.feed(chunk)
        assert next(reading) is None
    reader.feed(b"pisom")
    with pytest.raises(StopIteration) as done:
        next(reading)
    assert done.value.value == b"ftyp"
    assert reader.position == 4


def test_what_is_peeked_is_not_passed() -> None:
    """Peeking leaves the position as it is, and returns fewer bytes only at the end."""
    reader = Reader()
    reader.feed(b"GIF")
    peeking = reader.peek(12)
    assert next(peeking) is None
    reader.at_end = True
    with pytest.raises(StopIteration) as done:
        next(peeking)
    assert done.value.value == b"GIF"
    assert reader.position == 0


def test_a_part_is_skipped_across_chunks() -> None:
    """Skipping a part passes all of its bytes, and none behind it."""
    reader = Reader()
    reader.feed(bytes(MAX_READ))
    skipping = reader.skip(Extent("mdat", MAX_READ + 2))
    assert next(skipping) is None
    reader.feed(b"..rest")
    with pytest.raises(StopIteration):
        next(skipping)
    assert reader.position == MAX_READ + 2


def test_a_released_chunk_is_copied() -> None:
    """After a release the caller's buffer may change: the unread bytes are a copy."""
    reader, buffer = Reader(), bytearray(b"moov")
    reader.feed(memoryview(buffer))
    reader.release()
    buffer[:] = b"____"
    with pytest.raises(StopIteration) as done:
        next(reader.read(4, FILE))
    assert done.value.value == b"moov"


def test_a_child_fits_inside_its_parent() -> None:
    """A part may end where the part around it ends, and not behind it."""
    moov = Extent("moov", 9000)
    assert moov.child("trak", 9000) == Extent("trak", 9000)
    with pytest.raises(NotWhole) as error:
        moov.child("trak", 9001)
    assert str(error.value) == (
        "a 'trak' that ends at 9,001 does not fit inside its 'moov', which ends at 9,000"
    )


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Extent("moov", 9000), "cut after 5,000 bytes, inside its 'moov', which ends at 9,000"),
        (Extent("mdat"), "cut after 5,000 bytes, inside its 'mdat'"),
        (FILE, "cut after 5,000 bytes, in the middle of a header"),
    ],
    ids=["with a size", "without a size", "between parts"],
)
def test_a_cut_names_its_place(part: Extent, reason: str) -> None:
    """The reason for a cut counts all bytes that came, read or not."""
    reader = Reader()
    reader.feed(bytes(5000))
    next(reader.skip(Extent("free", 4096)), None)
    assert str(reader.cut_inside(part)) == reason
