"""Payloads that come inside a response, as `data:` URLs, from the API into the archive."""

import base64
import hashlib
import json
import logging
import tracemalloc
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from archiver.archive.layout import Layout
from archiver.emulator.clip import grown_clip
from archiver.emulator.scripts import LinkScript, OutputScript, RawResponse, Script
from archiver.errors import StorageError
from archiver.modelslab.responses import INLINE_LIMIT
from archiver.outcomes import Archived, Failed
from archiver.pipeline import commit
from tests.support.backups import KEY, Backups, assert_true_bag, generation, quick_downloads
from tests.support.marks import slow

VIDEOS = Path(__file__).parents[1] / "videos"
MP4 = (VIDEOS / "faststart.mp4").read_bytes()
WEBM = (VIDEOS / "sized.webm").read_bytes()
G263 = generation("263")
MIB = 1 << 20


def data_url(payload: bytes, media_type: str = "video/mp4") -> str:
    return f"data:{media_type};base64,{base64.b64encode(payload).decode()}"


def name_of(payload: bytes, media_type: str = "video/mp4") -> str:
    digest = hashlib.sha256(payload).hexdigest()
    return f"data:{media_type} ({len(payload)} bytes), SHA-256 {digest}"


def script(id_: str = "263", **fields: object) -> Script:
    return Script(response=RawResponse({"status": "success", "id": id_} | fields))


def php(document: object) -> bytes:
    """Return JSON as PHP writes it, with a backslash before each slash."""
    return json.dumps(document).replace("/", "\\/").encode()


SPELLINGS = {
    "base64": data_url(MP4),
    "base64 in lines": data_url(MP4)[:99] + "\r\n" + data_url(MP4)[99:],
    "base64 without padding": data_url(MP4).rstrip("="),
    "base64 for URLs": data_url(MP4)[:22] + base64.urlsafe_b64encode(MP4).decode(),
    "base64, percent-encoded": data_url(MP4)[:22]
    + base64.b64encode(MP4).decode().replace("+", "%2B").replace("=", "%3D").replace("/", "%2f"),
    "percent-encoded": "data:video/mp4," + quote_from_bytes(MP4),
    "capitals and a parameter": "DATA:Video/MP4;codecs=avc1;BASE64," + data_url(MP4)[22:],
}


@pytest.mark.parametrize("name", SPELLINGS)
async def test_an_inline_payload_is_archived(backups: Backups, name: str) -> None:
    """However it is encoded; the sidecar names what was there and does not have it again."""
    backups.emulator.scripts[G263] = script(output=[SPELLINGS[name]])
    report = await backups.run("263")
    held = backups.held()
    assert (report.archived, report.exit_status) == (1, 0)
    assert held["data/v6/deepfake/263.mp4"] == MP4
    assert json.loads(held["data/v6/deepfake/263.json"])["output"] == [name_of(MP4)]
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Archived)
    assert outcome.served_by == (f"primary data:video/mp4 ({len(MP4)} bytes)",)
    assert_true_bag(backups.archive)


LARGE = grown_clip(3 * MIB, "inline").whole()


async def test_a_large_inline_payload_is_archived(backups: Backups) -> None:
    """It may be larger than a response without payloads, also as PHP escapes it."""
    document = {"status": "success", "id": 263, "output": [data_url(LARGE)], "tip": "x" * 1000}
    backups.emulator.scripts[G263] = Script(response=RawResponse(php(document)))
    report = await backups.run("263")
    held = backups.held()
    assert (report.archived, report.exit_status) == (1, 0)
    assert held["data/v6/deepfake/263.mp4"] == LARGE
    assert len(held["data/v6/deepfake/263.json"]) < 2000
    assert_true_bag(backups.archive)


