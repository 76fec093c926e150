"""Tests of `osproxy.service.errorlog`."""

from __future__ import annotations

import os
import sys
import warnings
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import LogBeginner, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import LOG_LEVEL
from osproxy.service.errorlog import MOST_WAITING, ErrorLog, open_errors, take_over
from osproxy.web.logfile import OFFER_AGAIN, Output
from tests.journals import Listening
from tests.service.lives import errors_in

if TYPE_CHECKING:
    from twisted.logger import LogEvent

PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}


def failed() -> Failure:
    """Have something go wrong."""
    try:
        raise KeyError("lost")
    except KeyError:
        return Failure()


class ErrorLogTestCase(SynchronousTestCase):
    """A log of one's own, and what it writes to."""

    def setUp(self) -> None:
        """Have a log that has not begun."""
        self.publisher = LogPublisher()
        self.beginner = LogBeginner(self.publisher, StringIO(), sys, warnings)
        self.log = Logger("osproxy.some.module", observer=self.publisher)
        self.clock = Clock()
        self.lost = 0
        self.path = Path(self.mktemp())
        self.before = EventLoggingObserver()

    def errors(self, output: Output[LogEvent] | None, level: str = "debug") -> ErrorLog:
        """Have the log go to an output; twistd would have had it elsewhere."""

        def lost(entries: int) -> None:
            self.lost += entries

        errors = errors_in(output, self.clock, lost)
        self.addCleanup(errors.change, None)
        self.set_level = take_over(errors, level, self.beginner)
        self.beginner.beginLoggingTo([self.before], redirectStandardIO=False)
        return errors

    def in_file(self) -> Output[LogEvent] | None:
        """Have an output that is a file."""
        return open_errors(str(self.path))


class FileTests(ErrorLogTestCase):
    """The log is in a file."""

    def test_line(self) -> None:
        """A line has time, module, level and text."""
        self.errors(self.in_file())
        self.log.warn("{what} is told", what="this")
        self.assertRegex(
            self.path.read_text(),
            r"^[\d-]{10}T[\d:]{8}[+-]\d{4} \[osproxy\.some\.module#warn\] this is told\n$",
        )
        self.assertEqual(len(self.before), 0)

    def test_traceback(self) -> None:
        """A traceback follows its line."""
        self.errors(self.in_file())
        self.log.failure("at work", failed())
        first, *others = self.path.read_text().splitlines()
        self.assertTrue(first.endswith("#critical] at work"), first)
        self.assertTrue(all(line.startswith("\t") for line in others))
        self.assertIn("\tbuiltins.KeyError: 'lost'", others)

    def test_early(self) -> None:
        """What was said before the log began is in it."""
        self.log.info("early")
        self.errors(self.in_file())
        self.assertIn("early", self.path.read_text())

    def test_moved(self) -> None:
        """A file that was moved away is written to until the log is told of another."""
        errors = self.errors(self.in_file())
        moved = self.path.with_suffix(".1")
        self.path.rename(moved)
        self.log.info("one")
        errors.change(self.in_file())
        self.log.info("two")
        self.assertIn("one", moved.read_text())
        self.assertNotIn("two", moved.read_text())
        self.assertIn("two", self.path.read_text())

    def test_elsewhere(self) -> None:
        """Without a place of its own it goes where it would have gone; that can change."""
        errors = self.errors(None)
        self.log.info("one")
        errors.change(self.in_file())
        self.log.info("two")
        errors.change(None)
        self.log.info("three")
        self.assertEqual([event["log_format"] for event in self.before], ["one", "three"])
        self.assertIn("two", self.path.read_text())

    def test_full(self) -> None:
        """What a full disk does not take is counted."""
        self.errors(open_errors("/dev/full"))
        self.log.info("one")
        self.log.info("two")
        self.assertEqual(self.lost, 2)


class StreamTests(ErrorLogTestCase):
    """The log is a stream that is connected to the journal."""

    def test_priorities(self) -> None:
        """Each line has the number of its level in front, those of a traceback as well."""
        error = os.dup(2)
        self.addCleanup(os.close, error)
        self.addCleanup(os.dup2, error, 2)
        with self.path.open("wb") as file:
            os.dup2(file.fileno(), 2)
            found = os.fstat(2)
        self.errors(open_errors("-", {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}))
        for name in PRIORITIES:
            self.log.emit(LogLevel.levelWithName(name), "so")
        self.log.failure("at work", failed())
        lines = self.path.read_text().splitlines()
        self.assertEqual(
            lines[:5],
            [f"<{it}>[osproxy.some.module#{name}] so" for name, it in PRIORITIES.items()],
        )
        self.assertEqual(lines[5], "<2>[osproxy.some.module#critical] at work")
        self.assertTrue(all(line.startswith("<2>") for line in lines[5:]))


class JournalTests(ErrorLogTestCase):
    """The log is in the journal."""

    def test_entry(self) -> None:
        """An entry has the text, with the traceback, the level as its priority, and the module."""
        listening = Listening(self)
        self.errors(open_errors("journald", journal=listening.path))
        for name in PRIORITIES:
            self.log.emit(LogLevel.levelWithName(name), "so")
        self.log.failure("at work", failed())
        *heard, last = listening.heard()
        self.assertEqual(
            heard,
            [
                {
                    "MESSAGE": b"so",
                    "PRIORITY": b"%d" % priority,
                    "SYSLOG_IDENTIFIER": b"osproxy",
                    "OSPROXY_MODULE": b"osproxy.some.module",
                }
                for priority in PRIORITIES.values()
            ],
        )
        self.assertRegex(last["MESSAGE"], rb"(?s)^at work\nTraceback.*KeyError: 'lost'")

    def test_busy(self) -> None:
        """A journal that does not keep up is not waited for; what it did not take is counted."""
        listening = Listening(self)
        self.errors(open_errors("journald", journal=listening.path))
        for _ in range(2 * MOST_WAITING + 1000):
            self.log.info("so")
        self.assertGreater(self.lost, 0)
        heard = 0
        while self.clock.getDelayedCalls():
            heard += len(listening.heard())
            self.clock.advance(OFFER_AGAIN)
        heard += len(listening.heard())
        self.assertEqual(heard + self.lost, 2 * MOST_WAITING + 1000)


