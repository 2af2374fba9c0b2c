"""The lease on an archive in a bucket: the object that says which run works there.

It is created where there is none, renewed by its holder every third of its time to live, and taken
over once it is stale: older than its time to live, by the store's clock alone. Each of these is one
conditional write, so the store decides who is first. At the end it is released by such a write,
too: to delete it would be to delete the lease of whoever has taken it over meanwhile.

A holder that sleeps does not know that its lease is lost. That it writes no line any more is not
the lease's doing but the fence's (`fence.py`): the lease remembers which runs to keep out until
that is done.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from archiver.bucket.claim import LEASE, RESOLUTION, Claim, age_of, read
from archiver.errors import ArchiveLocked, LeaseLost, StorageError
from archiver.s3.measured import in_memory
from archiver.s3.objects import Absent, Condition, ConditionFailed, Objects, Stored, Unchanged
from archiver.units import format_duration

if TYPE_CHECKING:
    from concurrent.futures import Future

_LOG = logging.getLogger(__name__)

TTL = 60.0
"""The time to live, in seconds, of a lease that is not renewed."""
_POLL = 1.0
"""How often to look again, in seconds, while another run holds the lease."""
_TRIES = 3
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Unlike the monotonic clock of Linux this one also runs while the machine is suspended."""


class Lease:
    """A lease that this run has, or had."""

    def __init__(self, objects: Objects, claim: Claim, previous: str = "") -> None:
        self.run = claim.run
        """The run's name: unique, and sorted by when it began."""
        self.ttl = claim.ttl
        """How long it lives without being renewed, in seconds."""
        self.previous = previous
        """The run that had the lease before, however it ended; empty if there was none."""
        self.unfenced = claim.unfenced
        """The runs that are to be fenced before anything is written; each renewal says which."""
        self._objects = objects
        self._claim = claim
        self._next: tuple[Claim, float] | None = None
        self._etag = ""
        self._until = 0.0
        self._lost = ""
        self._renewing = threading.Lock()
        self._writing: Future[Stored] | None = None

    def check(self) -> None:
        """Make sure that the lease is neither known to be lost nor must be assumed to be.

        Where it was not renewed for as long as it lives, since the machine was asleep, it is
        renewed once more: that succeeds only if nobody was in between.

        Raises:
            LeaseLost: if it is lost, or may be.
        """
        if not self._lost and now() < self._until:
            return
        try:
            self.renew()
        except StorageError as error:
            self._lost = f"it could not be renewed for {format_duration(self.ttl)}: {error}"
        if self._lost:
            raise self.lost(self._lost)

    def begin(self, condition: Condition) -> bool:
        """Write it for the first time; return whether nobody else was first.

        Raises:
            StorageError: if the store does not take it.
        """
        began = now()
        try:
            self._put(self._claim, began, condition)
        except ConditionFailed:
            found = read(self._objects)
            if not found or found[0].run != self.run:
                return False
            self._succeeded(self._claim, began, found[1])  # its response was lost
        return True

    def renew(self) -> None:
        """Renew it once, if it is not lost; that it is lost, `check` says from then on.

        Raises:
            StorageError: if the store does not answer: it can be tried again.
        """
        with self._renewing:
            if self._lost:
                return
            claim, began = self._next or (self._claim.renewal(self.unfenced), now())
            self._next = claim, began  # a response that is lost may be that of a success
            try:
                self._put(claim, began, Unchanged(self._etag))
            except ConditionFailed:
                self._look_again(claim, began)

    def prove(self) -> None:
        """Renew it now: whatever was read before was read while no other run had it.

        Raises:
            LeaseLost: if another has it.
            StorageError: if the store does not answer.
        """
        self.renew()
        self.check()

    def release(self) -> None:
        """Let it go, if it is still ours.

        Raises:
            StorageError: if the store does not take it: it goes stale.
        """
        self.lose("it is released")
        claim = replace(self._claim.renewal(self.unfenced), released=True)
        for _ in range(_TRIES):
            try:
                self._put(claim, now(), Unchanged(self._etag))
            except ConditionFailed:  # a renewal was ended, and was written all the same
                found = read(self._objects)
                if not found or found[0].run != self.run:
                    return
                self._etag = found[1].etag
            else:
                return

    def lose(self, why: str) -> None:
        """Note that it is lost."""
        self._lost = self._lost or why

    def lost(self, why: str) -> LeaseLost:
        """Return the error of a lease that is lost, if not for another reason before."""
        self.lose(why)
        return LeaseLost(
            f"this run has lost its lease on the archive ({self._lost}) and writes nothing more: "
            "run it again when no other run works there"
        )

    def interrupt(self) -> None:
        """End a renewal that is under way."""
        if self._writing:
            self._writing.cancel()

    def _put(self, claim: Claim, began: float, condition: Condition) -> None:
        self._writing = self._objects.begin_put(LEASE, in_memory(claim.encoded()), condition)
        try:
            stored = self._writing.result(self.ttl)
        except (TimeoutError, CancelledError) as error:
            self._writing.cancel()
            raise StorageError(f"the store does not answer: {LEASE} is not written") from error
        self._succeeded(claim, began, stored)

    def _look_again(self, claim: Claim, began: float) -> None:
        """Find out whether a renewal that failed was our own, whose response was lost."""
        if not (found := read(self._objects)):
            self.lose("somebody has deleted it")
        elif found[0] == claim:
            self._succeeded(claim, began, found[1])
        elif found[0].run != self.run:
            self.lose(f"{found[0].holder()} has taken it over")
        else:
            self._etag = found[1].etag
            raise StorageError(f"{LEASE} was not written")

    def _succeeded(self, claim: Claim, began: float, stored: Stored) -> None:
        since = claim.since or stored.modified.isoformat()
        self._claim, self._next = replace(claim, since=since), None
        self._etag = stored.etag
        self._until = began + self.ttl


