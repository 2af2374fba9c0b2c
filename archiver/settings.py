"""Settings: what a person can set of a backup or a repair."""

from dataclasses import dataclass, field

from archiver.apikey import ApiKey
from archiver.shards import Shard


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where and how to ask the API: `rate` in requests a second, `timeout` in seconds.

    `retries` is how often a request is repeated that got no usable response.
    """

    key: ApiKey
    url: str = "https://modelslab.com/api"
    rate: float = 5.0
    timeout: float = 30.0
    retries: int = 6


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """How to download: `timeout` in seconds, sizes in bytes, `limit_rate` in bytes a second."""

    timeout: float = 30.0
    retries: int = 2
    max_size: int = 100 * 10**9
    min_free: int = 10**9
    allow_private: bool = False
    """Whether links may lead to addresses that are not public."""
    limit_rate: float | None = None
    concurrency: int = 8
    """How many downloads may run at once."""
    per_host: int = 8
    """How many of them from one host."""


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """How to reach a bucket: `timeout` in seconds, sizes in bytes, `limit_rate` in bytes a second.

    `retries` is how often a request is repeated that failed for a reason that may pass.
    """

    timeout: float = 60.0
    """How long a connection may stay silent."""
    retries: int = 8
    limit_rate: float | None = None
    """Of all uploads together."""
    connections: int = 32
    """How many there may be at once."""
    pause_first: float = 0.5
    """The first pause before a request is repeated; later ones grow."""
    pause_longest: float = 30.0
    multipart_above: int = 1 << 30
    """Larger objects are written, and copied, in parts."""
    part_size: int = 64 << 20
    """How large a part is at least."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long to pause, in seconds. Nobody needs to set these; tests shorten them."""

    poll_min: float = 5.0
    poll_max: float = 60.0
    """Between two requests about one generation. The provider's samples poll every 5 to 10 s;
    identical requests in quick succession have been punished as spam."""
    poll_first: float = 5.0
    """The first pause where the provider gives no estimate; later ones grow."""
    not_found: float = 180.0
    """For how long an ID that ModelsLab does not know yet is asked about, at most: clients have
    seen jobs that were not found at first finish minutes later."""
    not_readable: float = 90.0
    """For how long links are tried whose file cannot be read yet, at most."""
    links_first: float = 1.5
    """The first pause before such a link is tried again; later ones grow."""
    short_pause: float = 60.0
    """A pause that is no longer is always waited out."""
    between_pages: float = 2.0
    """Between two pages of one's own generations."""
    default_pause: float = 30.0
    """How long to pause when rate-limited without a hint."""
    after_pause: float = 5.0
    """After a pause others go first, for this long, before the request that led to it."""
    grace: float = 10.0
    """How long downloads may go on after an interruption."""
    stale_after: float = 14 * 86400.0
    """A partial file that no run has resumed for this long is deleted."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to back up; times are in seconds."""

    api: ApiSettings
    download: DownloadSettings = field(default_factory=DownloadSettings)
    endpoint: str = "deepfake"
    """The endpoint that a bare ID belongs to."""
    wait: float = 900.0
    """How long to poll what is still being made, and to wait out rate limits."""
    max_time: float | None = None
    lock_wait: float = 0.0
    retry_lost: bool = False
    strict: bool = False
    shard: Shard | None = None
    """The part of the lists that this run archives, where many runs share them."""
    discover: tuple[str, ...] = ()
    """The types of one's own generations to list, such as `video`: they are backed up too."""
    bucket: BucketSettings = field(default_factory=BucketSettings)
    timings: Timings = field(default_factory=Timings)
