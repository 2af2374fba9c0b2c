"""How parsers read bytes that arrive in chunks."""

import pytest

from archiver.media.reader import FILE, MAX_READ, Extent, NotWhole, Reader


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
    reader.skip(Extent("mdat", MAX_READ + 2))
    reading = reader.read(4, FILE)
    assert next(reading) is None
    reader.feed(b"..rest")
    with pytest.raises(StopIteration) as done:
        next(reading)
    assert done.value.value == b"rest"


def test_what_is_skipped_must_have_come() -> None:
    """The end of the bytes inside a part that was skipped is a cut inside that part."""
    reader = Reader()
    reader.feed(bytes(10))
    reader.skip(Extent("mdat", 12))
    reader.at_end = True
    with pytest.raises(NotWhole, match="cut after 10 bytes, inside its 'mdat', which ends at 12"):
        next(reader.has_more(FILE))


def test_a_part_is_gathered_across_chunks() -> None:
    """A part of any number of chunks is returned in one piece, with or without a size."""
    for part in (Extent("moov", 9), Extent("moov")):
        reader = Reader()
        gathering = reader.gather(part, 9)
        for chunk in (b"abc", b"def", b"ghi"):
            assert next(gathering) is None
            reader.feed(chunk)
        reader.at_end = True
        with pytest.raises(StopIteration) as done:
            next(gathering)
        assert done.value.value == b"abcdefghi"
        assert reader.position == 9


@pytest.mark.parametrize("part", [Extent("moov", 10), Extent("moov")], ids=["sized", "to the end"])
def test_a_part_that_is_too_large_is_not_gathered(part: Extent) -> None:
    """What is gathered is kept in memory, and so has a limit."""
    reader = Reader()
    reader.feed(b"0123456789")
    with pytest.raises(NotWhole, match="is too long"):
        next(reader.gather(part, 9))


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_blocks_are_skipped_across_chunks(size: int) -> None:
    """Blocks of a length and as many bytes are passed up to the empty one, and no further."""
    data, reader = b"\3abc\1x\xff" + bytes(255) + b"\0rest", Reader()
    skipping = reader.skip_blocks(Extent("image"))
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    for chunk in chunks:
        reader.feed(chunk)
        if next(skipping, "the end") == "the end":
            break
    assert reader.position == len(data) - 4


def test_parts_are_counted() -> None:
    """A file may have very many parts, if they are not all tiny."""
    reader = Reader()
    for number in range(100_000):
        reader.count_part(number * 30)
    with pytest.raises(NotWhole, match="not a video: 75,000 parts in its first 599,992 bytes"):
        count_tiny(Reader())


def count_tiny(reader: Reader) -> None:
    for number in range(100_000):
        reader.count_part(number * 8)


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
    reader.skip(Extent("free", 4096))
    assert str(reader.cut_inside(part)) == reason
