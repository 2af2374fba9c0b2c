"""Archives made by hand, to be copied, and what is looked at in a copy."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path


def make_archive(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write a bag as another program would: no catalogue, and nothing else of ours."""
    root.mkdir(parents=True)
    (root / "data").mkdir()
    (root / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (root / "manifest-sha256.txt").touch()
    add_files(root, files)
    return root


def add_files(root: Path, files: Mapping[str, bytes]) -> None:
    """Add files to an archive, and their lines."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    with (root / "manifest-sha256.txt").open("a") as manifest:
        for path, content in files.items():
            manifest.write(f"{hashlib.sha256(content).hexdigest()}  {path}\n")


def lines_in(root: Path) -> dict[str, str]:
    """Return the checksum of each path that a directory's manifest lists."""
    lines = (root / "manifest-sha256.txt").read_text().splitlines()
    return dict(line.split("  ", 1)[::-1] for line in lines)


def generation_files(id_: str, size: int = 1000) -> dict[str, bytes]:
    """Return a payload and a response, which nobody takes for a video."""
    response = f'{{"status": "success", "id": "{id_}", "prompt": "a {id_}"}}\n'
    return {
        f"data/v6/deepfake/{id_}.mp4": os.urandom(size),
        f"data/v6/deepfake/{id_}.json": response.encode(),
    }


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return what is in each file of a directory, and when it was written."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
