"""The command line: parse, call, print, exit."""

import asyncio
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from archiver.errors import ArchiverError, ConfigurationError
from archiver.generation import canonical_endpoint
from archiver.quantity import parse_duration, parse_rate, parse_size
from archiver.secret import ApiKey

if TYPE_CHECKING:
    from archiver.backup import Settings
    from archiver.outcome import Report

Command = TypeVar("Command", bound="Callable[..., Any] | click.Command")

EXIT_STATUS = """\b
Exit status (the worst that happened wins):
    0  every generation asked for is held, or is still being made
    1  a bug: the traceback is shown
    2  the command line or the configuration is wrong
    3  some generations could not be archived, or a line was not understood
    4  fixity: a held file is missing or does not match
   69  the API cannot be reached at all: the night was ended early
   74  the disk: full, read-only, failing
   75  another run holds the archive
   77  the API key was refused or has no credit
  130  interrupted, 143 terminated: the rest goes on next time
"""


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


@click.group(epilog=EXIT_STATUS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="archiver", message="%(prog)s %(version)s")
def cli() -> None:
    """Back up videos generated through the ModelsLab API before their links die.

    \b
    Example:
      export MODELSLAB_API_KEY=...
      archiver backup -a /srv/videos manifests/

    Every video that can be had is then on disk, whole, with its checksum in
    DIR/manifest-sha256.txt; what cannot be had is named with the reason.
    """


@cli.command(epilog=EXIT_STATUS)
@archive_option
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True)
@option(
    "--endpoint", type=Parsed("endpoint", canonical_endpoint), default="deepfake",
    help="What a bare ID belongs to: realtime, video, v7/video-fusion, v1/enterprise/video, …",
)  # fmt: skip
@option(
    "--api-url", type=Parsed("url", _api_url), default="https://modelslab.com/api",
    help="Where the API is.",
)  # fmt: skip
@option(
    "--api-key-file", metavar="PATH", type=click.Path(path_type=Path),
    help="A file that holds the API key. Without it the key is read from MODELSLAB_API_KEY, or "
    "from $CREDENTIALS_DIRECTORY/modelslab-api-key.",
)  # fmt: skip
@option(
    "--api-rate", metavar="N/s", type=Parsed("rate", parse_rate), default="5/s",
    help="Ask the API at most so often.",
)  # fmt: skip
@option(
    "--downloads", metavar="N", type=click.IntRange(1, 256), default=8,
    help="Download so many videos at once.",
)  # fmt: skip
@option(
    "--wait", metavar="DURATION", type=Parsed("duration", parse_duration), default="15m",
    help="How long to keep asking for what is still being made; 0 leaves it for the next run. "
    "Also how long to sit out throttling.",
)  # fmt: skip
@option(
    "--timeout", metavar="DURATION", type=Parsed("duration", _some_time), default="30s",
    help="How long a connection may stay silent.",
)  # fmt: skip
@option(
    "--retries", metavar="N", type=click.IntRange(0, 20), default=6,
    help="Ask the API again so often when it gives no usable answer, at growing intervals.",
)  # fmt: skip
@option(
    "--max-time", metavar="DURATION", type=Parsed("duration", parse_duration),
    help="End the night in order after so long; the rest is left for the next.",
)  # fmt: skip
@option(
    "--max-size", metavar="SIZE", type=Parsed("size", parse_size), default="100G",
    help="Take no video larger than this.",
)  # fmt: skip
@option(
    "--min-free", metavar="SIZE", type=Parsed("size", parse_size), default="1G",
    help="Leave so much of the disk free.",
)  # fmt: skip
@option(
    "--lock-wait", metavar="DURATION", type=Parsed("duration", parse_duration), default="0",
    help="How long to wait for another run that holds the archive.",
)  # fmt: skip
@option(
    "--allow-private-links", is_flag=True,
    help="Follow links to addresses that are not public: loopback, private, link-local.",
)  # fmt: skip
@option("--retry-lost", is_flag=True, help="Ask again for what is known to be lost.")
@option("--strict", is_flag=True, help="Fetch nothing if a manifest line is not understood.")
@option("--dry-run", is_flag=True, help="Say what would be asked for; touch nothing.")
@option("--json", "as_json", is_flag=True, help="Print a summary in JSON to standard output.")
@quiet_option
@verbose_option
@click.pass_context
def backup(ctx: click.Context, /, **options: Any) -> None:
    """Archive the videos of all generations that the MANIFESTs list.

    A MANIFEST is a file of IDs (text, CSV, TSV, JSON or JSON Lines), a directory of such files,
    or - for standard input. What is held already is not asked for again.

    \b
    A text manifest, one generation a line:
      263                    an ID of the default endpoint
      realtime/263           of another endpoint
      https://modelslab.com/api/v6/video/fetch/147

    DURATION is in seconds, or 90s, 15m, 2h; SIZE in bytes, or 500K, 20M, 1G.
    """
    ctx.exit(_dry_run(options) if options["dry_run"] else _backup(options))


