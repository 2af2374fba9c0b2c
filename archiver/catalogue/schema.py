"""The catalogue's tables, and how a file of an earlier version is brought up to date."""

import sqlite3
from collections.abc import Iterator

from archiver.errors import ConfigurationError

_MIGRATIONS = (
    """
CREATE TABLE generation (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- v6/deepfake/263
    state TEXT NOT NULL CHECK (state IN ('held', 'pending', 'lost', 'failed')),
    reason TEXT,
    since TEXT NOT NULL,             -- when it came into this state, UTC
    asked TEXT NOT NULL,             -- when this was last found, UTC
    first_asked TEXT NOT NULL,       -- when it was first asked about, UTC
    told INTEGER NOT NULL,           -- whether a run has lived to report it
    gone_nights INTEGER NOT NULL DEFAULT 0,
    gone_since TEXT,                 -- the first of the nights on which all its links were dead
    served_by TEXT                   -- the links that gave the payloads
);
CREATE INDEX untold ON generation (told) WHERE NOT told;
CREATE TABLE file (
    path TEXT PRIMARY KEY,           -- data/v6/deepfake/263.mp4
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    proven TEXT                      -- when its bytes last matched, UTC
) WITHOUT ROWID;
CREATE TABLE absorbed (              -- one row: how much of the checksum manifest is known here
    bytes INTEGER NOT NULL,
    tail BLOB NOT NULL
);
INSERT INTO absorbed VALUES (0, x'');
""",
    """
CREATE TABLE total (                 -- one row, kept by the triggers: a sum over a million is slow
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
INSERT INTO total SELECT count(*), cast(total(bytes) AS INTEGER) FROM file;
CREATE TRIGGER file_added AFTER INSERT ON file BEGIN
    UPDATE total SET files = files + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER file_changed AFTER UPDATE OF bytes ON file BEGIN
    UPDATE total SET bytes = bytes + new.bytes - old.bytes;
END;
CREATE TRIGGER file_removed AFTER DELETE ON file BEGIN
    UPDATE total SET files = files - 1, bytes = bytes - old.bytes;
END;
""",
    """
CREATE INDEX by_state ON generation (state, since);
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    began TEXT NOT NULL,             -- UTC, as is `ended`
    ended TEXT,                      -- NULL: it is running, or was killed
    exit_status INTEGER,
    counts TEXT NOT NULL,            -- JSON: how many of each outcome or finding
    bytes INTEGER NOT NULL,
    summary TEXT NOT NULL,
    version TEXT NOT NULL
);
""",
    """
ALTER TABLE generation ADD COLUMN pending_since TEXT;  -- when it was first found in the making
UPDATE generation SET pending_since = since WHERE state = 'pending';
UPDATE generation SET pending_since = first_asked
    WHERE state = 'failed' AND reason LIKE 'ModelsLab is still making it%';
""",
    """
ALTER TABLE generation RENAME COLUMN told TO reported;        -- whether a run lived to report it
ALTER TABLE generation RENAME COLUMN asked TO checked;        -- when this was last found, UTC
ALTER TABLE generation RENAME COLUMN first_asked TO first_checked;
ALTER TABLE generation RENAME COLUMN gone_nights TO gone_runs;
ALTER TABLE file RENAME COLUMN proven TO verified;            -- when its bytes last matched, UTC
DROP INDEX untold;
CREATE INDEX unreported ON generation (reported) WHERE NOT reported;
""",
    # Times were counted from the first run of a streak, which a wrong clock could have made.
    """
UPDATE generation SET state = 'failed', reported = 1, gone_runs = 1, gone_since = checked
    WHERE state = 'lost'             -- on one word of the API: no version does that any more
    AND reason LIKE 'ModelsLab responded: %' AND reason NOT LIKE '%, on %_ runs%';
CREATE TABLE new_generation (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- v6/deepfake/263
    state TEXT NOT NULL CHECK (state IN ('held', 'pending', 'lost', 'failed')),
    reason TEXT,
    since TEXT NOT NULL,             -- when it came into this state, UTC
    checked TEXT NOT NULL,           -- when this was last found, UTC
    first_checked TEXT NOT NULL,     -- when it was first asked about, UTC
    reported INTEGER NOT NULL,       -- whether a run has lived to report it
    trouble TEXT,                    -- hopeless, processing, unfinished, or NULL
    trouble_runs INTEGER NOT NULL,   -- in a row
    trouble_seconds INTEGER NOT NULL,-- over how long
    served_by TEXT                   -- the links that gave the payloads
);
INSERT INTO new_generation SELECT number, name, state, reason, since, checked, first_checked,
    reported,
    CASE WHEN gone_runs > 0 THEN 'hopeless' WHEN pending_since IS NOT NULL THEN 'processing' END,
    CASE WHEN gone_runs > 0 THEN gone_runs WHEN pending_since IS NOT NULL THEN 3 ELSE 0 END,
    max(0, coalesce(
        min(strftime('%s', checked) - strftime('%s', gone_since), 86400 * (gone_runs - 1)),
        min(strftime('%s', checked) - strftime('%s', pending_since), 86400 * 12), 0)),
    served_by FROM generation;
DROP TABLE generation;
ALTER TABLE new_generation RENAME TO generation;
CREATE INDEX unreported ON generation (reported) WHERE NOT reported;
CREATE INDEX by_state ON generation (state, since);
CREATE TABLE known_as (              -- what was listed under an assumed family
    name TEXT PRIMARY KEY,
    actual TEXT NOT NULL             -- the generation that it proved to be
) WITHOUT ROWID;
""",
    """
CREATE INDEX empty ON file (path) WHERE bytes = 0;  -- of most of them the size was not known
""",
    """
CREATE TABLE metadata (              -- what is said of a generation; NULL where nothing is
    name TEXT PRIMARY KEY,           -- v6/deepfake/263
    prompt TEXT,
    negative_prompt TEXT,
    model TEXT,
    seed TEXT,
    width INTEGER,                   -- as asked for, as are the height and the duration
    height INTEGER,
    duration REAL,                   -- in seconds
    track_id TEXT,
    created TEXT                     -- UTC
) WITHOUT ROWID;
CREATE TABLE properties (            -- what a video says of itself; NULL where it says nothing
    path TEXT PRIMARY KEY,           -- data/v6/deepfake/263.mp4
    duration REAL,                   -- in seconds
    width INTEGER,
    height INTEGER,
    frame_rate REAL,
    video_codec TEXT,
    audio_codec TEXT
) WITHOUT ROWID;
""",
    """
ALTER TABLE generation ADD COLUMN described INTEGER NOT NULL DEFAULT 0;  -- its sidecars were read
CREATE INDEX undescribed ON generation (number) WHERE state = 'held' AND NOT described;
CREATE TABLE entry (                 -- what manifests say of a generation and a sidecar has
    name TEXT NOT NULL,              -- v6/deepfake/263
    digest TEXT NOT NULL,
    PRIMARY KEY (name, digest)
) WITHOUT ROWID;
CREATE TABLE dead (                  -- what ModelsLab alone lists, and no link of it is alive
    name TEXT PRIMARY KEY,           -- v6/assets_generated/263
    paths TEXT NOT NULL,             -- JSON: those of its links
    runs INTEGER NOT NULL,           -- on how many in a row that was found
    checked TEXT NOT NULL            -- when that was last found, UTC
) WITHOUT ROWID;
""",
)
"""What makes each version of the tables from the one before."""
VERSION = len(_MIGRATIONS)
"""The version that this program uses."""


def upgrade(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Bring the tables of a new or an earlier catalogue to the version that we use.

    Raises:
        ConfigurationError: if a newer archiver wrote it.
    """
    if version_of(connection) < VERSION:
        connection.execute("BEGIN IMMEDIATE")  # another process may do it: this waits for that
        with connection:
            for migration in _MIGRATIONS[version_of(connection) :]:
                for statement in _statements(migration):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a catalogue's tables; 0 if it has none.

    Raises:
        ConfigurationError: if a newer archiver wrote it.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise ConfigurationError("the catalogue was written by a newer archiver: upgrade this one")
    return int(found)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, which `executescript` would not run in our transaction."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
