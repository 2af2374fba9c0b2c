"""Client: asks the API for one generation, however the API behaves, and returns one value."""

import asyncio
import base64
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from archiver.apikey import REDACTED, ApiKey
from archiver.emulator.scripts import ApiScript, RawResponse, Script
from archiver.emulator.scripts import Response as Scripted
from archiver.emulator.server import Emulator
from archiver.errors import ApiUnreachable, KeyRejected
from archiver.generation import Generation
from archiver.http.retry import Backoff
from archiver.http.session import open_session
from archiver.modelslab.client import Client, ClientResult, EndpointUnavailable, Halt, Throttled
from archiver.modelslab.rate_limit import RateLimit
from archiver.modelslab.responses import (
    GenerationFailed,
    NotFound,
    Processing,
    Ready,
    Rejected,
    ServerError,
)
from archiver.outputs import Link, Output
from archiver.run import Skipped, Stopped
from archiver.settings import ApiSettings, Timings
from tests.support.marks import slow
from tests.support.raw_server import Close, Endless, RawServer, Steps, closed_port

KEY = "sk-Emulated/Key+42"
G263 = Generation.of("deepfake", "263")
QUICK = Timings(short_pause=5, default_pause=0.05, after_pause=0.05)
LIMITED = {"status": "error", "message": "Rate limit exceeded."}
WORDS = {"status": "failed", "message": "Too many faces, wait for 2 hours"}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator({}, key=KEY) as running:
        yield running


@asynccontextmanager
async def connected(
    url: str, *, tries: int = 1, silence: float = 5, backoff: float = 0.01, timings: Timings = QUICK
) -> AsyncIterator[Client]:
    """Open a client of the API at a URL, whose run waits no longer than a short pause."""
    settings = ApiSettings(ApiKey(KEY), url, timeout=silence)
    rate_limit = RateLimit(1000, 0, timings)
    async with open_session(silence, allow_private=True) as session:
        yield Client(session, settings, rate_limit, Backoff(tries, backoff, backoff))


@asynccontextmanager
async def raw(steps: Steps, silence: float = 5) -> AsyncIterator[Client]:
    """Open a client of a server that sends just this."""
    async with (
        RawServer({"*": steps}) as server,
        connected(f"http://{server.host}", silence=silence) as client,
    ):
        yield client


def generations(*names: object, endpoint: str = "deepfake") -> list[Generation]:
    return [Generation.of(endpoint, str(name)) for name in names]


async def fetched(emulator: Emulator, *wanted: Generation, tries: int = 1) -> list[ClientResult]:
    """Fetch generations one after the other."""
    async with connected(emulator.api_url, tries=tries) as client:
        return [await client.fetch(generation) for generation in wanted]


async def patiently(client: Client, generation: Generation = G263) -> ClientResult:
    """Fetch a generation again for as long as it is throttled, as a run does."""
    for _ in range(200):
        result = await client.fetch(generation)
        if not isinstance(result, Throttled):
            return result
        await asyncio.sleep(result.pause + QUICK.after_pause)
    raise AssertionError("it is throttled for ever")


async def fetched_as(emulator: Emulator, response: Scripted | RawResponse) -> ClientResult:
    """Fetch the one generation, to which the API responds like this."""
    emulator.scripts[G263] = Script(response=response)
    (result,) = await fetched(emulator, G263)
    return result


async def elapsed(client: Client, generation: Generation = G263) -> tuple[ClientResult, float]:
    """Fetch a generation; return how many seconds it took, too."""
    began = time.monotonic()
    result = await client.fetch(generation)
    return result, time.monotonic() - began


# --- One request, one value


async def test_the_request_is_the_documented_one(emulator: Emulator) -> None:
    """One POST with the key in a JSON body, and nowhere else."""
    await fetched_as(emulator, "ready")
    (request,) = emulator.requests
    assert (request.method, request.path) == ("POST", "/api/v6/deepfake/fetch/263")
    assert request.headers["Content-Type"] == "application/json"
    assert request.json() == {"key": KEY}
    assert KEY not in f"{request.path}{request.headers}"


