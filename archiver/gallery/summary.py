"""The summary: where an archive stands, and which scripts the page is to load."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from archiver.archive.store import Store
from archiver.catalogue.history import History
from archiver.catalogue.queries import State
from archiver.catalogue.store import Catalogue
from archiver.gallery import posters
from archiver.gallery.written import Written
from archiver.run import Run

_SHOWN_RUNS = 12
_STATES: tuple[State, ...] = ("held", "pending", "failed", "lost")


def summary(store: Store, catalogue: Catalogue, written: Written) -> dict[str, object]:
    """Return what the page is given of the archive as a whole.

    Raises:
        OSError: if the disk cannot be looked at.
        StorageError: if the catalogue cannot be read.
    """
    queries, history = catalogue.queries, catalogue.history
    fixity = last_fixity_run(history)
    return {
        "written": _seconds(datetime.now(UTC)),
        "states": {state: queries.tally(state).count for state in _STATES},
        "files": queries.holdings().files,
        "bytes": queries.holdings().bytes,
        "disk": None if store.is_shared else _disk(store),
        "runs": [_run(run) for run in history.last(_SHOWN_RUNS)],
        "fixity": _run(fixity) if fixity else None,
        "posters": {
            "missing": sum(chunk.without_poster for chunk in written.chunks.values()),
            "available": posters.available(),
        },
        "chunks": list(_chunks(written)),
    }


def _disk(store: Store) -> dict[str, int]:
    disk = shutil.disk_usage(store.layout.root)
    return {"free": disk.free, "size": disk.total}


def last_fixity_run(history: History) -> Run | None:
    """Return the last verify or repair that read any file: where none was due, nothing was learnt.

    Raises:
        StorageError: if it cannot be read.
    """
    runs = history.last(100, "verify", "repair")
    return next((run for run in runs if run.counts.get("checked")), None)


def _run(run: Run) -> dict[str, object]:
    return {
        "command": run.command,
        "began": _seconds(run.began),
        "ended": _seconds(run.ended),
        "status": run.exit_status,
        "summary": run.summary,
        "checked": run.counts.get("checked"),
    }


def _chunks(written: Written) -> Iterator[dict[str, object]]:
    """Yield the chunks, those first that hold what was recorded last."""
    for number, chunk in sorted(written.chunks.items(), reverse=True):
        name = "unfinished" if number < 0 else f"{number}"
        digests = {"data": chunk.data, "details": chunk.details}
        yield {"name": name, "rows": chunk.rows, **digests}


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
