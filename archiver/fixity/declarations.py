"""Declarations: what a bag says of itself, beside its checksum manifest, and whether it is so.

`bagit.txt` is there and makes sense; `Payload-Oxum` in `bag-info.txt` adds up; the manifests that
other programs have added list the same files, and tag files match theirs (RFC 8493, 2 and 3).
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from archiver.archive import other_manifests, tags
from archiver.archive.layout import MANIFEST, QUARANTINE, Layout
from archiver.archive.store import Records, Store, WritableStore
from archiver.errors import storage_errors
from archiver.fixity.reconcile import Reconciliation
from archiver.fixity.report import Audit, Finding, Repairs

_MANIFESTS, _TAG_MANIFESTS = "manifest-*.txt", "tagmanifest-*.txt"


def check_structure(records: Records, *, at_rest: bool) -> Iterator[Finding]:
    """Yield what is wrong with what makes an archive a bag; the first run writes it in the end.

    Raises:
        StorageError: if it cannot be read.
    """
    layout = records.layout
    with storage_errors(f"reading {layout.declaration}"):
        if not layout.data.is_dir():
            yield Finding("missing", layout.data.name, "a bag has such a directory")
        if layout.info.exists() and not layout.info.is_file():
            yield Finding("contradictory", layout.info.name, "it is not a file")
        if at_rest and not layout.manifest.exists():
            yield Finding("missing", MANIFEST, "nothing else lists what is there")
        if not layout.declaration.exists():
            if at_rest:
                yield Finding("missing", layout.declaration.name, "it makes an archive a bag")
        elif not (encoding := tags.declared_encoding(layout)):
            detail = "it does not declare a version of BagIt and an encoding"
            yield Finding("contradictory", layout.declaration.name, detail)
        elif encoding.startswith(("UTF-16", "UTF-32")):
            detail = f"it declares {encoding}: only tag files in UTF-8 can be read"
            yield Finding("contradictory", layout.declaration.name, detail)


def check_other_manifests(layout: Layout, tables: Reconciliation) -> Iterator[Finding]:
    """Yield what manifests list, other than the checksum manifest, and is not so.

    Raises:
        StorageError: if they cannot be read.
    """
    with storage_errors(f"reading the manifests in {layout.root}"):
        for manifest in other_manifests.payload_manifests(layout):
            tables.add_others(manifest.name, other_manifests.payload_lines(manifest))
        yield from tables.differing()
        for manifest in other_manifests.tag_manifests(layout):
            yield from _wrong_lines(layout, manifest)


def check_oxum(layout: Layout, tables: Reconciliation) -> Iterator[Finding]:
    """Yield what is wrong with `Payload-Oxum`, where it is given.

    Raises:
        StorageError: if it cannot be read.
    """
    name, payload = layout.info.name, tables.payload()
    with storage_errors(f"reading {layout.info}"):
        oxums = tags.payload_oxums(layout)
    if len(oxums) > 1:
        yield Finding("contradictory", name, f"it has {len(oxums)} lines of Payload-Oxum")
    elif oxums and payload and oxums[0] != payload:
        detail = f"Payload-Oxum is {oxums[0][:60]!r}, and the payload is {payload}"
        yield Finding("contradictory", name, detail)


def repair_declarations(store: WritableStore, found: Audit, repairs: Repairs) -> None:
    """Put right what a bag says of itself, as far as that is known.

    The rest is brought up to date at the end of each run: see `confirm_declarations`.

    Raises:
        StorageError: if the disk or the store fails.
    """
    declaration, wrong = store.layout.declaration, found.findings.paths("contradictory")
    if declaration.name in wrong:
        store.copy_aside([declaration.name])
        with storage_errors(f"writing {declaration}"):
            tags.declare_anew(store.layout)
    gone = found.findings.paths("contradictory", "missing")
    anew = [name for name in (declaration.name, MANIFEST) if name in gone]
    repairs.done |= dict.fromkeys(anew, "it is written anew")
    aside = [name for name in wrong if _is_to_go(store, name)]
    if aside:
        store.set_aside(aside)
        repairs.done |= dict.fromkeys(aside, f"it is moved to {QUARANTINE}")


def confirm_declarations(store: Store, found: Audit, repairs: Repairs) -> None:
    """Note which declarations are right now.

    Raises:
        StorageError: if they cannot be read.
    """
    wrong = set(found.findings.paths("contradictory")) - repairs.done.keys()
    if store.layout.info.name in wrong:
        repairs.done[store.layout.info.name] = "it is brought up to date"
    if not (names := [name for name in wrong if fnmatch(name, _TAG_MANIFESTS)]):
        return
    with store.records() as records, storage_errors(f"reading the manifests in {store.name}"):
        for manifest in other_manifests.tag_manifests(records.layout):
            if manifest.name in names:
                _confirm(records.layout, manifest, repairs)


def without_declarations(paths: Iterable[str]) -> list[str]:
    """Return those of the paths that are payload files."""
    return [path for path in paths if path.startswith("data/")]


def _confirm(layout: Layout, manifest: Path, repairs: Repairs) -> None:
    if wrong := next(_wrong_lines(layout, manifest), None):
        why = f"{wrong.detail}: put that file right, or move {manifest.name} away"
        repairs.failed[manifest.name] = why
    else:
        repairs.done[manifest.name] = "it is brought up to date"


def _is_to_go(store: Store, name: str) -> bool:
    """Return whether it is a manifest that is not ours, and not brought up to date by us."""
    others = fnmatch(name, _MANIFESTS) and name != MANIFEST
    return others or (store.is_shared and fnmatch(name, _TAG_MANIFESTS))


def _wrong_lines(layout: Layout, manifest: Path) -> Iterator[Finding]:
    for name, problem in other_manifests.wrong_lines(layout, manifest):
        yield Finding("contradictory", manifest.name, f"{name[:100]!r} {problem}")
