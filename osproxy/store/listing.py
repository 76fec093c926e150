"""
All entries in the order in which they were used, for a start.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.repo.kinds import Kind
from osproxy.store.index import key_of
from osproxy.store.rows import SIZE, SOUND
from osproxy.store.schema import CatalogueDamaged, is_damage, opened

if TYPE_CHECKING:
    from pathlib import Path

    from osproxy.store.records import Record
    from osproxy.threads import InThread

# The order needs what is in no index: each row is seen, and damage with it. SQLite would all the
# same read the rows in the order of an index, which takes far longer where there are many. What is
# put in order is kept short: with the paths it would take twice as long. Names come behind all the
# bodies, so that each finds its own.
_LIST = f"""
SELECT CASE WHEN {SOUND} THEN id END, key, {SIZE}, kind = 'image', hotness, body
FROM entries NOT INDEXED LEFT JOIN uses USING (id)
ORDER BY body IS NOT NULL AND body <> id, coalesce(used, stored_at), id
"""

#: An entry as it is listed: number, key, octets of its file, whether it is an image, hotness, and
#: the file of its body if that is not its own.
Place = tuple[int, int, int, int, int | None, int | None]


@define(eq=False)
class Listing:
    """
    All entries, the least recently used first, a bite at a time.

    It reads through a connection of its own: putting a million in order takes seconds, in which
    nobody is to wait for the other one. What is written meanwhile is not listed.
    """

    _path: Path
    _in_thread: InThread
    _connection: sqlite3.Connection | None = field(init=False, default=None)
    _cursor: sqlite3.Cursor | None = field(init=False, default=None)

    async def next(self, most: int) -> list[Place]:
        """
        Give the next ones; none at the end.

        :raises CatalogueDamaged: when they cannot be read.
        """
        return await self._in_thread(self._next, most)

    async def close(self) -> None:
        """Give the database up."""
        await self._in_thread(self._close)

    def _next(self, most: int) -> list[Place]:
        try:
            if self._cursor is None:
                self._connection = opened(self._path)
                self._cursor = self._connection.execute(_LIST)
            places: list[Place] = self._cursor.fetchmany(most)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise CatalogueDamaged(str(error)) from error
            raise
        if any(number is None for number, *_ in places):
            raise CatalogueDamaged("it has a row that no entry has")
        return places

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def place_of(record: Record) -> Place:
    """Give an entry as it would be listed."""
    image = record.kind is Kind.IMAGE
    return record.id, key_of(record.target), record.size, image, record.hotness, record.body
