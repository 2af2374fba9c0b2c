"""MP4 and QuickTime: boxes of ISO/IEC 14496-12, called atoms in Apple's QuickTime File Format."""

from dataclasses import dataclass, field
from math import inf

from archiver.media.boxes import Box, box_in_file
from archiver.media.info import MediaInfo
from archiver.media.reader import FILE, Extent, NotWhole, Reader, Steps
from archiver.media.samples import Fragment, Track, default_size

_FIRST_BOXES = frozenset(
    (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"moov", b"moof", b"mdat", b"styp", b"pnot")
)
_STILL_IMAGES = frozenset(("heic", "heix", "heim", "heis", "mif1", "avif"))
_REQUIRED = ("moov", "moov/mvhd", "moov/trak", "mdat")
_NOTED = frozenset(("ftyp", "moov", "moof", "mdat"))
_PARENTS = frozenset(
    (
        "moov/trak", "trak/mdia", "mdia/minf", "minf/stbl",
        "moov/mvex",
        "moof/traf",
    )
)  # fmt: skip
"""The ways from the movie and its fragments down to the tables of where their media are."""
_OF_TRACK = frozenset(
    ("mdia/hdlr", "stbl/stsz", "stbl/stz2", "stbl/stsc", "stbl/stco", "stbl/co64")
)
_OF_FRAGMENT = frozenset(("traf/tfhd", "traf/trun"))
_MAX_INDEX = 32 << 20
"""No `moov` or `moof` may be larger: it is kept in memory. This one is enough for ten hours."""


def matches(head: bytes) -> bool:
    """Return whether `head`, the first bytes of a file, begins a movie."""
    return head[4:8] in _FIRST_BOXES


def parse(reader: Reader) -> Steps[MediaInfo]:
    """Walk through a movie, box by box; raise `NotWhole` if it is not one whole movie."""
    movie, box, end, is_padded = _Movie(), FILE, 0, False
    while not is_padded and (yield from reader.has_more(FILE)):
        if not (is_padded := (yield from reader.skip_padding())):
            box = yield from _top_box(reader, movie)
            end = reader.position
    _check(movie, reader, end)
    if is_padded and (movie.may_go_on or not movie.end):
        # A disk that was full or lost its power leaves zeros where the rest of a file belongs.
        raise NotWhole(f"it has only padding from {end:,} on, where media may belong")
    return MediaInfo(
        "mov" if movie.brand in ("", "qt  ") else "mp4",
        open_ended=movie.is_open_ended(box),
        audio_only="soun" in movie.handlers and "vide" not in movie.handlers,
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
    last: str = ""
    """The name of the box that was entered last."""
    awaits_mdat: bool = False
    """Whether a fragment has begun whose media have not come."""
    found: set[str] = field(default_factory=set)
    handlers: set[str] = field(default_factory=set)
    track: Track = field(default_factory=Track)
    fragment: Fragment = field(default_factory=Fragment)
    defaults: dict[int, int] = field(default_factory=dict)
    """How large the samples of a track are in fragments that do not say it."""

    def enter(self, name: str, position: int) -> None:
        if name == "moof" and "moov" not in self.found:
            raise NotWhole("its 'moof' comes before any 'moov'")
        if name in ("ftyp", "moov") and name in self.found:
            raise NotWhole(f"it has a second {name!r}: not one video")
        if name == "moof":
            self.fragment = Fragment(position, self.defaults)
        self.awaits_mdat = name == "moof" or (self.awaits_mdat and name != "mdat")
        self.last = name

    def leave(self, path: str) -> None:
        """Take in what a track or a fragment has listed, at its end."""
        self.found.add(path)
        match path:
            case "moov/trak":
                self.handlers.add(self.track.handler)
                self.is_exact &= self.track.is_exact
                self.end = max(self.end, self.track.end())
                self.track = Track()
            case "moof/traf":
                self.end = max(self.end, self.fragment.end)

    @property
    def may_go_on(self) -> bool:
        """Whether a fragment may follow: a movie is complete after each, `mfra` shows the last."""
        fragmented = "moof" in self.found or "moov/mvex" in self.found
        return fragmented and self.last != "mfra"

    def is_open_ended(self, last: Extent) -> bool:
        """Return whether nothing shows that it ends with this box."""
        if last.end == inf and (last.name == "moov" or not (self.end and self.is_exact)):
            return True
        return self.may_go_on


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


def _top_box(reader: Reader, movie: _Movie) -> Steps[Extent]:
    """Pass a box that is in no other."""
    begin = reader.position
    reader.count_part(begin)
    box = yield from box_in_file(reader)
    content = reader.position
    movie.enter(box.name, begin)
    match box.name:
        case "ftyp":
            movie.brand = (yield from reader.read(8, box))[:4].decode("latin-1")
        case "moov" | "moof":
            index = yield from reader.gather(box, _MAX_INDEX)
            _walk(Box(box.name, content, index), reader, movie)
    if box.end == inf:
        yield from reader.skip_all()
    reader.skip(box)
    if reader.position > content:
        movie.found |= _NOTED & {box.name}
    return box


def _walk(parent: Box, reader: Reader, movie: _Movie) -> None:
    """Walk through a movie's index, or a fragment's, down to the tables of its samples."""
    for box in parent.children():
        reader.count_part(box.begin)
        path = f"{parent.name}/{box.name}"
        if path in _PARENTS:
            _walk(box, reader, movie)
            movie.leave(path)
        elif path in _OF_FRAGMENT:
            movie.fragment.add(box)
        elif path in _OF_TRACK:
            movie.track.add(box)
        elif path == "mvex/trex":
            track, size = default_size(box)
            movie.defaults[track] = size
        elif path == "moov/mvhd":
            movie.found.add(path)
