"""Responses: the kinds of what the API reports about a generation, by their meaning."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

from archiver.outputs import Link, Output

BODY_LIMIT = 1 << 20
"""No response has more bytes than this, inline payloads left aside; one that has is not read."""
INLINE_LIMIT = 32 << 20
"""No response with inline payloads has more bytes than this."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came over the wire, not yet understood."""

    status: int
    body: bytes | bytearray
    retry_after: str | None = None
    """The `Retry-After` header."""
    rate_limit_reset: str | None = None
    """The `X-RateLimit-Reset` header."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The generation is finished; `document` is the response as it came.

    Payloads that came in it are in memory until it is closed: only a few may be at once.
    """

    outputs: tuple[Output, ...]
    document: Mapping[str, object]
    memory: ExitStack = field(default_factory=ExitStack, compare=False, repr=False)

    @property
    def holds_payloads(self) -> bool:
        """Whether a payload came in the response itself."""
        return any(link.inline for link in self._links())

    def close(self) -> None:
        """Release the memory of the payloads that came in the response."""
        for link in self._links():
            if link.inline:
                link.inline.data = None
        self.memory.close()

    def _links(self) -> Iterator[Link]:
        return chain.from_iterable(output.links for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Processing:
    """ModelsLab is still making it; `eta` is the provider's estimate in seconds."""

    eta: float | None = None
    links: tuple[str, ...] = field(default=(), compare=False)
    """Where its files will be: they are not finished, whatever is there now."""


def urls_in(response: Ready | Processing) -> list[list[str]]:
    """Return the URLs of each output; of one that is not finished, each URL by itself."""
    match response:
        case Ready(outputs):
            return [[link.url for link in output.links] for output in outputs]
        case Processing(links=links):
            return [[url] for url in links]


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    """ModelsLab could not make it."""

    message: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """ModelsLab knows no such generation."""

    message: str


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """The key is rejected, or its account may not do this or has no credit.

    Only a `certain` one is about the key as such; others may be about one endpoint. One that
    shows `in_words` alone may be the message of one generation.
    """

    message: str
    certain: bool
    in_words: bool = False


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Too many requests; `wait` is for how many seconds to pause, where that was given.

    Only a `certain` one is about the account as such: a generation may have failed with such a
    message of its own.
    """

    message: str
    wait: float | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """The API responded and does not help with this generation; asking again now is no use."""

    message: str
    usable: bool = True
    """The message is the API's; otherwise it is what is wrong with the response."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """No usable response, by a fault of the server or the network: worth another try."""

    message: str
    wait: float | None = None
    """For how many seconds the server asks to wait first."""
    silent: bool = False
    """There was no reply at all."""
    responded: bool = False
    """The API itself responded, in its own words: the trouble may be this generation's own."""


FinalResponse: TypeAlias = (
    Ready | Processing | GenerationFailed | NotFound | AccessDenied | Rejected | ServerError
)
"""What may remain once rate limits are waited out."""
Response: TypeAlias = FinalResponse | RateLimited
