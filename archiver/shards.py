"""Shards: a list that many runs share, each of which works on a part of its own.

A generation's shard follows from its ID, the last part of its name, and from nothing else: of the
SHA-256 of the ID the first eight bytes, read as one big-endian number, modulo the number of shards.
`printf %s 263 | sha256sum` shows them. The ID alone, because an endpoint may be assumed, be found
out later, or go by another name, and ModelsLab's own listing has none: in whatever way lists name a
generation, it stays with its shard.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from archiver.errors import ConfigurationError

INDEXES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX")
"""Where Slurm, Kubernetes and AWS Batch give a task of an array its number."""
PLACE = "{shard}"
"""What stands for the number of the shard in a path."""
MOST = 1_000_000
"""No list is shared by more runs than this."""
_SPELLING = re.compile(r"([0-9]{1,7})/([0-9]{1,7})")
_NUMBER = re.compile(r"[0-9]{1,7}")


def shard_of(id_: str, of: int) -> int:
    """Return the number of the shard, `of` as many, that a generation with this ID belongs to."""
    return int.from_bytes(sha256(id_.encode()).digest()[:8], "big") % of


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 0, `of` as many: written `3/8`.

    Raises:
        ValueError: if there is no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of <= MOST:
            raise ValueError(f"{self} is not a shard: they count from 0, so 0/8 to 7/8 are eight")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that is written `K/N`.

        Raises:
            ValueError: if it is none.
        """
        if not (found := _SPELLING.fullmatch(text.strip())):
            raise ValueError(f"{text!r} is not a shard such as 0/8")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def is_first(self) -> bool:
        """Whether it speaks for all where something belongs to none, such as a bad line."""
        return self.number == 0

    def has(self, id_: str) -> bool:
        """Return whether a generation with this ID belongs to it."""
        return shard_of(id_, self.of) == self.number

    def part(self, ids: Iterable[str]) -> list[str]:
        """Return those of the IDs that belong to it."""
        number, of = self.number, self.of
        return [id_ for id_ in ids if shard_of(id_, of) == number]


def placed(path: str, shard: Shard | None) -> str:
    """Return a path with the number of the shard in place of `{shard}`.

    Raises:
        ConfigurationError: if there is such a place, and no shard.
    """
    if PLACE not in path:
        return path
    if shard is None:
        raise ConfigurationError(f"{path} has {{shard}} in it: say which with --shard or --shards")
    return path.replace(PLACE, str(shard.number))


def chosen(shard: Shard | None, shards: int | None, environ: Mapping[str, str]) -> Shard | None:
    """Return the shard of this run, if its list is shared at all.

    That is what `--shard` says, or one of as many as `--shards` says: the one that has the array
    task's number in the environment. Without either, being in an array means nothing.

    Raises:
        ConfigurationError: if what is said does not go together, or not enough is said.
    """
    if shard and shards not in (None, shard.of):
        raise ConfigurationError(f"--shard {shard} and --shards {shards} disagree")
    of = shard.of if shard else shards
    if of is None:
        return None
    numbers = {"--shard": shard.number} if shard else {}
    numbers |= {name: _number(name, environ[name]) for name in INDEXES if environ.get(name)}
    if len({*numbers.values()}) > 1:
        found = " and ".join(f"{name} is {number}" for name, number in numbers.items())
        raise ConfigurationError(f"which shard is this? {found}: unset what is not meant")
    if not numbers:
        raise ConfigurationError(
            f"--shards {of} does not say which of them this is: run it as a task of an array "
            f"({', '.join(INDEXES)}), or name it, as in --shard 0/{of}"
        )
    _check_array(of, environ)
    (number,) = {*numbers.values()}
    if number >= of:
        where = " and ".join(numbers)
        raise ConfigurationError(f"there is no shard {number} ({where}): {of} count from 0")
    return Shard(number, of)


def _number(name: str, value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise ConfigurationError(f"{name} is {value!r}: the number of a shard was expected")
    return int(value)


def _check_array(of: int, environ: Mapping[str, str]) -> None:
    """Make sure that no task of the array is one too many: the others would leave a gap unseen.

    A Slurm array may be a part of it, to try some again, but must not count from 1.
    """
    last = environ.get("SLURM_ARRAY_TASK_MAX", "")
    if environ.get(INDEXES[0]) and last.isdecimal() and int(last) >= of:
        raise ConfigurationError(
            f"the array counts to {last} (SLURM_ARRAY_TASK_MAX), and {of} shards to {of - 1}: "
            f"submit it with --array=0-{of - 1}"
        )
    size = environ.get("AWS_BATCH_JOB_ARRAY_SIZE", "")
    if environ.get(INDEXES[2]) and size and size != str(of):
        raise ConfigurationError(
            f"the array has {size} tasks (AWS_BATCH_JOB_ARRAY_SIZE), and there are {of} shards: "
            "one of the two is wrong"
        )
