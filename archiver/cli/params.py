"""Types of parameters: paths, counts, and values that functions of our own parse.

Parsers are imported when there is something to parse: help comes sooner.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from archiver.units import parse_duration

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from archiver.location import Location
    from archiver.monitoring.ping import PingUrl
    from archiver.shards import Shard


class Parsed(click.ParamType[Any]):
    """A value that a function parses; its `ValueError` is shown to the user."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a text; return any other value, such as a default, as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Count(click.IntRange):
    """A whole number, in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the number; one message serves for no number and for one out of range."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value} is not a whole number from {self.min} to {self.max}", param, ctx)


PARTS = Count(1, 1_000_000)
"""Among how many processes something may be shared."""


class Name(click.Path):
    """The name of a file or a directory, which must not be empty."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reject an empty name, as of an unset variable: it would be the working directory."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


class File(Name):
    """A file, which need not exist; `convert` returns a `pathlib.Path`."""

    def coerce_path_result(self, value: Any) -> "Path":
        """Return the text as a path."""
        from pathlib import Path

        return Path(value)


class Archive(click.ParamType["Location"]):
    """The place of an archive, a directory or `s3://bucket/prefix`; it need not exist."""

    name = "archive"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Location":
        """Return a location."""
        from archiver.errors import ConfigurationError
        from archiver.location import parse_location

        if value == "":
            self.fail("it is empty", param, ctx)
        try:
            return parse_location(value)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Let the shell complete directories."""
        return Directory().shell_complete(ctx, param, incomplete)


class Directory(File):
    """A directory, which need not exist: the command that uses it checks it."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Let the shell complete directories only."""
        items = super().shell_complete(ctx, param, incomplete)
        for item in items:
            item.type = "dir"
        return items


def endpoint(text: str) -> str:
    """Return an endpoint in its canonical spelling.

    Raises:
        ValueError: if it is no endpoint.
    """
    from archiver.generation import canonical_endpoint

    return canonical_endpoint(text)


def api_url(text: str) -> str:
    """Return the URL of an API, without a slash at its end.

    Raises:
        ValueError: if it is no URL, or has a password in it.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query
    if not usable or parts.port == 0:
        raise ValueError(f"{text!r} is not an http(s) URL such as https://modelslab.com/api")
    if parts.username or parts.password:
        raise ValueError("the URL has a user or a password in it, which would show in messages")
    return text.rstrip("/")


def ping_url(text: str) -> "PingUrl":
    """Return a URL to ping, which is a secret.

    Raises:
        ValueError: if it is no URL; the message does not quote it.
    """
    from archiver.monitoring.ping import PingUrl

    return PingUrl(text.strip())


def types(text: str) -> tuple[str, ...]:
    """Return the types of generations to list: `video`, `image` or both, with a comma.

    Raises:
        ValueError: if there is another.
    """
    found = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    if not {*found} <= {"video", "image"}:
        raise ValueError(f"{text!r} is not video, image or video,image")
    return found


def shard(text: str) -> "Shard":
    """Return a shard, `3/8`.

    Raises:
        ValueError: if it is none.
    """
    from archiver.shards import Shard

    return Shard.parse(text)


def positive_duration(text: str) -> float:
    """Return seconds, more than 0.

    Raises:
        ValueError: if it is no duration, or 0.
    """
    if (seconds := parse_duration(text)) == 0:
        raise ValueError("it must be more than 0")
    return seconds


def share(text: str) -> float:
    """Return a share, `5%` or `0.05`, as a number above 0 and at most 1.

    Raises:
        ValueError: if it is no share.
    """
    number = text.strip().removesuffix("%")
    if not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise ValueError(f"{text!r} is not a share such as 5%")
    value = float(number) / (100 if text.strip().endswith("%") else 1)
    if not 0 < value <= 1:
        raise ValueError(f"{text!r} is not more than 0 and at most 100%")
    return value
