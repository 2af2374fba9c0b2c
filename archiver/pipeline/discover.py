"""Discovery: one's own generations, as ModelsLab lists them, page by page."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import assert_never

from archiver.errors import ApiUnreachable, Interrupted, KeyRejected
from archiver.generation import LISTED, Generation
from archiver.modelslab.client import (
    Client,
    ClientResult,
    EndpointUnavailable,
    Halt,
    Throttled,
)
from archiver.modelslab.listing import Item, Page
from archiver.modelslab.rate_limit import RateLimit
from archiver.modelslab.responses import (
    AccessDenied,
    GenerationFailed,
    NotFound,
    Processing,
    Ready,
    Rejected,
    ServerError,
    urls_in,
)
from archiver.outcomes import Worklist
from archiver.pipeline.families import Families, agree
from archiver.pipeline.listed import Discovery, NotListed
from archiver.pipeline.sessions import open_client
from archiver.pipeline.shutdown import handling_signals
from archiver.progress import Progress
from archiver.run import Stopped, TimeUp
from archiver.settings import Settings, Timings
from archiver.shards import Shard

PAGES_LIMIT = 20_000
"""No more pages than this are read of one type."""
_PAUSES_AT_MOST = 10
"""No more pauses than this are waited out for one generation."""


async def discover(
    settings: Settings,
    progress: Progress,
    rate_limit: RateLimit,
    seconds: float | None = None,
) -> Discovery:
    """List one's own generations of the types in `settings.discover`, for at most some seconds.

    It does not raise for what the API or the network does: that is in the result.

    Raises:
        Interrupted: if a signal ends it.
    """
    async with AsyncExitStack() as stack:
        client = await open_client(stack, settings, rate_limit)
        walk = Walk(client, settings.timings, progress, settings.shard)
        with interruptible():
            try:
                async with asyncio.timeout(seconds):
                    await walk.through(settings.discover)
            except TimeoutError:
                walk.found.trouble = NotListed(f"{TimeUp().reason} after page {walk.found.pages}")
    return walk.found


@dataclass(frozen=True, slots=True)
class Named:
    """A generation that is listed, and what it is called, if that was found."""

    item: Item
    name: Generation | None
    unsure: str = ""
    """Why that could not be found out, if more than that no endpoint knows it."""


async def find_names(
    settings: Settings, progress: Progress, found: Callable[[Named], None]
) -> Discovery:
    """List one's own generations, and ask whose they are, one after the other.

    Raises:
        Interrupted: if a signal ends it.
        ApiUnreachable: if the API does not respond any more.
        KeyRejected: if it rejects the key.
    """
    async with AsyncExitStack() as stack:
        client, families = await open_client(stack, settings), Families()
        walk = Walk(client, settings.timings, progress, settings.shard)
        with interruptible():
            await walk.through(settings.discover)
            progress.planned(Worklist(to_fetch=len(walk.found.items)))
            for item in walk.found.items:
                found(await _named(client, families, item))
    return walk.found


async def _named(client: Client, families: Families, item: Item) -> Named:
    """Ask the families for an item; one whose links are others does not have it."""
    unsure = ""
    for endpoint in families.besides(LISTED):
        generation = Generation(endpoint, item.id)
        match await _probed(client, generation):
            case Ready() | Processing() as response if agree(item.links, urls_in(response)):
                families.was_right(endpoint)
                return Named(item, generation)
            case Ready() as response:
                response.close()
            case Processing(links=()):
                unsure = f"{generation} is still being made"
            case ServerError(message) | Throttled(message) | EndpointUnavailable(message):
                unsure = message
            case Halt(ended):
                if isinstance(ended, Stopped):
                    raise ended.error
                return Named(item, None, ended.reason)
            case _:
                pass
    return Named(item, None, unsure)


async def _probed(client: Client, generation: Generation) -> ClientResult:
    """Ask for a generation, as often as ModelsLab asks for a pause."""
    for _ in range(_PAUSES_AT_MOST):
        result = await client.probe(generation)
        if not isinstance(result, Throttled):
            break
    return result


class Walk:
    """A walk through the pages, which shift while it goes on: new videos come first, or last.

    It ends with a page that is empty, the last, or without anything new; then the first page is
    read again, and what follows as far as it is new. With a shard, the items of others are left out
    of what is found.
    """

    def __init__(
        self, client: Client, timings: Timings, progress: Progress, shard: Shard | None = None
    ) -> None:
        self.found = Discovery(shard=shard)
        self._client = client
        self._pause = timings.between_pages
        self._progress = progress
        self._seen: set[tuple[str, tuple[str, ...]]] = set()
        self._linked: dict[str, bool] = {}
        """By ID, whether any item had a link."""
        self._odd: dict[tuple[str, int], int] = {}

    async def through(self, kinds: Iterable[str]) -> None:
        """Read all pages of these types."""
        for kind in kinds:
            last = await self._on(kind)
            if last > 1:
                await self._once_more(kind)

    async def _on(self, kind: str) -> int:
        """Read the pages until nothing more can be expected; return the number of the last."""
        nothing_new = 0
        for number in range(1, PAGES_LIMIT + 1):
            page = await self._page(kind, number)
            if page is None or _is_empty(page):
                return number
            nothing_new = 0 if self._take(kind, number, page) else nothing_new + 1
            # A page's worth of new videos may have moved all of it on, if it says there is more.
            if nothing_new > _promises_more(page, number) or _is_last(page, number):
                return number
        self.found.trouble = NotListed(f"only the first {PAGES_LIMIT:,} pages were read")
        return PAGES_LIMIT

    async def _once_more(self, kind: str) -> None:
        for number in range(1, PAGES_LIMIT + 1):
            page = None if self.found.trouble else await self._page(kind, number)
            if page is None or not self._take(kind, number, page):
                return

    async def _page(self, kind: str, number: int) -> Page | None:
        if self.found.pages:
            await asyncio.sleep(self._pause)
        match await self._client.page(kind, number):
            case Page() as page:
                self.found.pages += 1
                return page
            case response:
                self.found.trouble = _trouble(response, kind, number)
                return None

    def _take(self, kind: str, number: int, page: Page) -> bool:
        """Keep what is new on a page; return whether anything is."""
        new = [item for item in page.items if (item.id, item.paths) not in self._seen]
        for item in new:
            self._seen.add((item.id, item.paths))
            if (kind != "image" or item.is_video) and self._is_ours(item):
                self._linked[item.id] = self._linked.get(item.id, False) or bool(item.links)
                self.found.items += [item] if item.links else []
        self._odd[kind, number] = page.not_understood
        self.found.not_understood = sum(self._odd.values())
        self.found.without_links = sum(not linked for linked in self._linked.values())
        self._progress.discovered(len(self.found.items), number, page.last)
        return bool(new)

    def _is_ours(self, item: Item) -> bool:
        return self.found.shard is None or self.found.shard.has(item.id)


def _is_empty(page: Page) -> bool:
    return not page.items and not page.not_understood


def _is_last(page: Page, number: int) -> bool:
    return page.last is not None and page.last <= number


def _promises_more(page: Page, number: int) -> bool:
    return page.number == number and page.last is not None and page.last > number


def _trouble(
    response: GenerationFailed | NotFound | AccessDenied | Rejected | ServerError | Halt,
    kind: str,
    number: int,
) -> NotListed:
    where = f"page {number} of type {kind}: " if number > 1 else ""
    match response:
        case AccessDenied(message):
            error = KeyRejected(f"ModelsLab does not let this key list your generations: {message}")
            reason = f"ModelsLab does not let this key list them: {message}"
            return NotListed(where + reason, error)
        case ServerError(message, silent=True):
            reason = f"the API gives no usable response: {message}"
            hint = ". Check --api-url and the network"
            return NotListed(where + reason, None if where else ApiUnreachable(reason + hint))
        case Halt(ended):
            reason = str(ended.error) if isinstance(ended, Stopped) else ended.reason
            return NotListed(where + reason)
        case GenerationFailed() | NotFound() | Rejected() | ServerError():
            return NotListed(f"{where}ModelsLab responded: {response.message}")
        case _:
            assert_never(response)


@contextmanager
def interruptible() -> Iterator[None]:
    """End the current task on SIGINT and SIGTERM.

    Raises:
        Interrupted: if one of them came.
    """
    task, came = asyncio.current_task(), list[int]()

    def interrupt(number: int) -> None:
        came.append(number)
        if task:
            task.cancel()

    with handling_signals(interrupt):
        try:
            yield
        except asyncio.CancelledError:
            if not came or not task:
                raise
            task.uncancel()
            raise Interrupted(came[0]) from None
