"""The API key: a value that does not show itself."""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from archiver.errors import ConfigurationError

REDACTED = "[API key]"
DEEPEST = 50
"""No JSON that means anything to us is nested more deeply."""


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
        spellings = {self._value, quote(self._value, safe=""), quote_plus(self._value)}
        pattern = "|".join(re.escape(spelling) for spelling in spellings)
        return re.sub(pattern, REDACTED, text, flags=re.IGNORECASE)

    def redact_json(self, value: object, depth: int = DEEPEST) -> object:
        """Return a JSON value without the key, in whatever string, number or name it stood.

        Raises:
            ValueError: if the value is nested more deeply than anything has a reason to be.
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
