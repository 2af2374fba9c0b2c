"""The API key: a value that does not show itself."""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from archiver.errors import ConfigurationError

REDACTED = "[API key]"


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
        """Return `text` with the key replaced wherever it stands, URL-encoded or plain."""
        for spelling in {self._value, quote(self._value, safe=""), quote_plus(self._value)}:
            text = text.replace(spelling, REDACTED)
        return text

    def redact_json(self, value: object) -> object:
        """Return a JSON value without the key, in whatever string, number or name it stood."""
        match value:
            case str():
                return self.redact(value)
            case list():
                return [self.redact_json(item) for item in value]
            case dict():
                return {self.redact(str(k)): self.redact_json(v) for k, v in value.items()}
            case int() | float() if str(value) == self._value:
                return REDACTED
            case _:
                return value
