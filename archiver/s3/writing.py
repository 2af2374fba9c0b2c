"""Writing: an object is there whole or not at all, and the store has verified its checksum."""

from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from archiver.s3.connection import Connection
from archiver.s3.media_types import media_type
from archiver.s3.objects import (
    Absent,
    Body,
    Condition,
    ConditionFailed,
    NotSupported,
    Stored,
    Unchanged,
)
from archiver.s3.parts import Part, composite, part_size, split
from archiver.s3.reading import head
from archiver.s3.reports import COMPOSITE, FULL, read_report
from archiver.s3.sending import Sending
from archiver.s3.signing import to_base64
from archiver.s3.upload import begun

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import PutObjectOutputTypeDef

_REFUSED = (404, 409, 412)
"""A condition does not hold; 404 where what should be unchanged is not there any more."""


async def put(connection: Connection, path: str, body: Body, condition: Condition) -> Stored:
    """Write an object, in one request or, if it is large, in parts."""
    if body.size > connection.settings.multipart_above:
        return await _put_parts(connection, path, body, condition)
    sending = connection.sending(Part.whole(body))
    response = await connection.ask_unless(
        _REFUSED,
        "PutObject",
        f"writing {connection.url}/{path}",
        partial(_send, connection, path, sending, condition),
    )
    if not response and sending.tries == 1:
        raise ConditionFailed(path)
    if response:
        stored = read_report(path, response, body.size)
        if stored.sha256 == body.sha256:
            return stored
    return await _proven(connection, path, body, written=bool(response))


async def _send(
    connection: Connection, path: str, sending: Sending, condition: Condition
) -> "PutObjectOutputTypeDef":
    async with sending.again() as body:
        return await connection.client.put_object(
            **connection.place(path),
            **_conditions(condition),
            Body=body,
            ChecksumSHA256=to_base64(sending.part.sha256),
            ContentType=media_type(path),
        )


async def _put_parts(connection: Connection, path: str, body: Body, condition: Condition) -> Stored:
    """Write an object in parts: it is there once they are joined."""
    if condition == Absent() and await head(connection, path):
        raise ConditionFailed(path)  # before all of it has been sent
    parts = await split(body, part_size(body.size, connection.settings.part_size))
    metadata = {FULL: body.sha256, COMPOSITE: composite(parts)}
    async with begun(connection, path, metadata) as upload:
        for part in parts:
            await upload.send(part)
        joined = await upload.join(_conditions(condition), _REFUSED)
        if not joined and upload.tries == 1:
            raise ConditionFailed(path)
        return await _proven(connection, path, body, written=joined)


def _conditions(condition: Condition) -> dict[str, Any]:
    """Return the parameters of a request that make it conditional."""
    match condition:
        case Absent():
            return {"IfNoneMatch": "*"}
        case Unchanged(etag):
            return {"IfMatch": etag}
    assert_never(condition)


async def _proven(connection: Connection, path: str, body: Body, *, written: bool) -> Stored:
    """Return what was written, here or by an earlier try whose response was lost, once proven.

    Raises:
        ConditionFailed: if there is something else.
        NotSupported: if the store does not keep the checksum that it was given.
    """
    stored = await head(connection, path)
    if stored and stored.sha256 == body.sha256:
        return stored
    if written:
        raise NotSupported(f"the store does not prove the checksum of {connection.url}/{path}")
    raise ConditionFailed(path)
