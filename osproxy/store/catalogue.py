"""
What is on disk, durably: one SQLite table, in a thread of its own.

Every change is one transaction. The write-ahead log makes a transaction survive the death of the
process without an fsync. When which entry was last used is kept apart from the rest, in rows so
small that noting a thousand uses touches few pages.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from attrs import frozen
from twisted.logger import Logger

from osproxy.store.accounts import BLOCK, Amount
from osproxy.store.layout import StoreError
from osproxy.store.listing import Listing
from osproxy.store.records import head_to
from osproxy.store.rows import INTO, READ, SIZE, record_of, row_of
from osproxy.store.schedule import Candidate
from osproxy.store.schema import LOG_SUFFIX, CatalogueDamaged, connected, is_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from osproxy.model import Head
    from osproxy.store.records import Record
    from osproxy.threads import InThread

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Before the row: of what has one it is known.
_DOUBT = """
INSERT OR IGNORE INTO unsynced SELECT ?, '' WHERE NOT EXISTS (SELECT 1 FROM entries WHERE id = ?)
"""
_EXTENT = f"""
SELECT coalesce(sum(body IS NOT id), 0), coalesce(sum(({SIZE} + {BLOCK - 1}) / {BLOCK}), 0),
    count(*), coalesce(max(id), 0)
FROM entries
"""
# Those of the future are asked for first: they were verified before the clock was set back.
_LEAST_VERIFIED = f"""
SELECT id, {SIZE}, verified_at FROM entries WHERE verified_at {{}} ? ORDER BY verified_at LIMIT ?
"""
_EQUAL = f"""
{READ} WHERE substr(digest, 1, 12) = substr(?, 1, 12) AND digest = ? AND length = ?
    AND (body IS NULL OR body = id)
