"""WebM and Matroska: EBML documents (RFC 8794) of Matroska's elements (RFC 9559)."""

from math import inf

from archiver.media import matroska_streams
from archiver.media.info import MediaInfo, Properties
from archiver.media.reader import FILE, Extent, NotWhole, Reader, Steps
from archiver.media.streams import properties

_SIGNATURE = b"\x1a\x45\xdf\xa3"
_TOP = {0x1A45DFA3: "EBML", 0x4282: "DocType", 0x18538067: "Segment"}
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
_ELEMENTS = {
    id_.to_bytes((id_.bit_length() + 7) // 8): name
    for id_, name in (_TOP | _LEVEL_1 | _BLOCKS | _BESIDE_BLOCKS | _ANYWHERE).items()
}
_IN_SEGMENT = frozenset((_LEVEL_1 | _ANYWHERE).values())
_IN_CLUSTER = frozenset((_BLOCKS | _BESIDE_BLOCKS | _ANYWHERE).values())
_DESCRIBING = ("Info", "Tracks")
_MOST = 64 << 10
"""No description that is longer is looked at."""
_LONGEST_HEADER = 12
_EXTENSIONS = {"webm": "webm", "matroska": "mkv"}


def matches(head: bytes) -> bool:
    """Return whether `head`, the first bytes of a file, begins an EBML document."""
    return head.startswith(_SIGNATURE)


def parse(reader: Reader) -> Steps[MediaInfo]:
    """Walk through a document, element by element; raise `NotWhole` if it is not one video."""
    extension = yield from _extension(reader)
    segment, said = None, Properties()
    while (yield from reader.has_more(FILE)):
        if segment and (yield from reader.skip_padding()):
            break
        element = yield from _element(reader, FILE)
        match element.name:
            case "Segment" if segment is None:
                segment = element
                said = yield from _walk(reader, segment)
            case "Void" | "CRC-32":
                reader.skip(element)
            case name:
                place = "only a 'Segment' belongs" if segment is None else "it should end"
                raise NotWhole(f"it goes on with {name!r} where {place}")
    if segment is None:
        raise reader.cut("after its header: it has no 'Segment'")
    return MediaInfo(extension, open_ended=segment.end == inf, properties=said)


def _extension(reader: Reader) -> Steps[str]:
    """Read the EBML header; return the extension for the type of the document."""
    header = yield from _element(reader, FILE)
    doctype = ""
    while (yield from reader.has_more(header)):
        element = yield from _element(reader, header)
        if element.name == "DocType":
            length = int(min(16, element.end - reader.position))
            doctype = (yield from reader.read(length, element)).decode("latin-1").rstrip("\0")
        reader.skip(element)
    if doctype not in _EXTENSIONS:
        raise NotWhole(f"not a video: an EBML document of type {doctype!r}")
    return _EXTENSIONS[doctype]


def _walk(reader: Reader, segment: Extent) -> Steps[Properties]:
    """Walk through a segment; return what the video says of itself.

    A cluster without a size ends where the next level-1 element begins (RFC 8794, section 6.2).
    """
    has_tracks = has_media = in_cluster = False
    described: dict[str, memoryview] = {}
    while (yield from reader.has_more(segment)):
        begin = reader.position
        element = yield from _element(reader, segment)
        name, content = element.name, reader.position
        in_cluster = in_cluster and name in _IN_CLUSTER
        # In a segment with a size, an unknown element is ignored; in one without, it may be
        # anything, such as an error page that follows the video.
        if not in_cluster and segment.end == inf and name not in _IN_SEGMENT:
            raise NotWhole(f"its {name!r} at {begin:,} does not belong in a 'Segment'")
        if name == "Cluster" and element.end == inf:
            in_cluster = True
            continue
        if name in _DESCRIBING and name not in described and element.end - content <= _MOST:
            described[name] = yield from reader.gather(element, _MOST)
        reader.skip(element)
        has_tracks |= name == "Tracks"
        is_media = name == "Cluster" or (in_cluster and name in _BLOCKS.values())
        has_media |= is_media and reader.position > content
    if not has_tracks:
        raise NotWhole("it has no 'Tracks'")
    if not has_media:
        raise NotWhole("it has no media: no 'Cluster', or only empty ones")
    return _properties(described)


def _properties(described: dict[str, memoryview]) -> Properties:
    video, audio = matroska_streams.streams(described.get("Tracks", memoryview(b"")))
    duration = matroska_streams.duration(described.get("Info", memoryview(b"")))
    return properties(duration, video, audio, video.rate)


def _element(reader: Reader, parent: Extent) -> Steps[Extent]:
    """Read the ID and the size of an element (RFC 8794, sections 5 and 6)."""
    reader.count_part(reader.position)
    begin = reader.position
    if len(head := reader.look(_LONGEST_HEADER)) < _LONGEST_HEADER:
        head = yield from reader.peek(_LONGEST_HEADER)
    size_at = _end_of_integer(head, 0, 4, begin)
    header = yield from reader.read(_end_of_integer(head, size_at, 8, begin), parent)
    name = _ELEMENTS.get(header[:size_at]) or f"0x{header[:size_at].hex().upper()}"
    length = len(header) - size_at
    size = int.from_bytes(header[size_at:]) - (1 << 7 * length)  # without the length marker
    if size < (1 << 7 * length) - 1:
        return parent.child(name, reader.position + size)
    if name in ("Segment", "Cluster"):
        return Extent(name)
    raise NotWhole(
        f"its {name!r} at {begin:,} gives no size, as only a 'Segment' or a 'Cluster' may"
    )


def _end_of_integer(head: bytes, at: int, longest: int, begin: int) -> int:
    """Return where an integer of variable size ends that is `at` a place (RFC 8794, section 4).

    Where its first byte is missing, as it is in a file that was cut, it ends after that.
    """
    if at >= len(head):
        return at + 1
    length = 9 - head[at].bit_length()
    if length > longest:
        raise NotWhole(f"expected an element at {begin + at:,}, found 0x{head[at]:02x}")
    return at + length
