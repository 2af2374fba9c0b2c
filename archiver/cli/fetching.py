"""How to reach the API and download, as the command line has it; and where the API key is."""

import os
from dataclasses import dataclass
from pathlib import Path

from archiver.apikey import ApiKey
from archiver.errors import ConfigurationError
from archiver.settings import ApiSettings, BucketSettings, DownloadSettings, Settings
from archiver.shards import Shard

_LINK_RETRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """The options that become settings: sizes are in bytes, times in seconds, rates per second."""

    api_key_file: Path | None
    api_rate: float
    api_share: int
    wait: float
    retries: int
    api_url: str
    downloads: int
    downloads_per_host: int | None
    limit_rate: int | None
    timeout: float
    max_size: int
    allow_private_links: bool
    min_free: int
    lock_wait: float
    endpoint: str = "deepfake"
    shard: Shard | None = None
    max_time: float | None = None
    retry_lost: bool = False
    strict: bool = False
    discover: bool = False
    discover_types: tuple[str, ...] = ()

    def settings(self, key: ApiKey | None = None) -> Settings:
        """Return the settings, with this API key or with the user's.

        Raises:
            ConfigurationError: if the user's key is not found, or cannot be one, or if a proxy of
                the environment is of no use.
        """
        _check_proxies()
        key = key or api_key(self.api_key_file)
        rate = self.api_rate / self.api_share
        return Settings(
            ApiSettings(key, self.api_url, rate, self.timeout, self.retries),
            self._downloads(),
            endpoint=self.endpoint,
            wait=self.wait,
            max_time=self.max_time,
            lock_wait=self.lock_wait,
            retry_lost=self.retry_lost,
            strict=self.strict,
            shard=self.shard,
            discover=self.discover_types if self.discover else (),
            bucket=BucketSettings(limit_rate=self.limit_rate),
        )

    def _downloads(self) -> DownloadSettings:
        return DownloadSettings(
            self.timeout,
            min(_LINK_RETRIES, self.retries),
            max_size=self.max_size,
            min_free=self.min_free,
            allow_private=self.allow_private_links,
            limit_rate=self.limit_rate,
            concurrency=self.downloads,
            per_host=self.downloads_per_host or self.downloads,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """The options that only ask the API become settings: times are in seconds."""

    api_key_file: Path | None
    api_rate: float
    api_share: int
    wait: float
    retries: int
    api_url: str
    timeout: float
    types: tuple[str, ...]
    shard: Shard | None = None

    def settings(self) -> Settings:
        """Return the settings.

        Raises:
            ConfigurationError: if the key is not found, or cannot be one, or if a proxy of the
                environment is of no use.
        """
        _check_proxies()
        key = api_key(self.api_key_file)
        rate = self.api_rate / self.api_share
        api = ApiSettings(key, self.api_url, rate, self.timeout, self.retries)
        return Settings(api, wait=self.wait, discover=self.types, shard=self.shard)


def _check_proxies() -> None:
    if any(name.lower().endswith("_proxy") for name in os.environ):
        from archiver.http.proxies import Proxies

        Proxies.from_environment()


def api_key(file: Path | None) -> ApiKey:
    """Return the API key: from `file`, `MODELSLAB_API_KEY` or systemd's credentials.

    Raises:
        ConfigurationError: if there is none, or it cannot be one.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if file is None and (key := os.environ.get("MODELSLAB_API_KEY")):
        return ApiKey(key.strip())
    if file is None and credentials:
        file = Path(credentials) / "modelslab-api-key"
    if file is None:
        raise ConfigurationError(
            "no API key: set MODELSLAB_API_KEY, or name a file that holds it with --api-key-file"
        )
    return _key_in(file)


def _key_in(file: Path) -> ApiKey:
    try:
        return ApiKey(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        why = f"the API key file {file} cannot be read: {error.strerror}"
        raise ConfigurationError(why) from None
    except UnicodeError:
        raise ConfigurationError(f"the API key file {file} is not text in UTF-8") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (it was read from {file})") from None
