"""The fetch of one generation: ask the API, download the outputs, stage them whole."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias, assert_never

from archiver.archive.disk_space import DiskSpace
from archiver.archive.layout import Layout
from archiver.archive.partial_file import PartialFile
from archiver.archive.staging import StagedFile, Staging
from archiver.download.downloader import Downloaded, Downloader, Unavailable
from archiver.generation import Generation
from archiver.modelslab.client import Client, ClientResult, EndpointUnavailable, Halt
from archiver.modelslab.responses import (
    GenerationFailed,
    NotFound,
    Processing,
    Ready,
    Rejected,
    ServerError,
)
from archiver.outcomes import Failed, LinkFault, Lost
from archiver.outputs import Output
from archiver.pipeline.results import Fetched
from archiver.threads import in_thread

_LOG = logging.getLogger(__name__)
HOST_PAUSED = "a link's host asked for a pause, retried on the next run"
DOES_NOT_FIT = "it does not fit on the disk, retried on the next run"


@dataclass(frozen=True, slots=True)
class Deferred:
    """It is ready, but a host asks for a pause, in seconds; `otherwise` if that is too long."""

    pause: float
    refused: bool
    """The host has refused this very generation's link."""
    otherwise: Failed


FetchResult: TypeAlias = (
    Fetched | Failed | Lost | Processing | Deferred | EndpointUnavailable | Halt
)


class Fetcher:
    """Fetches generations, each independently of the others."""

    def __init__(
        self,
        client: Client,
        downloader: Downloader,
        layout: Layout,
        space: DiskSpace,
        *,
        patient: bool,
    ) -> None:
        """With `patient`, what a host refuses is deferred; otherwise it fails at once."""
        self._client = client
        self._downloader = downloader
        self._layout = layout
        self._space = space
        self._patient = patient
        self._asking: set[asyncio.Task[object] | None] = set()

    async def fetch(self, generation: Generation) -> FetchResult:
        """Fetch a generation; ask once more for fresh links when the first ones fail.

        Raises:
            StorageError: if it cannot be staged.
        """
        tried: tuple[Output, ...] = ()
        faults: tuple[LinkFault, ...] = ()
        for _ in ("the links of the first response", "fresh links"):
            match await self._ask(generation):
                case Ready(outputs) if outputs == tried and all(fault.gone for fault in faults):
                    break  # the same links, which are dead
                case Ready() as response:
                    staging = Staging(self._layout, generation, response.document)
                    with self._space.in_use(staging.name):
                        result = await self._download(staging, response.outputs)
                    if not isinstance(result, Unavailable):
                        return result
                    tried, faults = response.outputs, result.faults
                case Processing() | EndpointUnavailable() | Halt() as result:
                    return result
                case GenerationFailed() | NotFound() | Rejected() | ServerError() as response:
                    return _failure(response, generation, faults)
        return Failed(generation, "all links failed, fresh ones too", faults)

    def stop_asking(self) -> None:
        """Cancel the tasks that wait for the API, but not the one that calls this."""
        for task in self._asking - {asyncio.current_task()}:
            if task:
                task.cancel()

    async def _ask(self, generation: Generation) -> ClientResult:
        task = asyncio.current_task()
        self._asking.add(task)
        try:
            return await self._client.fetch(generation)
        finally:
            self._asking.discard(task)

    async def _download(
        self, staging: Staging, outputs: Sequence[Output]
    ) -> Fetched | Failed | Deferred | Unavailable:
        """Stage all outputs; those that come are kept for the next try if others do not."""
        generation = staging.generation
        leftovers = (
            await in_thread(staging.leftovers, outputs)
            if staging.exists()
            else map(staging.begin, outputs)
        )
        results = [
            await self._output(staging, output, leftover)
            for output, leftover in zip(outputs, leftovers, strict=True)
        ]
        faults = tuple(fault for result in results for fault in result.faults)
        for fault in faults:
            _LOG.debug("%s: %s", generation, fault)
        if missing := [result for result in results if isinstance(result, Unavailable)]:
            return self._unavailable(generation, missing, faults)
        whole = [result for result in results if isinstance(result, _StagedOutput)]
        staged = staging.staged([result.file for result in whole])
        return Fetched.of(staged, tuple(result.served_by for result in whole), faults)

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
                in_memory = payload.content is not None
                file = (
                    staging.keep(output, payload)
                    if in_memory
                    else await in_thread(staging.keep, output, payload)
                )
                return _StagedOutput(file, served_by, faults)

    def _unavailable(
        self,
        generation: Generation,
        missing: Sequence[Unavailable],
        faults: tuple[LinkFault, ...],
    ) -> Failed | Deferred | Unavailable:
        """Defer it, unless there is an output that no pause would help."""
        no_space = any(output.no_space for output in missing)  # fresh links would not help
        failed = Failed(generation, DOES_NOT_FIT if no_space else HOST_PAUSED, faults)
        pauses = [output.pause for output in missing if output.pause is not None]
        if len(pauses) < len(missing):
            return failed if no_space else Unavailable(faults)
        pause = max(pauses) if self._patient else inf  # it is held only with all its outputs
        refused = any(output.refused for output in missing)
        return Deferred(pause, refused, failed)


@dataclass(frozen=True, slots=True)
class _StagedOutput:
    """An output that is staged, and the link that served it."""

    file: StagedFile
    served_by: str
    faults: tuple[LinkFault, ...] = ()


def _failure(
    response: NotFound | GenerationFailed | Rejected | ServerError,
    generation: Generation,
    faults: tuple[LinkFault, ...],
) -> Failed | Lost:
    reason = f"ModelsLab responded: {response.message}"
    match response:
        case NotFound() | GenerationFailed(certain=True):
            return Lost(generation, reason, faults)
        case GenerationFailed():
            return Failed(generation, reason, faults, hopeless=True)
        case Rejected(usable=True):
            return Failed(generation, reason, faults)
        case Rejected(message) | ServerError(message):
            return Failed(generation, f"no usable response: {message}", faults)
        case _:
            assert_never(response)
