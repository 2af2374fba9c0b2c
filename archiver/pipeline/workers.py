"""The work under way: workers ask and download, and one task settles what they finish."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import assert_never

from archiver.archive.staging import StagedFile, Staging, slots
from archiver.download.downloader import Downloaded, Downloader, Unavailable
from archiver.errors import (
    ApiUnreachable,
    ArchiverError,
    Interrupted,
    KeyRejected,
    StorageError,
)
from archiver.generation import Generation
from archiver.http.session import open_session, trusted_authorities
from archiver.modelslab.client import Api, NotAsked, Pace, ThrottledAway, Usable
from archiver.modelslab.responses import (
    GenerationFailed,
    NotFound,
    Output,
    Processing,
    Ready,
    Rejected,
    ServerError,
)
from archiver.outcomes import Failed, LinkFault, Lost, Outcome, Pending, Report
from archiver.pipeline.desk import Desk, Finished, Result, archived
from archiver.pipeline.scheduler import Scheduler, Turn
from archiver.progress import Progress
from archiver.settings import Settings
from archiver.threads import in_thread

_LOG = logging.getLogger(__name__)
_GROUP = 64
"""At most so many generations are settled in one group."""
_AHEAD = 2
"""For each download under way, so many generations may be in hand: asked about, or waiting."""
_LEFT_ALONE = "a host asks to be left alone: tried again next night"
_GRACE = 10.0
"""How long downloads in flight may go on after an interruption, in seconds."""


def _outcome_of(
    response: NotFound | GenerationFailed | Rejected | ServerError,
    generation: Generation,
    faults: tuple[LinkFault, ...],
) -> Outcome:
    said = f"ModelsLab says: {response.message}"
    match response:
        case NotFound() | GenerationFailed(certain=True):
            return Lost(generation, said, faults)
        case GenerationFailed():
            return Failed(generation, said, faults, hopeless=True)
        case Rejected():
            return Failed(generation, said, faults)
        case ServerError(message):
            return Failed(generation, f"no usable response: {message}", faults)
        case _:
            assert_never(response)


@dataclass(frozen=True, slots=True)
class PutOff:
    """It is ready, but a host asks for a pause of so many seconds; `otherwise` if that is long."""

    pause: float
    refused: bool
    otherwise: Failed


class Night:
    """One night's work at a desk. What has become of it is in the report."""

    def __init__(self, desk: Desk, settings: Settings, report: Report, progress: Progress) -> None:
        self._desk = desk
        self._settings = settings
        self._report = report
        self._progress = progress
        self._agenda = Scheduler(desk.take, settings.wait)
        self._results = asyncio.Queue[Result | None]()
        self._room = asyncio.Semaphore(_GROUP)
        self._workers: list[asyncio.Task[None]] = []
        self._interrupted = False
        self._asking: set[asyncio.Task[object] | None] = set()

    async def run(self) -> None:
        """Work until nothing is left to do, or the night is ended early."""
        api, download = self._settings.api, self._settings.download
        authorities = trusted_authorities()
        async with (
            open_session(api.timeout, authorities, inside=True) as questions,
            open_session(
                download.timeout,
                authorities,
                inside=download.allow_private,
                key=download.key,
                slow=download.limit_rate is not None,
            ) as links,
        ):
            self._api = Api(questions, api, Pace(self._settings.api_rate, self._settings.wait))
            self._downloader = Downloader(links, download, self._progress)
            try:
                with self._heeding_signals(), self._heeding_the_time():
                    await self._run_tasks()
            except* StorageError as troubles:
                self._report.ending = next(iter(_flat(troubles)))
        if not self._api.has_answered:
            self._report.time_is_up = False  # more time would have brought no more
        try:
            self._api.check()
        except (ApiUnreachable, KeyRejected) as why:
            self._report.ending = self._report.ending or why

    async def _run_tasks(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle_results())
            count = self._settings.download.at_once * _AHEAD
            self._workers = [tasks.create_task(self._work()) for _ in range(count)]
            await asyncio.wait(self._workers)
            for generation in self._agenda.in_the_making():
                self._results.put_nowait(Pending(generation))
            for generation in self._agenda.left_alone():
                self._results.put_nowait(Failed(generation, _LEFT_ALONE))
            self._results.put_nowait(None)

    async def _work(self) -> None:
        while turn := await self._agenda.next():
            try:
                result = await self._bring(turn)
            except ThrottledAway as why:
                self._agenda.done()
                self._end(str(why))
            except (KeyRejected, ApiUnreachable) as why:
                self._agenda.done()
                self._end(why)
            except StorageError as why:
                self._agenda.done()
                self._end(why)
                self._abandon()
            else:
                await self._take(turn, result)

    async def _take(self, turn: Turn, result: Result | Processing | NotAsked | PutOff) -> None:
        match result:
            case PutOff(pause, refused, otherwise):
                if not self._agenda.put_off(turn, pause, refused=refused):
                    await self._hand_over(otherwise)
            case Processing(eta):
                if not self._agenda.again(turn, eta):
                    await self._hand_over(Pending(turn.generation))
            case NotAsked(why):
                self._agenda.done()
                self._report.left_because = why
            case _:
                self._agenda.done()
                await self._hand_over(result)

    async def _hand_over(self, result: Result) -> None:
        """Leave a result to be settled, and wait where there are many: it is not lost meanwhile."""
        self._results.put_nowait(result)
        await self._room.acquire()

    async def _bring(self, turn: Turn) -> Result | Processing | NotAsked | PutOff:
        """Ask and download; ask once more for fresh links when those of the first response fail."""
        tried: tuple[Output, ...] = ()
        faults: tuple[LinkFault, ...] = ()
        for _ in ("the links there are", "fresh ones"):
            match await self._ask(turn.generation):
                case Ready(outputs) if outputs == tried and all(fault.gone for fault in faults):
                    break
                case Ready(outputs) as response:
                    brought = await self._download(turn.generation, response)
                    if isinstance(brought, Finished):
                        return brought
                    tried, faults = outputs, brought.faults
                    if brought.pause is not None:
                        pause = brought.pause if self._settings.download.retries else inf
                        otherwise = Failed(turn.generation, _LEFT_ALONE, faults)
                        return PutOff(pause, brought.refused, otherwise)
                case Processing() | NotAsked() as unfinished:
                    return unfinished
                case response:
                    return _outcome_of(response, turn.generation, faults)
        return Failed(turn.generation, "no link gave the video, nor did fresh ones", faults)

    async def _ask(self, generation: Generation) -> Usable:
        task = asyncio.current_task()
        self._asking.add(task)
        try:
            return await self._api.ask(generation)
        finally:
            self._asking.discard(task)

    async def _download(self, generation: Generation, response: Ready) -> Finished | Unavailable:
        """Stage all outputs; those that come are kept for the next try if others do not."""
        staging, places = Staging(self._desk.root, generation), slots(response.outputs)
        kept_answer = staging.begin(response.document)
        begun = (
            await in_thread(staging.leftovers, places)
            if staging.has_leftovers()
            else map(staging.new_part, places)
        )
        results = [
            Downloaded(one, "an earlier try", ())
            if isinstance(one, StagedFile)
            else await self._downloader.fetch(output, staging, one)
            for output, one in zip(response.outputs, begun, strict=True)
        ]
        faults = tuple(fault for result in results for fault in result.faults)
        whole = [result for result in results if isinstance(result, Downloaded)]
        if len(whole) < len(results):
            missing = [result for result in results if isinstance(result, Unavailable)]
            pause = _longest([result.pause for result in missing])
            return Unavailable(faults, pause, any(result.refused for result in missing))
        staged = staging.gathered([*(result.file for result in whole), kept_answer])
        return Finished(staged, archived(staged, tuple(r.served_by for r in whole), faults))

    async def _settle_results(self) -> None:
        """Settle what is finished in groups: whatever has gathered while the last was settled."""
        going_on = True
        while going_on:
            group = [await self._results.get()]
            while len(group) < _GROUP and not self._results.empty():
                group.append(self._results.get_nowait())
            going_on = None not in group
            outcomes = await in_thread(self._settle, [r for r in group if r is not None])
            for outcome in outcomes:
                self._room.release()
                self._progress.ended(outcome)

    def _settle(self, group: Sequence[Result]) -> Sequence[Outcome]:
        outcomes = self._desk.settle(group)
        for outcome in outcomes:
            self._report.add(outcome)
        return outcomes

    def _end(self, why: ArchiverError | str) -> None:
        """Ask no more; what is being downloaded goes on, for its links may die."""
        self._agenda.close()
        if isinstance(why, ArchiverError):
            self._report.ending = self._report.ending or why
        else:
            self._report.left_because = self._report.left_because or why
        for task in self._asking - {asyncio.current_task()}:
            if task:
                task.cancel()

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    @contextmanager
    def _heeding_the_time(self) -> Iterator[None]:
        if self._settings.max_time is None:
            yield
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._settings.max_time, self._end_in_order, None)
        try:
            yield
        finally:
            timer.cancel()

    def _interrupt(self, number: int) -> None:
        """The first signal ends the night in order; the second at once: a crash loses nothing."""
        if self._interrupted:
            self._progress.close()
            _LOG.warning("stopped at once: what was finished is held, the rest goes on next time")
            os._exit(128 + number)
        self._interrupted = True
        self._end_in_order(Interrupted(number))

    def _end_in_order(self, why: Interrupted | None) -> None:
        """Ask no more, and let what is being downloaded go on for a little while."""
        pause = self._api.pause_told
        trouble = self._report.left_because or self._report.ending or pause
        self._report.time_is_up = why is None and not trouble
        _LOG.log(
            logging.WARNING if why else logging.INFO,
            "ending: downloads have %.0f s to finish%s",
            _GRACE,
            "; a second signal stops them at once" if why else "",
        )
        self._end(why or pause or "the time for this night is up (--max-time)")
        asyncio.get_running_loop().call_later(_GRACE, self._abandon)

    def _abandon(self) -> None:
        for worker in self._workers:
            worker.cancel()


def _longest(pauses: Sequence[float | None]) -> float | None:
    """Return the longest pause; None if there is anything that no pause would help."""
    known = [pause for pause in pauses if pause is not None]
    return max(known) if len(known) == len(pauses) else None


def _flat(group: BaseExceptionGroup[StorageError]) -> Iterator[StorageError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error
