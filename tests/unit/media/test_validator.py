"""What the validator accepts, however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.media.info import MediaInfo
from archiver.media.reader import NotWhole
from archiver.media.validator import Validator
from tests.unit.media.checks import chunked, kind, validate, verdict
from tests.unit.media.samples import FTYP, GIF, HTML, MEDIA, MOOV, NO_COLOURS, VIDEOS, WEBM

FRAGMENTED = {"fragmented.mp4", "fragmented-no-index.mp4", "live.webm"}


@pytest.mark.parametrize("name", MEDIA)
def test_a_whole_video_is_valid(name: str) -> None:
    """The result for a whole video is its extension, and whether its structure shows its end."""
    assert validate(VIDEOS[name]) == MEDIA[name]


def test_every_fixture_is_in_the_table() -> None:
    """The table of expected results has every video of the tests."""
    assert VIDEOS.keys() == MEDIA.keys()


@pytest.mark.parametrize("name", MEDIA)
def test_one_byte_at_a_time(name: str) -> None:
    """A video that arrives one byte at a time is valid all the same."""
    assert validate(*chunked(VIDEOS[name], range(len(VIDEOS[name])))) == MEDIA[name]


@given(st.sampled_from(sorted(MEDIA)), st.data())
def test_chunks_do_not_matter(name: str, data: st.DataObject) -> None:
    """How a video, whole or cut, is divided into chunks changes nothing, not even the reason."""
    video = VIDEOS[name][: data.draw(st.integers(0, len(VIDEOS[name])))]
    cuts = data.draw(st.lists(st.integers(0, len(video))))
    assert verdict(chunked(video, cuts)) == verdict([video])


@pytest.mark.parametrize("name", sorted(MEDIA.keys() - FRAGMENTED))
def test_every_cut_of_a_sized_video_is_detected(name: str) -> None:
    """A video whose structure shows its end is refused wherever it is cut."""
    video = VIDEOS[name]
    assert [n for n in range(len(video)) if isinstance(verdict([video[:n]]), MediaInfo)] == []


@pytest.mark.parametrize(
    ("name", "boundaries"),
    [
        ("fragmented.mp4", [1968, 2543, 3021]),
        ("fragmented-no-index.mp4", [1968, 2543]),
        ("live.webm", [2533]),
    ],
)
def test_a_cut_between_fragments_is_open_ended(name: str, boundaries: list[int]) -> None:
    """Only a cut right between two fragments passes, and then as open-ended."""
    video = VIDEOS[name]
    verdicts = {n: verdict([video[:n]]) for n in range(len(video))}
    whole = {n: kind(media) for n, media in verdicts.items() if isinstance(media, MediaInfo)}
    assert whole == dict.fromkeys(boundaries, (MEDIA[name].extension, True))


@pytest.mark.parametrize("name", MEDIA)
@pytest.mark.parametrize("tail", [HTML, b"\n" + HTML, b'{"status": "error"}'])
def test_no_page_may_follow(name: str, tail: bytes) -> None:
    """A video with an error page behind it is not one whole video."""
    with pytest.raises(NotWhole):
        validate(VIDEOS[name], tail)


@pytest.mark.parametrize("name", MEDIA)
def test_a_video_twice_is_not_one_video(name: str) -> None:
    """Two copies in a row, as a botched resume leaves them, are not one whole video."""
    with pytest.raises(NotWhole):
        validate(VIDEOS[name] * 2)


def test_an_error_is_final() -> None:
    """Bytes refused once are refused for the same reason on every later call."""
    validator = Validator()
    with pytest.raises(NotWhole, match="HTML"):
        validator.feed(HTML)
    with pytest.raises(NotWhole, match="HTML"):
        validator.feed(VIDEOS["faststart.mp4"])
    for _ in range(2):
        with pytest.raises(NotWhole, match="HTML"):
            validator.finish()


def test_nothing_is_fed_after_the_end() -> None:
    """The result can be read again; bytes fed after it are the caller's mistake."""
    validator = Validator()
    validator.feed(VIDEOS["faststart.mp4"])
    assert validator.finish() == validator.finish()
    with pytest.raises(RuntimeError, match="fed after the end"):
        validator.feed(b"more")


def test_a_chunk_may_be_reused() -> None:
    """The caller may overwrite and resize the buffer that it fed."""
    validator, buffer = Validator(), bytearray()
    for chunk in chunked(VIDEOS["moov-last.mp4"], range(0, 2082, 5)):
        buffer[:] = chunk
        validator.feed(memoryview(buffer)[:])
        buffer.clear()
    assert validator.finish().extension == "mp4"


def test_bytes_after_a_definite_end_are_refused_at_once() -> None:
    """Where the structure has ended, one more byte is refused as it arrives."""
    validator = Validator()
    validator.feed(VIDEOS["sized.webm"])
    with pytest.raises(NotWhole, match="it goes on"):
        validator.feed(HTML)


openings = st.sampled_from(
    [
        b"",
        FTYP,
        FTYP + MOOV,
        WEBM,
        WEBM + b"\x18\x53\x80\x67\xff",
        GIF,
        GIF + NO_COLOURS,
        b"<",
        b"RIFF",
    ]
)


@given(openings, st.lists(st.binary(max_size=64)))
def test_no_bytes_break_it(opening: bytes, chunks: list[bytes]) -> None:
    """Any bytes in any chunks give media information or a reason, always the same."""
    result = verdict([opening, *chunks])
    assert isinstance(result, MediaInfo) or result
    assert result == verdict([opening + b"".join(chunks)])


@given(st.sampled_from(sorted(MEDIA)), st.data())
def test_no_damage_breaks_it(name: str, data: st.DataObject) -> None:
    """A video with bytes overwritten anywhere gives media information or a reason, nothing else."""
    video = bytearray(VIDEOS[name])
    at = data.draw(st.integers(0, len(video) - 1))
    video[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    assert verdict([bytes(video)])