async def test_a_ready_generation_has_its_links_and_the_response(emulator: Emulator) -> None:
    """The document is kept as it came."""
    result = await fetched_as(emulator, "ready")
    assert isinstance(result, Ready)
    assert result.outputs == (Output((Link(emulator.link(G263), "primary"),)),)
    assert (result.document["status"], result.document["id"]) == ("success", 263)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ("ready", Ready),
        ("processing", Processing),
        ("created", Processing),
        ("proxied", Processing),
        ("queued", Processing),
        ("nan", Processing),
        ("no-output", Processing),
        ("failed", GenerationFailed),
        ("unknown", NotFound),
        ("unknown-404", NotFound),
        ("malformed", Rejected),
        ("malformed-lists", Rejected),
        ("odd", Rejected),
        ("wrong-id", Rejected),
        ("plan", Rejected),
        ("huge", ServerError),
        ("error", ServerError),
        ("html", ServerError),
        ("html-200", ServerError),
        ("empty", ServerError),
        ("not-json", ServerError),
        ("redirect", ServerError),
        ("cut", ServerError),
        ("reset", ServerError),
        ("hang-up", ServerError),
        ("refused", Halt),
        ("refused-old", Rejected),
        ("no-credit", Halt),
        ("no-credit-old", Rejected),
    ],
)
async def test_each_response_has_its_result(
    emulator: Emulator, response: Scripted, kind: type[ClientResult]
) -> None:
    """Each documented or recorded response becomes one value; nothing is raised."""
    assert type(await fetched_as(emulator, response)) is kind


async def test_a_head_that_is_too_large_is_one_generations_trouble() -> None:
    """However many in a row have one, the API is there, and the run goes on."""
    large = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000
    async with raw((large, Close.NEVER)) as client:
        results = [await client.fetch(generation) for generation in generations(*range(8))]
    rejected = Rejected("the head of the response is too large", usable=False)
    assert results == [rejected] * 8


async def test_a_large_head_is_read() -> None:
    """As large as curl takes them."""
    body = b'{"status": "processing"}'
    lines = b"".join(b"Set-Cookie: %d=%s\r\n" % (n, b"x" * 400) for n in range(700))
    head = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (lines, len(body))
    async with raw((head + body,)) as client:
        assert isinstance(await client.fetch(G263), Processing)


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}])
async def test_a_response_may_be_compressed(emulator: Emulator, headers: dict[str, str]) -> None:
    """Although plain bytes were asked for, and whatever its headers say."""
    body = gzip.compress(json.dumps({"status": "processing", "eta": 7}).encode())
    result = await fetched_as(emulator, RawResponse(body, headers=headers))
    assert result == Processing(7)


@pytest.mark.parametrize("response", ["silent", "stall"])
async def test_silence_is_a_server_error(emulator: Emulator, response: Scripted) -> None:
    """A connection on which nothing comes is given up after the timeout."""
    emulator.scripts[G263] = Script(response=response)
    async with connected(emulator.api_url, silence=0.3) as client:
        result = await client.fetch(G263)
    assert result == ServerError(
        "too slow: silent for 0.3 s, or no whole response in twice that", silent=True
    )


@slow
async def test_a_response_that_drips_is_a_server_error() -> None:
    """A whole response may take twice as long as a connection may be silent."""
    drips = (b"HTTP/1.1 200 OK\r\n\r\n", Endless(b" ", every=0.1))
    async with raw(drips, silence=0.3) as client:
        result, seconds = await elapsed(client)
    assert isinstance(result, ServerError)
    assert seconds >= 0.55


async def test_a_response_without_end_is_not_read(emulator: Emulator) -> None:
    """What is longer than a response can be is no response, whatever it would have meant."""
    result = await fetched_as(emulator, "huge")
    assert result == ServerError("a response of more than 1,048,576 bytes")
    endless = (b"HTTP/1.1 200 OK\r\n\r\n", Endless(b'"' * 65536))
    async with raw(endless) as client:
        assert await client.fetch(G263) == result


async def test_a_response_nested_too_deeply_is_rejected(emulator: Emulator) -> None:
    """Nothing that means anything to us is."""
    deep = b'{"status":"success","id":263,"output":%s}' % (b"[" * 900 + b"]" * 900)
    result = await fetched_as(emulator, RawResponse(deep))
    assert result == Rejected("it is nested too deeply", usable=False)


async def test_a_response_about_another_generation_is_rejected(emulator: Emulator) -> None:
    """Its video is not archived under this ID."""
    result = await fetched_as(emulator, "wrong-id")
    assert result == Rejected("it is about generation 999999999, not 263", usable=False)


async def test_a_redirect_is_not_followed(emulator: Emulator) -> None:
    """The key is not sent to where a response points."""
    result = await fetched_as(emulator, "redirect")
    assert isinstance(result, ServerError)
    assert "HTTP 307" in result.message
    assert [request.host for request in emulator.requests] == ["api"]


