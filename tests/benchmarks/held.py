"""Archives that hold very many generations, as far as their records go."""

import sys
from pathlib import Path

from .measure import succeed
from .site import FIRST_ID, write_lines

_BUILD = """
import hashlib
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

from archiver.archive.bag import Bag
from archiver.archive.writable import WritableBag
from archiver.catalogue.store import Catalogue, Described, Record
from archiver.checksums import BagFile, Checksum
from archiver.generation import Generation
from archiver.metadata import Metadata

SIZE = 64 * 1024
root, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
generations = (Generation.of("deepfake", str(id_)) for id_ in range(first, first + count))
with WritableBag.open(root) as bag, closing(Catalogue.open(bag.layout.catalogue)) as catalogue:
    while batch := list(islice(generations, 10_000)):
        paths = [path for g in batch for path in (g.payload_path(1, 1, "mp4"), g.sidecar_path)]
        sums = [hashlib.sha256(path.encode()).hexdigest() for path in paths]
        with bag.manifest.path.open("a") as lines:
            lines.writelines(map(str, map(Checksum, sums, paths)))
        files = [BagFile(path, sha256, SIZE) for path, sha256 in zip(paths, sums)]
        links = [(f"primary https://videos.example/{g.id}.mp4",) for g in batch]
        records = [Record(g, "held", served_by=link) for g, link in zip(batch, links)]
        said = [Described(g, Metadata()) for g in batch]
        catalogue.record(records, files, bag.manifest.mark(), said)
    bag.describe(*catalogue.totals())
"""


def held_archive(directory: Path, count: int) -> Path:
    """Return an archive that holds the first `count` IDs; it is built once and used again.

    The payloads themselves are not there: a run in which everything is held does not look at them.
    """
    archive = directory / f"held-{count}"
    if not archive.exists():
        succeed(sys.executable, "-c", _BUILD, str(archive), str(FIRST_ID), str(count))
    return archive


def id_list(directory: Path, count: int, first: int = FIRST_ID) -> Path:
    """Return a manifest of `count` IDs."""
    path = directory / f"ids-{first}-{count}.txt"
    return write_lines(path, map(str, range(first, first + count)))
