"""The command line: `python -m tests.benchmarks`."""

import json
import os
import platform
import resource
import signal
import sys
from pathlib import Path

import click

from .measure import Unsuccessful
from .suite import SUITE
from .table import LEGEND, show
from .tools import missing
from .workbench import Workbench, file_system, scratch


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(list(SUITE)))
@click.option(
    "--pairs", metavar="N", type=click.IntRange(1), default=5, show_default=True,
    help="How many rounds are measured, in each of which the archiver and its peers run in turn.",
)  # fmt: skip
@click.option(
    "--scale", metavar="S", type=click.FloatRange(0, 1, min_open=True), default=1.0,
    show_default=True, help="Take this share of the counts and sizes, for a trial.",
)  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="Name the benchmarks and end.")
@click.option(
    "--json", "json_path", metavar="PATH", type=click.Path(path_type=Path),
    help="Write all that was measured to this file.",
)  # fmt: skip
def main(
    names: tuple[str, ...], pairs: int, scale: float, *, listing: bool, json_path: Path | None
) -> None:
    """Compare the archiver with its peers: in all benchmarks, or in those NAMEd."""
    if listing:
        click.echo("\n".join(f"{name:14} {SUITE[name].description}" for name in SUITE))
        return
    chosen = tuple(dict.fromkeys(names)) or tuple(SUITE)
    _require(chosen)
    with scratch(scale) as directory:
        bench = Workbench(directory, pairs, scale)
        try:
            _run(bench, chosen)
        except Unsuccessful as failure:
            raise click.ClickException(str(failure)) from None
        finally:
            if json_path:
                json_path.write_text(json.dumps(_measured(bench), indent=2) + "\n")


def _require(chosen: tuple[str, ...]) -> None:
    """Exit with status 2 where a tool is missing, before anything is measured."""
    tools = (tool for name in chosen for tool in SUITE[name].tools)
    if message := missing(("archiver", *tools)):
        click.echo(message, err=True)
        sys.exit(2)


def _run(bench: Workbench, chosen: tuple[str, ...]) -> None:
    kind = file_system(bench.directory) or "an unknown file system"
    show(f"{_machine()}; payloads on {kind}, in {bench.directory}")
    trial = "" if bench.scale == 1 else f" at scale {bench.scale:g}; the targets are for scale 1"
    show(f"{bench.pairs} rounds after a warm-up{trial}. {LEGEND}")
    click.echo()
    for name in chosen:
        SUITE[name].run(bench)


def _machine() -> str:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"no peak is below the {own:.0f} MB that this process takes"
    )


def _measured(bench: Workbench) -> dict[str, object]:
    return {
        "machine": _machine(),
        "pairs": bench.pairs,
        "scale": bench.scale,
        "rows": [row.as_json() for row in bench.table.rows],
        "notes": bench.table.notes,
        "measurements": bench.raw,
    }


def _terminate(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)  # so that what runs is stopped and cleaned up
    main(prog_name="python -m tests.benchmarks")
