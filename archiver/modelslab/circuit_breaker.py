"""Circuit breaker: what failures in a row amount to, for an endpoint and for the whole API."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from archiver.errors import ApiUnreachable, KeyRejected
from archiver.generation import Generation
from archiver.modelslab.responses import (
    AccessDenied,
    FinalResponse,
    GenerationFailed,
    NotFound,
    Processing,
    Ready,
    Rejected,
    ServerError,
)

IN_A_ROW = 5
"""This many generations in a row are no accident; fewer may each have a trouble of their own."""
_GIVE_UP = 25
"""An endpoint that has never responded is given up after this many in a row."""

Halting: TypeAlias = KeyRejected | ApiUnreachable


@dataclass(slots=True)
class _Endpoint:
    """What failed at one endpoint since its last usable response: messages by generation."""

    has_responded: bool = False
    denials: dict[Generation, str] = field(default_factory=dict)
    errors: dict[Generation, str] = field(default_factory=dict)


class CircuitBreaker:
    """Counts the generations that failed in a row; it sends nothing and waits for nothing.

    A denial or an error may be about one generation; those of several in a row are about the
    endpoint, which the plan may not include, or which may be down. What a generation's own
    message reads like says nothing about the key or the API, until many of them read alike.
    """

    def __init__(self, api_url: str) -> None:
        self.has_responded = False
        """Whether there was a usable response to anything so far."""
        self._api_url = api_url
        self._endpoints = defaultdict[str, _Endpoint](_Endpoint)
        self._denials: dict[Generation, str] = {}
        """Those that reject the key as such, since the last usable response."""
        self._refusal = ""
        """The last denial that is enough by itself: documented words, or the HTTP status."""
        self._silences: dict[Generation, str] = {}
        self._unreachable = ""
        """The last sign that what responds is not the API, or that nothing does."""

    def is_open(self, endpoint: str) -> bool:
        """Return whether an endpoint seems to be down: then no request to it is repeated."""
        failures = (self._endpoints[endpoint].errors, self._silences)
        return any(len(each) >= IN_A_ROW for each in failures)

    def given_up(self, endpoint: str) -> str:
        """Return why an endpoint is not requested any more in this run; "" if it is."""
        found = self._endpoints[endpoint]
        if len(found.denials) >= IN_A_ROW:
            return f"access to {endpoint} is denied: {_last(found.denials)}"
        if len(found.errors) >= _GIVE_UP and not found.has_responded:
            return f"{endpoint} gives no usable response: {_last(found.errors)}"
        return ""

    def record(self, generation: Generation, response: FinalResponse) -> Halting | None:
        """Count a response; return the error that ends the run because of it, if one does."""
        endpoint = self._endpoints[generation.endpoint]
        match response:
            case AccessDenied(message, certain, in_words):
                self._silences.clear()
                endpoint.denials[generation] = message
                if certain or not in_words:
                    self._refusal = message
                return self._key_denied(generation, response) if certain else None
            case ServerError(message, silent=True):
                return self._silent(generation, message)
            case ServerError(message, responded=responded):
                self._silences.clear()
                endpoint.errors[generation] = message
                if not responded or len(endpoint.errors) >= IN_A_ROW:
                    self._unreachable = message
            case Ready() | Processing() | GenerationFailed() | NotFound() | Rejected():
                self.has_responded = endpoint.has_responded = True
                for failures in (endpoint.denials, endpoint.errors, self._denials):
                    failures.clear()
                self._silences.clear()
            case _:
                assert_never(response)
        return None

    def verdict(self) -> Halting | None:
        """Return what was wrong with a run without a single usable response.

        The message of one generation is not enough, unless it rejects the key as such.
        """
        if self.has_responded:
            return None
        if self._refusal:
            return _key_rejected(self._refusal)
        for endpoint in self._endpoints.values():
            if len(endpoint.denials) >= IN_A_ROW:
                return _key_rejected(_last(endpoint.denials))
        return self._unreachable_because(self._unreachable) if self._unreachable else None

    def _key_denied(self, generation: Generation, denied: AccessDenied) -> KeyRejected | None:
        """Words are confirmed by a second generation or, for a key that was good, by several."""
        self._denials[generation] = denied.message
        in_words = IN_A_ROW if self.has_responded else 2
        needed = in_words if denied.in_words else 1
        return _key_rejected(denied.message) if len(self._denials) >= needed else None

    def _silent(self, generation: Generation, message: str) -> ApiUnreachable | None:
        """An API that has responded before may be silent about some generations."""
        self._silences[generation] = self._unreachable = message
        needed = _GIVE_UP if self.has_responded else IN_A_ROW
        return self._unreachable_because(message) if len(self._silences) >= needed else None

    def _unreachable_because(self, message: str) -> ApiUnreachable:
        return ApiUnreachable(
            f"{self._api_url} gives no usable response: {message}. Check --api-url and the network"
        )


def _last(messages: dict[Generation, str]) -> str:
    return next(reversed(messages.values()))


def _key_rejected(message: str) -> KeyRejected:
    """Return the error for a key that ModelsLab rejects with this message."""
    reason = message.rstrip(" .")
    return KeyRejected(
        f"ModelsLab rejects the API key: {reason}. Check the key, its plan and credit"
    )
