"""The probe: a store that does not honour what an archive relies on is refused."""

from typing import Any

import pytest

from archiver.errors import ConfigurationError, StorageError
from archiver.s3.objects import Absent, Body, Condition, Objects, Stored, Unchanged
from archiver.s3.probe import probe
from tests.support.seaweed import Place
from tests.support.store_proxy import Respond, Rewrite, StoreProxy

KEPT = "SHA-256 checksums that are kept"
VERIFIED = "SHA-256 checksums that are verified"
CREATED_ONCE = "If-None-Match"
UNCHANGED = "If-Match"


class Ignoring:
    """The objects of a store that ignores a kind of condition."""

    def __init__(self, objects: Objects, ignored: type[Condition]) -> None:
        self._objects = objects
        self._ignored = ignored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def put(self, path: str, body: Body, condition: Condition) -> Stored:
        """Write an object, whether the condition holds or not."""
        if isinstance(condition, self._ignored):
            self._objects.delete([path])
            condition = Absent()
        return self._objects.put(path, body, condition)


def test_a_store_that_honours_everything_passes(place: Place) -> None:
    """Nothing is left of the objects that it was tried with."""
    with place.open() as objects:
        probe(objects, place.url)
    assert place.keys() == []


def test_rclone_is_refused(rclone_place: Place) -> None:
    """One line says what it lacks, and names stores that lack nothing."""
    with rclone_place.open() as objects:
        with pytest.raises(ConfigurationError) as refused:
            probe(objects, rclone_place.url)
        assert list(objects.list()) == []
    for told in (str(rclone_place.url), VERIFIED, CREATED_ONCE, UNCHANGED, "SeaweedFS"):
        assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("ignored", "lacking"), [(Absent, CREATED_ONCE), (Unchanged, UNCHANGED)])
def test_a_store_that_ignores_a_condition_is_refused(
    place: Place, ignored: type[Condition], lacking: str
) -> None:
    """One kind of condition is not enough; only the one that is lacking is named."""
    with place.open() as objects:
        with pytest.raises(ConfigurationError) as refused:
            probe(Ignoring(objects, ignored), place.url)
        assert [kind for kind in (CREATED_ONCE, UNCHANGED) if kind in str(refused.value)] == [
            lacking
        ]
    assert place.keys() == []


@pytest.mark.parametrize(
    "refusal", [Respond(501, "NotImplemented"), Respond(400, "InvalidArgument")], ids=str
)
def test_a_store_that_knows_no_such_headers_is_refused(
    place: Place, proxy: StoreProxy, refusal: Respond
) -> None:
    """Some stores refuse the header of a condition or of a checksum."""
    proxy.instruct(refusal, "PUT", times=100)
    with (
        place.at(proxy.endpoint_url).open() as objects,
        pytest.raises(ConfigurationError, match=r"x-amz-checksum-sha256.* or .*If-None-Match"),
    ):
        probe(objects, place.url)


def test_a_store_that_keeps_no_checksum_is_refused(place: Place, proxy: StoreProxy) -> None:
    """What it does not give back it cannot vouch for."""
    proxy.instruct(Rewrite({"x-amz-checksum-sha256": ""}), "PUT|HEAD", times=100)
    with (
        place.at(proxy.endpoint_url).open() as objects,
        pytest.raises(ConfigurationError, match=KEPT),
    ):
        probe(objects, place.url)
    assert place.keys() == []


def test_a_store_that_fails_is_not_refused(place: Place, proxy: StoreProxy) -> None:
    """Trouble says nothing about what the store can do."""
    with place.at(proxy.endpoint_url).open() as objects:
        proxy.instruct(Respond(503, "SlowDown"), times=1000)
        with pytest.raises(StorageError, match="503 SlowDown"):
            probe(objects, place.url)
