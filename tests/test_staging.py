"""Payloads on their way: proven while they are written, and known again by their names."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.answer import Link, Output
from archiver.errors import DiskTrouble
from archiver.generation import Generation
from archiver.staging import (
    INCOMING,
    Part,
    Slot,
    StagedFile,
    StagedGeneration,
    Staging,
    slots,
    staged_generations,
)
from archiver.video import NotWhole, Proof

VIDEOS = Path(__file__).parent / "videos"
MP4 = (VIDEOS / "faststart.mp4").read_bytes()
OTHER_MP4 = (VIDEOS / "moov-last.mp4").read_bytes()
WEBM = (VIDEOS / "sized.webm").read_bytes()
GENERATION = Generation("v6/deepfake", "263")
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"


def outputs(*urls: str) -> tuple[Output, ...]:
    return tuple(Output((Link(url, "primary"),)) for url in urls)


def document(*urls: str) -> dict[str, object]:
    return {"status": "success", "id": 263, "output": list(urls)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ONE = ("https://a.example/x/one.mp4?signature=1",)
TWO = (*ONE, "https://a.example/x/two.mp4?signature=1")


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    (tmp_path / INCOMING).mkdir(parents=True)
    return Staging(tmp_path, GENERATION)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / INCOMING / "v6~deepfake~263"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def put(staging: Staging, slot: Slot, data: bytes) -> StagedFile:
    part = staging.part(slot)
    part.write(data)
    return staging.keep(slot, part, part.finish())


def staged(staging: Staging, urls: tuple[str, ...], *payloads: bytes) -> list[StagedFile]:
    """Begin with an answer of these links, and stage payloads for the first of them."""
    places = slots(outputs(*urls))
    answer = staging.begin(document(*urls), places)
    return [*(put(staging, slot, data) for slot, data in zip(places, payloads)), answer]  # noqa: B905


# --- A payload being written


@pytest.mark.parametrize("name", ["faststart.mp4", "fragmented.mp4", "live.webm", "animated.gif"])
@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_what_is_written_is_hashed_and_proven(tmp_path: Path, name: str, size: int) -> None:
    """One pass, in blocks of any size, gives the file, its checksum, its length and its proof."""
    data = (VIDEOS / name).read_bytes()
    with Part(tmp_path / "part") as part:
        for start in range(0, len(data), size):
            block = data[start : start + size]
            assert part.write(block) == len(block)
        assert (part.bytes, part.sha256) == (len(data), sha256(data))
        assert part.finish().extension == name.rpartition(".")[2]
    assert (tmp_path / "part").read_bytes() == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_written(tmp_path: Path, kind: Callable[[bytes], bytes]) -> None:
    """Whatever holds bytes will do."""
    with Part(tmp_path / "part") as part:
        assert part.write(kind(MP4)) == len(MP4)
        assert part.write(b"") == 0
        assert part.sha256 == sha256(MP4)


@pytest.mark.parametrize("page", [HTML, b'{"status": "error"}', b"%PDF-1.7\n" * 9, bytes(100)])
def test_what_is_no_video_is_refused_at_once(tmp_path: Path, page: bytes) -> None:
    """An error page is told by its first bytes, and nothing more of it is downloaded."""
    with Part(tmp_path / "part") as part, pytest.raises(NotWhole):
        part.write(page)
    assert (tmp_path / "part").stat().st_size == 0


@pytest.mark.parametrize("data", [b"", MP4[:1], MP4[:-1], MP4[: len(MP4) // 2], WEBM[:-1]])
def test_what_is_cut_is_not_proven(tmp_path: Path, data: bytes) -> None:
    """Truncation is found by the structure alone."""
    with Part(tmp_path / "part") as part:
        part.write(data)
        with pytest.raises(NotWhole):
            part.finish()


def test_a_full_disk_is_disk_trouble() -> None:
    """What the disk does not take ends the night, it does not fail a link."""
    with Part(Path("/dev/full")) as part, pytest.raises(DiskTrouble, match="No space left"):
        part.write(MP4)


# --- Slots


def test_a_slot_is_its_place_and_its_links_file_name() -> None:
    """A link signed anew fills the same slot; another file, place or number does not."""
    one, two = slots(outputs(*TWO))
    assert (one.number, one.of, two.number, two.of) == (1, 2, 2, 2)
    assert slots(outputs("https://b.example/y/one.mp4?signature=2")) == [Slot(1, 1, one.link)]
    assert one.link != two.link
    assert slots(()) == []


# --- Keeping and finding


@pytest.mark.parametrize(
    ("data", "path"),
    [(MP4, "data/v6/deepfake/263.mp4"), (WEBM, "data/v6/deepfake/263.webm")],
)
def test_a_kept_payload_is_found_again(
    tmp_path: Path, staging: Staging, data: bytes, path: str
) -> None:
    """Its name says which slot it fills and what it must be; its target follows its bytes."""
    kept, answer = staged(staging, ONE, data)
    [slot] = slots(outputs(*ONE))
    assert (kept.path, kept.sha256, kept.bytes) == (path, sha256(data), len(data))
    assert (tmp_path / kept.staged).read_bytes() == data
    assert Staging(tmp_path, GENERATION).find(slot) == kept
    assert (answer.path, answer.bytes) == (
        "data/v6/deepfake/263.json",
        (tmp_path / answer.staged).stat().st_size,
    )


def test_several_outputs_are_numbered(staging: Staging) -> None:
    """Each has its own target, in the order of the answer."""
    assert [file.path for file in staged(staging, TWO, MP4, WEBM)] == [
        "data/v6/deepfake/263-1.mp4", "data/v6/deepfake/263-2.webm", "data/v6/deepfake/263.json",
    ]  # fmt: skip


def test_nothing_staged_is_nothing_found(staging: Staging) -> None:
    """Nor does a generation that was never begun."""
    assert staging.find(Slot(1, 1, "0" * 16)) is None
    assert staging.complete() is None


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte changed": lambda path: path.write_bytes(MP4[:-1] + bytes([MP4[-1] ^ 1])),
    "cut": lambda path: path.write_bytes(MP4[:-1]),
    "longer": lambda path: path.write_bytes(MP4 + b"x"),
    "emptied": lambda path: path.write_bytes(b""),
    "all zeros": lambda path: path.write_bytes(bytes(len(MP4))),
    "another video": lambda path: path.write_bytes(OTHER_MP4),
    "a page": lambda path: path.write_bytes(HTML),
    "another extension": lambda path: path.rename(path.with_suffix(".webm")),
    "no extension": lambda path: path.rename(path.with_suffix("")),
    "another checksum": lambda path: path.rename(
        path.with_name(path.name.replace(sha256(MP4), sha256(WEBM)))
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_payload_that_is_not_what_its_name_says_is_not_found(
    tmp_path: Path, staging: Staging, damage: Callable[[Path], object]
) -> None:
    """Only bytes that are proven again, against the name, are not downloaded again."""
    kept, _ = staged(staging, ONE, MP4)
    damage(tmp_path / kept.staged)
    assert staging.find(slots(outputs(*ONE))[0]) is None
    assert staging.complete() is None


def test_a_whole_payload_is_found_beside_a_damaged_one(tmp_path: Path, staging: Staging) -> None:
    """What a crash has torn does not hide what was downloaded after it."""
    kept, _ = staged(staging, ONE, MP4)
    for digit in "0f":
        torn = (tmp_path / kept.staged).name.replace(kept.sha256, digit * 64)
        (tmp_path / kept.staged).with_name(torn).write_bytes(MP4[:100])
    assert staging.find(slots(outputs(*ONE))[0]) == kept


@given(st.permutations([MP4, OTHER_MP4, WEBM]), st.integers(1, 3))
def test_whatever_is_kept_is_found(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], count: int
) -> None:
    """The names of the files are all there is to remember: they are read back exactly."""
    root = tmp_path_factory.mktemp("archive")
    urls = tuple(f"https://a.example/{n}.mp4" for n in range(count))
    *kept, answer = staged(Staging(root, GENERATION), urls, *payloads[:count])
    again = Staging(root, GENERATION)
    assert [again.find(slot) for slot in slots(outputs(*urls))] == kept
    assert again.complete() == StagedGeneration(GENERATION, (*kept, answer))


# --- Beginning


def test_the_answer_is_kept_as_it_came(directory: Path, staging: Staging) -> None:
    """As JSON for people, with its checksum and length; odd characters do it no harm."""
    answer = {"status": "success", "output": [*ONE], "message": "é \ud83d \u2028", "n": [1.5, None]}
    kept = staging.begin(answer, slots(outputs(*ONE)))
    written = (directory / "answer.json").read_bytes()
    assert json.loads(written) == answer
    assert (kept.sha256, kept.bytes) == (sha256(written), len(written))


def test_what_the_new_answer_speaks_of_is_kept(directory: Path, staging: Staging) -> None:
    """Also when its link is signed anew: the file name tells, not the query."""
    *kept, _ = staged(staging, TWO, MP4, WEBM)
    anew = tuple(url.replace("signature=1", "signature=2") for url in TWO)
    assert anew != TWO
    staging.begin(document(*anew), slots(outputs(*anew)))
    assert [staging.find(slot) for slot in slots(outputs(*anew))] == kept
    assert json.loads((directory / "answer.json").read_text()) == document(*anew)


@pytest.mark.parametrize(
    "anew",
    [
        ("https://a.example/x/three.mp4",),
        ("https://a.example/x/two.mp4", "https://a.example/x/one.mp4"),
        (*TWO, "https://a.example/x/three.mp4"),
    ],
)
def test_what_the_new_answer_does_not_speak_of_is_not_taken_for_it(
    directory: Path, staging: Staging, anew: tuple[str, ...]
) -> None:
    """Another file, place or number of outputs: the old payload is not it, but is kept."""
    staged(staging, TWO, MP4, WEBM)
    before = names(directory)
    staging.begin(document(*anew), slots(outputs(*anew)))
    assert [staging.find(slot) for slot in slots(outputs(*anew))] == [None] * len(anew)
    assert names(directory) == before


def test_what_was_cut_short_is_thrown_away(directory: Path, staging: Staging) -> None:
    """A part that an earlier night has left is of no use."""
    staged(staging, ONE, MP4)
    (directory / "1of1.part").write_bytes(MP4[:100])
    kept, *_ = staged(staging, ONE)
    assert [name for name in names(directory) if name.endswith(".part")] == []
    assert kept.path == "data/v6/deepfake/263.json"


def test_a_part_of_no_known_origin_is_thrown_away(directory: Path, staging: Staging) -> None:
    """A try that nothing could go on with starts from nothing and leaves nothing."""
    staged(staging, ONE)
    [slot] = slots(outputs(*ONE))
    for _ in range(2):
        part = staging.part(slot)
        assert part.path.stat().st_size == 0
        part.write(MP4[:100])
        part.leave()
        assert part.closed
        assert names(directory) == ["answer.json"]


# --- After a crash


def test_a_generation_that_is_all_there_is_complete(staging: Staging) -> None:
    """Payloads first and in order, then the answer, whose bytes are not counted as payload."""
    files = staged(staging, TWO, MP4, WEBM)
    complete = staging.complete()
    assert complete == StagedGeneration(GENERATION, tuple(files))
    assert complete.payload_bytes == len(MP4) + len(WEBM)


def incomplete(path: Path, tear: Callable[[bytes], bytes]) -> None:
    path.write_bytes(tear(path.read_bytes()))


@pytest.mark.parametrize(
    "tear",
    [
        lambda _: b"",
        lambda data: data[:-3],
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: data[:20] + bytes(len(data) - 20),
        lambda data: data.replace(b"success", b"processing"),
        lambda data: data.replace(b"263", b"264"),
        lambda data: b"\xff" + data,
    ],
)
def test_without_a_readable_answer_it_is_not_complete(
    directory: Path, staging: Staging, tear: Callable[[bytes], bytes]
) -> None:
    """A torn answer does not say how many outputs there are, or of what."""
    staged(staging, ONE, MP4)
    incomplete(directory / "answer.json", tear)
    assert staging.complete() is None


def test_without_an_answer_it_is_not_complete(directory: Path, staging: Staging) -> None:
    """Payloads alone are not a generation."""
    staged(staging, ONE, MP4)
    (directory / "answer.json").unlink()
    assert staging.complete() is None


@pytest.mark.parametrize("payloads", [[], [MP4]])
def test_without_every_output_it_is_not_complete(staging: Staging, payloads: list[bytes]) -> None:
    """All outputs or none."""
    staged(staging, TWO, *payloads)
    assert staging.complete() is None


def test_a_generation_without_payloads_is_tidied_away(directory: Path, staging: Staging) -> None:
    """An answer and a part are of no use to the next night."""
    staged(staging, ONE)
    (directory / "1of1.part").write_bytes(MP4[:100])
    staging.tidy()
    assert not directory.exists()
    staging.tidy()


def test_payloads_outlive_tidying(directory: Path, staging: Staging) -> None:
    """What is whole is kept for the next try, when the other outputs may come."""
    kept, _ = staged(staging, TWO, MP4)
    staging.tidy()
    assert staging.find(slots(outputs(*TWO))[0]) == kept


def test_clearing_leaves_nothing(directory: Path, staging: Staging) -> None:
    """A generation that is held, or lost, needs no staging."""
    staged(staging, TWO, MP4)
    staging.clear()
    assert not directory.exists()
    staging.clear()


def test_what_is_on_its_way_is_listed(tmp_path: Path, staging: Staging) -> None:
    """The directories' names are the generations' names, whatever the endpoint."""
    on_their_way = [
        Generation.of("deepfake", "263"),
        Generation.of("deepfake", "-1-"),
        Generation.of("v1/enterprise/video", "A_b"),
        Generation.of("v7/video-fusion", "x" * 128),
    ]
    for generation in on_their_way:
        Staging(tmp_path, generation).begin(document(*ONE), slots(outputs(*ONE)))
    found = [staging.generation for staging in staged_generations(tmp_path)]
    assert sorted(found) == sorted(on_their_way)


@pytest.mark.parametrize("name", ["..~..~evil", "notes", "v6~deepfake~..", "~", "v6~faceswap~1"])
def test_a_directory_of_no_generation_is_passed_over(tmp_path: Path, name: str) -> None:
    """Whatever else lies there, nothing of it is placed in the archive, and it is left alone."""
    (tmp_path / INCOMING / name).mkdir(parents=True)
    assert list(staged_generations(tmp_path)) == []


def test_where_nothing_can_be_listed_is_disk_trouble(tmp_path: Path) -> None:
    """A missing directory is told, not taken for an empty one."""
    with pytest.raises(DiskTrouble, match="reading"):
        list(staged_generations(tmp_path))


@pytest.mark.parametrize(
    "act",
    [
        lambda staging, slot: staging.begin({}, [slot]),
        lambda staging, slot: staging.part(slot),
    ],
)
def test_a_disk_that_does_not_let_it_is_disk_trouble(
    tmp_path: Path, act: Callable[[Staging, Slot], object]
) -> None:
    """Where no directory can be made, the night ends; no generation is blamed."""
    (tmp_path / ".archiver").touch()
    with pytest.raises(DiskTrouble, match="the disk failed while"):
        act(Staging(tmp_path, GENERATION), Slot(1, 1, "0" * 16))


def test_keeping_needs_the_part(staging: Staging, directory: Path) -> None:
    """If the part has vanished, that is the disk's trouble too."""
    staging.begin(document(*ONE), slots(outputs(*ONE)))
    [slot] = slots(outputs(*ONE))
    part = staging.part(slot)
    part.write(MP4)
    part.path.unlink()
    with pytest.raises(DiskTrouble, match="keeping"):
        staging.keep(slot, part, Proof("mp4", open_ended=False))
