"""The emulator is as awkward as ModelsLab and its link hosts are known to be."""

import asyncio
import hashlib
import json
import struct
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import get_args

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.emulator.clip import Payload, grown_clip
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


@asynccontextmanager
async def emulated(script=None, api=None, **link):
    """An emulator with one generation, and a client that shows what is on the wire."""
    script = script or Script(outputs=(OutputScript(primary=LinkScript(**link)),))
    async with (
        Emulator({ONE: script}, KEY, api or ApiScript()) as emulator,
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        yield emulator, client


async def ask(emulator, client, path="v6/deepfake/fetch/263", key=KEY):
    url = f"{emulator.api_url}/{path}"
    async with client.post(url, json={"key": key}, allow_redirects=False) as response:
        return response, await response.read()


async def asked(emulator, client, **how):
    response, body = await ask(emulator, client, **how)
    return response.status, json.loads(body)


async def get(client, url, **headers):
    async with client.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()}) as r:
        return r, await r.read()


async def got_so_far(client, url, seconds=5.0):
    """What came before the connection failed or fell silent, and how that showed."""
    received = bytearray()
    try:
        async with asyncio.timeout(seconds), client.get(url) as response:
            async for piece in response.content.iter_any():
                received += piece
    except (aiohttp.ClientError, TimeoutError) as error:
        return bytes(received), type(error)
    return bytes(received), None


