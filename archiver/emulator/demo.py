"""The demo: one backup from the emulator, end to end, without a key or a network."""

from importlib.resources import as_file, files
from pathlib import Path

from archiver.apikey import ApiKey
from archiver.emulator.scripts import LinkScript, OutputScript, Script
from archiver.emulator.server import Emulator
from archiver.generation import Generation
from archiver.pipeline.backup import backup
from archiver.pipeline.report import Report
from archiver.progress import Progress
from archiver.settings import ApiSettings, DownloadSettings, Settings

_KEY = "demo-key"


def _plain(size: int, prompt: str = "") -> Script:
    meta = {"prompt": prompt, "model_id": "demo-1", "seed": size} if prompt else {}
    output = OutputScript(size=size, primary=LinkScript(seconds=0.5))
    return Script(outputs=(output,), meta=meta)


_SCRIPTS = {
    "deepfake/263": _plain(800_000, "A lighthouse in a storm, waves over the rocks"),
    "deepfake/264": _plain(2_000_000, "A fox in fresh snow, at dawn"),
    "deepfake/265": _plain(60_000, "Paper boats on a slow river"),
    "deepfake/266": _plain(5_000_000),
    "deepfake/267": _plain(300_000),
    "realtime/147": _plain(1_200_000, "Clouds over a city, time lapse"),
    "realtime/148": _plain(90_000),
    "video/9a1c-77": _plain(3_000_000, "A train through mountains, seen from above"),
    "v7/video-fusion/31": Script(outputs=(OutputScript(size=400_000), OutputScript(size=700_000))),
    "deepfake/278": Script(ready_after=1),
    "deepfake/300": Script(
        outputs=(OutputScript(primary=LinkScript(fault="dead"), proxy=LinkScript()),)
    ),
    "deepfake/301": Script(response="failed"),
    # On no list: they are discovered, one under its endpoint, one that no endpoint knows any more.
    "video/9401": _plain(500_000),
    "realtime/9402": Script(response="unknown"),
}


async def demonstrate(archive: Path, progress: Progress) -> Report:
    """Back up `demo.txt`, and what is discovered, from the emulator into `archive`."""
    scripts = {_generation(name): script for name, script in _SCRIPTS.items()}
    async with Emulator(scripts, key=_KEY) as emulator:
        api = ApiSettings(ApiKey(_KEY), emulator.api_url, rate=10)
        download = DownloadSettings(min_free=0, allow_private=True)
        settings = Settings(api, download, discover=("video",))
        with as_file(files("archiver.emulator") / "demo.txt") as manifest:
            return await backup(archive, [manifest], settings, progress)


def _generation(name: str) -> Generation:
    endpoint, _, id_ = name.rpartition("/")
    return Generation.of(endpoint, id_)