@pytest.mark.parametrize("response", ["ready", "failed", "malformed", "error", "plan", "refused"])
async def test_a_key_that_is_echoed_is_in_no_result(emulator: Emulator, response: Scripted) -> None:
    """Neither in a document nor in a message, in whatever response the API repeats it."""
    emulator.api = ApiScript(echo_key=True)
    result = await fetched_as(emulator, response)
    shown = repr(result)
    if isinstance(result, Ready):
        shown += json.dumps(result.document)
    assert KEY not in shown
    assert REDACTED in shown


# --- Responses with large inline payloads


def inline(payload: bytes) -> bytes:
    """Return a success with a payload in it."""
    url = f"data:video/mp4;base64,{base64.b64encode(payload).decode()}"
    return json.dumps({"status": "success", "output": [url]}).encode()


LARGE = bytes(range(256)) * (8 << 10)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


async def test_an_inline_payload_comes_with_its_link(emulator: Emulator) -> None:
    """Small or large; its name is in the document, and its bytes are there until it is closed."""
    for payload in (b"x", LARGE):
        result = await fetched_as(emulator, RawResponse(inline(payload)))
        assert isinstance(result, Ready)
        ((link,),) = (output.links for output in result.outputs)
        assert result.document["output"] == [link.url]
        assert link.inline
        assert link.inline.data == payload
        result.close()
        assert link.inline.data is None


async def test_large_responses_wait_until_others_are_closed(emulator: Emulator) -> None:
    """Two may be in memory; a small one need not wait, nor one that is no success."""
    many = generations(*range(6))
    emulator.scripts |= {each: Script(response=RawResponse(inline(LARGE))) for each in many}
    emulator.scripts |= {
        many[4]: Script(response=RawResponse(inline(LARGE)[:-1])),
        many[5]: Script(response=RawResponse(inline(b"x"))),
    }
    async with connected(emulator.api_url) as client:
        assert isinstance(await client.fetch(many[4]), ServerError)
        first, second = [await client.fetch(each) for each in many[:2]]
        waiting = asyncio.ensure_future(client.fetch(many[2]))
        assert isinstance(await client.fetch(many[5]), Ready)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        for done in (first, second):
            assert isinstance(done, Ready)
            done.close()
        assert isinstance(await waiting, Ready)
        assert isinstance(await client.fetch(many[3]), Ready)


async def test_a_large_response_that_stalls_keeps_no_other_waiting() -> None:
    """Its place is free again once it is given up."""
    stalls = (HEAD + inline(LARGE)[: 2 << 20], Close.NEVER)
    paths: dict[str, Steps] = {f"/v6/deepfake/fetch/{n}": stalls for n in range(3)}
    paths["/v6/deepfake/fetch/263"] = (HEAD + inline(LARGE),)
    async with (
        RawServer(paths) as server,
        connected(f"http://{server.host}", silence=0.5) as client,
    ):
        stalled = [asyncio.ensure_future(client.fetch(each)) for each in generations(0, 1, 2)]
        await asyncio.sleep(0.2)
        result = await client.fetch(G263)
        assert isinstance(result, Ready)
        result.close()
        for each in stalled:
            assert isinstance(await each, ServerError)


async def test_a_large_response_that_is_cancelled_leaves_its_place(emulator: Emulator) -> None:
    """So does one whose generation is not asked for any more."""
    emulator.scripts[G263] = Script(response=RawResponse(inline(LARGE)))
    async with connected(emulator.api_url) as client:
        for pause in (0.0, 0.005, 0.01, 0.02, 0.03):
            fetching = asyncio.ensure_future(client.fetch(G263))
            await asyncio.sleep(pause)
            fetching.cancel()
            await asyncio.wait([fetching])
            if not fetching.cancelled() and isinstance(result := fetching.result(), Ready):
                result.close()
        results = [await client.fetch(G263) for _ in range(2)]
    assert all(isinstance(result, Ready) for result in results)


# --- The family's other name


async def test_the_other_name_is_requested_before_a_generation_is_not_found(
    emulator: Emulator,
) -> None:
    """An old name that the provider has dropped loses nothing."""
    assert await fetched(emulator, G263) == [NotFound("Request not found")]
    paths = [request.path for request in emulator.requests]
    assert paths == ["/api/v6/deepfake/fetch/263", "/api/v6/faceswap/fetch/263"]


async def test_a_family_of_one_name_is_requested_once(emulator: Emulator) -> None:
    """There is nothing else to ask for."""
    (video,) = generations(263, endpoint="video")
    assert await fetched(emulator, video) == [NotFound("Request not found")]
    assert emulator.asked() == 1


