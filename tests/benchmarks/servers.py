"""Servers in the role of both the API and the link host: nginx, and one that is far away."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .measure import Unsuccessful
from .tools import search_path

_TIMEOUT = 10
_FAR = str(Path(__file__).with_name("wan_server.py"))
_CONFIGURATION = """
daemon off;
pid nginx.pid;
error_log error.log;
{user}
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    types {{ video/mp4 mp4; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root .;
        location ~ ^/api/v6/deepfake/fetch/([A-Za-z0-9_-]+)$ {{
            default_type application/json;
            return 200 '{response}';
        }}
    }}
}}
"""
_RESPONSE = (
    '{{"status":"success","id":$1,"output":["http://127.0.0.1:{port}/videos/$1.mp4"],'
    '"proxy_links":["http://127.0.0.1:{port}/proxies/$1.mp4"]}}'
)


@contextmanager
def nginx(prefix: Path) -> Iterator[int]:
    """Serve the directory `videos` in `prefix` on a free port, until the context ends.

    Raises:
        Unsuccessful: if it does not start.
    """
    port = _free_port()
    _configure(prefix, port)
    process = subprocess.Popen(
        ("nginx", "-p", str(prefix), "-e", "error.log", "-c", "nginx.conf"),
        env={"PATH": search_path()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C at the terminal reaches us alone: we stop it in order
    )
    try:
        _wait_for(process, port, prefix / "error.log")
        yield port
    finally:
        _stop(process)


@contextmanager
def far_away(videos: Path, *how: str) -> Iterator[int]:
    """Serve a directory of videos on a free port, as wan_server.py does, until the context ends.

    Raises:
        Unsuccessful: if it does not start.
    """
    command = (sys.executable, "-P", _FAR, str(videos), *how)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=0
    ) as process:
        try:
            if not (process.stdout and (port := process.stdout.readline())):
                raise Unsuccessful("the server of the benchmark wan does not start")
            yield int(port)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _configure(prefix: Path, port: int) -> None:
    (prefix / "temp").mkdir()
    user = "user root root;" if os.geteuid() == 0 else ""
    response = _RESPONSE.format(port=port)
    (prefix / "nginx.conf").write_text(
        _CONFIGURATION.format(port=port, user=user, response=response)
    )


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    output = log.read_text(errors="replace") if log.exists() else "there is no log"
    raise Unsuccessful(f"nginx does not start: {output}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
