"""What fish is told of completions: click's own words would end at the first comma."""

from click.shell_completion import CompletionItem, FishComplete, add_completion_class


class WholeHelp(FishComplete):
    """Click's completion for fish, whose script splits what it is told at commas."""

    def format_completion(self, item: CompletionItem) -> str:
        """Return the item with semicolons in its help."""
        item.help = item.help and item.help.replace(",", ";")
        return super().format_completion(item)


add_completion_class(WholeHelp)
