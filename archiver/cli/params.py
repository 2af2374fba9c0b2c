"""The values of options: paths, URLs, and what functions of our own parse.

The parsers are imported only when there is something to parse: the help comes sooner.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from archiver.units import parse_duration

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from archiver.monitoring.ping import PingUrl


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


class Count(click.IntRange):
    """A whole number, in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Say in one way what would do, whether it is no number or out of range."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value} is not a whole number from {self.min} to {self.max}", param, ctx)


class Name(click.Path):
    """The name of a file or a directory. An empty one, of a variable not set, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is empty: it would be the directory that the command is run in."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


class File(Name):
    """A file, which need not exist; `convert` returns a `pathlib.Path`."""

    def coerce_path_result(self, value: Any) -> "Path":
        """Return the path that a text spells."""
        from pathlib import Path  # noqa: PLC0415

        return Path(value)


class Directory(File):
    """A directory, which need not exist: whether it will do is found out by who uses it."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Let the shell complete directories only."""
        items = super().shell_complete(ctx, param, incomplete)
        for item in items:
            item.type = "dir"
        return items


def endpoint(text: str) -> str:
    """Return an endpoint in its one spelling.

    Raises:
        ValueError: if it is none.
    """
    from archiver.generation import canonical_endpoint  # noqa: PLC0415

    return canonical_endpoint(text)


def api_url(text: str) -> str:
    """Return the URL of an API, without a slash at its end.

    Raises:
        ValueError: if it is none, or nothing to be shown in messages.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415

    parts = urlsplit(text)
    usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query
    if not usable or parts.port == 0:
        raise ValueError(f"{text!r} is not an http(s) URL such as https://modelslab.com/api")
    if parts.username or parts.password:
        raise ValueError("the URL has a user or a password in it, which would be shown in messages")
    return text.rstrip("/")


def ping_url(text: str) -> "PingUrl":
    """Return a URL that is secret.

    Raises:
        ValueError: if it is none; the message does not quote it.
    """
    from archiver.monitoring.ping import PingUrl  # noqa: PLC0415

    return PingUrl(text.strip())


def positive_duration(text: str) -> float:
    """Return seconds, more than none.

    Raises:
        ValueError: if it is no duration, or 0.
    """
    if (seconds := parse_duration(text)) == 0:
        raise ValueError("it must be more than 0")
    return seconds


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
        raise ValueError(f"{text!r} is not more than 0 and at most 100%")
    return value
