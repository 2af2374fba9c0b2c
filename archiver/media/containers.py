"""The containers a video comes in: walked from their beginning to their end, and not beyond."""

import re
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")
Steps: TypeAlias = Generator[None, None, _T]
"""A parser that reads straight down, as if from a file: it yields whenever it needs more."""


class NotWhole(ValueError):
    """The bytes are not one whole video; the text is the reason, for people."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What whole bytes have shown.

    `extension` is what a file of them is called: mp4, mov, webm, mkv or gif. Where they are
    `open_ended`, the structure gives no end of its own: a cut exactly here could not be told
    from the whole, so the length must be known from elsewhere.
    """

    extension: str
    open_ended: bool


@dataclass(frozen=True, slots=True)
class Extent:
    """A box or an element whose header has been read; it ends at `inf` where it gives no size."""

    name: str
    end: float = inf

    def __str__(self) -> str:
        return f"its {self.name!r}" + ("" if self.end == inf else f", which ends at {self.end:,}")

    def holding(self, name: str, end: int) -> "Extent":
        """Return a part of this part; raise `NotWhole` if it does not fit inside."""
        if end > self.end:
            raise NotWhole(f"a {name!r} that ends at {end:,} does not fit inside {self}")
        return Extent(name, end)


FILE = Extent("file")
LONGEST_READ = 4096


