"""Brings the payload of one output from its links into a staged file, proven whole."""

import logging
import re
from dataclasses import dataclass

import aiohttp
from yarl import URL

from archiver.apikey import REDACTED
from archiver.archive.partial_file import Part
from archiver.archive.staging import StagedFile, Staging
from archiver.download.hosts import Hosts
from archiver.download.transfer import LinkFailed, LinkThrottled, Transfer
from archiver.http.retry import Backoff, with_backoff
from archiver.modelslab.responses import Link, Output
from archiver.outcomes import LinkFault
from archiver.progress import ByteProgress
from archiver.settings import DownloadSettings
from archiver.threads import in_thread
from archiver.units import format_duration, printable

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A payload staged and proven whole."""

    file: StagedFile
    served_by: str
    faults: tuple[LinkFault, ...]
    """What was wrong with the links tried before."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No link gave the payload; one may after a pause of so many seconds, if that is given."""

    faults: tuple[LinkFault, ...]
    pause: float | None = None
    refused: bool = False
    """A host was asked for this very payload, and it was then that it asked for the pause."""


class Downloader:
    """Downloads from links; each download is independent of the others."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: DownloadSettings, progress: ByteProgress
    ) -> None:
        self._settings = settings
        self._hosts = Hosts(settings.at_once, settings.per_host)
        self._transfer = Transfer(session, settings, progress)

    async def fetch(self, output: Output, staging: Staging, part: Part) -> Downloaded | Unavailable:
        """Stage the payload of `output` from the first of its links that gives it whole.

        Raises:
            StorageError: if it cannot be written.
        """
        faults: list[LinkFault] = []
        pauses: list[float] = []
        refused = False
        try:
            for link in output.links:
                try:
                    staged = await self._from_link(link, staging, part)
                except LinkFailed as failure:
                    faults.append(_fault(link, failure))
                    _LOG.debug("%s: %s", staging.generation, faults[-1])
                    if isinstance(failure, LinkThrottled) and failure.wait is not None:
                        pauses.append(failure.wait)
                        refused |= failure.status > 0
                else:
                    return Downloaded(staged, f"{link.role} {_shown(link)}", tuple(faults))
        finally:
            if not part.kept:
                await in_thread(part.leave)
        return Unavailable(tuple(faults), min(pauses, default=None), refused)

    async def _from_link(self, link: Link, staging: Staging, part: Part) -> StagedFile:
        """Fetch from a link, again if it may help; a host that throttles is left alone."""
        url = self._url(link)
        backoff = Backoff(self._settings.retries + 1, first=0.5, longest=5.0)
        return await with_backoff(
            lambda: self._in_turn(url, staging, part), on=_is_transient, backoff=backoff
        )

    async def _in_turn(self, url: URL, staging: Staging, part: Part) -> StagedFile:
        async with self._hosts.slot(url):
            pause, why = self._hosts.pause(url)
            if pause:
                wait = format_duration(pause)
                raise LinkThrottled(f"not asked: its host says {why}, for {wait} more", wait=pause)
            try:
                staged = await self._transfer.run(url, staging, part)
            except LinkThrottled as failure:
                failure.wait = self._hosts.throttled(url, str(failure), failure.wait)
                raise
        self._hosts.served(url)
        return staged

    def _url(self, link: Link) -> URL:
        if REDACTED in link.url:
            raise LinkFailed("not followed: the link contains the API key")
        try:
            # A link that is already encoded may be signed: it is sent to the letter.
            url = URL(link.url, encoded=link.url.isascii() and " " not in link.url)
            followable = url.scheme in ("http", "https") and url.host
        except ValueError:
            raise LinkFailed("not a link") from None
        if not followable:
            raise LinkFailed("not an http(s) link")
        return url


def _fault(link: Link, failure: LinkFailed) -> LinkFault:
    return LinkFault(
        link.role,
        _shown(link),
        printable(str(failure)),
        gone=failure.status in (404, 410),
        forbidden=failure.status == 403,
    )


def _shown(link: Link) -> str:
    """The link for people: without its query, user and password."""
    scheme, colon, rest = link.url.partition(":")
    slashes = rest[: len(rest) - len(rest.lstrip("/\\"))]
    place = rest.removeprefix(slashes).rpartition("@")[2]
    shown = re.split("[?#]", f"{scheme}{colon}{slashes}{place}")[0]
    return printable(shown[:300])


def _is_transient(error: Exception) -> bool:
    return isinstance(error, LinkFailed) and error.transient