"""
_USED = "SELECT coalesce(used, stored_at) FROM entries LEFT JOIN uses USING (id) WHERE id = ?"


@frozen
class Extent:
    """
    What there is in all.

    :ivar count: how many entries.
    :ivar taken: what their files take, and those of bodies that only others name.
    :ivar last: the greatest number.
    :ivar unsynced: the entries whose files were not synced, and the boots that they are from, empty
        where that is not known.
    """

    count: int
    taken: Amount
    last: int
    unsynced: dict[int, str]


class Catalogue:
    """
    The rows of one cache directory.

    :param in_thread: runs one function at a time, in order.
    :param durable: whether a transaction outlives a power loss.
    :ivar octets: what its files take on disk.
    :ivar incomplete: whether rows are missing that can be made anew from the files.
    """

    log = Logger()

    def __init__(self, path: Path, in_thread: InThread, *, durable: bool = False) -> None:
        self._path = path
        self._in_thread = in_thread
        self._durable = durable
        self._connection: sqlite3.Connection | None = None
        self._damaged = False
        self.octets = 0
        self.incomplete = False

    async def open(self) -> Extent:
        """
        Open the database, anew if it is open, and say what is in it.

        A damaged one is moved aside, and an empty one takes its place, which is `incomplete` until
        `completed` is called, beyond the end of the process.

        :raises StoreError: when it cannot be opened, though nothing says that it is damaged.
        """
        return await self._in_thread(self._measured, self._open)

    def listing(self, in_thread: InThread) -> Listing:
        """List all entries as they are now, in another thread, and behind nobody's back."""
        return Listing(self._path, in_thread)

    async def start_anew(self, damage: CatalogueDamaged) -> None:
        """Move the database aside, which was found damaged, as `open` does."""
        await self._in_thread(self._measured, self._start_anew, damage)

    async def renew(self, records: Sequence[Record]) -> None:
        """Move the database aside, instead of opening it, and begin one with these rows."""
        await self._in_thread(self._measured, self._renew, records)

    async def rows(self, ids: Sequence[int]) -> list[Record]:
        """Read the rows of these numbers, but for those that make no sense."""
        return await self._in_thread(self._watched, self._rows, [("id", number) for number in ids])

    async def rows_of(self, key: int) -> list[Record]:
        """Read the rows of a key, but for bodies that only others name."""
        return await self._in_thread(self._watched, self._rows, [("body IS NOT id AND key", key)])

    async def equal(self, digest: str, length: int) -> list[Record]:
        """Read the rows of the files that have a body of this digest and length."""
        return await self._in_thread(self._watched, self._equal, digest, length)

    async def sizes(self, after: int, most: int) -> list[tuple[int, int]]:
        """Give numbers and octets of the files that follow a number, so many at most."""
        return await self._in_thread(self._watched, self._sizes, after, most)

    async def recover(self, records: Sequence[Record]) -> None:
        """Add rows that may be there; of those that are not it is unknown which boot wrote them."""
        await self._in_thread(self._measured, self._recover, records)

    async def swap(
        self,
        new: Sequence[Record],
        dropped: Iterable[int],
        unsynced_since: str | None = None,
        unnamed: Iterable[int] = (),
    ) -> None:
        """
        Add rows and delete those that they replace, in one transaction.

        :param unsynced_since: the boot since which the new files wait to be synced; None if they
            are.
        :param unnamed: rows of which the body stays, and nothing else.
        """
        await self._in_thread(
            self._measured, self._swap, new, list(dropped), unsynced_since, list(unnamed)
        )

    async def synced(self, ids: Iterable[int]) -> None:
        """Note that the files of these are on the disk."""
        await self._in_thread(self._measured, self._synced, list(ids))

    async def drop(self, ids: Iterable[int], unnamed: Iterable[int] = ()) -> None:
        """Delete rows; of those that are unnamed the body stays."""
        await self.swap((), ids, unnamed=unnamed)

    async def note(
        self, used: Mapping[int, tuple[float, int]], checked: Mapping[int, tuple[float, Head]]
    ) -> None:
        """
        Write down when entries were used and how they stood, and when and how they were confirmed.
        """
        await self._in_thread(self._measured, self._note, used, checked)

    async def least_verified(self, now: float, most: int | None = None) -> list[Candidate]:
        """Name the entries that were not verified for longest, or all, the first before others."""
        return await self._in_thread(self._watched, self._least_verified, now, most)

    async def note_verified(self, verified: Mapping[int, float]) -> None:
        """Write down when entries were verified."""
        await self._in_thread(self._measured, self._note_verified, verified)

    async def last_used(self, number: int) -> float | None:
        """Say when an entry was last used, or stored; None where there is no such row."""
        return await self._in_thread(self._watched, self._last_used, number)

    async def asked(self) -> list[tuple[int, float]]:
        """Give what was asked for, by hashes of names, and when."""
        return await self._in_thread(self._watched, self._asked)

    async def note_asked(self, asked: Mapping[int, float], horizon: float) -> None:
        """Write down what was asked for and when, and forget what was before a time."""
        await self._in_thread(self._measured, self._note_asked, asked, horizon)

    async def completed(self) -> None:
        """Write down that no rows are missing any more."""
        await self._in_thread(self._measured, self._completed)

    async def close(self) -> None:
        """Fold the log into the database and close it; move it aside, if it was found damaged."""
        await self._in_thread(self._end)

    def _watched(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return work(*args, **kwargs)
        except sqlite3.OperationalError:
            # The tables are those that were there when it was opened.
            raise
        except sqlite3.DatabaseError as error:
            if is_damage(error) and not self._damaged:
                self._damaged = True
                self.log.error(
                    "the catalogue is damaged ({error}); the files make a new one after a restart",
                    error=error,
                )
            raise

    def _measured(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return self._watched(work, *args, **kwargs)
        finally:
            # It needs a descriptor; without one what was done is done all the same.
            with suppress(OSError):
                self.octets = sum(
                    path.stat().st_size for path in self._path.parent.glob(f"{self._path.stem}.*")
                )

    def _open(self) -> Extent:
        self._close()
        try:
            try:
                return self._opened()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                return self._start_anew(error)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"catalogue {self._path}: {error}") from error

    def _opened(self) -> Extent:
        self._damaged = False
        self._connection = connected(self._path, durable=self._durable)
        with closing(self._connection.execute("SELECT work FROM unfinished")) as cursor:
            self.incomplete = cursor.fetchone() is not None
        with closing(self._connection.execute(_EXTENT)) as cursor:
            count, blocks, files, last = cursor.fetchone()
        with closing(self._connection.execute("SELECT id, boot FROM unsynced")) as cursor:
            unsynced = dict(cursor.fetchall())
        return Extent(count, Amount(octets=blocks * BLOCK, files=files), last, unsynced)

    def _start_anew(self, damage: Exception) -> Extent:
        self.log.error(
            "the catalogue is damaged ({error}); it is kept as {aside}, the files make a new one",
            error=damage,
            aside=self._move_aside(),
        )
        return self._opened()

    def _renew(self, records: Sequence[Record]) -> None:
        if self._path.exists():
            self._move_aside()
        self._opened()
        self._recover(records)
        self._completed()

    def _rows(self, wanted: list[tuple[str, int]]) -> list[Record]:
        records = []
        for column, value in wanted:
            found = self._database.execute(f"{READ} WHERE {column} = ?", (value,)).fetchall()
            # One that makes no sense is read from its file.
            records += [record for row in found if (record := record_of(row)) is not None]
        return records

    def _equal(self, digest: str, length: int) -> list[Record]:
        found = self._database.execute(_EQUAL, (digest, digest, length)).fetchall()
        return [record for row in found if (record := record_of(row)) is not None]

    def _sizes(self, after: int, most: int) -> list[tuple[int, int]]:
        found = self._database.execute(
            f"SELECT id, {SIZE} FROM entries WHERE id > ? ORDER BY id LIMIT ?",
            (after, most),
        )
        return found.fetchall()

    def _recover(self, records: Sequence[Record]) -> None:
        with self._database as transaction:
            transaction.executemany(_DOUBT, [(record.id, record.id) for record in records])
            transaction.executemany(
                f"INSERT OR IGNORE {INTO}", [row_of(record) for record in records]
            )

    def _swap(
        self,
        new: Sequence[Record],
        dropped: list[int],
        unsynced_since: str | None,
        unnamed: list[int],
    ) -> None:
        with self._database as transaction:
            transaction.executemany(
                "UPDATE entries SET body = id WHERE id = ?", [(number,) for number in unnamed]
            )
            _delete(transaction, ("entries", "uses", "unsynced"), dropped)
            transaction.executemany(f"INSERT {INTO}", [row_of(record) for record in new])
            if unsynced_since is not None:
                transaction.executemany(
                    "INSERT INTO unsynced VALUES (?, ?)",
                    [(record.id, unsynced_since) for record in new],
                )

    def _synced(self, ids: list[int]) -> None:
        with self._database as transaction:
            _delete(transaction, ("unsynced",), ids)

    def _note(
        self, used: Mapping[int, tuple[float, int]], checked: Mapping[int, tuple[float, Head]]
    ) -> None:
        with self._database as transaction:
            transaction.executemany(
                "INSERT OR REPLACE INTO uses (id, used, hotness) VALUES (?, ?, ?)",
                [(number, at, hotness) for number, (at, hotness) in used.items()],
            )
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

    def _asked(self) -> list[tuple[int, float]]:
        return self._database.execute("SELECT name, at FROM asked").fetchall()

    def _note_asked(self, asked: Mapping[int, float], horizon: float) -> None:
        with self._database as transaction:
            transaction.executemany("INSERT OR REPLACE INTO asked VALUES (?, ?)", asked.items())
            transaction.execute("DELETE FROM asked WHERE at < ?", (horizon,))

    def _completed(self) -> None:
        with self._database as transaction:
            transaction.execute("DELETE FROM unfinished")
        self.incomplete = False

    def _end(self) -> None:
        self._close()
        if self._damaged and self._path.exists():
            self.log.info("the damaged catalogue is kept as {aside}", aside=self._move_aside())
        self._damaged = False

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
        for suffix in (LOG_SUFFIX, "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return aside


def _delete(transaction: sqlite3.Connection, tables: Iterable[str], ids: list[int]) -> None:
    for table in tables:
        transaction.executemany(f"DELETE FROM {table} WHERE id = ?", [(number,) for number in ids])
