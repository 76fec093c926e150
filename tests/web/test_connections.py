"""Tests of `osproxy.web.connections`."""

from __future__ import annotations

import weakref

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.clients import peers
from osproxy.shedding import Reason
from osproxy.web.connections import Connections


@define(eq=False, weakref_slot=True)
class FakeConnection:
    """A connection that does nothing, and ends when it is to make room."""

    origin: str = "192.0.2.1"
    busy: bool = False
    waiting_since: float | None = None
    connections: Connections | None = None

    def sweep(self, now: float, measure: bool) -> None:
        """Find nothing."""

    def drain(self) -> None:
        """Stay."""

    def give_way(self) -> None:
        """End."""
        assert self.connections is not None
        self.connections.remove(self)

    def abort(self) -> None:
        """Stay."""


class ConnectionsTests(SynchronousTestCase):
    """Tests of `Connections`."""

    def test_limit(self) -> None:
        """An address gets no more connections than the limit."""
        connections = Connections(2, 9)
        added = [connections.add(FakeConnection(), 0) for _ in range(3)]
        self.assertEqual(added, [None, None, Reason.CLIENT_CONNECTIONS])
        self.assertEqual(len(connections), 2)

    def test_last_quarter(self) -> None:
        """No client has so many that there is none for others."""
        connections = Connections(100, 8)
        added = [connections.add(FakeConnection(), 0) for _ in range(7)]
        self.assertEqual(added, [None] * 6 + [Reason.CLIENT_CONNECTIONS])
        self.assertIsNone(connections.add(FakeConnection("192.0.2.2"), 0))

    def test_other_address(self) -> None:
        """One address at its limit does not keep another out."""
        connections = Connections(1, 9)
        connections.add(FakeConnection(), 0)
        self.assertIsNone(connections.add(FakeConnection("192.0.2.2"), 0))

    def test_network(self) -> None:
        """Addresses of one public IPv6 network are one client's."""
        connections = Connections(1, 9)
        connections.add(FakeConnection("2001:db8::1"), 0)
        refused = connections.add(FakeConnection("2001:db8::2"), 0)
        self.assertEqual(refused, Reason.CLIENT_CONNECTIONS)

    def test_unlimited(self) -> None:
        """Who carries many clients may have any number, and still gives its places up."""
        connections = Connections(1, 9, peers("192.0.2.1,unix"))
        refused = Reason.CLIENT_CONNECTIONS
        for origin, second in (("192.0.2.1", None), ("unix", None), ("192.0.2.2", refused)):
            first = FakeConnection(origin)
            self.assertIsNone(connections.add(first, 0))
            self.assertEqual(connections.add(FakeConnection(origin), 0), second, origin)
            connections.remove(first)
        self.assertEqual(len(connections), 2)
        connections.unlimited = ()
        self.assertEqual(connections.add(FakeConnection(), 0), refused)

    def test_place_is_given_up(self) -> None:
        """When a connection ends, its address may have another."""
        connections = Connections(1, 9)
        connection = FakeConnection()
        connections.add(connection, 0)
        connections.remove(connection)
        self.assertIsNone(connections.add(FakeConnection(), 0))

    def test_refused_takes_no_place(self) -> None:
        """The end of a refused connection does not free the place of another."""
        connections = Connections(1, 9)
        refused = FakeConnection()
        connections.add(FakeConnection(), 0)
        connections.add(refused, 0)
        connections.remove(refused)
        self.assertIsNotNone(connections.add(FakeConnection(), 0))

    def test_busy(self) -> None:
        """Connections with a response under way can be counted."""
        connections = Connections(3, 9)
        for busy in (True, False, True):
            connections.add(FakeConnection(busy=busy), 0)
        self.assertEqual(connections.busy, 2)

    def test_closed_while_going_through_them(self) -> None:
        """Connections may end while all of them are looked at."""
        connections = Connections(3, 9)
        for _ in range(3):
            connections.add(FakeConnection(), 0)
        for connection in connections:
            connections.remove(connection)
        self.assertEqual(len(connections), 0)

    def test_when_empty(self) -> None:
        """Each who waits is told when the last connection has ended."""
        connections = Connections(3, 9)
        members = [FakeConnection(), FakeConnection()]
        for member in members:
            connections.add(member, 0)
        told = [connections.when_empty(), connections.when_empty()]
        connections.remove(members[0])
        self.assertNoResult(told[0])
        connections.remove(members[1])
        for one in told:
            self.successResultOf(one)

    def test_empty_already(self) -> None:
        """Without connections there is nothing to wait for."""
        self.successResultOf(Connections(1, 9).when_empty())

    def test_give_up_waiting(self) -> None:
        """Who no longer waits is not told."""
        connections = Connections(1, 9)
        member = FakeConnection()
        connections.add(member, 0)
        given_up = connections.when_empty()
        given_up.addErrback(lambda _: None)
        given_up.cancel()
        connections.remove(member)
        self.successResultOf(given_up)


