"""Connection: requests to a bucket, repeated with backoff while the trouble may pass."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from botocore.exceptions import ClientError

from archiver.errors import StorageError
from archiver.http.bandwidth import Bandwidth
from archiver.http.retry import Backoff
from archiver.location import BucketUrl
from archiver.progress import WAITING
from archiver.s3.faults import (
    TROUBLE,
    code_of,
    describe,
    may_pass,
    status_of,
    translate,
)
from archiver.s3.parts import Part
from archiver.s3.sending import Sending
from archiver.settings import BucketSettings
from archiver.units import printable

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_LOG = logging.getLogger(__name__)
_NOTICED = 2.0
"""A pause of so many seconds is noticed by who watches."""

T = TypeVar("T")
Request: TypeAlias = Callable[[], Awaitable[T]]


class Connection:
    """A client of botocore's, and the place in a bucket that it is for."""

    def __init__(self, client: "S3Client", url: BucketUrl, settings: BucketSettings) -> None:
        self.client = client
        self.url = url
        self.settings = settings
        self.bandwidth = Bandwidth(settings.limit_rate)
        self._gone = False
        """Whether the last request failed for good though it was repeated: others are not then."""
        self._is_waited_for = False
        """Whether it is said that the store does not respond."""
        self._worked: set[str] = set()
        """The operations that have succeeded: the configuration allows them."""

    def backoff(self) -> Backoff:
        """Return how often to try, and how long to pause before."""
        settings = self.settings
        return Backoff(settings.retries + 1, settings.pause_first, settings.pause_longest)

    def sending(self, part: Part) -> Sending:
        """Return the body of a request: an object, or a part of one."""
        return Sending(part, self.bandwidth, self.settings.timeout)

    def place(self, path: str) -> dict[str, Any]:
        """Return the parameters of a request that name an object."""
        return {"Bucket": self.url.bucket, "Key": self.url.key(path)}

    async def ask(self, operation: str, doing: str, request: Request[T]) -> T:
        """Make a request, again and again while the trouble may pass.

        Raises:
            ConfigurationError: if it shows that the configuration is wrong.
            StorageError: if the store fails, or no longer allows what it did.
        """
        try:
            response = await self._repeat(operation, doing, request)
        except TROUBLE as error:
            raise translate(
                error, doing, self._why(error, operation), worked=operation in self._worked
            ) from None
        self._worked.add(operation)
        return response

    async def ask_unless(
        self, refusals: Container[int], operation: str, doing: str, request: Request[T]
    ) -> T | None:
        """Make a request as `ask` does; return None if the store refuses with such a status."""

        async def refusable() -> T | None:
            try:
                return await request()
            except ClientError as error:
                refused = status_of(error) in refusals and code_of(error) != "NoSuchBucket"
                if refused and not may_pass(error):
                    return None
                raise

        return await self.ask(operation, doing, refusable)

    def _why(self, error: Exception, operation: str) -> str:
        """Return why a request has failed; that there is a store at all is not known at first."""
        why = describe(error, operation, self.settings.timeout)
        if self._worked or status_of(error) or not may_pass(error):
            return why
        return f"{why}: check the endpoint URL, {printable(self.client.meta.endpoint_url)}"

    async def _repeat(self, operation: str, doing: str, request: Request[T]) -> T:
        pauses = self.backoff().pauses()
        while True:
            try:
                response = await request()
            except TROUBLE as error:
                passing = may_pass(error)
                pause = next(pauses, None) if passing and not self._gone else None
                if pause is None:
                    self._gone = passing
                    raise
                _LOG.debug("%s: %s; again in %.1f s", doing, type(error).__name__, pause)
                if pause >= _NOTICED and not self._is_waited_for:
                    self._is_waited_for = True
                    WAITING.info("waiting for the store: %s", self._why(error, operation))
            else:
                self._gone = self._is_waited_for = False
                return response
            await asyncio.sleep(pause)


def date_of(response: Mapping[str, Any]) -> datetime:
    """Return when a store made a response, by its own clock (RFC 9110, 6.6.1).

    Raises:
        StorageError: if it does not say.
    """
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        raise StorageError("the store responds without a date") from None
