"""The worklist: what the manifests list, less what is held or known to be lost."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archive.bag import Bag
from archiver.catalogue import worklist
from archiver.catalogue.database import connect_in_memory
from archiver.catalogue.store import Catalogue, Described, Record
from archiver.catalogue.worklist import Entry
from archiver.generation import Generation
from archiver.manifest import Ids
from archiver.metadata import Metadata
from archiver.outcomes import Archived, Failed, Lost, Pending, Streak, Unfinished, Worklist
from archiver.pipeline.commit import record_of
from archiver.pipeline.indexing import absorb
from tests.support.archives import open_catalogue, read_catalogue
from tests.support.catalogues import (
    START,
    generation,
    generations,
    listed,
    place_generations,
    record,
    report,
)
from tests.support.cost import calls


def test_the_worklist_is_sorted_out(bag: Bag, catalogue: Catalogue) -> None:
    """Held and lost are counted; what is new, pending or failed is to be fetched."""
    place_generations(bag, 1, 2)
    absorb(bag, catalogue)
    lost, pending, failed = generations(3, 4, 5)
    report(catalogue, Lost(lost, "x"), Pending(pending), Failed(failed, "x"))
    lists = listed(1, 2, 3, 4, 5, 6, 7)
    assert catalogue.worklist.add(lists, retry_lost=False) == Worklist(2, 1, 4)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_each_generation_is_counted_once(bag: Bag, batch: int) -> None:
    """However often it is listed, in one batch or across many."""
    catalogue = Catalogue(connect_in_memory(), batch)
    place_generations(bag, 1)
    absorb(bag, catalogue)
    report(catalogue, Lost(generation(2), "x"), Failed(generation(4), "x"))
    lists = listed(1, 1, 2, 3, 2, 4, 1, 3, 3, 4, 2, 1)
    assert catalogue.worklist.add(lists, retry_lost=False) == Worklist(1, 1, 2)
    assert [entry.generation.id for entry in catalogue.worklist.take(100)] == ["3", "4"]
    assert catalogue.worklist.take(100) == []


def test_the_lost_are_fetched_again_on_request(catalogue: Catalogue) -> None:
    """`--retry-lost` does it, and nothing else."""
    report(catalogue, Lost(generation(1), "x"))
    assert catalogue.worklist.add(listed(1), retry_lost=False) == Worklist(0, 1, 0)
    assert catalogue.worklist.take(10) == []
    assert catalogue.worklist.add(listed(1), retry_lost=True) == Worklist(0, 0, 1)
    assert catalogue.worklist.take(10) == [Entry(generation(1), first=False)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_new_come_first_and_old_failures_last(catalogue: Catalogue, limit: int) -> None:
    """Never tried, then still processing, then failed or lost: each in the manifests' order."""
    failed, pending, lost = generations("f", "p", "l")
    report(catalogue, Failed(failed, "x"), Pending(pending), Lost(lost, "x"))
    catalogue.worklist.add(listed("f", "n1", "l", "p", "n2", "n3"), retry_lost=True)
    taken = []
    while turn := catalogue.worklist.take(limit):
        assert len(turn) <= limit
        taken += turn
    assert [(entry.generation.id, entry.first) for entry in taken] == [
        ("n1", True), ("n2", True), ("n3", True), ("p", False), ("f", False), ("l", False),
    ]  # fmt: skip


def test_a_plan_names_all() -> None:
    """A dry run reads the worklist to its end, in batches, in the order of a backup."""
    catalogue = Catalogue(connect_in_memory(), batch=2)
    report(catalogue, Failed(generation(1), "x"))
    catalogue.worklist.add(listed(*range(5)), retry_lost=False)
    batches = list(catalogue.worklist.names())
    assert [len(names) for names in batches] == [2, 2, 1]
    assert [*chain(*batches)] == [one.name for one in generations(0, 2, 3, 4, 1)]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_what_any_list_says_of_a_generation_counts(batch: int) -> None:
    """A family that one list names is not assumed; the links of the first that has some stay."""
    catalogue = Catalogue(connect_in_memory(), batch)
    endpoint = "v6/deepfake"
    lists = [
        Ids(endpoint, ("1", "2", "3"), assumed=True),
        Ids(endpoint, ("2",)),
        Ids(endpoint, ("1",), assumed=True, links=("https://a.example/1.mp4",)),
        Ids(endpoint, ("4",), links=("https://a.example/4.mp4", "https://b.example/4.mp4")),
        Ids(endpoint, ("2", "4"), assumed=True),
    ]
    assert catalogue.worklist.add(lists, retry_lost=False) == Worklist(to_fetch=4)
    assert catalogue.worklist.take(10) == [
        Entry(generation(1), assumed=True, links=lists[2].links),
        Entry(generation(2)),
        Entry(generation(3), assumed=True),
        Entry(generation(4), links=lists[3].links),
    ]


