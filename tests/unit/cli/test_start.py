"""A run starts soon: it imports what it needs, and no more."""

import os
import subprocess
import sys
from pathlib import Path

from archiver.archive.writable import WritableBag
from tests.support.catalogues import place_generations


def test_a_run_without_work_imports_only_what_it_needs(tmp_path: Path) -> None:
    """What only downloads, a log file, a proxy or other formats need is not imported."""
    with WritableBag.open(tmp_path / "archive") as bag:
        place_generations(bag, 1, 2)
    (tmp_path / "ids.txt").write_text("1\n2\n")
    command = ["backup", "-a", str(tmp_path / "archive"), "-q", str(tmp_path / "ids.txt")]
    code = (
        "import sys; from archiver.cli.main import cli\n"
        f"assert cli.main({command!r}, standalone_mode=False) == 0\n"
        "print(*sys.modules)"
    )
    path = os.pathsep.join(filter(None, sys.path))
    env = {"PYTHONPATH": path, "HOME": str(tmp_path), "MODELSLAB_API_KEY": "a-key"}
    for _ in range(2):  # the first run has work: it reads the sidecars
        done = subprocess.run(
            [sys.executable, "-S", "-c", code],
            capture_output=True, text=True, timeout=30, check=True, env=env,
        )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "archiver.pipeline.backup" in loaded
    assert not loaded & {
        "aiohttp", "aiofiles", "tqdm", "csv", "decimal", "tempfile", "logging.handlers",
        "archiver.catalogue.queries", "archiver.http.proxies", "archiver.manifest.json_values",
        "archiver.modelslab", "archiver.monitoring.log_file", "archiver.monitoring.ping",
        "archiver.pipeline.commit", "archiver.pipeline.workers",
    }  # fmt: skip
