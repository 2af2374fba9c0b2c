"""Payloads on their way: proven while they are written, and known again by their names."""

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.partial_file import Origin, Part, Slot
from archiver.archive.staging import (
    INCOMING,
    StagedFile,
    StagedGeneration,
    Staging,
    slots,
    staged_generations,
    write_out,
)
from archiver.errors import StorageError
from archiver.generation import Generation
from archiver.media import MediaInfo, NotWhole
from archiver.outputs import Link, Output

VIDEOS = Path(__file__).parents[2] / "videos"
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
    with closing(staging.new_part(slot)) as part:
        part.write(data)
        return staging.keep(part, part.finish())


def staged(staging: Staging, urls: tuple[str, ...], *payloads: bytes) -> list[StagedFile]:
    """Begin with a response of these links, and stage payloads for the first of them."""
    response = staging.begin(document(*urls))
    places = slots(outputs(*urls))
    return [*(put(staging, slot, data) for slot, data in zip(places, payloads)), response]  # noqa: B905


def begun(staging: Staging, urls: tuple[str, ...]) -> list[StagedFile | Part]:
    """Begin with a response of these links, as a night does that finds something left."""
    staging.begin(document(*urls))
    return staging.leftovers(slots(outputs(*urls)))


def left(staging: Staging, slot: Slot, data: bytes, origin: Origin | None) -> None:
    """Have an earlier try stop after so many bytes of a file of this origin."""
    with closing(staging.new_part(slot)) as part:
        part.restart(origin)
        part.write(data)
        part.leave()


