"""Inline payloads: `data:` URLs in a document, taken out of it and named."""

import base64
import hashlib
import json
import time
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.modelslab.inline import LONG, attached, extract, size_outside
from archiver.modelslab.links import paired_outputs
from archiver.modelslab.reading import LINK_FIELDS

MIB = 1 << 20


def in_base64(payload: bytes, media_type: str = "video/mp4") -> str:
    return f"data:{media_type};base64,{base64.b64encode(payload).decode()}"


def name_of(payload: bytes, media_type: str = "video/mp4") -> str:
    digest = hashlib.sha256(payload).hexdigest()
    return f"data:{media_type} ({len(payload)} bytes), SHA-256 {digest}"


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_what_was_encoded_is_decoded(payload: bytes, padded: bool, url_safe: bool) -> None:
    """Base64 with or without padding, in either alphabet, and percent-encoding."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    text = encode(payload).decode()
    text = text if padded else text.rstrip("=")
    for url in (f"data:;base64,{text}", f"data:,{quote_from_bytes(payload)}"):
        found = extract({"output": [url]}, LINK_FIELDS)
        assert found.payloads == {name_of(payload, ""): payload}
        assert found.document == {"output": [name_of(payload, "")]}


@pytest.mark.parametrize("offset", [65533, 65534, 65535, 65536, 65537])
def test_an_escape_is_decoded_wherever_it_is(offset: int) -> None:
    """Long text is decoded in slices, none of which ends within an escape."""
    url = "data:," + "a" * offset + "%00%7f%zz%4"
    (payload,) = extract({"output": url}, LINK_FIELDS).payloads.values()
    assert payload == b"a" * offset + b"\0\x7f%zz%4"


BAD = ["data:", "data:;base64,A", "data:;base64,A=AA", "data:;base64,AA!A", "data:,\ud800", "DATA:"]


@pytest.mark.parametrize("url", BAD)
def test_what_cannot_be_decoded_is_named_all_the_same(url: str) -> None:
    """Its name has nothing of it."""
    found = extract({"output": [url]}, LINK_FIELDS)
    assert not found.payloads
    digest = hashlib.sha256(url.encode(errors="replace")).hexdigest()
    assert found.document == {"output": [f"data: ({len(url)} characters), SHA-256 {digest}"]}


def test_only_links_and_what_is_long_is_named() -> None:
    """Metadata stays as it is."""
    small, large = in_base64(b"x"), in_base64(bytes(LONG))
    document = {"meta": {"init_image": small, "mask": [large]}, "proxy_links": {"0": small}}
    assert extract(document, LINK_FIELDS).document == {
        "meta": {"init_image": small, "mask": [name_of(bytes(LONG))]},
        "proxy_links": {"0": name_of(b"x")},
    }


def test_a_document_without_payloads_is_as_it_was() -> None:
    """A link is no `data:` URL, wherever it says so."""
    document = {"output": ["https://a/data:video/mp4;base64,AAAA", "database:", 5, None], "data": 1}
    found = extract(document, LINK_FIELDS)
    assert (found.document, found.payloads) == (document, {})


def test_a_name_is_a_link_that_has_its_payload() -> None:
    """Until it is read again without one: then it is the same output."""
    found = extract({"output": [in_base64(b"x"), "https://a/b"]}, LINK_FIELDS)
    assert isinstance(found.document, dict)
    plain = paired_outputs(found.document["output"], [])
    outputs = attached(plain, found.payloads)
    assert outputs == plain
    assert [each.key for each in outputs] == [each.key for each in plain]
    contents = [each.links[0].inline for each in outputs]
    assert [content and content.data for content in contents] == [b"x", None]
    assert "b'x'" not in repr((outputs, found))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([*BAD, in_base64(b"x")]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*LINK_FIELDS, "x"]), inner),
)


@given(JSON_VALUES)
def test_no_document_is_a_surprise(document: object) -> None:
    """Whatever it is, it keeps its form, and a link that it was named for is gone."""
    found = extract({"output": document}, LINK_FIELDS)
    assert isinstance(found.document, dict)
    assert type(found.document["output"]) is type(document)
    assert in_base64(b"x") not in json.dumps(found.document).replace(f'"{in_base64(b"x")}":', "")


def body(url: str, **fields: object) -> bytes:
    return json.dumps({"output": [url], **fields}).encode()


@pytest.mark.parametrize("cut", [1.0, 0.9, 0.5])
def test_the_size_outside_is_that_of_the_rest(cut: float) -> None:
    """Also while a body is still on its way, and with slashes that are escaped."""
    data = body(in_base64(bytes(range(256)) * 4000)).replace(b"/", b"\\/")
    assert size_outside(data[: int(len(data) * cut)]) < 100


@pytest.mark.parametrize(
    "data",
    [
        b"[" * MIB, b'"data:' * (MIB // 6), b'"\\"data:' + b"x" * MIB, b'{"a":"' + b"x" * MIB,
        b'"' * MIB, b'" ' * (MIB // 2), b'"' + b" " * MIB, b'"data:x' * (MIB // 7), b"data:" * MIB,
        b'["http://a/",' * (MIB // 13),
    ],
)  # fmt: skip
def test_what_is_no_data_url_is_outside(data: bytes) -> None:
    """However it is made to look like one; and it is found out in a moment."""
    began = time.process_time()
    assert size_outside(data) == len(data)
    assert time.process_time() - began < 20
