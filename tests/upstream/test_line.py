"""Tests of `osproxy.upstream.line`; how connections end is seen in those of replies, too."""

from __future__ import annotations

import socket

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.upstream.lines import lined

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
ASKED = b"GET / HTTP/1.1\r\n\r\n"


class LineTests(SynchronousTestCase):
    """A line carries one exchange after the other."""

    def setUp(self) -> None:
        """Have a line."""
        self.line, self.wire, self.client = lined()

    def test_exchange(self) -> None:
        """What comes after a request is its response."""
        exchange = self.line.begin("GET", ASKED)
        self.assertEqual(self.wire.value(), ASKED)
        self.line.dataReceived(OK)
        self.assertEqual(self.client.received, [b""], "a response that has begun is not hidden")
        self.line.dataReceived(b"X: y\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.client.received[1:], [b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"])
        self.assertTrue(exchange.complete)
        self.assertFalse(self.wire.aborted)

    def test_fault(self) -> None:
        """A response that makes no sense ends the connection, and is not handed on."""
        exchange = self.line.begin("GET", ASKED)
        self.line.dataReceived(b"<html>\r\n\r\n")
        self.assertEqual(self.client.received, [b""])
        self.assertIsNotNone(exchange.fault)
        self.assertTrue(self.wire.aborted)
        self.line.dataReceived(EMPTY)
        self.assertEqual(self.client.received, [b""])

    def test_nobody_asked(self) -> None:
        """What comes before a request or after its response does, too (RFC 9112 section 9.2)."""
        for asked in (False, True):
            with self.subTest(asked):
                line, wire, client = lined()
                if asked:
                    line.begin("GET", ASKED)
                    line.dataReceived(EMPTY)
                before = len(client.received)
                self.assertFalse(wire.aborted)
                line.dataReceived(EMPTY)
                self.assertTrue(wire.aborted)
                self.assertEqual(len(client.received), before)

    def test_kept(self) -> None:
        """A kept connection is asked only if it is silent: what lies there answers nobody."""
        for waiting, asked in ((None, True), (b"x", False), (b"", False)):
            with self.subTest(waiting):
                ours, theirs = socket.socketpair()
                self.addCleanup(ours.close)
                self.addCleanup(theirs.close)
                ours.setblocking(False)
                line, wire, _ = lined()
                wire.handle = ours
                line.begin("GET", ASKED)
                line.dataReceived(EMPTY)
                wire.clear()
                if waiting == b"":
                    theirs.close()
                elif waiting is not None:
                    theirs.send(waiting)
                line.begin("GET", ASKED)
                self.assertEqual(wire.value(), ASKED if asked else b"")
                self.assertEqual(wire.aborted, not asked)

    def test_kept_and_broken(self) -> None:
        """One that is broken is not silent."""
        self.wire.handle = socket.socket()
        self.wire.handle.close()
        self.line.begin("GET", ASKED)
        self.line.dataReceived(EMPTY)
        self.line.begin("GET", ASKED)
        self.assertTrue(self.wire.aborted)

    def test_end(self) -> None:
        """How the connection ended is told to the exchange before anybody else hears of it."""
        for error, complete in ((ConnectionDone(), True), (ConnectionAborted(), False)):
            with self.subTest(error):
                line, _, client = lined()
                exchange = line.begin("GET", ASKED)
                line.dataReceived(OK + b"\r\nabc")
                line.connectionLost(Failure(error))
                self.assertEqual(exchange.complete, complete)
                assert client.lost is not None
                self.assertIs(client.lost.value, error)

    def test_end_without_exchange(self) -> None:
        """A connection may end before anything was asked."""
        self.line.connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.client.lost)

    def test_lose(self) -> None:
        """What is sent is sent to its end, unless it is a request that was answered meanwhile."""
        self.line.begin("GET", ASKED)
        self.line.loseConnection()
        self.assertTrue(self.wire.disconnecting)
        self.assertFalse(self.wire.aborted)
        line, wire, _ = lined()
        line.begin("POST", ASKED).sending = True
        line.loseConnection()
        self.assertTrue(wire.aborted)

    def test_stop(self) -> None:
        """A response that nobody wants ends at once, as does what is sent to who does not read."""
        self.line.stopProducing()
        self.assertTrue(self.wire.aborted)
        line, wire, _ = lined()
        line.hush()
        self.assertTrue(wire.silenced)