@pytest.mark.parametrize("large", [False, True])
async def test_inline_payloads_and_links_are_outputs_alike(backups: Backups, large: bool) -> None:
    """Several in one response, in the shapes that links have; a proxy may be one too."""
    first = LARGE if large else MP4
    output = {"0": {"url": data_url(first)}, "1": data_url(WEBM, "video/webm")}
    backups.emulator.scripts[G263] = script(data={"output": output})
    report = await backups.run("263")
    held = backups.held()
    assert (report.archived, report.exit_status) == (1, 0)
    assert held["data/v6/deepfake/263-1.mp4"] == first
    assert held["data/v6/deepfake/263-2.webm"] == WEBM
    assert_true_bag(backups.archive)


async def test_a_proxy_serves_what_is_not_whole_inline(backups: Backups) -> None:
    """A `data:` URL is a link like any other, and so is the next."""
    dead = LinkScript(fault="dead")
    backups.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(),))
    link = backups.emulator.link(generation("1"))
    backups.emulator.scripts |= {
        G263: script(output=[data_url(MP4[:-9])], proxy_links=[link]),
        generation("264"): script("264", output=[data_url(LARGE[:-9])], proxy_links=[link]),
        generation("2"): Script(outputs=(OutputScript(primary=dead),)),
    }
    backups.emulator.scripts[generation("265")] = script(
        "265", output=[backups.emulator.link(generation("2"))], proxy_links=data_url(MP4)
    )
    report = await backups.run("263", "264", "265")
    assert (report.archived, report.exit_status) == (3, 0)
    held = backups.held()
    assert held["data/v6/deepfake/263.mp4"] == backups.emulator.payload(generation("1")).whole()
    assert held["data/v6/deepfake/265.mp4"] == MP4


