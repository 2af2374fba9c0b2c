"""Listed: which of one's own generations, as ModelsLab lists them, a backup has to look at."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from archiver.archive.layout import Layout
from archiver.catalogue.listed import Dead, Listed, ListedTable, Namesake
from archiver.errors import ArchiverError
from archiver.generation import LISTED
from archiver.manifest import Ids, Problems, Unreadable
from archiver.manifest.carried import carried_links
from archiver.pipeline.families import agree
from archiver.pipeline.report import Discovered
from archiver.shards import Shard
from archiver.units import counted

if TYPE_CHECKING:
    from archiver.modelslab.listing import Item

_LOG = logging.getLogger(__name__)
_NAME = "your generations"
_BATCH = 1000
_FIRST_PAUSE = timedelta(hours=20)
"""Dead links are tried on the next run, then after this long, and then ever more seldom."""
_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class NotListed:
    """Why generations were not listed, or not all of them."""

    reason: str
    error: ArchiverError | None = None
    """What that amounts to where nothing else was asked."""


@dataclass(slots=True)
class Discovery:
    """What the pages list: each generation once, or more often if its links are others."""

    items: "list[Item]" = field(default_factory=list)
    pages: int = 0
    without_links: int = 0
    """How many have no link yet: they have no part in a backup before they do."""
    not_understood: int = 0
    """How many items name no generation."""
    trouble: NotListed | None = None
    shard: Shard | None = None
    """The shard whose they are, if others have a part."""

    def add_to(self, problems: Problems, *, items: bool = True) -> None:
        """Add what was wrong, also with `items` that may belong to any shard."""
        if self.trouble:
            problems.add(Unreadable(_NAME, self.trouble.reason))
        if self.not_understood and items:
            without = counted(self.not_understood, "item")
            problems.add(Unreadable(_NAME, f"{without} without a usable ID"))


@dataclass(slots=True)
class Sorting:
    """Sorts out what was discovered, by ID and by the paths of links: neither is enough alone."""

    discovery: Discovery
    table: ListedTable
    layout: Layout
    retry: bool
    """Whether dead links are tried again whenever they were tried last."""
    summary: Discovered = field(init=False)
    _listed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        found = self.discovery
        self.summary = Discovered(len(found.items), found.without_links, shard=found.shard)

    def entries(self) -> Iterator[Ids]:
        """Yield what is held or lost, to be counted, and what is to be fetched."""
        rest = iter(self.discovery.items)
        while batch := list(islice(rest, _BATCH)):
            known = self.table.of([item.id for item in batch])
            for item in batch:
                yield from self._sorted(item, known.get(item.id) or Listed())

    def _sorted(self, item: "Item", known: Listed) -> Iterator[Ids]:
        states = {each.generation: each.state for each in known.namesakes}
        held = (each for each in known.namesakes if each.state == "held")
        actual = known.known_as
        if found := next((each for each in held if self._is(each, item)), None):
            yield Ids(found.generation.endpoint, (item.id,))
        elif self._left_alone(item, known.dead):
            self.summary.dead += 1
        elif actual and states.get(actual, "held") != "held":
            yield Ids(actual.endpoint, (item.id,))
        elif states.get(item.generation) == "held":
            self.summary.changed += 1
        elif item.id in self._listed:
            _LOG.warning("%s is listed twice: the next run looks at the second", item.id)
        else:
            self._listed.add(item.id)
            text = json.dumps(dict(item.document))
            yield Ids(LISTED, (item.id,), links=item.links, item=text)

    def _is(self, held: Namesake, item: "Item") -> bool:
        """Return whether what is held came from the links of an item."""
        served = ([link] for link in held.served_by)
        return agree(item.links, served) or agree(item.links, self._in_sidecar(held))

    def _in_sidecar(self, held: Namesake) -> list[list[str]]:
        """Return the links in the response of what is held: it may have come from a proxy."""
        path = self.layout.root / held.generation.sidecar_path
        try:
            response = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return []
        return [[link] for link in carried_links(response)]

    def _left_alone(self, item: "Item", dead: Dead | None) -> bool:
        if dead is None or dead.paths != item.paths or self.retry:
            return False
        pause: timedelta = _FIRST_PAUSE * (2 ** min(dead.runs - 1, _DOUBLINGS) - 1)
        since = datetime.now(UTC) - datetime.fromisoformat(dead.checked)
        return timedelta(0) <= since < pause  # a clock that was wrong keeps nothing from its try
