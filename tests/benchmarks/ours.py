"""The archiver as a contender: its commands, and checks that it did its work."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from .measure import Contender, Measurement, Unsuccessful
from .site import Site
from .tools import archiver

NOWHERE = "http://127.0.0.1:9/api"
"""The API's URL where nothing is requested."""
_FILES_EACH = 2
"""A video, and the response it came with."""


def backup(archive: Path, manifest: Path, api: str = NOWHERE) -> tuple[str, ...]:
    """Return the command that backs up what a manifest lists, as fast as possible."""
    return (
        archiver(), "backup", "-a", str(archive), "--api-url", api, "--api-rate", "1000000/s",
        "--downloads", "16", "--allow-private-links", "--min-free", "0", "--wait", "0", "-q",
        str(manifest),
    )  # fmt: skip


def fresh(name: str, site: Site, archive: Path, command: Sequence[str] = ()) -> Contender:
    """Back up a whole site into a new archive."""
    return Contender(
        name,
        command or backup(archive, site.manifest, site.api),
        prepare=lambda: remove(archive),
        check=lambda _: check_listed(archive, len(site.ids)),
    )


def quiet(name: str, archive: Path, manifest: Path, count: int) -> Contender:
    """Back up a list of which everything is held already."""

    def check(run: Measurement) -> None:
        held = json.loads(run.out)["outcomes"]["already_held"]
        if held != count:
            raise Unsuccessful(f"{name}: {held:,} already held, not {count:,}")

    return Contender(name, (*backup(archive, manifest), "--json"), check=check)


def check_listed(archive: Path, generations: int) -> None:
    """Check that the checksum manifest lists the files of this many generations."""
    with (archive / "manifest-sha256.txt").open("rb") as lines:
        listed = sum(1 for _ in lines)
    if listed != generations * _FILES_EACH:
        raise Unsuccessful(f"{archive.name}: {listed:,} files for {generations:,} generations")


def remove(directory: Path) -> None:
    """Remove what an earlier run has left."""
    if directory.exists():
        shutil.rmtree(directory)
