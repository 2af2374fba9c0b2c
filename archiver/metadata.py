"""Metadata: what is said of a generation, by ModelsLab or by whoever asked for it.

It stands in the responses of the API, in webhook bodies and in lists. The names of fields are
compared without regard to case, spaces and underscores: `Negative Prompt` is `negative_prompt`.

Where several documents say something of a generation the first that has a field counts, in this
order: the API's response, then what the manifests say, in the order in which that was kept.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import TypeVar

T = TypeVar("T")

LONGEST_PROMPT = 20_000
"""Characters of a prompt that are read; the rest is only in the sidecar."""
_LONGEST_NAME = 200
"""Characters of a model's name, a seed or a track_id that are read."""
_LARGEST_JSON = 1 << 18
"""Characters of JSON in a string that are read."""
_LARGEST_FRAME = 100_000
_LONGEST_VIDEO = 24 * 3600.0
_FIRST, _LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_DEPTH = 3

_PROMPT = ("prompt", "positiveprompt", "textprompt", "videoprompt")
_NEGATIVE_PROMPT = ("negativeprompt", "videonegativeprompt")
_MODEL = ("modelid", "model", "modelname")
_SEED = ("seed",)
_WIDTH = ("width", "w")
_HEIGHT = ("height", "h")
_SIZE = ("resolution", "size")
_DURATION = ("duration", "durationseconds", "seconds")
_FRAMES = ("numframes", "frames")
_FRAME_RATE = ("fps", "framerate")
_TRACK_ID = ("trackid",)
_CREATED = ("createdat", "created", "creationtime", "createdtime", "timestamp", "datetime", "date")
_SAYING = frozenset(
    chain(
        _PROMPT, _NEGATIVE_PROMPT, _MODEL, _SEED, _WIDTH, _HEIGHT, _SIZE, _DURATION, _FRAMES,
        _FRAME_RATE, _TRACK_ID, _CREATED,
    )
)  # fmt: skip
_PARTS = ("data", "request", "input", "parameters", "params", "payload", "body", "response")
"""An object in one of these fields may say it, too; `meta` goes before all of them. DOC, INF"""