class Disk:
    """What is asked of the disk, in order: what is flushed, what is renamed, what is opened."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self._plain = {"rename": os.rename, "mkdir": os.mkdir, "open": io.open}
        self._os_open = os.open
        patch.setattr(os, "open", self._os_opening)
        patch.setattr(os, "fsync", self._fsync)
        patch.setattr(os, "rename", self._rename)
        patch.setattr(os, "mkdir", self._mkdir)
        patch.setattr(io, "open", self._open)

    def _fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.log.append(f"fsync {path.name} of {path.stat().st_size}")

    def _rename(self, path: Path, target: Path) -> None:
        self.log.append(f"rename {Path(path).name} {Path(target).name}")
        self._plain["rename"](path, target)

    def _mkdir(self, path: Path, *args: object, **kwargs: object) -> None:
        self.log.append(f"mkdir {path}")
        self._plain["mkdir"](path, *args, **kwargs)

    def _os_opening(self, path: Path, flags: int, *args: int) -> int:
        if flags & os.O_WRONLY:
            self.log.append(f"open {Path(path).name} wb")
        return self._os_open(path, flags, *args)

    def _open(self, path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        self.log.append(f"open {Path(path).name} {mode}")
        return self._plain["open"](path, mode, *args, **kwargs)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Origin:
    """Where a part came from that can be gone on with, on a machine that is still up."""
    monkeypatch.setattr("archiver.archive.partial_file.this_boot", lambda: "this boot")
    return Origin('"tag"', "", len(MP4), "this boot")


# --- A payload being written

SLOT = Slot(1, 1, "0" * 16)


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    with closing(Part(tmp_path, SLOT, lambda: None)) as part:
        yield part


@pytest.mark.parametrize("name", ["faststart.mp4", "fragmented.mp4", "live.webm", "animated.gif"])
@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_what_is_written_is_hashed_and_proven(part: Part, name: str, size: int) -> None:
    """One pass, in blocks of any size, gives the file, its checksum, its length and its proof."""
    data = (VIDEOS / name).read_bytes()
    for start in range(0, len(data), size):
        part.write(data[start : start + size])
    assert (part.bytes, part.sha256) == (len(data), sha256(data))
    assert part.finish().extension == name.rpartition(".")[2]
    assert part.path.read_bytes() == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_written(part: Part, kind: Callable[[bytes], bytes]) -> None:
    """Whatever holds bytes will do."""
    part.write(kind(MP4))
    part.write(b"")
    assert part.bytes == len(MP4)
    assert part.sha256 == sha256(MP4)


@pytest.mark.parametrize("cuts", [[], [0], [1, 1, 8], [100, 2000], range(0, len(MP4), 99)])
def test_blocks_are_written_one_after_the_other(part: Part, cuts: Sequence[int]) -> None:
    """Gathered blocks are the same bytes as if they had been written each for itself."""
    ends = [0, *cuts, len(MP4)]
    part.writelines([MP4[start:end] for start, end in pairwise(ends)])
    assert (part.bytes, part.sha256) == (len(MP4), sha256(MP4))
    assert part.path.read_bytes() == MP4


@pytest.mark.parametrize("page", [HTML, b'{"status": "error"}', b"%PDF-1.7\n" * 9, bytes(100)])
def test_what_is_no_video_is_refused_at_once(part: Part, page: bytes) -> None:
    """An error page is told by its first bytes, and nothing more of it is downloaded."""
    with pytest.raises(NotWhole):
        part.write(page)
    assert part.path.stat().st_size == 0


@pytest.mark.parametrize("data", [b"", MP4[:1], MP4[:-1], MP4[: len(MP4) // 2], WEBM[:-1]])
def test_what_is_cut_is_not_proven(part: Part, data: bytes) -> None:
    """Truncation is found by the structure alone."""
    part.write(data)
    with pytest.raises(NotWhole):
        part.finish()


def test_a_full_disk_is_disk_trouble(part: Part) -> None:
    """What the disk does not take ends the night, it does not fail a link."""
    part.path.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        part.write(MP4)


def test_a_part_that_begins_anew_has_nothing_of_the_old(part: Part, origin: Origin) -> None:
    """Bytes, checksum, proof and origin are those of the new file alone."""
    for again in (None, origin, None):
        part.write(OTHER_MP4[:5000])
        part.restart(again)
        assert (part.bytes, part.sha256, part.origin) == (0, sha256(b""), again)
        assert not part.path.exists()
    part.write(MP4)
    assert part.path.read_bytes() == MP4
    assert (part.sha256, part.finish().extension) == (sha256(MP4), "mp4")
    assert [path.name for path in part.path.parent.iterdir()] == [part.path.name]


# --- When the disk is touched


def everything(root: Path) -> dict[str, bytes | None]:
    """Return all that is there, whatever it is."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


def test_nothing_is_touched_before_the_first_byte(tmp_path: Path, disk: Disk) -> None:
    """A response, parts, and links that all fail without a byte leave no trace, not even briefly."""
    staging = Staging(tmp_path, GENERATION)
    staging.begin(document(*TWO))
    assert not staging.has_leftovers()
    for part in map(staging.new_part, slots(outputs(*TWO))):
        part.restart()
        with pytest.raises(NotWhole):
            part.finish()
        part.leave()
        assert not part.kept
    staging.make_sure_of_room(10, 0)
    staging.tidy()
    assert not staging.has_leftovers()
    assert disk.log == []
    assert everything(tmp_path) == {}


def test_a_small_video_is_one_visit_to_the_disk(
    tmp_path: Path, staging: Staging, directory: Path, disk: Disk
) -> None:
    """With its first bytes the response is written; each file is opened once, to write, and flushed.

    That is so before a payload has the name that says it is whole.
    """
    kept, response = staged(staging, ONE, MP4)
    name = f"{slots(outputs(*ONE))[0].stem}.part"
    assert disk.log == [
        f"mkdir {directory}",
        "open answer.json wb", f"fsync answer.json of {response.bytes}",
        f"open {name} wb", f"fsync {name} of {len(MP4)}", f"rename {name} {Path(kept.staged).name}",
    ]  # fmt: skip
    assert sha256((tmp_path / response.staged).read_bytes()) == response.sha256


