"""`archiver completion`."""

import click
from click.shell_completion import get_completion_class


def completion(shell: str, root: click.Command) -> int:
    """Print the script that lets a shell ask `root` what can be said next."""
    if script := get_completion_class(shell):
        click.echo(script(root, {}, "archiver", "_ARCHIVER_COMPLETE").source())
    return 0
