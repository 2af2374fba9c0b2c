"""Bodies: the bytes of an object that is to be written, in memory or in a file."""

from collections.abc import Generator, Iterator
from pathlib import Path

from archiver.errors import StorageError
from archiver.s3.objects import Body


def blocks(
    body: Body, start: int, size: int, block: int
) -> Generator[bytes | memoryview, None, None]:
    """Yield some of the bytes of an object, in blocks.

    Raises:
        StorageError: if they cannot be read, or are too few.
    """
    if body.content is not None:
        view = memoryview(body.content)[start : start + size]
        yield from (view[begin : begin + block] for begin in range(0, size, block))
        return
    try:
        yield from _file_blocks(Path(body.file), start, size, block)
    except OSError as error:
        why = f"{body.file} could not be read: {error.strerror or error}"
        raise StorageError(why) from error


def _file_blocks(file: Path, start: int, size: int, block: int) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as opened:
        opened.seek(start)
        while size:
            data = opened.read(min(size, block))
            if not data:
                raise OSError(f"it ends {size} bytes too early")
            size -= len(data)
            yield data
