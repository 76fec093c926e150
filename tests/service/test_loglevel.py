"""Tests of `osproxy.service.loglevel`."""

from __future__ import annotations

import sys
import warnings
from io import StringIO

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import LogBeginner, Logger, LogLevel, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import LOG_LEVEL
from osproxy.service.loglevel import limit

LEVELS = ("debug", "info", "warn", "error", "critical")


def levels(observer: EventLoggingObserver, when: str = "early") -> list[str]:
    """Tell which levels an observer has seen."""
    return [event["name"] for event in observer if event["log_format"] == when]


class LimitTests(SynchronousTestCase):
    """Tests of `limit`."""

    def begun(self, *limits: str, observers: int = 1) -> tuple[Logger, list[EventLoggingObserver]]:
        """Begin to log with some limits; give a logger, and the observers."""
        publisher = LogPublisher()
        beginner = LogBeginner(publisher, StringIO(), sys, warnings)
        seen = [EventLoggingObserver() for _ in range(observers)]
        log = Logger(observer=publisher)
        for level in LEVELS:
            log.emit(LogLevel.levelWithName(level), "early", name=level)
        for level in limits:
            limit(level, beginner)
        beginner.beginLoggingTo(seen, redirectStandardIO=False)
        return log, seen

    def test_each(self) -> None:
        """What is below the limit is left out, what is at it or above is written."""
        for number, level in enumerate(LEVELS):
            log, (seen,) = self.begun(level)
            for name in LEVELS:
                log.emit(LogLevel.levelWithName(name), "late", name=name)
            self.assertEqual(levels(seen, "late"), list(LEVELS[number:]))

    def test_early(self) -> None:
        """The same holds for what was logged before there was a log."""
        _, (seen,) = self.begun("warn")
        self.assertEqual(levels(seen), ["warn", "error", "critical"])

    def test_every_observer(self) -> None:
        """It holds for each of several observers."""
        _, seen = self.begun("error", observers=2)
        self.assertEqual([levels(one) for one in seen], [["error", "critical"]] * 2)

    def test_without(self) -> None:
        """Without a limit everything is written: nobody else's log changes."""
        _, (seen,) = self.begun()
        self.assertEqual(levels(seen), list(LEVELS))

    def test_changed(self) -> None:
        """The limit can be set anew while the log is written."""
        publisher = LogPublisher()
        beginner = LogBeginner(publisher, StringIO(), sys, warnings)
        seen = EventLoggingObserver()
        change = limit("info", beginner)
        beginner.beginLoggingTo([seen], redirectStandardIO=False)
        log = Logger(observer=publisher)
        for level in ("error", "debug", "info"):
            change(level)
            for name in LEVELS:
                log.emit(LogLevel.levelWithName(name), level, name=name)
        for level in ("error", "debug", "info"):
            self.assertEqual(levels(seen, level), list(LEVELS[LEVELS.index(level) :]))

    def test_all_levels(self) -> None:
        """Every value of the option is a level."""
        for level in LEVELS:
            self.begun(LOG_LEVEL.parse(level))
