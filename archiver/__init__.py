"""Back up videos generated through the ModelsLab API before their links die.

The command `archiver` is a client of this library. With an API key, and a list of generation IDs
in `ids.txt`, this backs up their videos to the directory `videos`, then checks them::

    >>> import asyncio
    >>> import archiver
    >>> settings = archiver.Settings(archiver.ApiSettings(archiver.ApiKey("…")))
    >>> report = asyncio.run(archiver.backup("videos", ["ids.txt"], settings))
    >>> report.archived, report.failed, report.exit_status
    (1, 0, 0)
    >>> archiver.verify("videos").exit_status
    0

What goes wrong with a generation is in the report, and so is the error that ended a run early.
Only a run that cannot begin raises an `ArchiverError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from archiver.version import __version__

if TYPE_CHECKING:
    from archiver.apikey import ApiKey
    from archiver.errors import ArchiverError
    from archiver.fixity.report import FixityReport
    from archiver.fixity.verify import Selection, verify
    from archiver.pipeline.backup import backup
    from archiver.pipeline.report import Report
    from archiver.progress import Progress
    from archiver.settings import ApiSettings, DownloadSettings, Settings
    from archiver.shards import Shard

__all__ = [
    "ApiKey",
    "ApiSettings",
    "ArchiverError",
    "DownloadSettings",
    "FixityReport",
    "Progress",
    "Report",
    "Selection",
    "Settings",
    "Shard",
    "__version__",
    "backup",
    "verify",
]

_MODULES = {
    "ApiKey": "apikey",
    "ApiSettings": "settings",
    "ArchiverError": "errors",
    "DownloadSettings": "settings",
    "FixityReport": "fixity.report",
    "Progress": "progress",
    "Report": "pipeline.report",
    "Selection": "fixity.verify",
    "Settings": "settings",
    "Shard": "shards",
    "backup": "pipeline.backup",
    "verify": "fixity.verify",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is used: the command line starts without them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
