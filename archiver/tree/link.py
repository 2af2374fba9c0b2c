"""Link: keep a tree of links to an archive's videos, in step with what is known of them.

What is to be made is written down before any of it is made: after a crash the next run knows what
is ours. Whatever else lies in the target is never touched.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from archiver.archive.store import Store
from archiver.catalogue.store import Catalogue
from archiver.errors import ConfigurationError, storage_errors
from archiver.location import Location, is_bucket_url
from archiver.pipeline.indexing import open_to_read, store_to_read
from archiver.progress import ByteProgress, Silent
from archiver.tree import names
from archiver.tree.state import How, Link, State, load, save
from archiver.tree.target import Blocked, Damaged, Target, native, parents, portable
from archiver.tree.template import Template, moment, values_of
from archiver.units import capped, counted, format_size


@dataclass(frozen=True, slots=True)
class Naming:
    """How a tree is to be made."""

    template: Template
    how: How = "link"


@dataclass(slots=True)
class Changes:
    """What makes a tree what it should be, and what is wrong with it."""

    state: State
    kept: list[Link] = field(default_factory=list)
    """Ours, and as they should be."""
    made: list[Link] = field(default_factory=list)
    removed: list[Link] = field(default_factory=list)
    last: list[Link] = field(default_factory=list)
    """Ours, of videos that the archive does not hold any more: they stay, for there may be no
    other copy."""
    others: int = 0
    """Videos that somebody else has put under the very names that they would get."""
    bytes: int = 0
    """How many were copied."""
    blocked: list[str] = field(default_factory=list)
    """Why no link could be made, for each."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Which videos are missing or damaged, and how."""

    @property
    def exit_status(self) -> int:
        """The process's exit status."""
        return 4 if self.damaged else 3 if self.blocked else 0

    @property
    def noteworthy(self) -> bool:
        """Whether it is printed even where silence means that all is well."""
        return bool(self.damaged or self.blocked or self.last)

    def lines(self) -> Iterator[str]:
        """Describe what was done."""
        there = len(self.kept) + len(self.made) + self.others
        copied = f"; {format_size(self.bytes)} copied" if self.bytes else ""
        yield (
            f"names for {counted(there, 'video')}: {len(self.made):,} new,"
            f" {len(self.removed):,} removed{copied}"
        )
        yield from capped(self.damaged.values(), len(self.damaged))
        yield from capped(self.blocked, len(self.blocked))
        last = (
            f"kept {link.path}: the archive does not hold it any more, and this may be its only"
            " copy; move or delete it yourself"
            for link in self.last
        )
        yield from capped(last, len(self.last))


@dataclass(frozen=True, slots=True)
class _Video:
    """A video that is held, and the name that it would get if no other had it."""

    name: str
    sha256: str
    bytes: int
    date: str


@dataclass(frozen=True, slots=True)
class _Place:
    """The target, and what is ours in it by its path."""

    target: Target
    ours: dict[str, Link]
    keys: frozenset[str]
    """Of all that was ours: what a file system takes for that is removed before it is made."""

    def has_another(self, path: str) -> bool:
        """Return whether there is something at a path that is not ours."""
        return names.key(path) not in self.keys and self.target.exists(path)


def link(
    archive: Location, root: Path, naming: Naming, progress: ByteProgress | None = None
) -> Changes:
    """Bring the tree at `root` in step with the archive; return what was done.

    Raises:
        NotAnArchive: if there is no archive.
        ConfigurationError: if the target is of no use, or it is another archive's, or there can be
            no links since the archive is in a bucket.
        ArchiveLocked: if another run is at work in the target.
        StorageError: if the archive's records cannot be read, or the target not be written.
    """
    _check_links(archive, naming)
    with store_to_read(archive) as store:
        return _link(store, Target(store, root), naming, progress or Silent())


def _link(store: Store, target: Target, naming: Naming, progress: ByteProgress) -> Changes:
    target.check()
    with target.locked(), storage_errors(f"making links in {target.root}"):
        changes = _planned(store, target, naming)
        if changes.made or changes.removed or _forgets(changes):
            _apply(changes, store, target, progress)
        return changes


def plan(archive: Location, root: Path, naming: Naming) -> Changes:
    """Find out what `link` would do, and touch nothing.

    Raises:
        NotAnArchive: if there is no archive.
        ConfigurationError: if the target is of no use, or it is another archive's, or there can be
            no links since the archive is in a bucket.
        StorageError: if the archive's records, or the target, cannot be read.
    """
    _check_links(archive, naming)
    with store_to_read(archive) as store:
        target = Target(store, root)
        target.check()
        with storage_errors(f"looking at {root}"):
            return _planned(store, target, naming)


def _check_links(archive: Location, naming: Naming) -> None:
    if not isinstance(archive, Path) and naming.how != "copy":
        raise ConfigurationError(f"no link leads into a bucket: copy {archive} with --copy")


# --- Deciding


