"""Payloads on their way are staged outside the bag, and found again by their names."""

import errno
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.layout import Layout
from archiver.archive.partial_file import Origin, PartialFile
from archiver.archive.staged import StagedFile, StagedGeneration, names_in_staging, write_contents
from archiver.archive.staging import Staging, staged_generations
from archiver.errors import StorageError
from archiver.generation import Generation
from archiver.media.reader import NotWhole
from archiver.outputs import Output
from tests.support.archives import STALE_AFTER, kept, outputs
from tests.support.disk import IO_ERROR, DiskLog, everything, names
from tests.support.videos import HTML, MP4, OTHER_MP4, WEBM, sha256

GENERATION = Generation("v6/deepfake", "263")
ONE = ("https://a.example/x/one.mp4?signature=1",)
TWO = (*ONE, "https://a.example/x/two.mp4?signature=1")
THREE = (*TWO, "https://a.example/x/three.mp4")
SPOOL = 128 << 10


def document(*urls: str) -> dict[str, object]:
    return {"status": "success", "id": 263, "output": list(urls)}


def staging_of(layout: Layout, urls: Sequence[str]) -> Staging:
    """Return the staging of a generation whose response lists these links."""
    return Staging(layout, GENERATION, document(*urls))


@pytest.fixture
def directory(layout: Layout) -> Path:
    """Where the generation is staged; it is not there before."""
    return layout.incoming / "v6~deepfake~263"


def put(staging: Staging, output: Output, data: bytes) -> StagedFile:
    """Stage a payload on the disk, as one that has been resumed."""
    staging._directory.mkdir(exist_ok=True)
    return kept(staging, output, staging.resume(output), data)


def staged(layout: Layout, urls: Sequence[str], *payloads: bytes) -> tuple[StagedFile, ...]:
    """Stage payloads for the first of these links, on the disk; return them and the response."""
    staging = staging_of(layout, urls)
    pairs = zip(outputs(*urls), payloads, strict=False)
    return staging.staged([put(staging, output, data) for output, data in pairs]).files


def in_memory(
    layout: Layout, *pieces: bytes, generation: Generation = GENERATION
) -> StagedGeneration:
    """Stage the only output of a generation as a download does that comes in these pieces."""
    staging = Staging(layout, generation, document(*ONE))
    (output,) = outputs(*ONE)
    return staging.staged([kept(staging, output, staging.begin(output), *pieces)])


def leftovers(layout: Layout, urls: Sequence[str]) -> list[StagedFile | PartialFile]:
    """Return what a later run finds whose response lists these links."""
    return staging_of(layout, urls).leftovers(outputs(*urls))


def found(layout: Layout, urls: Sequence[str]) -> list[StagedFile | None]:
    return [Staging(layout, GENERATION).find(output) for output in outputs(*urls)]


def complete(layout: Layout, urls: Sequence[str]) -> StagedGeneration | None:
    """Return the generation if it is staged whole, as recovery finds it."""
    staging = Staging(layout, GENERATION)
    return staging.complete(outputs(*urls)) if staging.read_response() is not None else None


def written(generation: StagedGeneration) -> StagedGeneration:
    """Return the generation as it is when nothing of it is in memory any more."""
    return replace(
        generation, files=tuple(replace(file, content=None) for file in generation.files)
    )


def left(staging: Staging, output: Output, data: bytes, origin: Origin) -> None:
    """Have an earlier try stop after some bytes of a file of this origin."""
    partial = staging.begin(output)
    partial.reset(origin)
    partial.write(data)
    partial.suspend()


def partial_name(urls: Sequence[str], number: int = 1) -> str:
    output = outputs(*urls)[number - 1]
    return f"{number}of{len(urls)}-{output.key}-.part"


# --- When the disk is touched


def test_nothing_is_touched_before_the_first_byte(tmp_path: Path, disk: DiskLog) -> None:
    """A response, partial files and links that fail without a byte leave no trace at any time."""
    staging = staging_of(Layout(tmp_path), TWO)
    for partial in map(staging.begin, outputs(*TWO)):
        partial.reset()
        with pytest.raises(NotWhole):
            partial.complete(None, delimited=True)
        partial.suspend()
    staging.tidy(STALE_AFTER)
    assert list(tmp_path.iterdir()) == []
    assert disk.steps == []
    assert everything(tmp_path) == {}


