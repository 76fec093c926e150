"""Tests of `osproxy.web.sockets`."""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.sockets import Outflow, address_text, keep_alive, socket_beneath, tune


class AddressTests(SynchronousTestCase):
    """Tests of `address_text`."""

    def test_names(self) -> None:
        """A client is named by its address, IPv4 ones alike on both kinds of socket."""
        named = [
            address_text(IPv4Address("TCP", "192.0.2.1", 1)),
            address_text(IPv6Address("TCP", "::ffff:192.0.2.1", 1)),
            address_text(IPv6Address("TCP", "2001:db8::1", 1)),
            address_text(IPv6Address("TCP", "fe80::1%eth0", 1)),
            address_text(UNIXAddress(None)),
        ]
        self.assertEqual(named, ["192.0.2.1", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "unix"])


class SocketBeneathTests(SynchronousTestCase):
    """Tests of `socket_beneath`."""

    def test_in_memory(self) -> None:
        """A transport in memory has no socket."""
        self.assertIsNone(socket_beneath(StringTransport()))


class OutflowTests(SynchronousTestCase):
    """Tests of `Outflow` on Unix sockets; TCP is tried with channels."""

    def setUp(self) -> None:
        """Make a pair of sockets."""
        self.ours, self.peer = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.peer.close)
        self.outflow = Outflow(self.ours, 0.0)

    def test_nothing_queued(self) -> None:
        """A peer that has nothing to take does not stall."""
        self.assertEqual((self.outflow.queued, self.outflow.stalled(500)), (0, 0))

    def test_stalled(self) -> None:
        """The time is counted from when the peer was last seen to take something."""
        self.ours.sendall(b"x" * 1000)
        self.ours.sendall(b"x" * 1000)
        self.assertEqual([self.outflow.stalled(now) for now in (10, 20, 30)], [0, 10, 20])
        self.peer.recv(1000)
        self.assertEqual([self.outflow.stalled(now) for now in (40, 50)], [0, 10])

    def test_clock_set_back(self) -> None:
        """By a clock that was set back the time is counted anew."""
        self.ours.sendall(b"x" * 1000)
        found = [self.outflow.stalled(now) for now in (5000, 5010, 1000, 1010)]
        self.assertEqual(found, [0, 10, 0, 10])

    def test_gone(self) -> None:
        """A peer that has ended its side is there, one that has closed its socket is not."""
        found = [self.outflow.gone]
        self.peer.shutdown(socket.SHUT_WR)
        found.append(self.outflow.gone)
        self.peer.close()
        found.append(self.outflow.gone)
        self.assertEqual(found, [False, False, True])

    def test_tune(self) -> None:
        """A Unix socket is left as it is."""
        tune(self.ours)
        keep_alive(self.ours)
        self.ours.sendall(b"x")
        self.assertEqual(self.peer.recv(1), b"x")
