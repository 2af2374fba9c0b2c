"""The fetch of one generation: ask the API, download the outputs, stage them whole."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from archiver.archive.disk_space import DiskSpace
from archiver.archive.layout import Layout
from archiver.archive.letter_case import LetterCase
from archiver.archive.partial_file import PartialFile
from archiver.archive.staged import StagedFile, names_in_staging
from archiver.archive.staging import Staging
from archiver.download.downloader import Downloaded, Downloader, Unavailable
from archiver.generation import LISTED, Generation
from archiver.modelslab.client import (
    Client,
    ClientResult,
    EndpointUnavailable,
    Halt,
    Throttled,
    Unready,
)
from archiver.modelslab.listing import ready
from archiver.modelslab.responses import (
    GenerationFailed,
    NotFound,
    Processing,
    Ready,
    Rejected,
    ServerError,
    urls_in,
)
from archiver.outcomes import DeadLinks, Failed, LinkFault, Pending, Trouble
from archiver.outputs import Output, link_path
from archiver.pipeline.families import Families, agree
from archiver.pipeline.results import Fetched
from archiver.pipeline.scheduler import Again, Job, Reason
from archiver.threads import in_thread

_LOG = logging.getLogger(__name__)
_HOST_PAUSED = "a link's host asked for a pause, retried on the next run"
_DOES_NOT_FIT = "it does not fit on the disk, retried on the next run"
_ALL_FAILED = "all links failed, fresh ones too"
_NOT_ASKED_FOR = "no endpoint knows it: only backup --discover can archive it, while it is listed"
_SAME_NAME = (
    "its files would replace those of {}: this file system does not distinguish upper case from "
    "lower; move the archive to one that does"
)
_MAY_BECOME_READABLE = (403, 404)
"""A link can name a file before it can be read: clients try again on these. SEEN."""


@dataclass(frozen=True, slots=True)
class LinksFailed:
    """No link of a response gave the payload of some output."""

    response: Ready
    faults: tuple[LinkFault, ...]

    @property
    def may_become_readable(self) -> bool:
        """Whether a link names a file that is perhaps not there yet."""
        return any(fault.status in _MAY_BECOME_READABLE for fault in self.faults)

    @property
    def is_final(self) -> bool:
        """Whether the hosts have nothing there any more."""
        return all(fault.gone for fault in self.faults)

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing promises that these links will ever serve it."""
        return all(fault.gone or fault.forbidden for fault in self.faults)


@dataclass(frozen=True, slots=True)
class KnownAs:
    """What was listed under an assumed family is another generation: their links agree."""

    generation: Generation
    actual: Generation
    response: Ready | None = None
    """The response that proved it, if it is ready."""


FetchResult: TypeAlias = (
    Fetched | Failed | Pending | DeadLinks | Again | KnownAs | EndpointUnavailable | Halt
)


