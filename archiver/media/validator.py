"""The validator: whether bytes, fed chunk by chunk, are one whole video."""

from archiver.media import gif, matroska, mp4
from archiver.media.info import MediaInfo
from archiver.media.reader import NotWhole, Reader, Steps
from archiver.media.sniff import sniff

_FORMATS = (
    (mp4.matches, mp4.parse),
    (matroska.matches, matroska.parse),
    (gif.matches, gif.parse),
)


class Validator:
    """Validates a video whose bytes are fed in order, in chunks of any size.

    Only the structure of the container is read, once, and what it says of the video with it. A few
    KiB are kept in memory, and a movie's index while it comes: 32 MiB at most.
    """

    def __init__(self) -> None:
        self._reader = Reader()
        self._parser = _parse(self._reader)
        self._media: MediaInfo | None = None
        self._reason: str | None = None

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Validate the next bytes; `chunk` may be reused afterwards.

        Raises:
            NotWhole: as soon as the bytes can no longer be a video, and on every later call.
            RuntimeError: after a `finish` that found them whole.
        """
        if self._media:
            raise RuntimeError("fed after the end")
        if self._reader.feed(chunk) or self._reason:
            try:
                self._step()
            finally:
                self._reader.release()

    def finish(self) -> MediaInfo:
        """Return what the video is, now that no bytes follow; it may be called again.

        Raises:
            NotWhole: if the bytes are not one whole video.
        """
        self._reader.at_end = True
        while not self._media:
            self._step()
        return self._media

    def _step(self) -> None:
        """Let the parser read on until it needs more bytes, or is done."""
        if self._reason:
            raise NotWhole(self._reason)
        try:
            next(self._parser)
        except StopIteration as stop:
            self._media = stop.value
        except NotWhole as error:
            self._reason = str(error)
            raise


def _parse(reader: Reader) -> Steps[MediaInfo]:
    if len(head := reader.look(12)) < 12:
        head = yield from reader.peek(12)
    for matches, parse in _FORMATS:
        if matches(head):
            return (yield from parse(reader))
    raise NotWhole((yield from sniff(reader)))
