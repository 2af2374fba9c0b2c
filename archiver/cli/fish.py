"""Completion in fish, whose script in Click cuts a help text at its first comma."""

from click.shell_completion import CompletionItem, FishComplete, add_completion_class


class WholeHelp(FishComplete):
    """Click's completion for fish, with help texts that have no comma."""

    def format_completion(self, item: CompletionItem) -> str:
        """Return the item with semicolons instead of commas in its help."""
        item.help = item.help and item.help.replace(",", ";")
        return super().format_completion(item)


add_completion_class(WholeHelp)
