"""The lease: one run at a time has it, renews it, and loses it when it goes stale."""

import json
import threading
from typing import Any

import pytest

from archiver.bucket import lease as module
from archiver.bucket.claim import LEASE
from archiver.bucket.lease import Here, Lease, acquire, leased
from archiver.errors import ArchiveLocked, LeaseLost, StorageError
from tests.support.objects_in_memory import ObjectsInMemory


class FailingObjects(ObjectsInMemory):
    """A store that can be gone."""

    gone = False

    def step(self, what: str, path: str) -> None:
        """Fail while it is gone."""
        super().step(what, path)
        if self.gone:
            raise StorageError("the store is gone")


class Clock:
    """The clock that never stands still, until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def objects() -> FailingObjects:
    return FailingObjects()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "now", clock)
    return clock


def said(objects: ObjectsInMemory) -> dict[str, Any]:
    """Return what the lease says."""
    found: dict[str, Any] = json.loads(objects.content(LEASE) or b"{}")
    return found


def test_a_lease_is_held_and_released(objects: FailingObjects) -> None:
    """It names its run meanwhile; then the next run gets it at once, and need fence nobody."""
    with leased(objects) as first:
        assert said(objects)["run"] == first.run
        first.check()
    with leased(objects) as second:
        assert second.previous == first.run
        assert (second.unfenced, first.run != second.run) == ((), True)


def test_another_is_kept_out_and_the_holder_is_named(objects: FailingObjects) -> None:
    """The message has its process, how old the lease is, and when it goes stale."""
    with leased(objects):
        objects.pass_seconds(12)
        with (
            pytest.raises(
                ArchiveLocked,
                match=r"another run holds the archive \(process \d+ on .+, since .+ UTC; "
                r"its lease was renewed 12 s ago and goes stale in 49 s unless it is renewed\)",
            ),
            leased(objects),
        ):
            pass


def test_a_lease_that_is_released_in_time_is_waited_for(
    objects: FailingObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `wait`, the next run comes in as soon as the last one has ended."""
    monkeypatch.setattr(module, "_POLL", 0.01)
    first = acquire(objects, 0, 60)
    threading.Timer(0.1, first.release).start()
    with leased(objects, wait=20) as second:
        assert said(objects)["run"] == second.run


def test_a_stale_lease_is_taken_over_by_the_clock_of_the_store(objects: FailingObjects) -> None:
    """Its own time to live counts, whatever that of the other run, and not this machine's clock."""
    dead = acquire(objects, 0, ttl=300)
    objects.pass_seconds(301)
    with pytest.raises(ArchiveLocked, match="goes stale in 0 s"):
        acquire(objects, 0, ttl=10)
    objects.pass_seconds(0.5)
    taken = acquire(objects, 0, ttl=10)
    assert (taken.previous, taken.unfenced) == (dead.run, (dead.run,))


def test_whoever_takes_over_fences_whom_the_dead_had_to_fence(objects: FailingObjects) -> None:
    """A taker that dies before it has fenced another leaves both to the next."""
    dead = []
    for _ in range(3):
        dead.append(acquire(objects, 0, 60).run)
        objects.pass_seconds(62)
    assert {*acquire(objects, 0, 60).unfenced} == {*dead}


def test_a_lease_is_renewed_by_a_thread(objects: FailingObjects) -> None:
    """Every third of its time to live it is written anew, each time with another content."""
    renewed = threading.Event()
    contents = []

    def step(what: str, path: str) -> None:
        contents.append(objects.content(path))
        if len(contents) == 6:
            renewed.set()

    with leased(objects, ttl=0.06) as lease:
        objects.step = step  # type: ignore[method-assign]
        assert renewed.wait(20)
        lease.check()
        assert len({*contents}) == len(contents)


def test_a_lease_that_another_has_taken_over_is_lost(objects: FailingObjects) -> None:
    """The next renewal finds out, and names the other."""
    lease = acquire(objects, 0, 60)
    objects.pass_seconds(62)
    acquire(objects, 0, 60)
    lease.renew()
    with pytest.raises(LeaseLost, match=r"process \d+ on .+ has taken it over.+writes nothing"):
        lease.check()
    objects.asked.clear()
    lease.release()
    assert not said(objects)["released"]


def test_a_lease_that_somebody_has_deleted_is_lost(objects: FailingObjects) -> None:
    """It is not written anew: another run may have begun and ended in between."""
    lease = acquire(objects, 0, 60)
    objects.delete([LEASE])
    lease.renew()
    with pytest.raises(LeaseLost, match="somebody has deleted it"):
        lease.check()
    assert objects.content(LEASE) is None


def test_a_store_that_is_gone_is_tried_again_until_the_lease_must_be_assumed_lost(
    objects: FailingObjects, clock: Clock
) -> None:
    """Trouble shorter than the time to live is none; after that it must be assumed lost."""
    lease = acquire(objects, 0, 60)
    objects.gone = True
    clock.now += 59
    with pytest.raises(StorageError):
        lease.renew()
    lease.check()
    clock.now += 1
    with pytest.raises(LeaseLost, match="could not be renewed for 1 min: the store is gone"):
        lease.check()


