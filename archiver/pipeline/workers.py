"""The workers of a run: they fetch generations, and one task commits what they finish."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from archiver.archive.disk_space import DiskSpace
from archiver.archive.layout import Layout
from archiver.archive.staged import StagedGeneration
from archiver.catalogue.worklist import Entry
from archiver.download.downloader import Downloader
from archiver.download.transfer import Transfer
from archiver.errors import ArchiverError
from archiver.generation import Generation
from archiver.modelslab.client import Client, EndpointUnavailable, Halt
from archiver.modelslab.rate_limit import RateLimit
from archiver.outcomes import Duplicate, Failed, Outcome, Unfinished
from archiver.pipeline.families import Families
from archiver.pipeline.fetch import Fetcher, KnownAs
from archiver.pipeline.groups import Groups
from archiver.pipeline.results import Fetched, Result
from archiver.pipeline.scheduler import Again, Job, Reason, Scheduler
from archiver.pipeline.sessions import open_client, open_links
from archiver.pipeline.shutdown import Shutdown, without_response
from archiver.progress import Activity, Progress
from archiver.run import Ended, Skipped, Stopped, TimeUp
from archiver.settings import Settings
from archiver.threads import in_thread

if TYPE_CHECKING:
    from concurrent.futures import Future

_AHEAD = 2
"""For each download under way this many generations may be in hand: asked about, or waiting."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run works on: where its generations come from, and where the results go."""

    layout: Layout
    take: Callable[[int], list[Entry]]
    """Returns the next at most n entries of the worklist."""
    commit: Callable[[Sequence[Result]], Sequence[Outcome]]
    """Makes results durable, in a thread, and returns what became of each."""
    families: Families = field(default_factory=Families)
    """In which order the families are asked where that of an entry was assumed."""
    resolve: Callable[[Generation, Generation], Entry | None] = lambda _assumed, _actual: None
    """Remembers that an assumed generation is another, and returns what is to be fetched then."""
    rate_limit: RateLimit | None = None
    """That of what was asked before on the same run."""
    begin_upload: Callable[[StagedGeneration], "Future[str] | None"] = lambda _staged: None
    """Begins to send what is staged to a store that is far away."""


async def fetch_all(work: Work, settings: Settings, progress: Progress) -> Ended:
    """Fetch generations until nothing is left to do, or the run is to end; return how it ended."""
    download = settings.download
    space = DiskSpace(work.layout.root, download.min_free)
    async with AsyncExitStack() as stack:
        client = await open_client(stack, settings, work.rate_limit)
        links = await open_links(stack, settings)
        transfer = Transfer(links, download, space, progress, settings.api.key)
        downloader = Downloader(transfer, download.retries)
        fetcher = Fetcher(client, downloader, work.layout, space, work.families)
        workers = _Workers(work, fetcher, settings, progress)
        progress.follow(
            lambda: replace(
                workers.activity, downloading=transfer.under_way, pause=client.pause_reason
            )
        )
        with (
            workers.shutdown.on_signals(),
            workers.shutdown.after(settings.max_time, lambda: _time_up(client)),
        ):
            await workers.run(download.concurrency * _AHEAD)
    ended = workers.shutdown.ended
    if isinstance(ended, Stopped) or client.has_responded:
        return ended
    verdict = client.verdict()
    return Stopped(verdict) if verdict else without_response(ended)


class _Workers:
    """The tasks of one run."""

    def __init__(
        self, work: Work, fetcher: Fetcher, settings: Settings, progress: Progress
    ) -> None:
        timings = settings.timings
        self.shutdown = Shutdown(self._drain, self._abort, progress, timings.grace)
        self._work = work
        self._fetcher = fetcher
        patient = settings.download.retries > 0
        self._scheduler = Scheduler(work.take, settings.wait, timings, patient=patient)
        self._progress = progress
        self._groups = Groups()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, count: int) -> None:
        """Run `count` workers until nothing is left to do."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commit_results())
            self._tasks = [tasks.create_task(self._fetch_jobs()) for _ in range(count)]
            await asyncio.wait(self._tasks)  # unlike gather, whether or not they were cancelled
            self._groups.end([*self._scheduler.left(), *map(Unfinished, self._fetcher.cut_off)])

    @property
    def activity(self) -> Activity:
        """What the run is busy with, but for the transfer of payloads."""
        waiting = self._scheduler.waiting
        return Activity(
            asked=self._fetcher.asked,
            processing=waiting[Reason.PROCESSING],
            not_there=waiting[Reason.NOT_FOUND] + waiting[Reason.NOT_READABLE],
            deferred=waiting[Reason.HOST_PAUSED],
            throttled=waiting[Reason.THROTTLED],
        )

    async def _fetch_jobs(self) -> None:
        try:
            while job := await self._scheduler.next():
                await self._fetch(job)
        except ArchiverError as error:
            self.shutdown.abort(Stopped(error))

    async def _fetch(self, job: Job) -> None:
        """Fetch a generation now or, where that is of more use, later on this run."""
        result = await self._fetcher.fetch(job)
        while isinstance(result, Again):
            if self._scheduler.again(result):
                return
            result = await self._fetcher.out_of_time(result)
        self._scheduler.done()
        await self._end(job, result)

    async def _end(self, job: Job, result: Result | KnownAs | EndpointUnavailable | Halt) -> None:
        match result:
            case EndpointUnavailable(reason):
                self.shutdown.note(Skipped(reason))
            case Halt(ended):
                self.shutdown.drain(ended)
            case KnownAs(generation, actual, response):
                entry = await in_thread(self._work.resolve, generation, actual)
                if entry:
                    entry = replace(entry, links=job.entry.links, item=job.entry.item)
                    self._scheduler.add(entry, response)
                else:
                    await self._groups.put(Duplicate(generation, actual))
            case _:
                if isinstance(result, Fetched):
                    self._scheduler.served(job)
                    result = await self._uploaded(result)
                await self._groups.put(result)

    async def _uploaded(self, fetched: Fetched) -> Result:
        """Send what is staged to the store, where that takes long, beside the downloads."""
        upload = self._work.begin_upload(fetched.staged)
        refused = await asyncio.wrap_future(upload) if upload else ""
        if refused:
            return Failed(fetched.staged.generation, f"{refused}, retried on the next run")
        return fetched

    async def _commit_results(self) -> None:
        while group := await self._groups.next():
            try:
                outcomes = await in_thread(self._work.commit, group)
            except ArchiverError as error:
                self.shutdown.abort(Stopped(error))
                return
            self._groups.committed(group)
            for outcome in outcomes:
                self._progress.finished(outcome)

    def _drain(self) -> None:
        self._scheduler.close()
        self._fetcher.stop_asking()

    def _abort(self) -> None:
        for task in self._tasks:
            task.cancel()


def _time_up(client: Client) -> Ended:
    """A run whose time is up while it is rate-limited has not tried what it skipped."""
    return Skipped(client.pause_reason) if client.pause_reason else TimeUp()
