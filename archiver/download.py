"""Brings the payload of one output from its links into a staged file, proven whole."""

import logging
import re
from dataclasses import dataclass

import aiohttp
import stamina
from yarl import URL

from archiver.answer import Link, Output
from archiver.outcome import LinkFault
from archiver.quantity import printable
from archiver.secret import REDACTED
from archiver.staging import Slot, StagedFile, Staging
from archiver.transfer import DownloadSettings, LinkFailed, Meter, Transfer
from archiver.worker_thread import in_thread

_LOG = logging.getLogger(__name__)
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A payload staged and proven whole."""

    file: StagedFile
    served_by: str
    faults: tuple[LinkFault, ...]
    """What was wrong with the links tried before."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No link gave the payload."""

    faults: tuple[LinkFault, ...]


class Downloader:
    """Downloads from links; each download is independent of the others."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: DownloadSettings, meter: Meter
    ) -> None:
        self._settings = settings
        self._transfer = Transfer(session, settings, meter)

    async def fetch(self, output: Output, staging: Staging, slot: Slot) -> Downloaded | Unavailable:
        """Stage the payload of `output` from the first of its links that gives it whole.

        Raises:
            DiskTrouble: if it cannot be written.
        """
        if staged := await in_thread(staging.find, slot):
            return Downloaded(staged, "an earlier try", ())
        faults: list[LinkFault] = []
        for link in output.links:
            try:
                staged = await self._from_link(link, staging, slot)
            except LinkFailed as failure:
                faults.append(_fault(link, failure))
                _LOG.debug("%s: %s", staging.generation, faults[-1])
            else:
                return Downloaded(staged, f"{link.role} {_shown(link)}", tuple(faults))
        return Unavailable(tuple(faults))

    async def _from_link(self, link: Link, staging: Staging, slot: Slot) -> StagedFile:
        url = self._url(link)
        async for attempt in stamina.retry_context(
            on=_backoff,
            attempts=self._settings.retries + 1,
            timeout=None,
            wait_initial=0.5,
        ):
            with attempt:
                return await self._transfer.run(url, staging, slot)
        raise AssertionError("the last attempt returns or raises")

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


def _backoff(error: Exception) -> bool | float:
    if not isinstance(error, LinkFailed) or not error.transient:
        return False
    if error.wait is None:
        return True
    return min(error.wait, _LONGEST_WAIT)