def reply(document: dict[str, object], status: str = "200 OK") -> tuple[bytes]:
    """Return an HTTP response, byte by byte."""
    body = json.dumps(document).encode()
    return (f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode() + body,)


UNKNOWN: dict[str, object] = {"status": "failed", "id": "", "message": "Request not found"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"status": "processing", "eta": 7}, Processing(7)),
        ({"status": "failed", "message": "Failed, Try Again"},
         GenerationFailed("Failed, Try Again")),
        (UNKNOWN, NotFound("Request not found")),
        ({"status": "error", "message": "Invalid Api Key"}, NotFound("Request not found")),
        ({"status": "error", "message": "Internal error"}, NotFound("Request not found")),
        ({"status": "error", "message": "Invalid API Request"}, NotFound("Request not found")),
    ],
)  # fmt: skip
async def test_what_the_other_name_knows_counts(
    document: dict[str, object], expected: ClientResult
) -> None:
    """What it does not know, or does not serve, leaves the generation not found."""
    paths = {"/v6/deepfake/fetch/263": reply(UNKNOWN), "/v6/faceswap/fetch/263": reply(document)}
    async with RawServer(paths) as server:
        async with connected(f"http://{server.host}", tries=3) as client:
            assert await client.fetch(G263) == expected
        assert server.connections == 2


# --- Retries


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_it_is_tried_until_there_is_a_usable_response(
    emulator: Emulator, failures: int
) -> None:
    """As often as the backoff allows, the first try included."""
    trouble: list[Scripted] = ["html", "reset", "error"]
    emulator.scripts[G263] = Script(trouble=tuple(trouble[:failures]))
    (result,) = await fetched(emulator, G263, tries=4)
    assert isinstance(result, Ready)
    assert emulator.asked() == failures + 1


async def test_the_last_error_counts(emulator: Emulator) -> None:
    """When all tries have failed it is what was wrong with the last of them."""
    emulator.scripts[G263] = Script(trouble=("html", "empty", "not-json"))
    (result,) = await fetched(emulator, G263, tries=3)
    assert result == ServerError("a response that is not JSON (HTTP 200 OK)")
    assert emulator.asked() == 3


@pytest.mark.parametrize("response", ["malformed", "failed", "plan", "wrong-id", "refused"])
@pytest.mark.parametrize("trouble", [(), ("html",)])
async def test_what_another_try_would_not_change_is_not_retried(
    emulator: Emulator, response: Scripted, trouble: tuple[Scripted, ...]
) -> None:
    """Whether it comes first or after what another try did change."""
    emulator.scripts[G263] = Script(response=response, trouble=trouble)
    await fetched(emulator, G263, tries=4)
    assert emulator.asked() == 1 + len(trouble)


async def test_one_try_is_one(emulator: Emulator) -> None:
    """Where nothing is to be retried, nothing is."""
    emulator.scripts[G263] = Script(trouble=("html",))
    (result,) = await fetched(emulator, G263, tries=1)
    assert isinstance(result, ServerError)
    assert emulator.asked() == 1


async def test_retries_follow_the_settings(emulator: Emulator) -> None:
    """Unless a backoff is given there are as many as `retries`."""
    emulator.scripts[G263] = Script(response="html")
    settings = ApiSettings(ApiKey(KEY), emulator.api_url, retries=0)
    async with open_session(5, allow_private=True) as session:
        client = Client(session, settings, RateLimit(1000, 0, QUICK))
        assert isinstance(await client.fetch(G263), ServerError)
    assert emulator.asked() == 1


def unavailable(retry_after: str) -> Script:
    """Return the script of one response that asks to come back later."""
    return Script(trouble=(RawResponse(b"<html>", 503, {"Retry-After": retry_after}),))


@slow
async def test_retry_after_counts_more_than_the_backoff(emulator: Emulator) -> None:
    """The server knows better when it will be back."""
    emulator.scripts[G263] = unavailable("1")
    async with connected(emulator.api_url, tries=2) as client:
        result, seconds = await elapsed(client)
    assert isinstance(result, Ready)
    assert seconds >= 0.95


async def test_a_long_retry_after_is_cut_to_a_short_pause(emulator: Emulator) -> None:
    """One faulty server does not delay a run by an hour."""
    emulator.scripts[G263] = unavailable("3600")
    timings = replace(QUICK, short_pause=0.3)
    async with connected(emulator.api_url, tries=2, timings=timings) as client:
        result, seconds = await elapsed(client)
    assert isinstance(result, Ready)
    assert seconds >= 0.28


