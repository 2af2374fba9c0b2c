"""An object is written over what was looked at, and over nothing that somebody wrote since."""

import pytest

from archiver.errors import StorageError
from archiver.s3.measured import in_memory
from archiver.s3.objects import Absent, Stored, Unchanged
from archiver.s3.replacing import put_over
from tests.support.objects_in_memory import ObjectsInMemory

PATH = "index.html"
OURS = in_memory(b"ours")


class Contended:
    """Agrees to each write, but somebody else writes in between, as often as is said."""

    def __init__(self, objects: ObjectsInMemory, times: int) -> None:
        self._objects = objects
        self._times = times
        self.seen: list[bytes | None] = []

    def is_to_go(self, there: Stored | None) -> bool:
        """Agree, once somebody else has written."""
        self.seen.append(self._objects.content(PATH))
        if len(self.seen) <= self._times:
            condition = Unchanged(there.etag) if there else Absent()
            self._objects.put(PATH, in_memory(b"theirs %d" % len(self.seen)), condition)
        return True


@pytest.mark.parametrize("times", [0, 1, 2])
def test_what_came_in_between_is_looked_at(times: int) -> None:
    """Whoever writes is asked again about each object that is to go."""
    objects = ObjectsInMemory()
    contended = Contended(objects, times)
    put_over(objects, PATH, OURS, contended.is_to_go)
    assert objects.content(PATH) == b"ours"
    assert contended.seen == [None, b"theirs 1", b"theirs 2"][: times + 1]


def test_it_ends_where_somebody_else_is_always_quicker() -> None:
    """With an error, and what is there stays."""
    objects = ObjectsInMemory()
    with pytest.raises(StorageError, match=r"somebody else writes to index\.html again and again"):
        put_over(objects, PATH, OURS, Contended(objects, 9).is_to_go)
    assert objects.content(PATH) == b"theirs 3"


def test_what_is_not_to_go_stays() -> None:
    """Nothing is written then."""
    objects = ObjectsInMemory()
    objects.put(PATH, in_memory(b"theirs"), Absent())
    put_over(objects, PATH, OURS, lambda there: there is None)
    assert objects.content(PATH) == b"theirs"
