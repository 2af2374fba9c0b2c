"""What is known of the generations that ModelsLab itself lists, by ID alone."""

from contextlib import closing

import pytest

from archiver.catalogue.listed import _DEAD, _KNOWN_AS, _NAMESAKES, Dead, Namesake
from archiver.catalogue.store import Catalogue
from archiver.generation import LISTED, Generation
from archiver.manifest import Ids
from archiver.outcomes import Archived, Failed, Lost, Worklist
from tests.support.catalogues import listed, record, report


def of(family: str, id_: str = "5") -> Generation:
    return Generation(family, id_)


ITEM = Ids(LISTED, ("5",), links=("https://x.example/5.mp4",), item='{"id": 5}')


def test_namesakes_are_found_under_any_endpoint(catalogue: Catalogue) -> None:
    """With their states and the links that served them; those of other IDs are left out."""
    assert catalogue.listed.of(["5"]) == {}
    families = ("v6/video", "v6/video-x", "v1/enterprise/video", "v7/video-fusion", LISTED)
    record(catalogue, *(Archived(of(each), 1, ("primary https://x/5",)) for each in families))
    record(catalogue, *(Archived(of(each, "55"), 1, ()) for each in families))
    record(catalogue, Failed(of("v6/realtime"), "x"))
    found = catalogue.listed.of(["5", "7"])
    assert found.keys() == {"5"}
    held = {Namesake(of(each), "held", ("https://x/5",)) for each in families}
    assert {*found["5"].namesakes} == {*held, Namesake(of("v6/realtime"), "failed")}


def test_it_is_remembered_what_a_listed_one_proved_to_be(catalogue: Catalogue) -> None:
    """Later runs find it by the ID that is listed."""
    catalogue.worklist.resolve(of(LISTED), of("v6/video"))
    found = catalogue.listed.of(["5"])["5"]
    assert (found.known_as, found.namesakes) == (of("v6/video"), [])


def test_dead_links_are_counted_by_runs(catalogue: Catalogue) -> None:
    """As long as they are the same; whatever family was found, they belong to what is listed."""
    for expected in (1, 2, 3):
        catalogue.listed.set_dead([(of("v6/video"), ("/a.mp4",))])
        found = catalogue.listed.of(["5"])["5"].dead
        assert isinstance(found, Dead)
        assert (found.paths, found.runs) == (("/a.mp4",), expected)
    catalogue.listed.set_dead([(of(LISTED), ("/b.mp4",))])
    found = catalogue.listed.of(["5"])["5"].dead
    assert found
    assert (found.paths, found.runs) == (("/b.mp4",), 1)


def test_dead_links_are_no_failure_any_more(catalogue: Catalogue) -> None:
    """What an earlier run could not find out is forgotten; what is held stays so."""
    record(catalogue, Failed(of(LISTED), "x"), Archived(of(LISTED, "6"), 1, ()))
    catalogue.listed.set_dead([(of(LISTED), ()), (of(LISTED, "6"), ())])
    assert catalogue.queries.of(of(LISTED)).state is None
    assert catalogue.holds(of(LISTED, "6"))


def test_ids_are_looked_up_in_the_index(catalogue: Catalogue) -> None:
    """No look at the catalogue reads all of it."""
    record(catalogue, *(Archived(of("v6/video", str(n)), 1, ()) for n in range(100)))
    with closing(catalogue.connection.cursor()) as db:
        for query in (_NAMESAKES, _KNOWN_AS, _DEAD):
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("[]",))]
            assert not any(step.startswith("SCAN") and "json_each" not in step for step in plan)


# --- On the worklist


def test_an_item_comes_after_what_is_listed_by_hand(catalogue: Catalogue) -> None:
    """It has its links, and what ModelsLab lists of it."""
    assert catalogue.worklist.add(listed(1), [ITEM], retry_lost=False) == Worklist(to_fetch=2)
    first, second = catalogue.worklist.take(9)
    assert (first.item, first.is_news) == (None, False)
    assert (second.generation, second.links, second.item) == (of(LISTED), ITEM.links, ITEM.item)
    assert second.is_news


def test_what_a_manifest_lists_too_is_no_news(catalogue: Catalogue) -> None:
    """Then its dead links are reported, whoever lists it besides."""
    both = Ids("v6/deepfake", ("1",), links=ITEM.links, item=ITEM.item)
    counts = catalogue.worklist.add(listed(1), [both], retry_lost=False)
    (entry,) = catalogue.worklist.take(9)
    assert (counts.to_fetch, entry.item, entry.is_news) == (1, None, False)
    assert entry.links == ITEM.links


@pytest.mark.parametrize("family", [LISTED, "v6/deepfake"])
def test_what_a_run_has_met_before_is_no_news(catalogue: Catalogue, family: str) -> None:
    """Only what has no family stays news: nobody else would look at it."""
    report(catalogue, Failed(of(family, "1"), "x"))
    one = Ids(family, ("1",), links=ITEM.links, item=ITEM.item)
    catalogue.worklist.add([], [one], retry_lost=False)
    (entry,) = catalogue.worklist.take(9)
    assert entry.is_news == (family == LISTED)


def test_what_is_held_or_lost_is_counted(catalogue: Catalogue) -> None:
    """Once, whether manifests or ModelsLab list it."""
    report(catalogue, Archived(of("v6/deepfake", "1"), 1, ()), Lost(of("v6/deepfake", "2"), "x"))
    own = [Ids("v6/deepfake", (each,)) for each in ("1", "2")]
    worklist = catalogue.worklist.add(listed(1, 2), own, retry_lost=False)
    assert worklist == Worklist(already_held=1, known_lost=1)
