"""The API key: a value that does not show itself, and is removed from what servers echo."""

import json
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.apikey import REDACTED, ApiKey
from archiver.errors import ArchiverError, ConfigurationError

KEY = "s3cr3t/K+y=&"
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=64)


@dataclass(frozen=True)
class Settings:
    """Something that holds a key, as the API's settings do."""

    url: str
    key: ApiKey


def traced(error: Exception) -> str:
    try:
        raise error
    except type(error) as caught:
        return "".join(traceback.format_exception(caught))


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        format,
        lambda key: f"{key} {key!s} {key!r}",
        lambda key: "%s %r" % (key, key),  # noqa: UP031
        lambda key: repr([key, {"key": key}]),
        lambda key: repr(Settings("https://modelslab.com", key)),
        lambda key: pprint.pformat(Settings("https://modelslab.com", key)),
        lambda key: traced(ArchiverError(key)),
        lambda key: traced(ArchiverError(f"refused: {key}")),
        lambda key: repr(ArchiverError(key)),
        lambda key: json.dumps({"key": key}, default=str),
    ],
)  # fmt: skip
def test_a_key_does_not_show_itself(show: object) -> None:
    """Printed, formatted, logged, in a dataclass or in an exception, it is not visible."""
    assert callable(show)
    shown = show(ApiKey(KEY))
    assert KEY not in shown
    assert "s3cr3t" not in shown


def test_a_key_cannot_be_changed() -> None:
    """It is a value, equal to another of the same text; the error does not show it either."""
    key = ApiKey(KEY)
    assert key == ApiKey(KEY)
    assert hash(key) == hash(ApiKey(KEY))
    with pytest.raises(FrozenInstanceError) as refusal:
        key._value = "other"  # type: ignore[misc]
    assert "s3cr3t" not in traced(refusal.value)


def test_only_reveal_returns_the_text() -> None:
    """The body of a request needs the key itself."""
    assert ApiKey(KEY).reveal() == KEY
    assert pickle.loads(pickle.dumps(ApiKey(KEY))).reveal() == KEY


@pytest.mark.parametrize(
    "bad",
    ["", " ", "s3cr3t ", " s3cr3t", "s3 cr3t", "s3cr3t\n", "s3cr3t\0", "s3cr3t\x7f", "s3crét"],
)
def test_an_invalid_key_is_rejected_unquoted(bad: str) -> None:
    """A key that was copied badly is a configuration error that does not quote it."""
    with pytest.raises(ConfigurationError, match="the API key is empty or has spaces") as refusal:
        ApiKey(bad)
    assert "s3" not in traced(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Invalid key s3cr3t/K+y=&!", f"Invalid key {REDACTED}!"),
        ("s3cr3t/K+y=&s3cr3t/K+y=&", REDACTED * 2),
        (f"?key={quote(KEY, safe='')}&x=1", f"?key={REDACTED}&x=1"),
        (f"?key={quote_plus(KEY)}", f"?key={REDACTED}"),
        ("nothing of the kind: s3cr3t", "nothing of the kind: s3cr3t"),
        ("", ""),
    ],
)
def test_the_key_is_removed_from_text(text: str, redacted: str) -> None:
    """Plain or URL-encoded, wherever it occurs; nothing else is changed."""
    assert ApiKey(KEY).redact(text) == redacted


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ("key 12345", f"key {REDACTED}"),
        (12345, REDACTED),
        ({"12345": {"a": ["x12345", 1]}}, {REDACTED: {"a": [f"x{REDACTED}", 1]}}),
        ([[["12345"]]], [[[REDACTED]]]),
        ({"meta": {"key": 12345}}, {"meta": {"key": REDACTED}}),
        ({"id": 263, "eta": 1.5, "ok": True, "x": None},
         {"id": 263, "eta": 1.5, "ok": True, "x": None}),
        (123456, 123456),
    ],
)  # fmt: skip
def test_the_key_is_removed_from_json(value: object, redacted: object) -> None:
    """In strings, numbers and names, however deep; what is not the key keeps its type."""
    assert ApiKey("12345").redact_json(value) == redacted


def test_a_decimal_key_is_removed_too() -> None:
    """A key that reads as a float is a key."""
    assert ApiKey("1.5").redact_json([1.5, 15]) == [REDACTED, 15]


@given(
    KEYS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("KEY"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.just("KEY") | st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=8,
    ),
)
def test_no_key_is_left_in_any_document(key: str, document: object) -> None:
    """Wherever a server echoes the key, what is recorded does not contain it."""
    echoed = json.loads(
        json.dumps(document).replace('"KEY"', json.dumps(f"a {key}, {quote(key, safe='')}"))
    )
    written = json.dumps(ApiKey(key).redact_json(echoed))
    assert json.dumps(key)[1:-1] not in written


@given(
    KEYS | st.sampled_from(("sk-KEY-123", "12345678", "1e-00005", "key/key/1", "k" * 8)),
    st.sampled_from(("{}", "a {} b", "<{}>")),
    st.sampled_from((str, str.upper, str.title, quote, quote_plus, json.dumps)),
    st.sampled_from(("utf-8", "utf-8-sig", "utf-16-le", "utf-32")),
    st.booleans(),
)
def test_where_the_key_cannot_be_nothing_is_redacted(
    key: str, text: str, spelled: Callable[[str], str], encoding: str, ascii_only: bool
) -> None:
    """Whoever leaves the document alone then leaves no key in it."""
    body = json.dumps({"a": [text.format(spelled(key))]}, ensure_ascii=ascii_only).encode(encoding)
    document = json.loads(body)
    if not ApiKey(key).may_be_in(body):
        assert ApiKey(key).redact_json(document) == document


def test_a_document_without_the_key_is_left_alone() -> None:
    """Such as nearly every one, unless it is nested more deeply than a document may be."""
    body = b'{"status":"success","output":["https:\\/\\/a.example\\/263.mp4"]}'
    assert not ApiKey("sk-KEY-123").may_be_in(body)
    assert ApiKey("sk-KEY-123").may_be_in(b"[" * 50)


@pytest.mark.timeout(20)
def test_very_many_backslashes_take_no_time() -> None:
    """The time grows linearly with the text; a key in JSON in JSON is still found."""
    key = ApiKey("se/cret-key")
    assert key.redact("\\" * 500_000) == "\\" * 500_000
    nested = json.dumps(json.dumps(json.dumps({"key": "\u0073e\\/cret-key"})))
    assert "cret-key" not in key.redact(nested)
