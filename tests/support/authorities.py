"""Certificate authorities that a test trusts."""

import ssl
from pathlib import Path

import pytest


def trust(path: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authorities in a file, as a process does that is started with `SSL_CERT_FILE`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.create_default_context()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)