# --- A small video that comes in one piece

LIMIT = 128 << 10


def held(staging: Staging, *blocks: bytes) -> StagedGeneration:
    """Stage the only output of a generation as a download of these blocks does."""
    response = staging.begin(document(*ONE))
    part = staging.new_part(slots(outputs(*ONE))[0])
    assert staging.may_hold(part, blocks)
    part.hold(blocks)
    return staging.gathered([staging.keep(part, part.finish()), response])


def test_a_small_video_waits_in_memory(
    tmp_path: Path, staging: Staging, directory: Path, disk: Disk
) -> None:
    """Nothing is on the disk until the group is settled; then it is as if it had been all along.

    All is written before anything is flushed, and flushed before a payload has its name.
    """
    generation = held(staging, MP4[:100], MP4[100:])
    assert disk.log == []
    assert not staging.has_leftovers()
    write_out(tmp_path, [generation])
    kept, response = generation.files
    name = f"{slots(outputs(*ONE))[0].stem}.part"
    assert disk.log == [
        f"mkdir {directory}", "open answer.json wb", f"open {name} wb",
        f"fsync answer.json of {response.bytes}", f"fsync {name} of {len(MP4)}",
        f"rename {name} {Path(kept.staged).name}",
    ]  # fmt: skip
    assert Staging(tmp_path, GENERATION).complete() == StagedGeneration(
        GENERATION, (kept, response)
    )


def test_what_a_killed_night_was_writing_out_is_written_over(
    tmp_path: Path, staging: Staging, directory: Path
) -> None:
    """A directory, a response and half a part that are there already are in nobody's way."""
    directory.mkdir(parents=True)
    (directory / "answer.json").write_text("{")
    generation = held(staging, MP4)
    assert generation.unwritten
    (tmp_path / generation.unwritten.part).write_bytes(OTHER_MP4)
    write_out(tmp_path, [generation])
    complete = Staging(tmp_path, GENERATION).complete()
    assert complete
    assert complete.files == generation.files


