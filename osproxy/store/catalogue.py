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
from osproxy.store.schedule import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from osproxy.model import Head
    from osproxy.threads import InThread

_P = ParamSpec("_P")
_T = TypeVar("_T")

SCHEMA = 3
# The log is folded into the database at this many pages, to keep it small.
_LOG_PAGES = 64
_LOG_SUFFIX = "-wal"

_TABLES = f"""
BEGIN;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, backend TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL,
    head TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, digest TEXT NOT NULL,
    stored_at REAL NOT NULL, checked_at REAL NOT NULL, generation TEXT NOT NULL,
    variant TEXT NOT NULL DEFAULT '', verified_at REAL NOT NULL DEFAULT 0
);
CREATE INDEX entries_by_verification ON entries (verified_at);
CREATE TABLE uses (id INTEGER PRIMARY KEY, used REAL NOT NULL);
PRAGMA user_version = {SCHEMA};
COMMIT;
"""
# What makes of each schema the next one.
_STEPS = {
    1: "ALTER TABLE entries ADD COLUMN variant TEXT NOT NULL DEFAULT ''",
    # When each was last verified: as it was stored, until the scrub comes by.
    2: """
        ALTER TABLE entries ADD COLUMN verified_at REAL NOT NULL DEFAULT 0;
        UPDATE entries SET verified_at = stored_at;
        CREATE INDEX entries_by_verification ON entries (verified_at)
    """,
}
_LOAD = """
SELECT id, backend, path, kind, head, offset, length, digest, stored_at, checked_at, generation,
    variant
FROM entries LEFT JOIN uses USING (id) ORDER BY coalesce(used, stored_at), id
"""
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# Those of the future are asked for first: they were verified before the clock was set back.
_LEAST_VERIFIED = """
SELECT id, offset + length, verified_at FROM entries
WHERE verified_at {} ? ORDER BY verified_at LIMIT ?
"""
_USED = "SELECT coalesce(used, stored_at) FROM entries LEFT JOIN uses USING (id) WHERE id = ?"


class CatalogueDamaged(Exception):
    """The database is not one, or not whole; the text says how that shows."""


