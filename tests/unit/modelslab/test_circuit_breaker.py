"""Circuit breaker: what fails five times in a row is no accident; anything less may be one."""

from typing import TypeAlias

import pytest

from archiver.errors import ApiUnreachable, ArchiverError, KeyRejected
from archiver.modelslab.circuit_breaker import CircuitBreaker
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

URL = "https://modelslab.com/api"
ONE, OTHER = "v6/deepfake", "v7/video-fusion"
DENIED = AccessDenied("Not in your plan", certain=False)
UNUSABLE = ServerError("an HTML page instead of a response (HTTP 502 Bad Gateway)")
SILENT = ServerError("no such host", silent=True)
REJECTED_KEY = "ModelsLab rejects the API key: {}. Check the key, its plan and credit"
UNREACHABLE = URL + " gives no usable response: {}. Check --api-url and the network"
USABLE: tuple[FinalResponse, ...] = (
    Ready((), {}),
    Processing(),
    GenerationFailed("Failed, Try Again", certain=True),
    NotFound("Request not found"),
    Rejected("Invalid API Request"),
)

Recorded: TypeAlias = tuple[str, FinalResponse]


def recorded(*responses: Recorded) -> tuple[CircuitBreaker, list[ArchiverError | None]]:
    """Return a breaker that has counted these, and what it returned each time."""
    breaker = CircuitBreaker(URL)
    return breaker, [breaker.record(endpoint, response) for endpoint, response in responses]


@pytest.mark.parametrize(
    ("responses", "reasons"),
    [
        ([], ("", "")),
        ([(ONE, DENIED)] * 4, ("", "")),
        ([(ONE, DENIED)] * 5, (f"access to {ONE} is denied: Not in your plan", "")),
        ([(ONE, DENIED), (OTHER, DENIED)] * 4, ("", "")),
        ([(ONE, DENIED)] * 4 + [(ONE, NotFound("?"))] + [(ONE, DENIED)] * 4, ("", "")),
        ([(ONE, DENIED)] * 4 + [(OTHER, NotFound("?")), (ONE, DENIED)],
         (f"access to {ONE} is denied: Not in your plan", "")),
        ([(ONE, UNUSABLE)] * 4, ("", "")),
        ([(OTHER, UNUSABLE)] * 5,
         ("", f"{OTHER} gives no usable response: {UNUSABLE.message}")),
        ([(ONE, UNUSABLE)] * 4 + [(ONE, Processing())] + [(ONE, UNUSABLE)] * 4, ("", "")),
        ([(ONE, SILENT)] * 4, ("", "")),
    ],
)  # fmt: skip
def test_an_endpoint_is_given_up_after_five_failures_in_a_row(
    responses: list[Recorded], reasons: tuple[str, str]
) -> None:
    """One that is denied or of no use is not requested any more, and the others are."""
    breaker, errors = recorded(*responses)
    assert (breaker.open_reason(ONE), breaker.open_reason(OTHER)) == reasons
    assert not any(errors)


@pytest.mark.parametrize("usable", USABLE)
@pytest.mark.parametrize("failure", [DENIED, UNUSABLE])
def test_any_usable_response_closes_it_again(usable: FinalResponse, failure: FinalResponse) -> None:
    """Failures count only in a row."""
    breaker, _ = recorded(*[(ONE, failure)] * 5, (ONE, usable))
    assert breaker.open_reason(ONE) == ""
    assert breaker.has_responded


def test_a_certain_denial_rejects_the_key_at_once() -> None:
    """There is no use in asking for anything else with it."""
    _, (error,) = recorded((ONE, AccessDenied("Invalid API key.", certain=True)))
    assert isinstance(error, KeyRejected)
    assert str(error) == REJECTED_KEY.format("Invalid API key")
    assert error.exit_status == 77


@pytest.mark.parametrize(
    "between", [*(((ONE, usable)) for usable in USABLE), (OTHER, UNUSABLE), (OTHER, DENIED)]
)
def test_five_requests_in_a_row_without_a_reply_are_an_unreachable_api(between: Recorded) -> None:
    """Of whatever endpoints; any reply in between shows that it can be reached."""
    silent = [(ONE, SILENT), (OTHER, SILENT)] * 2
    _, errors = recorded(*silent, (ONE, SILENT))
    *before, error = errors
    assert not any(before)
    assert isinstance(error, ApiUnreachable)
    assert str(error) == UNREACHABLE.format("no such host")
    assert error.exit_status == 69
    _, errors = recorded(*silent, between, (ONE, SILENT))
    assert not any(errors)


@pytest.mark.parametrize(
    ("responses", "kind", "message"),
    [
        ([], None, ""),
        ([(ONE, Processing())], None, ""),
        ([(ONE, SILENT), (ONE, Processing()), (ONE, DENIED)], None, ""),
        ([(ONE, SILENT)], ApiUnreachable, UNREACHABLE.format("no such host")),
        ([(ONE, UNUSABLE)], ApiUnreachable, UNREACHABLE.format(UNUSABLE.message)),
        ([(ONE, DENIED)], KeyRejected, REJECTED_KEY.format("Not in your plan")),
        ([(ONE, SILENT), (OTHER, DENIED), (ONE, UNUSABLE)], KeyRejected,
         REJECTED_KEY.format("Not in your plan")),
    ],
)  # fmt: skip
def test_a_run_without_a_single_usable_response_has_a_reason(
    responses: list[Recorded], kind: type[ArchiverError] | None, message: str
) -> None:
    """A denial weighs more than trouble: it was a reply."""
    breaker, _ = recorded(*responses)
    verdict = breaker.verdict()
    assert (None if verdict is None else type(verdict)) is kind
    assert str(verdict or "") == message


@pytest.mark.parametrize("failure", [DENIED, UNUSABLE, SILENT])
def test_a_failure_is_not_a_response(failure: FinalResponse) -> None:
    """Only what is usable counts as one."""
    breaker, _ = recorded((ONE, failure))
    assert not breaker.has_responded