class Fetcher:
    """Fetches generations, each independently of the others."""

    def __init__(
        self,
        client: Client,
        downloader: Downloader,
        layout: Layout,
        space: DiskSpace,
        families: Families,
    ) -> None:
        self._client = client
        self._downloader = downloader
        self._layout = layout
        self._space = space
        self._families = families
        self._letter_case = LetterCase(layout)
        self._tried = set(names_in_staging(layout))
        """Of which an earlier try may have left something in staging, by the name it has there."""
        self._asking: set[asyncio.Task[object] | None] = set()
        self.cut_off: list[Generation] = []
        """Whose downloads were cancelled."""

    async def fetch(self, job: Job) -> FetchResult:
        """Fetch a generation, or find out that it should come again.

        Raises:
            StorageError: if it cannot be staged.
        """
        if rival := self._letter_case.rival(job.generation):
            return Failed(job.generation, _SAME_NAME.format(rival))
        if job.response:
            return await self._from_links(job, job.response)
        if job.generation.endpoint == LISTED:
            return await self._without_family(job)
        match await self._ask(self._client.fetch(job.generation)):
            case Ready() as response:
                instead = await self._contradicted(job, response)
                return instead or await self._from_links(job, response)
            case NotFound() as response:
                return await self._not_found(job, response)
            case response:
                return _without_links(job, response)

    async def out_of_time(self, again: Again) -> FetchResult:
        """End what cannot come again on this run; links that failed until now, with fresh ones.

        Raises:
            StorageError: if it cannot be staged.
        """
        failed, response = again.otherwise, again.job.response
        if response and isinstance(failed, Failed):
            return await self._from_fresh_links(again.job, LinksFailed(response, failed.faults))
        return failed

    async def _from_links(self, job: Job, response: Ready) -> FetchResult:
        """Try the links of a response; on the first run that finds them dead, for a while."""
        with closing(response):  # before another is asked for: few may be in memory at once
            result = await self._download(job, response)
        if not isinstance(result, LinksFailed):
            return result
        if result.may_become_readable and not job.entry.hopeless and not job.entry.is_news:
            failed = Failed(job.generation, "all links failed", result.faults)
            later = replace(job, response=None if response.holds_payloads else response)
            return Again(later, Reason.NOT_READABLE, failed)
        return await self._from_fresh_links(job, result)

    async def _from_fresh_links(self, job: Job, failed: LinksFailed) -> FetchResult:
        """Ask once more: links expire, and files are moved."""
        job = replace(job, response=None)
        match await self._ask(self._client.fetch(job.generation)):
            case Ready(outputs) as response if (
                outputs == failed.response.outputs and failed.is_final
            ):
                response.close()  # the same links, which are dead
            case Ready() as response:
                with closing(response):
                    result = await self._download(job, response)
                if not isinstance(result, LinksFailed):
                    return result
                failed = result
            case response:
                return _without_links(job, response, failed.faults)
        return _dead(job, failed)

    def stop_asking(self) -> None:
        """Cancel the tasks that wait for the API, but not the one that calls this."""
        for task in self._asking - {asyncio.current_task()}:
            if task:
                task.cancel()

    @property
    def asked(self) -> int:
        """How many generations ModelsLab is being asked about."""
        return len(self._asking)

    async def _ask(self, request: Awaitable[ClientResult]) -> ClientResult:
        """Wait for the API, unless `stop_asking` ends that."""
        task = asyncio.current_task()
        self._asking.add(task)
        try:
            return await request
        finally:
            self._asking.discard(task)

    async def _without_family(self, job: Job) -> FetchResult:
        """Find the family of what ModelsLab lists without it, or take the links that it lists."""
        entry, generation = job.entry, job.generation
        if not entry.item:
            return Failed(generation, _NOT_ASKED_FOR)
        if job.elsewhere is None:
            found = await self._ask_others(job)
            if not isinstance(found, str):
                return found
            job = replace(job, elsewhere="")
        if not (response := ready(generation, json.loads(entry.item))):
            return Pending(generation)
        result = await self._download(job, response)
        return _dead(job, result) if isinstance(result, LinksFailed) else result

    async def _not_found(self, job: Job, response: NotFound) -> FetchResult:
        """Ask the other families where the family was only assumed; come again on the first run."""
        elsewhere = job.elsewhere
        if job.entry.assumed and elsewhere is None:
            match await self._ask_others(job):
                case str() as elsewhere:
                    pass
                case result:
                    return result
        failed = _failure(response, job.generation)
        if elsewhere:
            hint = f"{elsewhere} knows this ID: list it as {elsewhere}/{job.generation.id}"
            failed = replace(failed, reason=f"{failed.reason}; {hint}", trouble=None)
        if job.entry.hopeless or (elsewhere and not job.entry.first):
            return failed
        return Again(replace(job, elsewhere=elsewhere), Reason.NOT_FOUND, failed)

    async def _contradicted(self, job: Job, response: Ready) -> FetchResult | None:
        """Look for a family whose links agree with those listed, if the assumed one's do not."""
        entry = job.entry
        if not entry.assumed or not entry.links or response.holds_payloads:
            return None  # payloads have no links to compare
        if agree(entry.links, urls_in(response)):
            return None
        response.close()  # or two would each wait for the memory that the other keeps
        match await self._ask_others(job):
            case str() | Again(reason=Reason.PROCESSING):
                _LOG.warning("%s: its links are not those listed with its ID", job.generation)
                return None
            case result:
                return result

    async def _ask_others(self, job: Job) -> FetchResult | str:
        """Ask the other video families, once; return the first that knows the ID, "" if none does.

        One whose links agree with those that are listed is right. Where one is still making it,
        that is not known yet.
        """
        knows, entry = "", job.entry
        unsure: Processing | ServerError | None = None
        for endpoint in self._families.besides(job.generation.endpoint):
            other = Generation(endpoint, job.generation.id)
            match await self._ask(self._client.probe(other)):
                case Ready() | Processing() as response:
                    knows, urls = knows or endpoint, urls_in(response)
                    if agree(entry.links, urls):
                        self._families.was_right(endpoint)
                        return _known_as(job, other, response)
                    if isinstance(response, Ready):
                        response.close()
                    elif not urls:
                        unsure = response
                case GenerationFailed():
                    knows = knows or endpoint
                case Throttled() as throttled:
                    return _throttled(job, throttled)
                case Halt() as halt:
                    return halt
                case ServerError() as error if entry.item:
                    unsure = unsure or error
                case _:
                    pass  # not found, or no response: that proves nothing
        wait = entry.links and (entry.first or not entry.item)  # links that are listed may die
        return _without_links(job, unsure) if unsure and wait else knows

    async def _download(self, job: Job, response: Ready) -> Fetched | Failed | Again | LinksFailed:
        """Stage all outputs; those that come are kept for the next try if others do not."""
        generation, outputs = job.generation, response.outputs
        staging = Staging(self._layout, generation, response.document)
        try:
            with self._space.in_use(staging.name):
                results = await self._outputs(staging, outputs)
        except asyncio.CancelledError:
            self.cut_off.append(generation)
            raise
        faults = tuple(fault for result in results for fault in result.faults)
        for fault in faults:
            _LOG.debug("%s: %s", generation, fault)
        if missing := [result for result in results if isinstance(result, Unavailable)]:
            self._tried.add(staging.name)
            return _paused(job, missing, faults) or LinksFailed(response, faults)
        whole = [result for result in results if isinstance(result, _StagedOutput)]
        staged = staging.staged([result.file for result in whole])
        return Fetched.of(staged, tuple(result.served_by for result in whole), faults)

    async def _outputs(
        self, staging: Staging, outputs: Sequence[Output]
    ) -> "list[_StagedOutput | Unavailable]":
        leftovers = (
            await in_thread(staging.leftovers, outputs)
            if staging.name in self._tried
            else map(staging.begin, outputs)
        )
        return [
            await self._output(staging, output, leftover)
            for output, leftover in zip(outputs, leftovers, strict=True)
        ]

    async def _output(
        self, staging: Staging, output: Output, leftover: StagedFile | PartialFile
    ) -> "_StagedOutput | Unavailable":
        if isinstance(leftover, StagedFile):
            return _StagedOutput(leftover, "an earlier try")
        # Now, since what is small stays in memory: when it is written, it is too late to refuse it.
        await self._space.require()
        match await self._downloader.fetch(output, leftover):
            case Unavailable() as unavailable:
                return unavailable
            case Downloaded(payload, served_by, faults):
                if payload.media.audio_only:
                    _LOG.info("%s: its video has sound and no images", staging.generation)
                in_memory = payload.content is not None
                file = (
                    staging.keep(output, payload)
                    if in_memory
                    else await in_thread(staging.keep, output, payload)
                )
                return _StagedOutput(file, served_by, faults)


