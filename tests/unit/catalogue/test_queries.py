"""Queries: what is known of a generation comes back as it was recorded."""

from archiver.catalogue.store import Catalogue, Record
from archiver.checksums import BagFile
from archiver.generation import Generation
from archiver.media.info import Properties
from archiver.metadata import Metadata
from tests.support.catalogues import START

G263 = Generation("v6/deepfake", "263")
FILE = BagFile("data/v6/deepfake/263.mp4", "a" * 64, 1000)
SAID = Metadata(
    "a fox", "blurry", "wan2.1", "42", 640, 360, 5.0, "t-1", "2026-11-01T10:00:00+00:00"
)
SHOWN = Properties(5.04, 640, 360, 25.0, "h264", "aac")


def test_what_is_said_and_shown_is_known(catalogue: Catalogue) -> None:
    """Of the generation its metadata, of its file what the video says of itself."""
    catalogue.record([Record(G263, "held")], [FILE], START)
    catalogue.set_metadata([(G263, SAID)])
    catalogue.set_properties([(FILE.path, SHOWN)])
    known = catalogue.queries.of(G263)
    assert known.metadata == SAID
    assert [file.properties for file in known.files] == [SHOWN]
    assert list(catalogue.queries.all()) == [known]


def test_where_nothing_is_said_nothing_is_known(catalogue: Catalogue) -> None:
    """It is no error, and what is recorded later takes its place."""
    catalogue.record([Record(G263, "held")], [FILE], START)
    known = catalogue.queries.of(G263)
    assert known.metadata == Metadata()
    assert [file.properties for file in known.files] == [Properties()]
    catalogue.set_metadata([(G263, Metadata("a fox"))])
    catalogue.set_metadata([(G263, Metadata("a fox", seed="7"))])
    assert catalogue.queries.of(G263).metadata == Metadata("a fox", seed="7")
