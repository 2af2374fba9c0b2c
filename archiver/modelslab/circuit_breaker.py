"""Circuit breaker: which endpoints are no longer requested, and when the API as a whole is not."""

from collections import defaultdict
from typing import assert_never

from archiver.errors import ApiUnreachable, KeyRejected
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
"""This many generations in a row, each tried again and again, are no accident."""


class CircuitBreaker:
    """Counts what failed in a row; it sends nothing and waits for nothing.

    A denial may be about one generation; several in a row are about the endpoint, which the plan
    may not include. Replies of no use may be those of one endpoint as well. Without any reply it
    is the whole API that is gone.
    """

    def __init__(self, api_url: str) -> None:
        self.has_responded = False
        """Whether there was a usable response to anything so far."""
        self._api_url = api_url
        self._denials = defaultdict[str, list[str]](list)
        self._unusable = defaultdict[str, list[str]](list)
        self._silences: list[str] = []

    def open_reason(self, endpoint: str) -> str:
        """Return why an endpoint is not requested any more in this run; "" if it is."""
        denials, unusable = self._denials[endpoint], self._unusable[endpoint]
        if len(denials) >= IN_A_ROW:
            return f"access to {endpoint} is denied: {denials[-1]}"
        if len(unusable) >= IN_A_ROW:
            return f"{endpoint} gives no usable response: {unusable[-1]}"
        return ""

    def record(self, endpoint: str, response: FinalResponse) -> KeyRejected | ApiUnreachable | None:
        """Count a response; return the error that ends the run because of it, if one does."""
        match response:
            case AccessDenied(message, certain):
                self._silences.clear()
                self._denials[endpoint].append(message)
                return _key_rejected(message) if certain else None
            case ServerError(message, silent=True):
                self._silences.append(message)
                gone = len(self._silences) >= IN_A_ROW
                return self._unreachable(message) if gone else None
            case ServerError(message):
                self._silences.clear()
                self._unusable[endpoint].append(message)
            case Ready() | Processing() | GenerationFailed() | NotFound() | Rejected():
                self.has_responded = True
                for failures in (self._denials, self._unusable):
                    failures[endpoint].clear()
                self._silences.clear()
            case _:
                assert_never(response)
        return None

    def verdict(self) -> KeyRejected | ApiUnreachable | None:
        """Return what was wrong with a run without a single usable response."""
        if self.has_responded:
            return None
        for messages in filter(None, self._denials.values()):
            return _key_rejected(messages[-1])
        for messages in filter(None, (self._silences, *self._unusable.values())):
            return self._unreachable(messages[-1])
        return None

    def _unreachable(self, message: str) -> ApiUnreachable:
        return ApiUnreachable(
            f"{self._api_url} gives no usable response: {message}. Check --api-url and the network"
        )


def _key_rejected(message: str) -> KeyRejected:
    """Return the error for a key that ModelsLab rejects with this message."""
    reason = message.rstrip(" .")
    return KeyRejected(
        f"ModelsLab rejects the API key: {reason}. Check the key, its plan and credit"
    )
