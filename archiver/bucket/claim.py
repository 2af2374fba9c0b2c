"""The claim to an archive in a bucket: what the lease object says, as anyone may read it."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from archiver.archive.layout import STATE
from archiver.archive.store import Holder
from archiver.bucket.segment import is_run
from archiver.errors import ArchiveLocked
from archiver.s3.objects import Objects, Stored
from archiver.units import printable

LEASE = f"{STATE}/lease"
RESOLUTION = timedelta(seconds=1)
"""HTTP dates are whole seconds: a lease may be this much younger than it seems."""
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Claim:
    """What the object says: whose lease it is, and how long it lives."""

    run: str
    ttl: float
    host: str
    process: int
    began: str
    since: str = ""
    """When it was first written, by the store's clock; empty in that first write."""
    renewed: int = 0
    """How often: no two writes of a lease have the same content, nor the same ETag."""
    unfenced: tuple[str, ...] = ()
    """The runs whose leases were taken over, but which are not fenced yet."""
    released: bool = False

    def encoded(self) -> bytes:
        """Return the object's content."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return f"{json.dumps(fields, indent=1)}\n".encode()

    def renewal(self, unfenced: tuple[str, ...]) -> "Claim":
        """Return what it says next."""
        return replace(self, renewed=self.renewed + 1, unfenced=unfenced)

    @classmethod
    def parse(cls, content: bytes) -> "Claim":
        """Return what an object says.

        Raises:
            ArchiveLocked: if it says something else.
        """
        try:
            fields = json.loads(content)
            said = {name: fields[name] for name in cls.__slots__}
            claim = cls(**said | {"unfenced": tuple(map(str, fields["unfenced"]))})
            timedelta(seconds=claim.ttl)
            claim.at_work_since(datetime.now(UTC))
            known = all(map(is_run, (claim.run, *claim.unfenced)))
        except (ValueError, KeyError, TypeError, OverflowError):
            known = False
        if not known:
            raise ArchiveLocked(
                f"the object {LEASE} is no lease that this version knows: if no run works in the "
                "archive, delete it"
            )
        return claim

    def at_work_since(self, written: datetime) -> datetime:
        """Return when its run began, by the store's clock; it was last `written` then."""
        return (datetime.fromisoformat(self.since) if self.since else written) - RESOLUTION

    def holder(self) -> str:
        """Name the holder, for people."""
        began = printable(str(self.began)).replace("T", " ")[:16]
        return f"process {self.process} on {printable(str(self.host))}, since {began} UTC"


def read(objects: Objects) -> tuple[Claim, Stored] | None:
    """Return the lease that there is, and what the store says of it; None if there is none.

    Raises:
        ArchiveLocked: if it says something that this version does not know.
        StorageError: if the store fails.
    """
    found = objects.get(LEASE, _LARGEST)
    return (Claim.parse(found[0]), found[1]) if found else None


def holder(objects: Objects) -> Holder | None:
    """Return which run has the lease; None if none has.

    Raises:
        ArchiveLocked: if it says something that this version does not know.
        StorageError: if the store fails.
    """
    found = read(objects)
    if not found or found[0].released:
        return None
    claim, age = found[0], age_of(found[1])
    alive = age <= timedelta(seconds=claim.ttl) + RESOLUTION
    host, name = printable(str(claim.host)), claim.holder()
    return Holder(claim.run, host, claim.process, claim.began, name, age.total_seconds(), alive)


def age_of(stored: Stored) -> timedelta:
    """Return how long ago an object was written, by the store's clock."""
    return stored.now - stored.modified
