"""MP4 and QuickTime: boxes of ISO/IEC 14496-12, called atoms in Apple's QuickTime File Format."""

import struct
from dataclasses import dataclass, field
from math import inf

from archiver.media import mp4_streams
from archiver.media.boxes import (
    HEADER,
    LARGE_HEADER,
    box_name,
    header_size,
    read_header,
    unpack_header,
)
from archiver.media.info import MediaInfo, Properties
from archiver.media.reader import FILE, MANY_PARTS, ONLY_PADDING, Extent, NotWhole, Reader, Steps
from archiver.media.samples import Fragment, SampleDefaults, Track, sample_defaults
from archiver.media.streams import NOTHING, Stream, properties

_FIRST_BOXES = frozenset(
    (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"moov", b"moof", b"mdat", b"styp", b"pnot")
)
_STILL_IMAGES = frozenset(("heic", "heix", "heim", "heis", "mif1", "avif"))
_REQUIRED = ("moov", "moov/mvhd", "moov/trak", "mdat")
_NOTED = frozenset(("ftyp", "moov", "moof", "mdat"))
_INSIDE = {
    "moov": {"mvhd", "trak", "mvex"},
    "trak": {"tkhd", "edts", "mdia"},
    "mdia": {"mdhd", "hdlr", "minf"},
    "minf": {"stbl"},
    "stbl": {"stsd", "stts", "stsz", "stz2", "stsc", "stco", "co64"},
    "mvex": {"trex"},
    "moof": {"traf"},
    "traf": {"tfhd", "trun"},
}
"""Which boxes matter in each of these, from the movie and its fragments down to the tables."""
_LEFT = frozenset(("mvex", "trak", "traf"))
"""At whose end something is known."""
_NO_HEADER = 0, b""
_MAX_INDEX = 32 << 20
"""No `moov` or `moof` may be larger: it is kept in memory. This one is enough for ten hours."""


def matches(head: bytes) -> bool:
    """Return whether `head`, the first bytes of a file, begins a movie."""
    return head[4:8] in _FIRST_BOXES


def parse(reader: Reader) -> Steps[MediaInfo]:
    """Walk through a movie, box by box; raise `NotWhole` if it is not one whole movie."""
    movie, box, end = _Movie(), FILE, 0
    while True:
        if len(head := reader.look(LARGE_HEADER)) < LARGE_HEADER:
            head = yield from _header(reader)
        if not head or ONLY_PADDING.fullmatch(head, 0, HEADER):
            break
        begin = reader.position
        box = _box(head, reader)
        content = reader.position
        if box.name in _NOTED:
            yield from _read(box, begin, reader, movie)
        if box.end == inf:
            yield from reader.skip_all()
        reader.skip(box)
        end = reader.position
        if end > content and box.name in _NOTED:
            movie.found.add(box.name)
    is_padded = bool(head) and (yield from reader.skip_padding())
    _check(movie, reader, end)
    if is_padded and (movie.may_go_on(box) or not movie.end):
        # A disk that was full or lost its power leaves zeros where the rest of a file belongs.
        raise NotWhole(f"it has only padding from {end:,} on, where media may belong")
    return MediaInfo(
        "mov" if movie.brand in ("", "qt  ") else "mp4",
        open_ended=movie.is_open_ended(box),
        audio_only=movie.audio is not None and movie.video is None,
        properties=movie.properties(),
    )