class CrowdTests(SynchronousTestCase):
    """What happens when there are as many as may be."""

    def setUp(self) -> None:
        """Serve ten at most."""
        self.connections = Connections(100, 10)

    def add(
        self, count: int, waiting_since: float | None = None, origin: str = ""
    ) -> list[FakeConnection]:
        """Let so many connect, of a client each if not of one, and give those that were let in."""
        some = [
            FakeConnection(
                origin or f"192.0.2.{len(self.connections) + number}",
                waiting_since is None,
                waiting_since,
                self.connections,
            )
            for number in range(count)
        ]
        return [one for one in some if self.connections.add(one, 100) is None]

    def test_spare(self) -> None:
        """Beyond those that are served some are let in, and beyond these nobody."""
        served, told = self.add(10), self.add(20)
        self.assertEqual(len(told), self.connections.spare)
        self.assertTrue(self.connections.full)
        self.assertEqual({self.connections.serves(one) for one in served}, {True})
        self.assertEqual({self.connections.serves(one) for one in told}, {False})
        self.assertEqual(self.connections.add(FakeConnection(), 100), Reason.CONNECTIONS)

    def test_served_later(self) -> None:
        """One that found no room is served once others have left, and from then on."""
        served, (one,) = self.add(10), self.add(1)
        self.assertFalse(self.connections.serves(one))
        self.connections.remove(served[0])
        self.assertTrue(self.connections.serves(one))
        self.add(1)
        self.assertTrue(self.connections.serves(one))

    def test_roomy(self) -> None:
        """Once it was full, more than one have to leave until others may come again."""
        everyone = self.add(40)
        while not self.connections.roomy:
            self.connections.remove(everyone.pop())
        self.assertEqual(len(self.connections), 10 + self.connections.spare // 2)
        self.assertFalse(self.connections.full)

    def test_one_that_waits_makes_room(self) -> None:
        """Who comes has the place of one who was waited for, and is served."""
        self.add(9)
        (idle,) = self.add(1, 50.0)
        (newcomer,) = self.add(1)
        self.assertNotIn(idle, list(self.connections))
        self.assertTrue(self.connections.serves(newcomer))

    def test_order(self) -> None:
        """First goes what the client has that has most of all, and of this the oldest."""
        (older,) = self.add(1, 10.0)
        young, old = *self.add(1, 40.0, "10.0.0.1"), *self.add(1, 30.0, "10.0.0.1")
        self.add(7)
        gone: list[object] = []
        for _ in range(3):
            before = set(self.connections)
            self.assertTrue(self.connections.make_room(100))
            gone += before - set(self.connections)
        self.assertEqual(gone, [old, young, older])
        self.assertFalse(self.connections.make_room(100))

    def test_of_one_client(self) -> None:
        """A client with as many as it may have makes room for itself, and for nobody else."""
        connections = Connections(2, 100)
        idle = FakeConnection("10.0.0.1", False, 50.0, connections)
        others = [FakeConnection("10.0.0.2", False, 40.0, connections), FakeConnection("10.0.0.1")]
        for one in (idle, *others):
            self.assertIsNone(connections.add(one, 60))
        newcomer = FakeConnection("10.0.0.1")
        self.assertIsNone(connections.add(newcomer, 60))
        self.assertEqual(list(connections), [*others, newcomer])
        self.assertEqual(connections.add(FakeConnection("10.0.0.1"), 60), Reason.CLIENT_CONNECTIONS)

    def test_newcomers_have_a_moment(self) -> None:
        """Who has just connected need not make room."""
        self.add(10, 99.5)
        self.assertFalse(self.connections.make_room(99.9))
        self.assertTrue(self.connections.make_room(101))

    def test_one_that_has_begun(self) -> None:
        """Who has a response by now need not make room, though it could have a moment ago."""
        one, other = self.add(2, 50.0)
        self.assertTrue(self.connections.make_room(100))
        (left,) = [it for it in (one, other) if it in set(self.connections)]
        left.waiting_since = None
        self.assertFalse(self.connections.make_room(100))

    def test_let_go(self) -> None:
        """Those that could have made room are not held on to for long once they have ended."""
        some = [weakref.ref(one) for one in self.add(9, 50.0)]
        busy = self.add(1)
        self.connections.make_room(100)
        for connection in set(self.connections) - set(busy):
            self.connections.remove(connection)
        del connection
        self.connections.settle(100.9)
        self.assertTrue(any(ref() for ref in some))
        self.connections.settle(101)
        self.assertFalse(any(ref() for ref in some))

    def test_let_go_with_the_last(self) -> None:
        """When nobody is connected any more, nobody is held on to."""
        some = [weakref.ref(one) for one in self.add(9, 50.0)]
        self.connections.make_room(100)
        for connection in self.connections:
            self.connections.remove(connection)
        del connection
        self.assertFalse(any(ref() for ref in some))

    def test_looked_at_now_and_then(self) -> None:
        """All of them are looked at a few times a second, however many come."""
        busy = self.add(10)
        self.assertFalse(self.connections.make_room(100))
        busy[0].waiting_since = 50.0
        self.assertFalse(self.connections.make_room(100.2))
        self.assertTrue(self.connections.make_room(101))
