"""Real servers: videos made by ffmpeg, from a stock nginx over HTTPS with a private CA."""

import asyncio
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.emulator.scripts import LinkScript, OutputScript, Script
from tests.support.backups import generation
from tests.support.marks import slow
from tests.support.running import Ended, Workspace, assert_valid_bag, ended, started

MISSING = [tool for tool in ("ffmpeg", "ffprobe", "nginx", "openssl") if not shutil.which(tool)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

MORE_THAN_A_GIGABYTE = 1_000_000_000
SAME_MEMORY = 30_000
"""Two peaks that differ by less than this, in KiB, are the same."""

KINDS = {
    "moov-at-the-end": (),
    "faststart": ("-movflags", "+faststart"),
    "fragmented": ("-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
}
_CONFIGURATION = """
daemon off;
pid nginx.pid;
error_log error.log;
{user}
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log access.log;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    types {{ video/mp4 mp4; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        root videos;
    }}
}}
"""
_MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass
class Site:
    """A directory of videos that nginx serves."""

    prefix: Path
    port: int

    @property
    def videos(self) -> Path:
        """What is served."""
        return self.prefix / "videos"

    @property
    def authority(self) -> str:
        """The certificate of the CA."""
        return str(self.prefix / "ca.pem")

    def script(self, name: str) -> Script:
        """Return the script of a generation whose video is the file of that name."""
        link = LinkScript(url=f"https://127.0.0.1:{self.port}/{name}.mp4")
        return Script(outputs=(OutputScript(primary=link),))

    def size(self, name: str) -> int:
        """Return how many bytes are served."""
        return (self.videos / f"{name}.mp4").stat().st_size

    def sha256(self, name: str) -> str:
        """Return the checksum of what is served."""
        return checksum(self.videos / f"{name}.mp4")


def checksum(path: Path) -> str:
    """Return a file's checksum in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A running nginx, with a certificate of a private CA."""
    prefix = tmp_path / "nginx"
    (prefix / "videos").mkdir(parents=True)
    (prefix / "temp").mkdir()
    await certify(prefix)
    async with nginx(prefix) as port:
        yield Site(prefix, port)
    shutil.rmtree(prefix)


async def succeeds(*command: str) -> None:
    """Run a command that must not fail."""
    result = await ended(*command)
    assert result.status == 0, result


async def certify(directory: Path) -> None:
    """Make a CA, and a certificate for this machine that is signed by it."""
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    ca, server = directory / "ca", directory / "server"
    await succeeds(
        "openssl", "req", "-x509", *new, "-keyout", f"{ca}.key", "-out", f"{ca}.pem",
        "-subj", "/CN=A private CA", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    await succeeds(
        "openssl", "req", "-x509", *new, "-keyout", f"{server}.key", "-out", f"{server}.pem",
        "-subj", "/CN=localhost", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext", "basicConstraints=critical,CA:FALSE",
    )  # fmt: skip


@asynccontextmanager
async def nginx(prefix: Path) -> AsyncIterator[int]:
    """Run nginx on a free port, and stop it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = "user root root;" if os.geteuid() == 0 else ""
    configuration = prefix / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, user=user))
    command = ("nginx", "-p", str(prefix), "-e", "error.log", "-c", str(configuration))
    async with started(*command, env={"PATH": _path()}) as process:
        await _listening(port, process)
        yield port
        process.terminate()
        async with asyncio.timeout(40):
            await process.wait()


def _path() -> str:
    """Return where to look for commands: nginx is often outside a user's `PATH`."""
    return os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"))


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(40):
        while True:
            assert process.returncode is None, "nginx ended"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def film(path: Path, *options: str, seconds: float = 2, size: str = "320x180") -> None:
    """Make a video with a moving picture and a tone."""
    await succeeds(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s={size}:d={seconds}",
        "-f", "lavfi", "-i", f"sine=d={seconds}", "-c:v", "mpeg4", "-c:a", "aac",
        *options, str(path),
    )  # fmt: skip


async def long_film(path: Path) -> None:
    """Make a video of more than 1 GB that plays: one second of noise, repeated."""
    noise = path.with_name("noise.mp4")
    await succeeds(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1280x720:d=1,noise=alls=100",
        "-c:v", "mjpeg", "-q:v", "1", "-pix_fmt", "yuvj444p", str(noise),
    )  # fmt: skip
    again = MORE_THAN_A_GIGABYTE // noise.stat().st_size
    copy = ("ffmpeg", "-v", "error", "-stream_loop", str(again), "-i", str(noise), "-c", "copy")
    await succeeds(*copy, str(path))
    noise.unlink()


async def measured(workspace: Workspace, site: Site, *names: str) -> tuple[Ended, int]:
    """Back up the videos of these names; return the result and the peak memory in KiB."""
    workspace.emulator.scripts = {generation(name): site.script(name) for name in names}
    peak = workspace.home / "peak"
    wrapper = (sys.executable, "-S", "-c", _MEASURE, str(peak))
    command = workspace.command(workspace.manifest(*names))
    env = workspace.env(SSL_CERT_FILE=site.authority)
    result = await ended(*wrapper, *command, env=env, within=60)
    return result, int(peak.read_text())


async def assert_archived(workspace: Workspace, site: Site, *names: str) -> None:
    """The archive holds exactly these videos, as they are served, and they play."""
    assert workspace.held() == sorted(f"v6/deepfake/{name}.mp4" for name in names)
    for name in names:
        archived = workspace.archive / f"data/v6/deepfake/{name}.mp4"
        assert checksum(archived) == site.sha256(name)
        listed = f"{site.sha256(name)}  data/v6/deepfake/{name}.mp4\n"
        assert listed in (workspace.archive / "manifest-sha256.txt").read_text()
        await succeeds("ffprobe", "-v", "error", str(archived))


async def test_every_kind_of_mp4_is_archived_whole(workspace: Workspace, site: Site) -> None:
    """MP4s with the index at either end or in fragments arrive as nginx serves them."""
    for name, options in KINDS.items():
        await film(site.videos / f"{name}.mp4", *options)
    result, _ = await measured(workspace, site, *KINDS)
    assert result == Ended(0, "", "")
    await assert_archived(workspace, site, *KINDS)
    await assert_valid_bag(workspace.archive)


@slow
async def test_a_private_ca_must_be_named(workspace: Workspace, site: Site) -> None:
    """Without `SSL_CERT_FILE` the link fails with its certificate as the reason, and status 3."""
    await film(site.videos / "1.mp4", seconds=0.2)
    workspace.emulator.scripts[generation("1")] = site.script("1")
    result = await workspace.backup(workspace.manifest("1"))
    assert result.status == 3
    (line,) = (line for line in result.err.splitlines() if line.startswith("failed v6/deepfake/1"))
    link = f"primary https://127.0.0.1:{site.port}/1.mp4"
    assert f"{link}: its TLS certificate is not accepted (unable to get local issuer" in line
    trusted = await workspace.backup(workspace.manifest("1"), SSL_CERT_FILE=site.authority)
    assert trusted == Ended(0, "", "")


@slow
async def test_a_certificate_for_another_host_is_not_accepted(
    workspace: Workspace, site: Site
) -> None:
    """A trusted certificate is valid only for the names in it."""
    await film(site.videos / "1.mp4", seconds=0.2)
    link = LinkScript(url=f"https://127.0.0.2:{site.port}/1.mp4")
    forwarder = await _forward("127.0.0.2", site.port)
    workspace.emulator.scripts[generation("1")] = Script(outputs=(OutputScript(primary=link),))
    async with forwarder:
        result = await workspace.backup(workspace.manifest("1"), SSL_CERT_FILE=site.authority)
    assert result.status == 3
    assert "its TLS certificate is not accepted (" in result.err
    assert "127.0.0.2" in result.err


async def _forward(address: str, port: int) -> asyncio.Server:
    """Forward connections from another address of this machine to 127.0.0.1."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upward_reader, upward_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            pump(reader, upward_writer), pump(upward_reader, writer), return_exceptions=True
        )

    return await asyncio.start_server(connected, address, port)


@slow
async def test_memory_does_not_depend_on_the_size_of_a_video(
    workspace: Workspace, site: Site
) -> None:
    """A video of more than 1 GB is archived with as much memory as a small one."""
    await film(site.videos / "small.mp4")
    result, small = await measured(workspace, site, "small")
    assert result == Ended(0, "", "")
    await long_film(site.videos / "large.mp4")
    assert site.size("large") > MORE_THAN_A_GIGABYTE
    shutil.rmtree(workspace.archive)
    result, large = await measured(workspace, site, "large")
    print(f"peak memory: {small / 1024:.1f} MiB for a small video, {large / 1024:.1f} MiB for 1 GB")
    assert result == Ended(0, "", "")
    await assert_archived(workspace, site, "large")
    shutil.rmtree(workspace.archive)
    assert abs(large - small) < SAME_MEMORY
