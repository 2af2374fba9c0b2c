"""Tags: what `bag-info.txt` says of the source goes with it, such as whose shard it is."""

from archiver.archive import tags
from archiver.archive.shard_mark import holds_anything
from archiver.archive.store import Store
from archiver.errors import ConfigurationError, storage_errors

_LARGEST = 8 << 20


def carry_tags(source: Store, target: Store) -> bool:
    """Take other people's tags into a target that has none yet; return whether there were any.

    Raises:
        StorageError: if either cannot be read or written.
    """
    with storage_errors(f"writing {target.layout.info}"):
        if target.layout.info.exists():
            return False
        kept = tags.other_tags(_info(source))
        if kept:
            tags.write(target.layout, kept)
    return bool(kept)


def check_shard(source: Store, target: Store) -> None:
    """Make sure that the target is not the archive of another shard, nor one of several.

    Raises:
        ConfigurationError: if it is.
        StorageError: if either cannot be read.
    """
    ours, theirs = _shard(source), _shard(target)
    if theirs and ours != theirs:
        whose = f"that of shard {ours}" if ours else "that of none"
        raise ConfigurationError(
            f"{target.name} is the archive of shard {theirs}, and {source.name} {whose}: name "
            "another target"
        )
    if ours and not theirs and holds_anything(target.layout):
        raise ConfigurationError(
            f"{target.name} has files and is the archive of no shard, and {source.name} that of "
            f"shard {ours}: name another target; or, if it has files of this very shard alone, add "
            f"the line '{tags.SHARD}: {ours}' to its bag-info.txt"
        )


def _shard(store: Store) -> str:
    return " and ".join(tags.values(_info(store), tags.SHARD))


def _info(store: Store) -> str:
    """Return what `bag-info.txt` says; nothing if there is none."""
    read = store.read(store.layout.info.name, _LARGEST)
    return (read or b"").decode(errors="replace")
