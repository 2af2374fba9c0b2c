"""What each response of the API means, a row for each shape that is documented or was seen."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.modelslab.reading import _TABLE, _Refusal, parse_json, read_response
from archiver.modelslab.responses import (
    AccessDenied,
    GenerationFailed,
    HttpReply,
    NotFound,
    Processing,
    RateLimited,
    Ready,
    Rejected,
    Response,
    ServerError,
)
from archiver.outputs import Link, Output

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
PRIMARY = "https://pub-1.r2.dev/generations/a.mp4"
PROXY = "https://cdn2.stablediffusionapi.com/generations/a.mp4"
TIP = "Get 20x faster generation with an enterprise plan. Subscribe at https://modelslab.com"


def read(document: object, status: int = 200, retry_after: str | None = None) -> Response:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_response(HttpReply(status, body, retry_after), parse_json(body), "263", NOW)


def success(**changes: object) -> dict[str, object]:
    return {"status": "success", "id": 263, "output": [PRIMARY], "proxy_links": None} | changes


def links(response: Response) -> list[list[str]]:
    assert isinstance(response, Ready)
    return [[f"{link.role} {link.url}" for link in output.links] for output in response.outputs]


def test_success_is_ready_with_its_links_and_its_document() -> None:
    """A documented success has one output and keeps the response as it came."""
    document = success(tip=TIP)
    assert read(document) == Ready((Output((Link(PRIMARY, "primary"),)),), document)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"proxy_links": [PROXY]}, [[f"primary {PRIMARY}", f"proxy {PROXY}"]]),
        ({"proxy_links": PROXY}, [[f"primary {PRIMARY}", f"proxy {PROXY}"]]),
        ({"proxy_links": []}, [[f"primary {PRIMARY}"]]),
        ({"proxy_links": ""}, [[f"primary {PRIMARY}"]]),
        ({"proxy_links": [PRIMARY]}, [[f"primary {PRIMARY}"]]),
        ({"proxy_links": [PROXY, PROXY, "https://c/x"]},
         [[f"primary {PRIMARY}", f"proxy {PROXY}", "proxy https://c/x"]]),
        ({"output": PRIMARY}, [[f"primary {PRIMARY}"]]),
        ({"output": {"url": PRIMARY, "width": 5, "kind": "mp4"}}, [[f"primary {PRIMARY}"]]),
        ({"output": [{"video": PRIMARY}]}, [[f"primary {PRIMARY}"]]),
        ({"output": [PRIMARY, PRIMARY]}, [[f"primary {PRIMARY}"]]),
        ({"output": ["https://a/1.mp4", "https://a/2.mp4"],
          "proxy_links": ["https://b/x.mp4", "https://b/y.mp4"]},
         [["primary https://a/1.mp4", "proxy https://b/x.mp4"],
          ["primary https://a/2.mp4", "proxy https://b/y.mp4"]]),
        ({"output": ["https://a/1.mp4", "https://a/2.mp4"], "proxy_links": ["https://b/2.mp4?s=1"]},
         [["primary https://a/1.mp4"], ["primary https://a/2.mp4", "proxy https://b/2.mp4?s=1"]]),
        ({"output": [], "proxy_links": [PROXY]}, [[f"proxy {PROXY}"]]),
        ({"output": ["https://a/1.mp4", "https://a/2.mp4"],
          "proxy_links": ["https://b/2.mp4", "https://b/x.mp4"]},
         [["primary https://a/1.mp4"], ["primary https://a/2.mp4", "proxy https://b/2.mp4"]]),
        ({"output": ["https://a/x/v.mp4", "https://a/y/v.mp4"],
          "proxy_links": ["https://b/x/v.mp4", "https://b/y/v.mp4"]},
         [["primary https://a/x/v.mp4", "proxy https://b/x/v.mp4"],
          ["primary https://a/y/v.mp4", "proxy https://b/y/v.mp4"]]),
        ({"output": [], "proxy_links": ["https://b/x/v.mp4", "https://b/y/v.mp4"]},
         [["proxy https://b/x/v.mp4"], ["proxy https://b/y/v.mp4"]]),
        ({"status": " Success "}, [[f"primary {PRIMARY}"]]),
        ({"id": "263"}, [[f"primary {PRIMARY}"]]),
        ({"id": None}, [[f"primary {PRIMARY}"]]),
        ({"id": ""}, [[f"primary {PRIMARY}"]]),
        ({"id": "0263"}, [[f"primary {PRIMARY}"]]),
        ({"id": 0}, [[f"primary {PRIMARY}"]]),
        ({"id": []}, [[f"primary {PRIMARY}"]]),
        ({"output": [[PRIMARY, "https://a/2.mp4"]]},
         [[f"primary {PRIMARY}"], ["primary https://a/2.mp4"]]),
        ({"output": ["https://a/1.mp4", "https://a/2.mp4"],
          "proxy_links": ["https://b/2.mp4", "https://b/1.mp4"]},
         [["primary https://a/1.mp4", "proxy https://b/1.mp4"],
          ["primary https://a/2.mp4", "proxy https://b/2.mp4"]]),
        ({"output": ["https://a/v.mp4?1", "https://a/v.mp4?2"], "proxy_links": ["https://b/v.mp4"]},
         [["primary https://a/v.mp4?1"], ["primary https://a/v.mp4?2"]]),
        ({"output": ["javascript:alert(1)"]}, [["primary javascript:alert(1)"]]),
    ],
)  # fmt: skip
def test_links_are_the_primary_and_then_its_proxies(
    changes: dict[str, object], expected: list[list[str]]
) -> None:
    """They are read in every shape that occurs, in the order to try them, none of them twice."""
    assert links(read(success(**changes))) == expected


@pytest.mark.parametrize(
    ("document", "eta"),
    [
        ({"status": "processing", "message": "try again later.", "output": "", "tip": "…"}, None),
        ({"status": "processing", "eta": 605, "id": 263, "output": [],
          "future_links": [PRIMARY], "meta": {"fps": 25}}, 605),
        ({"status": "processing", "output": [], "proxy_links": [PROXY]}, None),
        ({"status": "processing", "output": [PRIMARY]}, None),
        ({"status": "queued", "eta": 12.5}, 12.5),
        ({"status": "queued", "eta": "soon"}, None),
        ({"status": "success", "id": 263, "output": []}, None),
        ({"status": "success", "id": 263, "output": ""}, None),
        ({"status": "success", "id": 263, "output": [PRIMARY, ""]}, None),
        ({"status": "success", "id": 263, "output": [{"width": 5}]}, None),
    ],
)  # fmt: skip
def test_what_is_not_a_success_with_links_is_not_ready(
    document: dict[str, object], eta: float | None
) -> None:
    """Only a success that lists every output is ready: filled link lists alone mean nothing."""
    assert read(document) == Processing(eta)


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (200, {"status": "failed", "id": "", "message": "Failed, Try Again", "output": ""},
         GenerationFailed),
        (200, {"status": "failed", "id": "", "message": "Request not found", "tip": TIP}, NotFound),
        (404, {"status": "error", "message": "No request with this id"}, NotFound),
        (404, {"status": "error", "message": "Not found"}, NotFound),
        (200, {"status": "failed", "message": "Generation does not exist"}, NotFound),
        (200, {"status": "error", "message": "Api key not found"}, AccessDenied),
        (200, {"status": "failed", "message": "User not found"}, AccessDenied),
        (200, {"status": "error", "message": "Account suspended"}, AccessDenied),
        (200, {"status": "failed", "message": "Daily quota exceeded"}, AccessDenied),
        (200, {"status": "failed", "message": "Output not found, try again later"}, ServerError),
        (200, {"status": "error", "message": "SQLSTATE[42S02]: table or view not found"},
         ServerError),
        (200, {"status": "error", "message": "Model not found"}, Rejected),
        (200, {"status": "failed", "message": "Failed, Try Again. Your credits are refunded"},
         GenerationFailed),
        (200, {"status": "failed", "message": "Video duration limit exceeded"}, GenerationFailed),
        (200, {"status": "failed", "message": "Queue is full"}, RateLimited),
        (400, {"status": "error", "message": "bad \ud800 text \x1b[2J"}, Rejected),
        (404, {"message": "The route api/v6/deepfak/fetch/263 could not be found."}, ServerError),
        (404, {"status": "error", "message": "Endpoint not found"}, Rejected),
        (404, b"<html><h1>404 Not Found</h1>", ServerError),
        (200, {"status": "error", "message": "Invalid Api Key", "tip": TIP}, AccessDenied),
        (401, {"status": "error", "message": "Invalid API key"}, AccessDenied),
        (403, {"status": "error", "message": "Your plan does not include this"}, AccessDenied),
        (403, b"<html>Attention Required! | Cloudflare", ServerError),
        (402, {"status": "error", "message": "Insufficient credits. Top up."}, AccessDenied),
        (200, {"status": "error", "message": "Your monthly limit exceeded, upgrade"}, AccessDenied),
        (200, {"status": "error", "message": "Invalid API Request", "tip": TIP}, Rejected),
        (200, {"status": "error", "message": {"id": ["The id is invalid."]}}, Rejected),
        (200, {"status": "error", "messege": "Something new"}, Rejected),
        (200, {"status": "paused", "message": "?"}, Rejected),
        (200, {"status": "error", "message": "Server is busy, try again"}, ServerError),
        (200, {"status": "failed", "message": "Internal server error"}, ServerError),
        (500, {"status": "error", "message": "Oops"}, ServerError),
        (502, b"<html><h1>502 Bad Gateway", ServerError),
        (200, b"<!doctype html><p>hello", ServerError),
        (200, b"", ServerError),
        (200, b"not json", ServerError),
        (200, b'{"status": "succ', ServerError),
        (200, b"[" * 100_000, ServerError),
        (200, b"[1]", ServerError),
        (200, {"output": [PRIMARY]}, ServerError),
        (200, success(id=999), Rejected),
        (301, b"", ServerError),
        (200, success(output=[f"https://a/{n}.mp4" for n in range(10_000)]), Rejected),
    ],
)  # fmt: skip
def test_a_denial_a_loss_and_a_server_error_differ(
    status: int, document: object, kind: type
) -> None:
    """The message and the JSON decide: a gateway's page neither loses nor denies anything."""
    assert type(read(document, status)) is kind


