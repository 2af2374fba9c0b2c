"""`archiver manual`: guides in Markdown, one per topic."""

import sys
from typing import TYPE_CHECKING, Any

import click

from archiver.cli.help import Command
from archiver.cli.options import argument

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Topic(click.ParamType[str]):
    """The name of a page of the manual."""

    name = "topic"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or suggest the nearest one."""
        from difflib import get_close_matches

        from archiver.cli.manual_pages import topics

        known = topics()
        if value not in known:
            nearest = get_close_matches(value, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else "'archiver manual' lists them"
            self.fail(f"no such topic: {value!r}; {hint}", param, ctx)
        return str(value)

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Let the shell complete topics."""
        from click.shell_completion import CompletionItem

        from archiver.cli.manual_pages import topics

        known = topics().items()
        return [
            CompletionItem(name, help=line) for name, line in known if name.startswith(incomplete)
        ]


@click.command(cls=Command)
@argument("topic", metavar="[TOPIC]", required=False, type=Topic(), heading="Arguments",
          help="The page to show; without it the topics are listed.")  # fmt: skip
def manual(topic: str | None) -> int:
    """Show a page of the manual, or list its topics.

    On a terminal a page is wrapped to its width; otherwise it is printed as it is, in Markdown.
    """
    if topic is None:
        _list_topics()
    else:
        _show(topic)
    return 0


def _list_topics() -> None:
    from archiver.cli.manual_pages import topics
    from archiver.cli.terminal import wrapped

    known = topics()
    column = max(map(len, known), default=0) + 2
    rows = [f"  {name:{column}}{description}" for name, description in known.items()]
    lines = ["Topics of the manual, each shown by archiver manual TOPIC:", "", *rows]
    click.echo("\n".join(wrapped(lines)))


def _show(topic: str) -> None:
    import shutil

    from archiver.cli.manual_pages import read, rendered

    text = read(topic)
    if sys.stdout.isatty():
        text = rendered(text, shutil.get_terminal_size().columns)
    click.echo(text.rstrip("\n"))
