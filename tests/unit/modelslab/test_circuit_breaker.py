"""Circuit breaker: what fails for many in a row is no accident; anything less may be one."""

from typing import TypeAlias

import pytest

from archiver.errors import ApiUnreachable, ArchiverError, KeyRejected
from archiver.generation import Generation
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
WORDS = AccessDenied("You have no access to this face", certain=False, in_words=True)
NO_KEY = AccessDenied("Invalid API key.", certain=True)
NO_KEY_IN_WORDS = AccessDenied("Invalid Api Key", certain=True, in_words=True)
UNUSABLE = ServerError("an HTML page instead of a response (HTTP 502 Bad Gateway)")
OWN = ServerError("Internal error", responded=True)
SILENT = ServerError("no such host", silent=True)
REJECTED_KEY = "ModelsLab rejects the API key: {}. Check the key, its plan and credit"
UNREACHABLE = URL + " gives no usable response: {}. Check --api-url and the network"
USABLE: tuple[FinalResponse, ...] = (
    Ready((), {}),
    Processing(),
    GenerationFailed("Failed, Try Again"),
    NotFound("Request not found"),
    Rejected("Invalid API Request"),
)

Recorded: TypeAlias = tuple[str, FinalResponse]


def recorded(*responses: Recorded) -> tuple[CircuitBreaker, list[ArchiverError | None]]:
    """Return a breaker that has counted these, each of another generation, and its returns."""
    breaker = CircuitBreaker(URL)
    return breaker, [
        breaker.record(Generation(endpoint, str(number)), response)
        for number, (endpoint, response) in enumerate(responses)
    ]


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
        ([(ONE, UNUSABLE)] * 24, ("", "")),
        ([(OTHER, UNUSABLE)] * 25,
         ("", f"{OTHER} gives no usable response: {UNUSABLE.message}")),
        ([(ONE, OWN)] * 25, (f"{ONE} gives no usable response: Internal error", "")),
        ([(ONE, UNUSABLE)] * 20 + [(ONE, Processing())] + [(ONE, UNUSABLE)] * 99, ("", "")),
        ([(ONE, SILENT)] * 4, ("", "")),
    ],
)  # fmt: skip
def test_an_endpoint_is_given_up_after_many_failures_in_a_row(
    responses: list[Recorded], reasons: tuple[str, str]
) -> None:
    """One that is denied or was never of use is not requested any more, and the others are."""
    breaker, errors = recorded(*responses)
    assert (breaker.given_up(ONE), breaker.given_up(OTHER)) == reasons
    assert not any(errors)


@pytest.mark.parametrize("failure", [DENIED, WORDS, UNUSABLE, OWN, SILENT, NO_KEY_IN_WORDS])
def test_one_generation_gives_up_nothing(failure: FinalResponse) -> None:
    """However often it is asked about."""
    breaker = CircuitBreaker(URL)
    for _ in range(99):
        assert breaker.record(Generation(ONE, "1"), failure) is None
    assert breaker.given_up(ONE) == ""
    assert not breaker.is_open(ONE)


@pytest.mark.parametrize("failure", [UNUSABLE, OWN])
def test_an_endpoint_that_seems_down_is_open(failure: FinalResponse) -> None:
    """After five in a row no request is repeated, until one has a usable response."""
    breaker, _ = recorded(*[(ONE, failure)] * 5)
    assert (breaker.is_open(ONE), breaker.is_open(OTHER)) == (True, False)
    breaker.record(Generation(ONE, "x"), NotFound("?"))
    assert not breaker.is_open(ONE)


@pytest.mark.parametrize("usable", USABLE)
@pytest.mark.parametrize("failure", [DENIED, UNUSABLE])
def test_any_usable_response_closes_it_again(usable: FinalResponse, failure: FinalResponse) -> None:
    """Failures count only in a row."""
    breaker, _ = recorded(*[(ONE, failure)] * 25, (ONE, usable))
    assert breaker.given_up(ONE) == ""
    assert breaker.has_responded


def test_a_status_that_rejects_the_key_does_so_at_once() -> None:
    """There is no use in asking for anything else with it."""
    _, (error,) = recorded((ONE, NO_KEY))
    assert isinstance(error, KeyRejected)
    assert str(error) == REJECTED_KEY.format("Invalid API key")
    assert error.exit_status == 77


def test_words_that_reject_the_key_need_a_second_generation() -> None:
    """One may have failed for the key of somebody else."""
    _, (first, second) = recorded((ONE, NO_KEY_IN_WORDS), (OTHER, NO_KEY_IN_WORDS))
    assert first is None
    assert str(second) == REJECTED_KEY.format("Invalid Api Key")


def test_words_that_reject_a_key_that_was_good_need_five() -> None:
    """In a row: a single generation does not make it bad."""
    words = NO_KEY_IN_WORDS
    _, errors = recorded((ONE, Processing()), *[(ONE, words)] * 4, (ONE, Processing()))
    assert not any(errors)
    _, errors = recorded((ONE, Processing()), *[(ONE, words), (OTHER, words)] * 3)
    assert [bool(error) for error in errors] == [False] * 5 + [True] * 2


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


def test_an_api_that_has_responded_may_be_silent_about_some() -> None:
    """Then it takes many in a row until it is gone; meanwhile no request is repeated."""
    breaker, errors = recorded((ONE, Processing()), *[(ONE, SILENT)] * 24)
    assert not any(errors)
    assert breaker.is_open(ONE)
    assert isinstance(breaker.record(Generation(ONE, "x"), SILENT), ApiUnreachable)


@pytest.mark.parametrize(
    ("responses", "kind", "message"),
    [
        ([], None, ""),
        ([(ONE, Processing())], None, ""),
        ([(ONE, SILENT), (ONE, Processing()), (ONE, DENIED)], None, ""),
        ([(ONE, SILENT)], ApiUnreachable, UNREACHABLE.format("no such host")),
        ([(ONE, UNUSABLE)], ApiUnreachable, UNREACHABLE.format(UNUSABLE.message)),
        ([(ONE, DENIED)], KeyRejected, REJECTED_KEY.format("Not in your plan")),
        ([(ONE, NO_KEY_IN_WORDS)], KeyRejected, REJECTED_KEY.format("Invalid Api Key")),
        ([(ONE, SILENT), (OTHER, DENIED), (ONE, UNUSABLE)], KeyRejected,
         REJECTED_KEY.format("Not in your plan")),
        ([(ONE, OWN)] * 4, None, ""),
        ([(ONE, OWN)] * 5, ApiUnreachable, UNREACHABLE.format("Internal error")),
        ([(ONE, WORDS)] * 4, None, ""),
        ([(ONE, WORDS)] * 5, KeyRejected, REJECTED_KEY.format(WORDS.message)),
    ],
)  # fmt: skip
def test_a_run_without_a_single_usable_response_has_a_reason(
    responses: list[Recorded], kind: type[ArchiverError] | None, message: str
) -> None:
    """A denial weighs more than trouble: it was a reply. A message of few is their own."""
    breaker, _ = recorded(*responses)
    verdict = breaker.verdict()
    assert (None if verdict is None else type(verdict)) is kind
    assert str(verdict or "") == message


@pytest.mark.parametrize("failure", [DENIED, UNUSABLE, SILENT])
def test_a_failure_is_not_a_response(failure: FinalResponse) -> None:
    """Only what is usable counts as one."""
    breaker, _ = recorded((ONE, failure))
    assert not breaker.has_responded