class PipeTests(ErrorLogTestCase):
    """The log is a pipe, and who reads it is slow."""

    def setUp(self) -> None:
        """Open it at both ends."""
        super().setUp()
        os.mkfifo(self.path)
        self.reading = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reading)
        self.errorlog = self.errors(self.in_file())

    def say(self, times: int) -> None:
        """Have long lines in the log."""
        for number in range(times):
            self.log.info("{number} {more}", number=number, more="x" * 500)

    def lines(self) -> list[str]:
        """Read what is there, and who it is that has a line of its own."""
        return os.read(self.reading, 1 << 20).decode().splitlines(keepends=True)

    def test_slow(self) -> None:
        """A burst that it does not take at once is not lost, and a thread may be what logs it."""
        self.say(500)
        got = "".join(self.lines())
        self.clock.advance(OFFER_AGAIN)
        while self.clock.getDelayedCalls():
            got += "".join(self.lines())
            self.clock.advance(OFFER_AGAIN)
        got += "".join(self.lines())
        said = [int(line.split("] ")[1].split()[0]) for line in got.splitlines()]
        self.assertEqual((said, self.lost), (list(range(500)), 0))

    def test_stuck(self) -> None:
        """One that is read no more keeps nobody, and what it loses is counted."""
        self.say(3 * MOST_WAITING)
        self.assertGreater(self.lost, MOST_WAITING)
        ending = Deferred.fromCoroutine(self.errorlog.end())
        self.clock.pump([OFFER_AGAIN] * 99)
        self.assertNoResult(ending)
        self.clock.advance(OFFER_AGAIN)
        self.successResultOf(ending)
        self.errorlog.change(None)
        whole = [line for line in self.lines() if line.endswith("x\n")]
        self.assertEqual(len(whole) + self.lost, 3 * MOST_WAITING)
        self.clock.advance(OFFER_AGAIN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end(self) -> None:
        """At the end what is left is waited for no longer than it takes."""
        self.say(500)
        ending = Deferred.fromCoroutine(self.errorlog.end())
        self.assertNoResult(ending)
        for _ in range(5):
            self.lines()
            self.clock.advance(OFFER_AGAIN)
        self.successResultOf(ending)
        self.assertEqual((self.lost, self.clock.getDelayedCalls()), (0, []))
        self.successResultOf(Deferred.fromCoroutine(self.errorlog.end()))

    def test_left(self) -> None:
        """Once nobody reads it any more, each entry is lost and counted."""
        other = self.errorlog
        os.dup2(os.open(os.devnull, os.O_RDONLY), self.reading)
        self.say(3)
        self.assertEqual((self.lost, self.clock.getDelayedCalls()), (3, []))
        other.change(None)


class LevelTests(ErrorLogTestCase):
    """How much of the log is written."""

    def setUp(self) -> None:
        """Say something of each level before the log begins."""
        super().setUp()
        self.say("early")

    def say(self, what: str) -> None:
        """Say something of each level."""
        for level in PRIORITIES:
            self.log.emit(LogLevel.levelWithName(level), what, name=level)

    def levels(self, what: str) -> list[str]:
        """Tell of which levels something was written."""
        return [event["name"] for event in self.before if event["log_format"] == what]

    def test_each(self) -> None:
        """What is below the limit is left out, before the log begins as well as after."""
        for number, level in enumerate(PRIORITIES):
            self.setUp()
            self.errors(None, LOG_LEVEL.parse(level))
            self.say("late")
            for what in ("early", "late"):
                self.assertEqual(self.levels(what), list(PRIORITIES)[number:])

    def test_changed(self) -> None:
        """The limit can be set anew while the log is written."""
        self.errors(None, "info")
        for number, level in ((3, "error"), (0, "debug"), (1, "info")):
            self.set_level(level)
            self.say(level)
            self.assertEqual(self.levels(level), list(PRIORITIES)[number:])

    def test_place(self) -> None:
        """The limit holds wherever the log goes."""
        self.errors(self.in_file(), "warn")
        self.say("late")
        self.assertEqual(len(self.path.read_text().splitlines()), 6)


class OpenErrorsTests(SynchronousTestCase):
    """Tests of `open_errors`."""

    def written(self, where: str, environ: dict[str, str]) -> bytes:
        """Open, and give the form of an event."""
        output = open_errors(where, environ)
        assert output is not None
        output.sink.close()
        return output.form({"log_format": "so", "log_time": 0.0, "log_level": LogLevel.info})

    def test_each(self) -> None:
        """Each place has its form; standard error has the journal's where that is at its end."""
        self.assertIsNone(open_errors(None))
        error = os.fstat(2)
        journal = {"JOURNAL_STREAM": f"{error.st_dev}:{error.st_ino}"}
        for where, environ, begin in (
            (self.mktemp(), {}, b"1970"),
            (self.mktemp(), journal, b"1970"),
            ("-", {}, b"1970"),
            ("-", {"JOURNAL_STREAM": "1:2"}, b"1970"),
            ("-", journal, b"<6>["),
            ("journald", {}, b"MESSAGE"),
        ):
            self.assertTrue(self.written(where, environ).startswith(begin), (where, environ))
