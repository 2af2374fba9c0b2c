"""Reports: what a store says of an object, and which checksum of it can be believed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from archiver.s3.connection import date_of
from archiver.s3.objects import Stored
from archiver.s3.signing import from_base64

FULL, COMPOSITE = "sha256", "sha256-of-parts"
"""The metadata of an object written in parts: its checksum, and what the store must keep of it."""


def read_report(path: str, response: Mapping[str, Any], size: int) -> Stored:
    """Read what a store says of an object in response to HEAD, GET or PUT.

    What is written just now was written when the store says so.
    """
    now = date_of(response)
    return Stored(
        path=path,
        size=size,
        etag=response["ETag"],
        modified=response.get("LastModified", now).astimezone(UTC),
        now=now,
        sha256=_vouched(response),
    )


def read_entry(path: str, entry: Mapping[str, Any], now: datetime) -> Stored:
    """Read an entry of a listing."""
    modified = entry["LastModified"].astimezone(UTC)
    return Stored(path, entry["Size"], entry["ETag"], modified, now)


def _vouched(response: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all bytes that the store itself vouches for, or an empty string.

    Of an object written in parts it keeps the SHA-256 of the parts' SHA-256s. Before such an
    object was begun, that and the SHA-256 of the whole were computed from the same bytes, and put
    into its metadata: where the store's own agrees, so does the other.
    """
    checksum, metadata = response.get("ChecksumSHA256", ""), response.get("Metadata", {})
    if "-" not in checksum:
        return from_base64(checksum)
    return metadata.get(FULL, "") if checksum == metadata.get(COMPOSITE) else ""