def test_the_time_of_a_renewal_is_that_before_it_was_sent(
    objects: FailingObjects, clock: Clock
) -> None:
    """The store may have taken it at once, and the response be late, or lost."""
    lease = acquire(objects, 0, 60)
    objects.gone = True
    with pytest.raises(StorageError):
        lease.renew()
    objects.gone = False
    clock.now += 40
    lease.renew()
    objects.gone = True
    clock.now += 20
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_machine_that_slept_goes_on_where_nobody_was_in_between(
    objects: FailingObjects, clock: Clock
) -> None:
    """The renewal that the check makes succeeds only then."""
    lease = acquire(objects, 0, 60)
    clock.now += 3600
    objects.pass_seconds(3600)
    lease.check()
    clock.now += 3600
    objects.pass_seconds(3600)
    acquire(objects, 0, 60)
    with pytest.raises(LeaseLost, match="has taken it over"):
        lease.check()


def test_a_lost_response_to_a_renewal_is_not_taken_for_another_run(
    objects: FailingObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there says by its run and its number that it is ours."""
    lease = acquire(objects, 0, 60)
    plain = objects.put

    def lose_response(*args: Any) -> None:
        plain(*args)
        raise StorageError("the response is lost")

    monkeypatch.setattr(objects, "put", lose_response)
    with pytest.raises(StorageError):
        lease.renew()
    monkeypatch.setattr(objects, "put", plain)
    for _ in range(2):
        lease.renew()
    lease.check()
    assert said(objects)["renewed"] == 2


def test_the_response_to_a_taking_over_may_be_lost(objects: FailingObjects) -> None:
    """The client asks again, and the store says that somebody was first: that was us."""
    acquire(objects, 0, 60)
    objects.pass_seconds(62)
    plain = objects._put

    def put(*args: Any) -> Any:
        plain(*args)
        return plain(*args)  # as the client does where no response comes

    objects._put = put  # type: ignore[method-assign, assignment]
    lease = acquire(objects, 0, 60)
    assert said(objects)["run"] == lease.run
    objects._put = plain  # type: ignore[method-assign]
    lease.renew()
    lease.check()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"run": "x"}', b'{"run": 1, "ttl": "x"}']
)
def test_what_is_no_lease_is_left_alone(objects: FailingObjects, content: bytes) -> None:
    """A later version may have written it: no run begins."""
    objects.place(LEASE, content)
    objects.pass_seconds(10**6)
    with pytest.raises(ArchiveLocked, match=r"no lease that this version knows.+delete it"):
        acquire(objects, 0, 60)
    assert objects.content(LEASE) == content


def test_a_lease_that_cannot_be_released_goes_stale(
    objects: FailingObjects, caplog: pytest.LogCaptureFixture
) -> None:
    """The run has ended all the same."""
    with leased(objects):
        objects.gone = True
    assert "goes stale" in caplog.text


def test_an_interrupted_renewal_does_not_keep_it_from_being_released(
    objects: FailingObjects,
) -> None:
    """It may have been written: the lease is released as it is found."""
    lease = acquire(objects, 0, 60)
    other = Lease(objects, lease._claim)
    other._etag = lease._etag
    other.renew()
    lease.release()
    assert said(objects)["released"]


def test_what_goes_wrong_inside_lets_it_go(objects: FailingObjects) -> None:
    """An error of the holder's passes through, and the lease is free."""
    with pytest.raises(KeyError), leased(objects):
        raise KeyError
    assert said(objects)["released"]


def test_the_lease_of_a_run_that_is_dead_here_is_stale_at_once(objects: ObjectsInMemory) -> None:
    """Its process was on this machine and is gone: nobody has to wait for its lease."""
    dead = acquire(objects, 0, 60)
    with pytest.raises(ArchiveLocked):
        acquire(objects, 0, 60)
    assert acquire(objects, 0, 60, Here({dead.run})).previous == dead.run


class Overtaken(ObjectsInMemory):
    """A store in which another run may be a moment sooner."""

    overtaking = False

    def step(self, what: str, path: str) -> None:
        """Let the other one have the lease just before it is written."""
        super().step(what, path)
        if what == "put" and self.overtaking:
            self.overtaking = False
            acquire(self, 0, 60)


def test_who_is_a_moment_too_late_is_told_who_has_it() -> None:
    """Not who had it before, and has ended."""
    objects = Overtaken()
    with leased(objects):
        pass
    objects.pass_seconds(3600)
    objects.overtaking = True
    with pytest.raises(ArchiveLocked, match="renewed 0 s ago and goes stale in 1 min"):
        acquire(objects, 0, 60)


def test_a_run_is_known_here_before_the_store_knows_it(objects: ObjectsInMemory) -> None:
    """Killed just after it has the lease, it is known to be dead all the same."""
    known: list[str] = []

    def begins(run: str) -> None:
        assert objects.content(LEASE) is None
        known.append(run)

    assert acquire(objects, 0, 60, Here(begins=begins)).run == known[0]