async def test_a_retry_after_of_nothing_leaves_the_backoff(emulator: Emulator) -> None:
    """`Retry-After: 0` is no invitation to come back at once."""
    emulator.scripts[G263] = unavailable("0")
    async with connected(emulator.api_url, tries=2, backoff=0.4) as client:
        result, seconds = await elapsed(client)
    assert isinstance(result, Ready)
    assert seconds >= 0.38


# --- Rate limits


@slow
@pytest.mark.parametrize(
    "throttled",
    ["throttled", "throttled-header", "throttled-reset", "throttled-old", "throttled-words"],
)
async def test_a_short_rate_limit_is_waited_out(emulator: Emulator, throttled: Scripted) -> None:
    """However it is worded, with 429 or with 200, the pause is kept and nothing is lost."""
    emulator.scripts[G263] = Script()
    emulator.api = ApiScript(throttle_first=1, retry_after=1, throttled=throttled)
    timings = replace(QUICK, default_pause=1)
    async with connected(emulator.api_url, timings=timings) as client:
        throttled_for = await client.fetch(G263)
        assert isinstance(throttled_for, Throttled)
        assert 0 < throttled_for.pause <= 2.1  # a date comes nearer on the way
        assert isinstance(await client.fetch(G263), Ready)
    first, second = (request.at for request in emulator.requests)
    assert second - first >= 0.95


async def test_a_long_rate_limit_halts_the_run(emulator: Emulator) -> None:
    """It is believed the second time; other generations get the same reason."""
    emulator.api = ApiScript(always="throttled-words", retry_after=1800)
    reason = "rate-limited, retry in 30 min (Too many requests, try again in 30 minutes)"
    async with connected(emulator.api_url) as client:
        assert await patiently(client) == Halt(Skipped(reason))
        assert emulator.asked() == 2
        assert client.pause_reason == reason
        results = [await client.fetch(other) for other in generations(1, 2)]
    assert results == [Halt(Skipped(reason))] * 2
    assert emulator.asked() == 2


@slow
async def test_a_long_rate_limit_in_words_alone_needs_five(emulator: Emulator) -> None:
    """With HTTP 200 it may be one generation's message: five of them are the account's."""
    emulator.api = ApiScript(always=RawResponse(WORDS))
    reason = "rate-limited, retry in 2 h (Too many faces, wait for 2 hours)"
    async with connected(emulator.api_url) as client:
        results = [await client.fetch(each) for each in generations(*range(5))]
    assert [type(result) for result in results] == [*[Throttled] * 4, Halt]
    assert results[-1] == Halt(Skipped(reason))


async def test_words_like_a_rate_limit_that_only_one_meets_are_its_message(
    emulator: Emulator,
) -> None:
    """Asked alone, again and again, it is rejected in the end, and nothing is halted."""
    emulator.scripts[G263] = Script(response=RawResponse(WORDS))
    async with connected(emulator.api_url) as client:
        assert await patiently(client) == Rejected("Too many faces, wait for 2 hours")
        assert client.verdict() is None
    assert emulator.asked() == 5


async def alongside(emulator: Emulator, response: RawResponse) -> ClientResult | None:
    """Fetch a generation with this response while another is fetched again and again.

    Return None if there is no result yet when the other was fetched a hundred times.
    """
    emulator.scripts |= {each: Script(response="processing") for each in generations(1)}
    emulator.scripts[G263] = Script(response=response)
    (other,) = generations(1)
    count = 0
    async with connected(emulator.api_url) as client:
        limited = asyncio.ensure_future(patiently(client))
        while not limited.done() and count < 100:
            assert await client.fetch(other) == Processing()
            count += 1
            await asyncio.sleep(0.005)
        limited.cancel()
        await asyncio.wait([limited])
    return None if limited.cancelled() else limited.result()


@slow
async def test_words_like_a_rate_limit_while_others_get_responses_are_a_message(
    emulator: Emulator,
) -> None:
    """The one generation that has them each time is rejected, and no other is held up by it."""
    result = await alongside(emulator, RawResponse(WORDS))
    assert result == Rejected("Too many faces, wait for 2 hours")
    assert emulator.asked(G263) >= 5


@slow
async def test_a_certain_rate_limit_of_one_generation_is_no_message(emulator: Emulator) -> None:
    """With HTTP 429 it is requested again for as long as others get responses."""
    result = await alongside(emulator, RawResponse(LIMITED | {"retry_after": 3600}, 429))
    assert result is None
    assert emulator.asked(G263) > 6