def _planned(store: Store, target: Target, naming: Naming) -> Changes:
    state = load(target.root)
    _check_archive(state, store, target)
    ours = {each.path: each for each in state.links if target.is_ours(each)}
    with closing(open_to_read(store)) as catalogue:
        videos = dict(_held(catalogue, naming.template, state))
    changes = Changes(state)
    changes.last = [
        each for each in ours.values() if each.source not in videos and target.is_last(each)
    ]
    for each in changes.last:
        del ours[each.path]
    place = _Place(target, ours, frozenset(map(names.key, ours)))
    for source, name in _names(videos, place).items():
        video = videos[source]
        _decide(changes, place, _wanted(name, source, video, naming.how), video.bytes)
    for each in ours.values():  # of a missing video, a link may be all that is left
        (changes.kept if each.source in changes.damaged else changes.removed).append(each)
    return changes


def _check_archive(state: State, store: Store, target: Target) -> None:
    """Make sure that the links that there are lead to this archive, perhaps moved since."""
    if state.archive and not _leads_to(state.archive, store):
        raise ConfigurationError(
            f"{target.root} has links to another archive, {state.archive}: name a directory of its "
            "own"
        )


def _leads_to(archive: str, store: Store) -> bool:
    if store.is_shared or is_bucket_url(archive):
        return archive == store.name
    before = Path(native(archive))
    return not before.exists() or before.samefile(store.layout.root)


def _name(store: Store) -> str:
    return store.name if store.is_shared else portable(str(store.layout.root.resolve()))


def _held(catalogue: Catalogue, template: Template, state: State) -> Iterator[tuple[str, _Video]]:
    """Yield each video that is held by its path; one without a date keeps what it was given."""
    given = {each.source: each.date for each in state.links}
    for known in catalogue.queries.all():
        for file in known.files:
            if not file.path.endswith(".json"):
                date = moment(known.metadata.created, given.get(file.path), known.since)
                name = template.path(values_of(known, file, date))
                yield file.path, _Video(name, file.sha256, file.bytes, date.isoformat())


def _names(videos: dict[str, _Video], place: _Place) -> dict[str, str]:
    """Return the name of each video: one that a person's file has is not to be had."""

    def taken(source: str, name: str) -> bool:
        if not place.has_another(name):
            return False
        return not place.target.leads_to(name, source, videos[source].sha256)

    return names.unique({source: video.name for source, video in videos.items()}, taken)


def _wanted(name: str, source: str, video: _Video, how: How) -> Link:
    return Link(name, source, how, "hard", "", video.sha256, video.date)


def _decide(changes: Changes, place: _Place, wanted: Link, size: int) -> None:
    """Decide what becomes of a name; what is left of `ours` in the end is to be removed."""
    target, there = place.target, place.ours.get(wanted.path)
    if there and (there.source, there.how) == (wanted.source, wanted.how):
        if target.is_current(there, wanted.sha256):
            changes.kept.append(place.ours.pop(there.path))
            return
    elif place.has_another(wanted.path):
        if target.leads_to(wanted.path, wanted.source, wanted.sha256):
            changes.others += 1
        else:
            changes.blocked.append(f"{wanted.path} is taken by a file that is not ours")
        return
    try:
        changes.made.append(target.planned(wanted, size))
    except Damaged as error:
        changes.damaged[wanted.source] = str(error)


def _forgets(changes: Changes) -> bool:
    """Return whether something that was ours is gone, or somebody else's now."""
    return len(changes.kept) + len(changes.last) != len(changes.state.links)


# --- Doing


def _apply(changes: Changes, store: Store, target: Target, progress: ByteProgress) -> None:
    archive = _name(store)
    needed = {place for each in changes.made for place in parents(each.path)}
    directories = changes.state.directories | {each for each in needed if not target.exists(each)}
    about = (*changes.kept, *changes.last, *changes.removed, *changes.made)
    save(target.root, State(archive, directories, about))
    made = _make(changes, target, progress)
    changes.made = made
    left = target.remove_empty(directories)
    save(target.root, State(archive, left, (*changes.kept, *changes.last, *made)))


def _make(changes: Changes, target: Target, progress: ByteProgress) -> list[Link]:
    """Remove what has no use any more, then make what is wanted; return what was made."""
    moved = _moved(changes)
    for path in {each.path for each in changes.removed} - {old.path for old in moved.values()}:
        target.remove(path)
    copied = [each for each in changes.made if each.form == "copy" and each.path not in moved]
    progress.expected(sum(map(_size, copied)))
    made: list[Link] = []
    for each in changes.made:
        old = moved.get(each.path)
        try:
            target.make_directories(each.path)
            made.append(target.move(old, each) if old else target.make(each, progress.received))
        except Blocked as error:
            changes.blocked.append(str(error))
            changes.kept += [old] if old else []
        except Damaged as error:
            changes.damaged[each.source] = str(error)
    changes.bytes = sum(
        _size(each) for each in made if each.form == "copy" and each.path not in moved
    )
    return made


def _moved(changes: Changes) -> dict[str, Link]:
    """Return the copies that only get another name, by that: nothing is copied twice."""
    places = {each.path for each in changes.removed}
    old = {(each.source, each.sha256): each for each in changes.removed if each.form == "copy"}
    return {
        each.path: old[each.source, each.sha256]
        for each in changes.made
        if each.form == "copy" and (each.source, each.sha256) in old and each.path not in places
    }


def _size(copy: Link) -> int:
    return int(copy.mark.split()[0])
