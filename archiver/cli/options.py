"""Options that several commands share, and where their values come from."""

import os
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archiver.cli.help import GENERAL, Argument, Option
from archiver.cli.params import (
    PARTS,
    Archive,
    Count,
    Directory,
    File,
    Name,
    Parsed,
    api_url,
    endpoint,
    ping_url,
    positive_duration,
)
from archiver.units import parse_byte_rate, parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import DataclassInstance

    from archiver.location import Location

_Command = TypeVar("_Command", bound="Callable[..., Any] | click.Command")
_Kind = TypeVar("_Kind", bound="DataclassInstance")
_CONFIG = "archiver.cli.config"
"""Where a context remembers which configuration file was named."""


def option(*names: str, heading: str, **settings: Any) -> Callable[[_Command], _Command]:
    """Return a Click option under a heading, which is also read from `ARCHIVER_<NAME>`.

    A flag can be unset by `--no-<name>` where the environment or the configuration file sets it.
    """
    long_name = next(name for name in names if name.startswith("--"))
    settings.setdefault("envvar", _variable(long_name))
    settings.setdefault("show_default", "default" in settings)
    if settings.get("is_flag"):
        both = f"{long_name}/--no-{long_name[2:]}"
        names = tuple(both if name == long_name else name for name in names)
    return click.option(*names, cls=Option, heading=heading, show_envvar=True, **settings)


def argument(name: str, *, heading: str, **settings: Any) -> Callable[[_Command], _Command]:
    """Return a Click argument under a heading."""
    return click.argument(name, cls=Argument, heading=heading, **settings)


def pick(kind: type[_Kind], options: Mapping[str, Any]) -> _Kind:
    """Return the options that are fields of a dataclass, as one value."""
    from dataclasses import fields

    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in options.items() if name in names})


def _variable(name: str) -> str:
    return "ARCHIVER_" + name.strip("-").replace("-", "_").upper()


