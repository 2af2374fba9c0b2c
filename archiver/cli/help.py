"""The layout of help pages: options under headings, at any width, and no word torn.

Cloup lays out pages much like these, but importing it takes twice as long as importing Click.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import click
from click.formatting import join_options

GENERAL = "General"
"""The heading of options that have none of their own, such as `--help`."""
EXIT_STATUS = """\b
Exit status (the worst that happened wins):
    0  every generation asked for is held, or is still being made
    1  a bug: the traceback is shown
    2  the command line or the configuration is wrong
    3  some generations could not be archived, or a manifest or one of its lines could not be read
    4  fixity: a held file is missing or does not match its checksum
   69  the API cannot be reached at all: the run ended early
   74  storage: full, read-only or failing
   75  another run holds the archive
   77  the API key was rejected, or has no credit
  130  interrupted (SIGINT): the next run goes on with the rest
  143  terminated (SIGTERM): the next run goes on with the rest
"""
_MAX_WIDTH = 80
_MIN_TWO_COLUMNS = 60
"""Narrower pages have one column."""
_FIRST_COLUMN = 24
_TABLE_LINE = re.compile(r"(?P<first>\s*\S+\s{2,})(?P<second>\S.*)")


class Row(NamedTuple):
    """An entry of a help page: the names of an option, its meaning, and details in brackets."""

    names: str
    meaning: str
    details: tuple[str, ...] = ()


class Option(click.Option):
    """An option with a heading."""

    def __init__(self, *args: Any, heading: str = GENERAL, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading


class Argument(click.Argument):
    """An argument with a heading: it is listed among the options."""

    def __init__(self, *args: Any, heading: str = GENERAL, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading


class Page(click.HelpFormatter):
    """A help page: no word is torn, and the second column of a table stays a column."""

    def __init__(self, **_settings: Any) -> None:
        super().__init__(width=max(min(_columns(), _MAX_WIDTH) - 2, 20))

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how to call the command."""
        self.write(self._fill(f"{prefix or 'Usage: '}{prog} {args}", "", "    ") + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs; one that begins with a backspace keeps its lines."""
        self.write("\n\n".join(map(self._paragraph, text.split("\n\n"))) + "\n")

    def write_rows(self, rows: Iterable[Row], column: int = _FIRST_COLUMN) -> None:
        """Write rows: the meaning beside the names, or below them on a narrow page."""
        two_columns = self.width >= _MIN_TWO_COLUMNS
        indent = " " * (self.current_indent + (column if two_columns else 4))
        for row in rows:
            first = f"{self._margin}{row.names}"
            if not two_columns or len(first) + 2 > len(indent) or not row.meaning:
                self.write(f"{first}\n")
                first = ""
            self._write_meaning(row, first.ljust(len(indent)), indent)

    def _write_meaning(self, row: Row, first: str, indent: str) -> None:
        if row.meaning:
            self.write(self._fill(row.meaning, first, indent) + "\n")
        if row.details:
            width = self.width - len(indent) - 2
            together = "; ".join(_unbroken(detail, width) for detail in row.details)
            details = self._fill(f"[{together}]", indent, indent + " ")
            self.write(details.replace("\xa0", " ") + "\n")

    def _paragraph(self, text: str) -> str:
        if text.startswith("\b"):
            return "\n".join(map(self._line, text.splitlines()[1:]))
        return self._fill(" ".join(text.split()), self._margin, self._margin)

    def _line(self, line: str) -> str:
        """Return a line, perhaps of a table; what is too long continues in its column."""
        match = _TABLE_LINE.fullmatch(line)
        if self.current_indent + len(line) <= self.width or not match:
            indent = self._margin + " " * _indent(line)
            return self._fill(line.strip(), indent, indent + "  ")
        if len(match["first"]) <= self.width // 3:
            first = self._margin + match["first"]
            return self._fill(match["second"], first, " " * len(first))
        below = self._margin + " " * (_indent(line) + 4)
        first = self._margin + match["first"].rstrip()
        return f"{first}\n{self._fill(match['second'], below, below)}"

    @property
    def _margin(self) -> str:
        return " " * self.current_indent

    def _fill(self, text: str, first: str, others: str) -> str:
        from textwrap import fill

        return fill(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        )


class _Context(click.Context):
    formatter_class = Page


class Command(click.Command):
    """A command whose parameters are listed under headings, in the order of their definition."""

    context_class: type[click.Context] = _Context

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: arguments are listed among the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the parameters under their headings."""
        page = cast("Page", formatter)
        for heading, rows in _by_heading(self.get_params(ctx), ctx).items():
            with page.section(heading):
                page.write_rows(rows)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _unbroken(text: str, width: int) -> str:
    """Return a text without a place to break it, unless it is too long for a line."""
    return text.replace(" ", "\xa0") if len(text) <= width else text


def _columns() -> int:
    """Return the terminal's width, as `shutil` does, which takes long to import."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _MAX_WIDTH
    except (AttributeError, ValueError, OSError):
        return _MAX_WIDTH


def _by_heading(params: list[click.Parameter], ctx: click.Context) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for param in params:
        heading = getattr(param, "heading", GENERAL)
        groups.setdefault(heading, []).append(_row(param, ctx))
    return groups


def _row(param: click.Parameter, ctx: click.Context) -> Row:
    meaning = inspect.cleandoc(getattr(param, "help", None) or "")
    return Row(_names(param, ctx), meaning, tuple(_details(param)))


def _names(param: click.Parameter, ctx: click.Context) -> str:
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