def test_a_payload_has_its_name_once_it_and_the_response_are_flushed(
    layout: Layout, directory: Path, disk: DiskLog
) -> None:
    """Each file is opened once, to write, and flushed; wherever a name is, the response is."""
    staging = staging_of(layout, TWO)
    first, second = outputs(*TWO)
    whole = kept(staging, first, staging.begin(first), MP4)
    response = staging.staged([whole]).files[-1]
    name = partial_name(TWO)
    assert disk.steps == [
        f"mkdir {directory}",
        f"open {name} wb", f"fsync {name} of {len(MP4)}",
        "open answer.json wb", f"fsync answer.json of {response.target.bytes}",
        f"rename {name} {Path(whole.staged).name}",
    ]  # fmt: skip
    assert response.content is None
    assert sha256((layout.root / response.staged).read_bytes()) == response.target.sha256
    disk.steps.clear()
    another = kept(staging, second, staging.begin(second), WEBM)
    name = partial_name(TWO, 2)
    assert disk.steps == [
        f"open {name} wb", f"fsync {name} of {len(WEBM)}",
        f"rename {name} {Path(another.staged).name}",
    ]  # fmt: skip


def test_the_response_is_written_once(layout: Layout, directory: Path, disk: DiskLog) -> None:
    """With the first payload; the others, and a partial file begun anew, find it there."""
    staging = staging_of(layout, THREE)
    first, second, third = outputs(*THREE)
    files = [kept(staging, first, staging.begin(first), MP4)]
    with closing(staging.begin(second)) as partial:
        partial.write(MP4)
        partial.reset()
        partial.write(WEBM)
        files.append(staging.keep(second, partial.complete(None, delimited=True)))
    files.append(kept(staging, third, staging.begin(third), OTHER_MP4))
    response = staging.staged(files).files[-1]
    assert disk.steps.count("open answer.json wb") == 1
    assert disk.steps.count(f"fsync answer.json of {response.target.bytes}") == 1
    assert disk.steps.count(f"mkdir {directory}") == 1
    assert response.content is None


def test_a_payload_is_flushed_before_it_has_its_name(layout: Layout, disk: DiskLog) -> None:
    """However often it was begun, and in how many blocks it came, all of it is on the disk."""
    staging = staging_of(layout, TWO)
    first, second = outputs(*TWO)
    kept(staging, first, staging.begin(first), WEBM)
    disk.steps.clear()
    with closing(staging.begin(second)) as partial:
        partial.write(OTHER_MP4[:1500])
        partial.reset()
        for start in range(0, len(MP4), 900):
            partial.write(MP4[start : start + 900])
        whole = staging.keep(second, partial.complete(None, delimited=True))
    assert disk.steps[-2:] == [
        f"fsync {partial.path.name} of {len(MP4)}",
        f"rename {partial.path.name} {Path(whole.staged).name}",
    ]
    assert len(disk.flushes()) == 1


def test_what_an_earlier_run_staged_is_flushed_again(layout: Layout, disk: DiskLog) -> None:
    """That run may have been killed before it was: it is flushed by whoever finds it.

    The new response is flushed at the latest when the group is committed.
    """
    whole, *_ = staged(layout, TWO, MP4)
    disk.steps.clear()
    staging = staging_of(layout, TWO)
    first, second = staging.leftovers(outputs(*TWO))
    assert first == whole
    assert f"fsync {Path(whole.staged).name} of {whole.target.bytes}" in disk.steps
    assert isinstance(second, PartialFile)
    another = kept(staging, outputs(*TWO)[1], second, WEBM)
    generation = staging.staged([whole, another])
    write_contents(layout, [generation])
    response = generation.files[-1].target
    assert f"fsync answer.json of {response.bytes}" in disk.steps
    assert disk.steps.index(f"fsync answer.json of {response.bytes}") < disk.steps.index(
        f"rename {partial_name(TWO, 2)} {Path(another.staged).name}"
    )


