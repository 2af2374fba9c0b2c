"""Upload: an object on its way in parts, which is joined at the end or aborted."""

import asyncio
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from archiver.errors import StorageError
from archiver.s3.connection import Connection
from archiver.s3.faults import TROUBLE, code_of
from archiver.s3.media_types import media_type
from archiver.s3.parts import Part
from archiver.s3.sending import Sending
from archiver.s3.signing import to_base64
from archiver.threads import finished

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadOutputTypeDef,
        UploadPartOutputTypeDef,
    )

_ABORT_WITHIN = 10.0
"""What is not aborted within this many seconds is left to the next run."""


@asynccontextmanager
async def begun(
    connection: Connection, path: str, metadata: Mapping[str, str]
) -> AsyncIterator["Upload"]:
    """Begin to write an object in parts; abort that if it does not come to its end."""
    doing = f"writing {connection.url}/{path}"
    response = await connection.ask(
        "CreateMultipartUpload",
        doing,
        partial(
            connection.client.create_multipart_upload,
            **connection.place(path),
            ChecksumAlgorithm="SHA256",
            ContentType=media_type(path),
            Metadata=metadata,
        ),
    )
    upload = Upload(connection, doing, connection.place(path) | {"UploadId": response["UploadId"]})
    try:
        yield upload
    except BaseException:
        await finished(upload.abort())
        raise


class Upload:
    """Parts of an object, in the order in which they are sent."""

    def __init__(self, connection: Connection, doing: str, place: dict[str, Any]) -> None:
        self.tries = 0
        """How often the parts were to be joined."""
        self._connection = connection
        self._doing = doing
        self._place = place
        self._parts: list[CompletedPartTypeDef] = []

    async def send(self, part: Part) -> None:
        """Send the next part."""
        sending = self._connection.sending(part)
        number = len(self._parts) + 1
        response = await self._connection.ask(
            "UploadPart", self._doing, partial(self._send, number, sending)
        )
        self._add(response["ETag"], to_base64(part.sha256))

    async def copy(self, source: Mapping[str, str], etag: str, span: range) -> None:
        """Copy the next part from an object, which must be unchanged."""
        response = await self._connection.ask(
            "UploadPartCopy",
            self._doing,
            partial(
                self._connection.client.upload_part_copy,
                **self._place,
                PartNumber=len(self._parts) + 1,
                CopySource={"Bucket": source["Bucket"], "Key": source["Key"]},
                CopySourceIfMatch=etag,
                CopySourceRange=f"bytes={span.start}-{span.stop - 1}",
            ),
        )
        copied = response["CopyPartResult"]
        self._add(copied["ETag"], copied.get("ChecksumSHA256", ""))

    async def join(self, conditions: Mapping[str, Any], refusals: Container[int] = ()) -> bool:
        """Make one object of the parts; return whether the store did, or refused to."""
        response = await self._connection.ask_unless(
            refusals, "CompleteMultipartUpload", self._doing, partial(self._join, conditions)
        )
        return response is not None

    async def abort(self) -> None:
        """Abort it, if the store responds soon."""
        with suppress(*TROUBLE):
            async with asyncio.timeout(_ABORT_WITHIN):
                await self._connection.client.abort_multipart_upload(**self._place)

    def _add(self, etag: str, checksum: str) -> None:
        part: CompletedPartTypeDef = {"ETag": etag, "PartNumber": len(self._parts) + 1}
        if checksum:
            part["ChecksumSHA256"] = checksum
        self._parts.append(part)

    async def _send(self, number: int, sending: Sending) -> "UploadPartOutputTypeDef":
        async with sending.again() as body:
            return await self._connection.client.upload_part(
                **self._place,
                PartNumber=number,
                Body=body,
                ChecksumSHA256=to_base64(sending.part.sha256),
            )

    async def _join(self, conditions: Mapping[str, Any]) -> "CompleteMultipartUploadOutputTypeDef":
        self.tries += 1
        try:
            return await self._connection.client.complete_multipart_upload(
                **self._place, **conditions, MultipartUpload={"Parts": self._parts}
            )
        except ClientError as error:
            if code_of(error) == "NoSuchUpload" and self.tries == 1:
                why = f"the store failed while {self._doing}: the upload was aborted meanwhile"
                raise StorageError(why) from None
            raise
