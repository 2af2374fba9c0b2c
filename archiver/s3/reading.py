"""Reading: what a store says of an object, and its bytes."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from archiver.errors import StorageError
from archiver.s3.connection import Connection, Request, date_of
from archiver.s3.faults import TROUBLE
from archiver.s3.objects import Stored
from archiver.s3.reports import read_entry, read_report

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3.type_defs import (
        GetObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectsV2OutputTypeDef,
    )

_ABSENT = (404,)
_CHANGED = "it has changed meanwhile"
_BLOCK = 1 << 18


async def head(connection: Connection, path: str) -> Stored | None:
    """Return what the store says of an object; None if there is none."""
    response = await connection.ask_unless(_ABSENT, "HeadObject", *look(connection, path))
    return read_report(path, response, response["ContentLength"]) if response else None


def look(connection: Connection, path: str) -> "tuple[str, Request[HeadObjectOutputTypeDef]]":
    """Return what a request for all that a store says of an object does, and the request."""
    doing = f"looking at {connection.url}/{path}"
    head_object = connection.client.head_object
    return doing, partial(head_object, **connection.place(path), ChecksumMode="ENABLED")


async def get(connection: Connection, path: str, limit: int) -> tuple[bytes, Stored] | None:
    """Return a small object, whole; None if there is none."""
    return await connection.ask_unless(
        _ABSENT,
        "GetObject",
        f"reading {connection.url}/{path}",
        partial(_get, connection, path, limit),
    )


async def _get(connection: Connection, path: str, limit: int) -> tuple[bytes, Stored]:
    """Read an object at once; botocore compares its bytes with its checksum."""
    response = await connection.client.get_object(**connection.place(path), ChecksumMode="ENABLED")
    size = response["ContentLength"]
    async with response["Body"] as body:
        if size > limit:
            why = f"{connection.url}/{path} is larger than {limit} bytes: it has {size}"
            raise StorageError(why)
        return await body.read(), read_report(path, response, size)


class Download:
    """An object that is being read: where its connection breaks, it goes on from there."""

    stored: Stored

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._place = connection.place(path)
        self._path = path
        self._doing = f"reading {connection.url}/{path}"
        self._offset = 0
        self._body: StreamingBody | None = None

    async def begin(self) -> bool:
        """Request the object; return whether there is one."""
        get_object = self._connection.client.get_object
        response = await self._connection.ask_unless(
            _ABSENT,
            "GetObject",
            self._doing,
            partial(get_object, **self._place, ChecksumMode="ENABLED"),
        )
        if response:
            self._body = response["Body"]
            self.stored = read_report(self._path, response, response["ContentLength"])
        return response is not None

    async def block(self) -> bytes:
        """Return the next bytes; none at the end."""
        if self._offset == self.stored.size:
            return b""
        return await self._connection.ask("GetObject", self._doing, self._next)

    async def close(self) -> None:
        """Close the connection unless it has been read to the end."""
        if self._body:
            self._body.close()
            self._body = None

    async def _next(self) -> bytes:
        body = self._body = self._body or await self._rest()
        try:
            block = await body.read(_BLOCK)
        except TROUBLE:
            await self.close()
            raise
        if not block:
            await self.close()
            raise aiohttp.ClientPayloadError
        self._offset += len(block)
        return block

    async def _rest(self) -> "StreamingBody":
        """Request the bytes that are missing, of the same object (RFC 9110, 14.2 and 13.1.1)."""
        response = await self._connection.client.get_object(
            **self._place, Range=f"bytes={self._offset}-", IfMatch=self.stored.etag
        )
        unlike = self._unlike(response)
        if unlike:
            response["Body"].close()
            raise StorageError(f"{self._doing} was interrupted, and {unlike}")
        return response["Body"]

    def _unlike(self, response: "GetObjectOutputTypeDef") -> str:
        """Return why a response is not the rest of the same object: stores ignore `If-Match`."""
        if response["ETag"] != self.stored.etag:
            return _CHANGED
        resumed = response.get("ContentRange", "").startswith(f"bytes {self._offset}-")
        return "" if resumed else "the store cannot resume"


async def check(connection: Connection) -> None:
    """See that there is such a bucket, and that it may be listed."""
    await _list(connection, f"opening {connection.url}", connection.url.key(""), {"MaxKeys": 1})


async def list_page(connection: Connection, prefix: str, token: str) -> tuple[list[Stored], str]:
    """Return up to 1,000 objects whose paths begin with a prefix, and the token of the next."""
    doing = f"listing {connection.url}/{prefix}"
    more = {"ContinuationToken": token} if token else {}
    response = await _list(connection, doing, connection.url.key(prefix), more)
    now, path = date_of(response), connection.url.path
    entries = [read_entry(path(each["Key"]), each, now) for each in response.get("Contents", ())]
    following = response.get("NextContinuationToken", "")
    if response.get("IsTruncated") and not following:
        raise StorageError(f"the store failed while {doing}: it does not say how to go on")
    return entries, following


async def _list(
    connection: Connection, doing: str, prefix: str, more: Mapping[str, Any]
) -> "ListObjectsV2OutputTypeDef":
    list_objects = connection.client.list_objects_v2
    bucket = connection.url.bucket
    return await connection.ask(
        "ListObjectsV2", doing, partial(list_objects, Bucket=bucket, Prefix=prefix, **more)
    )
