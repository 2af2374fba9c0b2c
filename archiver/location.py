"""Locations: where an archive is, a directory or a place in a bucket."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from archiver.errors import ConfigurationError

_SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A place in a bucket, `s3://bucket/prefix`, and how it is reached from here."""

    bucket: str
    prefix: str = ""
    """What the keys of its objects begin with, without a slash at either end; it may be empty."""
    endpoint_url: str | None = field(default=None, kw_only=True)
    """Of a store that is not Amazon's; None for what the environment or a profile says."""
    state_dir: Path | None = field(default=None, kw_only=True)
    """The directory of what archives in buckets have here; None for the platform's place."""

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, path: str) -> str:
        """Return the key of the object at a path of the archive."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def path(self, key: str) -> str:
        """Return the path in the archive of an object, by its key."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key


Location: TypeAlias = Path | BucketUrl
"""Where an archive is."""


def parse_location(written: Location | str) -> Location:
    """Return the location that somebody wrote: `s3://bucket/prefix`, or a path.

    Raises:
        ConfigurationError: if it is an S3 URL that names no bucket.
    """
    if not isinstance(written, str):
        return written
    if not is_bucket_url(written):
        return Path(written)
    bucket, _, prefix = written[len(_SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(f"{written!r} names no bucket: write s3://BUCKET/PREFIX")
    parts = [part for part in prefix.split("/") if part]
    if {".", ".."}.intersection(parts):
        raise ConfigurationError(f"{written!r}: a prefix has no '.' or '..' in it")
    return BucketUrl(bucket, "/".join(parts))


def is_bucket_url(written: str) -> bool:
    """Return whether a text is meant as the URL of a bucket."""
    return written.lower().startswith(_SCHEME)


def reached(location: Location, endpoint_url: str | None, state_dir: Path | None) -> Location:
    """Return a location that is reached so, if it is in a bucket."""
    if isinstance(location, Path):
        return location
    return replace(location, endpoint_url=endpoint_url, state_dir=state_dir)


def absolute(location: Location) -> str:
    """Return a location as it is to be written anywhere: a path from the root on, or the URL."""
    return str(location.absolute() if isinstance(location, Path) else location)
