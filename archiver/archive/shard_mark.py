"""The mark of a shard's archive: `Archiver-Shard: 3/8` in `bag-info.txt`.

Nothing is shared between shards, so a run must not fill the archive of another shard, nor one that
holds generations of all of them.
"""

from archiver.archive import tags
from archiver.archive.layout import Layout
from archiver.errors import NotAnArchive, storage_errors
from archiver.shards import Shard


def marked(layout: Layout) -> Shard | None:
    """Return which shard's archive this is; None if it is none's, or there is no archive.

    Raises:
        NotAnArchive: if its mark makes no sense.
        StorageError: if it cannot be read.
    """
    with storage_errors(f"reading {layout.info}"):
        found = {*tags.shard_marks(layout)}
    if not found:
        return None
    try:
        (mark,) = found
        return Shard.parse(mark)
    except ValueError:
        marks = ", ".join(sorted(map(repr, found)))
        raise NotAnArchive(
            f"{layout.info}: {tags.SHARD} is {marks}: one shard such as 0/8 was expected"
        ) from None


def check(layout: Layout, shard: Shard) -> None:
    """Make sure that this is not the archive of another shard.

    Raises:
        NotAnArchive: if it is.
        StorageError: if its mark cannot be read.
    """
    found = marked(layout)
    if found not in (None, shard):
        raise NotAnArchive(
            f"{layout.root} is the archive of shard {found}, not of {shard}: each has its own, as "
            "in -a DIR/{shard}"
        )


def check_to_fill(layout: Layout, shard: Shard | None) -> None:
    """Make sure that this is the archive of this shard or, without one, of none; or may become so.

    Raises:
        NotAnArchive: if it is not.
        StorageError: if that cannot be found out.
    """
    if shard:
        check(layout, shard)
        if marked(layout) is None and holds_anything(layout):
            raise NotAnArchive(
                f"{layout.root} holds generations and is the archive of no shard: name another "
                f"directory for shard {shard}; or, if it was filled by this very shard, add the "
                f"line '{tags.SHARD}: {shard}' to {layout.info}"
            )
    elif found := marked(layout):
        raise NotAnArchive(
            f"{layout.root} is the archive of shard {found}: add --shard {found}, or name another"
        )


def claim(layout: Layout, shard: Shard | None) -> None:
    """Mark an archive, whose lock is held, before anything is put into it for the shard.

    Raises:
        NotAnArchive: if it is another's.
        StorageError: if the disk does not take the mark.
    """
    check_to_fill(layout, shard)
    if shard and marked(layout) is None:
        with storage_errors(f"writing {layout.info}"):
            tags.mark_shard(layout, str(shard))


def holds_anything(layout: Layout) -> bool:
    """Return whether anything is listed, or was left by a crash to be recovered.

    Raises:
        StorageError: if that cannot be found out.
    """
    with storage_errors(f"looking at {layout.root}"):
        files = (layout.manifest, layout.journal)
        listed = any(file.exists() and file.stat().st_size for file in files)
        return listed or (layout.incoming.is_dir() and any(layout.incoming.iterdir()))
