"""Merging: several archives are looked at, one after the other, and none is changed."""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from archiver.archive.durable import replace
from archiver.errors import ArchiverError, ConfigurationError, storage_errors
from archiver.merge.listing import Listed, Listing
from archiver.merge.parts import Part, Problem, look, set_problems, without_repeats
from archiver.merge.report import MergeReport

ALL = "all-sha256.txt"
"""The name of the checksum manifest of all archives."""


def merge(
    archives: Sequence[Path], output: Path | None = None, shards: int | None = None
) -> MergeReport:
    """Sum up what archives hold and how their last runs ended, and list their files as one.

    The list goes to `output`, by default to the directory that has all archives in it. It is
    written only if each archive could be read; until it is whole, an earlier one stays. `shards`
    is how many archives there must be, if that is known.

    Raises:
        ConfigurationError: if there is nothing to merge, or the list would be in an archive.
        StorageError: if a list cannot be read to its end, or written.
    """
    output = output or place_of_list(archives)
    different, problems = without_repeats(one for one in archives if not _is(one, output))
    if not different:
        raise ConfigurationError("there is no archive to merge")
    _check_outside(output, different)
    parts, unreadable = _look_at(different)
    listed = _list([part.archive for part in parts], output, whole=not unreadable)
    problems += [*unreadable, *set_problems(parts, shards)]
    if unreadable:
        why = f"{output} was not written: an archive is missing from it"
        problems.append(Problem(why))
    return MergeReport(parts, listed, None if unreadable else output, problems)


def place_of_list(archives: Sequence[Path]) -> Path:
    """Return where the list of these archives is, if nobody says where: beside them."""
    above = Path(os.path.commonpath([one.absolute().parent for one in archives]))
    return above / ALL


def _check_outside(output: Path, archives: Sequence[Path]) -> None:
    """Make sure that the list replaces no file of an archive."""
    for archive in archives:
        if output.resolve().is_relative_to(archive.resolve()):
            raise ConfigurationError(
                f"{output} is in the archive {archive}, and no archive is changed: name a place "
                "outside, with --output"
            )


def _is(archive: Path, output: Path) -> bool:
    """Return whether what is given is an earlier list, which `videos/*` names as well."""
    return archive.absolute() == output.absolute() and not archive.is_dir()


def _look_at(archives: Sequence[Path]) -> tuple[list[Part], list[Problem]]:
    """Return what each archive's records say, and why some cannot be read."""
    parts, unreadable = [], []
    for archive in archives:
        try:
            parts.append(look(archive))
        except ArchiverError as error:
            unreadable.append(Problem(str(error), error.exit_status))
    return parts, unreadable


def _list(archives: Sequence[Path], output: Path, *, whole: bool) -> Listed:
    with closing(Listing(archives, output.parent)) as listing:
        if whole:
            with storage_errors(f"writing {output}"):
                replace(output, listing.lines())
        else:
            deque(listing.lines(), maxlen=0)
        return listing.found()