@pytest.mark.parametrize(
    "why", ["it is large", "there are two", "something is written", "it may be resumed"]
)
def test_nothing_else_is_held_in_memory(staging: Staging, origin: Origin, why: str) -> None:
    """Not what is worth going on with after a crash, nor what is on the disk in part."""
    urls = TWO if why == "there are two" else ONE
    staging.begin(document(*urls))
    part = staging.new_part(slots(outputs(*urls))[0])
    blocks = [bytes(LIMIT // 2)] * (3 if why == "it is large" else 2)
    with closing(part):
        if why == "something is written":
            part.write(MP4[:1000])
        if why == "it may be resumed":
            part.restart(origin)
        assert not staging.may_hold(part, blocks)


def test_where_something_is_left_over_nothing_is_held(staging: Staging) -> None:
    """The response is on the disk already, and what is new belongs beside it."""
    staging.begin(document(*ONE))
    (part,) = staging.leftovers(slots(outputs(*ONE)))
    assert isinstance(part, Part)
    assert not staging.may_hold(part, [MP4])


def test_what_is_held_and_is_no_video_is_refused(staging: Staging, disk: Disk) -> None:
    """A page, or a video that is cut, leaves no trace."""
    staging.begin(document(*ONE))
    part = staging.new_part(slots(outputs(*ONE))[0])
    with pytest.raises(NotWhole, match="HTML"):
        part.hold([b"<!doctype html><title>404</title>"])
    part.restart()
    part.hold([MP4[:-1]])
    with pytest.raises(NotWhole, match="cut"):
        part.finish()
    part.restart()
    assert part.held is None
    assert disk.log == []


def test_the_answer_is_written_once(staging: Staging, directory: Path, disk: Disk) -> None:
    """The first payload brings it; the others, and a part begun anew, find it there."""
    *_, last = staged(staging, TWO, MP4, WEBM)
    with closing(staging.new_part(slots(outputs(*TWO))[0])) as part:
        part.write(MP4)
        part.restart()
        part.write(MP4)
    assert disk.log.count("open answer.json wb") == 1
    assert disk.log.count(f"fsync answer.json of {last.bytes}") == 1
    assert disk.log.count(f"mkdir {directory}") == 1


def test_a_payload_is_flushed_after_its_last_byte(staging: Staging, disk: Disk) -> None:
    """However often it was begun, and in how many blocks it came, all of it is on the disk."""
    staging.begin(document(*ONE))
    with closing(staging.new_part(slots(outputs(*ONE))[0])) as part:
        part.write(OTHER_MP4[:5000])
        part.restart()
        for start in range(0, len(MP4), 9000):
            part.write(MP4[start : start + 9000])
        kept = staging.keep(part, part.finish())
        assert part.kept
    assert disk.log[-2:] == [
        f"fsync {part.path.name} of {len(MP4)}", f"rename {part.path.name} {Path(kept.staged).name}"
    ]  # fmt: skip
    assert len([step for step in disk.log if step.startswith("fsync")]) == 2


def test_what_an_earlier_night_staged_is_flushed_again(
    tmp_path: Path, staging: Staging, disk: Disk
) -> None:
    """That night may have been killed before it was: it is flushed by whoever finds it."""
    kept, _ = staged(staging, TWO, MP4)
    name = Path(kept.staged).name
    disk.log.clear()
    anew = Staging(tmp_path, GENERATION)
    found, _ = begun(anew, TWO)
    assert found == kept
    response = anew.begin(document(*TWO))
    assert f"fsync {name} of {kept.bytes}" in disk.log
    assert f"fsync answer.json of {response.bytes}" in disk.log


def test_what_a_killed_night_has_finished_is_flushed(
    tmp_path: Path, staging: Staging, disk: Disk
) -> None:
    """Every file of a generation that is complete: the payloads and the response beside them."""
    files = staged(staging, TWO, MP4, WEBM)
    disk.log.clear()
    assert Staging(tmp_path, GENERATION).complete()
    flushed = [step for step in disk.log if step.startswith("fsync")]
    assert flushed == [f"fsync {Path(file.staged).name} of {file.bytes}" for file in files]


def test_what_cannot_be_flushed_is_not_staged(
    staging: Staging, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload gets its name, and is found by it, only once the disk has taken it."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    [slot] = slots(outputs(*ONE))
    staging.begin(document(*ONE))
    with closing(staging.new_part(slot)) as part:
        part.write(MP4)
        with monkeypatch.context() as failing:
            failing.setattr(os, "fsync", fail)
            with pytest.raises(StorageError, match=r"keeping .*Input/output error"):
                staging.keep(part, part.finish())
        assert not part.kept
        assert names(directory) == [part.path.name, "answer.json"]
        staging.keep(part, part.finish())
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", fail)
        for act in (staging.complete, lambda: staging.find(slot), lambda: begun(staging, ONE)):
            with pytest.raises(StorageError, match="Input/output error"):
                act()


# --- Slots


def test_a_slot_is_its_place_and_its_links_path() -> None:
    """A link signed anew, or to another host, fills the same slot; another path does not."""
    one, two = slots(outputs(*TWO))
    assert (one.number, one.of, two.number, two.of) == (1, 2, 2, 2)
    assert slots(outputs("https://b.example/x/one.mp4?signature=2")) == [Slot(1, 1, one.link)]
    (namesake,) = slots(outputs("https://a.example/y/one.mp4"))
    assert namesake.link != one.link
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
    kept, response = staged(staging, ONE, data)
    [slot] = slots(outputs(*ONE))
    assert (kept.path, kept.sha256, kept.bytes) == (path, sha256(data), len(data))
    assert (tmp_path / kept.staged).read_bytes() == data
    assert Staging(tmp_path, GENERATION).find(slot) == kept
    assert (response.path, response.bytes) == (
        "data/v6/deepfake/263.json",
        (tmp_path / response.staged).stat().st_size,
    )


def test_several_outputs_are_numbered(staging: Staging) -> None:
    """Each has its own target, in the order of the response."""
    assert [file.path for file in staged(staging, TWO, MP4, WEBM)] == [
        "data/v6/deepfake/263-1.mp4", "data/v6/deepfake/263-2.webm", "data/v6/deepfake/263.json",
    ]  # fmt: skip


def test_nothing_staged_is_nothing_found(staging: Staging) -> None:
    """Nor does a generation that was never begun."""
    assert staging.find(SLOT) is None
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
    *kept, response = staged(Staging(root, GENERATION), urls, *payloads[:count])
    again = Staging(root, GENERATION)
    assert [again.find(slot) for slot in slots(outputs(*urls))] == kept
    assert again.complete() == StagedGeneration(GENERATION, (*kept, response))


# --- Beginning


def test_the_answer_is_kept_as_it_came(directory: Path, staging: Staging) -> None:
    """As JSON for people, with its checksum and length; odd characters do it no harm."""
    response = {
        "status": "success",
        "output": [*ONE],
        "message": "é \ud83d \u2028",
        "n": [1.5, None],
    }
    kept = staging.begin(response)
    put(staging, *slots(outputs(*ONE)), MP4)
    written = (directory / "answer.json").read_bytes()
    assert json.loads(written) == response
    assert (kept.sha256, kept.bytes) == (sha256(written), len(written))


def test_what_the_new_answer_speaks_of_is_kept(directory: Path, staging: Staging) -> None:
    """Also when its link is signed anew: the file name tells, not the query."""
    *kept, _ = staged(staging, TWO, MP4, WEBM)
    anew = tuple(url.replace("signature=1", "signature=2") for url in TWO)
    assert anew != TWO
    assert staging.has_leftovers()
    assert begun(staging, anew) == kept
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
    assert all(isinstance(one, Part) and one.bytes == 0 for one in begun(staging, anew))
    assert [staging.find(slot) for slot in slots(outputs(*anew))] == [None] * len(anew)
    assert names(directory) == before
    assert json.loads((directory / "answer.json").read_text()) == document(*anew)


def test_what_was_cut_short_is_thrown_away(
    directory: Path, staging: Staging, origin: Origin
) -> None:
    """A part of what the response no longer speaks of is of no use, whatever is known of it."""
    staged(staging, ONE, MP4)
    before = names(directory)
    (directory / "1of1.part").write_bytes(MP4[:100])
    for gone in (Slot(1, 2, slots(outputs(*ONE))[0].link), SLOT):
        left(staging, gone, MP4[:100], origin)
    assert len(names(directory)) == len(before) + 5
    [kept] = begun(staging, ONE)
    assert isinstance(kept, StagedFile)
    assert names(directory) == before


def test_each_slot_has_what_was_left_for_it(staging: Staging, origin: Origin) -> None:
    """A whole payload, a part, or a part of which there is nothing yet, in their order."""
    three = (*TWO, "https://a.example/x/three.mp4")
    places = slots(outputs(*three))
    kept, _ = staged(staging, three, WEBM)
    left(staging, places[1], MP4[:100], origin)
    whole, part, new = begun(staging, three)
    assert whole == kept
    assert isinstance(part, Part)
    assert (part.slot, part.bytes, part.origin) == (places[1], 100, origin)
    assert isinstance(new, Part)
    assert (new.slot, new.bytes, new.origin) == (places[2], 0, None)


# --- A part that is gone on with


def test_a_part_of_no_known_origin_is_thrown_away(directory: Path, staging: Staging) -> None:
    """A try that nothing could go on with starts from nothing and leaves nothing."""
    staged(staging, ONE)
    [slot] = slots(outputs(*ONE))
    for _ in range(2):
        part = staging.part(slot)
        assert part.bytes == 0
        assert not part.path.exists()
        part.write(MP4[:100])
        part.leave()
        assert names(directory) == ["answer.json"]
    # What a killed run has left is no better: it is overwritten from its beginning.
    part.path.write_bytes(OTHER_MP4)
    with closing(staging.part(slot)) as part:
        part.write(MP4)
        assert part.path.read_bytes() == MP4


@pytest.mark.parametrize("size", [1, 100, len(MP4) - 1, len(MP4)])
def test_a_part_is_gone_on_with(
    tmp_path: Path, staging: Staging, directory: Path, origin: Origin, size: int
) -> None:
    """What another night has left is hashed and proven with what is written to it then."""
    [slot] = slots(outputs(*ONE))
    staging.begin(document(*ONE))
    left(staging, slot, MP4[:size], origin)
    name = f"{slot.stem}.part"
    assert names(directory) == [name, f"{name}.json", "answer.json"]
    [part] = begun(Staging(tmp_path, GENERATION), ONE)
    assert isinstance(part, Part)
    with closing(part):
        assert (part.bytes, part.sha256, part.origin) == (size, sha256(MP4[:size]), origin)
        part.write(MP4[size:])
        kept = staging.keep(part, part.finish())
    assert (kept.sha256, kept.bytes) == (sha256(MP4), len(MP4))
    assert (tmp_path / kept.staged).read_bytes() == MP4
    assert names(directory) == [Path(kept.staged).name, "answer.json"]


def test_a_part_is_not_read_again_while_it_lives(
    staging: Staging, directory: Path, origin: Origin, disk: Disk
) -> None:
    """From try to try its file stays open, and what was hashed stays hashed."""
    staging.begin(document(*ONE))
    [slot] = slots(outputs(*ONE))
    with closing(staging.new_part(slot)) as part:
        part.restart(origin)
        for start in range(0, len(MP4), 9000):
            part.writelines([MP4[start : start + 9000]])
        assert part.sha256 == sha256(MP4)
        part.leave()
    opened = [step for step in disk.log if step.startswith(f"open {part.path.name} ")]
    assert opened == [f"open {part.path.name} wb"]
    with closing(Staging(directory.parents[2], GENERATION).part(slot)):
        pass
    assert disk.log[-1] == f"open {part.path.name} rb"


def test_a_part_without_a_byte_is_not_left(
    directory: Path, staging: Staging, origin: Origin
) -> None:
    """However much is known of its file, there is nothing to go on with."""
    staging.begin(document(*ONE))
    [slot] = slots(outputs(*ONE))
    left(staging, slot, b"", origin)
    assert names(directory) == ["answer.json"]
    staging.tidy()
    assert not staging.has_leftovers()


@pytest.mark.parametrize(
    "known",
    [
        b"", b"{", b"[]", b"null", b'{"validator": "x"}', b"\xff",
        b'{"validator": "x", "place": "", "length": 1, "boot": "another boot"}',
        b'{"validator": "x", "place": "", "length": 1, "boot": ""}',
        b'{"validator": "x", "place": "", "length": 1, "boot": "this boot", "more": 1}',
    ],
)  # fmt: skip
def test_a_part_that_is_not_vouched_for_is_not_believed(
    staging: Staging, directory: Path, origin: Origin, known: bytes
) -> None:
    """What it is a part of must be known, and known since the machine was started."""
    staging.begin(document(*ONE))
    [slot] = slots(outputs(*ONE))
    left(staging, slot, MP4[:100], origin)
    (directory / f"{slot.stem}.part.json").write_bytes(known)
    [part] = begun(staging, ONE)
    assert isinstance(part, Part)
    assert (part.bytes, part.origin) == (0, None)
    with closing(part):
        part.write(OTHER_MP4)
        assert part.path.read_bytes() == OTHER_MP4
        part.leave()
    assert names(directory) == ["answer.json"]


def test_a_part_that_is_no_video_is_thrown_away(
    staging: Staging, directory: Path, origin: Origin
) -> None:
    """What can no longer become one is not gone on with."""
    staging.begin(document(*ONE))
    [slot] = slots(outputs(*ONE))
    left(staging, slot, MP4[:100], origin)
    (directory / f"{slot.stem}.part").write_bytes(HTML)
    [part] = begun(staging, ONE)
    assert isinstance(part, Part)
    assert part.bytes == 0
    assert names(directory) == ["answer.json"]


@pytest.mark.parametrize(("count", "reserve"), [(0, 10**18), (10**18, 0), (-5, 10**18)])
def test_room_that_is_not_there_is_disk_trouble(tmp_path: Path, count: int, reserve: int) -> None:
    """What is to come must fit and leave the reserve alone; nothing is written to find out."""
    staging = Staging(tmp_path, GENERATION)
    staging.make_sure_of_room(1000, 0)
    staging.make_sure_of_room(-1000, 0)
    with pytest.raises(StorageError, match=r"the disk is full: .* \(--min-free\)"):
        staging.make_sure_of_room(count, reserve)
    assert everything(tmp_path) == {}


def test_where_there_is_no_disk_there_is_no_room(tmp_path: Path) -> None:
    """An archive that has vanished is the disk's trouble."""
    with pytest.raises(StorageError, match="looking for room"):
        Staging(tmp_path / "gone", GENERATION).make_sure_of_room(1, 0)


# --- After a crash


def test_a_generation_that_is_all_there_is_complete(staging: Staging) -> None:
    """Payloads first and in order, then the response, whose bytes are not counted as payload."""
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
    """A torn response does not say how many outputs there are, or of what."""
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
    """A response and a part are of no use to the next night."""
    begun(staging, ONE)
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
        staged(Staging(tmp_path, generation), ONE, MP4)
    found = [staging.generation for staging in staged_generations(tmp_path)]
    assert sorted(found) == sorted(on_their_way)


@pytest.mark.parametrize("name", ["..~..~evil", "notes", "v6~deepfake~..", "~", "v6~faceswap~1"])
def test_a_directory_of_no_generation_is_passed_over(tmp_path: Path, name: str) -> None:
    """Whatever else lies there, nothing of it is placed in the archive, and it is left alone."""
    (tmp_path / INCOMING / name).mkdir(parents=True)
    assert list(staged_generations(tmp_path)) == []


def test_where_nothing_can_be_listed_is_disk_trouble(tmp_path: Path) -> None:
    """A missing directory is told, not taken for an empty one."""
    with pytest.raises(StorageError, match="reading"):
        list(staged_generations(tmp_path))


@pytest.mark.parametrize(
    "act",
    [
        lambda staging, slot: staging.leftovers([slot]),
        lambda staging, slot: staging.new_part(slot).write(MP4),
        lambda staging, slot: staging.new_part(slot).restart(Origin("", "", None, "")),
    ],
)
def test_a_disk_that_does_not_let_it_is_disk_trouble(
    tmp_path: Path, act: Callable[[Staging, Slot], object]
) -> None:
    """Where no directory can be made, the night ends; no generation is blamed."""
    (tmp_path / ".archiver").touch()
    staging = Staging(tmp_path, GENERATION)
    staging.begin({})
    with pytest.raises(StorageError, match="storage failed while"):
        act(staging, SLOT)


def test_keeping_needs_the_part(staging: Staging, directory: Path) -> None:
    """If the part has vanished, that is the disk's trouble too."""
    staging.begin(document(*ONE))
    [slot] = slots(outputs(*ONE))
    with closing(staging.new_part(slot)) as part:
        part.write(MP4)
        part.path.unlink()
        with pytest.raises(StorageError, match="keeping"):
            staging.keep(part, MediaInfo("mp4", open_ended=False))
        assert not part.kept
    assert names(directory) == ["answer.json"]
