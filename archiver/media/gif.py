"""GIF: the blocks of the GIF89a specification, sections 15 to 27."""

import struct

from archiver.media.info import MediaInfo
from archiver.media.reader import MAX_READ, PADDING, Extent, NotWhole, Reader, Steps
from archiver.media.sniff import is_document
from archiver.media.streams import Stream, properties

_SIGNATURES = (b"GIF87a", b"GIF89a")
_EXTENSION, _IMAGE, _TRAILER = b"\x21", b"\x2c", b"\x3b"
_CONTROL = b"\xf9"
_LEAST_DELAY, _USUAL_DELAY = 2, 10
_BLOCKS, _EXTENSION_BLOCK, _IMAGE_BLOCK = Extent("blocks"), Extent("extension"), Extent("image")


def matches(head: bytes) -> bool:
    """Return whether `head`, the first bytes of a file, begins a GIF."""
    return head.startswith(_SIGNATURES)


def parse(reader: Reader) -> Steps[MediaInfo]:
    """Walk through an animation, block by block; raise `NotWhole` if it is not a whole one."""
    shown, delay = Stream("gif", timescale=100), _USUAL_DELAY
    screen = yield from reader.read(13, Extent("screen descriptor"))
    yield from _colour_table(reader, screen[10])
    while (block := (yield from reader.read(1, _BLOCKS))) != _TRAILER:
        reader.count_part(reader.position)
        if block == _EXTENSION:
            if (yield from reader.read(1, _EXTENSION_BLOCK)) == _CONTROL:
                delay = _delay((yield from reader.peek(4)))
            yield from reader.skip_blocks(_EXTENSION_BLOCK)
        elif block == _IMAGE:
            shown.samples += yield from _image(reader)
            shown.ticks += delay
            delay = _USUAL_DELAY
        else:
            position = reader.position - 1
            raise NotWhole(f"expected a GIF block at {position:,}, found 0x{block.hex()}")
    if not shown.samples:
        raise NotWhole("it has no image")
    yield from _rest(reader)
    shown.width, shown.height = struct.unpack_from("<6xHH", screen)
    rate = shown.rate if shown.samples > 1 else 0.0
    return MediaInfo(
        "gif", open_ended=False, properties=properties(shown.duration, shown, rate=rate)
    )


def _delay(control: bytes) -> int:
    """Return for how long an image is shown, in hundredths of a second, by its control block.

    Players take one that is too short to be shown for the usual one.
    """
    delay = int.from_bytes(control[2:4], "little") if control.startswith(b"\4") else 0
    return delay if delay >= _LEAST_DELAY else _USUAL_DELAY


def _image(reader: Reader) -> Steps[bool]:
    """Pass an image; return whether it has any data."""
    descriptor = yield from reader.read(9, _IMAGE_BLOCK)
    yield from _colour_table(reader, descriptor[8])
    yield from reader.read(1, _IMAGE_BLOCK)  # the LZW minimum code size
    return (yield from reader.skip_blocks(_IMAGE_BLOCK))


def _colour_table(reader: Reader, flags: int) -> Steps[None]:
    if flags & 0x80:
        yield from reader.read(3 << (flags & 7) + 1, Extent("colour table"))


def _rest(reader: Reader) -> Steps[None]:
    """Pass what follows the trailer: padding, or a few bytes that some programs leave there.

    Every image has come, so players read no further. A page or a second animation shows that
    the bytes are not those of one video.
    """
    end = reader.position
    rest = yield from reader.peek(MAX_READ)
    if is_document(start := rest.lstrip(PADDING)) or matches(start):
        raise NotWhole(f"it goes on after its end at {end:,}")
    if len(rest) == MAX_READ and not (yield from reader.skip_padding()):
        raise NotWhole(f"it goes on after its end at {end:,}")