@dataclass(frozen=True)
class _Renewer:
    """Renews a lease, in a thread of its own, until it ends or the lease is lost."""

    lease: Lease
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        pause = self.lease.ttl / 3
        while not self.ended.wait(pause):
            try:
                self.lease.renew()
                pause = self.lease.ttl / 3
            except StorageError as error:
                _LOG.debug("the lease is not renewed yet: %s", error)
                pause = self.lease.ttl / 30
            except ArchiveLocked as error:
                self.lease.lose(str(error))
                return


def _nothing(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Here:
    """What this machine knows of runs of its own."""

    dead: Collection[str] = ()
    """The names of those whose processes are gone."""
    begins: Callable[[str], None] = _nothing
    """Notes the name of the run that begins, before the store may learn it."""


@contextmanager
def leased(
    objects: Objects, wait: float = 0, ttl: float | None = None, here: "Here | None" = None
) -> Iterator[Lease]:
    """Hold the lease on an archive; `ttl` is how long it lives without being renewed, in seconds.

    That of a run which is known to be dead, since its process was `here`, is stale at once.

    Raises:
        ArchiveLocked: if another run still holds it after `wait` seconds.
        StorageError: if the store fails.
    """
    lease = acquire(objects, wait, TTL if ttl is None else ttl, here)
    renewer = _Renewer(lease)
    thread = threading.Thread(target=renewer.run, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        renewer.ended.set()
        lease.interrupt()
        thread.join()
        try:
            lease.release()
        except StorageError as error:
            _LOG.warning("the lease is not released, and goes stale in a while: %s", error)


def acquire(objects: Objects, wait: float, ttl: float, here: "Here | None" = None) -> Lease:
    """Create the lease or take it over; nobody renews it yet.

    Raises:
        ArchiveLocked: if another run still holds it after `wait` seconds.
        StorageError: if the store fails.
    """
    claim, until, here = _new_claim(ttl), time.monotonic() + wait, here or Here()
    here.begins(claim.run)
    while True:
        found = read(objects)
        if lease := _claimed(objects, claim, found, here.dead):
            return lease
        if found and (left := until - time.monotonic()) <= 0:
            raise ArchiveLocked(_refusal(*(read(objects) or found)))  # another may just have it
        time.sleep(min(_POLL, left) if found else 0)


def now() -> float:
    """Return the time in seconds, by a clock that never stands still."""
    return time.clock_gettime(_CLOCK)


def _claimed(
    objects: Objects, claim: Claim, found: tuple[Claim, Stored] | None, dead: Collection[str]
) -> Lease | None:
    """Claim a lease that there is not, or that is stale; None if another is first, or has it."""
    previous = ""
    condition: Condition = Absent()
    if found:
        theirs, stored = found
        previous = theirs.run
        condition = Unchanged(stored.etag)
        claim = replace(claim, unfenced=theirs.unfenced)
        if not theirs.released:
            lives = timedelta(seconds=theirs.ttl) + RESOLUTION
            if theirs.run not in dead and age_of(stored) <= lives:
                return None
            claim = replace(claim, unfenced=(*{*theirs.unfenced, previous},))
    lease = Lease(objects, claim, previous)
    return lease if lease.begin(condition) else None


def _new_claim(ttl: float) -> Claim:
    began = datetime.now(UTC)
    run = f"{began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
    host = socket.gethostname()
    return Claim(run, ttl, host, os.getpid(), began.isoformat(timespec="seconds"))


def _refusal(claim: Claim, stored: Stored) -> str:
    age = age_of(stored).total_seconds()
    left = max(0.0, claim.ttl + RESOLUTION.total_seconds() - age)
    return (
        f"another run holds the archive ({claim.holder()}; its lease was renewed "
        f"{format_duration(age)} ago and goes stale in {format_duration(left)} unless it is "
        "renewed): wait for it to end, or see --lock-wait"
    )