def _all(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Return a decorator that adds several options to a command, in this order."""

    def add(command: _Command) -> _Command:
        for each in reversed(options):
            command = each(command)
        return command

    return add


# --- The configuration file


def _default_config() -> str:
    return f"{click.get_app_dir('archiver')}/config.toml"


def _below_home(path: str) -> str:
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 (help needs no pathlib)
    return f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


def _read_config(ctx: click.Context, _option: click.Parameter, path: "Path | None") -> None:
    """Take a command's defaults from its configuration file, the group's, or the default one.

    Raises:
        ConfigurationError: if the file cannot be read or something in it is wrong.
    """
    here = ctx.get_parameter_source("config") is click.core.ParameterSource.COMMANDLINE
    named = path if here else ctx.meta.get(_CONFIG, path)
    ctx.meta[_CONFIG] = named
    if ctx.parent is None or ctx.resilient_parsing:
        return
    if named or _exists(_default_config()):
        from pathlib import Path

        from archiver.cli.config import defaults

        ctx.default_map = defaults(named or Path(_default_config()), ctx)


def _exists(path: str) -> bool:
    """Return whether a file exists; where it cannot be looked for, as without a home, none does."""
    return path.startswith(os.sep) and os.access(path, os.F_OK)


config_option = option(
    "--config", metavar="FILE", type=File(), heading=GENERAL, is_eager=True, expose_value=False,
    callback=_read_config,
    show_default=_below_home(_default_config()),
    help="Read options from this TOML file by their names, such as downloads = 8; a table such as "
    "[backup] is for that command alone. The environment and the command line take precedence. "
    "A flag that is set there is unset by its opposite, such as --no-strict.",
)  # fmt: skip

# --- What several commands have

INPUT, LIMITS = "Input and output", "Limits"
_input = partial(option, heading=INPUT)
_reporting = partial(option, heading="Reporting")
_monitoring = partial(option, heading="Monitoring")
_api = partial(option, heading="API")
_download = partial(option, heading="Downloads")
_limit = partial(option, heading=LIMITS)

manifests_argument = argument(
    "manifests", metavar="[MANIFEST]...", nargs=-1, type=Name(allow_dash=True),
    envvar="ARCHIVER_MANIFESTS", heading=INPUT,
    help="Lists of IDs, required without --discover; separate them with colons in the environment "
    "variable.",
)  # fmt: skip


def endpoint_url(text: str) -> str:
    """Return the URL of a store's S3 API.

    Raises:
        ValueError: if it is none.
    """
    if not text.lower().startswith(("https://", "http://")):
        raise ValueError(f"{text!r} is not a URL that begins with https:// or http://")
    return text


def _located(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the archive as one value: in a bucket, with how that is reached."""

    @wraps(command)
    def located(
        archive: "Location", endpoint_url: str | None, state_dir: "Path | None", **options: Any
    ) -> Any:
        from archiver.location import reached

        return command(archive=reached(archive, endpoint_url, state_dir), **options)

    return located


bucket_options = _all(
    _input(
        "--endpoint-url", metavar="URL", type=Parsed("url", endpoint_url),
        help="The URL of the S3 API of a bucket that is not Amazon's: of Cloudflare R2, SeaweedFS, "
        "MinIO and others; see archiver manual buckets.",
    ),
    _input(
        "--state-dir", metavar="DIR", type=Directory(), show_default="the platform's place",
        help="Where the catalogue of an archive in a bucket is, and what is on its way there.",
    ),
)  # fmt: skip
archive_option = _all(
    _located,
    _input(
        "-a", "--archive", metavar="DIR", type=Archive(), required=True,
        help="The archive, a directory or s3://BUCKET/PREFIX; a backup creates it if it does not "
        "exist.",
    ),
    bucket_options,
)  # fmt: skip
endpoint_option = _input(
    "--endpoint", metavar="NAME", type=Parsed("endpoint", endpoint), default="deepfake",
    help="The endpoint of a bare ID: deepfake, realtime, video, v7/video-fusion, "
    "v1/enterprise/video and others.",
)  # fmt: skip

verbose_option = _reporting(
    "-v", "--verbose", count=True,
    help="Report the outcome of each generation; with -vv each request too.",
)  # fmt: skip
quiet_option = _reporting(
    "-q", "--quiet", is_flag=True, help="Print nothing unless something is wrong; show no bars."
)
json_option = _reporting(
    "--json", "as_json", is_flag=True, help="Print a summary in JSON to standard output."
)

monitoring_options = _all(
    _monitoring(
        "--ping", metavar="URL", type=Parsed("URL", ping_url),
        help="Ping a monitoring service such as Healthchecks when the run begins and when it has "
        "ended. The URL is a secret: set it in the environment or in a file rather than on the "
        "command line.",
    ),
    _monitoring(
        "--metrics", metavar="FILE", type=File(dir_okay=False),
        help="Write metrics for Prometheus' textfile collector; one file per archive.",
    ),
    _monitoring(
        "--log-file", metavar="FILE", type=File(dir_okay=False),
        help="Append a log to this file, which may be rotated.",
    ),
    _monitoring(
        "--log-format", metavar="text|json", type=click.Choice(["text", "json"]), default="text",
        help="Format of the log file: text, or one JSON object per line.",
    ),
)  # fmt: skip

lock_wait_option = _limit(
    "--lock-wait", metavar="DURATION", type=Parsed("duration", parse_duration), default="0",
    help="How long to wait while another run holds the archive.",
)  # fmt: skip

_COUNT = Count(1, 256)
_timeout = _download(
    "--timeout", metavar="DURATION", type=Parsed("duration", positive_duration), default="30s",
    help="Give up on a connection, to the API or a link, that is silent for this long.",
)  # fmt: skip
_api_options = (
    _api(
        "--api-key-file", metavar="FILE", type=File(),
        help="The file that holds the API key. Without it the key is read from MODELSLAB_API_KEY, "
        "or from the file modelslab-api-key in $CREDENTIALS_DIRECTORY.",
    ),
    _api(
        "--api-rate", metavar="N/s", type=Parsed("rate", parse_rate), default="5/s",
        help="Send at most this many requests to the API: 5/s, 30/m.",
    ),
    _api(
        "--api-share", metavar="M", type=PARTS, default=1,
        help="Take one M-th of --api-rate, which is then the rate of M processes that share the "
        "account.",
    ),
    _api(
        "--wait", metavar="DURATION", type=Parsed("duration", parse_duration), default="15m",
        help="How long to poll for generations still being made, to try again what is not found or "
        "cannot be read yet, and to wait out rate limits; with 0 they are left to the next run. A "
        "pause of up to a minute is always waited out.",
    ),
    _api(
        "--retries", metavar="N", type=Count(0, 20), default=6,
        help="Repeat a request that gets no usable response up to this many times, at growing "
        "intervals; a download at most twice.",
    ),
    _api(
        "--api-url", metavar="URL", type=Parsed("url", api_url),
        default="https://modelslab.com/api", help="The URL of the API.",
    ),
)  # fmt: skip
api_options = _all(*_api_options, _timeout)
fetch_options = _all(
    *_api_options,
    _download(
        "--downloads", metavar="N", type=_COUNT, default=8,
        help="Download at most this many videos at once.",
    ),
    _download(
        "--downloads-per-host", metavar="N", type=_COUNT, show_default="as --downloads",
        help="Download at most this many of them from one host.",
    ),
    _download(
        "--limit-rate", metavar="RATE", type=Parsed("rate", parse_byte_rate),
        help="Download at most this many bytes per second in total: 500K, 20M; and to a bucket, "
        "send at most as many.",
    ),
    _timeout,
    _download(
        "--max-size", metavar="SIZE", type=Parsed("size", parse_size), default="100G",
        help="Download no video larger than this.",
    ),
    _download(
        "--allow-private-links", is_flag=True,
        help="Follow links to addresses that are not public: loopback, private, link-local.",
    ),
    _limit(
        "--min-free", metavar="SIZE", type=Parsed("size", parse_size), default="1G",
        help="Leave at least this much of the disk free.",
    ),
    lock_wait_option,
)  # fmt: skip
