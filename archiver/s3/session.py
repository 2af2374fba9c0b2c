"""Session: a client of botocore's, with the credentials that it finds."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.parsers import ResponseParserError

from archiver.errors import ConfigurationError
from archiver.location import BucketUrl
from archiver.s3.connection import Connection
from archiver.s3.event_loop import loop_thread
from archiver.s3.faults import TROUBLE, describe
from archiver.s3.reading import check
from archiver.s3.s3_objects import BucketObjects
from archiver.s3.signing import sign_recorded_hashes
from archiver.settings import BucketSettings

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_aiobotocore_s3 import S3Client

_REGION = "us-east-1"
"""Where none is configured: stores other than AWS take it for whatever is theirs."""
_BAD_ENDPOINT = "the endpoint URL is not one: write it as https://HOST"
_SECRET_ENDPOINT = "the endpoint URL has a user or a password in it: leave them out"  # noqa: S105
_PROOF: Mapping[str, str] = {
    "CopyObject": "CopyObjectResult",
    "CreateMultipartUpload": "UploadId",
    "GetObject": "ETag",
    "HeadObject": "ETag",
    "ListMultipartUploads": "Bucket",
    "ListObjectsV2": "Name",
    "PutObject": "ETag",
    "UploadPart": "ETag",
    "UploadPartCopy": "CopyPartResult",
}
"""What each store says in response. botocore would take any web page for an empty listing."""


@contextmanager
def open_bucket(url: BucketUrl, settings: BucketSettings) -> Iterator[BucketObjects]:
    """Open the place of an archive in a bucket, and see that it can be listed."""
    with loop_thread() as thread:
        stack = AsyncExitStack()
        try:
            connection = Connection(thread.run(_open(stack, url, settings)), url, settings)
            thread.run(check(connection))
            yield BucketObjects(connection, thread)
        finally:
            thread.cancel()  # while the connections are still open: uploads are to be aborted
            thread.run(stack.aclose())


async def _open(stack: AsyncExitStack, url: BucketUrl, settings: BucketSettings) -> "S3Client":
    session = AioSession()
    try:
        client = await stack.enter_async_context(
            session.create_client(
                "s3",
                region_name=session.get_config_variable("region") or _REGION,
                endpoint_url=url.endpoint_url,
                verify=session.get_config_variable("ca_bundle") or os.environ.get("SSL_CERT_FILE"),
                config=_config(settings),
            )
        )
        secret = urlsplit(client.meta.endpoint_url).username
    except ValueError:
        raise ConfigurationError(f"failed while opening {url}: {_BAD_ENDPOINT}") from None
    except TROUBLE as error:
        why = describe(error, "CreateSession", settings.timeout)
        raise ConfigurationError(f"failed while opening {url}: {why}") from None
    if secret is not None:
        raise ConfigurationError(f"failed while opening {url}: {_SECRET_ENDPOINT}")
    _prepare(client)
    return client


def _config(settings: BucketSettings) -> AioConfig:
    """Return how botocore is to behave. It repeats no request: that is done in one place, here."""
    return AioConfig(
        connect_timeout=settings.timeout,
        read_timeout=settings.timeout,
        max_pool_connections=settings.connections,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1},
    )


def _prepare(client: "S3Client") -> None:
    sign_recorded_hashes(client)
    client.meta.events.register("after-call.s3", _see_proof)
    client.meta.events.register("before-call.s3.HeadBucket", _follow_no_further)


def _see_proof(model: "OperationModel", parsed: Mapping[str, Any], **_: Any) -> None:
    """Refuse a response that is not a store's."""
    proof = _PROOF.get(model.name)
    if proof and parsed["ResponseMetadata"]["HTTPStatusCode"] < 300 and proof not in parsed:
        if body := parsed.get("Body"):
            body.close()
        raise ResponseParserError(f"there is no {proof} in the response")


def _follow_no_further(params: dict[str, Any], **_: Any) -> None:
    """Keep botocore from asking where the bucket is, redirected by that question, for ever."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True
