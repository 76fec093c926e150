"""
What is on disk, durably: one SQLite table, in a thread of its own.

Every change is one transaction. The write-ahead log makes a transaction survive the death of the
process without an fsync. When which entry was last used is kept apart from the rest, in rows so
small that noting a thousand uses touches few pages.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from twisted.logger import Logger

from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.layout import StoreError
from osproxy.store.records import Record, head_from, head_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from osproxy.model import Head
    from osproxy.threads import InThread

_P = ParamSpec("_P")
_T = TypeVar("_T")

SCHEMA = 2
# The log is folded into the database at this many pages, to keep it small.
_LOG_PAGES = 64

_TABLES = f"""
BEGIN;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, backend TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL,
    head TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, digest TEXT NOT NULL,
    stored_at REAL NOT NULL, checked_at REAL NOT NULL, generation TEXT NOT NULL,
    variant TEXT NOT NULL DEFAULT ''
);
CREATE TABLE uses (id INTEGER PRIMARY KEY, used REAL NOT NULL);
PRAGMA user_version = {SCHEMA};
COMMIT;
"""
# An older version does not know it, and need not.
_UNSYNCED = """
CREATE TABLE IF NOT EXISTS unsynced (id INTEGER PRIMARY KEY, boot TEXT NOT NULL)
"""
# What makes of each schema the next one.
_STEPS = {
    1: "ALTER TABLE entries ADD COLUMN variant TEXT NOT NULL DEFAULT ''",
}
_LOAD = """
SELECT id, backend, path, kind, head, offset, length, digest, stored_at, checked_at, generation,
    variant
FROM entries LEFT JOIN uses USING (id) ORDER BY coalesce(used, stored_at), id
"""
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Catalogue:
    """
    The rows of one cache directory.

    :param in_thread: runs one function at a time, in order.
    :param durable: whether a transaction outlives a power loss.
    :ivar octets: what its files take on disk.
    """

    log = Logger()

    def __init__(self, path: Path, in_thread: InThread, *, durable: bool = False) -> None:
        self._path = path
        self._in_thread = in_thread
        self._durable = durable
        self._connection: sqlite3.Connection | None = None
        self.octets = 0

    async def load(self) -> list[Record]:
        """
        Open the database, anew if it is open, and give every entry, the least recently used first.

        A damaged one is moved aside, and it is as if nothing had been stored.

        :raises StoreError: when it cannot be opened, though nothing says that it is damaged.
        """
        return await self._in_thread(self._measured, self._load)

    async def swap(
        self, new: Sequence[Record], dropped: Iterable[int], unsynced_since: str | None = None
    ) -> None:
        """
        Add rows and delete those that they replace, in one transaction.

        :param unsynced_since: the boot since which the new files wait to be synced; None if they
            are.
        """
        await self._in_thread(self._measured, self._swap, new, list(dropped), unsynced_since)

    async def unsynced(self) -> dict[int, str]:
        """Give the entries whose files were not synced, and the boots that they are from."""
        return await self._in_thread(self._measured, self._unsynced)

    async def synced(self, ids: Iterable[int]) -> None:
        """Note that the files of these are on the disk."""
        await self._in_thread(self._measured, self._synced, list(ids))

    async def drop(self, ids: Iterable[int]) -> None:
        """Delete rows."""
        await self._in_thread(self._measured, self._swap, (), list(ids))

    async def note(
        self, used: Mapping[int, float], checked: Mapping[int, tuple[float, Head]]
    ) -> None:
        """Write down when entries were used, and when (and how) they were confirmed."""
        await self._in_thread(self._measured, self._note, used, checked)

    async def close(self) -> None:
        """Fold the log into the database and close it."""
        await self._in_thread(self._close)

    def _measured(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return work(*args, **kwargs)
        finally:
            self.octets = sum(
                path.stat().st_size for path in self._path.parent.glob(f"{self._path.stem}.*")
            )

    def _load(self) -> list[Record]:
        self._close()
        try:
            self._connection = _opened(self._path, durable=self._durable)
            return self._rows()
        except sqlite3.OperationalError as error:
            raise StoreError(f"catalogue {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self._move_aside(error)
        self._connection = _opened(self._path, durable=self._durable)
        return []

    def _rows(self) -> list[Record]:
        records = []
        unreadable = []
        for row in self._database.execute(_LOAD):
            try:
                records.append(_record_of(row))
            except (ValueError, TypeError, KeyError, AttributeError):
                unreadable.append(row[0])
        if unreadable:
            self.log.error("{count} rows of the catalogue are unreadable", count=len(unreadable))
            self._swap((), unreadable)
        return records

    def _swap(
        self, new: Sequence[Record], dropped: list[int], unsynced_since: str | None = None
    ) -> None:
        with self._database as transaction:
            _delete(transaction, ("entries", "uses", "unsynced"), dropped)
            transaction.executemany(_INSERT, [_row_of(record) for record in new])
            if unsynced_since is not None:
                transaction.executemany(
                    "INSERT INTO unsynced VALUES (?, ?)",
                    [(record.id, unsynced_since) for record in new],
                )

    def _synced(self, ids: list[int]) -> None:
        with self._database as transaction:
            _delete(transaction, ("unsynced",), ids)

    def _unsynced(self) -> dict[int, str]:
        return dict(self._database.execute("SELECT id, boot FROM unsynced"))

    def _note(self, used: Mapping[int, float], checked: Mapping[int, tuple[float, Head]]) -> None:
        with self._database as transaction:
            transaction.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?)", used.items())
            transaction.executemany(
                "UPDATE entries SET checked_at = ?, head = ? WHERE id = ?",
                [
                    (checked_at, json.dumps(head_to(head)), number)
                    for number, (checked_at, head) in checked.items()
                ],
            )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the catalogue is not open")
        return self._connection

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        self._close()
        number = 1
        while (aside := self._path.with_name(f"catalogue.damaged-{number}")).exists():
            number += 1
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self.log.error(
            "the catalogue is damaged ({error}); it is kept as {aside}, and the cache starts empty",
            error=error,
            aside=aside,
        )


def _opened(path: Path, *, durable: bool) -> sqlite3.Connection:
    # The thread that calls is one at a time, but not always the same one.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_PAGES * 4096}")
        with closing(connection.execute("PRAGMA user_version")) as cursor:
            (version,) = cursor.fetchone()
        if version == 0:
            connection.executescript(_TABLES)
        elif version > SCHEMA:
            raise StoreError(f"catalogue {path} has schema {version}; this osproxy knows {SCHEMA}")
        else:
            _migrate(connection, version)
        connection.execute(_UNSYNCED)
    except BaseException:
        connection.close()
        raise
    return connection


def _delete(transaction: sqlite3.Connection, tables: Iterable[str], ids: list[int]) -> None:
    for table in tables:
        transaction.executemany(f"DELETE FROM {table} WHERE id = ?", [(number,) for number in ids])


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    # One transaction a step: a crash leaves one schema or the next.
    for number in range(version, SCHEMA):
        connection.executescript(
            f"BEGIN; {_STEPS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
        )


def _row_of(record: Record) -> tuple[object, ...]:
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
    )


def _record_of(row: tuple[Any, ...]) -> Record:
    number, backend, path, kind, head, *rest, variant = row
    target = Target(backend, path, variant)
    return Record(number, target, Kind(kind), head_from(json.loads(head)), *rest)
