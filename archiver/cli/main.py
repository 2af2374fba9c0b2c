"""The command line: the group of commands, and what each error means for the exit status."""

import gc
import io
import os
import resource
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TextIO

import click

from archiver.cli.group import READER_GONE, Group
from archiver.cli.help import EXIT_STATUS
from archiver.cli.options import config_option
from archiver.errors import ArchiverError
from archiver.version import __version__

COMMANDS = {
    "backup": "Archive the videos of all generations that are listed.",
    "verify": "Check every file against its checksum, and repair.",
    "sync": "Copy an archive to another place, each file proven on the way.",
    "discover": "List your own generations, as a manifest.",
    "status": "Show what is held, pending, failed and lost, and the last runs.",
    "browse": "Write a page that shows what the archive holds, for any browser.",
    "link": "Keep links to the videos, under names that you can read.",
    "export": "Write the whole catalogue as CSV or JSON Lines.",
    "merge": "Sum up the archives of many shards, and list their files as one.",
    "demo": "Back up a dozen generations from an emulated ModelsLab.",
    "manual": "Show a page of the manual.",
    "completion": "Print the script that completes commands in a shell.",
}
_GARBAGE = 10_000
"""Objects after which Python looks for garbage: importing makes many, and none of them is any."""


@click.group(
    cls=Group,
    summaries=COMMANDS,
    epilog=EXIT_STATUS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@config_option
@click.version_option(__version__, message="%(prog)s %(version)s", help="Print the version.")
def cli() -> None:
    """Back up videos generated through the ModelsLab API before their links die.

    \b
    Back up the generations listed in ids.txt to the directory "videos":
      export MODELSLAB_API_KEY=...
      archiver backup -a videos ids.txt

    Each video is stored whole, and its checksum is added to videos/manifest-sha256.txt. What
    could not be archived is reported with the reason.

    \b
    Try it without a key:
      archiver demo

    "archiver COMMAND --help" shows the options of a command, "archiver manual" the guides.
    """


def main() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(_GARBAGE)
    # asyncio would replace the default handler by one that waits for the loop's next turn.
    signal.signal(signal.SIGINT, _interrupt)
    _open_closed_streams()
    _print_any_character()
    _allow_many_files()
    if os.environ.get("_ARCHIVER_COMPLETE", "").startswith("fish"):
        import archiver.cli.fish  # noqa: F401 (it registers itself)
    status = _exit_status()
    try:
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)
    gc.freeze()  # or Python, as it ends, looks for garbage among all that is loaded, many times
    sys.exit(status)


def _exit_status() -> int:
    """Run the command line; print what went wrong, and return the exit status."""
    try:
        status: int = cli.main(prog_name="archiver", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        _silence(sys.stdout)
        return READER_GONE
    except ArchiverError as error:
        _print_error(str(error))
        return error.exit_status
    except OSError as error:  # standard output cannot be written, or a path cannot be looked at
        _silence(sys.stdout)
        path = f": {error.filename}" if error.filename else ""
        _print_error(f"the disk failed: {error.strerror or error}{path}")
        return 74
    return status


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _print_error(message: str) -> None:
    with suppress(OSError):
        for line in message.splitlines():
            click.echo(f"archiver: {line}", err=True)


def _open_closed_streams() -> None:
    """Discard what is written to a stream that the caller has closed."""
    null = partial(open, os.devnull, "w", encoding="utf-8")
    sys.stdout, sys.stderr = sys.stdout or null(), sys.stderr or null()


def _print_any_character() -> None:
    """Escape what the locale cannot write, as standard error does: ISO 8859, or cron's ASCII."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _allow_many_files() -> None:
    """Open as many files and connections as the system allows: the usual limit is for select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _silence(stream: TextIO) -> None:
    """Discard what is still to be written to a stream that has failed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
