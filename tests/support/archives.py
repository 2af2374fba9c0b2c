"""Helpers to make an archive by hand, and to look into one."""

from contextlib import closing
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.layout import Layout
from archiver.archive.partial_file import PartialFile
from archiver.archive.staged import StagedFile, StagedGeneration
from archiver.archive.staging import Staging
from archiver.archive.writable import WritableBag
from archiver.catalogue.queries import Known
from archiver.catalogue.store import Catalogue
from archiver.generation import Generation
from archiver.outputs import Link, Output
from archiver.pipeline.indexing import open_to_read
from archiver.pipeline.recovery import recover

STALE_AFTER = 14 * 86400.0


def outputs(*urls: str) -> tuple[Output, ...]:
    """Return outputs with one link each."""
    return tuple(
        Output((Link(url, "primary"),), number, len(urls)) for number, url in enumerate(urls, 1)
    )


def kept(staging: Staging, output: Output, partial: PartialFile, *pieces: bytes) -> StagedFile:
    """Write a payload to a partial file, in pieces, and stage it."""
    with closing(partial):
        for piece in pieces:
            partial.write(piece)
        return staging.keep(output, partial.complete(None, delimited=True))


def halves(data: bytes) -> tuple[bytes, bytes]:
    """Cut bytes in two."""
    return data[: len(data) // 2], data[len(data) // 2 :]


def stage(root: Path, name: str, *payloads: bytes) -> StagedGeneration:
    """Stage a generation as a download does, on the disk."""
    generation = Generation.from_name(name)
    urls = [f"https://a.example/{generation.id}-{n}.mp4" for n in range(len(payloads))]
    places = outputs(*urls)
    staging = Staging(Layout(root), generation, {"status": "success", "output": urls})
    (root / ".archiver/incoming" / name.replace("/", "~")).mkdir(exist_ok=True)
    files = [
        leftover
        if isinstance(leftover, StagedFile)
        else kept(staging, output, leftover, *halves(payload))
        for output, leftover, payload in zip(
            places, staging.leftovers(places), payloads, strict=True
        )
    ]
    return staging.staged(files)


def open_catalogue(root: Path) -> Catalogue:
    """Open the catalogue of the archive at `root`, or create one."""
    return Catalogue.open(Layout(root).catalogue)


def read_catalogue(root: Path) -> Catalogue:
    """Open the catalogue of the archive at `root` only to read it."""
    return open_to_read(Bag(root))


def look_up(root: Path, generation: Generation) -> Known:
    """Return what the catalogue of an archive knows of a generation."""
    with closing(read_catalogue(root)) as catalogue:
        return catalogue.queries.of(generation)


def recover_in(bag: WritableBag, catalogue: Catalogue) -> None:
    """Recover what an interrupted run has left."""
    recover(bag, catalogue, STALE_AFTER)
