"""The sender: brings staged files to the bucket, over nothing that is worth keeping."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from archiver.archive.layout import Layout
from archiver.archive.staged import StagedFile, StagedGeneration, write_contents
from archiver.bucket.quarantine import keep_aside
from archiver.bucket.recovery import matches
from archiver.bucket.uploads import Cancelling, UploadJournal, Uploads
from archiver.checksums import BagFile
from archiver.s3.objects import Absent, Body, ConditionFailed, Objects, Stored
from archiver.s3.replacing import put_over

if TYPE_CHECKING:
    from concurrent.futures import Future


class Sender:
    """Sends what is staged, beside the downloads or in a commit. Any thread may call it."""

    def __init__(
        self,
        objects: Objects,
        layout: Layout,
        journal: UploadJournal,
        check: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._objects = objects
        self._layout = layout
        self._check = check
        self._uploads = Uploads(self._send)
        self._sent: dict[str, BagFile] = {}
        """What was sent and is not committed, by its path."""
        self._lock = Lock()

    def begin(self, staged: StagedGeneration) -> "Future[str]":
        """Begin to send a generation; if that fails, what is in memory of it is kept here.

        The future has why the store did not take this one, or an empty text.

        Raises:
            StorageError: if the disk does not take its name into the journal.
        """
        self._journal.add(staged.files)
        return self._uploads.begin(staged, lambda failed: self.keep([failed]))

    def send(self, group: Iterable[StagedGeneration]) -> None:
        """Send what was not sent yet; what an earlier run has sent is not sent again.

        Raises:
            StorageError: if the store or the disk fails.
        """
        for staged in group:
            rest = [file for file in staged.files if not self._is_sent(file)]
            if any(not file.is_sidecar for file in rest):
                self._journal.add(staged.files)
            for file in rest:
                if not matches(self._objects.head(file.target.path), file.target):
                    self._send(file, Cancelling())

    def replace(self, file: StagedFile, same: BagFile | None = None) -> None:
        """Put a file in the place of an object, which is quarantined unless it is the `same`.

        Raises:
            ArchiveLocked: if the lease was lost: who has it now may have put that object there.
            StorageError: if the store fails.
        """
        path = file.target.path

        def is_to_go(there: Stored | None) -> bool:
            if same and matches(there, same):
                return False
            if there:
                keep_aside(self._objects, [path])
            self._check()
            return True

        put_over(self._objects, path, self._body(file), is_to_go)

    def forget(self, files: Iterable[StagedFile]) -> None:
        """Forget what is committed."""
        files = list(files)
        with self._lock:
            for file in files:
                self._sent.pop(file.target.path, None)
        self._journal.remove({file.directory for file in files})

    def keep(self, group: Sequence[StagedGeneration]) -> None:
        """Keep here what is only in memory of a group: its links may be dead next time."""
        with suppress(OSError):
            write_contents(self._layout, group)

    def close(self) -> None:
        """Wait for the end of what is being sent."""
        self._uploads.close()

    def _send(self, file: StagedFile, cancelling: Cancelling) -> None:
        """Create an object; one that is in its place is ours, or is quarantined."""
        target = file.target
        try:
            cancelling.result(
                lambda: self._objects.begin_put(target.path, self._body(file), Absent())
            )
        except ConditionFailed:
            self.replace(file, target)
        with self._lock:
            self._sent[target.path] = target

    def _is_sent(self, file: StagedFile) -> bool:
        with self._lock:
            return self._sent.get(file.target.path) == file.target

    def _body(self, file: StagedFile) -> Body:
        target, staged = file.target, self._layout.at(file.staged)
        return Body(target.sha256, target.bytes, file.content, staged)
