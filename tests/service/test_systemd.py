"""Tests of `osproxy.service.systemd`."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.service.systemd import STATUS_EVERY, ServiceManager, watchdog_of
from tests.service.managers import Manager
from tests.web.support import logged

if TYPE_CHECKING:
    from collections.abc import Mapping

PID = 4711


class WatchdogTests(SynchronousTestCase):
    """Tests of `watchdog_of`."""

    def test_table(self) -> None:
        """It is meant for us where no other process is named, and is a number but 0."""
        for environ, seconds in (
            ({}, None),
            ({"WATCHDOG_USEC": "60000000"}, 60.0),
            ({"WATCHDOG_USEC": "1"}, 1e-6),
            ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "4711"}, 60.0),
            ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "4712"}, None),
            ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": ""}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": ""}, None),
            ({"WATCHDOG_USEC": "-1"}, None),
            ({"WATCHDOG_USEC": "1.5"}, None),
            ({"WATCHDOG_USEC": "\u0663"}, None),
        ):
            self.assertEqual(watchdog_of(environ, PID), seconds, environ)

    @given(st.text(), st.text())
    def test_whatever(self, microseconds: str, pid: str) -> None:
        """Whatever the variables have, it is a time or none."""
        found = watchdog_of({"WATCHDOG_USEC": microseconds, "WATCHDOG_PID": pid}, PID)
        self.assertTrue(found is None or found > 0)


class ServiceManagerTests(SynchronousTestCase):
    """Tests of `ServiceManager`."""

    def setUp(self) -> None:
        """Have one listen."""
        self.clock = Clock()
        self.status = "2 connections"
        self.listening = Manager(self)

    def manager(self, **environ: str) -> ServiceManager:
        """Make what talks to it."""
        return self.made({"NOTIFY_SOCKET": self.listening.address, **environ})

    def made(self, environ: Mapping[str, str]) -> ServiceManager:
        """Make one with this environment."""
        manager = ServiceManager(
            environ,
            self.clock,
            lambda: self.status,
            lambda: 60.0,
            pid=lambda: PID,
            monotonic_ns=lambda: 5_000_999,
        )
        self.addCleanup(manager.stop)
        return manager

    def assert_heard(self, *messages: str) -> None:
        """Check what has been told since the last time, a line after the other."""
        self.assertEqual([" ".join(lines) for lines in self.listening.heard()], list(messages))

    def test_life(self) -> None:
        """From start to end, what we are at is told in the words of the protocol."""
        manager = self.manager()
        manager.start()
        self.assert_heard("STATUS=opening the cache")
        manager.ready()
        self.assert_heard("READY=1 STATUS=2 connections")
        manager.reloading()
        self.assert_heard("RELOADING=1 MONOTONIC_USEC=5000 STATUS=reloading")
        manager.ready()
        self.assert_heard("READY=1 STATUS=2 connections")
        manager.stopping()
        self.assert_heard("STOPPING=1 EXTEND_TIMEOUT_USEC=60000000 STATUS=stopping")
        manager.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abstract(self) -> None:
        """An address with an at sign is one without a file."""
        self.listening = Manager(self, f"@osproxy-test-{os.getpid()}")
        self.manager().ready()
        self.assert_heard("READY=1 STATUS=2 connections")

    def test_status(self) -> None:
        """The status is told again when it is another, and not while we are not ready."""
        manager = self.manager()
        manager.start()
        self.listening.heard()
        self.clock.advance(STATUS_EVERY)
        self.assert_heard()
        manager.ready()
        self.listening.heard()
        self.clock.advance(STATUS_EVERY)
        self.assert_heard()
        self.status = "3 connections"
        self.clock.advance(STATUS_EVERY)
        self.assert_heard("STATUS=3 connections")
        manager.stopping()
        self.listening.heard()
        self.status = "1 connection"
        self.clock.advance(STATUS_EVERY)
        self.assert_heard()

    def test_watchdog(self) -> None:
        """We are heard of twice in the time of the watchdog, whatever we are at."""
        manager = self.manager(WATCHDOG_USEC="10000000")
        manager.start()
        self.listening.heard()
        self.clock.advance(4.9)
        self.assert_heard()
        self.clock.advance(0.1)
        self.assert_heard("WATCHDOG=1")
        manager.ready()
        self.listening.heard()
        self.status = "3 connections"
        self.clock.advance(5)
        self.assert_heard("WATCHDOG=1 STATUS=3 connections")
        for enter in (manager.reloading, manager.stopping):
            enter()
            self.listening.heard()
            self.clock.advance(5)
            self.assert_heard("WATCHDOG=1")
        manager.stop()
        self.clock.advance(5)
        self.assert_heard()

    def test_no_descriptor(self) -> None:
        """Where descriptors have run out we are heard of all the same, or we would be ended."""
        manager = self.manager(WATCHDOG_USEC="10000000")
        manager.start()
        self.listening.heard()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        self.clock.advance(5)
        self.assert_heard("WATCHDOG=1")

    def test_watchdog_of_another(self) -> None:
        """A watchdog that waits for another process is none of ours."""
        self.manager(WATCHDOG_USEC="10000000", WATCHDOG_PID="4712").start()
        self.listening.heard()
        self.clock.advance(20)
        self.assert_heard()

    def test_nobody(self) -> None:
        """Where there is no service manager nobody is told, and no timer runs."""
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "1000000"}):
            manager = self.made(environ)
            manager.start()
            manager.ready()
            manager.stopping()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            manager.stop()

    def test_after_the_end(self) -> None:
        """What stops is neither ready nor reloading any more, and stops once."""
        manager = self.manager()
        manager.stopping()
        self.listening.heard()
        for enter in (manager.ready, manager.reloading, manager.stopping):
            enter()
        self.assert_heard()

    def test_failed(self) -> None:
        """Why there will be no readiness is told in one line, whatever is in it."""
        self.manager().failed("no\nREADY=1\n such\tdisk \udcff")
        self.assert_heard("STATUS=no READY=1 such disk ?")

    def test_deaf(self) -> None:
        """A manager that is not there is complained of once, and again after it was."""
        events = logged(self)
        manager = self.manager()
        manager.start()
        address = self.listening.address
        os.rename(address, address + "-away")
        for _ in range(3):
            manager.ready()
        os.rename(address + "-away", address)
        manager.ready()
        os.unlink(address)
        manager.stopping()
        self.assertEqual(
            [event["address"] for event in events if "address" in event], [address] * 2
        )

    def test_full(self) -> None:
        """A manager that reads nothing is not waited for."""
        events = logged(self)
        manager = self.manager()
        for _ in range(10_000):
            manager.ready()
        self.assertEqual(len([event for event in events if "address" in event]), 1)

    def test_status_that_fails(self) -> None:
        """A status that cannot be had is logged; the process is then no longer alive to others."""
        manager = self.manager()
        manager.start()
        manager.ready()
        self.patch(manager, "_status", lambda: 1 / 0)
        self.clock.advance(STATUS_EVERY)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