def test_what_a_killed_run_has_finished_is_flushed(layout: Layout, disk: DiskLog) -> None:
    """Every file of a generation that is complete: the payloads and the response beside them."""
    files = staged(layout, TWO, MP4, WEBM)
    disk.steps.clear()
    assert complete(layout, TWO)
    assert disk.flushes() == [
        f"fsync {Path(file.staged).name} of {file.target.bytes}" for file in files
    ]


def test_what_cannot_be_flushed_is_not_staged(
    layout: Layout, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload gets its name, and is found by it, only once the disk has taken all of it."""
    staging = staging_of(layout, TWO)
    output, _ = outputs(*TWO)
    with closing(staging.begin(output)) as partial:
        partial.write(MP4)
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", IO_ERROR)
            with pytest.raises(StorageError, match=r"flushing .*Input/output error"):
                partial.complete(None, delimited=True)
        assert names(directory) == [partial.path.name]
        payload = partial.complete(None, delimited=True)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        with pytest.raises(StorageError, match=r"staging .*Input/output error"):
            staging.keep(output, payload)
    assert names(directory) == [partial.path.name, "answer.json"]
    whole = staging.keep(output, payload)
    assert names(directory) == [Path(whole.staged).name, "answer.json"]
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", IO_ERROR)
        for act in (
            lambda: complete(layout, TWO),
            lambda: staging.find(output),
            lambda: leftovers(layout, TWO),
        ):
            with pytest.raises(StorageError, match="Input/output error"):
                act()


def test_a_generation_whose_response_cannot_be_flushed_is_not_complete(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all payloads can be."""
    staged(layout, ONE, MP4)
    plain = os.fsync

    def fail_for_the_response(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "answer.json":
            IO_ERROR()
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_the_response)
    with pytest.raises(StorageError, match=r"flushing .*Input/output error"):
        complete(layout, ONE)


# --- A small payload that stays in memory


def test_a_small_payload_waits_in_memory(layout: Layout, directory: Path, disk: DiskLog) -> None:
    """Nothing is on the disk until the group is committed; then it is as if it always had been.

    All is written before anything is flushed, and flushed before a payload has its name.
    """
    generation = in_memory(layout, MP4[:100], MP4[100:])
    payload, response = generation.files
    assert payload.content == MP4
    assert response.content is not None
    assert disk.steps == []
    assert names_in_staging(layout) == []
    write_contents(layout, [generation])
    name = partial_name(ONE)
    assert disk.steps == [
        f"mkdir {directory}", f"open {name} wb", "open answer.json wb",
        f"fsync {name} of {len(MP4)}", f"fsync answer.json of {response.target.bytes}",
        f"rename {name} {Path(payload.staged).name}",
    ]  # fmt: skip
    assert complete(layout, ONE) == written(generation)


def test_a_group_is_written_together(layout: Layout, disk: DiskLog) -> None:
    """All files of all generations are written, then flushed, and then the payloads renamed."""
    generations = [Generation("v6/deepfake", str(number)) for number in range(3)]
    group = [in_memory(layout, MP4, generation=generation) for generation in generations]
    write_contents(layout, group)
    kinds = [step.partition(" ")[0] for step in disk.steps]
    assert kinds == ["mkdir"] * 3 + ["open"] * 6 + ["fsync"] * 6 + ["rename"] * 3


def test_what_is_on_the_disk_is_not_written_again(layout: Layout, disk: DiskLog) -> None:
    """Neither its payloads nor the response beside them."""
    staging = staging_of(layout, TWO)
    files = [kept(staging, output, staging.begin(output), MP4) for output in outputs(*TWO)]
    disk.steps.clear()
    write_contents(layout, [staging.staged(files)])
    write_contents(layout, [])
    assert disk.steps == []


def test_the_response_of_payloads_that_were_found_is_written(
    layout: Layout, directory: Path, disk: DiskLog
) -> None:
    """It is the one that lists them now, signed anew; the payloads are where they were."""
    whole, _ = staged(layout, ONE, MP4)
    anew = (ONE[0].replace("signature=1", "signature=2"),)
    generation = staging_of(layout, anew).staged([whole])
    disk.steps.clear()
    write_contents(layout, [generation])
    response = generation.files[-1]
    assert disk.steps == [
        "open answer.json wb", f"fsync answer.json of {response.target.bytes}"
    ]  # fmt: skip
    assert json.loads((directory / "answer.json").read_text()) == document(*anew)
    assert complete(layout, anew) == written(generation)


def test_what_a_killed_run_was_writing_is_written_over(layout: Layout, directory: Path) -> None:
    """A directory, a response and half a partial file that are there already do no harm."""
    directory.mkdir()
    (directory / "answer.json").write_text("{")
    generation = in_memory(layout, MP4)
    (directory / partial_name(ONE)).write_bytes(OTHER_MP4 * 2)
    write_contents(layout, [generation])
    assert complete(layout, ONE) == written(generation)


class FullDisk:
    """A disk that takes no file of one generation."""

    def __init__(self, patch: pytest.MonkeyPatch, directory: str) -> None:
        self._directory = directory
        self._open = os.open
        patch.setattr(os, "open", self._opening)

    def _opening(self, path: Path | str, flags: int, *args: int, **kwargs: int) -> int:
        if flags & os.O_WRONLY and f"/{self._directory}/" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._open(path, flags, *args, **kwargs)


def test_of_a_group_that_does_not_fit_as_many_generations_as_fit_stay(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, to be committed by the next run; of the others nothing takes up space."""
    generations = [Generation("v6/deepfake", str(number)) for number in range(3)]
    group = [in_memory(layout, MP4, generation=generation) for generation in generations]
    FullDisk(monkeypatch, "v6~deepfake~1")
    with pytest.raises(OSError, match="No space left"):
        write_contents(layout, group)
    assert names(layout.incoming) == ["v6~deepfake~0", "v6~deepfake~2"]
    for number in (0, 2):
        for file in group[number].files:
            assert (layout.root / file.staged).read_bytes() == file.content
        assert len(names(layout.incoming / f"v6~deepfake~{number}")) == 2


def test_payloads_outlive_a_response_that_does_not_fit(
    layout: Layout, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was downloaded before is not deleted to make space for it."""
    whole, _ = staged(layout, ONE, MP4)
    generation = staging_of(layout, ONE).staged([whole])
    FullDisk(monkeypatch, directory.name)
    with pytest.raises(OSError, match="No space left"):
        write_contents(layout, [generation])
    assert found(layout, ONE) == [whole]


def test_only_a_single_small_output_may_stay_in_memory(layout: Layout) -> None:
    """What is large, or one of several, goes to the disk: there it outlives a crash."""
    staging = staging_of(layout, ONE)
    (single,), (first, second) = outputs(*ONE), outputs(*TWO)
    assert staging.begin(single).fits_in_memory(SPOOL)
    assert not staging.begin(single).fits_in_memory(SPOOL + 1)
    assert not staging.begin(first).fits_in_memory(1)
    assert not staging.begin(second).fits_in_memory(1)


def test_where_something_is_left_over_nothing_stays_in_memory(
    layout: Layout, directory: Path
) -> None:
    """What is new belongs beside it."""
    directory.mkdir()
    (partial,) = leftovers(layout, ONE)
    assert isinstance(partial, PartialFile)
    assert not partial.fits_in_memory(1)


# --- Keeping and finding


@pytest.mark.parametrize(
    ("data", "path"),
    [(MP4, "data/v6/deepfake/263.mp4"), (WEBM, "data/v6/deepfake/263.webm")],
)
def test_a_kept_payload_is_found_again(layout: Layout, data: bytes, path: str) -> None:
    """Its name shows which output it is and its checksum; its target follows from its bytes."""
    whole, response = staged(layout, ONE, data)
    target = whole.target
    assert (target.path, target.sha256, target.bytes) == (path, sha256(data), len(data))
    assert (layout.root / whole.staged).read_bytes() == data
    assert found(layout, ONE) == [whole]
    assert (response.target.path, response.target.bytes) == (
        "data/v6/deepfake/263.json",
        (layout.root / response.staged).stat().st_size,
    )


def test_the_names_are_those_that_are_documented(layout: Layout, origin: Origin) -> None:
    """`<number>of<count>-<key>-`, then what it is; runs of other versions find them."""
    first, second = outputs(*TWO)
    whole, response = staged(layout, TWO, MP4)
    left(staging_of(layout, TWO), second, MP4[:100], origin)
    place = ".archiver/incoming/v6~deepfake~263"
    assert whole.staged == f"{place}/1of2-{first.key}-{sha256(MP4)}.mp4"
    assert response.staged == f"{place}/answer.json"
    assert names(layout.root / place) == [
        f"1of2-{first.key}-{sha256(MP4)}.mp4",
        f"2of2-{second.key}-.part",
        f"2of2-{second.key}-.part.json",
        "answer.json",
    ]
    assert {whole.directory, response.directory} == {place}


def test_several_outputs_are_numbered(layout: Layout) -> None:
    """Each has its own target, in the order of the response."""
    assert [file.target.path for file in staged(layout, TWO, MP4, WEBM)] == [
        "data/v6/deepfake/263-1.mp4", "data/v6/deepfake/263-2.webm", "data/v6/deepfake/263.json",
    ]  # fmt: skip


def test_nothing_staged_is_nothing_found(layout: Layout) -> None:
    """Of a generation that was never begun there is neither payload nor response."""
    assert found(layout, ONE) == [None]
    assert Staging(layout, GENERATION).read_response() is None
    assert complete(layout, ONE) is None


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
def test_a_payload_that_is_not_what_its_name_shows_is_not_found(
    layout: Layout, damage: Callable[[Path], object]
) -> None:
    """Only bytes that are proven again, against the name, are not downloaded again."""
    whole, _ = staged(layout, ONE, MP4)
    damage(layout.root / whole.staged)
    assert found(layout, ONE) == [None]
    assert complete(layout, ONE) is None


def test_a_whole_payload_is_found_beside_a_damaged_one(layout: Layout) -> None:
    """What a crash has torn does not hide what was downloaded after it."""
    whole, _ = staged(layout, ONE, MP4)
    path = layout.root / whole.staged
    for digit in "0f":
        torn = path.name.replace(whole.target.sha256, digit * 64)
        path.with_name(torn).write_bytes(MP4[:100])
    assert found(layout, ONE) == [whole]


@given(st.permutations([MP4, OTHER_MP4, WEBM]), st.integers(1, 3))
def test_whatever_is_kept_is_found(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], count: int
) -> None:
    """The names of the files are all there is to remember: they are read back exactly."""
    layout = Layout(tmp_path_factory.mktemp("archive"))
    layout.incoming.mkdir(parents=True)
    urls = tuple(f"https://a.example/{n}.mp4" for n in range(count))
    files = staged(layout, urls, *payloads[:count])
    assert found(layout, urls) == [*files[:-1]]
    assert complete(layout, urls) == StagedGeneration(GENERATION, files)


# --- The response


def test_the_response_is_kept_as_it_came(layout: Layout, directory: Path) -> None:
    """As JSON for people, with its checksum and length; odd characters do it no harm."""
    response = {
        "status": "success",
        "output": [*ONE],
        "message": "é \ud83d \u2028",
        "n": [1.5, None],
    }
    staging = Staging(layout, GENERATION, response)
    (output,) = outputs(*ONE)
    target = staging.staged([put(staging, output, MP4)]).files[-1].target
    written = (directory / "answer.json").read_bytes()
    assert json.loads(written) == response
    assert "é" in written.decode()
    assert (target.sha256, target.bytes) == (sha256(written), len(written))
    assert Staging(layout, GENERATION).read_response() == written


def test_in_memory_the_response_is_the_same(layout: Layout, directory: Path) -> None:
    """To the byte, whichever way it takes to the disk."""
    generation = in_memory(layout, MP4)
    write_contents(layout, [generation])
    one_way = (directory / "answer.json").read_bytes()
    Staging(layout, GENERATION).clear()
    *_, response = staged(layout, ONE, MP4)
    assert (directory / "answer.json").read_bytes() == one_way
    assert generation.files[-1].target == response.target


# --- What an earlier try has left


def test_what_the_new_response_lists_is_found(layout: Layout, directory: Path) -> None:
    """Also when its link is signed anew: the path decides, not the query.

    The new response takes the place of the old one when the group is committed.
    """
    *files, _ = staged(layout, TWO, MP4, WEBM)
    anew = tuple(url.replace("signature=1", "signature=2") for url in TWO)
    assert anew != TWO
    staging = staging_of(layout, anew)
    assert names_in_staging(layout) == [staging.name]
    assert staging.leftovers(outputs(*anew)) == files
    assert found(layout, anew) == files
    write_contents(layout, [staging.staged(files)])
    assert json.loads((directory / "answer.json").read_text()) == document(*anew)


@pytest.mark.parametrize(
    "anew",
    [
        ("https://a.example/x/three.mp4",),
        ("https://a.example/x/two.mp4", "https://a.example/x/one.mp4"),
        THREE,
    ],
)
def test_what_the_new_response_does_not_list_is_not_taken_for_it(
    layout: Layout, directory: Path, anew: tuple[str, ...]
) -> None:
    """Another file, place or number of outputs: the old payload is not it, but is kept.

    With the first payload that the new response does list, it takes the old one's place.
    """
    staged(layout, TWO, MP4, WEBM)
    before = names(directory)
    staging = staging_of(layout, anew)
    first, *others = staging.leftovers(outputs(*anew))
    assert all(isinstance(one, PartialFile) and one.bytes == 0 for one in (first, *others))
    assert found(layout, anew) == [None] * len(anew)
    assert names(directory) == before
    assert isinstance(first, PartialFile)
    kept(staging, outputs(*anew)[0], first, OTHER_MP4)
    assert set(names(directory)) > set(before)
    assert json.loads((directory / "answer.json").read_text()) == document(*anew)


def test_partial_files_of_outputs_that_are_no_longer_listed_are_deleted(
    layout: Layout, directory: Path, origin: Origin
) -> None:
    """They are of no use, whatever is known of them."""
    staged(layout, ONE, MP4)
    before = names(directory)
    (directory / "1of1.part").write_bytes(MP4[:100])
    (unlisted,) = outputs("https://a.example/x/another.mp4")
    for gone in (outputs(*TWO)[0], unlisted):
        left(staging_of(layout, TWO), gone, MP4[:100], origin)
    assert len(names(directory)) == len(before) + 5
    (whole,) = leftovers(layout, ONE)
    assert isinstance(whole, StagedFile)
    assert names(directory) == before


def test_each_output_has_what_was_left_for_it(layout: Layout, origin: Origin) -> None:
    """A whole payload, a partial file, or one of which there is nothing yet, in their order."""
    places = outputs(*THREE)
    earlier, _ = staged(layout, THREE, WEBM)
    left(staging_of(layout, THREE), places[1], MP4[:100], origin)
    whole, partial, new = leftovers(layout, THREE)
    assert whole == earlier
    assert isinstance(partial, PartialFile)
    assert (partial.path.name, partial.bytes, partial.origin) == (
        partial_name(THREE, 2), 100, origin,
    )  # fmt: skip
    assert isinstance(new, PartialFile)
    assert (new.path.name, new.bytes, new.origin) == (partial_name(THREE, 3), 0, None)


def test_a_single_output_that_was_suspended_in_memory_is_left_over(
    layout: Layout, origin: Origin
) -> None:
    """A later run resumes it from the disk."""
    left(staging_of(layout, ONE), outputs(*ONE)[0], MP4[:100], origin)
    (partial,) = leftovers(layout, ONE)
    assert isinstance(partial, PartialFile)
    assert (partial.path.name, partial.bytes, partial.origin) == (partial_name(ONE), 100, origin)


@pytest.mark.parametrize("size", [1, 100, len(MP4) - 1, len(MP4)])
def test_a_resumed_payload_is_staged_like_any_other(
    layout: Layout, directory: Path, origin: Origin, size: int
) -> None:
    """Nothing of the partial file stays beside it."""
    (output,) = outputs(*ONE)
    left(staging_of(layout, ONE), output, MP4[:size], origin)
    assert names(directory) == [partial_name(ONE), f"{partial_name(ONE)}.json"]
    staging = staging_of(layout, ONE)
    (partial,) = staging.leftovers([output])
    assert isinstance(partial, PartialFile)
    whole = kept(staging, output, partial, MP4[size:])
    assert (whole.target.sha256, whole.target.bytes) == (sha256(MP4), len(MP4))
    assert (layout.root / whole.staged).read_bytes() == MP4
    assert names(directory) == [Path(whole.staged).name, "answer.json"]


# --- After a crash


def test_a_generation_that_is_all_there_is_complete(layout: Layout) -> None:
    """Payloads first and in order, then the response, whose bytes are not counted as payload."""
    files = staged(layout, TWO, MP4, WEBM)
    generation = complete(layout, TWO)
    assert generation == StagedGeneration(GENERATION, files)
    assert generation.payload_bytes == len(MP4) + len(WEBM)


def test_without_a_response_it_is_not_complete(layout: Layout, directory: Path) -> None:
    """Payloads alone are not a generation."""
    staged(layout, ONE, MP4)
    (directory / "answer.json").unlink()
    assert complete(layout, ONE) is None


@pytest.mark.parametrize("payloads", [[], [MP4]])
def test_without_every_output_it_is_not_complete(
    layout: Layout, directory: Path, payloads: list[bytes]
) -> None:
    """All outputs or none."""
    staged(layout, TWO, *payloads)
    directory.mkdir(exist_ok=True)
    (directory / "answer.json").write_text(json.dumps(document(*TWO)))
    assert complete(layout, TWO) is None


# --- Deleting


def test_a_generation_without_payloads_is_tidied_away(layout: Layout, directory: Path) -> None:
    """A response and a partial file without its origin are of no use to the next run."""
    directory.mkdir()
    (directory / "answer.json").write_text(json.dumps(document(*ONE)))
    (directory / "1of1.part").write_bytes(MP4[:100])
    staging = Staging(layout, GENERATION)
    staging.tidy(STALE_AFTER)
    assert not directory.exists()
    staging.tidy(STALE_AFTER)


def test_a_partial_file_without_a_byte_is_tidied_away(layout: Layout, origin: Origin) -> None:
    """However much is known of its file, there is nothing to resume."""
    staging = staging_of(layout, TWO)
    left(staging, outputs(*TWO)[0], b"", origin)
    staging.tidy(STALE_AFTER)
    assert names_in_staging(layout) == []


def test_payloads_outlive_tidying(layout: Layout) -> None:
    """What is whole is kept for the next try, when the other outputs may come."""
    whole, _ = staged(layout, TWO, MP4)
    Staging(layout, GENERATION).tidy(0)
    assert found(layout, TWO) == [whole, None]


@pytest.mark.parametrize(("age", "kept_for"), [(10.0, 100.0), (STALE_AFTER - 60, STALE_AFTER)])
def test_a_partial_file_outlives_tidying_until_it_is_stale(
    layout: Layout, directory: Path, origin: Origin, age: float, kept_for: float
) -> None:
    """It can be resumed; but not by anybody once its host has surely forgotten it."""
    staging = staging_of(layout, ONE)
    left(staging, outputs(*ONE)[0], MP4[:100], origin)
    then = time.time() - age
    os.utime(directory / f"{partial_name(ONE)}.json", (then, then))
    staging.tidy(kept_for)
    assert names(directory) == [partial_name(ONE), f"{partial_name(ONE)}.json"]
    staging.tidy(age - 1)
    assert names_in_staging(layout) == []


def test_clearing_leaves_nothing(layout: Layout, directory: Path) -> None:
    """A generation that is held needs no staging."""
    staged(layout, TWO, MP4)
    staging = Staging(layout, GENERATION)
    staging.clear()
    assert not directory.exists()
    staging.clear()


def test_of_a_discarded_generation_only_whole_payloads_are_quarantined(
    layout: Layout, directory: Path, origin: Origin
) -> None:
    """Its links may have been their last; the partial file and the response are deleted."""
    whole, _ = staged(layout, TWO, MP4)
    left(staging_of(layout, TWO), outputs(*TWO)[1], MP4[:100], origin)
    staging = Staging(layout, GENERATION)
    staging.discard()
    assert not directory.exists()
    aside = layout.quarantine / directory.name
    assert everything(aside) == {Path(whole.staged).name: MP4}
    staging.discard()
    assert everything(aside) == {Path(whole.staged).name: MP4}


def test_of_a_discarded_generation_without_payloads_nothing_is_left(
    layout: Layout, directory: Path, origin: Origin
) -> None:
    """Not even an empty directory in the quarantine."""
    left(staging_of(layout, ONE), outputs(*ONE)[0], MP4[:100], origin)
    Staging(layout, GENERATION).discard()
    assert not directory.exists()
    assert not layout.quarantine.exists()


# --- Listing


def test_what_is_staged_is_listed(layout: Layout) -> None:
    """The directories' names are the generations' names, whatever the endpoint."""
    generations = [
        Generation.of("deepfake", "263"),
        Generation.of("deepfake", "-1-"),
        Generation.of("v1/enterprise/video", "A_b"),
        Generation.of("v7/video-fusion", "x" * 128),
    ]
    for generation in generations:
        write_contents(layout, [in_memory(layout, MP4, generation=generation)])
    listed = [staging.generation for staging in staged_generations(layout)]
    assert sorted(listed) == sorted(generations)


@pytest.mark.parametrize("name", ["..~..~evil", "notes", "v6~deepfake~..", "~", "v6~faceswap~1"])
def test_a_directory_of_no_generation_is_passed_over(layout: Layout, name: str) -> None:
    """Whatever else lies there, nothing of it is placed in the archive, and it is left alone."""
    (layout.incoming / name).mkdir()
    assert list(staged_generations(layout)) == []
    assert names(layout.incoming) == [name]


def test_where_nothing_can_be_listed_is_a_storage_error(tmp_path: Path) -> None:
    """A missing directory is not taken for an empty one."""
    with pytest.raises(StorageError, match="reading"):
        list(staged_generations(Layout(tmp_path)))


# --- A disk that fails


@pytest.mark.parametrize(
    "act",
    [
        lambda staging, output: staging.leftovers([output]),
        lambda staging, output: staging.resume(output),
        lambda staging, output: staging.begin(output).write(MP4),
        lambda staging, output: kept(staging, output, staging.begin(output), MP4),
    ],
)
def test_where_no_directory_can_be_made_is_a_storage_error(
    tmp_path: Path, act: Callable[[Staging, Output], object]
) -> None:
    """The run ends; no generation is blamed."""
    (tmp_path / ".archiver").touch()
    staging = Staging(Layout(tmp_path), GENERATION, {})
    with pytest.raises(StorageError, match="storage failed while"):
        act(staging, outputs(*TWO)[0])


def test_keeping_needs_the_partial_file(layout: Layout, directory: Path) -> None:
    """If it has vanished, that is a storage error too."""
    staging = staging_of(layout, TWO)
    output, _ = outputs(*TWO)
    with closing(staging.begin(output)) as partial:
        partial.write(MP4)
        payload = partial.complete(None, delimited=True)
        partial.path.unlink()
        with pytest.raises(StorageError, match=r"staging .*No such file"):
            staging.keep(output, payload)
    assert names(directory) == ["answer.json"]
    assert found(layout, TWO) == [None, None]


def test_what_cannot_be_discarded_is_a_storage_error(layout: Layout, directory: Path) -> None:
    """A whole payload is not deleted because it cannot be moved."""
    whole, _ = staged(layout, ONE, MP4)
    layout.quarantine.touch()
    with pytest.raises(StorageError, match="clearing"):
        Staging(layout, GENERATION).discard()
    assert found(layout, ONE) == [whole]
