"""Tests of `osproxy.web.accesslog`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.journal import SOCKET
from osproxy.web.accesslog import MOST_WAITING, AccessLog, open_log
from osproxy.web.logfile import OFFER_AGAIN, LogFile, Output
from osproxy.web.record import combined
from tests.journals import Listening
from tests.records import RECORD
from tests.web.support import logged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osproxy.web.logfile import Sink
    from osproxy.web.record import Record

LINE = combined(RECORD).encode() + b"\n"


def to(sink: Sink) -> Output[Record]:
    """Have lines go to a sink."""
    return Output(sink, lambda record: combined(record).encode() + b"\n")


class Written:
    """
    A sink that is a list.

    :ivar entries: what was written, each time that anything was.
    :ivar troubles: what comes of each time that it is written to, None for nothing bad.
    :ivar takes: how many entries at once.
    """

    def __init__(self, troubles: Sequence[OSError | None] = (), takes: int = 1 << 30) -> None:
        self.entries: list[bytes] = []
        self.troubles = list(troubles)
        self.takes = takes
        self.closed = False

    def write(self, entries: Sequence[bytes]) -> int:
        """Add to the list."""
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble
        self.entries.append(b"".join(entries[: self.takes]))
        return min(len(entries), self.takes)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class AccessLogTestCase(SynchronousTestCase):
    """A log in memory."""

    def setUp(self) -> None:
        """Have one."""
        self.clock = Clock()
        self.written = Written()
        self.lost = 0
        self.events = logged(self)
        self.log = self.logging(to(self.written))

    def logging(self, output: Output[Record] | None) -> AccessLog:
        """Make a log with this output."""

        def lost(entries: int) -> None:
            self.lost += entries

        return AccessLog(output, self.clock, lost)

    def errors(self) -> int:
        """Count how often it was said that it cannot be written."""
        return len([event for event in self.events if "error" in event])


class AccessLogTests(AccessLogTestCase):
    """Tests of `AccessLog`."""

    def test_gathered(self) -> None:
        """The lines of a second are written in one go."""
        self.log.add(RECORD)
        self.log.add(RECORD)
        self.assertEqual(self.written.entries, [])
        self.clock.advance(1)
        self.assertEqual(self.written.entries, [LINE * 2])

    def test_again(self) -> None:
        """Later lines are written a second later."""
        self.log.add(RECORD)
        self.clock.advance(1)
        self.log.add(RECORD)
        self.clock.advance(1)
        self.assertEqual(self.written.entries, [LINE] * 2)

    def test_quiet(self) -> None:
        """Without requests nothing is written, and nothing waits to be."""
        self.log.flush()
        self.assertEqual((self.written.entries, self.clock.getDelayedCalls()), ([], []))

    def test_at_the_end(self) -> None:
        """At the end the lines that are left can be written at once."""
        self.log.add(RECORD)
        self.log.flush()
        self.assertEqual(self.written.entries, [LINE])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disk_full(self) -> None:
        """A log that cannot be written is said once, until it can be; each line is counted."""
        full = OSError(28, "full")
        log = self.logging(to(Written((full, full, None, full))))
        for _ in range(4):
            log.add(RECORD)
            log.add(RECORD)
            self.clock.advance(1)
        self.assertEqual((self.errors(), self.lost), (2, 6))

    def test_none(self) -> None:
        """Without a place no line is kept, and none is lost."""
        log = self.logging(None)
        log.add(RECORD)
        log.flush()
        self.assertEqual((self.clock.getDelayedCalls(), self.lost), ([], 0))

    def test_rotated(self) -> None:
        """Up to a change requests are in the old file, which is closed, and then in the new one."""
        before = Written()
        log = self.logging(to(before))
        log.add(RECORD)
        log.change(to(self.written))
        log.add(RECORD)
        self.clock.advance(1)
        self.assertEqual((before.entries, self.written.entries), ([LINE], [LINE]))
        self.assertEqual((before.closed, self.written.closed), (True, False))

    def test_rotated_on_a_full_disk(self) -> None:
        """A file whose last lines could not be written does not stand in the way of the next."""
        log = self.logging(open_log("/dev/full", "combined"))
        log.add(RECORD)
        log.change(to(self.written))
        log.add(RECORD)
        log.flush()
        self.assertEqual((self.errors(), self.lost), (1, 1))
        self.assertEqual(self.written.entries, [LINE])

    def test_lost_when_closed(self) -> None:
        """What a file system refuses as late as that is said."""

        class Late(Written):
            def close(self) -> None:
                raise OSError(122, "quota exceeded")

        self.logging(to(Late())).change(None)
        self.assertEqual((self.errors(), self.lost), (1, 0))


class SlowTests(AccessLogTestCase):
    """An output that does not keep up."""

    def test_offered_again(self) -> None:
        """What was not taken is offered again soon, in order, and none is lost."""
        self.written.takes = 2
        for _ in range(5):
            self.log.add(RECORD)
        self.clock.pump([1, OFFER_AGAIN, OFFER_AGAIN])
        self.assertEqual(self.written.entries, [LINE * 2, LINE * 2, LINE])
        self.assertEqual((self.clock.getDelayedCalls(), self.lost), ([], 0))

    def test_at_the_end(self) -> None:
        """At the end all is written, if need be little by little."""
        self.written.takes = 2
        for _ in range(5):
            self.log.add(RECORD)
        self.successResultOf(Deferred.fromCoroutine(self.log.end()))
        self.assertEqual(sum(map(len, self.written.entries)), 5 * len(LINE))
        self.assertTrue(self.written.closed)
        self.log.add(RECORD)
        self.assertEqual((self.lost, self.clock.getDelayedCalls()), (0, []))

    def test_slow_at_the_end(self) -> None:
        """What is not taken at once is waited for."""
        self.written.takes = 0
        for _ in range(2):
            self.log.add(RECORD)
        ending = Deferred.fromCoroutine(self.log.end())
        self.clock.advance(OFFER_AGAIN)
        self.assertNoResult(ending)
        self.written.takes = 1
        self.clock.advance(OFFER_AGAIN)
        self.successResultOf(ending)
        self.assertEqual((self.lost, self.clock.getDelayedCalls()), (0, []))

    def test_too_slow_at_the_end(self) -> None:
        """What is not taken in the end is lost; a stop does not wait for ever."""
        self.written.takes = 0
        self.log.add(RECORD)
        ending = Deferred.fromCoroutine(self.log.end())
        self.clock.pump([OFFER_AGAIN] * 101)
        self.successResultOf(ending)
        self.assertEqual((self.lost, self.errors()), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_changed(self) -> None:
        """What is left at a change goes to the other place if that is of the same kind."""
        self.written.takes = 0
        other = Written()
        self.log.add(RECORD)
        self.log.change(to(other))
        self.clock.advance(OFFER_AGAIN)
        self.assertEqual((other.entries, self.lost), ([LINE], 0))
        other.takes = 0
        self.log.add(RECORD)
        self.log.change(None)
        self.assertEqual((self.lost, self.clock.getDelayedCalls()), (1, []))

    def test_bounded(self) -> None:
        """Only so many wait; later ones are lost, which is said once until all are written."""
        self.written.takes = 0
        for _ in range(MOST_WAITING + 3):
            self.log.add(RECORD)
        self.clock.advance(1)
        self.assertEqual((self.lost, self.errors()), (3, 1))
        self.written.takes = 1
        self.clock.advance(OFFER_AGAIN)
        for _ in range(2):
            self.log.add(RECORD)
        self.assertEqual((self.lost, self.errors()), (4, 1))
        self.written.takes = MOST_WAITING
        self.clock.advance(OFFER_AGAIN)
        self.written.takes = 0
        for _ in range(MOST_WAITING + 1):
            self.log.add(RECORD)
        self.assertEqual((self.lost, self.errors()), (5, 2))


class PipeTests(AccessLogTestCase):
    """The log is a pipe, and who reads it is slow."""

    def setUp(self) -> None:
        """Open it at both ends."""
        super().setUp()
        path = self.mktemp()
        os.mkfifo(path)
        self.reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reading)
        self.path = path
        self.log = self.logging(open_log(path, "combined"))
        self.addCleanup(self.log.change, None)

    def test_slow(self) -> None:
        """A burst that it does not take at once is not lost."""
        for _ in range(2000):
            self.log.add(RECORD)
        self.clock.advance(1)
        got = b""
        while len(got) < 2000 * len(LINE):
            got += os.read(self.reading, 1 << 16)
            self.clock.advance(OFFER_AGAIN)
        self.assertEqual(set(got.splitlines(keepends=True)), {LINE})
        self.assertEqual((self.lost, self.errors()), (0, 0))

    def test_opened_anew(self) -> None:
        """A line that was begun is ended, though the pipe is opened anew in the middle of it."""
        for _ in range(2000):
            self.log.add(RECORD)
        self.log.change(open_log(self.path, "combined"))
        got = b""
        while len(got) < 2000 * len(LINE):
            got += os.read(self.reading, 1 << 16)
            self.clock.advance(OFFER_AGAIN)
        self.assertEqual((set(got.splitlines(keepends=True)), self.lost), ({LINE}, 0))

    def test_other(self) -> None:
        """Another pipe begins with a whole line."""
        path = self.mktemp()
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        for _ in range(2000):
            self.log.add(RECORD)
        self.log.change(open_log(path, "combined"))
        self.clock.advance(OFFER_AGAIN)
        self.assertTrue(os.read(reading, 1 << 16).startswith(LINE))

    def test_stuck(self) -> None:
        """One that is read no more is given up at the end."""
        for _ in range(2000):
            self.log.add(RECORD)
        ending = Deferred.fromCoroutine(self.log.end())
        self.clock.pump([OFFER_AGAIN] * 101)
        self.successResultOf(ending)
        self.assertEqual(os.read(self.reading, 1 << 20).count(b"\n") + self.lost, 2000)
        self.assertEqual((self.errors(), self.clock.getDelayedCalls()), (1, []))


class OpenLogTests(AccessLogTestCase):
    """Tests of `open_log`."""

    def written_to(self, where: str, form: str, journal: Path = SOCKET) -> None:
        """Open a log, write a record, and close it."""
        log = self.logging(open_log(where, form, journal))
        log.add(RECORD)
        log.change(None)

    def test_file(self) -> None:
        """A file is appended to, in either form."""
        path = Path(self.mktemp())
        self.written_to(str(path), "combined")
        self.written_to(str(path), "json")
        line, other = path.read_text().splitlines()
        self.assertEqual(line, combined(RECORD))
        self.assertEqual(json.loads(other)["target"], RECORD.target)

    def test_journal(self) -> None:
        """The journal gets an entry a request, as soon as it has the time."""
        listening = Listening(self)
        log = self.logging(open_log("journald", "combined", listening.path))
        for _ in range(600):
            log.add(RECORD)
        self.clock.advance(1)
        heard = listening.heard()
        while self.clock.getDelayedCalls():
            self.clock.advance(OFFER_AGAIN)
            heard += listening.heard()
        self.assertEqual((len(heard), self.lost), (600, 0))
        self.assertEqual(heard[-1]["OSPROXY_STATUS"], b"200")
        log.change(None)

    def test_no_journal(self) -> None:
        """Where there is no journal any more, entries are lost, and that is said."""
        self.written_to("journald", "combined", Path(self.mktemp()))
        self.assertEqual((self.lost, self.errors()), (1, 1))

    def test_standard_output(self) -> None:
        """A dash is a stream of the process, whatever has been put in the place of it."""
        opened = open_log("-", "json")
        assert opened is not None
        self.assertIsInstance(opened.sink, LogFile)
        opened.sink.close()

    def test_off(self) -> None:
        """There may be no access log."""
        self.assertIsNone(open_log("off", "combined"))
