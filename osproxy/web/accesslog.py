"""
An entry a request, in a file, on the standard output, or in the journal.

What is written, and in which form, is in `osproxy.web.record`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.task import deferLater
from twisted.logger import Logger

from osproxy.journal import SOCKET, Journal
from osproxy.web.logfile import LAST_OFFERS, OFFER_AGAIN, STDOUT, Output, open_file, takes_over
from osproxy.web.record import as_json, combined, entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from osproxy.web.record import Record

_log = Logger()

FLUSH_EVERY = 1.0
#: Entries that wait at most. Beyond that, later ones are lost.
MOST_WAITING = 10_000
_TOO_SLOW = "it is not taken fast enough"

_FORMS = {"combined": combined, "json": as_json}


def open_log(where: str, form: str, journal: Path = SOCKET) -> Output[Record] | None:
    """
    Open what ``--access-log`` names: a file to append to, ``-``, ``journald`` or ``off``.

    :param form: ``combined`` or ``json``; the journal has its own.
    :raises OSError: when the file cannot be had.
    """
    if where == "off":
        return None
    if where == "journald":
        return Output(Journal(journal), entry)
    written = _FORMS[form]
    return Output(open_file(where, STDOUT), lambda record: f"{written(record)}\n".encode("ascii"))


@define(eq=False)
class AccessLog:
    """
    Gathers entries for a second at most and writes them in one go.

    What cannot be written is lost: each entry is counted, and the first is said until there are
    entries that can be written.

    :param lost: is told how many were.
    """

    _output: Output[Record] | None
    _clock: IReactorTime
    _lost: Callable[[int], None]
    _entries: list[bytes] = field(factory=list, init=False)
    _due: IDelayedCall | None = field(default=None, init=False)
    _failing: bool = field(default=False, init=False)

    def add(self, record: Record) -> None:
        """Have a request logged."""
        if self._output is None:
            return
        if len(self._entries) >= MOST_WAITING:
            self._lose(1, _TOO_SLOW)
            return
        self._entries.append(self._output.form(record))
        if self._due is None:
            self._due = self._clock.callLater(FLUSH_EVERY, self._in_turn)

    def flush(self) -> None:
        """Write what can be written now; the rest is offered again."""
        while self._entries and self._write():
            pass
        self._wait()

    async def end(self) -> None:
        """Write what is left, and close. What is not taken in a while is lost."""
        self.flush()
        for _ in range(LAST_OFFERS):
            if self._due is None:
                break
            await deferLater(self._clock, OFFER_AGAIN, self.flush)
        self.change(None)

    def change(self, output: Output[Record] | None) -> None:
        """
        Write the entries of later requests to another place, and close the one before.

        What that one does not take now is lost, unless the other is of the same kind.
        """
        self.flush()
        old, self._output = self._output, output
        if not takes_over(old, output):
            self._give_up()
        if old is not None:
            try:
                old.sink.close()
            except OSError as error:
                self._lose(0, error)

    def _in_turn(self) -> None:
        self._write()
        self._wait()

    def _wait(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()
        again = bool(self._entries)
        self._due = self._clock.callLater(OFFER_AGAIN, self._in_turn) if again else None

    def _give_up(self) -> None:
        if self._entries:
            self._lose(len(self._entries), _TOO_SLOW)
            self._entries = []
            self._wait()

    def _write(self) -> bool:
        """Write what can be written now, and say whether that is anything."""
        assert self._output is not None, "there are entries"
        try:
            written = self._output.sink.write(self._entries)
        except OSError as error:
            self._lose(len(self._entries), error)
            self._entries = []
            return False
        del self._entries[:written]
        # Who takes a part of it only has not recovered.
        self._failing = self._failing and bool(self._entries)
        return bool(written)

    def _lose(self, entries: int, error: object) -> None:
        self._lost(entries)
        if not self._failing:
            _log.error("cannot write the access log: {error}", error=error)
        self._failing = True
