"""Reconciliation: an archive's files, checksum manifest and catalogue, compared in SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta

from archiver.catalogue.database import sqlite_errors
from archiver.fixity.report import Finding, Kind
from archiver.generation import generation_at
from archiver.media.info import Properties

_GROUP = 1000
_LONGEST_AGO = 100 * 365 * 86400.0  # seconds: more would lead to before the year 1

_TABLES = """
CREATE TEMP TABLE known (
    path TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    verified TEXT,
    described INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO known SELECT path, sha256, bytes,  -- a clock that was ahead has verified nothing
    iif(verified > strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), NULL, verified),
    path IN (SELECT path FROM properties) FROM file;
CREATE TEMP TABLE found (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE line (path TEXT NOT NULL, sha256 TEXT NOT NULL, number INTEGER NOT NULL);
CREATE INDEX temp.by_path ON line (path);
CREATE TEMP TABLE chosen (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    line INTEGER NOT NULL,
    bytes INTEGER,                   -- NULL where the catalogue does not know the file
    described INTEGER NOT NULL,      -- whether what it says of itself is known
    read INTEGER NOT NULL,           -- whether its bytes are, or else what the store reports
    matches INTEGER NOT NULL DEFAULT 0
);
CREATE TEMP TABLE video AS SELECT * FROM properties WHERE false;
CREATE TEMP TABLE other (            -- what the checksum manifests of other algorithms list
    path TEXT NOT NULL,
    manifest TEXT NOT NULL,
    checksum TEXT NOT NULL
);
CREATE INDEX temp.other_by_path ON other (path);
CREATE TEMP TABLE manifest (name TEXT NOT NULL);
"""
_COMPARISONS: tuple[tuple[Kind, str], ...] = (
    (
        "missing",
        "SELECT DISTINCT path, 'it is listed, but not there' FROM line"
        " WHERE path NOT IN (SELECT path FROM found)",
    ),
    (
        "unexpected",
        "SELECT path, 'it is there, but not listed' FROM found"
        " WHERE path NOT IN (SELECT path FROM line) AND path NOT IN (SELECT path FROM known)",
    ),
    (
        "contradictory",
        "SELECT path, 'the catalogue has it, but its checksum line is gone' FROM known"
        " WHERE path NOT IN (SELECT path FROM line)",
    ),
    (
        "contradictory",
        "SELECT path, 'line ' || number || ' has ' || line.sha256 || ', the catalogue '"
        " || known.sha256 FROM line JOIN known USING (path) WHERE line.sha256 <> known.sha256",
    ),
    (
        "contradictory",
        "SELECT path, 'it is listed more than once'"
        " || iif(count(DISTINCT sha256) > 1, ', differently', '') || ': lines '"
        " || group_concat(number, ', ') FROM line GROUP BY path HAVING count(*) > 1",
    ),
)

_CHOOSE = (
    "INSERT INTO chosen (path, sha256, line, bytes, described, read)"
    " SELECT path, line.sha256, min(number), nullif(bytes, 0), coalesce(described, 0), {read}"
    " FROM line JOIN found USING (path) LEFT JOIN known USING (path)"
)
_NEXT = (
    "SELECT number, path, sha256, line, described, bytes FROM chosen"
    " WHERE read = ? AND number > ? ORDER BY number LIMIT ?"
)

_DIFFERING = """
WITH differing AS (
        SELECT name AS manifest, path, 'it does not list ' AS problem FROM manifest
            CROSS JOIN (SELECT DISTINCT path FROM line)
            WHERE (name, path) NOT IN (SELECT manifest, path FROM other)
        UNION ALL
        SELECT manifest, path, 'it alone lists ' FROM other
            WHERE path NOT IN (SELECT path FROM line)
        UNION ALL
        SELECT manifest, path, 'it lists more than once ' FROM other
            GROUP BY manifest, path HAVING count(*) > 1
    )
SELECT manifest, problem || min(path)
    || iif(count(*) > 1, ' and ' || (count(*) - 1) || ' more', '')
    FROM differing GROUP BY manifest, problem
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the checksum manifest, and its number."""

    path: str
    sha256: str
    line: int
    others: tuple[tuple[str, str], ...] = ()
    """The names of other manifests that list the file, and the checksums that they have."""
    is_described: bool = True
    """Whether what it says of itself, as a video, is known."""
    size: int | None = None
    """Its size in bytes, where that is known."""


class Reconciliation:
    """Compares files found, lines listed and what the catalogue knows, in temporary tables.

    What the catalogue learns after the beginning is not seen: its lines may come after those that
    are listed. Nor is it kept from learning: what it knew is copied.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        with sqlite_errors():
            self._db.executescript(_TABLES)

    def add_found(self, paths: Iterable[str]) -> None:
        """Take in files that are there."""
        self._fill("INSERT OR IGNORE INTO found VALUES (?)", ((path,) for path in paths))

    def ignore(self, paths: Iterable[str]) -> None:
        """Leave out files that are just being committed: they need not be listed yet."""
        self._fill("DELETE FROM found WHERE path = ?", ((path,) for path in paths))

    def add_listed(self, lines: Iterable[Listed]) -> None:
        """Take in lines of the checksum manifest."""
        rows = ((each.path, each.sha256, each.line) for each in lines)
        self._fill("INSERT INTO line VALUES (?, ?, ?)", rows)

    def add_further(self, lines: Iterable[Listed]) -> None:
        """Take in lines that are to be rolled up after those of the checksum manifest.

        Their numbers are those that they will have; the ones that are there already have theirs.
        """
        last = self._one("SELECT coalesce(max(number), 0) FROM line")
        statement = (
            "INSERT INTO line SELECT ?1, ?2, ?3"
            " WHERE NOT EXISTS (SELECT 1 FROM line WHERE path = ?1 AND sha256 = ?2)"
        )
        rows = ((each.path, each.sha256, last + each.line) for each in lines)
        self._fill(statement, rows)

    def add_others(self, manifest: str, lines: Iterable[tuple[str, str]]) -> None:
        """Take in the paths and checksums in a checksum manifest of another algorithm."""
        self._fill("INSERT INTO manifest VALUES (?)", [(manifest,)])
        rows = ((path, manifest, checksum) for path, checksum in lines)
        self._fill("INSERT INTO other VALUES (?, ?, ?)", rows)

    def differing(self) -> Iterator[Finding]:
        """Yield for each other manifest how the files that it lists differ from our lines."""
        with sqlite_errors():
            for manifest, detail in self._db.execute(_DIFFERING):
                yield Finding("contradictory", manifest, detail)

    def not_found(self) -> Iterator[str]:
        """Yield the paths that are listed and were not found."""
        with sqlite_errors():
            query = "SELECT DISTINCT path FROM line WHERE path NOT IN (SELECT path FROM found)"
            yield from (path for (path,) in self._db.execute(query))

    def not_listed(self) -> Iterator[str]:
        """Yield the paths that were found and neither are listed nor known."""
        with sqlite_errors():
            yield from (path for path, _ in self._db.execute(dict(_COMPARISONS)["unexpected"]))

    def lists_response_of(self, path: str) -> bool:
        """Return whether the response of the generation is listed whose file this is."""
        generation = generation_at(path)
        query = "SELECT 1 FROM line WHERE path = ?"
        with sqlite_errors():
            found = generation and self._db.execute(query, (generation.sidecar_path,)).fetchone()
        return bool(found)

    def listed(self) -> int:
        """Return how many files are listed."""
        return self._one("SELECT count(DISTINCT path) FROM line")

    def findings(self) -> Iterator[Finding]:
        """Yield what does not fit together, without reading any file."""
        with sqlite_errors():
            for kind, query in _COMPARISONS:
                for path, detail in self._db.execute(query):
                    yield Finding(kind, path, detail)

    def choose(self, limit: int, older_than: float) -> None:
        """Choose files to read: those read at least `older_than` seconds ago, oldest first."""
        age = timedelta(seconds=min(older_than, _LONGEST_AGO))
        before = (datetime.now(UTC) - age).isoformat(timespec="seconds")
        chosen = (
            " WHERE verified IS NULL OR verified <= ? GROUP BY path ORDER BY verified, path LIMIT ?"
        )
        with sqlite_errors():
            self._db.execute(_CHOOSE.format(read=1) + chosen, (before, limit))

    def choose_rest(self) -> None:
        """Choose the other files, for what the store reports of them."""
        rest = " WHERE path NOT IN (SELECT path FROM chosen) GROUP BY path"
        with sqlite_errors():
            self._db.execute(_CHOOSE.format(read=0) + rest)

    def chosen_bytes(self) -> int:
        """Return how many bytes there are to read, by what the catalogue knows."""
        return self._one("SELECT total(bytes) FROM chosen WHERE read")

    def chosen(self, *, to_read: bool = True) -> Iterator[Sequence[Listed]]:
        """Yield the files that are chosen to be read, or not to be, in groups."""
        after = 0
        with sqlite_errors():
            others = self._db.execute("SELECT 1 FROM other LIMIT 1").fetchone()
            while rows := self._db.execute(_NEXT, (to_read, after, _GROUP)).fetchall():
                yield [
                    Listed(
                        path, sha256, line, self._others(path) if others else (), bool(known), size
                    )
                    for _, path, sha256, line, known, size in rows
                ]
                after = rows[-1][0]

    def set_matching(self, files: Iterable[tuple[str, int, bool]]) -> None:
        """Note that these files match, how many bytes they have, and whether those were read."""
        rows = ((size, was_read, path) for path, size, was_read in files)
        self._fill("UPDATE chosen SET matches = 1, bytes = ?, read = ? WHERE path = ?", rows)

    def add_properties(self, properties: Iterable[tuple[str, Properties]]) -> None:
        """Note what videos that were read and match say of themselves."""
        rows = ((path, *astuple(said)) for path, said in properties)
        self._fill("INSERT INTO video VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def properties(self) -> Iterator[tuple[str, Properties]]:
        """Yield what was noted of videos, by their paths."""
        with sqlite_errors():
            for path, *said in self._db.execute("SELECT * FROM video"):
                yield path, Properties(*said)

    def payload(self) -> str | None:
        """Return what the payload is as BagIt counts it, `<bytes>.<files>`; None if unknown.

        For a file that was not read the catalogue's size serves.
        """
        with sqlite_errors():
            files, known, size = self._db.execute(
                "SELECT count(*), count(coalesce(chosen.bytes, known.bytes)),"
                " coalesce(sum(coalesce(chosen.bytes, known.bytes)), 0)"
                " FROM found LEFT JOIN chosen USING (path) LEFT JOIN known USING (path)"
            ).fetchone()
        return f"{size}.{files}" if known == files else None

    def resized(self) -> Iterator[tuple[str, int]]:
        """Yield the files that match and whose size the catalogue has wrong, and their size."""
        with sqlite_errors():
            yield from self._db.execute(
                "SELECT path, chosen.bytes FROM chosen JOIN known USING (path)"
                " WHERE matches AND chosen.bytes <> known.bytes"
            )

    def matching(self) -> Iterator[str]:
        """Yield the files that were read and match."""
        with sqlite_errors():
            query = "SELECT path FROM chosen WHERE matches AND read"
            yield from (path for (path,) in self._db.execute(query))

    def _others(self, path: str) -> tuple[tuple[str, str], ...]:
        query = "SELECT manifest, checksum FROM other WHERE path = ? AND checksum <> ''"
        return tuple(self._db.execute(query, (path,)))

    def _one(self, query: str) -> int:
        with sqlite_errors():
            return int(self._db.execute(query).fetchone()[0])

    def _fill(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        with sqlite_errors():
            self._db.executemany(statement, rows)
