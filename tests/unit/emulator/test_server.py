"""The emulator behaves as ModelsLab and its link hosts are known to: well and badly."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias, get_args

import aiohttp
import pytest

from archiver.emulator.scripts import (
    ApiScript,
    Fault,
    LinkScript,
    OutputScript,
    RawResponse,
    Response,
    Script,
)
from archiver.emulator.server import Emulator
from archiver.generation import Generation

ONE = Generation.of("deepfake", "263")
KEY = "demo-key"
Client: TypeAlias = aiohttp.ClientSession


@asynccontextmanager
async def emulated(
    script: Script | None = None, api: ApiScript | None = None, **link: Any
) -> AsyncIterator[tuple[Emulator, Client]]:
    """Run an emulator with one generation, and a client that changes nothing on the wire."""
    script = script or Script(outputs=(OutputScript(primary=LinkScript(**link)),))
    async with (
        Emulator({ONE: script}, KEY, api or ApiScript()) as emulator,
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        yield emulator, client


async def post(
    emulator: Emulator, client: Client, path: str = "v6/deepfake/fetch/263", key: str = KEY
) -> tuple[aiohttp.ClientResponse, bytes]:
    url = f"{emulator.api_url}/{path}"
    async with client.post(url, json={"key": key}, allow_redirects=False) as response:
        return response, await response.read()


async def fetch(emulator: Emulator, client: Client, **how: str) -> tuple[int, Any]:
    response, body = await post(emulator, client, **how)
    return response.status, json.loads(body)


async def get(client: Client, url: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with client.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()}) as r:
        return r, await r.read()


async def received_from(
    client: Client, url: str, seconds: float = 5.0
) -> tuple[bytes, type[Exception] | None]:
    """Return the bytes before the connection failed or fell silent, and the error."""
    received = bytearray()
    try:
        async with asyncio.timeout(seconds), client.get(url) as response:
            async for piece in response.content.iter_any():
                received += piece
    except (aiohttp.ClientError, TimeoutError) as error:
        return bytes(received), type(error)
    return bytes(received), None


class TestResponses:
    """The API's responses about one generation."""

    async def test_success_is_the_documented_response(self) -> None:
        """A finished generation: status, its number as an int, a list of links, no proxies."""
        async with emulated() as (emulator, client):
            status, response = await fetch(emulator, client)
            assert status == 200
            assert response["status"] == "success"
            assert response["id"] == 263
            assert response["output"] == [emulator.link(ONE)]
            assert response["proxy_links"] is None

    async def test_a_link_without_a_fault_serves_the_payload(self) -> None:
        """The link in the response serves the payload that the emulator announces."""
        async with emulated() as (emulator, client):
            _, document = await fetch(emulator, client)
            response, body = await get(client, document["output"][0])
            assert response.status == 200
            assert response.headers["Content-Type"] == "video/mp4"
            assert body == emulator.payload(ONE).whole()
            assert hashlib.sha256(body).hexdigest() == emulator.sha256(ONE)

    @pytest.mark.parametrize(
        ("response", "status", "expected"),
        [
            ("processing", 200, {"status": "processing", "output": ""}),
            ("queued", 200, {"status": "queued", "eta": 12.5}),
            ("odd", 200, {"status": "paused", "messege": "Back soon"}),
            ("failed", 200, {"status": "failed", "id": "", "message": "Failed, Try Again"}),
            ("unknown", 200, {"status": "failed", "id": "", "message": "Request not found"}),
            ("unknown-404", 404, {"status": "failed", "message": "Request not found"}),
            ("malformed", 200, {"status": "error", "message": "Invalid API Request"}),
            ("malformed-lists", 200, {"message": {"key": ["The key field is required."]}}),
            ("refused", 401, {"status": "error", "message": "Invalid API key"}),
            ("refused-old", 200, {"status": "error", "message": "Invalid Api Key"}),
            ("plan", 403, {"status": "error"}),
            ("no-credit", 402, {"message": "Insufficient credits. Please top up."}),
            ("no-credit-old", 200, {"status": "error"}),
            ("throttled", 429, {"status": "error", "retry_after": 30}),
            ("throttled-old", 200, {"message": "Rate limit exceeded"}),
            ("throttled-silent", 429, {"status": "error"}),
            ("error", 500, {"status": "error", "message": "Server Error"}),
            ("wrong-id", 200, {"status": "success", "id": 999_999_999}),
            ("no-output", 200, {"status": "success", "output": "", "proxy_links": None}),
        ],
    )
    async def test_responses_have_the_documented_form(
        self, response: Response, status: int, expected: Any
    ) -> None:
        """Each response by name is the one that was documented or recorded, status and body."""
        async with emulated(Script(response=response)) as (emulator, client):
            got = await fetch(emulator, client)
            assert got[0] == status
            assert expected.items() <= got[1].items()

    @pytest.mark.parametrize("response", get_args(Response))
    async def test_every_response_can_be_sent(self, response: Response) -> None:
        """No response makes the emulator itself fail, not even one that breaks the connection."""
        never = response in ("stall", "silent")
        async with emulated(Script(response=response)) as (emulator, client):
            try:
                async with asyncio.timeout(0.3 if never else 30):
                    got, _ = await post(emulator, client)
                    assert got.status != 500 or response == "error"
            except aiohttp.ClientError:
                assert response in ("cut", "reset", "hang-up")
            except TimeoutError:
                assert never
            assert emulator.asked(ONE) == 1

    async def test_gateways_respond_with_web_pages(self) -> None:
        """HTML comes with status 502, and with 200."""
        kinds: dict[Response, int] = {"html": 502, "html-200": 200}
        for kind, status in kinds.items():
            async with emulated(Script(response=kind)) as (emulator, client):
                response, body = await post(emulator, client)
                assert (response.status, response.content_type) == (status, "text/html")
                assert body.startswith(b"<!DOCTYPE html>")

    async def test_unusable_bodies(self) -> None:
        """A body may be empty, cut, with a number that is none, or far too long."""
        bodies = {}
        kinds: list[Response] = ["empty", "not-json", "nan", "huge"]
        for response in kinds:
            async with emulated(Script(response=response)) as (emulator, client):
                bodies[response] = (await post(emulator, client))[1]
        assert bodies["empty"] == b""
        assert bodies["not-json"].endswith(b'"id":')
        assert b"NaN" in bodies["nan"]
        assert len(bodies["huge"]) > 2**20

    async def test_a_rate_limit_has_its_pause_in_every_known_form(self) -> None:
        """As a header in seconds, as a date, in words, and in the old form with status 200."""
        api = ApiScript(retry_after=1800)
        got = {}
        kinds: list[Response] = [
            "throttled-header", "throttled-date", "throttled-reset", "throttled-words",
            "throttled-old",
        ]  # fmt: skip
        for response in kinds:
            async with emulated(Script(response=response), api) as (emulator, client):
                got[response] = await post(emulator, client)
        assert got["throttled-header"][0].headers["Retry-After"] == "1800"
        assert parsedate_to_datetime(got["throttled-date"][0].headers["Retry-After"])
        assert got["throttled-reset"][0].headers["X-RateLimit-Reset"].isdecimal()
        assert b"try again in 30 minutes" in got["throttled-words"][1]
        assert b"wait for 1800 seconds" in got["throttled-old"][1]
        assert got["throttled-old"][0].status == 200

    async def test_trouble_then_waiting_then_the_response(self) -> None:
        """The first requests meet trouble, the next ones wait, and all others succeed."""
        raw = RawResponse(b"as it stands", 503, {"Retry-After": "7"})
        script = Script(trouble=(raw, "error"), ready_after=2, waiting="queued")
        async with emulated(script) as (emulator, client):
            response, body = await post(emulator, client)
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
            assert body == b"as it stands"
            statuses = [(await fetch(emulator, client))[1]["status"] for _ in range(5)]
            assert statuses == ["error", "queued", "queued", "success", "success"]

    async def test_links_of_a_processing_generation_are_unfinished(self) -> None:
        """`future_links` and a filled `proxy_links` lead to half a file that looks whole."""
        output = OutputScript(proxy=LinkScript())
        fields: dict[Response, str] = {"created": "future_links", "proxied": "proxy_links"}
        for waiting, field in fields.items():
            script = Script(outputs=(output,), ready_after=1, waiting=waiting)
            async with emulated(script) as (emulator, client):
                _, document = await fetch(emulator, client)
                assert document["status"] == "processing"
                response, body = await get(client, document[field][0])
                assert response.status == 200
                whole = emulator.payload(ONE).whole()
                assert body == whole[: len(whole) // 2]
                await fetch(emulator, client)
                assert (await get(client, document[field][0]))[1] == whole

    @pytest.mark.parametrize("shape", ["list", "string", "object", "objects"])
    async def test_output_has_every_form(
        self, shape: Literal["list", "string", "object", "objects"]
    ) -> None:
        """`output` is a list of links, one link, an object, or a list of objects."""
        async with emulated(Script(output_shape=shape)) as (emulator, client):
            _, response = await fetch(emulator, client)
            link = emulator.link(ONE)
            shapes = {
                "list": [link],
                "string": link,
                "object": {"url": link},
                "objects": [{"url": link}],
            }
            assert response["output"] == shapes[shape]

    async def test_proxy_links_have_every_form(self) -> None:
        """`proxy_links` is a list, one link, the primary itself, null, empty, or absent."""
        found = {}
        styles: list[Literal["list", "string", "identical", "null", "empty", "absent"]] = [
            "list", "string", "identical", "null", "empty", "absent",
        ]  # fmt: skip
        for style in styles:
            script = Script(outputs=(OutputScript(proxy=LinkScript()),), proxies=style)
            async with emulated(script) as (emulator, client):
                _, response = await fetch(emulator, client)
                proxy = emulator.link(ONE, 1, "proxy")
                names = {proxy: "proxy", emulator.link(ONE): "primary"}
                value = response.get("proxy_links", "absent")
                found[style] = [names[x] for x in value] if isinstance(value, list) else value
                if style == "string":
                    assert value == proxy
        assert found["list"] == ["proxy"]
        assert found["identical"] == ["primary"]
        assert (found["null"], found["empty"], found["absent"]) == (None, "", "absent")

    @pytest.mark.parametrize(
        ("ids", "expected"), [("int", 263), ("string", "263"), ("null", None), ("empty", "")]
    )
    async def test_ids_have_every_form(
        self, ids: Literal["int", "string", "null", "empty"], expected: Any
    ) -> None:
        """An ID comes back as a number, a string, null or nothing."""
        async with emulated(api=ApiScript(ids=ids)) as (emulator, client):
            assert (await fetch(emulator, client))[1]["id"] == expected

    async def test_fresh_links_replace_those_that_have_expired(self) -> None:
        """Every response has newly signed links, and the first ones may be refused."""
        script = Script(fresh_links=True, expired=1)
        async with emulated(script) as (emulator, client):
            links = [(await fetch(emulator, client))[1]["output"][0] for _ in range(2)]
            assert links[0] != links[1]
            statuses = [(await get(client, link))[0].status for link in links]
            assert statuses == [403, 200]


class TestTheApi:
    """The API as a whole, whichever generation is requested."""

    @pytest.mark.parametrize(("refusal", "status"), [("refused", 401), ("refused-old", 200)])
    async def test_a_wrong_key_is_rejected(self, refusal: Response, status: int) -> None:
        """Another key, or none, is rejected in the old form or the new."""
        async with emulated(api=ApiScript(refusal=refusal)) as (emulator, client):
            for key in ("another", ""):
                got = await fetch(emulator, client, key=key)
                assert got[0] == status
                assert got[1]["status"] == "error"

    @pytest.mark.parametrize(
        "path", ["v6/faceswap/fetch/263", "v6/deepfake/fetch/263", "v6/deepfake/fetch/263/"]
    )
    async def test_faceswap_and_deepfake_are_one(self, path: str) -> None:
        """Both names lead to the same generation."""
        async with emulated() as (emulator, client):
            assert (await fetch(emulator, client, path=path))[1]["status"] == "success"
            assert emulator.asked(ONE) == 1

    @pytest.mark.parametrize(("unknown", "status"), [("unknown", 200), ("unknown-404", 404)])
    async def test_an_unknown_generation_is_not_found(self, unknown: Response, status: int) -> None:
        """An ID without a script is one that ModelsLab does not know."""
        async with emulated(api=ApiScript(unknown=unknown)) as (emulator, client):
            got = await fetch(emulator, client, path="v6/deepfake/fetch/999")
            assert got[0] == status
            assert got[1]["message"] == "Request not found"

    async def test_only_the_documented_request_is_understood(self) -> None:
        """GET is not allowed, another path is not found, another body is malformed."""
        async with emulated() as (emulator, client):
            url = f"{emulator.api_url}/v6/deepfake/fetch/263"
            assert (await get(client, url))[0].status == 405
            assert (await post(emulator, client, path="v6/nowhere"))[0].status == 404
            async with client.post(url, data={"key": KEY}) as reply:
                assert (await reply.json())["message"] == "Invalid API Request"

    async def test_the_first_requests_are_rate_limited(self) -> None:
        """The first requests are rate-limited, whatever they are, and none after them."""
        async with emulated(api=ApiScript(throttle_first=2)) as (emulator, client):
            assert [(await fetch(emulator, client))[0] for _ in range(3)] == [429, 429, 200]

    async def test_too_many_requests_a_second_are_rate_limited(self) -> None:
        """Requests beyond the rate are rate-limited."""
        async with emulated(api=ApiScript(per_second=3)) as (emulator, client):
            statuses = [(await fetch(emulator, client))[0] for _ in range(5)]
            assert statuses == [200, 200, 200, 429, 429]

    async def test_one_response_to_every_request(self) -> None:
        """The API can be down altogether."""
        async with emulated(api=ApiScript(always="html")) as (emulator, client):
            assert (await post(emulator, client))[0].status == 502

    @pytest.mark.parametrize("response", ["ready", "processing", "failed", "html", "throttled"])
    async def test_the_key_may_be_echoed(self, response: Response) -> None:
        """A response may contain the key, which a client must not keep."""
        api = ApiScript(echo_key=True)
        async with emulated(Script(response=response), api) as (emulator, client):
            assert KEY.encode() in (await post(emulator, client))[1]

    async def test_a_redirect_leads_to_another_host(self) -> None:
        """A client that follows the redirect of a POST takes the key to the link host."""
        async with emulated(Script(response="redirect")) as (emulator, client):
            url = f"{emulator.api_url}/v6/deepfake/fetch/263"
            await client.post(url, json={"key": KEY})
            assert [seen.host for seen in emulator.requests] == ["api", "primary"]
            assert emulator.requests[1].json() == {"key": KEY}


class TestLinks:
    """How links behave, with faults and without."""

    @pytest.mark.parametrize("fault", get_args(Fault))
    async def test_a_fault_may_end_after_some_requests(self, fault: Fault) -> None:
        """The first request meets the fault, the next one gets the payload."""
        times = 2 if fault == "hang-up" else 1  # aiohttp itself tries again after that
        async with emulated(fault=fault, times=times, ranges=False) as (emulator, client):
            link = emulator.link(ONE)
            whole = emulator.payload(ONE).whole()
            received, error = await received_from(client, link, 0.3)
            if fault in ("none", "wrong-range"):
                assert (received, error) == (whole, None)
            else:
                assert received != whole or error
            if fault != "refuse":
                assert (await get(client, link))[1] == whole

    @pytest.mark.parametrize(
        ("fault", "status", "start"),
        [
            ("dead", 404, b"<Error>"),
            ("forbidden", 403, b"<Error>"),
            ("gone", 410, b"<Error>"),
            ("error", 500, b"<Error>"),
            ("busy", 503, b"<Error>"),
            ("throttled", 429, b"error code"),
            ("html", 200, b"<!DOCTYPE html>"),
            ("disguised", 200, b"<!DOCTYPE html>"),
            ("json-error", 200, b'{"status":"error"'),
            ("empty", 200, b""),
        ],
    )
    async def test_replies_without_a_video(self, fault: Fault, status: int, start: bytes) -> None:
        """These links respond, but not with the file: some of them with status 200."""
        async with emulated(fault=fault) as (emulator, client):
            response, body = await get(client, emulator.link(ONE))
            assert response.status == status
            assert body.startswith(start)
            assert (response.content_type == "video/mp4") == (fault in ("disguised", "empty"))
            assert ("Retry-After" in response.headers) == (fault == "busy")

    @pytest.mark.parametrize(
        ("fault", "share", "error"),
        [
            ("cut", 0.5, aiohttp.ClientPayloadError),
            ("cut-silently", 0.5, None),
            ("cut-chunked", 0.5, aiohttp.ClientPayloadError),
            ("reset", 0.5, aiohttp.ClientError),
            ("stall", 0.5, TimeoutError),
            ("too-short", 0.5, None),
            ("too-long", 1.0, aiohttp.ClientPayloadError),
            ("refuse", 0.0, aiohttp.ClientConnectorError),
            ("hang-up", 0.0, aiohttp.ServerDisconnectedError),
            ("silent", 0.0, TimeoutError),
        ],
    )
    async def test_bodies_that_are_cut(
        self, fault: Fault, share: float, error: type[Exception] | None
    ) -> None:
        """A share of the file arrives, and the client gets an error, or none at all."""
        async with emulated(fault=fault) as (emulator, client):
            received, raised = await received_from(client, emulator.link(ONE), 0.5)
            whole = emulator.payload(ONE).whole()
            assert received == whole[: int(len(whole) * share)]
            assert raised is error or (raised and error and issubclass(raised, error))

    async def test_a_large_body_is_cut_in_the_middle_too(self) -> None:
        """A cut comes after half of the file even where that fills every buffer."""
        output = OutputScript(size=20_000_001, primary=LinkScript(fault="cut"))
        async with emulated(Script(outputs=(output,))) as (emulator, client):
            received, _ = await received_from(client, emulator.link(ONE))
            assert len(received) == 10_000_000

    async def test_a_crawling_link_gives_a_few_bytes_a_second(self) -> None:
        """A crawling body is never silent and never ends."""
        async with emulated(fault="crawl") as (emulator, client):
            received, raised = await received_from(client, emulator.link(ONE), 0.3)
            assert 0 < len(received) < 100
            assert raised is TimeoutError

    async def test_a_slow_link_takes_its_time(self) -> None:
        """The body takes the given seconds, and is whole in the end."""
        async with emulated(seconds=0.2) as (emulator, client):
            began = asyncio.get_running_loop().time()
            _, body = await get(client, emulator.link(ONE))
            assert asyncio.get_running_loop().time() - began >= 0.15
            assert body == emulator.payload(ONE).whole()

    @pytest.mark.parametrize("length", ["given", "none", "chunked"])
    async def test_framing(self, length: Literal["given", "none", "chunked"]) -> None:
        """A body has a Content-Length, or ends with the connection, or comes in chunks."""
        async with emulated(length=length) as (emulator, client):
            response, body = await get(client, emulator.link(ONE))
            assert body == emulator.payload(ONE).whole()
            assert ("Content-Length" in response.headers) == (length == "given")
            assert ("Transfer-Encoding" in response.headers) == (length == "chunked")

    async def test_redirects_lead_to_the_file(self) -> None:
        """A link may lead to its file through several redirects."""
        async with emulated(redirects=3) as (emulator, client):
            response, body = await get(client, emulator.link(ONE))
            assert [r.status for r in response.history] == [302, 302, 302]
            assert body == emulator.payload(ONE).whole()
            assert emulator.downloads(ONE) == 1

    async def test_a_redirect_may_lead_elsewhere(self) -> None:
        """The last redirect may lead to any URL."""
        async with emulated(redirects=2, redirect_to="http://{proxy}/else") as (emulator, client):
            response, _ = await get(client, emulator.link(ONE))
            assert response.status == 404
            assert [s.host for s in emulator.requests] == ["primary", "primary", "proxy"]

    async def test_a_link_may_be_anything(self) -> None:
        """A response may have any link."""
        async with emulated(url="ftp://{primary}/263.mp4") as (emulator, client):
            _, response = await fetch(emulator, client)
            assert response["output"][0].startswith("ftp://127.0.0.1:")

    async def test_a_file_may_change_between_requests(self) -> None:
        """Another version has other bytes and another validator."""
        output = OutputScript(versions=2)
        async with emulated(Script(outputs=(output,))) as (emulator, client):
            got = [await get(client, emulator.link(ONE)) for _ in range(3)]
            first, second, third = (body for _, body in got)
            assert first != second == third == emulator.payload(ONE).whole()
            tags = [response.headers["ETag"] for response, _ in got]
            assert tags[0] != tags[1] == tags[2]

    async def test_the_proxy_serves_the_same_object_on_another_host(self) -> None:
        """The primary is dead; the proxy has the same path, with its own log and script."""
        output = OutputScript(primary=LinkScript(fault="dead"), proxy=LinkScript())
        async with emulated(Script(outputs=(output,))) as (emulator, client):
            _, response = await fetch(emulator, client)
            primary, proxy = response["output"][0], response["proxy_links"][0]
            assert primary.split("/")[2] != proxy.split("/")[2]
            assert primary.split("/")[3:] == proxy.split("/")[3:]
            assert (await get(client, primary))[0].status == 404
            assert (await get(client, proxy))[1] == emulator.payload(ONE).whole()
            assert emulator.downloads(ONE, "proxy") == 1


class TestRanges:
    """Ranges of files, as in RFC 9110."""

    @pytest.mark.parametrize(
        ("requested", "status", "part"),
        [
            ("bytes=0-9", 206, slice(0, 10)),
            ("bytes=32000-", 206, slice(32000, None)),
            ("bytes=-7", 206, slice(-7, None)),
            ("bytes=63999-70000", 206, slice(63999, None)),
            ("bytes=64000-", 416, slice(0, 0)),
            ("bytes=-0", 416, slice(0, 0)),
            ("bytes=9-3", 200, slice(None)),
            ("bytes=0-1,5-6", 200, slice(None)),
            ("bytes=-", 200, slice(None)),
            ("lines=1-2", 200, slice(None)),
        ],
    )
    async def test_ranges(self, requested: str, status: int, part: slice) -> None:
        """A range is served as RFC 9110 has it, and a range that is not understood is ignored."""
        async with emulated() as (emulator, client):
            response, body = await get(client, emulator.link(ONE), Range=requested)
            assert response.status == status
            assert body == emulator.payload(ONE).whole()[part]
            if status == 206:
                first, _, _ = part.indices(64000)
                expected = f"bytes {first}-{first + len(body) - 1}/64000"
                assert response.headers["Content-Range"] == expected
            if status == 416:
                assert response.headers["Content-Range"] == "bytes */64000"

    @pytest.mark.parametrize(
        ("link", "validator", "status"),
        [
            ({}, "ETag", 206),
            ({}, "Last-Modified", 206),
            ({"etag": "weak"}, "ETag", 200),
            ({"etag": "weak"}, "Last-Modified", 206),
            ({"ranges": False}, "ETag", 200),
            ({"length": "chunked"}, "ETag", 206),
            ({"length": "none"}, "ETag", 206),
        ],
    )
    async def test_if_range_with_a_validator_that_matches(
        self, link: dict[str, Any], validator: str, status: int
    ) -> None:
        """The rest is sent if the file is unchanged; a weak ETag does not prove that."""
        async with emulated(**link) as (emulator, client):
            first, _ = await get(client, emulator.link(ONE))
            headers = {"Range": "bytes=1000-", "If_Range": first.headers[validator]}
            response, body = await get(client, emulator.link(ONE), **headers)
            assert response.status == status
            assert body == emulator.payload(ONE).whole()[1000 if status == 206 else 0 :]

    async def test_if_range_with_another_validator(self) -> None:
        """The whole file is sent if it is not the one that the client has a part of."""
        async with emulated() as (emulator, client):
            for other in ('"another"', "Tue, 01 Jan 2019 00:00:00 GMT"):
                headers = {"Range": "bytes=1000-", "If_Range": other}
                response, _ = await get(client, emulator.link(ONE), **headers)
                assert response.status == 200

    async def test_links_without_validators(self) -> None:
        """A link may offer neither an ETag nor a date."""
        async with emulated(etag="none", last_modified=False) as (emulator, client):
            response, _ = await get(client, emulator.link(ONE))
            assert not {"ETag", "Last-Modified"} & set(response.headers)

    async def test_a_range_meets_faults_too(self) -> None:
        """A fault cuts a range as it does the whole file."""
        async with emulated(fault="cut", times=2) as (emulator, client):
            await received_from(client, emulator.link(ONE))
            with pytest.raises(aiohttp.ClientPayloadError):
                await get(client, emulator.link(ONE), Range="bytes=32000-")
            _, body = await get(client, emulator.link(ONE), Range="bytes=48000-")
            assert body == emulator.payload(ONE).whole()[48000:]

    async def test_the_wrong_range(self) -> None:
        """A server may send another range than the requested one, with status 206."""
        async with emulated(fault="wrong-range") as (emulator, client):
            response, body = await get(client, emulator.link(ONE), Range="bytes=100-199")
            assert response.headers["Content-Range"] == "bytes 0-99/64000"
            assert body == emulator.payload(ONE).whole()[:100]


class TestTheLog:
    """The log of requests, and how the emulator stops."""

    async def test_requests_are_logged_as_they_came(self) -> None:
        """It has the host, method, path, headers, body and client of every request."""
        async with emulated() as (emulator, client):
            await post(emulator, client)
            await get(client, emulator.link(ONE), Accept_Encoding="identity")
            api, file = emulator.requests
            assert (api.host, api.method, api.path) == ("api", "POST", f"/api/{ONE.fetch_path}")
            assert api.client == file.client == "127.0.0.1"
            assert api.json() == {"key": KEY}
            assert (file.host, file.method, file.number) == ("primary", "GET", 1)
            assert file.headers["accept-encoding"] == "identity"
            assert api.generation == file.generation == ONE
            assert api.at <= file.at

    async def test_it_may_have_another_address(self) -> None:
        """All its hosts are there, and links lead to them; the log has who asked."""
        async with (
            Emulator({ONE: Script()}, KEY, address="127.0.0.2") as emulator,
            aiohttp.ClientSession() as client,
        ):
            assert emulator.api_url.startswith("http://127.0.0.2:")
            assert (await fetch(emulator, client))[0] == 200
            for host in ("primary", "proxy"):
                assert (await get(client, emulator.link(ONE, host=host)))[0].status == 200
            assert "127.0.0.2:" in emulator.link(ONE)
            assert {seen.client for seen in emulator.requests} == {"127.0.0.1"}

    async def test_the_log_counts(self) -> None:
        """API requests and downloads are counted, and how many there were at once."""
        async with emulated(seconds=0.1) as (emulator, client):
            await post(emulator, client)
            await asyncio.gather(*(get(client, emulator.link(ONE)) for _ in range(3)))
            assert (emulator.asked(), emulator.downloads()) == (1, 3)
            assert emulator.busiest["primary"] == 3

    async def test_the_log_can_be_emptied(self) -> None:
        """After that, every script starts from its beginning."""
        async with emulated(Script(ready_after=1)) as (emulator, client):
            for _ in range(2):
                assert (await fetch(emulator, client))[1]["status"] == "processing"
                assert (await fetch(emulator, client))[1]["status"] == "success"
                emulator.forget()
                assert not emulator.requests

    async def test_a_stalled_link_does_not_delay_the_end(self) -> None:
        """The emulator stops at once, although a link is stalled and its client reads no more."""
        output = OutputScript(size=50_000_000, primary=LinkScript(fault="stall"))
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as client:
            async with Emulator({ONE: Script(outputs=(output,))}) as emulator:
                reply = await client.get(emulator.link(ONE))
                ending = loop.time()
            assert loop.time() - ending < 10
            reply.close()