class TestAnswers:
    """What the API says about one generation."""

    async def test_success_gives_the_documented_answer(self):
        """A finished generation: status, its number as an int, a list of links, no proxies."""
        async with emulated() as (emulator, client):
            status, response = await asked(emulator, client)
            assert status == 200
            assert response["status"] == "success"
            assert response["id"] == 263
            assert response["output"] == [emulator.link(ONE)]
            assert response["proxy_links"] is None

    async def test_faultless_link_gives_the_payload(self):
        """What the response's link serves is what the emulator says it will."""
        async with emulated() as (emulator, client):
            _, response = await asked(emulator, client)
            response, body = await get(client, response["output"][0])
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
    async def test_answers_have_the_documented_shape(self, response, status, expected):
        """Each response by name is the one that was documented or recorded, status and body."""
        async with emulated(Script(response=response)) as (emulator, client):
            said = await asked(emulator, client)
            assert said[0] == status
            assert expected.items() <= said[1].items()

    @pytest.mark.parametrize("response", get_args(Response))
    async def test_every_answer_can_be_given(self, response):
        """No response makes the emulator itself fail, whatever it does to the connection."""
        async with emulated(Script(response=response)) as (emulator, client):
            try:
                async with asyncio.timeout(0.3):
                    got, _ = await ask(emulator, client)
                    assert got.status != 500 or response == "error"
            except aiohttp.ClientError:
                assert response in ("cut", "reset", "hang-up")
            except TimeoutError:
                assert response in ("stall", "silent")
            assert emulator.asked(ONE) == 1

    async def test_gateways_answer_with_pages(self):
        """HTML comes with 502, and with 200."""
        for kind, status in (("html", 502), ("html-200", 200)):
            async with emulated(Script(response=kind)) as (emulator, client):
                response, body = await ask(emulator, client)
                assert (response.status, response.content_type) == (status, "text/html")
                assert body.startswith(b"<!DOCTYPE html>")

    async def test_bodies_that_are_no_answer(self):
        """Empty, broken off, not a number, and far too long."""
        bodies = {}
        for response in ("empty", "not-json", "nan", "huge"):
            async with emulated(Script(response=response)) as (emulator, client):
                bodies[response] = (await ask(emulator, client))[1]
        assert bodies["empty"] == b""
        assert bodies["not-json"].endswith(b'"id":')
        assert b"NaN" in bodies["nan"]
        assert len(bodies["huge"]) > 2**20

    async def test_throttling_says_when_in_every_known_way(self):
        """As a header in seconds, as a date, in words, and in the old style with 200."""
        api = ApiScript(retry_after=1800)
        said = {}
        for response in ("throttled-header", "throttled-date", "throttled-words", "throttled-old"):
            async with emulated(Script(response=response), api) as (emulator, client):
                said[response] = await ask(emulator, client)
        assert said["throttled-header"][0].headers["Retry-After"] == "1800"
        assert parsedate_to_datetime(said["throttled-date"][0].headers["Retry-After"])
        assert b"try again in 30 minutes" in said["throttled-words"][1]
        assert b"wait for 1800 seconds" in said["throttled-old"][1]
        assert said["throttled-old"][0].status == 200

    async def test_trouble_then_waiting_then_the_answer(self):
        """The first asks meet trouble, the next ones must wait, and then the response stands."""
        raw = RawResponse(b"as it stands", 503, {"Retry-After": "7"})
        script = Script(trouble=(raw, "error"), ready_after=2, waiting="queued")
        async with emulated(script) as (emulator, client):
            response, body = await ask(emulator, client)
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
            assert body == b"as it stands"
            said = [(await asked(emulator, client))[1]["status"] for _ in range(5)]
            assert said == ["error", "queued", "queued", "success", "success"]

    async def test_what_is_promised_while_processing_is_not_finished(self):
        """`future_links` and a filled `proxy_links` lead to half a file that looks whole."""
        output = OutputScript(proxy=LinkScript())
        for waiting, where in (("created", "future_links"), ("proxied", "proxy_links")):
            script = Script(outputs=(output,), ready_after=1, waiting=waiting)
            async with emulated(script) as (emulator, client):
                _, document = await asked(emulator, client)
                assert document["status"] == "processing"
                response, body = await get(client, document[where][0])
                assert response.status == 200
                whole = emulator.payload(ONE).whole()
                assert body == whole[: len(whole) // 2]
                await asked(emulator, client)
                assert (await get(client, document[where][0]))[1] == whole

    @pytest.mark.parametrize("shape", ["list", "string", "object", "objects"])
    async def test_output_takes_every_shape(self, shape):
        """`output` is a list of links, one link, an object, or a list of objects."""
        async with emulated(Script(output_shape=shape)) as (emulator, client):
            _, response = await asked(emulator, client)
            link = emulator.link(ONE)
            shapes = {
                "list": [link],
                "string": link,
                "object": {"url": link},
                "objects": [{"url": link}],
            }
            assert response["output"] == shapes[shape]

    async def test_proxies_take_every_shape(self):
        """`proxy_links` is a list, one link, the primary itself, null, empty, or not there."""
        told = {}
        for style in ("list", "string", "identical", "null", "empty", "absent"):
            script = Script(outputs=(OutputScript(proxy=LinkScript()),), proxies=style)
            async with emulated(script) as (emulator, client):
                _, response = await asked(emulator, client)
                proxy = emulator.link(ONE, 1, "proxy")
                names = {proxy: "proxy", emulator.link(ONE): "primary"}
                said = response.get("proxy_links", "absent")
                told[style] = [names[x] for x in said] if isinstance(said, list) else said
                if style == "string":
                    assert said == proxy
        assert told["list"] == ["proxy"]
        assert told["identical"] == ["primary"]
        assert (told["null"], told["empty"], told["absent"]) == (None, "", "absent")

    @pytest.mark.parametrize(
        ("ids", "expected"), [("int", 263), ("string", "263"), ("null", None), ("empty", "")]
    )
    async def test_ids_are_spelled_in_every_way(self, ids, expected):
        """An ID comes back as a number, a string, null or nothing."""
        async with emulated(api=ApiScript(ids=ids)) as (emulator, client):
            assert (await asked(emulator, client))[1]["id"] == expected

    async def test_fresh_links_replace_those_that_have_expired(self):
        """Every ask signs other links, and the first ones may be refused."""
        script = Script(fresh_links=True, expired=1)
        async with emulated(script) as (emulator, client):
            links = [(await asked(emulator, client))[1]["output"][0] for _ in range(2)]
            assert links[0] != links[1]
            statuses = [(await get(client, link))[0].status for link in links]
            assert statuses == [403, 200]


class TestTheApiAsAWhole:
    """What the API says whichever generation is meant."""

    @pytest.mark.parametrize(("refusal", "status"), [("refused", 401), ("refused-old", 200)])
    async def test_a_wrong_key_is_refused(self, refusal, status):
        """Another key, or none, is refused in the old style or the new."""
        async with emulated(api=ApiScript(refusal=refusal)) as (emulator, client):
            for key in ("another", ""):
                said = await asked(emulator, client, key=key)
                assert said[0] == status
                assert said[1]["status"] == "error"

    @pytest.mark.parametrize(
        "path", ["v6/faceswap/fetch/263", "v6/deepfake/fetch/263", "v6/deepfake/fetch/263/"]
    )
    async def test_faceswap_and_deepfake_are_one(self, path):
        """The same generation answers under both names."""
        async with emulated() as (emulator, client):
            assert (await asked(emulator, client, path=path))[1]["status"] == "success"
            assert emulator.asked(ONE) == 1

    @pytest.mark.parametrize(("unknown", "status"), [("unknown", 200), ("unknown-404", 404)])
    async def test_an_unknown_generation_is_not_found(self, unknown, status):
        """An ID without a script is one that ModelsLab does not know."""
        async with emulated(api=ApiScript(unknown=unknown)) as (emulator, client):
            said = await asked(emulator, client, path="v6/deepfake/fetch/999")
            assert said[0] == status
            assert said[1]["message"] == "Request not found"

    async def test_only_the_documented_request_is_understood(self):
        """GET is not allowed, another path is not found, a body that is no JSON is malformed."""
        async with emulated() as (emulator, client):
            url = f"{emulator.api_url}/v6/deepfake/fetch/263"
            assert (await get(client, url))[0].status == 405
            assert (await ask(emulator, client, path="v6/nowhere"))[0].status == 404
            async with client.post(url, data={"key": KEY}) as response:
                assert (await response.json())["message"] == "Invalid API Request"

    async def test_the_first_requests_are_throttled(self):
        """So many requests are throttled, whatever they ask for, and then none."""
        async with emulated(api=ApiScript(throttle_first=2)) as (emulator, client):
            assert [(await asked(emulator, client))[0] for _ in range(3)] == [429, 429, 200]

    async def test_too_many_a_second_are_throttled(self):
        """What goes beyond the rate is throttled."""
        async with emulated(api=ApiScript(per_second=3)) as (emulator, client):
            statuses = [(await asked(emulator, client))[0] for _ in range(5)]
            assert statuses == [200, 200, 200, 429, 429]

    async def test_one_answer_to_everything(self):
        """The API can be down altogether."""
        async with emulated(api=ApiScript(always="html")) as (emulator, client):
            assert (await ask(emulator, client))[0].status == 502

    @pytest.mark.parametrize("response", ["ready", "processing", "failed", "html", "throttled"])
    async def test_the_key_may_be_echoed(self, response):
        """A response may carry the key, for those who must not keep it."""
        api = ApiScript(echo_key=True)
        async with emulated(Script(response=response), api) as (emulator, client):
            assert KEY.encode() in (await ask(emulator, client))[1]

    async def test_a_redirect_leads_to_another_host(self):
        """Whoever follows a redirect of the POST takes the key to the link host's log."""
        async with emulated(Script(response="redirect")) as (emulator, client):
            url = f"{emulator.api_url}/v6/deepfake/fetch/263"
            await client.post(url, json={"key": KEY})
            assert [seen.host for seen in emulator.requests] == ["api", "primary"]
            assert emulator.requests[1].json() == {"key": KEY}


class TestFaults:
    """How links behave, well and badly."""

    @pytest.mark.parametrize("fault", get_args(Fault))
    async def test_every_fault_strikes_so_many_times_and_then_the_link_works(self, fault):
        """The first request meets the fault, the next gets the payload."""
        times = 2 if fault == "hang-up" else 1  # aiohttp itself asks again when hung up on
        async with emulated(fault=fault, times=times, ranges=False) as (emulator, client):
            link = emulator.link(ONE)
            whole = emulator.payload(ONE).whole()
            received, error = await got_so_far(client, link, 0.3)
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
    async def test_answers_without_a_video(self, fault, status, start):
        """These links response, but not with the file: some of them with 200."""
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
    async def test_bodies_that_break_off(self, fault, share, error):
        """How much of the file arrives, and what the client is told: now and then, nothing."""
        async with emulated(fault=fault) as (emulator, client):
            received, raised = await got_so_far(client, emulator.link(ONE), 0.5)
            whole = emulator.payload(ONE).whole()
            assert received == whole[: int(len(whole) * share)]
            assert raised is error or issubclass(raised, error)

    async def test_a_large_body_breaks_off_in_the_middle_too(self):
        """A cut comes after half of the file even where that fills every buffer."""
        output = OutputScript(size=20_000_001, primary=LinkScript(fault="cut"))
        async with emulated(Script(outputs=(output,))) as (emulator, client):
            received, _ = await got_so_far(client, emulator.link(ONE))
            assert len(received) == 10_000_000

    async def test_a_crawling_link_gives_a_few_bytes_a_second(self):
        """A crawl never falls silent and never ends."""
        async with emulated(fault="crawl") as (emulator, client):
            received, raised = await got_so_far(client, emulator.link(ONE), 0.3)
            assert 0 < len(received) < 100
            assert raised is TimeoutError

    async def test_a_slow_link_takes_its_time(self):
        """The body is spread over the seconds given, and whole in the end."""
        async with emulated(seconds=0.2) as (emulator, client):
            began = asyncio.get_running_loop().time()
            _, body = await get(client, emulator.link(ONE))
            assert asyncio.get_running_loop().time() - began >= 0.15
            assert body == emulator.payload(ONE).whole()

    @pytest.mark.parametrize("length", ["given", "none", "chunked"])
    async def test_framing(self, length):
        """A body has a Content-Length, or ends with the connection, or comes in chunks."""
        async with emulated(length=length) as (emulator, client):
            response, body = await get(client, emulator.link(ONE))
            assert body == emulator.payload(ONE).whole()
            assert ("Content-Length" in response.headers) == (length == "given")
            assert ("Transfer-Encoding" in response.headers) == (length == "chunked")

    async def test_redirects_lead_to_the_file(self):
        """A link may lead to its file by way of several others."""
        async with emulated(redirects=3) as (emulator, client):
            response, body = await get(client, emulator.link(ONE))
            assert [r.status for r in response.history] == [302, 302, 302]
            assert body == emulator.payload(ONE).whole()
            assert emulator.downloads(ONE) == 1

    async def test_a_redirect_may_lead_elsewhere(self):
        """The last redirect may name any place at all."""
        async with emulated(redirects=2, redirect_to="http://{proxy}/else") as (emulator, client):
            response, _ = await get(client, emulator.link(ONE))
            assert response.status == 404
            assert [s.host for s in emulator.requests] == ["primary", "primary", "proxy"]

    async def test_a_link_may_be_anything(self):
        """The API may give a link that is none of ours."""
        async with emulated(url="ftp://{primary}/263.mp4") as (emulator, client):
            _, response = await asked(emulator, client)
            assert response["output"][0].startswith("ftp://127.0.0.1:")

    async def test_a_file_may_change_between_requests(self):
        """Another version has other bytes and another validator."""
        output = OutputScript(versions=2)
        async with emulated(Script(outputs=(output,))) as (emulator, client):
            got = [await get(client, emulator.link(ONE)) for _ in range(3)]
            first, second, third = (body for _, body in got)
            assert first != second == third == emulator.payload(ONE).whole()
            tags = [response.headers["ETag"] for response, _ in got]
            assert tags[0] != tags[1] == tags[2]

    async def test_the_proxy_serves_the_same_object_on_another_host(self):
        """The primary is dead; the proxy has the same path, and its own log and script."""
        output = OutputScript(primary=LinkScript(fault="dead"), proxy=LinkScript())
        async with emulated(Script(outputs=(output,))) as (emulator, client):
            _, response = await asked(emulator, client)
            primary, proxy = response["output"][0], response["proxy_links"][0]
            assert primary.split("/")[2] != proxy.split("/")[2]
            assert primary.split("/")[3:] == proxy.split("/")[3:]
            assert (await get(client, primary))[0].status == 404
            assert (await get(client, proxy))[1] == emulator.payload(ONE).whole()
            assert emulator.downloads(ONE, "proxy") == 1


class TestRanges:
    """Parts of files, as RFC 9110 has them."""

    @pytest.mark.parametrize(
        ("asked_for", "status", "part"),
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
    async def test_ranges(self, asked_for, status, part):
        """A part is served as RFC 9110 says, and what is not understood is ignored."""
        async with emulated() as (emulator, client):
            response, body = await get(client, emulator.link(ONE), Range=asked_for)
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
    async def test_if_range_with_a_validator_that_holds(self, link, validator, status):
        """The rest is sent if the file is unchanged; a weak ETag cannot say so."""
        async with emulated(**link) as (emulator, client):
            first, _ = await get(client, emulator.link(ONE))
            headers = {"Range": "bytes=1000-", "If_Range": first.headers[validator]}
            response, body = await get(client, emulator.link(ONE), **headers)
            assert response.status == status
            assert body == emulator.payload(ONE).whole()[1000 if status == 206 else 0 :]

    async def test_if_range_with_another_validator(self):
        """The whole file is sent if it is not the one that the client had begun with."""
        async with emulated() as (emulator, client):
            for other in ('"another"', "Tue, 01 Jan 2019 00:00:00 GMT"):
                headers = {"Range": "bytes=1000-", "If_Range": other}
                response, _ = await get(client, emulator.link(ONE), **headers)
                assert response.status == 200

    async def test_links_without_validators(self):
        """A link may offer neither an ETag nor a date."""
        async with emulated(etag="none", last_modified=False) as (emulator, client):
            response, _ = await get(client, emulator.link(ONE))
            assert not {"ETag", "Last-Modified"} & set(response.headers)

    async def test_a_cut_part_is_a_cut(self):
        """A fault strikes a part as it does the whole."""
        async with emulated(fault="cut", times=2) as (emulator, client):
            await got_so_far(client, emulator.link(ONE))
            with pytest.raises(aiohttp.ClientPayloadError):
                await get(client, emulator.link(ONE), Range="bytes=32000-")
            _, body = await get(client, emulator.link(ONE), Range="bytes=48000-")
            assert body == emulator.payload(ONE).whole()[48000:]

    async def test_the_wrong_part(self):
        """A server may response 206 with other bytes than were asked for, and say so."""
        async with emulated(fault="wrong-range") as (emulator, client):
            response, body = await get(client, emulator.link(ONE), Range="bytes=100-199")
            assert response.headers["Content-Range"] == "bytes 0-99/64000"
            assert body == emulator.payload(ONE).whole()[:100]


class TestTheLog:
    """What tests can read of what was done, and the end of it."""

    async def test_requests_are_logged_as_they_came(self):
        """Host, method, path, headers and body of every request, and what it was about."""
        async with emulated() as (emulator, client):
            await ask(emulator, client)
            await get(client, emulator.link(ONE), Accept_Encoding="identity")
            api, file = emulator.requests
            assert (api.host, api.method, api.path) == ("api", "POST", f"/api/{ONE.fetch_path}")
            assert api.json() == {"key": KEY}
            assert (file.host, file.method, file.number) == ("primary", "GET", 1)
            assert file.headers["accept-encoding"] == "identity"
            assert api.generation == file.generation == ONE
            assert api.at <= file.at

    async def test_the_log_counts(self):
        """Asks and downloads are counted, and how many there were at once."""
        async with emulated(seconds=0.1) as (emulator, client):
            await ask(emulator, client)
            await asyncio.gather(*(get(client, emulator.link(ONE)) for _ in range(3)))
            assert (emulator.asked(), emulator.downloads()) == (1, 3)
            assert emulator.busiest["primary"] == 3

    async def test_the_log_is_forgotten_with_everything_in_it(self):
        """After forgetting, every script begins anew."""
        async with emulated(Script(ready_after=1)) as (emulator, client):
            for _ in range(2):
                assert (await asked(emulator, client))[1]["status"] == "processing"
                assert (await asked(emulator, client))[1]["status"] == "success"
                emulator.forget()
                assert not emulator.requests

    async def test_what_hangs_does_not_hold_up_the_end(self):
        """The emulator stops at once, though a link is stalled and its reader gone to sleep."""
        output = OutputScript(size=50_000_000, primary=LinkScript(fault="stall"))
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as client:
            async with Emulator({ONE: Script(outputs=(output,))}) as emulator:
                response = await client.get(emulator.link(ONE))
                ending = loop.time()
            assert loop.time() - ending < 0.5
            response.close()


class TestTheClip:
    """Videos of any size."""

    @pytest.mark.parametrize("size", [4_000, 20_000, 64_000, 5_000_000])
    def test_a_grown_clip_has_the_size_asked_for(self, size):
        """Its size is that asked for, and so is what it gives."""
        assert grown_clip(size, "a").size == size == len(grown_clip(size, "a").whole())

    def test_a_clip_is_never_too_small_to_differ(self):
        """Below the smallest size there is, seeds still make different files."""
        assert grown_clip(0, "a").whole() != grown_clip(0, "b").whole()
        assert grown_clip(0, "a").size < 5_000

    def test_seeds_decide_the_bytes(self):
        """The same seed gives the same file, another one another."""
        whole = grown_clip(20_000, "a").whole()
        grown_clip.cache_clear()
        assert grown_clip(20_000, "a").whole() == whole
        assert grown_clip(20_000, "b").whole() != whole

    @pytest.mark.parametrize("size", [0, 20_000, 5_000_000, 2**32 + 2_000, 2**32 + 5_000, 2**40])
    def test_the_boxes_add_up(self, size):
        """A grown clip is a whole MP4, also where a box needs a 64-bit size."""
        clip = grown_clip(size, "a")
        at, kinds = 0, []
        while at < clip.size:
            header = clip.piece(at, at + 16)
            length, kind = struct.unpack_from(">I4s", header)
            at += length if length != 1 else struct.unpack_from(">Q", header, 8)[0]
            kinds.append(kind)
        assert at == clip.size
        assert kinds[0] == b"ftyp"
        assert {b"moov", b"mdat"} < set(kinds)
        assert kinds[-1] == b"free"

    @given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(500, 70_000))
    @settings(deadline=None)
    def test_any_part_is_as_slicing_the_whole_gives(self, start, length, step):
        """Parts and pieces need not hold the whole, and agree with it."""
        clip = grown_clip(150_001, "a")
        whole = clip.whole()
        assert clip.piece(start, start + length) == whole[start : start + length]
        stop = min(start + length, clip.size)
        assert b"".join(clip.pieces(range(start, stop), step)) == whole[start:stop]

    def test_its_checksum_is_that_of_its_bytes(self):
        """The checksum is that of the whole, also of bytes just given."""
        for payload in (grown_clip(700_000, "a"), Payload.of(b"just these"), Payload.of(b"")):
            assert payload.sha256() == hashlib.sha256(payload.whole()).hexdigest()