BROKEN = {
    "cut": (data_url(MP4[:-100]), "cut|ends|bytes"),
    "no video": (data_url(b"<html>hello</html>"), "HTML"),
    "empty": ("data:video/mp4;base64,", "empty"),
    "not base64": ("data:video/mp4;base64,§$%&", "cannot be decoded"),
    "base64 with a hole": (data_url(MP4)[:500] + "!" + data_url(MP4)[501:], "cannot be decoded"),
    "half a byte": (data_url(MP4)[:22] + "AAAAA", "cannot be decoded"),
    "no comma": ("data:video/mp4;base64", "cannot be decoded"),
    "a surrogate": ("data:video/mp4,\ud800", "cannot be decoded"),
    "large and cut": (data_url(LARGE[:-100]), "cut|ends|bytes"),
    "large and not base64": (data_url(LARGE) + "!", "cannot be decoded"),
    "JSON in a string": (json.dumps([data_url(MP4)]), "cannot be decoded"),
    "too large": (data_url(LARGE), "max-size"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_inline_payload_is_a_fault_like_any_links(
    backups: Backups, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Nothing is archived, nothing is left, and no message has the data in it."""
    caplog.set_level(logging.DEBUG)
    url, reason = BROKEN[name]
    backups.emulator.scripts[G263] = script(output=[url])
    limit = MIB if name == "too large" else 100 * MIB
    report = await backups.run("263", download=quick_downloads(max_size=limit))
    assert (report.failed, report.exit_status) == (1, 3)
    (outcome,) = backups.outcomes
    assert isinstance(outcome, Failed)
    assert all(fault.link.startswith("data:") for fault in outcome.faults)
    shown = "".join([*report.lines(), json.dumps(report.as_json()), caplog.text])
    assert any(word in shown for word in reason.split("|"))
    assert "base64" not in shown or name == "JSON in a string"
    assert len(url) < 200 or url[-40:-20] not in shown
    assert backups.held() == {}
    assert not any(path.is_file() for path in Layout(backups.archive).incoming.rglob("*"))


async def test_what_is_inline_elsewhere_stays_in_the_sidecar(backups: Backups) -> None:
    """A picture in the metadata is metadata; only a large one is named."""
    small, large = "data:image/png;base64,AAAA", data_url(bytes(MIB), "image/png")
    meta = {"init_image": small, "mask": large}
    backups.emulator.scripts[G263] = script(output=[data_url(MP4)], meta=meta)
    await backups.run("263")
    sidecar = json.loads(backups.held()["data/v6/deepfake/263.json"])
    assert sidecar["meta"] == {"init_image": small, "mask": name_of(bytes(MIB), "image/png")}


async def test_inline_payloads_that_were_staged_are_recovered(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The staged response names the outputs: they are found again, without a request."""

    def broken(*args: object) -> None:
        raise StorageError("the disk is gone")

    backups.emulator.scripts[G263] = script(output=[data_url(LARGE), data_url(MP4)])
    monkeypatch.setattr(commit, "commit_staged", broken)
    assert (await backups.run("263")).exit_status == 74
    assert backups.held() == {}
    monkeypatch.undo()
    report = await backups.run("263")
    held = backups.held()
    assert (report.exit_status, backups.emulator.asked()) == (0, 1)
    assert (held["data/v6/deepfake/263-1.mp4"], held["data/v6/deepfake/263-2.mp4"]) == (LARGE, MP4)
    sidecar = json.loads(held["data/v6/deepfake/263.json"])
    assert sidecar["output"] == [name_of(LARGE), name_of(MP4)]
    assert_true_bag(backups.archive)


async def test_an_inline_payload_that_changed_is_another_output(backups: Backups) -> None:
    """What an earlier run has staged is not taken for what the response has now."""
    other = bytearray(LARGE)
    other[-1] ^= 1
    cut = data_url(MP4[:-9])
    backups.emulator.scripts[G263] = script(output=[data_url(LARGE), cut])
    assert (await backups.run("263")).exit_status == 3
    backups.emulator.scripts[G263] = script(output=[data_url(bytes(other)), data_url(MP4)])
    assert (await backups.run("263")).exit_status == 0
    assert backups.held()["data/v6/deepfake/263-1.mp4"] == other


async def test_the_key_in_a_data_url_leaks_nowhere(
    backups: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither from its media type nor from what it contains."""
    caplog.set_level(logging.DEBUG)
    urls = [f"data:{KEY};base64,AAAA", f"data:text/plain,{KEY}", f"data:,{KEY * 9000}"]
    backups.emulator.scripts |= {
        G263: script(output=urls),
        generation("264"): script("264", output=[data_url(MP4)], meta=urls),
    }
    report = await backups.run("263", "264")
    shown = "".join([*report.lines(), json.dumps(report.as_json()), caplog.text])
    assert (report.archived, report.failed) == (1, 1)
    assert KEY not in shown
    sidecar = backups.held()["data/v6/deepfake/264.json"]
    assert KEY.encode() not in sidecar


async def test_a_response_that_is_too_large_even_so_is_rejected(backups: Backups) -> None:
    """Others are archived meanwhile; it costs one try, and as much memory as it may have."""
    url = data_url(bytes(INLINE_LIMIT))
    backups.emulator.scripts |= {G263: script(output=[url]), generation("1"): Script()}
    report = await backups.run("263", "1")
    assert (report.archived, report.failed) == (1, 1)
    assert f"it has more than {INLINE_LIMIT:,} bytes" in "".join(report.lines())
    assert backups.emulator.asked(G263) == 1


@slow
async def test_large_inline_payloads_are_in_memory_a_few_at_a_time(backups: Backups) -> None:
    """However many generations have them, and also when they fail and are asked for again."""
    whole = data_url(grown_clip(12 * MIB, "many").whole())
    body = json.dumps({"status": "success", "output": [whole]}).encode()
    broken = body.replace(b"base64,AAAA", b"base64,BBBB")
    assert broken != body
    ids = [str(number) for number in range(1, 17)]
    backups.emulator.scripts |= {
        generation(id_): Script(response=RawResponse(broken if int(id_) % 2 else body))
        for id_ in ids
    }
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        report = await backups.run(*ids)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert (report.archived, report.failed) == (8, 8)
    assert peak < 300 * MIB, peak
