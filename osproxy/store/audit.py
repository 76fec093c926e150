"""
A cache directory whose server is stopped: what should be in it, what is, and putting that right.

Everything here blocks. What is to be there is said by the catalogue; where that is damaged, or does
not say it all, by the files themselves, each of which tells what it is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, execute

from osproxy.store.catalogue import Catalogue
from osproxy.store.examination import examine
from osproxy.store.records import BadHeader, read_header
from osproxy.store.schema import CatalogueDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
    from pathlib import Path

    from twisted.python.failure import Failure

    from osproxy.store.examination import Examination
    from osproxy.store.layout import Directory
    from osproxy.store.records import Record

_P = ParamSpec("_P")
_T = TypeVar("_T")


@frozen
class Book:
    """
    What there should be.

    :ivar records: the entries.
    :ivar unreadable: numbers of rows of the catalogue that cannot be understood.
    :ivar damage: in what way the catalogue is damaged, so that the files were asked; or None.
    :ivar complete: whether no row is missing that the next start will make anew from its file.
    """

    records: list[Record]
    unreadable: list[int] = field(factory=list)
    damage: str | None = None
    complete: bool = True

    def restored(self, damaged: Collection[int]) -> list[Record]:
        """Give the entries whose rows can be made anew, the damaged ones apart."""
        wanted = set(self.unreadable).difference(damaged)
        return [record for record in self.records if record.id in wanted]


def read_book(directory: Directory) -> Book:
    """
    Find out what there should be, and change nothing.

    :raises StoreError: when that cannot be known: the catalogue is of another version, or out of
        reach.
    """
    try:
        if directory.catalogue.exists():
            return _with_files(directory, examine(directory.catalogue))
        damage = "it is missing"
    except CatalogueDamaged as error:
        damage = str(error)
    records = _records_of_files(directory)
    if not directory.catalogue.exists() and not records:
        # Nothing was ever stored here.
        return Book([])
    return Book(records, damage=damage)


def path_of(directory: Directory, record: Record) -> Path:
    """Say where the file of a record should lie."""
    return (directory.body_path if record.nameless else directory.entry_path)(record.id)


def without_body(records: Iterable[Record], damaged: Collection[int]) -> list[Record]:
    """Give the names of bodies that are not there, or damaged."""
    every = list(records)
    sound = {it.id for it in every if not it.is_name and it.id not in damaged}
    return [it for it in every if it.is_name and it.body not in sound]


def strays(directory: Directory, book: Book) -> list[Path]:
    """Name the files among the entries that no entry needs, or that are not in their place."""
    needed = {path_of(directory, record) for record in book.records}
    # A second link takes no space, and may stay when it is not needed any more.
    needed |= {directory.body_path(record.id) for record in book.records if not record.is_name}
    files = chain(directory.entry_files(), directory.body_files())
    return [path for path in chain.from_iterable(files) if path not in needed]


def mend(
    directory: Directory, book: Book, damaged: Collection[int], unneeded: Collection[Path]
) -> None:
    """
    Delete what is damaged, rows before their files, and files that are not needed.

    Rows that cannot be understood, and a damaged catalogue, are made anew from the files.
    """
    catalogue = Catalogue(directory.catalogue, _here)
    if book.damage is None:
        _done(catalogue.open())
        # As of all rows that are made anew it is not known since which boot their files wait.
        _done(catalogue.swap(book.restored(damaged), {*damaged, *book.unreadable}, ""))
    else:
        _done(catalogue.renew([one for one in book.records if one.id not in damaged]))
        _hand_over(directory.catalogue, directory.root)
    _done(catalogue.close())
    links = (*map(directory.entry_path, damaged), *map(directory.body_path, damaged))
    for path in (*links, *unneeded):
        path.unlink(missing_ok=True)


def _with_files(directory: Directory, found: Examination) -> Book:
    """Add what only files say: of rows that cannot be understood, or are to be made anew."""
    known = {record.id for record in found.records}
    wanted: Iterable[int] = found.unreadable
    if not found.complete:
        wanted = _numbers(directory)
    records = list(_headers(directory, (number for number in wanted if number not in known)))
    every = _needed([_as_found(directory, it) for it in (*found.records, *records)])
    return Book(every, found.unreadable, complete=found.complete)


def _as_found(directory: Directory, record: Record) -> Record:
    """Give a body its name no longer where only its second link is there, whatever the row says."""
    paths = directory.entry_path(record.id), directory.body_path(record.id)
    unnamed = not record.is_name and paths[1].exists() and not paths[0].exists()
    return evolve(record, body=record.id) if unnamed else record


def _records_of_files(directory: Directory) -> list[Record]:
    every = list(_headers(directory, _numbers(directory)))
    # Of two files for one target the later one counts, and of the other its body, if that is named.
    entries = {it.target: it for it in sorted(every, key=lambda it: it.id) if not it.nameless}
    others = (it for it in every if not it.is_name and entries.get(it.target) is not it)
    return _needed([*entries.values(), *(evolve(it, body=it.id) for it in others)])


def _needed(records: list[Record]) -> list[Record]:
    """Leave out bodies that nobody names: they are on their way out, and so are their files."""
    named = {record.body for record in records if record.is_name}
    return [record for record in records if not record.nameless or record.id in named]


def _numbers(directory: Directory) -> list[int]:
    """Name all files that lie there, be it as entries or as bodies only."""
    found = chain(directory.entries(), directory.bodies())
    return sorted(set(chain.from_iterable(found)))


def _headers(directory: Directory, numbers: Iterable[int]) -> Iterator[Record]:
    for number in numbers:
        with suppress(BadHeader, OSError):
            entry = directory.entry_path(number)
            yield read_header(entry if entry.exists() else directory.body_path(number))


def _hand_over(path: Path, like: Path) -> None:
    """Give a new file to whom the directory belongs: root may repair what a service will use."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _here(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
    """Stand in for threads: nobody else is to be served meanwhile."""
    return execute(function, *args, **kwargs)


def _done(work: Coroutine[Deferred[Any], Any, _T]) -> _T:
    """Give the result of what has not waited for anything."""
    results: list[_T] = []
    failures: list[Failure] = []
    Deferred.fromCoroutine(work).addCallbacks(results.append, failures.append)
    for failure in failures:
        failure.raiseException()
    return results[0]
