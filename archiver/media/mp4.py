"""MP4 and QuickTime: boxes of ISO/IEC 14496-12, called atoms in Apple's QuickTime File Format."""

import re
import struct
from dataclasses import dataclass, field
from math import inf

from archiver.media.info import MediaInfo
from archiver.media.reader import FILE, MAX_READ, Extent, NotWhole, Reader, Steps

_BOX_NAME = re.compile("[ -~\xa9]{4}")
_FIRST_BOXES = frozenset(
    (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"moov", b"moof", b"mdat", b"styp")
)
_STILL_IMAGES = frozenset(("heic", "heix", "heim", "heis", "mif1", "avif"))
_REQUIRED = ("ftyp", "moov", "moov/mvhd", "moov/trak", "mdat")
_NOTED = frozenset((*_REQUIRED, "moof", "moov/mvex"))
_CHILD = {"moov": "trak", "trak": "mdia", "mdia": "minf", "minf": "stbl"}
"""The way from the movie down to the tables of where its media are."""


def matches(head: bytes) -> bool:
    """Return whether `head`, the first bytes of a file, begins a movie."""
    return head[4:8] in _FIRST_BOXES


def parse(reader: Reader) -> Steps[MediaInfo]:
    """Walk through a movie, box by box; raise `NotWhole` if it is not one whole movie."""
    movie, box = _Movie(), FILE
    while (yield from reader.has_more(FILE)):
        box = yield from _box(reader, FILE)
        movie.enter(box.name)
        begin = reader.position
        match box.name:
            case "ftyp":
                movie.brand = (yield from reader.read(8, box))[:4].decode("latin-1")
            case "moov":
                yield from _walk(reader, box, movie)
        yield from reader.skip(box)
        if reader.position > begin:
            movie.found |= _NOTED & {box.name}
    _check(movie, reader)
    # A fragmented movie is complete after every fragment; only `mfra` shows that none follows.
    fragmented = not movie.found.isdisjoint(("moof", "moov/mvex"))
    open_ended = box.end == inf or (fragmented and movie.last != "mfra")
    return MediaInfo("mov" if movie.brand == "qt  " else "mp4", open_ended)


@dataclass(slots=True)
class _Movie:
    """What the boxes have shown so far."""

    brand: str = ""
    furthest_chunk: int = 0
    """Where the last chunk of media begins, by the tables of the tracks."""
    last: str = ""
    """The name of the box that was entered last."""
    awaits_mdat: bool = False
    """Whether a fragment has begun whose media have not come."""
    found: set[str] = field(default_factory=set)

    def enter(self, name: str) -> None:
        if name in ("moov", "moof", "mdat") and "ftyp" not in self.found:
            raise NotWhole(f"its {name!r} comes before any 'ftyp'")
        if name in ("ftyp", "moov") and name in self.found:
            raise NotWhole(f"it has a second {name!r}: not one video")
        self.awaits_mdat = name == "moof" or (self.awaits_mdat and name != "mdat")
        self.last = name


def _check(movie: _Movie, reader: Reader) -> None:
    if movie.brand in _STILL_IMAGES and "moov" not in movie.found:
        raise NotWhole("not a video but an HEIC or AVIF still image: it has no 'moov'")
    for name in _REQUIRED:
        if name not in movie.found:
            raise NotWhole(f"it has no {name!r}, or only an empty one")
    if movie.awaits_mdat:
        raise reader.cut("inside a fragment: its last 'moof' has no 'mdat'")
    if movie.furthest_chunk > reader.position:
        raise reader.cut(f"but its media go on at {movie.furthest_chunk:,}")


def _box(reader: Reader, parent: Extent) -> Steps[Extent]:
    """Read the header of a box (ISO/IEC 14496-12, section 4.2)."""
    begin = reader.position
    header = yield from reader.read(8, parent)
    size, name, least = int.from_bytes(header[:4]), header[4:].decode("latin-1"), 8
    if not _BOX_NAME.fullmatch(name):
        raise NotWhole(f"expected a box at {begin:,}, found 0x{header.hex()}")
    if size == 1:
        size, least = int.from_bytes((yield from reader.read(8, parent))), 16
    elif size == 0 and parent is FILE:
        return Extent(name)
    if size < least:
        raise NotWhole(f"its {name!r} at {begin:,} is {size} bytes long, less than its header")
    return parent.child(name, begin + size)


def _walk(reader: Reader, parent: Extent, movie: _Movie) -> Steps[None]:
    while (yield from reader.has_more(parent)):
        box = yield from _box(reader, parent)
        path = f"{parent.name}/{box.name}"
        match path:
            case "moov/mvhd" | "moov/trak" | "moov/mvex":
                movie.found.add(path)
            case "stbl/stco" | "stbl/co64":
                furthest = yield from _furthest_chunk(reader, box)
                movie.furthest_chunk = max(movie.furthest_chunk, furthest)
        if box.name == _CHILD.get(parent.name):
            yield from _walk(reader, box, movie)
        yield from reader.skip(box)


def _furthest_chunk(reader: Reader, table: Extent) -> Steps[int]:
    """Return the greatest of a track's chunk offsets (ISO/IEC 14496-12, section 8.7.5)."""
    entry = ">I" if table.name == "stco" else ">Q"
    count = int.from_bytes((yield from reader.read(8, table))[4:])
    furthest, end = 0, reader.position + count * struct.calcsize(entry)
    while reader.position < end:
        offsets = yield from reader.read(min(MAX_READ, end - reader.position), table)
        furthest = max(furthest, max(struct.iter_unpack(entry, offsets))[0])
    return furthest