_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_IGNORED = re.compile(r"[\s_-]+")
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?)\s*(?:s|sec|secs|seconds?|px)?\s*")
_FRAME = re.compile(r"\s*([0-9]{1,6})\s*[x\xd7*:]\s*([0-9]{1,6})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a generation was made from; a field of which nothing is said is None."""

    prompt: str | None = None
    negative_prompt: str | None = None
    model: str | None = None
    seed: str | None = None
    width: int | None = None
    """As asked for, in pixels; so is the height."""
    height: int | None = None
    duration: float | None = None
    """As asked for, in seconds."""
    track_id: str | None = None
    """The ID that whoever asked for it gave it."""
    created: str | None = None
    """When it was made, or asked for: UTC, in ISO 8601."""


NOTHING = Metadata()
_FIELDS = attrgetter(*(field.name for field in fields(Metadata)))


def metadata_of(*documents: object) -> Metadata:
    """Return what JSON documents say of a generation, the first of them first.

    What is of an odd type is read as what it plainly means, or says nothing.
    """
    parts = (_Fields(part) for document in documents for part in _parts(document, _DEPTH))
    return merged(_read(fields) for fields in parts if fields.say_anything)


def merged(found: Iterable[Metadata]) -> Metadata:
    """Return the first of each field that is known."""
    rows = list(map(_FIELDS, found))
    if not rows:
        return NOTHING
    columns = zip(*rows, strict=True)
    return Metadata(*(next((v for v in values if v is not None), None) for values in columns))


def _parts(document: object, depth: int) -> Iterator[Mapping[str, object]]:
    """Yield the objects that may say something: `meta`, then the whole, then other parts."""
    fields = _as_object(document)
    if not fields or not depth:
        return
    yield from _parts(fields["meta"], depth - 1) if "meta" in fields else ()
    yield fields
    for name in _PARTS:
        if name in fields:
            yield from _parts(fields[name], depth - 1)


def _as_object(value: object) -> Mapping[str, object]:
    """Return an object, also one that is JSON in a string; an empty one for anything else."""
    if isinstance(value, str) and len(value) <= _LARGEST_JSON and value.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    return value if isinstance(value, dict) else {}


class _Fields:
    """The fields of an object by their names without case, spaces and underscores."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._values: dict[str, object] = {}
        for name, value in fields.items():
            if len(name) < _LONGEST_NAME:
                self._values.setdefault(_plain(name), value)

    @property
    def say_anything(self) -> bool:
        """Whether any of them may; those of most responses are of something else."""
        return not _SAYING.isdisjoint(self._values)

    def first(self, names: Iterable[str], read: Callable[[object], T | None]) -> T | None:
        """Return the first of these fields that says something."""
        found = (read(self._values.get(name)) for name in names)
        return next((value for value in found if value is not None), None)


@lru_cache
def _plain(name: str) -> str:
    return _IGNORED.sub("", name).lower()


def _read(fields: _Fields) -> Metadata:
    width, height = fields.first(_SIZE, _frame) or (None, None)
    return Metadata(
        prompt=fields.first(_PROMPT, _prompt),
        negative_prompt=fields.first(_NEGATIVE_PROMPT, _prompt),
        model=fields.first(_MODEL, _name),
        seed=fields.first(_SEED, _seed),
        width=fields.first(_WIDTH, _pixels) or width,
        height=fields.first(_HEIGHT, _pixels) or height,
        duration=fields.first(_DURATION, _seconds) or _duration_in_frames(fields),
        track_id=fields.first(_TRACK_ID, _name),
        created=fields.first(_CREATED, _moment),
    )


def _prompt(value: object) -> str | None:
    """Read a text; those of a list, or of an object such as `{"0": "…"}`, a line each."""
    return _text(value, LONGEST_PROMPT, "\n")


def _name(value: object) -> str | None:
    return _text(value, _LONGEST_NAME, ", ")


def _seed(value: object) -> str | None:
    """Read a seed; -1 stands for any."""
    seed = _name(value)
    return None if seed == "-1" else seed


def _text(value: object, limit: int, between: str, depth: int = 2) -> str | None:
    """Return what can be shown of a text, of several or of a number; None if nothing can."""
    match value:
        case str():
            shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value[:limit])
        case int() | float():
            shown = _digits(value)
        case dict():
            return _text([*value.values()], limit, between, depth)
        case list() if depth:
            texts = (_text(item, limit, between, depth - 1) for item in value[:100])
            shown = between.join(filter(None, texts))[:limit]
        case _:
            return None
    return shown.strip() or None


def _digits(number: float) -> str:
    if isinstance(number, int):
        short = not isinstance(number, bool) and abs(number) < 10**_LONGEST_NAME
        return str(number) if short else ""
    return f"{number:.15g}" if math.isfinite(number) else ""


def _number(value: object) -> float | None:
    """Read a number, also one in a string, with or without its unit."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value[:64])):
        value = float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # NaN is not, either


def _pixels(value: object) -> int | None:
    number = _number(value)
    return int(number) if number and 1 <= number <= _LARGEST_FRAME else None


def _frame(value: object) -> tuple[int | None, int | None] | None:
    """Read the size of a frame, such as `512x512`."""
    frame = _FRAME.fullmatch(value[:64]) if isinstance(value, str) else None
    return (_pixels(frame[1]), _pixels(frame[2])) if frame else None


def _seconds(value: object) -> float | None:
    number = _number(value)
    return number if number and 0 < number <= _LONGEST_VIDEO else None


def _duration_in_frames(fields: _Fields) -> float | None:
    """Return how long these frames take, at their rate."""
    frames, rate = fields.first(_FRAMES, _seconds), fields.first(_FRAME_RATE, _seconds)
    return round(frames / rate, 3) or None if frames and rate else None


def _moment(value: object) -> str | None:
    """Read a time: in ISO 8601, or in seconds or milliseconds since 1970; UTC where it is open."""
    number = _number(value)
    with suppress(ValueError, OverflowError):
        if number is not None:
            moment = datetime.fromtimestamp(number / (1000 if number > 1e11 else 1), UTC)
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip()[:64])
        else:
            return None
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.isoformat(timespec="seconds") if _FIRST <= moment < _LAST else None
    return None