class Catalogue:
    """
    The rows of one cache directory.

    :param in_thread: runs one function at a time, in order.
    :ivar octets: what its files take on disk.
    """

    log = Logger()

    def __init__(self, path: Path, in_thread: InThread) -> None:
        self._path = path
        self._in_thread = in_thread
        self._connection: sqlite3.Connection | None = None
        self.octets = 0

    async def load(self) -> list[Record]:
        """
        Open the database and give every entry, the least recently used first.

        A damaged one is moved aside, and it is as if nothing had been stored.

        :raises StoreError: when it cannot be opened, though nothing says that it is damaged.
        """
        return await self._in_thread(self._measured, self._load)

    async def renew(self, records: Sequence[Record]) -> None:
        """Move the database aside, instead of opening it, and begin a new one with these rows."""
        await self._in_thread(self._measured, self._renew, records)

    async def swap(self, new: Sequence[Record], dropped: Iterable[int]) -> None:
        """Add rows and delete those that they replace, in one transaction."""
        await self._in_thread(self._measured, self._swap, new, list(dropped))

    async def drop(self, ids: Iterable[int]) -> None:
        """Delete rows."""
        await self._in_thread(self._measured, self._swap, (), list(ids))

    async def note(
        self, used: Mapping[int, float], checked: Mapping[int, tuple[float, Head]]
    ) -> None:
        """Write down when entries were used, and when (and how) they were confirmed."""
        await self._in_thread(self._measured, self._note, used, checked)

    async def least_verified(self, now: float, most: int | None = None) -> list[Candidate]:
        """Name the entries that were not verified for longest, or all, the first before others."""
        return await self._in_thread(self._least_verified, now, most)

    async def note_verified(self, verified: Mapping[int, float]) -> None:
        """Write down when entries were verified."""
        await self._in_thread(self._measured, self._note_verified, verified)

    async def last_used(self, number: int) -> float | None:
        """Say when an entry was last used, or stored; None where there is no such row."""
        return await self._in_thread(self._last_used, number)

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
        try:
            self._connection = _opened(self._path)
            return self._rows()
        except sqlite3.OperationalError as error:
            raise StoreError(f"catalogue {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self.log.error(
                "the catalogue is damaged ({error}); it is kept as {aside}, and the cache starts"
                " empty",
                error=error,
                aside=self._move_aside(),
            )
        self._connection = _opened(self._path)
        return []

    def _renew(self, records: Sequence[Record]) -> None:
        if self._path.exists():
            self._move_aside()
        self._connection = _opened(self._path)
        self._swap(records, [])

    def _rows(self) -> list[Record]:
        records, unreadable = _read(self._database)
        if unreadable:
            self.log.error("{count} rows of the catalogue are unreadable", count=len(unreadable))
            self._swap((), unreadable)
        return records

    def _swap(self, new: Sequence[Record], dropped: list[int]) -> None:
        with self._database as transaction:
            for table in ("entries", "uses"):
                transaction.executemany(
                    f"DELETE FROM {table} WHERE id = ?", [(number,) for number in dropped]
                )
            transaction.executemany(_INSERT, [_row_of(record) for record in new])

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

    def _least_verified(self, now: float, most: int | None) -> list[Candidate]:
        found: list[Candidate] = []
        for condition in (">", "<="):
            # SQLite takes a negative limit for none.
            limit = -1 if most is None else most - len(found)
            rows = self._database.execute(_LEAST_VERIFIED.format(condition), (now, limit))
            found += (Candidate(*row) for row in rows)
        return found

    def _note_verified(self, verified: Mapping[int, float]) -> None:
        with self._database as transaction:
            transaction.executemany(
                "UPDATE entries SET verified_at = ? WHERE id = ?",
                [(verified_at, number) for number, verified_at in verified.items()],
            )

    def _last_used(self, number: int) -> float | None:
        with closing(self._database.execute(_USED, (number,))) as found:
            row = found.fetchone()
        return None if row is None else row[0]

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the catalogue is not open")
        return self._connection

    def _move_aside(self) -> Path:
        self._close()
        number = 1
        while (aside := self._path.with_name(f"catalogue.damaged-{number}")).exists():
            number += 1
        self._path.rename(aside)
        for suffix in (_LOG_SUFFIX, "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return aside


def examine(path: Path) -> tuple[list[Record], list[int]]:
    """
    Read a database that nobody has open, and change nothing; blocks.

    :returns: its entries, and the numbers of rows that cannot be understood.
    :raises CatalogueDamaged: when it is not whole.
    :raises StoreError: when it cannot be opened, or is of another version of osproxy.
    """
    # Without a log beside it, it is opened so that none is made.
    written = path.with_name(path.name + _LOG_SUFFIX).exists()
    uri = f"{path.absolute().as_uri()}?mode=ro" + ("" if written else "&immutable=1")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
            if found != "ok":
                raise CatalogueDamaged(" ".join(str(found).split()))
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
            if not version:
                raise CatalogueDamaged("it is empty")
            if version != SCHEMA:
                raise StoreError(
                    f"catalogue {path} has schema {version}, and this osproxy {SCHEMA}: start it"
                    " once, or take the one that made it"
                )
            return _read(connection)
    except sqlite3.OperationalError as error:
        raise StoreError(f"catalogue {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise CatalogueDamaged(str(error)) from error


def _read(connection: sqlite3.Connection) -> tuple[list[Record], list[int]]:
    records, unreadable = [], []
    for row in connection.execute(_LOAD):
        try:
            records.append(_record_of(row))
        except (ValueError, TypeError, KeyError, AttributeError):
            unreadable.append(row[0])
    return records, unreadable


def _opened(path: Path) -> sqlite3.Connection:
    # The thread that calls is one at a time, but not always the same one.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
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
    except BaseException:
        connection.close()
        raise
    return connection


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
        record.stored_at,
    )


def _record_of(row: tuple[Any, ...]) -> Record:
    number, backend, path, kind, head, *rest, variant = row
    target = Target(backend, path, variant)
    return Record(number, target, Kind(kind), head_from(json.loads(head)), *rest)
