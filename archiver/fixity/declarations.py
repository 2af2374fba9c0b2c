"""Declarations: what a bag says of itself, beside its checksum manifest, and whether it is so.

`bagit.txt` is there and makes sense; `Payload-Oxum` in `bag-info.txt` adds up; the manifests that
other programs have added list the same files, and tag files match theirs (RFC 8493, 2 and 3).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from archiver.archive import other_manifests, tags
from archiver.archive.layout import QUARANTINE
from archiver.archive.store import Store
from archiver.errors import storage_errors
from archiver.fixity.reconcile import Reconciliation
from archiver.fixity.report import Audit, Finding, Repairs


def check_structure(store: Store) -> Iterator[Finding]:
    """Yield what is wrong with what makes an archive a bag.

    Raises:
        StorageError: if it cannot be read.
    """
    layout = store.layout
    with storage_errors(f"reading {layout.declaration}"):
        if not layout.data.is_dir():
            yield Finding("missing", layout.data.name, "a bag has such a directory")
        if layout.info.exists() and not layout.info.is_file():
            yield Finding("contradictory", layout.info.name, "it is not a file")
        if not layout.declaration.exists():
            yield Finding("missing", layout.declaration.name, "it makes an archive a bag")
        elif not (encoding := tags.declared_encoding(layout)):
            detail = "it does not declare a version of BagIt and an encoding"
            yield Finding("contradictory", layout.declaration.name, detail)
        elif encoding.startswith(("UTF-16", "UTF-32")):
            detail = f"it declares {encoding}: only tag files in UTF-8 can be read"
            yield Finding("contradictory", layout.declaration.name, detail)


def check_other_manifests(store: Store, tables: Reconciliation) -> Iterator[Finding]:
    """Yield what manifests list, other than the checksum manifest, and is not so.

    Raises:
        StorageError: if they cannot be read.
    """
    with storage_errors(f"reading the manifests in {store.layout.root}"):
        for manifest in other_manifests.payload_manifests(store.layout):
            tables.add_others(manifest.name, other_manifests.payload_lines(manifest))
        yield from tables.differing()
        for manifest in other_manifests.tag_manifests(store.layout):
            yield from _wrong_lines(store, manifest)


def check_oxum(store: Store, tables: Reconciliation) -> Iterator[Finding]:
    """Yield what is wrong with `Payload-Oxum`, where it is given.

    Raises:
        StorageError: if it cannot be read.
    """
    name, payload = store.layout.info.name, tables.payload()
    with storage_errors(f"reading {store.layout.info}"):
        oxums = tags.payload_oxums(store.layout)
    if len(oxums) > 1:
        yield Finding("contradictory", name, f"it has {len(oxums)} lines of Payload-Oxum")
    elif oxums and payload and oxums[0] != payload:
        detail = f"Payload-Oxum is {oxums[0][:60]!r}, and the payload is {payload}"
        yield Finding("contradictory", name, detail)


def repair_declarations(store: Store, found: Audit, repairs: Repairs) -> None:
    """Put right what a bag says of itself, as far as that is known.

    The rest is brought up to date at the end of each run: see `confirm_declarations`.

    Raises:
        StorageError: if the disk fails.
    """
    layout, paths = store.layout, found.findings.paths("contradictory")
    with storage_errors(f"repairing the tag files of {layout.root}"):
        if layout.declaration.name in paths:
            store.copy_aside([layout.declaration.name])
            tags.declare_anew(layout)
            repairs.done[layout.declaration.name] = "it is written anew"
        for manifest in other_manifests.payload_manifests(layout):
            if manifest.name in paths:
                store.set_aside([manifest.name])
                repairs.done[manifest.name] = f"it is moved to {QUARANTINE}"


def confirm_declarations(store: Store, found: Audit, repairs: Repairs) -> None:
    """Note which declarations are right now.

    Raises:
        StorageError: if they cannot be read.
    """
    names = {store.layout.info.name, *map(_name, other_manifests.tag_manifests(store.layout))}
    for name in names.intersection(found.findings.paths("contradictory")):
        if wrong := next(_wrong_lines(store, store.layout.root / name), None):
            repairs.failed[name] = f"{wrong.detail}: put that file right, or move {name} away"
        else:
            repairs.done[name] = "it is brought up to date"


def without_declarations(paths: Iterable[str]) -> list[str]:
    """Return those of the paths that are payload files."""
    return [path for path in paths if path.startswith("data/")]


def _wrong_lines(store: Store, manifest: Path) -> Iterator[Finding]:
    if manifest.name.startswith("tagmanifest-"):
        for name, problem in other_manifests.wrong_lines(store.layout, manifest):
            yield Finding("contradictory", manifest.name, f"{name[:100]!r} {problem}")


def _name(path: Path) -> str:
    return path.name
