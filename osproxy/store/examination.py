"""
A look at a database that nobody has open, which changes nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.store.layout import StoreError
from osproxy.store.rows import READ, record_of
from osproxy.store.schema import LOG_SUFFIX, SCHEMA, CatalogueDamaged, decoded, is_damage

if TYPE_CHECKING:
    from pathlib import Path

    from osproxy.store.records import Record

# It needs no locks, which would be files to be made, or impossible on a disk that is read-only: who
# looks has the lock of the directory.
_VFS = "unix-none"


@frozen
class Examination:
    """
    What is in a database.

    :ivar unreadable: numbers of rows that cannot be understood.
    :ivar complete: whether no rows are missing that can be made anew from the files.
    """

    records: list[Record]
    unreadable: list[int]
    complete: bool


def examine(path: Path) -> Examination:
    """
    Read a database; blocks.

    :raises CatalogueDamaged: when it is not whole.
    :raises StoreError: when it cannot be opened, or is of another version of osproxy.
    """
    # Without a log beside it, it is opened so that none is made.
    written = path.with_name(path.name + LOG_SUFFIX).exists()
    uri = f"{path.absolute().as_uri()}?mode=ro&vfs={_VFS}" + ("" if written else "&immutable=1")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            # Then the index of the log is in memory.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").close()
            connection.text_factory = decoded
            _check(path, connection)
            return _read(connection)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise CatalogueDamaged(str(error)) from error
        raise StoreError(f"catalogue {path}: {error}") from error


def _check(path: Path, connection: sqlite3.Connection) -> None:
    ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if found != "ok":
        raise CatalogueDamaged(" ".join(str(found).split()))
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if not version:
        raise CatalogueDamaged("it is empty")
    if version != SCHEMA:
        raise StoreError(
            f"catalogue {path} has schema {version}, and this osproxy {SCHEMA}: start it once, or"
            " take the one that made it"
        )


def _read(connection: sqlite3.Connection) -> Examination:
    records, unreadable = [], []
    for row in connection.execute(f"{READ} ORDER BY id"):
        record = record_of(row)
        if record is None:
            unreadable.append(row[0])
        else:
            records.append(record)
    unfinished = connection.execute("SELECT work FROM unfinished").fetchall()
    return Examination(records, unreadable, complete=not unfinished)