def test_adding_what_is_new_calls_nothing_for_each() -> None:
    """Apart from making its name: a million new generations are sorted out in a second or two."""
    few, many = (
        calls(partial(Catalogue.in_memory().worklist.add, listed(*range(n)), retry_lost=False))
        for n in (1000, 5000)
    )
    assert many - few < 1.1 * 4000


def test_the_end_of_a_long_list_is_taken_as_soon_as_its_beginning() -> None:
    """Whatever was taken before is not looked at again; counted in steps of SQLite's machine."""
    catalogue = Catalogue.in_memory()
    catalogue.worklist.add(listed(*range(20_000)), retry_lost=False)
    steps: list[int] = []
    catalogue.connection.set_progress_handler(lambda: steps.append(1), 100)
    taken = []
    while entries := catalogue.worklist.take(100):
        taken.append(len(steps))
        steps.clear()
        assert len(entries) == 100
    assert len(taken) == 200
    assert max(taken) < 2 * taken[0]


def test_the_families_that_are_held_are_found_by_their_names() -> None:
    """Not by looking at everything that is held; counted in steps of SQLite's machine."""
    catalogue = Catalogue.in_memory()
    held = (Generation("v6/video", str(number)) for number in range(5000))
    report(catalogue, *(Archived(each, 1, ()) for each in held))
    steps: list[int] = []
    catalogue.connection.set_progress_handler(lambda: steps.append(1), 100)
    assert catalogue.worklist.families(("v6/realtime", "v6/video")) == ["v6/video", "v6/realtime"]
    assert len(steps) < 10


@given(
    st.lists(st.integers(0, 12), max_size=40),
    st.sets(st.integers(0, 12)),
    st.sets(st.integers(0, 12)),
    st.integers(1, 7),
)
def test_any_list_is_sorted_out(
    ids: list[int], in_bag: set[int], lost: set[int], batch: int
) -> None:
    """Every generation on it is held, known lost or to be fetched: one of them, and once."""
    lost -= in_bag
    with closing(Catalogue(connect_in_memory(), batch)) as catalogue:
        report(catalogue, *(Archived(one, 1, ()) for one in generations(*in_bag)))
        report(catalogue, *(Lost(one, "x") for one in generations(*lost)))
        worklist = catalogue.worklist.add(listed(*ids), retry_lost=False)
        to_fetch = [id_ for id_ in dict.fromkeys(ids) if id_ not in in_bag | lost]
        assert [entry.generation for entry in catalogue.worklist.take(100)] == generations(
            *to_fetch
        )
    counts = len(set(ids) & in_bag), len(set(ids) & lost), len(to_fetch)
    assert worklist == Worklist(*counts)


def test_a_loss_on_another_list_is_still_to_be_reported(bag: Bag, catalogue: Catalogue) -> None:
    """What a killed run has found is reported by the next that lists it, and not before."""
    lost = Lost(generation(1), "x")
    record(catalogue, lost)
    catalogue.worklist.add(listed(2), retry_lost=False)
    catalogue.worklist.set_reported()
    with closing(open_catalogue(bag.layout.root)) as other:
        assert other.worklist.add(listed(1), retry_lost=False) == Worklist(unreported=(lost,))
        other.worklist.set_reported()
    with closing(read_catalogue(bag.layout.root)) as third:
        assert third.worklist.add(listed(1), retry_lost=False) == Worklist(known_lost=1)


def test_a_list_that_comes_slowly_blocks_nobody(bag: Bag, catalogue: Catalogue) -> None:
    """While a dry run waits for the rest of a list, a backup may begin, and write."""
    catalogue.close()

    def slowly() -> Iterator[Ids]:
        yield from listed(*range(10_000))
        with closing(open_catalogue(bag.layout.root)) as backup:
            backup.connection.execute("PRAGMA busy_timeout = 0")
            report(backup, Pending(generation(1)))
        yield from listed("x")

    with closing(read_catalogue(bag.layout.root)) as looking:
        assert looking.worklist.add(slowly(), retry_lost=False).to_fetch == 10_001


