"""Tidying: objects and uploads that are moved or deleted."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.errors import StorageError
from archiver.s3.connection import Connection, Request, date_of
from archiver.s3.objects import Stored
from archiver.s3.parts import part_size
from archiver.s3.reading import head, look
from archiver.s3.upload import begun

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import (
        DeleteObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        MultipartUploadTypeDef,
    )

_CANNOT = (400, 403, 404, 405, 411, 501)
"""How stores refuse to delete several objects at once."""
_CANNOT_IF = (400, 404, 412, 501)
"""It is not what it was, or not there any more, or the store knows no such condition."""
AT_ONCE = 1000
"""How many objects a request can delete."""


async def copy(connection: Connection, path: str, target: str) -> None:
    """Copy an object within the store; a large one in parts.

    Raises:
        StorageError: if it is not there.
    """
    source = await connection.ask_unless((404,), "HeadObject", *look(connection, path))
    if not source:
        raise StorageError(f"{connection.url}/{path} cannot be copied: it is not there")
    if source["ContentLength"] > connection.settings.multipart_above:
        await _copy_parts(connection, path, target, source)
        return
    await connection.ask(
        "CopyObject",
        f"copying {connection.url}/{path}",
        partial(
            connection.client.copy_object,
            **connection.place(target),
            CopySource={"Bucket": connection.url.bucket, "Key": connection.url.key(path)},
            CopySourceIfMatch=source["ETag"],
        ),
    )


async def _copy_parts(
    connection: Connection, path: str, target: str, source: "HeadObjectOutputTypeDef"
) -> None:
    """Copy an object in the parts that it was written in: the store keeps the same of them."""
    size = source["ContentLength"]
    step = part_size(size, connection.settings.part_size)
    async with begun(connection, target, source["Metadata"]) as upload:
        for start in range(0, size, step):
            span = range(start, min(start + step, size))
            await upload.copy(connection.place(path), source["ETag"], span)
        await upload.join({})


async def delete(connection: Connection, paths: Sequence[str]) -> None:
    """Delete some objects: together, and what was not deleted so one by one."""
    keys = [connection.url.key(path) for path in paths]
    response = await connection.ask_unless(
        _CANNOT,
        "DeleteObjects",
        f"deleting from {connection.url}",
        partial(
            connection.client.delete_objects,
            Bucket=connection.url.bucket,
            Delete={"Objects": [{"Key": key} for key in keys]},
        ),
    )
    deleted = {each["Key"] for each in response.get("Deleted", ())} if response else set()
    for path, key in zip(paths, keys, strict=True):
        if key not in deleted:
            await connection.ask("DeleteObject", *_deletion(connection, path))


async def delete_unchanged(connection: Connection, there: Stored) -> None:
    """Delete an object if it is still the one that was looked at (`If-Match`).

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html: where it
    is gone already, AWS says 404.

    Raises:
        StorageError: if it is another one now.
    """
    conditional = _deletion(connection, there.path, IfMatch=there.etag)
    done = await connection.ask_unless(_CANNOT_IF, "DeleteObject", *conditional)
    found = None if done else await head(connection, there.path)
    if found and found.etag != there.etag:
        raise StorageError(f"{connection.url}/{there.path} has changed meanwhile")
    if found:
        await connection.ask("DeleteObject", *_deletion(connection, there.path))


def _deletion(
    connection: Connection, path: str, **condition: Any
) -> "tuple[str, Request[DeleteObjectOutputTypeDef]]":
    """Return what a request to delete an object does, and the request."""
    delete_object = partial(connection.client.delete_object, **connection.place(path), **condition)
    return f"deleting {connection.url}/{path}", delete_object


async def abort_uploads(connection: Connection, older_than: timedelta) -> int:
    """Abort multipart uploads under the prefix that were begun longer ago; return how many."""
    stale = [each async for each in _stale_uploads(connection, older_than)]
    for upload in stale:
        await connection.ask_unless(
            (404,),
            "AbortMultipartUpload",
            f"aborting an upload to s3://{connection.url.bucket}/{upload['Key']}",
            partial(
                connection.client.abort_multipart_upload,
                Bucket=connection.url.bucket,
                Key=upload["Key"],
                UploadId=upload["UploadId"],
            ),
        )
    return len(stale)


async def _stale_uploads(
    connection: Connection, older_than: timedelta
) -> AsyncIterator["MultipartUploadTypeDef"]:
    marker: dict[str, Any] = {}
    while True:
        response = await connection.ask(
            "ListMultipartUploads",
            f"listing the uploads to {connection.url}",
            partial(
                connection.client.list_multipart_uploads,
                Bucket=connection.url.bucket,
                Prefix=connection.url.key(""),
                **marker,
            ),
        )
        before = date_of(response) - older_than
        for upload in response.get("Uploads", ()):
            if upload["Initiated"] < before:
                yield upload
        if not response.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": response["NextKeyMarker"],
            "UploadIdMarker": response["NextUploadIdMarker"],
        }
