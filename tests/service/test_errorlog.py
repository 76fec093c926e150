"""Tests of `osproxy.service.errorlog`."""

from __future__ import annotations

import os
import sys
import warnings
from io import StringIO
from pathlib import Path

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import LogBeginner, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.journal import Journal
from osproxy.service.errorlog import (
    ErrorLog,
    InFile,
    InJournal,
    InStream,
    Output,
    open_errors,
    take_over,
)
from osproxy.service.loglevel import limit
from osproxy.web.logfile import open_file
from tests.journals import Listening

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
        self.lost = 0
        self.path = Path(self.mktemp())
        self.before = EventLoggingObserver()

    def errors(self, output: Output | None) -> ErrorLog:
        """Have the log go to an output; twistd would have had it elsewhere."""

        def lost(entries: int) -> None:
            self.lost += entries

        errors = ErrorLog(output, lost)
        self.addCleanup(errors.change, None)
        take_over(errors, self.beginner)
        self.beginner.beginLoggingTo([self.before], redirectStandardIO=False)
        return errors

    def in_file(self) -> InFile:
        """Have an output that is a file."""
        return InFile(open_file(str(self.path), 2))


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

    def test_level(self) -> None:
        """The limit counts, in whichever order both are set up."""
        limit("warn", self.beginner)
        self.errors(self.in_file())
        self.log.info("less")
        self.log.error("more")
        self.assertIn("more", self.path.read_text())
        self.assertNotIn("less", self.path.read_text())

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
        self.errors(InFile(open_file("/dev/full", 2)))
        self.log.info("one")
        self.log.info("two")
        self.assertEqual(self.lost, 2)


class StreamTests(ErrorLogTestCase):
    """The log is a stream that is connected to the journal."""

    def test_priorities(self) -> None:
        """Each line has the number of its level in front, those of a traceback as well."""
        self.errors(InStream(open_file(str(self.path), 2)))
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
        self.errors(InJournal(Journal(listening.path)))
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
        self.errors(InJournal(Journal(listening.path)))
        for _ in range(2000):
            self.log.info("so")
        self.assertGreater(self.lost, 0)
        self.assertEqual(len(listening.heard()) + self.lost, 2000)


class OpenErrorsTests(SynchronousTestCase):
    """Tests of `open_errors`."""

    def opened(self, where: str | None, environ: dict[str, str]) -> type[Output] | None:
        """Open, and tell what that gives."""
        output = open_errors(where, environ)
        if output is not None:
            output.close()
        return None if output is None else type(output)

    def test_each(self) -> None:
        """Each place has its form; standard error has the journal's where that is at its end."""
        error = os.fstat(2)
        journal = {"JOURNAL_STREAM": f"{error.st_dev}:{error.st_ino}"}
        for where, environ, kind in (
            (None, {}, None),
            (self.mktemp(), {}, InFile),
            (self.mktemp(), journal, InFile),
            ("-", {}, InFile),
            ("-", {"JOURNAL_STREAM": "1:2"}, InFile),
            ("-", journal, InStream),
            ("journald", {}, InJournal),
        ):
            self.assertIs(self.opened(where, environ), kind, (where, environ))