def test_a_loss_that_nobody_reported_is_reported_the_next_time(catalogue: Catalogue) -> None:
    """A run that was killed before its report has reported nothing."""
    lost = Lost(generation(1), "not found")
    record(catalogue, lost)
    assert catalogue.worklist.add(listed(1, 1), retry_lost=False) == Worklist(unreported=(lost,))
    catalogue.worklist.set_reported()
    assert catalogue.worklist.add(listed(1), retry_lost=False) == Worklist(known_lost=1)


@pytest.mark.parametrize("retry_lost", [False, True])
def test_what_proves_lost_is_fetched_again_on_request(
    catalogue: Catalogue, *, retry_lost: bool
) -> None:
    """`--retry-lost` holds for what was listed under another family too, from the first run on."""
    assumed, actual = generation(1), Generation("v6/video", "1")
    report(catalogue, Lost(actual, "x"))
    catalogue.worklist.add(listed(1), retry_lost=retry_lost)
    entry = catalogue.worklist.resolve(assumed, actual)
    assert entry == (Entry(actual, first=False) if retry_lost else None)


def test_what_the_end_of_a_run_cut_off_comes_first_once(catalogue: Catalogue) -> None:
    """Its links may die before a long list is done; one that is cut off again may be endless."""
    begun, endless = generations(3, 4)
    records = [
        record_of(Unfinished(each), Streak("unfinished", runs))
        for each, runs in ((endless, 2), (begun, 1))
    ]
    catalogue.record(filter(None, records), (), START)
    catalogue.worklist.add(listed(1, 2, 4, 3), retry_lost=False)
    entries = catalogue.worklist.take(10)
    assert [entry.generation.id for entry in entries] == ["3", "1", "2", "4"]
    assert [entry.first for entry in entries] == [True, True, True, False]


# --- What manifests say


def saying(id_: int, text: str) -> Ids:
    return Ids("v6/deepfake", (str(id_),), said=text)


def texts(catalogue: Catalogue, id_: int) -> list[str]:
    return [each.text for each in catalogue.worklist.sayings(generation(id_))]


def test_what_manifests_say_is_kept_in_their_order(catalogue: Catalogue) -> None:
    """Each saying once, for whatever is listed; nothing is kept without a way to redact it."""
    said = [saying(1, "b"), *listed(1, 2), saying(1, "a"), saying(1, "b"), saying(2, "b")]
    catalogue.worklist.add(said, retry_lost=False)
    assert texts(catalogue, 1) == []
    catalogue.worklist.add(said, retry_lost=False, redact=str.upper)
    assert [texts(catalogue, id_) for id_ in (1, 2, 3)] == [["B", "A"], ["B"], []]
    catalogue.record([Record(generation(2), "held")], (), START)
    assert catalogue.worklist.held_with_sayings(None, 10) == [generation(2)]
    assert catalogue.worklist.held_with_sayings(generation(2), 10) == []


def test_what_a_sidecar_has_is_not_even_redacted(catalogue: Catalogue) -> None:
    """Its digest is enough: of a long list, most is known."""
    catalogue.worklist.add([saying(1, "a")], retry_lost=False, redact=str)
    (known,) = catalogue.worklist.sayings(generation(1))
    described = Described(generation(1), Metadata(), (known.digest,))
    catalogue.record([Record(generation(1), "held")], (), START, [described])
    assert catalogue.worklist.sayings(generation(1)) == []
    redacted: list[str] = []

    def redact(text: str) -> str:
        redacted.append(text)
        return text

    catalogue.worklist.add([saying(1, "a"), saying(1, "b")], retry_lost=False, redact=redact)
    assert redacted == texts(catalogue, 1) == ["b"]


def test_long_sayings_do_not_gather_in_memory(catalogue: Catalogue) -> None:
    """However many there are, only some megabytes are held at once."""
    said = (saying(number, "x" * 2**20) for number in range(20))
    sizes = [batch.characters for batch in worklist._batches(said, 10_000)]
    assert len(sizes) > 3
    assert max(sizes) <= worklist._SAID_AT_ONCE + 2**20
