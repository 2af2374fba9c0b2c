"""What an interrupted run has staged whole is archived by the next one, without a download."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.archive.staged import StagedFile
from archiver.archive.staging import Staging
from archiver.archive.writable import WritableBag
from archiver.catalogue.store import Catalogue
from archiver.generation import Generation
from tests.support.archives import kept, outputs, recover_in
from tests.support.videos import MP4, WEBM

GENERATION = Generation("v6/deepfake", "263")
URLS = ("https://a.example/x/one.mp4", "https://a.example/x/two.webm")


def stage(bag: WritableBag, *payloads: bytes) -> tuple[StagedFile, ...]:
    """Stage payloads and their response as a run does that is killed before it commits them."""
    document = {"status": "success", "id": 263, "output": URLS}
    staging = Staging(bag.layout, GENERATION, document)
    places = zip(outputs(*URLS), payloads, strict=False)
    return tuple(kept(staging, output, staging.begin(output), data) for output, data in places)


def response_of(bag: WritableBag) -> Path:
    return bag.layout.incoming / "v6~deepfake~263/answer.json"


def test_a_generation_that_is_staged_whole_is_archived(
    bag: WritableBag, catalogue: Catalogue
) -> None:
    """With the response beside its payloads, which lists its outputs."""
    stage(bag, MP4, WEBM)
    response = response_of(bag).read_bytes()
    recover_in(bag, catalogue)
    assert [line.path for line in bag.manifest.lines()] == [
        "data/v6/deepfake/263-1.mp4", "data/v6/deepfake/263-2.webm", "data/v6/deepfake/263.json",
    ]  # fmt: skip
    assert (bag.layout.data / "v6/deepfake/263.json").read_bytes() == response
    assert catalogue.holds(GENERATION)
    assert list(bag.layout.incoming.iterdir()) == []


TEARS: list[Callable[[bytes], bytes]] = [
    lambda _: b"",
    lambda data: data[:-3],
    lambda data: data[: len(data) // 2],
    lambda data: bytes(len(data)),
    lambda data: data[:20] + bytes(len(data) - 20),
    lambda data: data.replace(b"success", b"processing"),
    lambda data: data.replace(b"263", b"264"),
    lambda data: b"\xff" + data,
]


@pytest.mark.parametrize("tear", TEARS)
def test_without_a_readable_response_it_is_not_archived(
    bag: WritableBag, catalogue: Catalogue, tear: Callable[[bytes], bytes]
) -> None:
    """A torn response does not list the outputs; the payloads stay staged for the next try."""
    files = stage(bag, MP4, WEBM)
    response_of(bag).write_bytes(tear(response_of(bag).read_bytes()))
    recover_in(bag, catalogue)
    assert list(bag.manifest.lines()) == []
    assert not catalogue.holds(GENERATION)
    assert [Staging(bag.layout, GENERATION).find(output) for output in outputs(*URLS)] == [*files]


@pytest.mark.parametrize("payloads", [[MP4], []])
def test_without_every_output_it_is_not_archived(
    bag: WritableBag, catalogue: Catalogue, payloads: list[bytes]
) -> None:
    """All outputs or none; without a payload, what is left of it is of no use."""
    files = stage(bag, *payloads)
    response_of(bag).parent.mkdir(exist_ok=True)
    document = {"status": "success", "id": 263, "output": URLS}
    response_of(bag).write_text(json.dumps(document))
    recover_in(bag, catalogue)
    assert list(bag.manifest.lines()) == []
    assert response_of(bag).exists() is bool(files)


def test_without_a_response_it_is_not_archived(bag: WritableBag, catalogue: Catalogue) -> None:
    """Payloads alone are not a generation."""
    files = stage(bag, MP4, WEBM)
    response_of(bag).unlink()
    recover_in(bag, catalogue)
    assert list(bag.manifest.lines()) == []
    assert [Staging(bag.layout, GENERATION).find(output) for output in outputs(*URLS)] == [*files]
