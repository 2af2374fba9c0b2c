"""What can be said to a command, and what it means: options, the configuration file, the key."""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archiver.cli.help import OTHERS, Argument, Option
from archiver.cli.params import (
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
from archiver.errors import ConfigurationError
from archiver.units import parse_byte_rate, parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    from pathlib import Path

    from archiver.apikey import ApiKey
    from archiver.settings import Settings

_Command = TypeVar("_Command", bound="Callable[..., Any] | click.Command")
_LINK_RETRIES = 2
_CONFIG = "archiver.cli.config"


def option(*names: str, heading: str, **settings: Any) -> Callable[[_Command], _Command]:
    """A Click option under a heading that also reads `ARCHIVER_<NAME>` and the file, and says so.

    A flag can be unset by `--no-<name>` where those have set it.
    """
    long_name = next(name for name in names if name.startswith("--"))
    settings.setdefault("envvar", _variable(long_name))
    settings.setdefault("show_default", "default" in settings)
    if settings.get("is_flag"):
        both = f"{long_name}/--no-{long_name[2:]}"
        names = tuple(both if name == long_name else name for name in names)
    return click.option(*names, cls=Option, heading=heading, show_envvar=True, **settings)


def argument(name: str, *, heading: str, **settings: Any) -> Callable[[_Command], _Command]:
    """A Click argument that is told among the options, under a heading."""
    return click.argument(name, cls=Argument, heading=heading, **settings)


def _variable(name: str) -> str:
    return "ARCHIVER_" + name.strip("-").replace("-", "_").upper()


def _all(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Return what adds several options to a command, in this order."""

    def add(command: _Command) -> _Command:
        for each in reversed(options):
            command = each(command)
        return command

    return add


# --- The configuration file


def _usual_config() -> str:
    return f"{click.get_app_dir('archiver')}/config.toml"


def _shown(path: str) -> str:
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 (the help needs no pathlib)
    return f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


def _configure(ctx: click.Context, _option: click.Parameter, path: "Path | None") -> None:
    """Take a command's defaults from the file that it names, or its group, or from the usual one.

    Raises:
        ConfigurationError: if it cannot be read or something in it is wrong.
    """
    here = ctx.get_parameter_source("config") is click.core.ParameterSource.COMMANDLINE
    named = path if here else ctx.meta.get(_CONFIG, path)
    ctx.meta[_CONFIG] = named
    if ctx.parent is None or ctx.resilient_parsing:
        return
    if named or _is_there(_usual_config()):
        from pathlib import Path  # noqa: PLC0415 (the help needs none)

        from archiver.cli.config import defaults  # noqa: PLC0415

        ctx.default_map = defaults(named or Path(_usual_config()), ctx)


def _is_there(path: str) -> bool:
    """Where it cannot even be looked, as in a service without a home, nothing is."""
    return path.startswith(os.sep) and os.access(path, os.F_OK)


config_option = option(
    "--config", metavar="FILE", type=File(), heading=OTHERS, is_eager=True, expose_value=False,
    callback=_configure,
    show_default=_shown(_usual_config()),
    help="Read options from this TOML file by their names, such as downloads = 8; what stands "
    "under [backup] is for that command alone. The environment and the command line win over it. "
    "A flag that is set there is unset by its opposite, such as --no-strict.",
)  # fmt: skip

# --- What several commands have

WHAT, LIMITS = "What and where", "Time and disk"
_what = partial(option, heading=WHAT)
_report = partial(option, heading="Reporting")
_night = partial(option, heading="Night watch")
_api = partial(option, heading="The API")
_download = partial(option, heading="Downloads")
_limit = partial(option, heading=LIMITS)

manifests_argument = argument(
    "manifests", metavar="MANIFEST...", nargs=-1, required=True, type=Name(allow_dash=True),
    envvar="ARCHIVER_MANIFESTS", heading=WHAT,
    help="The lists of what to archive; in the environment with a colon between them.",
)  # fmt: skip
archive_option = _what(
    "-a", "--archive", metavar="DIR", type=Directory(), required=True,
    help="The archive, a directory; a backup makes it if it does not exist.",
)  # fmt: skip
endpoint_option = _what(
    "--endpoint", metavar="NAME", type=Parsed("endpoint", endpoint), default="deepfake",
    help="What a bare ID belongs to: deepfake, realtime, video, v7/video-fusion, "
    "v1/enterprise/video and others.",
)  # fmt: skip

verbose_option = _report(
    "-v", "--verbose", count=True,
    help="Tell more: what becomes of each generation; with -vv each question too.",
)  # fmt: skip
quiet_option = _report(
    "-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong; show no bars."
)
json_option = _report(
    "--json", "as_json", is_flag=True, help="Print a summary in JSON to standard output."
)

night_watch_options = _all(
    _night(
        "--ping", metavar="URL", type=Parsed("URL", ping_url),
        help="Tell a watcher such as Healthchecks when the run begins and how it ends. The URL is "
        "a secret: put it in the environment or a file rather than on the command line.",
    ),
    _night(
        "--metrics", metavar="FILE", type=File(dir_okay=False),
        help="Write the run's metrics for Prometheus' textfile collector.",
    ),
    _night(
        "--log-file", metavar="FILE", type=File(dir_okay=False),
        help="Append what happens to this file, which may be rotated.",
    ),
    _night(
        "--log-format", metavar="text|json", type=click.Choice(["text", "json"]), default="text",
        help="Format of the log file: text, or one JSON object per line.",
    ),
)  # fmt: skip

_COUNT = Count(1, 256)
fetch_options = _all(
    _api(
        "--api-key-file", metavar="FILE", type=File(),
        help="The file that holds the API key. Without it the key is read from MODELSLAB_API_KEY, "
        "or from the file modelslab-api-key in $CREDENTIALS_DIRECTORY.",
    ),
    _api(
        "--api-rate", metavar="N/s", type=Parsed("rate", parse_rate), default="5/s",
        help="Ask the API at most this often: 5/s, 30/m.",
    ),
    _api(
        "--wait", metavar="DURATION", type=Parsed("duration", parse_duration), default="15m",
        help="How long to keep asking for what is still being made, and to sit out throttling; "
        "with 0 that is left for the next run. A pause of up to a minute is always sat out.",
    ),
    _api(
        "--retries", metavar="N", type=Count(0, 20), default=6,
        help="How often to ask again, at growing intervals, where there is no usable response. A "
        "link is tried again as often, but at most twice.",
    ),
    _api(
        "--api-url", metavar="URL", type=Parsed("url", api_url),
        default="https://modelslab.com/api", help="Where the API is.",
    ),
    _download(
        "--downloads", metavar="N", type=_COUNT, default=8,
        help="Download at most this many videos at once.",
    ),
    _download(
        "--downloads-per-host", metavar="N", type=_COUNT, show_default="as --downloads",
        help="At most this many of them from one host.",
    ),
    _download(
        "--limit-rate", metavar="RATE", type=Parsed("rate", parse_byte_rate),
        help="Download at most this many bytes a second in all: 500K, 20M.",
    ),
    _download(
        "--timeout", metavar="DURATION", type=Parsed("duration", positive_duration), default="30s",
        help="Give up a connection, to the API too, that is silent for this long.",
    ),
    _download(
        "--max-size", metavar="SIZE", type=Parsed("size", parse_size), default="100G",
        help="Take no video larger than this.",
    ),
    _download(
        "--allow-private-links", is_flag=True,
        help="Follow links to addresses that are not public: loopback, private, link-local.",
    ),
    _limit(
        "--min-free", metavar="SIZE", type=Parsed("size", parse_size), default="1G",
        help="Leave at least this much of the disk free.",
    ),
    _limit(
        "--lock-wait", metavar="DURATION", type=Parsed("duration", parse_duration), default="0",
        help="How long to wait for another run that holds the archive.",
    ),
)  # fmt: skip


def settings_of(options: dict[str, Any]) -> "Settings":
    """Return the settings that the options of `fetch_options` amount to.

    Raises:
        ConfigurationError: if there is no usable API key.
    """
    from archiver.settings import ApiSettings, DownloadSettings, Settings  # noqa: PLC0415

    key = _api_key(options["api_key_file"])
    return Settings(
        ApiSettings(options["api_url"], key, options["timeout"], options["retries"]),
        DownloadSettings(
            key,
            options["timeout"],
            min(_LINK_RETRIES, options["retries"]),
            max_size=options["max_size"],
            min_free=options["min_free"],
            allow_private=options["allow_private_links"],
            limit_rate=options["limit_rate"],
            at_once=options["downloads"],
            per_host=options["downloads_per_host"] or options["downloads"],
        ),
        api_rate=options["api_rate"],
        wait=options["wait"],
        max_time=options.get("max_time"),
        lock_wait=options["lock_wait"],
        retry_lost=options.get("retry_lost", False),
        strict=options.get("strict", False),
    )


def _api_key(file: "Path | None") -> "ApiKey":
    from pathlib import Path  # noqa: PLC0415

    from archiver.apikey import ApiKey  # noqa: PLC0415

    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if file is None and (key := os.environ.get("MODELSLAB_API_KEY")):
        return ApiKey(key.strip())
    if file is None and credentials:
        file = Path(credentials) / "modelslab-api-key"
    if file is None:
        raise ConfigurationError(
            "no API key: set MODELSLAB_API_KEY, or name a file that holds it with --api-key-file"
        )
    try:
        return ApiKey(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        why = f"the API key file {file} cannot be read: {error.strerror}"
        raise ConfigurationError(why) from None
    except UnicodeError:
        raise ConfigurationError(f"the API key file {file} is not text in UTF-8") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (it stands in {file})") from None