@dataclass(slots=True)
class _Movie:
    """What the boxes have shown so far."""

    brand: str = ""
    """That of its `ftyp`; QuickTime had none at first."""
    end: int = 0
    """Where the last of its samples ends, by the tables of its tracks and fragments."""
    is_exact: bool = True
    """Whether the tables tell the size of every sample."""
    awaits_mdat: bool = False
    """Whether a fragment has begun whose media have not come."""
    found: set[str] = field(default_factory=set)
    track: Track = field(default_factory=Track)
    fragment: Fragment = field(default_factory=Fragment)
    defaults: dict[int, SampleDefaults] = field(default_factory=dict)
    """What the samples of a track are in fragments that do not say it."""
    duration: float = 0.0
    """By its header."""
    video: Stream | None = None
    """Its first track of images; further ones are chapters' pictures, say."""
    audio: Stream | None = None
    streams: dict[int, Stream] = field(default_factory=dict)
    """Both of them by the IDs of their tracks."""

    def enter(self, name: str, position: int) -> None:
        """Begin a box that is noted, and in no other."""
        match name:
            case "ftyp" | "moov" if name in self.found:
                raise NotWhole(f"it has a second {name!r}: not one video")
            case "moof" if "moov" not in self.found:
                raise NotWhole("its 'moof' comes before any 'moov'")
            case "moof":
                self.fragment = Fragment(position, self.defaults, self.streams)
                self.awaits_mdat = True
            case "mdat":
                self.awaits_mdat = False

    def add(self, name: str, content: memoryview) -> None:
        """Take in a box that has fields; raise `NotWhole` if some lack."""
        try:
            match name:
                case "mvhd":
                    self.found.add("moov/mvhd")
                    self.duration = mp4_streams.duration(content)
                case "trex":
                    track, defaults = sample_defaults(content)
                    self.defaults[track] = defaults
                case "tfhd" | "trun":
                    self.fragment.add(name, content)
                case _:
                    self.track.add(name, content)
        except struct.error:
            raise NotWhole(f"its {name!r} is too short for what it should list") from None

    def leave(self, name: str) -> None:
        """Take in what a track or a fragment has listed, at its end."""
        match name:
            case "mvex":
                self.found.add("moov/mvex")
            case "trak":
                self.found.add("moov/trak")
                self.is_exact &= self.track.is_exact
                self.end = max(self.end, self.track.end())
                if (handler := self.track.handler) in ("vide", "soun"):
                    self._describe(handler, self.track.boxes)
                self.track = Track()
            case "traf":
                self.end = max(self.end, self.fragment.end)

    def properties(self) -> Properties:
        """Return what the movie says of itself; of fragments, what their runs of samples say."""
        video, audio = self.video or NOTHING, self.audio or NOTHING
        duration = self.duration
        if "moof" in self.found or not duration:
            is_known = all(map(mp4_streams.is_timed, self.streams.values()))
            duration = max(video.duration, audio.duration) if is_known else 0
        return properties(duration, video, audio, video.rate)

    def may_go_on(self, last: Extent) -> bool:
        """Return whether a fragment may follow: each completes a movie, `mfra` shows the last."""
        fragmented = "moof" in self.found or "moov/mvex" in self.found
        return fragmented and last.name != "mfra"

    def is_open_ended(self, last: Extent) -> bool:
        """Return whether nothing shows that it ends with this box."""
        if last.end == inf and (last.name == "moov" or not (self.end and self.is_exact)):
            return True
        return self.may_go_on(last)

    def _describe(self, handler: str, boxes: dict[str, memoryview]) -> None:
        """Take in what describes a track, if it is the first of images or of sound."""
        is_sound = handler == "soun"
        if self.audio if is_sound else self.video:
            return
        track, found = mp4_streams.stream(boxes, is_sound=is_sound)
        self.streams[track] = found
        if is_sound:
            self.audio = found
        else:
            self.video = found


def _check(movie: _Movie, reader: Reader, end: int) -> None:
    if movie.brand in _STILL_IMAGES and "moov" not in movie.found:
        raise NotWhole("not a video but an HEIC or AVIF still image: it has no 'moov'")
    for name in _REQUIRED:
        if name not in movie.found:
            raise NotWhole(f"it has no {name!r}, or only an empty one")
    if movie.awaits_mdat:
        raise reader.cut("inside a fragment: its last 'moof' has no 'mdat'")
    if movie.end > end:
        raise reader.cut(f"but its media go on up to {movie.end:,}")


def _header(reader: Reader) -> Steps[bytes]:
    """Return the header of the next box, once it has come; less of it only at the end."""
    head = yield from reader.peek(HEADER)
    if header_size(head) > HEADER:
        head = yield from reader.peek(LARGE_HEADER)
    return head


def _box(head: bytes, reader: Reader) -> Extent:
    """Pass the header of a box that is in no other, and begins with these bytes."""
    begin = reader.position
    reader.parts += 1
    if reader.parts > MANY_PARTS:
        reader.check_parts(begin)
    if len(head) < LARGE_HEADER and len(head) < header_size(head):
        raise reader.cut_inside(FILE)
    (length, letters), header = unpack_header(head), HEADER
    name = box_name(letters)
    if not name or length < HEADER:  # a large box, or one to the end of the file, or none
        name, header, length = read_header(head, 0, begin, FILE)
    reader.position += header
    return Extent(name, begin + length if length else inf)


def _read(box: Extent, begin: int, reader: Reader, movie: _Movie) -> Steps[None]:
    """Take in a box that is noted, and begins at a position in the file."""
    movie.enter(box.name, begin)
    match box.name:
        case "ftyp":
            movie.brand = (yield from reader.read(8, box))[:4].decode("latin-1")
        case "moov" | "moof":
            position = reader.position
            content = yield from reader.gather(box, _MAX_INDEX)
            _Index(content, position, reader, movie).walk(box.name, 0, len(content))


@dataclass(slots=True)
class _Index:
    """The content of a `moov` or a `moof`, in memory."""

    content: memoryview
    position: int
    """Where in the file it begins."""
    reader: Reader
    movie: _Movie

    def walk(self, parent: str, at: int, end: int) -> None:
        """Walk through the boxes in `parent`, whose content lies from `at` up to `end`."""
        content, reader, wanted = self.content, self.reader, _INSIDE[parent]
        while at < end:
            begin = at + HEADER
            length, letters = unpack_header(content, at) if begin <= end else _NO_HEADER
            name, after = box_name(letters), at + length
            if not name or not begin <= after <= end:  # a large box, or none
                inside = Extent(parent, self.position + end)
                name, header, length = read_header(content[:end], at, self.position, inside)
                begin, after = at + header, at + length
            reader.parts += 1  # without a call: every movie has dozens of boxes here
            if reader.parts > MANY_PARTS:
                reader.check_parts(self.position + begin)
            if name in wanted:
                if name in _INSIDE:
                    self.walk(name, begin, after)
                    if name in _LEFT:
                        self.movie.leave(name)
                elif name in mp4_streams.DESCRIBING:
                    self.movie.track.boxes[name] = content[begin:after]
                else:
                    self.movie.add(name, content[begin:after])
            at = after
