"""Tests of `osproxy.web.connections`."""

from __future__ import annotations

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.clients import peers
from osproxy.web.connections import Connections


@define(eq=False)
class FakeConnection:
    """A connection that does nothing."""

    origin: str = "192.0.2.1"
    busy: bool = False

    def sweep(self, now: float, measure: bool) -> None:
        """Find nothing."""

    def drain(self) -> None:
        """Stay."""

    def abort(self) -> None:
        """Stay."""


class ConnectionsTests(SynchronousTestCase):
    """Tests of `Connections`."""

    def test_limit(self) -> None:
        """An address gets no more connections than the limit, and the refusals are counted."""
        connections = Connections(2)
        added = [connections.add(FakeConnection()) for _ in range(3)]
        self.assertEqual(added, [True, True, False])
        self.assertEqual((len(connections), connections.refused), (2, 1))

    def test_other_address(self) -> None:
        """One address at its limit does not keep another out."""
        connections = Connections(1)
        connections.add(FakeConnection())
        self.assertTrue(connections.add(FakeConnection("192.0.2.2")))

    def test_unlimited(self) -> None:
        """Who carries many clients may have any number, and still gives its places up."""
        connections = Connections(1, peers("192.0.2.1,unix"))
        for origin, second in (("192.0.2.1", True), ("unix", True), ("192.0.2.2", False)):
            first = FakeConnection(origin)
            self.assertTrue(connections.add(first))
            self.assertEqual(connections.add(FakeConnection(origin)), second, origin)
            connections.remove(first)
        self.assertEqual((len(connections), connections.refused), (2, 1))
        connections.unlimited = ()
        self.assertFalse(connections.add(FakeConnection()))

    def test_place_is_given_up(self) -> None:
        """When a connection ends, its address may have another."""
        connections = Connections(1)
        connection = FakeConnection()
        connections.add(connection)
        connections.remove(connection)
        self.assertTrue(connections.add(FakeConnection()))

    def test_refused_takes_no_place(self) -> None:
        """The end of a refused connection does not free the place of another."""
        connections = Connections(1)
        refused = FakeConnection()
        connections.add(FakeConnection())
        connections.add(refused)
        connections.remove(refused)
        self.assertFalse(connections.add(FakeConnection()))

    def test_busy(self) -> None:
        """Connections with a response under way can be counted."""
        connections = Connections(3)
        for busy in (True, False, True):
            connections.add(FakeConnection(busy=busy))
        self.assertEqual(connections.busy, 2)

    def test_closed_while_going_through_them(self) -> None:
        """Connections may end while all of them are looked at."""
        connections = Connections(3)
        for _ in range(3):
            connections.add(FakeConnection())
        for connection in connections:
            connections.remove(connection)
        self.assertEqual(len(connections), 0)

    def test_when_empty(self) -> None:
        """Each who waits is told when the last connection has ended."""
        connections = Connections(3)
        members = [FakeConnection(), FakeConnection()]
        for member in members:
            connections.add(member)
        told = [connections.when_empty(), connections.when_empty()]
        connections.remove(members[0])
        self.assertNoResult(told[0])
        connections.remove(members[1])
        for one in told:
            self.successResultOf(one)

    def test_empty_already(self) -> None:
        """Without connections there is nothing to wait for."""
        self.successResultOf(Connections(1).when_empty())

    def test_give_up_waiting(self) -> None:
        """Who no longer waits is not told."""
        connections = Connections(1)
        member = FakeConnection()
        connections.add(member)
        given_up = connections.when_empty()
        given_up.addErrback(lambda _: None)
        given_up.cancel()
        connections.remove(member)
        self.successResultOf(given_up)
