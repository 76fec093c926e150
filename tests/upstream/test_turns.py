"""Tests of `osproxy.upstream.turns`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.metrics import Metrics
from osproxy.shedding import Shedding
from osproxy.upstream.origin import Overloaded
from osproxy.upstream.turns import PATIENCE, Turns


class TurnsTests(SynchronousTestCase):
    """Tests of `Turns`."""

    def setUp(self) -> None:
        """Have two questions to a host at once, and thus eight in all."""
        self.clock = Clock()
        self.metrics = Metrics(CollectorRegistry())
        self.turns = Turns(self.clock, Shedding(self.clock, self.metrics.refused), 2)

    def take(self, host: str = "a") -> Deferred[None]:
        """Wait for a turn."""
        return Deferred.fromCoroutine(self.turns.take(host))

    def taken(self, *hosts: str) -> None:
        """Have so many turns at once."""
        for host in hosts:
            self.successResultOf(self.take(host))

    def test_at_once(self) -> None:
        """A question has its turn at once while there are few."""
        self.taken("a", "a", "b", "b")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_order(self) -> None:
        """Then they wait, and go on in order as others are answered."""
        self.taken("a", "a")
        first, second = self.take(), self.take()
        self.turns.give("a")
        self.successResultOf(first)
        self.assertNoResult(second)
        self.turns.give("a")
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_overtakes(self) -> None:
        """Who comes while others wait for the same host waits behind them."""
        self.taken("a", "a")
        first = self.take()
        self.turns.each = 3
        late = self.take()
        self.assertNoResult(late)
        self.turns.give("a")
        self.successResultOf(first)

    def test_other_hosts(self) -> None:
        """A host that is slow to answer does not hold up others."""
        self.taken("a", "a")
        waits = self.take()
        self.taken("b", "b")
        self.turns.give("b")
        self.assertNoResult(waits)

    def test_in_all(self) -> None:
        """There is a bound for all of them, and whoever waits for it goes on in time."""
        self.taken(*"aabbccdd")
        waits = self.take("e")
        self.assertNoResult(waits)
        self.turns.give("c")
        self.successResultOf(waits)

    def test_queue_is_full(self) -> None:
        """What is too much for the queue is refused at once, and counted."""
        self.taken("a", "a")
        waiting = [self.take(), self.take()]
        self.failureResultOf(self.take(), Overloaded)
        label = {"reason": "upstream"}
        self.assertEqual(self.metrics.registry.get_sample_value("osproxy_refused_total", label), 1)
        self.turns.give("a")
        self.successResultOf(waiting[0])

    def test_queue_of_all_is_full(self) -> None:
        """Made-up hosts cannot make the queue grow."""
        self.taken(*"aabbccdd")
        waiting = [self.take(f"host {number}") for number in range(8)]
        self.failureResultOf(self.take("another"), Overloaded)
        self.assertNoResult(waiting[0])

    def test_patience(self) -> None:
        """Nobody waits for longer than a short while, and who has left takes no turn."""
        self.taken("a", "a")
        waits = self.take()
        self.clock.advance(PATIENCE)
        self.failureResultOf(waits, Overloaded)
        self.turns.give("a")
        self.taken("a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """A question that is given up while it waits takes no turn."""
        self.taken("a", "a")
        waits = self.take()
        waits.cancel()
        self.failureResultOf(waits, CancelledError)
        self.turns.give("a")
        self.taken("a")
        self.assertEqual(self.clock.getDelayedCalls(), [])
