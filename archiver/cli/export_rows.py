"""The catalogue as rows, for spreadsheets and scripts."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any, Literal, TextIO, TypeAlias

from archiver.catalogue.queries import HeldFile, Known
from archiver.location import Location
from archiver.pipeline.indexing import opened_to_read

Format: TypeAlias = Literal["csv", "jsonl"]
Row: TypeAlias = dict[str, Any]
COLUMNS = (
    "generation", "endpoint", "id", "state", "reason", "since", "first_checked", "checked",
    "served_by", "path", "bytes", "sha256", "verified", "duration", "width", "height",
    "frame_rate", "video_codec", "audio_codec", "prompt", "negative_prompt", "model",
    "seed", "requested_width", "requested_height", "requested_duration", "track_id", "created",
)  # fmt: skip
"""A generation that is not held has one row, without a file. Times are UTC, in ISO 8601."""


def write_rows(archive: Location, form: Format, out: TextIO) -> None:
    """Write a row for each file, in the order of the generations' names.

    Raises:
        NotAnArchive: if there is no archive.
        StorageError: if its records cannot be read.
    """
    with opened_to_read(archive) as (_, catalogue):
        write = _writer(form, out)
        for known in catalogue.queries.all():
            for row in _rows(known):
                write(row)


def _writer(form: Format, out: TextIO) -> Callable[[Row], object]:
    if form == "jsonl":
        return lambda row: out.write(json.dumps(row, ensure_ascii=False) + "\n")
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    table.writeheader()
    return lambda row: table.writerow(row | {"served_by": "; ".join(row["served_by"])})


def _rows(known: Known) -> Iterator[Row]:
    said = astuple(known.metadata)
    for file in known.files or (None,):
        yield dict(zip(COLUMNS, (*_of_generation(known), *_of_file(file), *said), strict=True))


def _of_generation(known: Known) -> tuple[object, ...]:
    one = known.generation
    return (
        one.name, one.endpoint, one.id, known.state, known.reason, known.since,
        known.first_checked, known.checked, list(known.served_by),
    )  # fmt: skip


def _of_file(file: HeldFile | None) -> tuple[object, ...]:
    if not file:
        return (None,) * 10
    return (file.path, file.bytes, file.sha256, file.verified, *astuple(file.properties))
