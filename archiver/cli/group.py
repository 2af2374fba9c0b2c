"""The group of commands, each imported from its module only when it is needed."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import click

from archiver.cli.help import Command, Page, Row

READER_GONE = 141
"""The exit status where nobody reads the output any more, as a shell says it of SIGPIPE."""


class LazyCommands(Mapping[str, click.Command]):
    """Commands by their names: `backup` is `archiver.cli.backup.backup`."""

    def __init__(self, summaries: Mapping[str, str]) -> None:
        self.summaries = summaries
        """The line about each command, which the help of the group shows without importing it."""

    def __getitem__(self, name: str) -> click.Command:
        summary = self.summaries[name]
        command: click.Command = getattr(import_module(f"archiver.cli.{name}"), name)
        command.short_help = summary
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self.summaries)

    def __len__(self) -> int:
        return len(self.summaries)


class Group(Command, click.Group):
    """A group whose help lists the commands first, in their own order, and then its options."""

    def __init__(self, *args: Any, summaries: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._lazy = LazyCommands(summaries)
        self.commands = cast("dict[str, click.Command]", self._lazy)  # Click only reads it

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Click would end one whose reader has gone with the status of a bug."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(READER_GONE)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands in their own order."""
        return list(self._lazy)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        page = cast("Page", formatter)
        with page.section("Commands"):
            rows = [Row(name, summary) for name, summary in self._lazy.summaries.items()]
            page.write_rows(rows, max(map(len, self._lazy)) + 2)
        Command.format_options(self, ctx, formatter)