def _known_as(job: Job, actual: Generation, response: Ready | Processing) -> KnownAs:
    """Return what a generation proved to be; with the response, so that none asks for it again."""
    if isinstance(response, Ready) and not response.holds_payloads:
        return KnownAs(job.generation, actual, response)
    return KnownAs(job.generation, actual)


def _dead(job: Job, failed: LinksFailed) -> Failed | DeadLinks:
    """Return how it ends that no link serves a generation."""
    if failed.is_hopeless and job.entry.is_news:
        return DeadLinks(job.generation, tuple(sorted({*map(link_path, job.entry.links)})))
    listed_alone = job.generation.endpoint == LISTED
    reason = "all links failed" if listed_alone else _ALL_FAILED
    trouble: Trouble | None = "hopeless" if failed.is_hopeless else None
    return Failed(job.generation, reason, failed.faults, trouble)


@dataclass(frozen=True, slots=True)
class _StagedOutput:
    """An output that is staged, and the link that served it."""

    file: StagedFile
    served_by: str
    faults: tuple[LinkFault, ...] = ()


def _paused(
    job: Job, missing: Sequence[Unavailable], faults: tuple[LinkFault, ...]
) -> Failed | Again | None:
    """Return when to come again, unless there is an output that no pause would help."""
    no_space = any(output.no_space for output in missing)  # fresh links would not help
    failed = Failed(job.generation, _DOES_NOT_FIT if no_space else _HOST_PAUSED, faults)
    pauses = [output.pause for output in missing if output.pause is not None]
    if len(pauses) < len(missing):
        return failed if no_space else None
    refused = any(output.refused for output in missing)
    later = replace(job, response=None)
    return Again(later, Reason.HOST_PAUSED, failed, max(pauses), refused)  # it needs all outputs


def _without_links(
    job: Job,
    response: Unready,
    faults: tuple[LinkFault, ...] = (),
) -> FetchResult:
    """Return what a response means that has no links to try."""
    match response:
        case Processing(eta):
            return Again(job, Reason.PROCESSING, Pending(job.generation), eta)
        case Throttled():
            return _throttled(job, response, faults)
        case EndpointUnavailable() | Halt():
            return response
        case GenerationFailed() | NotFound() | Rejected() | ServerError():
            return _failure(response, job.generation, faults)
        case _:
            assert_never(response)


def _throttled(job: Job, throttled: Throttled, faults: tuple[LinkFault, ...] = ()) -> Again:
    failed = Failed(job.generation, f"ModelsLab responded: {throttled.message}", faults)
    return Again(job, Reason.THROTTLED, failed, throttled.pause)


def _failure(
    response: NotFound | GenerationFailed | Rejected | ServerError,
    generation: Generation,
    faults: tuple[LinkFault, ...] = (),
) -> Failed:
    reason = f"ModelsLab responded: {response.message}"
    match response:
        case NotFound() | GenerationFailed():
            return Failed(generation, reason, faults, "hopeless")
        case Rejected(usable=True):
            return Failed(generation, reason, faults)
        case Rejected(message) | ServerError(message):
            return Failed(generation, f"no usable response: {message}", faults)
        case _:
            assert_never(response)
