"""The configuration file: the options where neither command line nor environment sets them."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias, cast

import click

from archiver.cli.params import Archive
from archiver.errors import ConfigurationError
from archiver.location import is_bucket_url
from archiver.units import printable

_Options: TypeAlias = dict[str, click.Parameter]
"""The parameters of a command, by their names in the file."""
_Place: TypeAlias = tuple[str, ...]
"""A key of the file: `("downloads",)`, or `("backup", "downloads")` in a table."""

_SECRET = re.compile(r"(.*-)?(api-?)?(key|token|secret|password)(-value)?")
_TOML_ERROR = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)")


def defaults(path: Path, ctx: click.Context) -> dict[str, object]:
    """Return a file's values for the command of a context, as Click's `default_map` has them.

    All of the file is checked, also the values for other commands.

    Raises:
        ConfigurationError: if it cannot be read or something in it is wrong: a line for each.
    """
    text = _read(path)
    config = _Config(_parse(path, text), path.parent, ctx)
    if wrong := config.wrong():
        lines = _lines(text)
        found = sorted((lines[place], ".".join(place), why) for place, why in wrong.items())
        messages = (f"{path}:{line}: {printable(name)}: {why}" for line, name, why in found)
        raise ConfigurationError("\n".join(messages))
    return config.defaults(ctx.info_name or "")


class _Config:
    """The values of a file, and the commands that they are for."""

    def __init__(self, values: dict[str, object], directory: Path, ctx: click.Context) -> None:
        self._ctx = ctx
        self._directory = directory
        self._commands = _commands(ctx)
        self._values = dict(self._flat(values))

    def _flat(self, values: dict[str, object]) -> Iterator[tuple[_Place, object]]:
        for key, value in values.items():
            if key in self._commands and isinstance(value, dict):
                yield from (((key, inner), each) for inner, each in value.items())
            else:
                yield (key,), value

    def wrong(self) -> dict[_Place, str]:
        """Return the keys with something wrong, and the reasons, which never show a secret."""
        reasons = ((place, self._why(place, value)) for place, value in self._values.items())
        return {place: why for place, why in reasons if why}

    def defaults(self, command: str) -> dict[str, object]:
        """Return the values for a command; its own table takes precedence."""
        options = self._commands[command]
        general = {place[0]: value for place, value in self._values.items() if len(place) == 1}
        own = {place[1]: value for place, value in self._values.items() if place[:-1] == (command,)}
        values = general | own
        return {
            option.name: _typed(option, values[key], self._directory)
            for key, option in options.items()
            if key in values
        }

    def _why(self, place: _Place, value: object) -> str | None:
        known = [self._commands[place[0]]] if len(place) == 2 else self._commands.values()
        options = [of_command[place[-1]] for of_command in known if place[-1] in of_command]
        try:
            for option in options:
                option.type_cast_value(self._ctx, _typed(option, value, self._directory))
        except click.BadParameter as error:
            return printable(error.message.rstrip("."))
        except ValueError as error:
            return printable(str(error))
        return None if options else self._why_unknown(place, value)

    def _why_unknown(self, place: _Place, value: object) -> str:
        key = re.sub(r"[\W_]+", "-", place[-1].lower()).strip("-")
        if len(place) == 1 and key in self._commands:
            return f"this is a command: its options follow a line [{key}]"
        if isinstance(value, dict):
            return "no such table" + _nearest(key, self._commands, "[{}]")
        if _SECRET.fullmatch(key):
            return "no key belongs here: name a file that holds the API key with api-key-file"
        if len(place) == 2:
            options = self._commands[place[0]]
            return f"{place[0]} has no such option" + _nearest(key, options, "{}")
        every = {key for options in self._commands.values() for key in options}
        return "no such option" + _nearest(key, every, "{}")


def _commands(ctx: click.Context) -> dict[str, _Options]:
    """Return the parameters of each command: those that the environment can set too.

    Each is called as its variable is.
    """
    group = cast("click.Group", ctx.find_root().command)
    commands = {
        name: {
            param.envvar.removeprefix("ARCHIVER_").lower().replace("_", "-"): param
            for param in command.params
            if isinstance(param.envvar, str) and param.expose_value
        }
        for name, command in group.commands.items()
    }
    return {name: options for name, options in commands.items() if options}


def _nearest(word: str, known: Iterable[str], form: str) -> str:
    nearest = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {form.format(nearest[0])}?" if nearest else ""


# --- Reading


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
        raise ConfigurationError(f"the configuration file {path} {why}") from None
    except UnicodeError:
        raise ConfigurationError(f"the configuration file {path} is not text in UTF-8") from None


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(f"{path}: it is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(_toml_error(path, text, str(error))) from None


def _toml_error(path: Path, text: str, error: str) -> str:
    match = _TOML_ERROR.fullmatch(error)
    if not match:
        return f"{path}: not valid TOML: {printable(error.partition(':')[0])}"
    line = match["line"] or text.rstrip("\n").count("\n") + 1
    hint = "; text needs quotes" if match["what"] == "Invalid value" else ""
    return f"{path}:{line}: not valid TOML: {printable(match['what'])}{hint}"


def _lines(text: str) -> dict[_Place, int]:
    """Return the line of each key.

    A statement begins after the last line up to which the file can be parsed without it.
    """
    found: dict[_Place, int] = {}
    lines, complete = text.split("\n"), 0
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:end]))
        except ValueError:
            continue
        for place in _places(values):
            found.setdefault(place, complete + 1)
        complete = end
    return found


def _places(values: dict[str, object]) -> Iterator[_Place]:
    for key, value in values.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, inner) for inner in value)


# --- Values


def _typed(option: click.Parameter, value: object, directory: Path) -> object:
    """Return a TOML value as it would be on the command line: a flag, a text, a list of texts.

    Raises:
        ValueError: if it is of a wrong type; the value is not quoted.
    """
    if getattr(option, "count", False) and isinstance(value, bool | int):
        return int(value)
    if getattr(option, "is_flag", False):
        return _flag(value)
    if option.nargs != 1:
        return _paths(value, directory)
    if isinstance(option.type, click.Path) or (
        isinstance(option.type, Archive) and not is_bucket_url(str(value))
    ):
        return _path(value, directory)
    return _text(value)


def _flag(value: object) -> bool:
    match value:
        case bool():
            return value
    raise ValueError("expected true or false, without quotes")


def _paths(value: object, directory: Path) -> list[str]:
    match value:
        case str():
            return [_path(value, directory)]
        case list():
            return [_path(each, directory) for each in value]
    raise ValueError('expected paths in quotes: ["one", "another"]')


def _path(value: object, directory: Path) -> str:
    """Return a path; a relative one starts at the file's directory, wherever cron starts."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path in quotes")
    return value if value == "-" else str(directory / os.path.expanduser(value))  # noqa: PTH111


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise ValueError("expected a number, or text in quotes")
    return str(value)