async def test_a_rate_limit_under_the_other_name_halts_too(emulator: Emulator) -> None:
    """What was not asked for is not what is not found."""
    paths = {
        "/v6/deepfake/fetch/263": reply(UNKNOWN),
        "/v6/faceswap/fetch/263": reply(LIMITED | {"retry_after": 3600}, "429 Too Many Requests"),
    }
    async with RawServer(paths) as server, connected(f"http://{server.host}") as client:
        result = await patiently(client)
    assert result == Halt(Skipped("rate-limited, retry in 1 h (Rate limit exceeded.)"))


# --- The circuit breaker


@pytest.mark.parametrize(
    ("always", "needed"),
    [("refused", 1), ("refused-old", 2), ("no-credit", 1), ("no-credit-old", 2)],
)
async def test_a_rejected_key_halts_the_run_at_once(
    emulator: Emulator, always: Scripted, needed: int
) -> None:
    """The error names what to check, and is not raised; words alone are confirmed once."""
    emulator.api = ApiScript(always=always)
    *_, result = await fetched(emulator, *generations(*range(needed)))
    assert isinstance(result, Halt)
    assert isinstance(result.ended, Stopped)
    assert isinstance(result.ended.error, KeyRejected)
    assert str(result.ended.error).startswith("ModelsLab rejects the API key: ")
    assert str(result.ended.error).endswith(". Check the key, its plan and credit")


async def test_an_endpoint_that_is_denied_five_times_in_a_row_is_not_requested(
    emulator: Emulator,
) -> None:
    """Others are."""
    failing = generations(*range(7), endpoint="v7/video-fusion")
    emulator.scripts |= {each: Script(response="plan") for each in failing}
    emulator.scripts[G263] = Script()
    *results, ready = await fetched(emulator, *failing, G263)
    reason = "access to v7/video-fusion is denied: Your plan does not include this."
    assert results[5:] == [EndpointUnavailable(reason)] * 2
    assert not any(isinstance(result, EndpointUnavailable) for result in results[:5])
    assert isinstance(ready, Ready)
    assert emulator.asked() == 6


async def test_an_endpoint_that_seems_down_is_asked_once_for_each(emulator: Emulator) -> None:
    """After five failures in a row nothing is repeated, and what comes next may be well."""
    failing = generations(*range(7), endpoint="video")
    (well,) = generations(7, endpoint="video")
    emulator.scripts |= {each: Script(response="html") for each in failing} | {well: Script()}
    *results, ready = await fetched(emulator, *failing, well, tries=3)
    assert all(isinstance(result, ServerError) for result in results)
    assert isinstance(ready, Ready)
    assert [emulator.asked(each) for each in failing] == [3] * 5 + [1] * 2


async def test_an_api_that_cannot_be_reached_halts_the_run() -> None:
    """Four generations may have had bad luck; the fifth in a row has not."""
    url = f"http://127.0.0.1:{closed_port()}/api"
    async with connected(url) as client:
        *results, last = [await client.fetch(each) for each in generations(*range(5))]
        verdict = client.verdict()
    refused = "no connection (Connection refused)"
    assert results == [ServerError(refused, silent=True)] * 4
    assert isinstance(last, Halt)
    assert isinstance(last.ended, Stopped)
    assert isinstance(last.ended.error, ApiUnreachable)
    message = f"{url} gives no usable response: {refused}. Check --api-url and the network"
    assert str(last.ended.error) == str(verdict) == message


async def test_a_run_without_a_usable_response_has_a_reason(emulator: Emulator) -> None:
    """A single generation is enough for it; a usable response takes it away."""
    emulator.scripts[G263] = Script(trouble=("plan",))
    async with connected(emulator.api_url) as client:
        assert client.verdict() is None
        assert await client.fetch(G263) == Rejected("Your plan does not include this.")
        assert isinstance(client.verdict(), KeyRejected)
        assert not client.has_responded
        assert isinstance(await client.fetch(G263), Ready)
        assert client.verdict() is None
        assert client.has_responded


async def test_a_fetch_can_be_cancelled() -> None:
    """It does not take that for an error of the network."""
    async with raw((Close.NEVER,)) as client:
        fetching = asyncio.ensure_future(client.fetch(G263))
        await asyncio.sleep(0.1)
        fetching.cancel()
        await asyncio.wait([fetching])
        assert fetching.cancelled()
