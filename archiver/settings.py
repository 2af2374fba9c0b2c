"""How to ask, to download and to spend a night: what a person can set."""

from dataclasses import dataclass

from archiver.apikey import ApiKey

SHORT_PAUSE = 60.0
"""A pause of up to so many seconds is always sat out."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where and how to ask: `timeout` in seconds, `retries` after trouble."""

    url: str
    key: ApiKey
    timeout: float = 30.0
    retries: int = 6


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """How to download: `timeout` in seconds, sizes in bytes, `limit_rate` in bytes a second.

    The key is here only so as not to give it to a link host.
    """

    key: ApiKey
    timeout: float = 30.0
    retries: int = 2
    max_size: int = 100 * 10**9
    min_free: int = 10**9
    allow_private: bool = False
    limit_rate: float | None = None
    at_once: int = 8
    """So many downloads at once, and of those so many from one host: `per_host`."""
    per_host: int = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """How to back up. Times are in seconds, `api_rate` is in questions a second."""

    api: ApiSettings
    download: DownloadSettings
    api_rate: float = 5.0
    wait: float = 900.0
    max_time: float | None = None
    lock_wait: float = 0.0
    retry_lost: bool = False
    strict: bool = False
