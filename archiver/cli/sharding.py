"""Shards on the command line: the options, and the paths that are a shard's own."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

from archiver.cli.options import INPUT, option
from archiver.cli.params import PARTS, Parsed, shard

_Function: TypeAlias = Callable[..., int]
_ARCHIVES = ("archive", "source", "target")
"""The names of options and arguments that name archives."""


def list_shard_options(function: _Function) -> _Function:
    """Give a command that reads lists the options of a shard; it is passed the shard itself."""
    share = "Share the lists among N runs, of which this is run K, counted from 0"
    return _with_options(_placing(function), share)


def archive_shard_options(function: _Function) -> _Function:
    """Give a command the options of a shard, of which it needs nothing but the archive."""

    @wraps(function)
    def run(**options: Any) -> int:
        del options["shard"]
        return function(**options)

    return _with_options(_placing(run), "Use the archive of shard K, counted from 0, of N")


def _with_options(function: _Function, meaning: str) -> _Function:
    one = option(
        "--shard", metavar="K/N", type=Parsed("shard", shard), heading=INPUT,
        help=f"{meaning}: see archiver manual scale. In paths, {{shard}} stands for K.",
    )  # fmt: skip
    many = option(
        "--shards", metavar="N", type=PARTS, heading=INPUT,
        help="The same in a task of an array, whose number is K: SLURM_ARRAY_TASK_ID, "
        "JOB_COMPLETION_INDEX or AWS_BATCH_JOB_ARRAY_INDEX.",
    )  # fmt: skip
    return one(many(function))


def _placing(function: _Function) -> _Function:
    """Find out which shard this run is, put its number into paths, and check its archive."""

    @wraps(function)
    def run(**options: Any) -> int:
        from dataclasses import replace
        from pathlib import Path

        from archiver.location import BucketUrl
        from archiver.shards import chosen, placed

        found = chosen(options.pop("shard"), options.pop("shards"), os.environ)
        for name, value in options.items():
            if isinstance(value, Path):
                options[name] = Path(placed(str(value), found))
            elif isinstance(value, BucketUrl):
                options[name] = replace(value, prefix=placed(value.prefix, found))
        if found:
            from archiver.archive import shard_mark
            from archiver.stores import layout_of

            for archive in filter(None, map(options.get, _ARCHIVES)):
                shard_mark.check(layout_of(archive), found)
        return function(shard=found, **options)

    return run
