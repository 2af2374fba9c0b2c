"""Tag files: `bagit.txt` and `bag-info.txt`, here and in the bucket."""

from archiver.archive import tags
from archiver.archive.layout import Layout
from archiver.errors import StorageError, storage_errors
from archiver.location import BucketUrl
from archiver.s3.measured import in_memory
from archiver.s3.objects import Absent, ConditionFailed, Objects, Stored, Unchanged

DECLARATION, INFO = "bagit.txt", "bag-info.txt"
_LARGEST = 8 << 20


class TagFiles:
    """The tag files of an archive in a bucket, and those here."""

    def __init__(self, objects: Objects, url: BucketUrl, layout: Layout) -> None:
        self._objects = objects
        self._url = url
        self._layout = layout
        self._known: dict[str, tuple[bytes, Stored] | None] = {}
        """What the bucket has."""

    def fetch(self) -> None:
        """Have them here as they are in the bucket.

        Raises:
            StorageError: if the store or the disk fails.
        """
        with storage_errors(f"writing the tag files in {self._layout.root}"):
            for name in (DECLARATION, INFO):
                found, path = self._objects.get(name, _LARGEST), self._layout.root / name
                self._known[name] = found
                if found:
                    path.write_bytes(found[0])
                else:
                    path.unlink(missing_ok=True)
            tags.declare(self._layout)

    def send(self) -> None:
        """Write to the bucket those that are others here.

        Raises:
            StorageError: if the store or the disk fails.
        """
        for name in (DECLARATION, INFO):
            path, there = self._layout.root / name, self._known.get(name)
            with storage_errors(f"reading {path}"):
                data = path.read_bytes() if path.exists() else b""
            if not data or (there and there[0] == data):
                continue
            condition = Unchanged(there[1].etag) if there else Absent()
            try:
                self._known[name] = data, self._objects.put(name, in_memory(data), condition)
            except ConditionFailed:
                raise StorageError(f"{self._url}: somebody else has changed {name}") from None
