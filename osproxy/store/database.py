"""
The database of the catalogue: its tables, version by version, and what a row says.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.index import key_of, key_of_url
from osproxy.store.layout import StoreError
from osproxy.store.records import Record, head_from, head_to

if TYPE_CHECKING:
    from pathlib import Path

#: What is added to the name of the database for that of its log.
LOG_SUFFIX = "-wal"
# The log is folded into the database at this many pages, to keep it small.
_LOG_PAGES = 64

# What each version of the schema adds to the one before; a new database goes through them all.
_STEPS = (
    """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY, backend TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL,
        head TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, digest TEXT NOT NULL,
        stored_at REAL NOT NULL, checked_at REAL NOT NULL, generation TEXT NOT NULL
    );
    CREATE TABLE uses (id INTEGER PRIMARY KEY, used REAL NOT NULL);
    """,
    "ALTER TABLE entries ADD COLUMN variant TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE uses ADD COLUMN hotness INTEGER;",
    "CREATE TABLE unfinished (work TEXT PRIMARY KEY);",
    # With the size beside it, all of them are summed up without a look at the rows.
    """
    ALTER TABLE entries ADD COLUMN key INTEGER NOT NULL DEFAULT 0;
    UPDATE entries SET key = key_of_url(backend, path);
    CREATE INDEX entries_by_key ON entries (key, offset, length);
    """,
    # As it was stored, until the scrub comes by.
    """
    ALTER TABLE entries ADD COLUMN verified_at REAL NOT NULL DEFAULT 0;
    UPDATE entries SET verified_at = stored_at;
    CREATE INDEX entries_by_verification ON entries (verified_at);
    """,
)
SCHEMA = len(_STEPS)
# Until it is deleted, there may be files whose rows are lost.
_REBUILD = "INSERT INTO unfinished VALUES ('rebuild');"

_COLUMNS = """
id, backend, path, kind, head, offset, length, digest, stored_at, checked_at, generation, variant,
key, verified_at
"""
#: Selects what `record_of` takes.
READ = """
SELECT id, backend, path, kind, head, offset, length, digest, stored_at, checked_at, generation,
    hotness, variant
FROM entries LEFT JOIN uses USING (id)
"""
#: Behind ``INSERT``, for what `row_of` gives.
INTO = f"INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class CatalogueDamaged(Exception):
    """The database is not what was written."""


def connected(path: Path) -> sqlite3.Connection:
    """
    Open a database, which is made or brought up to date where that must be.

    :raises StoreError: when it is of a later version.
    """
    # The thread that calls is one at a time, but not always the same one.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.create_function("key_of_url", 2, key_of_url, deterministic=True)
        # What is no UTF-8 costs its row, not all.
        connection.text_factory = decoded
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_PAGES * 4096}")
        with closing(connection.execute("PRAGMA user_version")) as cursor:
            (version,) = cursor.fetchone()
        if not 0 <= version <= SCHEMA:
            raise StoreError(f"catalogue {path} has schema {version}; this osproxy knows {SCHEMA}")
        _migrate(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def decoded(octets: bytes) -> str:
    """Read a text, whatever it is."""
    return octets.decode("utf-8", "replace")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    # One transaction: a crash leaves the old schema or the new one.
    steps = [*_STEPS[version:], *(() if version else (_REBUILD,))]
    if steps:
        connection.executescript(
            f"BEGIN; {' '.join(steps)} PRAGMA user_version = {SCHEMA}; COMMIT;"
        )


def row_of(record: Record) -> tuple[object, ...]:
    """Give the row of an entry that was just stored, or last verified then."""
    return (
        record.id,
        record.target.backend,
        record.target.path,
        record.kind.value,
        json.dumps(head_to(record.head)),
        record.offset,
        record.length,
        record.digest,
        record.stored_at,
        record.checked_at,
        record.generation,
        record.target.variant,
        key_of(record.target),
        record.stored_at,
    )


def record_of(row: tuple[Any, ...]) -> Record | None:
    """Give the entry of a row, None if the row makes no sense."""
    number, backend, path, kind, head, *rest, variant = row
    try:
        target = Target(backend, path, variant)
        return Record(number, target, Kind(kind), head_from(json.loads(head)), *rest)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
