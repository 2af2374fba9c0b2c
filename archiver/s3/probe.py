"""Probe: does a store honour what an archive relies on? Small objects of its own tell."""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from archiver.errors import ConfigurationError
from archiver.location import BucketUrl
from archiver.s3.objects import (
    Absent,
    Body,
    ChecksumRefused,
    Condition,
    ConditionFailed,
    NotSupported,
    Objects,
    Stored,
    Unchanged,
)

_FOLDER = ".archiver/probe"
_NEITHER = "SHA-256 checksums (x-amz-checksum-sha256) or conditional writes (If-None-Match)"
_KEPT = "SHA-256 checksums that are kept (x-amz-checksum-sha256)"
_VERIFIED = "SHA-256 checksums that are verified"
_CREATED_ONCE = "writes of new objects only (If-None-Match)"
_UNCHANGED = "writes over unchanged objects only (If-Match)"
_OTHERS = "use one that has, such as AWS S3, Cloudflare R2 or SeaweedFS"


def probe(objects: Objects, url: BucketUrl) -> None:
    """See that a store honours conditional writes, and keeps and verifies checksums.

    Raises:
        ConfigurationError: if it does not: no archive would be safe there.
        StorageError: if the store fails.
    """
    objects.delete(each.path for each in objects.list(f"{_FOLDER}/") if _is_old(each))
    trial = _Trial(objects, f"{_FOLDER}/{secrets.token_hex(8)}")
    try:
        lacking = trial.lacking()
    finally:
        trial.delete()
    if lacking:
        raise ConfigurationError(
            f"{url} cannot hold an archive: its store has no {', no '.join(lacking)}; {_OTHERS}"
        )


@dataclass(frozen=True, slots=True)
class _Trial:
    """Objects that are written to be refused."""

    objects: Objects
    folder: str

    @property
    def right(self) -> str:
        return f"{self.folder}/right"

    @property
    def wrong(self) -> str:
        return f"{self.folder}/wrong"

    def lacking(self) -> list[str]:
        """Return what the store lacks."""
        first, second = _body(b"first\n"), _body(b"second\n")
        with suppress(NotSupported):
            self.objects.put(self.right, first, Absent())
        stored = self.objects.head(self.right)
        if not stored:
            return [_NEITHER]
        other = Unchanged(f'"{hashlib.md5(b"other", usedforsecurity=False).hexdigest()}"')
        wrong = replace(first, sha256=second.sha256)
        honoured = {
            _KEPT: stored.sha256 == first.sha256,
            _VERIFIED: self._is_refused(ChecksumRefused, self.wrong, wrong, Absent()),
            _CREATED_ONCE: self._is_refused(ConditionFailed, self.right, second, Absent()),
            _UNCHANGED: self._is_refused(ConditionFailed, self.right, second, other)
            and self._is_replaced(self.right, first),
        }
        return [what for what, holds in honoured.items() if not holds]

    def delete(self) -> None:
        """Delete what was written."""
        self.objects.delete([self.right, self.wrong])

    def _is_refused(
        self, refusal: type[Exception], path: str, body: Body, condition: Condition
    ) -> bool:
        try:
            self.objects.put(path, body, condition)
        except refusal:
            return True
        except NotSupported:
            pass
        return False

    def _is_replaced(self, path: str, body: Body) -> bool:
        stored = self.objects.head(path)
        try:
            return bool(stored and self.objects.put(path, body, Unchanged(stored.etag)))
        except (ConditionFailed, NotSupported):
            return False


def _is_old(left: Stored) -> bool:
    """Return whether an object is left from a run that was killed while it probed."""
    return left.now - left.modified > timedelta(hours=1)


def _body(content: bytes) -> Body:
    return Body(hashlib.sha256(content).hexdigest(), len(content), content)
