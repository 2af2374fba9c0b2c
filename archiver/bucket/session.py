"""Session: a client of botocore's, with the credentials that it finds."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from archiver.bucket.connection import Connection
from archiver.bucket.event_loop import loop_thread
from archiver.bucket.faults import TROUBLE, describe
from archiver.bucket.reading import list_page
from archiver.bucket.s3_objects import BucketObjects
from archiver.bucket.signing import sign_recorded_hashes
from archiver.errors import ConfigurationError
from archiver.location import BucketUrl
from archiver.settings import BucketSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_REGION = "us-east-1"
"""Where none is configured: stores other than AWS take it for whatever is theirs."""


@contextmanager
def open_bucket(url: BucketUrl, settings: BucketSettings) -> Iterator[BucketObjects]:
    """Open the place of an archive in a bucket, and see that it can be listed."""
    with loop_thread() as thread:
        stack = AsyncExitStack()
        try:
            client = thread.run(_open_client(stack, url, settings))
            connection = Connection(client, url, settings)
            thread.run(list_page(connection, "", ""))
            yield BucketObjects(connection, thread)
        finally:
            thread.cancel()  # while the connections are still open: uploads are to be aborted
            thread.run(stack.aclose())


async def _open_client(
    stack: AsyncExitStack, url: BucketUrl, settings: BucketSettings
) -> "S3Client":
    session = AioSession()
    try:
        client = await stack.enter_async_context(
            session.create_client(
                "s3",
                region_name=session.get_config_variable("region") or _REGION,
                endpoint_url=url.endpoint_url or settings.endpoint_url,
                config=_config(settings),
            )
        )
    except (*TROUBLE, ValueError) as error:
        raise ConfigurationError(describe(error, "", settings.timeout)) from None
    sign_recorded_hashes(client)
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
