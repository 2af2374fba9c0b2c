"""How the help is set out: options under headings, on wide terminals and on narrow ones."""

import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import click
from click.formatting import join_options

OTHERS = "General"
"""The heading of what has none of its own, such as `--help`."""
_WIDEST, _ROOMY = 80, 60
"""In columns: no text is wider, and two columns side by side want as many."""
_SPEC = 24
"""So many columns take the names of an option, beside what is said of it."""
_TABLE = re.compile(r"(?P<first>\s*\S+\s{2,})(?P<second>\S.*)")


class Row(NamedTuple):
    """What the help says of an option: its names, its meaning, and in brackets the rest."""

    spec: str
    meaning: str
    details: tuple[str, ...] = ()


class Option(click.Option):
    """An option that is told under a heading."""

    def __init__(self, *args: Any, heading: str = OTHERS, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading


class Argument(click.Argument):
    """An argument that is told among the options, under a heading."""

    def __init__(self, *args: Any, heading: str = OTHERS, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading


class Page(click.HelpFormatter):
    """A page of help: no word is torn, and a table's second column stays one."""

    def __init__(self, **_settings: Any) -> None:
        super().__init__(width=max(min(_columns(), _WIDEST) - 2, 20))

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called."""
        self.write(self._filled(f"{prefix or 'Usage: '}{prog} {args}", "", "    ") + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs; one that begins with a backspace keeps its lines."""
        self.write("\n\n".join(map(self._paragraph, text.split("\n\n"))) + "\n")

    def _paragraph(self, text: str) -> str:
        if text.startswith("\b"):
            return "\n".join(map(self._line, text.splitlines()[1:]))
        return self._filled(" ".join(text.split()), self._margin, self._margin)

    def _line(self, line: str) -> str:
        """Return a line that may be one of a table: what is too long goes on in its column."""
        match = _TABLE.fullmatch(line)
        if self.current_indent + len(line) <= self.width or not match:
            indent = " " * (len(line) - len(line.lstrip()))
            return self._filled(line.strip(), self._margin + indent, self._margin + indent + "  ")
        if len(match["first"]) <= self.width // 3:
            first = self._margin + match["first"]
            return self._filled(match["second"], first, " " * len(first))
        below = self._margin + " " * (len(line) - len(line.lstrip()) + 4)
        first = self._margin + match["first"].rstrip()
        return f"{first}\n{self._filled(match['second'], below, below)}"

    def write_rows(self, rows: Iterable[Row], column: int = _SPEC) -> None:
        """Write what is said of options: beside their names, or below where that is narrow."""
        beside = self.width >= _ROOMY
        indent = " " * (self.current_indent + (column if beside else 4))
        for row in rows:
            spec = f"{self._margin}{row.spec}"
            if not beside or len(spec) + 2 > len(indent) or not row.meaning:
                self.write(f"{spec}\n")
                spec = ""
            self._write_row(row, spec.ljust(len(indent)), indent)

    def _write_row(self, row: Row, first: str, indent: str) -> None:
        if row.meaning:
            self.write(self._filled(row.meaning, first, indent) + "\n")
        if row.details:
            room = self.width - len(indent) - 2
            together = "; ".join(_glued(detail, room) for detail in row.details)
            details = self._filled(f"[{together}]", indent, indent + " ")
            self.write(details.replace("\xa0", " ") + "\n")

    @property
    def _margin(self) -> str:
        return " " * self.current_indent

    def _filled(self, text: str, first: str, others: str) -> str:
        from textwrap import fill  # noqa: PLC0415 (only help needs it)

        return fill(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _glued(text: str, room: int) -> str:
    return text.replace(" ", "\xa0") if len(text) <= room else text


def _columns() -> int:
    """Return how wide the terminal is; `shutil` says the same, and takes long to import."""
    if (said := os.environ.get("COLUMNS", "")).isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _WIDEST
    except (AttributeError, ValueError, OSError):
        return _WIDEST


class _Context(click.Context):
    formatter_class = Page


class GroupedCommand(click.Command):
    """A command whose options are told under headings, in the order in which they stand."""

    context_class: type[click.Context] = _Context

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: they are told among the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each under its heading."""
        page = cast("Page", formatter)
        for heading, rows in _grouped(self.get_params(ctx), ctx).items():
            with page.section(heading):
                page.write_rows(rows)


class GroupedGroup(GroupedCommand, click.Group):
    """A group whose commands come first, most used first, and its own options after them."""

    command_class = GroupedCommand

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        page = cast("Page", formatter)
        with page.section("Commands"):
            rows = [Row(name, each.get_short_help_str()) for name, each in self.commands.items()]
            page.write_rows(rows, max(map(len, self.commands)) + 2)
        GroupedCommand.format_options(self, ctx, formatter)


def _grouped(params: list[click.Parameter], ctx: click.Context) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for param in params:
        heading = getattr(param, "heading", OTHERS)
        if isinstance(param, click.Option) or hasattr(param, "heading"):
            groups.setdefault(heading, []).append(_row(param, ctx))
    return groups


def _row(param: click.Parameter, ctx: click.Context) -> Row:
    meaning = inspect.cleandoc(getattr(param, "help", None) or "")
    return Row(_spec(param, ctx), meaning, tuple(_details(param)))


def _spec(param: click.Parameter, ctx: click.Context) -> str:
    if not isinstance(param, click.Option):
        return param.make_metavar(ctx)
    names, _ = join_options(param.opts)
    return names if param.is_flag or param.count else f"{names} {param.make_metavar(ctx)}"


def _details(param: click.Parameter) -> Iterator[str]:
    if param.required:
        yield "required"
    if default := _default(param):
        yield f"default: {default}"
    if isinstance(param.type, click.IntRange) and not getattr(param, "count", False):
        yield f"{param.type.min} to {param.type.max}"
    if isinstance(param.envvar, str):
        yield f"env: {param.envvar}"


def _default(param: click.Parameter) -> str:
    shown = getattr(param, "show_default", False)
    return shown if isinstance(shown, str) else str(param.default) if shown else ""
