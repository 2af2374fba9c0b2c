"""`archiver completion`: the script that lets a shell complete commands."""

import click

from archiver.cli.help import Command
from archiver.cli.options import argument

_SHELLS = ["bash", "zsh", "fish"]


@click.command(cls=Command)
@argument("shell", metavar="|".join(_SHELLS), type=click.Choice(_SHELLS),
          heading="Arguments", help="The shell that runs the script.")  # fmt: skip
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> int:
    """Print the script that lets a shell complete commands, options and paths.

    \b
    bash: add this line to ~/.bashrc
      eval "$(archiver completion bash)"

    \b
    zsh: add this line to ~/.zshrc, after compinit
      eval "$(archiver completion zsh)"

    \b
    fish: add this line to ~/.config/fish/config.fish
      archiver completion fish | source

    It takes effect in the next shell that you open.
    """
    from click.shell_completion import get_completion_class

    root = ctx.find_root().command
    if script := get_completion_class(shell):
        click.echo(script(root, {}, "archiver", "_ARCHIVER_COMPLETE").source())
    return 0