@pytest.mark.parametrize(
    ("status", "document", "header", "wait"),
    [
        (429, {"status": "error", "message": "Rate limit exceeded.", "retry_after": 30}, None, 30),
        (200, {"status": "error", "message": "Rate limit exceeded",
               "tips": "please wait for 30 seconds and retry"}, None, 30),
        (200, {"status": "error", "message": "Too many requests, try again in 30 minutes"},
         None, 1800),
        (429, b"<html>slow down", "120", 120),
        (429, b"", "Mon, 23 Nov 2026 02:10:00 GMT", 600),
        (429, b"", "Mon, 23 Nov 2026 01:00:00 GMT", 0),
        (429, b"", "whenever", None),
        (429, {"status": "error", "message": "Rate limit exceeded", "retry_after": 10}, "45", 45),
        (429, {"status": "error", "message": "Rate limit exceeded", "retry_after": 30,
               "tips": "free for 7 days"}, None, 30),
        (429, b"", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (429, {"message": "wait for " + "9" * 400 + " seconds"}, None, 366 * 86400),
        (200, {"status": "failed", "message": "Rate limit exceeded"}, None, None),
    ],
)  # fmt: skip
def test_a_rate_limit_has_its_wait(
    status: int, document: object, header: str | None, wait: float | None
) -> None:
    """The header counts, else `retry_after`, else the message and the tip; in seconds."""
    response = read(document, status, header)
    assert isinstance(response, RateLimited)
    assert response.wait == wait
    assert response.certain == (status == 429)


def test_not_a_number_is_read_as_none() -> None:
    """NaN, which JSON does not have, does no harm."""
    response = read(b'{"status": "success", "id": 263, "meta": NaN, "output": ["%s"]}'
                  % PRIMARY.encode())  # fmt: skip
    assert isinstance(response, Ready)
    assert response.document["meta"] is None


def test_messages_are_flattened_for_people() -> None:
    """An object of lists becomes one line."""
    response = read({"status": "error", "message": {"id": ["is wrong", "is long"], "x": []}})
    assert response == Rejected("id: is wrong; is long")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = (
    "status", "state", "id", "output", "links", "output_url", "video", "proxy_links", "data",
    "message", "tip", "eta", "retry_after",
)  # fmt: skip
WORDS = (
    "success",
    "ready",
    "failed",
    "processing",
    PRIMARY,
    f"{PRIMARY},{PROXY}",
    f'["{PRIMARY}"]',
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES | st.sampled_from(WORDS))
HEADERS = st.none() | st.text(max_size=20) | st.floats().map(str)


@given(OBJECTS, OBJECTS, st.integers(100, 599), HEADERS, HEADERS)
def test_no_document_is_a_surprise(
    document: dict[str, object],
    inner: dict[str, object],
    status: int,
    header: str | None,
    reset: str | None,
) -> None:
    """Whatever the fields hold, there is a response, and only a success is ready."""
    for whole in (document, document | {"data": inner}):
        response = read_response(HttpReply(status, b"{}", header, reset), whole, "263", NOW)
        if isinstance(response, Ready):
            assert all(output.links for output in response.outputs)
            words = {repr(part.get(name)) for part in (document, inner) for name in STATUSES}
            assert any(word in "".join(words).lower() for word in ("success", "ready"))


STATUSES = ("status", "state")
MIB = 1 << 20
HOSTILE = {
    "backslashes": b'{"status": "' + b"\\\\" * (MIB // 2) + b'"}',
    "backslashes unclosed": b'{"message": "' + b"\\" * MIB,
    "brackets": b"[" * MIB,
    "deep lists": b'{"status": ' + b"[" * 900 + b"]" * 900 + b"}",
    "deep objects": b'{"data":' * 900 + b'{"status":"success"}' + b"}" * 900,
    "deep messages": b'{"status":"error","message":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "a long message": b'{"status":"error","message":"%s"}' % (b"id " * (MIB // 3)),
    "a long message without spaces": b'{"status":"failed","message":"%s"}' % (b"x" * MIB),
    "digits": b'{"status":"error","message":"wait %s"}' % (b"9" * MIB),
    "a long status": b'{"status":"%s"}' % (b"- " * (MIB // 2)),
    "a long ID": b'{"status":"success","id":"%s"}' % (b"0" * MIB),
    "a large number": b'{"status":"success","id":%s}' % (b"9" * 4000),
    "spaces": b'{"status":"success","output":"%s"}' % (b" " * MIB),
    "many fields": b'{"status":"error"%s}' % b"".join(b',"%d":0' % n for n in range(80_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_read_in_a_moment(name: str) -> None:
    """Whatever a body is made of, reading it neither fails nor takes minutes."""
    began = time.process_time()
    assert not isinstance(read(HOSTILE[name]), Ready)
    assert time.process_time() - began < 20


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_body_is_a_surprise(body: bytes, status: int) -> None:
    """Whatever bytes come, there is a response, and none of them is ready."""
    assert not isinstance(read(body, status), Ready)


@pytest.mark.parametrize(
    ("status", "message", "certain", "in_words"),
    [
        (200, "Invalid Api Key", True, True),
        (401, "who are you?", True, False),
        (402, "Insufficient credits. Top up.", True, False),
        (200, "Your monthly limit exceeded, upgrade", True, True),
        (403, "Your plan does not include this", False, False),
        (200, "Access denied", False, True),
    ],
)
def test_only_documented_messages_are_about_the_key_as_such(
    status: int, message: str, certain: bool, in_words: bool
) -> None:
    """What may be about one endpoint, or one generation, does not reject the key."""
    response = read({"status": "error", "message": message}, status)
    assert response == AccessDenied(message, certain, in_words)


@pytest.mark.parametrize("message", ["Insufficient credits", "You have no access to this model"])
def test_a_failed_generation_does_not_reject_the_key(message: str) -> None:
    """It may have failed for want of credit long ago."""
    response = read({"status": "failed", "message": message})
    assert response == AccessDenied(message, certain=False, in_words=True)


@pytest.mark.parametrize("message", ["Failed, Try Again", "Generation failed", "face not visible"])
def test_a_failed_generation_is_that(message: str) -> None:
    """Whether its message is documented or not: how often it comes decides what it is worth."""
    assert read({"status": "failed", "message": message}) == GenerationFailed(message)


ROWS = [
    (429, "error", "Slow down"),
    (200, "error", "Rate limit exceeded"),
    (200, "error", "Please wait for 30 seconds"),
    (200, "error", "Try again in 30 minutes"),
    (200, "error", "Too many requests"),
    (200, "error", "You have exceeded the number of parallel requests allowed"),
    (200, "error", "Queue is full"),
    (200, "error", "Blocked by the spam filter"),
    (401, "error", "Who are you?"),
    (402, "error", "Top up"),
    (200, "error", "Invalid Api Key"),
    (200, "error", "Insufficient credits"),
    (200, "error", "Your monthly limit exceeded"),
    (200, "error", "API key is missing"),
    (404, "", "No query results for model [App\\Models\\Video] 263"),
    (404, "error", "Video not found"),
    (200, "", "No status"),
    (503, "maintenance", "Back soon"),
    (200, "paused", "Back soon"),
    (200, "failed", "Failed, Try Again"),
    (403, "error", "No"),
    (200, "error", "Wrong key"),
    (200, "error", "Account suspended"),
    (200, "error", "Access denied"),
    (200, "error", "Not in your plan"),
    (200, "error", "Daily quota exceeded"),
    (500, "error", "Oops"),
    (200, "error", "Internal error"),
    (200, "error", "Down for maintenance"),
    (200, "error", "SQLSTATE[42S02]"),
    (200, "error", "Request 263 not found"),
    (200, "error", "No such job"),
    (200, "error", "Not found"),
    (200, "failed", "Face not visible"),
    (200, "error", "Something new"),
]


def test_each_row_of_the_table_counts_for_some_message() -> None:
    """No row is hidden by those before it; the examples are in the order of the rows."""
    refusals = (_Refusal(http, status, message, None) for http, status, message in ROWS)
    first = [next(row for row in _TABLE if row.when(refusal)) for refusal in refusals]
    assert first == list(_TABLE)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_outputs_are_numbered(count: int) -> None:
    """Each has its number and the count of all, whether the links are primaries or proxies."""
    urls = [f"https://a/{number}.mp4" for number in range(count)]
    for response in (read(success(output=urls)), read(success(output=[], proxy_links=urls))):
        assert isinstance(response, Ready)
        numbers = [(output.number, output.of) for output in response.outputs]
        assert numbers == [(number, count) for number in range(1, count + 1)]


def test_messages_can_be_shown() -> None:
    """Control characters and half characters do not reach a terminal or a mail."""
    response = read(b'{"status": "error", "message": "a\\u001b[2Jb\\ud800c"}')
    assert isinstance(response, Rejected)
    assert response.message.isprintable()
    assert response.message.encode()


@pytest.mark.parametrize(
    ("status", "document", "responded"),
    [
        (500, {"status": "error", "message": "Oops"}, True),
        (500, {"status": "error"}, True),
        (200, {"status": "failed", "message": "Internal server error"}, True),
        (500, {"message": "Server Error"}, True),
        (404, {"message": "The route api/v6/deepfak/fetch/263 could not be found."}, True),
        (500, {}, False),
        (200, {"output": [PRIMARY]}, False),
        (200, b"[1]", False),
        (500, b"", False),
        (502, b"<html><h1>502 Bad Gateway", False),
        (200, b"not json", False),
    ],
)
def test_a_server_error_in_the_apis_own_words_was_a_response(
    status: int, document: object, responded: bool
) -> None:
    """What a gateway or nobody says is about the whole API; a message may be one generation's."""
    response = read(document, status)
    assert isinstance(response, ServerError)
    assert response.responded is responded
