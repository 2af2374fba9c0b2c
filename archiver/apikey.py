"""The API key: a secret that hides itself."""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache

from archiver.errors import ConfigurationError

REDACTED = "[API key]"
MAX_DEPTH = 50
"""JSON that is nested more deeply is refused."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A ModelsLab API key. `str` and `repr` hide it; only `reveal` gives it out."""

    _value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", self._value):
            raise ConfigurationError(
                "the API key is empty or has spaces or control characters in it: "
                "copy it again from your ModelsLab dashboard"
            )

    def __str__(self) -> str:
        return REDACTED

    def reveal(self) -> str:
        """Return the key itself, for the body of a request to the API and for nothing else."""
        return self._value

    def redact(self, text: str) -> str:
        """Return `text` with the key replaced, in whatever encoding: URL, JSON or plain."""
        return _pattern(self._value).sub(REDACTED, text)

    def may_be_in(self, body: bytes | bytearray) -> bool:
        """Return whether JSON may have the key in it, or is nested deeply; most has not, surely."""
        if not body.isascii():
            return True
        if b"%" in body or b"\\u" in body or b"\0" in body:  # for a URL, in JSON, or as UTF-16
            return True
        deep = body.count(b"[") + body.count(b"{") >= MAX_DEPTH
        return deep or _plain(self._value) in body.lower()

    def redact_document(self, text: str) -> str:
        """Return a text in JSON without the key, in as many letters if it has none.

        Raises:
            ValueError: if it is no JSON, or nested too deeply.
        """
        if not self.may_be_in(text.encode(errors="surrogatepass")):
            return text
        return json.dumps(self.redact_json(json.loads(text)))

    def redact_json(self, value: object, depth: int = MAX_DEPTH) -> object:
        """Return a JSON value without the key: in strings, numbers and names it is replaced.

        Raises:
            ValueError: if the value is nested too deeply.
        """
        if depth == 0:
            raise ValueError("nested too deeply")
        match value:
            case str():
                return self.redact(value)
            case list():
                return [self.redact_json(item, depth - 1) for item in value]
            case dict():
                return {
                    self.redact(str(name)): self.redact_json(item, depth - 1)
                    for name, item in value.items()
                }
            case int() | float() if str(value) == self._value:
                return REDACTED
            case _:
                return value


@lru_cache(1)
def _pattern(key: str) -> re.Pattern[str]:
    return re.compile("".join(map(_encodings, key)), re.IGNORECASE)


@lru_cache(1)
def _plain(key: str) -> bytes:
    """Return the key in small letters; nothing, which is in everything, if that might miss it.

    Other characters than these are escaped in JSON, and a number has several spellings.
    """
    plain = key.lower() if re.fullmatch(r"[A-Za-z0-9_-]{8,}", key) else ""
    return plain.encode() if re.search("[a-df-z]", plain) else b""


def _encodings(character: str) -> str:
    """Return a pattern for a character: percent-encoded, escaped as in JSON, or plain.

    JSON in JSON in JSON has seven backslashes; matching any number of them would take time that
    grows as its square.
    """
    code, slash = ord(character), r"|\\{1,8}/" if character == "/" else ""
    return rf"(?:{re.escape(character)}|%(?:25)*{code:02x}|\\{{1,8}}u{code:04x}{slash})"
