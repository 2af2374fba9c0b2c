"""Writing: an object is there whole or not at all, and the store has verified its checksum."""

from functools import partial
from typing import IO, TYPE_CHECKING, Any, assert_never, cast

from archiver.bucket.connection import Connection
from archiver.bucket.media_types import media_type
from archiver.bucket.objects import (
    Absent,
    Body,
    Condition,
    ConditionFailed,
    NotSupported,
    Stored,
    Unchanged,
)
from archiver.bucket.reading import head
from archiver.bucket.reports import read_report
from archiver.bucket.sending import Part, Sending
from archiver.bucket.signing import to_base64

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import PutObjectOutputTypeDef

REFUSED = (404, 409, 412)
"""A condition does not hold; 404 where what should be unchanged is not there any more."""


async def put(connection: Connection, path: str, body: Body, condition: Condition) -> Stored:
    """Write an object, in one request."""
    sending = Sending(Part.whole(body), connection.bandwidth)
    response = await connection.ask_unless(
        REFUSED,
        "PutObject",
        f"writing {connection.url}/{path}",
        partial(_send, connection, path, sending, condition),
    )
    if not response and sending.tries == 1:
        raise ConditionFailed(path)
    stored = read_report(path, response, body.size) if response else None
    return await proven(connection, path, body, stored)


async def _send(
    connection: Connection, path: str, sending: Sending, condition: Condition
) -> "PutObjectOutputTypeDef":
    sending.tries += 1
    try:
        return await connection.client.put_object(
            **connection.place(path),
            **conditions(condition),
            Body=cast("IO[bytes]", sending),
            ChecksumSHA256=to_base64(sending.part.sha256),
            ContentType=media_type(path),
        )
    except Exception:
        if sending.failure:
            raise sending.failure from None
        raise


def conditions(condition: Condition) -> dict[str, Any]:
    """Return the parameters of a request that make it conditional."""
    match condition:
        case Absent():
            return {"IfNoneMatch": "*"}
        case Unchanged(etag):
            return {"IfMatch": etag}
    assert_never(condition)


async def proven(connection: Connection, path: str, body: Body, stored: Stored | None) -> Stored:
    """Return what was stored once the store has proven it; None is a response that was lost.

    Raises:
        ConditionFailed: if there is something else.
        StorageError: if the store does not keep the checksum that it was given.
    """
    if stored and stored.sha256 == body.sha256:
        return stored
    kept = await head(connection, path)
    if kept and kept.sha256 == body.sha256:
        return kept
    if not stored:
        raise ConditionFailed(path)
    raise NotSupported(f"the store does not prove the checksum of {connection.url}/{path}")
