"""The downloader: one output, from the first of its links that gives it whole."""

import asyncio
from dataclasses import dataclass

from archiver.archive.partial_file import PartialFile, Payload
from archiver.download.links import shown
from archiver.download.transfer import Transfer
from archiver.http.retry import Backoff
from archiver.outcomes import LinkFault
from archiver.outputs import Link, Output
from archiver.threads import in_thread


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A payload, proven whole, and the link that served it."""

    payload: Payload
    served_by: str
    faults: tuple[LinkFault, ...] = ()
    """What was wrong with the links tried before."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No link gave the payload."""

    faults: tuple[LinkFault, ...]

    @property
    def pause(self) -> float | None:
        """In how many seconds a link may serve again, if a host has asked for a pause."""
        pauses = [fault.pause for fault in self.faults if fault.pause is not None]
        return min(pauses, default=None)

    @property
    def no_space(self) -> bool:
        """Whether a link has more to give than fits on the disk."""
        return any(fault.no_space for fault in self.faults)

    @property
    def refused(self) -> bool:
        """Whether a host has refused this very payload, and asked for a pause then."""
        return any(fault.pause is not None and fault.status for fault in self.faults)


class Downloader:
    """Downloads outputs, each independently of the others."""

    def __init__(self, transfer: Transfer, retries: int) -> None:
        self._transfer = transfer
        self._backoff = Backoff(retries + 1, first=0.5, longest=5.0)

    async def fetch(self, output: Output, partial: PartialFile) -> Downloaded | Unavailable:
        """Download `output` into `partial` from the first of its links that gives it whole.

        Raises:
            StorageError: if it cannot be written.
        """
        faults: list[LinkFault] = []
        whole = False
        try:  # one partial file for all links: a proxy resumes what the primary began
            for link in output.links:
                match await self._from_link(link, partial):
                    case Payload() as payload:
                        whole = True
                        return Downloaded(payload, f"{link.role} {shown(link)}", tuple(faults))
                    case LinkFault() as fault:
                        faults.append(fault)
            return Unavailable(tuple(faults))
        finally:
            if not whole:
                await in_thread(partial.suspend)

    async def _from_link(self, link: Link, partial: PartialFile) -> Payload | LinkFault:
        """Try a link, again where that may help."""
        for pause in self._backoff.pauses():
            result = await self._transfer.run(link, partial)
            if isinstance(result, Payload) or not result.transient:
                return result
            await asyncio.sleep(pause)  # without a slot: others download meanwhile
        return await self._transfer.run(link, partial)
