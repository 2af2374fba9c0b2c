"""What can be said on the command line, and what it means: options, their values, the key."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from archiver.errors import ConfigurationError
from archiver.quantity import parse_duration, parse_rate, parse_size
from archiver.secret import ApiKey

if TYPE_CHECKING:
    from archiver.night import Settings

Command = TypeVar("Command", bound="Callable[..., Any] | click.Command")
_LINK_RETRIES = 2


class Parsed(click.ParamType[Any]):
    """A value that one of our own functions reads; its `ValueError` is shown to the person."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse what was given; a value that is parsed already is let through."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _api_url(text: str) -> str:
    parts = urlsplit(text)
    usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query
    if not usable or parts.port == 0:
        raise ValueError(f"{text!r} is not an http(s) URL such as https://modelslab.com/api")
    if parts.username or parts.password:
        raise ValueError("the URL has a user or a password in it, which would be shown in messages")
    return text.rstrip("/")


def _some_time(text: str) -> float:
    if (seconds := parse_duration(text)) == 0:
        raise ValueError("it must be more than 0")
    return seconds


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """A Click option that also reads `ARCHIVER_<NAME>`, and says so."""
    long_name = next(name for name in names if name.startswith("--"))
    variable = "ARCHIVER_" + long_name.strip("-").replace("-", "_").upper()
    settings.setdefault("show_default", "default" in settings)
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


archive_option = option(
    "-a", "--archive", metavar="DIR", type=click.Path(path_type=Path), required=True,
    help="The archive: a directory, made if it does not exist.",
)  # fmt: skip
quiet_option = option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")
verbose_option = option(
    "-v", "--verbose", count=True, help="Tell each generation's outcome; -vv each question too."
)

json_option = option(
    "--json", "as_json", is_flag=True, help="Print a summary in JSON to standard output."
)
_FETCHING = (
    option(
        "--api-url",
        type=Parsed("url", _api_url),
        default="https://modelslab.com/api",
        help="Where the API is.",
    ),
    option(
        "--api-key-file",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="A file that holds the API key. Without it the key is read from MODELSLAB_API_KEY, or "
        "from $CREDENTIALS_DIRECTORY/modelslab-api-key.",
    ),
    option(
        "--api-rate",
        metavar="N/s",
        type=Parsed("rate", parse_rate),
        default="5/s",
        help="Ask the API at most so often.",
    ),
    option(
        "--downloads",
        metavar="N",
        type=click.IntRange(1, 256),
        default=8,
        help="Download so many videos at once.",
    ),
    option(
        "--wait",
        metavar="DURATION",
        type=Parsed("duration", parse_duration),
        default="15m",
        help="How long to keep asking for what is still being made; 0 leaves it for the next run. "
        "Also how long to sit out throttling.",
    ),
    option(
        "--timeout",
        metavar="DURATION",
        type=Parsed("duration", _some_time),
        default="30s",
        help="How long a connection may stay silent.",
    ),
    option(
        "--retries",
        metavar="N",
        type=click.IntRange(0, 20),
        default=6,
        help="When the API gives no usable answer ask again so often, at growing intervals; "
        "a link at most twice.",
    ),
    option(
        "--max-size",
        metavar="SIZE",
        type=Parsed("size", parse_size),
        default="100G",
        help="Take no video larger than this.",
    ),
    option(
        "--min-free",
        metavar="SIZE",
        type=Parsed("size", parse_size),
        default="1G",
        help="Leave so much of the disk free.",
    ),
    option(
        "--lock-wait",
        metavar="DURATION",
        type=Parsed("duration", parse_duration),
        default="0",
        help="How long to wait for another run that holds the archive.",
    ),
    option(
        "--allow-private-links",
        is_flag=True,
        help="Follow links to addresses that are not public: loopback, private, link-local.",
    ),
)


def fetch_options(command: Command) -> Command:
    """Add the options of every command that asks ModelsLab and downloads."""
    for each in reversed(_FETCHING):
        command = each(command)
    return command


def share(text: str) -> float:
    """Return a share: `5%` or `0.05`.

    Raises:
        ValueError: if it is none, or not above 0 and at most 1.
    """
    number = text.strip().removesuffix("%")
    if not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise ValueError(f"{text!r} is not a share such as 5%")
    value = float(number) / (100 if text.strip().endswith("%") else 1)
    if not 0 < value <= 1:
        raise ValueError(f"{text!r} is not between 0 and 100%")
    return value


def settings_of(options: dict[str, Any]) -> "Settings":
    """Return the settings that the options of `fetch_options` amount to.

    Raises:
        ConfigurationError: if there is no usable API key.
    """
    from archiver.api import ApiSettings  # noqa: PLC0415
    from archiver.night import Settings  # noqa: PLC0415
    from archiver.transfer import DownloadSettings  # noqa: PLC0415

    key = options.get("key") or _api_key(options["api_key_file"])
    return Settings(
        ApiSettings(options["api_url"], key, options["timeout"], options["retries"]),
        DownloadSettings(
            key,
            options["timeout"],
            min(_LINK_RETRIES, options["retries"]),
            max_size=options["max_size"],
            min_free=options["min_free"],
            allow_private=options["allow_private_links"],
        ),
        downloads=options["downloads"],
        api_rate=options["api_rate"],
        wait=options["wait"],
        max_time=options.get("max_time"),
        lock_wait=options["lock_wait"],
        retry_lost=options.get("retry_lost", False),
        strict=options.get("strict", False),
    )


def _api_key(file: Path | None) -> ApiKey:
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
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"the API key file {file} cannot be read: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (it stands in {file})") from None
