"""Certificate authorities that a test trusts."""

import ssl
import subprocess
from pathlib import Path

import pytest


def trust(path: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authorities in a file, as a process does that is started with `SSL_CERT_FILE`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.create_default_context()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


def certified(path: Path) -> ssl.SSLContext:
    """Return the TLS context of a server at 127.0.0.1, with a self-signed certificate."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", path, "-out", path.with_suffix(".crt"),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
