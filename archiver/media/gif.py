"""GIF: the blocks of the GIF89a specification, sections 15 to 27."""

from archiver.media.info import MediaInfo
from archiver.media.reader import FILE, Extent, NotWhole, Reader, Steps

_SIGNATURES = (b"GIF87a", b"GIF89a")
_EXTENSION, _IMAGE, _TRAILER = b"\x21", b"\x2c", b"\x3b"


def matches(head: bytes) -> bool:
    """Return whether `head`, the first bytes of a file, begins a GIF."""
    return head.startswith(_SIGNATURES)


def parse(reader: Reader) -> Steps[MediaInfo]:
    """Walk through an animation, block by block; raise `NotWhole` if it is not a whole one."""
    images = 0
    screen = yield from reader.read(13, Extent("screen descriptor"))
    yield from _colour_table(reader, screen[10])
    while (block := (yield from reader.read(1, Extent("blocks")))) != _TRAILER:
        if block == _EXTENSION:
            yield from _extension(reader)
        elif block == _IMAGE:
            images += yield from _image(reader)
        else:
            position = reader.position - 1
            raise NotWhole(f"expected a GIF block at {position:,}, found 0x{block.hex()}")
    if not images:
        raise NotWhole("it has no image")
    if (yield from reader.has_more(FILE)):
        raise NotWhole(f"it goes on after its end at {reader.position:,}")
    return MediaInfo("gif", open_ended=False)


def _extension(reader: Reader) -> Steps[None]:
    extension = Extent("extension")
    yield from reader.read(1, extension)  # the label, whatever it is
    yield from _sub_blocks(reader, extension)


def _image(reader: Reader) -> Steps[bool]:
    """Pass an image; return whether it has any data."""
    image = Extent("image")
    descriptor = yield from reader.read(9, image)
    yield from _colour_table(reader, descriptor[8])
    yield from reader.read(1, image)  # the LZW minimum code size
    return (yield from _sub_blocks(reader, image))


def _colour_table(reader: Reader, flags: int) -> Steps[None]:
    if flags & 0x80:
        yield from reader.read(3 << (flags & 7) + 1, Extent("colour table"))


def _sub_blocks(reader: Reader, inside: Extent) -> Steps[bool]:
    """Pass sub-blocks and the empty one that ends them; return whether there were any."""
    first = length = (yield from reader.read(1, inside))[0]
    while length:
        length = (yield from reader.read(length + 1, inside))[-1]
    return first > 0