class Source:
    """The bytes as a parser sees them; its generators yield while they wait for more."""

    def __init__(self) -> None:
        self.position = 0
        self.over = False
        self._chunk = memoryview(b"")

    def add(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._chunk = memoryview(bytes(self._chunk) + chunk if self._chunk else chunk)

    def keep(self) -> None:
        """Let go of the caller's chunk: what a parser waits with is less than one read."""
        self._chunk = memoryview(bytes(self._chunk[:LONGEST_READ]))

    def peek(self, count: int) -> Steps[bytes]:
        """Return the next `count` bytes without passing them: fewer only at the end."""
        while len(self._chunk) < count and not self.over:
            yield
        return bytes(self._chunk[:count])

    def more(self, part: Extent) -> Steps[bool]:
        """Return whether anything is left in `part`, or in the file where it has no size."""
        return self.position < part.end and (part.end < inf or bool((yield from self.peek(1))))

    def read(self, count: int, inside: Extent) -> Steps[bytes]:
        """Return and pass the next `count` bytes; raise `NotWhole` if there are not so many."""
        if self.position + count > inside.end:
            raise NotWhole(f"at {self.position:,} something does not fit inside {inside}")
        data = yield from self.peek(count)
        if len(data) < count:
            raise self.cut(inside)
        self._pass(count)
        return data

    def leave(self, part: Extent) -> Steps[None]:
        """Skip what is left of `part`, however much that is, without copying it."""
        self._pass(part.end - self.position)
        while self.position < part.end and not self.over:
            yield
            self._pass(part.end - self.position)
        if self.position < part.end < inf:
            raise self.cut(part)

    def cut(self, where: Extent | str) -> NotWhole:
        """Return the error that says where the bytes end too early."""
        place = "in the middle of a header" if where is FILE else f"inside {where}"
        return NotWhole(f"cut after {self.position + len(self._chunk):,} bytes, {place}")

    def _pass(self, most: float) -> None:
        step = int(min(most, len(self._chunk)))
        self._chunk = self._chunk[step:]
        self.position += step


# --- MP4 and QuickTime: ISO/IEC 14496-12, and Apple's QuickTime File Format

_BOX_NAME = re.compile("[ -~\xa9]{4}")
_STILLS = frozenset(("heic", "heix", "heim", "heis", "mif1", "avif"))
_NEEDED = ("ftyp", "moov", "moov/mvhd", "moov/trak", "mdat")
_TELLING = frozenset((*_NEEDED, "moof", "moov/mvex"))
_INNER = {"moov": "trak", "trak": "mdia", "mdia": "minf", "minf": "stbl"}
"""The way from the movie down to the tables that say where its media lie."""


@dataclass(slots=True)
class _Movie:
    """What the boxes have shown so far; `furthest` is where the last chunk of media begins."""

    brand: str = ""
    furthest: int = 0
    last: str = ""
    awaits_mdat: bool = False
    held: set[str] = field(default_factory=set)

    def meet(self, name: str) -> None:
        if name in ("moov", "moof", "mdat") and "ftyp" not in self.held:
            raise NotWhole(f"its {name!r} comes before any 'ftyp'")
        if name in ("ftyp", "moov") and name in self.held:
            raise NotWhole(f"it has a second {name!r}: not one video")
        self.awaits_mdat = name == "moof" or (self.awaits_mdat and name != "mdat")
        self.last = name


def mp4(source: Source) -> Steps[Proof]:
    """Walk an MP4 or a QuickTime movie, box by box."""
    movie, box = _Movie(), FILE
    while (yield from source.more(FILE)):
        box = yield from _box(source, FILE)
        movie.meet(box.name)
        begin = source.position
        match box.name:
            case "ftyp":
                movie.brand = (yield from source.read(8, box))[:4].decode("latin-1")
            case "moov":
                yield from _inside(source, box, movie)
        yield from source.leave(box)
        if source.position > begin:
            movie.held |= _TELLING & {box.name}
    _check(movie, source)
    # A fragmented movie adds up after every fragment; only `mfra` says that none follows.
    fragmented = not movie.held.isdisjoint(("moof", "moov/mvex"))
    open_ended = box.end == inf or (fragmented and movie.last != "mfra")
    return Proof("mov" if movie.brand == "qt  " else "mp4", open_ended)


def _check(movie: _Movie, source: Source) -> None:
    if movie.brand in _STILLS and "moov" not in movie.held:
        raise NotWhole("not a video but an HEIC or AVIF still image: it has no 'moov'")
    for name in _NEEDED:
        if name not in movie.held:
            raise NotWhole(f"it has no {name!r} with anything in it")
    if movie.awaits_mdat:
        raise source.cut("a fragment: its last 'moof' has no 'mdat'")
    if movie.furthest > source.position:
        raise source.cut(f"its media, which go on at {movie.furthest:,}")


def _box(source: Source, parent: Extent) -> Steps[Extent]:
    begin = source.position
    header = yield from source.read(8, parent)
    size, name, least = int.from_bytes(header[:4]), header[4:].decode("latin-1"), 8
    if not _BOX_NAME.fullmatch(name):
        raise NotWhole(f"no box at {begin:,}, but 0x{header.hex()}")
    if size == 1:
        size, least = int.from_bytes((yield from source.read(8, parent))), 16
    elif size == 0 and parent is FILE:
        return Extent(name)
    if size < least:
        raise NotWhole(f"its {name!r} at {begin:,} is {size} bytes long, less than its header")
    return parent.holding(name, begin + size)


def _inside(source: Source, parent: Extent, movie: _Movie) -> Steps[None]:
    while (yield from source.more(parent)):
        box = yield from _box(source, parent)
        path = f"{parent.name}/{box.name}"
        match path:
            case "moov/mvhd" | "moov/trak" | "moov/mvex":
                movie.held.add(path)
            case "stbl/stco" | "stbl/co64":
                movie.furthest = max(movie.furthest, (yield from _furthest(source, box)))
        if box.name == _INNER.get(parent.name):
            yield from _inside(source, box, movie)
        yield from source.leave(box)


def _furthest(source: Source, table: Extent) -> Steps[int]:
    entry = ">I" if table.name == "stco" else ">Q"
    count = int.from_bytes((yield from source.read(8, table))[4:])
    furthest, end = 0, source.position + count * struct.calcsize(entry)
    while source.position < end:
        offsets = yield from source.read(min(LONGEST_READ, end - source.position), table)
        furthest = max(furthest, max(struct.iter_unpack(entry, offsets))[0])
    return furthest


# --- WebM and Matroska: EBML is RFC 8794, the elements are those of RFC 9559

_LEVEL_1 = {
    0x114D9B74: "SeekHead",
    0x1549A966: "Info",
    0x1654AE6B: "Tracks",
    0x1F43B675: "Cluster",
    0x1C53BB6B: "Cues",
    0x1941A469: "Attachments",
    0x1043A770: "Chapters",
    0x1254C367: "Tags",
}
_BLOCKS = {0xA3: "SimpleBlock", 0xA0: "BlockGroup", 0xAF: "EncryptedBlock"}
_BESIDE_BLOCKS = {0xE7: "Timestamp", 0x5854: "SilentTracks", 0xA7: "Position", 0xAB: "PrevSize"}
_ANYWHERE = {0xEC: "Void", 0xBF: "CRC-32"}
_ROOTS = {0x1A45DFA3: "EBML", 0x4282: "DocType", 0x18538067: "Segment"}
_ELEMENTS = _ROOTS | _LEVEL_1 | _BLOCKS | _BESIDE_BLOCKS | _ANYWHERE
_IN_CLUSTER = frozenset((_BLOCKS | _BESIDE_BLOCKS | _ANYWHERE).values())
_IN_SEGMENT = frozenset((_LEVEL_1 | _ANYWHERE).values())
_EXTENSIONS = {"webm": "webm", "matroska": "mkv"}


def matroska(source: Source) -> Steps[Proof]:
    """Walk a WebM or Matroska document, element by element."""
    extension = yield from _doctype(source)
    segment = None
    while (yield from source.more(FILE)):
        element = yield from _element(source, FILE)
        match element.name:
            case "Segment" if segment is None:
                segment = element
                yield from _segment(source, segment)
            case "Void" | "CRC-32":
                yield from source.leave(element)
            case name:
                raise NotWhole(f"it goes on with {name!r} where only a 'Segment' belongs")
    if segment is None:
        raise source.cut("its header: it has no 'Segment'")
    return Proof(extension, open_ended=segment.end == inf)


def _doctype(source: Source) -> Steps[str]:
    header = yield from _element(source, FILE)
    doctype = ""
    while (yield from source.more(header)):
        element = yield from _element(source, header)
        if element.name == "DocType":
            length = int(min(16, element.end - source.position))
            doctype = (yield from source.read(length, element)).decode("latin-1").rstrip("\0")
        yield from source.leave(element)
    if doctype not in _EXTENSIONS:
        raise NotWhole(f"not a video: an EBML document of type {doctype!r}")
    return _EXTENSIONS[doctype]


def _segment(source: Source, segment: Extent) -> Steps[None]:
    """Walk a segment; a cluster without a size ends where the next level-1 element begins."""
    tracks = media = in_cluster = False
    while (yield from source.more(segment)):
        element = yield from _element(source, segment)
        name, begin = element.name, source.position
        in_cluster = in_cluster and name in _IN_CLUSTER
        # Sizes given, unknown elements are to be ignored; without, they may be anything.
        if not in_cluster and segment.end == inf and name not in _IN_SEGMENT:
            raise NotWhole(f"an element {name!r} before {begin:,} does not belong in a 'Segment'")
        if name == "Cluster" and element.end == inf:
            in_cluster = True
            continue
        yield from source.leave(element)
        tracks |= name == "Tracks"
        has_block = name == "Cluster" or (in_cluster and name in _BLOCKS.values())
        media |= has_block and source.position > begin
    if not tracks:
        raise NotWhole("it has no 'Tracks'")
    if not media:
        raise NotWhole("it has no media: no 'Cluster' with anything in it")


def _element(source: Source, parent: Extent) -> Steps[Extent]:
    begin = source.position
    id_, _ = yield from _vint(source, parent, 4)
    marked, length = yield from _vint(source, parent, 8)
    name, size = _ELEMENTS.get(id_, f"0x{id_:X}"), marked - (1 << 7 * length)
    if size < (1 << 7 * length) - 1:
        return parent.holding(name, source.position + size)
    if name in ("Segment", "Cluster"):
        return Extent(name)
    raise NotWhole(f"its {name!r} at {begin:,} gives no size, which it must")


def _vint(source: Source, parent: Extent, longest: int) -> Steps[tuple[int, int]]:
    """Return a variable-size integer with its length marker, and its length in bytes."""
    first = yield from source.read(1, parent)
    length = 9 - first[0].bit_length()
    if length > longest:
        raise NotWhole(f"no element at {source.position - 1:,}, but 0x{first.hex()}")
    return int.from_bytes(first + (yield from source.read(length - 1, parent))), length


# --- GIF: the GIF89a specification, sections 17 to 27


def gif(source: Source) -> Steps[Proof]:
    """Walk a GIF, block by block."""
    images = 0
    screen = yield from source.read(13, Extent("screen descriptor"))
    yield from _colours(source, screen[10])
    while (kind := (yield from source.read(1, Extent("blocks")))) != b"\x3b":
        match kind:
            case b"\x21":
                extension = Extent("extension")
                yield from source.read(1, extension)
                yield from _sub_blocks(source, extension)
            case b"\x2c":
                images += yield from _image(source)
            case _:
                raise NotWhole(f"no GIF block at {source.position - 1:,}, but 0x{kind.hex()}")
    if not images:
        raise NotWhole("it has no image")
    if (yield from source.more(FILE)):
        raise NotWhole(f"it goes on after its end at {source.position:,}")
    return Proof("gif", open_ended=False)


def _image(source: Source) -> Steps[bool]:
    image = Extent("image")
    descriptor = yield from source.read(9, image)
    yield from _colours(source, descriptor[8])
    yield from source.read(1, image)  # the LZW minimum code size
    return (yield from _sub_blocks(source, image))


def _colours(source: Source, flags: int) -> Steps[None]:
    if flags & 0x80:
        yield from source.read(3 << (flags & 7) + 1, Extent("colour table"))


def _sub_blocks(source: Source, inside: Extent) -> Steps[bool]:
    """Pass sub-blocks and the empty one that ends them; return whether there were any."""
    first = length = (yield from source.read(1, inside))[0]
    while length:
        length = (yield from source.read(length + 1, inside))[-1]
    return first > 0
