"""
The tables of the catalogue, and how a database that an earlier version has made comes by them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from osproxy.store.index import key_of_url
from osproxy.store.layout import StoreError

if TYPE_CHECKING:
    from pathlib import Path

#: What is added to the name of the database for that of its log.
LOG_SUFFIX = "-wal"
# With it the index of the log is in the memory of the process instead of a file that is mapped
# there. Where the disk has no block left for a page of such a file, the kernel ends the process
# (SIGBUS): on file systems that never write in place, such as btrfs, at any write. For that nobody
# else can have the database open meanwhile.
_VFS = "unix-excl"
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
    "CREATE TABLE unsynced (id INTEGER PRIMARY KEY, boot TEXT NOT NULL);",
    # As it was stored, until the scrub comes by.
    """
    ALTER TABLE entries ADD COLUMN verified_at REAL NOT NULL DEFAULT 0;
    UPDATE entries SET verified_at = stored_at;
    CREATE INDEX entries_by_verification ON entries (verified_at);
    """,
    "CREATE TABLE asked (name INTEGER PRIMARY KEY, at REAL NOT NULL);",
    # The file that has the body, if that is another; if it is the same, no entry goes by it.
    """
    ALTER TABLE entries ADD COLUMN body INTEGER;
    DROP INDEX entries_by_key;
    CREATE INDEX entries_by_key ON entries (key, offset, length, body);
    CREATE INDEX entries_by_digest ON entries (substr(digest, 1, 12));
    """,
)
SCHEMA = len(_STEPS)
# Until it is deleted, there may be files whose rows are lost.
_REBUILD = "INSERT INTO unfinished VALUES ('rebuild');"
# Fails unless all is there that is asked for by others.
_LOOK = """
SELECT backend, path, variant, kind, head, offset, length, digest, stored_at, checked_at,
    generation, key, verified_at, body, used, hotness, work, boot, name, at
FROM entries, uses, unfinished, unsynced, asked LIMIT 0
"""

# What SQLite finds in the database, rather than on the way to it. Of our statements it says that
# there is an error where tables are not those that they were made for.
_DAMAGE = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class CatalogueDamaged(Exception):
    """The database is not what was written."""


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Say whether an error tells that the database is not what was written."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    # Extended codes have the plain one in their last octet; what Python finds wrong has none.
    return code is not None and code & 0xFF in _DAMAGE


def opened(path: Path) -> sqlite3.Connection:
    """Open the database for this process alone, whose connections share it."""
    # The thread that calls is one at a time, but not always the same one.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?vfs={_VFS}", uri=True, check_same_thread=False
    )
    # What is no UTF-8 costs its row, not all.
    connection.text_factory = decoded
    return connection


def connected(path: Path, *, durable: bool) -> sqlite3.Connection:
    """
    Open the database and bring it up to date.

    :param durable: whether a transaction outlives a power loss.
    :raises StoreError: when a later version of osproxy has made it.
    """
    connection = opened(path)
    try:
        connection.create_function("key_of_url", 2, key_of_url, deterministic=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_PAGES * 4096}")
        with closing(connection.execute("PRAGMA user_version")) as cursor:
            (version,) = cursor.fetchone()
        if not 0 <= version <= SCHEMA:
            raise StoreError(f"catalogue {path} has schema {version}; this osproxy knows {SCHEMA}")
        _migrate(connection, version)
        connection.execute(_LOOK).close()
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
