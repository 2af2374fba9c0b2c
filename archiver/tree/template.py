"""The template: how the paths of a tree are made from what is known of each video."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from math import isfinite
from string import Formatter
from typing import TypeAlias

from archiver.catalogue.queries import HeldFile, Known
from archiver.tree import names

DEFAULT = "{date}/{prompt:.40}-{id}.{extension}"
_LONGEST = 200
"""The most bytes of a format: the names themselves need room, too."""

Value: TypeAlias = str | int | float | datetime | None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of field: what may follow its name, and how to say so."""

    spec: re.Pattern[str]
    expected: str


_TEXT = _Kind(
    re.compile(r"(\.[1-9][0-9]{0,2})?"),
    "a text may be followed by its greatest length: {prompt:.40}",
)
_WHOLE = _Kind(
    re.compile(r"(0?[1-9])?"), "a whole number may be followed by its least width: {number:02}"
)
_NUMBER = _Kind(
    re.compile(r"(\.[0-9])?"), "a number may be followed by how many decimals it has: {duration:.1}"
)
_MOMENT = _Kind(
    re.compile(r"(%[YymdHMSjbBGVu]|[A-Za-z0-9 _.-])*"),
    "a date may be followed by a pattern without /: {date:%Y-%m}",
)

FIELDS = {
    "date": _MOMENT, "time": _MOMENT,
    "id": _TEXT, "family": _TEXT, "endpoint": _TEXT, "number": _WHOLE, "extension": _TEXT,
    "prompt": _TEXT, "negative_prompt": _TEXT, "model": _TEXT, "seed": _TEXT, "track_id": _TEXT,
    "width": _WHOLE, "height": _WHOLE, "resolution": _TEXT, "duration": _NUMBER,
    "frame_rate": _NUMBER, "video_codec": _TEXT, "audio_codec": _TEXT, "sha256": _TEXT,
}  # fmt: skip
_PATTERNS = {"date": "%Y-%m-%d", "time": "%H-%M-%S"}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a component: text as it stands, or a field and what follows its name."""

    text: str
    spec: str = ""
    is_field: bool = True


@dataclass(frozen=True, slots=True)
class Template:
    """A format, taken apart: the pieces of each component of a path."""

    components: tuple[tuple[_Piece, ...], ...]

    @classmethod
    def parse(cls, form: str) -> "Template":
        """Take a format apart.

        Raises:
            ValueError: if it is not understood, or leads out of a directory.
        """
        if len(form.encode(errors="replace")) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} bytes")
        components = tuple(map(tuple, _components(form)))
        for component in components:
            if not component or all(not p.is_field and not p.text.strip(" .") for p in component):
                raise ValueError("it is a relative path, in which no part is empty, '.' or '..'")
        if not any(piece.is_field for component in components for piece in component):
            raise ValueError(f"it has no field: expected such as {DEFAULT}")
        return cls(components)

    def path(self, values: dict[str, Value]) -> str:
        """Return the path of a video, of which these are the values of all fields."""
        texts = [[_text(piece, values) for piece in pieces] for pieces in self.components]
        if sum(map(_size, texts)) + len(texts) > names.PATH:
            self._fit(texts)
        parts = list(map("".join, texts))
        if parts[-1].strip(" .-") == values["extension"]:  # or it would be taken for the name
            parts[-1] = f"{names.NAMELESS}.{values['extension']}"
        return "/".join(map(names.component, parts))

    def _fit(self, texts: list[list[str]]) -> None:
        """Shorten fields until each part, and the whole, is short enough."""
        for pieces, shown in zip(self.components, texts, strict=True):
            while (excess := _size(shown) - names.COMPONENT) > 0:
                _shorten([(shown, n) for n, piece in enumerate(pieces) if piece.is_field], excess)
        fields = [
            (shown, n)
            for pieces, shown in zip(self.components, texts, strict=True)
            for n, piece in enumerate(pieces)
            if piece.is_field
        ]
        while (excess := sum(map(len, map("".join, texts))) + len(texts) - names.PATH) > 0:
            _shorten(fields, excess)


def values_of(known: Known, file: HeldFile, date: datetime) -> dict[str, Value]:
    """Return the values of all fields for a file that is held; what is not known is None.

    What the video says of itself is believed before what was asked for.
    """
    said, found = known.metadata, file.properties
    stem, _, extension = file.path.rpartition("/")[2].rpartition(".")
    one = known.generation
    width, height = found.width or said.width, found.height or said.height
    return {
        "date": date, "time": date,
        "id": one.id, "family": one.endpoint.rpartition("/")[2],
        "endpoint": one.endpoint.replace("/", "-"),
        "number": int(stem.removeprefix(one.id).removeprefix("-") or 1), "extension": extension,
        "prompt": said.prompt, "negative_prompt": said.negative_prompt, "model": said.model,
        "seed": said.seed, "track_id": said.track_id, "width": width, "height": height,
        "resolution": f"{width}x{height}" if width and height else None,
        "duration": found.duration or said.duration, "frame_rate": found.frame_rate,
        "video_codec": found.video_codec, "audio_codec": found.audio_codec, "sha256": file.sha256,
    }  # fmt: skip


def moment(*texts: str | None) -> datetime:
    """Return the first of these that is a moment, in UTC; the beginning of 1970 if none is."""
    for text in filter(None, texts):
        try:
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return datetime.fromtimestamp(0, UTC)


def _components(form: str) -> Iterator[list[_Piece]]:
    pieces: list[_Piece] = []
    try:
        parsed = list(Formatter().parse(form))
    except ValueError as error:
        raise ValueError(f"a brace has no partner ({error}); a field is written {{id}}") from None
    for literal, field, spec, conversion in parsed:
        first, *others = _checked(literal).split("/")
        pieces += [_Piece(first, is_field=False)] if first else []
        for text in others:
            yield pieces
            pieces = [_Piece(text, is_field=False)] if text else []
        if field is not None:
            pieces.append(_field(field, spec or "", conversion))
    yield pieces


def _checked(literal: str) -> str:
    wrong = next((c for c in literal if c in names.FORBIDDEN or not c.isprintable()), None)
    if wrong:
        raise ValueError(f"{wrong!r} cannot be in a name on every file system")
    return literal


def _field(name: str, spec: str, conversion: str | None) -> _Piece:
    if name not in FIELDS:
        nearest = get_close_matches(name, FIELDS, n=1)
        hint = f"did you mean {{{nearest[0]}}}?" if nearest else f"expected {_listed()}"
        raise ValueError(f"there is no field {{{name}}}; {hint}")
    kind = FIELDS[name]
    if conversion or not kind.spec.fullmatch(spec):
        shown = f"{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}"
        raise ValueError(f"{{{name}{shown}}} is not understood: {kind.expected}")
    return _Piece(name, spec)


def _listed() -> str:
    return ", ".join(f"{{{name}}}" for name in FIELDS)


def _text(piece: _Piece, values: dict[str, Value]) -> str:
    """Return a piece as text; of a field of which nothing is known, there is nothing."""
    if not piece.is_field:
        return piece.text
    match values[piece.text], piece.spec:
        case datetime() as value, spec:
            return value.strftime(spec or _PATTERNS[piece.text])
        case str() as value, spec:
            text = names.safe(value)
            return names.cut(text, int(spec[1:])) if spec else text
        case int() as value, spec:
            return f"{value:{spec}}"
        case float() as value, spec if isfinite(value):
            return f"{value:{spec}f}" if spec else f"{value:.1f}".removesuffix(".0")
        case _:
            return ""


def _size(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _shorten(fields: list[tuple[list[str], int]], excess: int) -> None:
    """Shorten the longest of the fields, by half of the excess: another may be as long.

    The others, such as the ID, stay whole.
    """
    texts, number = max(fields, key=lambda field: len(field[0][field[1]].encode()))
    room = len(texts[number].encode()) - (excess + 1) // 2
    texts[number] = names.cut_to_bytes(texts[number], max(room, 0))
