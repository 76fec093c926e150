"""
A look at a cache directory whose server is stopped, and what is told of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.audit import mend, path_of, read_book, strays, without_body
from osproxy.store.inspection import Damaged, inspect
from osproxy.store.schedule import pause
from osproxy.tools.amounts import count_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from osproxy.store.audit import Book
    from osproxy.store.layout import Directory
    from osproxy.store.records import Record
    from osproxy.tools.progress import Progress

# Lines about single files; further ones are only counted.
_MOST_LINES = 20


@define(eq=False)
class Report:
    """What is written: a line for each thing that was found, up to a number of them."""

    out: TextIO
    progress: Progress
    _lines: int = field(init=False, default=0)

    def found(self, text: str) -> None:
        """Tell of one thing that is wrong."""
        self._lines += 1
        if self._lines <= _MOST_LINES:
            self.say(text)

    def say(self, text: str) -> None:
        """Write a line, whatever else is written."""
        self.progress.clear()
        self.out.write(f"{text}\n")
        self.out.flush()

    def end_of_list(self) -> None:
        """Say how many lines were not written."""
        if self._lines > _MOST_LINES:
            self.say(f"... and {self._lines - _MOST_LINES} more")


@define(eq=False)
class Check:
    """
    A look at a directory whose server is stopped.

    :ivar rate: octets a second to read at most; None for as fast as can be.
    """

    directory: Directory
    rate: int | None
    report: Report
    _seconds: Callable[[], float] = time.monotonic
    _sleep: Callable[[float], object] = time.sleep

    def run(self, *, repair: bool) -> bool:
        """
        Look at everything, and say whether all is well.

        :param repair: whether what is wrong is deleted, if it is so at a second look.
        """
        report = self.report
        book = read_book(self.directory)
        if book.damage is not None:
            report.found(f"the catalogue is damaged: {book.damage}")
        for number in book.unreadable:
            report.found(f"row {number} of the catalogue cannot be understood")
        damaged = self._look(book.records)
        unneeded = strays(self.directory, book)
        for path in unneeded:
            report.found(f"{self._place(path)} belongs to no entry")
        report.end_of_list()
        self._sum_up(book, len(damaged), len(unneeded))
        if book.damage is None and not (book.unreadable or damaged or unneeded):
            return True
        if repair:
            self._repair(damaged, unneeded)
        else:
            report.say("nothing was changed; --repair deletes what is wrong")
            if book.damage is not None:
                report.say(
                    "osproxy makes a new catalogue from the files when it starts; --repair does"
                    " it now"
                )
        return False

    def _look(self, records: Sequence[Record]) -> list[Record]:
        """Read all files, and give those entries that are damaged."""
        damaged = []
        done, of = 0, sum(record.size for record in records)
        for record in records:
            path, position = path_of(self.directory, record), 0
            try:
                for octets in self._read(record):
                    position += octets
                    self.report.progress.show(done + position, of)
            except Damaged as error:
                damaged.append(record)
                self.report.found(f"{record.target}: {error} ({self._place(path)})")
            done += record.size
            self.report.progress.show(done, of)
        self.report.progress.clear()
        lost = without_body(records, {record.id for record in damaged})
        for record in lost:
            self.report.found(f"{record.target}: its body is missing or damaged")
        return [*damaged, *lost]

    def _read(self, record: Record) -> Iterator[int]:
        began = self._seconds()
        for octets in inspect(path_of(self.directory, record), record):
            yield octets
            self._sleep(pause(octets, self._seconds() - began, self.rate))
            began = self._seconds()

    def _repair(self, damaged: list[Record], unneeded: list[Path]) -> None:
        """Look a second time, and delete what is still wrong."""
        again = read_book(self.directory)
        still = {record.id for record in damaged if self._is_damaged(record)}
        still |= {record.id for record in without_body(again.records, still)}
        orphans = set(unneeded).intersection(strays(self.directory, again))
        right = len(damaged) - len(still) + len(unneeded) - len(orphans)
        if right:
            self.report.say(f"right at the second look, and kept: {right}")
        mend(self.directory, again, still, orphans)
        self.report.say(f"deleted: {_entries(len(still))}, {_files(len(orphans))}")
        restored = len(again.restored(still))
        if restored:
            self.report.say(f"made anew from files: {_rows(restored)}")
        if again.damage is not None:
            self.report.say("the catalogue is made anew from the files; the old one is kept beside")

    def _is_damaged(self, record: Record) -> bool:
        try:
            for _ in inspect(path_of(self.directory, record), record):
                continue
        except Damaged:
            return True
        return False

    def _place(self, path: Path) -> str:
        return str(path.relative_to(self.directory.root))

    def _sum_up(self, book: Book, damaged: int, unneeded: int) -> None:
        octets = sum(record.size for record in book.records)
        wrong = [
            *([f"{damaged} damaged"] if damaged else []),
            *([f"{_rows(len(book.unreadable))} not understood"] if book.unreadable else []),
            *([_files(unneeded)] if unneeded else []),
            *(["the catalogue is damaged"] if book.damage is not None else []),
        ]
        found = ", ".join(wrong) or "all as they were stored"
        entries = sum(not record.nameless for record in book.records)
        self.report.say(f"{_entries(entries)}, {size_text(octets)}: {found}")
        drafts = len(self.directory.drafts())
        if drafts:
            self.report.say(f"left to the next start: {count_text(drafts, 'draft', 'drafts')}")
        if not book.complete:
            self.report.say("left to the next start: the catalogue, of which rows are missing")


def _entries(count: int) -> str:
    return count_text(count, "entry", "entries")


def _rows(count: int) -> str:
    return count_text(count, "row", "rows")


def _files(count: int) -> str:
    return f"{count_text(count, 'file', 'files')} without an entry"