@cli.command(short_help="Back up a dozen generations from an emulated ModelsLab.")
@option(
    "-a", "--archive", metavar="DIR", type=click.Path(path_type=Path),
    help="The archive to make; a new temporary directory if not given.",
)  # fmt: skip
@quiet_option
@verbose_option
@click.pass_context
def demo(ctx: click.Context, /, archive: Path | None, quiet: bool, verbose: int) -> None:
    """Back up a dozen generations from an emulated ModelsLab; needs no key and no network."""
    from archiver.demo import demonstrate  # noqa: PLC0415 (keeps the start of --help quick)
    from archiver.progress import log_to_stderr, watching  # noqa: PLC0415

    log_to_stderr(verbose)
    place = archive or Path(tempfile.mkdtemp(prefix="archiver-demo-"))
    click.echo(f"Backing up a dozen generations from an emulated ModelsLab into {place}")
    with watching(bars=not quiet and sys.stderr.isatty()) as watch:
        report = asyncio.run(demonstrate(place, watch))
    click.echo("\n".join(report.lines()))
    click.echo(
        "\nCheck it without this program:\n"
        f"  (cd {shlex.quote(str(place))} && sha256sum -c manifest-sha256.txt)"
    )
    as_it_should = report.ending is None and not report.failed  # one is to be lost
    ctx.exit(0 if as_it_should else report.exit_status)


def _backup(options: dict[str, Any]) -> int:
    from archiver.backup import backup as run  # noqa: PLC0415
    from archiver.outcome import Report  # noqa: PLC0415
    from archiver.progress import log_to_stderr, watching  # noqa: PLC0415

    log_to_stderr(options["verbose"])
    try:
        settings = _settings(options)
        with watching(bars=not options["quiet"] and sys.stderr.isatty()) as watch:
            report = asyncio.run(
                run(options["archive"], options["manifests"], options["endpoint"], settings, watch)
            )
    except ArchiverError as error:
        if options["as_json"]:
            click.echo(json.dumps(Report(ending=error).as_json(), indent=2))
        raise
    _tell(report, options)
    return report.exit_status


def _tell(report: "Report", options: dict[str, Any]) -> None:
    """Cron is told nothing when all is well; a person at a terminal is."""
    if options["as_json"]:
        click.echo(json.dumps(report.as_json(), indent=2))
    wanted = sys.stderr.isatty() or options["verbose"]
    if report.exit_status or (wanted and not options["quiet"]):
        click.echo("\n".join(report.lines()), err=True)


def _dry_run(options: dict[str, Any]) -> int:
    from archiver.backup import plan  # noqa: PLC0415

    settings = _settings(options | {"key": ApiKey("none-is-needed")})
    report, generations = plan(
        options["archive"], options["manifests"], options["endpoint"], settings
    )
    if options["as_json"]:
        names = [generation.name for generation in generations]
        click.echo(
            json.dumps(
                report.as_json() | {"would_ask": report.would_ask, "generations": names}, indent=2
            )
        )
    else:
        for generation in generations:
            click.echo(f"would ask for {generation}")
    if report.exit_status or not options["quiet"]:
        click.echo("\n".join(report.lines()), err=True)
    return report.exit_status


def _settings(options: dict[str, Any]) -> "Settings":
    from archiver.api import ApiSettings  # noqa: PLC0415
    from archiver.backup import Settings  # noqa: PLC0415
    from archiver.transfer import DownloadSettings  # noqa: PLC0415

    key = options.get("key") or _api_key(options["api_key_file"])
    return Settings(
        ApiSettings(options["api_url"], key, options["timeout"], options["retries"]),
        DownloadSettings(
            key,
            options["timeout"],
            max_size=options["max_size"],
            min_free=options["min_free"],
            allow_private=options["allow_private_links"],
        ),
        downloads=options["downloads"],
        api_rate=options["api_rate"],
        wait=options["wait"],
        max_time=options["max_time"],
        lock_wait=options["lock_wait"],
        retry_lost=options["retry_lost"],
        strict=options["strict"],
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


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        status = cli.main(prog_name="archiver", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except ArchiverError as error:
        for line in str(error).splitlines():
            click.echo(f"archiver: {line}", err=True)
        status = error.exit_status
    sys.exit(status)
