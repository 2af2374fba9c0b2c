"""The state of an archive in a bucket: what is on the disk here, in a directory of its own.

The catalogue, what is staged, the journal of uploads and a copy of the checksum manifest. If it is
lost, so is the history; nothing else is.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from archiver.archive.durable import replace
from archiver.archive.layout import Layout
from archiver.errors import ConfigurationError, storage_errors
from archiver.location import BucketUrl
from archiver.s3.client import EXTRA

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """What the last run here has left; the defaults are those of no run at all."""

    run: str = ""
    """Its name, as it is in its lease."""
    before: str = ""
    """That of the run before, until this one has the lease."""
    boot: str = ""
    """The boot of the machine on which it ran; empty until it has recovered what there was."""
    probed: bool = False
    """Whether the store was found to keep its promises."""

    @classmethod
    def read(cls, layout: Layout) -> "LastRun":
        """Return what was written; nothing of it makes sense after a power cut, say."""
        try:
            return cls(**json.loads(_path(layout).read_bytes()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, layout: Layout) -> None:
        """Write it, durably.

        Raises:
            StorageError: if the disk does not take it.
        """
        with storage_errors(f"writing {_path(layout)}"):
            replace(_path(layout), [json.dumps(asdict(self))])


def layout_of_bucket(url: BucketUrl) -> Layout:
    """Return the layout of what an archive in a bucket has here.

    Raises:
        ConfigurationError: if no place for it is named, and the platform has none.
    """
    digest = hashlib.sha256(f"{endpoint_of(url)} {url}".encode()).hexdigest()[:12]
    readable = _NOT_IN_NAMES.sub("-", f"{url.bucket}/{url.prefix}").strip("-")[:80]
    return Layout((url.state_dir or _default()) / f"{readable}-{digest}")


def endpoint_of(url: BucketUrl) -> str:
    """Return the URL of a bucket's store; "" for what a profile says, or Amazon's."""
    named = url.endpoint_url or next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
    return named.rstrip("/")


def _default() -> Path:
    try:
        from platformdirs import user_state_path  # noqa: PLC0415 (of the extra, as the rest)
    except ImportError:
        raise ConfigurationError(EXTRA) from None
    return user_state_path("archiver")


def _path(layout: Layout) -> Path:
    return layout.state / "last-run.json"
