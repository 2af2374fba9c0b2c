"""The command line: parse, call, print, exit."""

import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import Any, TextIO

import click

from archiver import __version__
from archiver.cli.help import GroupedGroup
from archiver.cli.options import (
    LIMITS,
    WHAT,
    archive_option,
    argument,
    config_option,
    endpoint_option,
    fetch_options,
    json_option,
    manifests_argument,
    night_watch_options,
    option,
    quiet_option,
    verbose_option,
)
from archiver.cli.params import Count, Directory, Name, Parsed, share
from archiver.errors import ArchiverError
from archiver.units import parse_duration

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


@click.group(
    cls=GroupedGroup,
    epilog=EXIT_STATUS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@config_option
@click.version_option(__version__, message="%(prog)s %(version)s", help="Print the version.")
def cli() -> None:
    """Back up videos generated through the ModelsLab API before their links die.

    \b
    With a list of IDs in ids.txt:
      export MODELSLAB_API_KEY=...
      archiver backup -a videos ids.txt

    Every video that can be had is then on disk, whole, with its checksum in
    videos/manifest-sha256.txt; what cannot be had is named with the reason.

    \b
    To see it work without a key:
      archiver demo

    Each command has its own help: archiver backup --help
    """


@cli.command(
    epilog=EXIT_STATUS, short_help="Archive the videos of all generations that are listed."
)
@manifests_argument
@archive_option
@endpoint_option
@option("--dry-run", is_flag=True, heading=WHAT, help="Say what would be asked for; touch nothing.")
@option(
    "--strict", is_flag=True, heading=WHAT,
    help="Fetch nothing if a line of a MANIFEST is not understood.",
)  # fmt: skip
@option("--retry-lost", is_flag=True, heading=WHAT, help="Ask again for what is known to be lost.")
@fetch_options
@option(
    "--max-time", metavar="DURATION", type=Parsed("duration", parse_duration), heading=LIMITS,
    help="End the run in order after this long; the rest is left for the next.",
)  # fmt: skip
@verbose_option
@quiet_option
@json_option
@night_watch_options
@config_option
@click.pass_context
def backup(ctx: click.Context, /, **options: Any) -> None:
    """Archive the videos of all generations that the MANIFESTs list.

    A MANIFEST is a file of IDs (text, CSV, TSV, JSON or JSON Lines), a directory of such files,
    or - for standard input. What is held already is not asked for again.

    \b
    A text manifest, one generation a line:
      263             an ID of the default endpoint
      realtime/263    of another endpoint
      https://modelslab.com/api/v6/video/fetch/147

    DURATION is in seconds, or 90s, 15m, 2h; SIZE in bytes, or 500K, 20M, 1G.
    """
    from archiver.cli.backup import backup, dry_run  # noqa: PLC0415 (see there)

    ctx.exit(dry_run(options) if options["dry_run"] else backup(options))


@cli.command(
    epilog=EXIT_STATUS, short_help="Check that every file is what its checksum says; repair."
)
@archive_option
@option(
    "--sample", metavar="SHARE", type=Parsed("share", share), default="100%", heading=WHAT,
    help="Read only this share of the files: those proven longest ago.",
)  # fmt: skip
@option(
    "--older-than", metavar="DURATION", type=Parsed("duration", parse_duration), default="0",
    heading=WHAT, help="Read only files last proven at least this long ago, or never.",
)  # fmt: skip
@option(
    "--threads", metavar="N", type=Count(1, 256), default=os.cpu_count() or 1,
    show_default="one per CPU", heading=WHAT, help="Read this many files at once.",
)  # fmt: skip
@option(
    "--repair", is_flag=True, heading="Repair",
    help="Mend what can be mended; fetch what is missing or damaged.",
)  # fmt: skip
@option(
    "--accept-changed", is_flag=True, heading="Repair",
    help="With --repair: take another file than the recorded one, if ModelsLab gives that now.",
)  # fmt: skip
@verbose_option
@quiet_option
@json_option
@night_watch_options
@fetch_options
@config_option
@click.pass_context
def verify(ctx: click.Context, /, **options: Any) -> None:
    """Check that every file in the archive is what its checksum says.

    Names what is missing, changed, unreadable, unexpected or contradictory. It needs no key and
    may run beside a backup; --repair does need one, and holds the archive. A damaged file is kept
    in .archiver/quarantine, never deleted.

    The options from "The API" on are for --repair alone. DURATION is in seconds, or 90s, 15m, 2h,
    30d; SIZE in bytes, or 500K, 20M, 1G; SHARE is 5% or 0.05.
    """
    from archiver.cli.verify import verify  # noqa: PLC0415

    ctx.exit(verify(options))


@cli.command(short_help="Say where the archive stands, or what became of some IDs.")
@argument("which", metavar="[ID|MANIFEST]...", nargs=-1, type=Name(), heading=WHAT,
          help="What to tell of; of the archive as a whole if nothing is named.")  # fmt: skip
@archive_option
@endpoint_option
@option(
    "--json", "as_json", is_flag=True, heading="Reporting",
    help="Print JSON: one object, or with IDs one object per line.",
)  # fmt: skip
@config_option
@click.pass_context
def status(ctx: click.Context, /, **options: Any) -> None:
    """Say where the archive stands: what is held, pending, failed and lost, and the last runs.

    With IDs, or manifests of them: what became of each, and where its files are. It needs no key,
    and may be asked while a backup runs.
    """
    from archiver.cli.status import status  # noqa: PLC0415

    ctx.exit(status(options))


@cli.command(short_help="Write the whole catalogue as CSV or JSON Lines.")
@archive_option
@option(
    "--format", "form", metavar="csv|jsonl", type=click.Choice(["csv", "jsonl"]), default="csv",
    heading=WHAT, help="A table, or one JSON object per line.",
)  # fmt: skip
@config_option
@click.pass_context
def export(ctx: click.Context, /, **options: Any) -> None:
    """Write the whole catalogue to standard output.

    There is one row per file, and one for each generation without any.
    """
    from archiver.cli.export import export  # noqa: PLC0415

    ctx.exit(export(options))


@cli.command(short_help="Back up a dozen generations from an emulated ModelsLab.")
@option(
    "-a", "--archive", metavar="DIR", type=Directory(), envvar=None, heading=WHAT,
    show_default="a new temporary directory",
    help="The archive to make, a directory. Only the command line can say it, so that the demo's "
    "videos never come among your own.",
)  # fmt: skip
@verbose_option
@quiet_option
@config_option
@click.pass_context
def demo(ctx: click.Context, /, **options: Any) -> None:
    """Back up a dozen generations from an emulated ModelsLab; needs no key and no network."""
    from archiver.cli.demo import demo  # noqa: PLC0415

    ctx.exit(demo(options))


@cli.command(short_help="Print the script that lets a shell complete commands.")
@argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]),
          heading="Arguments", help="The shell that is to run the script.")  # fmt: skip
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the script that lets a shell complete commands, options and paths.

    \b
    bash: add this line to ~/.bashrc
      eval "$(archiver completion bash)"

    \b
    zsh: add this line to ~/.zshrc, after compinit
      eval "$(archiver completion zsh)"

    \b
    fish: add this line to ~/.config/fish/config.fish
      archiver completion fish | source

    It works in the next shell that you open.
    """
    from archiver.cli.completion import completion  # noqa: PLC0415

    ctx.exit(completion(shell, ctx.find_root().command))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its status."""
    # asyncio would replace the default handler by one that waits for the loop's next turn.
    signal.signal(signal.SIGINT, _interrupt)
    _open_closed_streams()
    if os.environ.get("_ARCHIVER_COMPLETE", "").startswith("fish"):
        import archiver.cli.fish  # noqa: F401, PLC0415 (it is registered by that)
    try:
        status = cli.main(prog_name="archiver", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except BrokenPipeError:  # whoever reads has seen enough, as `head` does
        _silence(sys.stdout)
        status = 141
    except ArchiverError as error:
        _complain(str(error))
        status = error.exit_status
    except OSError as error:  # what is written has nowhere to go, or a place is not to be seen
        _silence(sys.stdout)
        place = f": {error.filename}" if error.filename else ""
        _complain(f"the disk failed: {error.strerror or error}{place}")
        status = 74
    try:
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)
    sys.exit(status)


def _complain(message: str) -> None:
    with suppress(OSError):
        for line in message.splitlines():
            click.echo(f"archiver: {line}", err=True)


def _open_closed_streams() -> None:
    """Let what is written to a stream that the caller has closed go nowhere."""
    nowhere = partial(open, os.devnull, "w", encoding="utf-8")
    sys.stdout, sys.stderr = sys.stdout or nowhere(), sys.stderr or nowhere()


def _silence(stream: TextIO) -> None:
    """Let what is still to be written to a stream that has failed go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
