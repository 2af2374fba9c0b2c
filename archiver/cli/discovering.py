"""One's own generations as the lines of a manifest, and what is said of them beside it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from archiver.archive.durable import replace
from archiver.cli.progress import ProgressLog
from archiver.cli.terminal import shown
from archiver.errors import storage_errors
from archiver.manifest import Problems
from archiver.outcomes import Worklist
from archiver.pipeline.discover import Named
from archiver.pipeline.listed import Discovery
from archiver.units import counted

_LOG = logging.getLogger(__name__)
_UNKNOWN = "no endpoint has it with these links: see backup --discover"


class ManifestLines:
    """Writes lines to standard output as they come, or to a file once they are complete."""

    def __init__(self, output: Path | None, progress: "ListingLog") -> None:
        self._output = output
        self._progress = progress
        self._lines: dict[str, None] = {}
        """Each once, in order."""
        self._unknown = 0
        self._unsure = 0

    def write(self, named: Named) -> None:
        """Write the name of a generation; if it has none that is known, a comment."""
        self._unsure += bool(named.unsure)
        self._unknown += not named.name and not named.unsure
        line = str(named.name or f"# {named.item.id}: {named.unsure or _UNKNOWN}")
        if line not in self._lines and not self._output:
            self._progress.write(line)
        self._lines[line] = None
        self._progress.named()

    def end(self, found: Discovery) -> None:
        """Write the file, unless something is missing: an earlier one may have it.

        Raises:
            StorageError: if it cannot be written.
        """
        if self._output and self.complete(found):
            with storage_errors(f"writing {self._output}"):
                replace(self._output, (f"{line}\n" for line in self._lines))

    def complete(self, found: Discovery) -> bool:
        """Return whether all that is listed was read, and every endpoint has responded."""
        return not found.trouble and not found.not_understood and not self._unsure

    def summary(self, found: Discovery) -> Iterator[str]:
        """Describe what was found, in a few lines."""
        shard = f" of shard {found.shard}" if found.shard else ""
        listed = counted(len(found.items), "generation")
        yield f"{listed}{shard} on {counted(found.pages, 'page')}"
        if self._unknown:
            yield f"{self._unknown:,} that no endpoint has with its links: written as a comment"
        if found.without_links:
            yield f"{found.without_links:,} without a link yet: left out"

    def problems(self, found: Discovery) -> Iterator[str]:
        """Describe what is missing."""
        problems = Problems()
        found.add_to(problems)
        yield from problems.lines()
        if self._unsure:
            yield f"{self._unsure:,} of which no endpoint is known yet: see the comments"
        if self._output and not self.complete(found):
            yield f"{self._output} is left as it was, because something is missing"


class ListingLog(ProgressLog):
    """Logs how far the listing is, and writes its lines."""

    def planned(self, worklist: Worklist) -> None:
        """Log that the pages are read."""
        _LOG.info("asking whose %d generations are", worklist.to_fetch)

    def named(self) -> None:
        """One more has been asked for."""

    def write(self, line: str) -> None:
        """Write a line to standard output."""
        click.echo(line)


class ListingBar(ListingLog):
    """Shows on a terminal how far the listing is."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc="page 1", unit=" generations", dynamic_ncols=True, leave=False)

    def discovered(self, count: int, page: int, last: int | None) -> None:
        """Show which page was read."""
        super().discovered(count, page, last)
        self._bar.set_description(f"page {page}{f' of {last}' if last else ''}", refresh=False)
        self._bar.update(count - self._bar.n)

    def planned(self, worklist: Worklist) -> None:
        """Begin to count those asked for."""
        super().planned(worklist)
        self._bar.reset(worklist.to_fetch)
        self._bar.set_description("finding their endpoints")

    def named(self) -> None:
        """Move the bar."""
        self._bar.update()

    def write(self, line: str) -> None:
        """Write a line to standard output, above the bar if that is a terminal too."""
        with self._bar.external_write_mode(file=sys.stdout):
            super().write(line)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


@contextmanager
def shown_listing(verbosity: int, *, quiet: bool) -> Iterator[ListingLog]:
    """Log to standard error and, unless `quiet`, show a bar if it is a terminal."""
    with shown(verbosity, None if quiet else ListingBar) as bar:
        yield bar or ListingLog()
