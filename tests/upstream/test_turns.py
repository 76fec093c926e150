"""Tests of `osproxy.upstream.turns`."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.metrics import Metrics
from osproxy.shedding import Shedding
from osproxy.upstream.origin import Overloaded
from osproxy.upstream.turns import OURS, PATIENCE, Asker, Turns

CLIENTS = [Asker(f"client {number}") for number in range(4)]


class AskerTests(SynchronousTestCase):
    """Whose questions are whose."""

    def test_at(self) -> None:
        """A client is what its address counts as; where there is no address it is ourselves."""
        for address, client in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("unix", "unix"),
            ("", None),
        ):
            self.assertEqual(Asker.at(address).client, client)


class TurnsTestCase(SynchronousTestCase):
    """
    Has turns.

    :ivar each: questions to a host at once; four times as many are those in all.
    """

    each = 4

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.metrics = Metrics(CollectorRegistry())
        self.turns = Turns(self.clock, Shedding(self.clock, self.metrics.refused), self.each)

    def take(self, asker: Asker = OURS, host: str = "a") -> Deferred[None]:
        """Wait for a turn."""
        return Deferred.fromCoroutine(self.turns.take(host, asker))

    def taken(self, *askers: Asker, host: str = "a") -> None:
        """Have so many turns at once."""
        for asker in askers:
            self.successResultOf(self.take(asker, host))

    def give(self, asker: Asker = OURS, host: str = "a") -> None:
        """Give a turn back."""
        self.turns.give(host, asker)

    def fill(self, host: str = "a") -> None:
        """Take all of a host's turns, those that are kept for ourselves included."""
        one, other, *_ = CLIENTS
        self.taken(one, one, other, OURS, host=host)


class TurnsTests(TurnsTestCase):
    """Four questions to a host at once, and sixteen in all."""

    def test_at_once(self) -> None:
        """A question has its turn at once while there are few."""
        self.fill()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_order(self) -> None:
        """Then they wait, and those of one client go on in order as others are answered."""
        one, *_ = CLIENTS
        self.taken(one, one)
        first, second = self.take(one), self.take(one)
        self.give(one)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.give(one)
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_hosts(self) -> None:
        """A host that is slow to answer does not hold up others."""
        self.fill()
        waits = self.take()
        self.taken(OURS, host="b")
        self.give(OURS, "b")
        self.assertNoResult(waits)

    def test_in_all(self) -> None:
        """There is a bound for all of them, and whoever waits for it goes on in time."""
        for host in "abcd":
            self.fill(host)
        waits = self.take(CLIENTS[2], "e")
        self.assertNoResult(waits)
        self.give(CLIENTS[0], "c")
        self.successResultOf(waits)

    def test_queue_is_full(self) -> None:
        """What is too much for the queue is refused at once, and counted."""
        self.fill()
        one, other, *_ = CLIENTS
        waiting = [self.take(asker) for asker in (one, one, other)]
        self.failureResultOf(self.take(other), Overloaded)
        label = {"reason": "upstream"}
        self.assertEqual(self.metrics.registry.get_sample_value("osproxy_refused_total", label), 1)
        self.give(one)
        self.successResultOf(waiting[0])

    def test_queue_of_all_is_full(self) -> None:
        """Made-up hosts cannot make the queue grow."""
        for host in "abcd":
            self.fill(host)
        taking = [self.take(CLIENTS[n % 4], f"host {n}") for n in range(40)]
        refused = [one for one in taking if one.called]
        self.assertEqual(len(refused), 40 - 12)
        for one in refused:
            self.failureResultOf(one, Overloaded)

    def test_patience(self) -> None:
        """Nobody waits for longer than a short while, and who has left takes no turn."""
        one, *_ = CLIENTS
        self.taken(one, one)
        waits = self.take(one)
        self.clock.advance(PATIENCE)
        self.failureResultOf(waits, Overloaded)
        self.give(one)
        self.taken(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """A question that is given up while it waits takes no turn."""
        one, *_ = CLIENTS
        self.taken(one, one)
        waits = self.take(one)
        waits.cancel()
        self.failureResultOf(waits, CancelledError)
        self.give(one)
        self.taken(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_more(self) -> None:
        """Where there may be more, all go on at once who may go then."""
        one, other, third, _ = CLIENTS
        self.fill()
        waiting = [self.take(asker) for asker in (one, other, third)]
        self.turns.each = 16
        for waits in waiting:
            self.successResultOf(waits)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fewer(self) -> None:
        """Where there may be fewer, the next goes on once there are."""
        one, *_ = CLIENTS
        self.taken(one, one)
        self.turns.each = 1
        waits = self.take(one)
        self.give(one)
        self.assertNoResult(waits)
        self.give(one)
        self.successResultOf(waits)

    def test_many_that_end_at_once(self) -> None:
        """Questions that end as soon as they have their turn are no recursion."""
        self.turns.each = 2_000
        one, *_ = CLIENTS
        self.taken(*[one] * 1_000)

        def ended(_: None) -> None:
            self.give(one)

        waiting = [self.take(one).addCallback(ended) for _ in range(1_000)]
        self.give(one)
        for waits in waiting:
            self.successResultOf(waits)


class FairnessTests(TurnsTestCase):
    """Eight questions to a host at once."""

    each = 8

    def test_half(self) -> None:
        """However much one client wants, it has half of the places, and half of the queue."""
        flood, other, *_ = CLIENTS
        self.taken(*[flood] * 4)
        waiting = [self.take(flood) for _ in range(4)]
        self.failureResultOf(self.take(flood), Overloaded)
        self.taken(other)
        for waits in waiting:
            self.assertNoResult(waits)

    def test_half_of_all(self) -> None:
        """That is so for all hosts together, too."""
        flood, other, *_ = CLIENTS
        taking = [self.take(flood, f"host {n}") for n in range(20)]
        self.assertEqual(sum(one.called for one in taking), 16)
        self.taken(other, host="host 0")

    def test_round_robin(self) -> None:
        """Clients that wait have their turns one after another."""
        one, other, third, fourth = CLIENTS
        self.taken(fourth, fourth, fourth, one, one, other)
        order: list[Asker] = []

        async def ask(asker: Asker) -> None:
            await self.turns.take("a", asker)
            order.append(asker)

        for asker in (one, one, other, third, third, third):
            Deferred.fromCoroutine(ask(asker))
        for asker in (fourth, fourth, fourth, one, one, other):
            self.give(asker)
        self.assertEqual(order, [one, other, third, one, third, third])

    def test_ours(self) -> None:
        """A quarter is kept for our own questions, whatever clients ask."""
        one, other, third, _ = CLIENTS
        self.taken(one, one, one, one, other, other)
        waits = self.take(third)
        self.assertNoResult(waits)
        self.taken(OURS, OURS)
        self.give(OURS)
        self.assertNoResult(waits)
        self.give(one)
        self.successResultOf(waits)

    def test_few(self) -> None:
        """However few places there are, everybody has one in turn."""
        for each in (1, 2, 3):
            self.turns.each = each
            for asker in (*CLIENTS, OURS):
                self.taken(asker)
                self.give(asker)

    @given(st.integers(1, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=80))
    def test_nothing_is_lost(self, each: int, steps: list[tuple[bool, int]]) -> None:
        """
        In whatever order turns are taken and given back, no bound is broken, and in the end
        everybody who was let in has had a turn.
        """
        self.setUp()
        self.turns.each = each
        askers = [*CLIENTS, OURS]
        asking: Counter[Asker] = Counter()
        refused: list[Asker] = []
        taking: list[Deferred[None]] = []

        async def ask(asker: Asker) -> None:
            try:
                await self.turns.take("a", asker)
            except Overloaded:
                refused.append(asker)
            else:
                asking[asker] += 1

        def give(asker: Asker) -> None:
            asking[asker] -= 1
            self.give(asker)

        for takes, number in steps:
            asker = askers[number]
            if takes:
                taking.append(Deferred.fromCoroutine(ask(asker)))
            elif asking[asker]:
                give(asker)
            self.assertLessEqual(asking.total(), each)
            self.assertLessEqual(max(asking.values(), default=0), max(1, each // 2))
        while asking.total():
            give(next(asker for asker, count in asking.items() if count))
        for one in taking:
            self.successResultOf(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TogetherTests(TurnsTestCase):
    """Questions that are of use only all together."""

    each = 1

    def test_one_after_another(self) -> None:
        """They wait for each other, however few places there are and however long each takes."""
        party = Asker("a client", together=True)
        taking = [self.take(party) for _ in range(4)]
        for number in range(4):
            self.assertEqual([one.called for one in taking].count(True), number + 1)
            self.clock.pump([PATIENCE - 1] * 4)
            self.give(party)
        for one in taking:
            self.successResultOf(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_wait(self) -> None:
        """Where one of them may wait all may, but no longer than others while none is asked."""
        one, *_ = CLIENTS
        self.taken(one)
        party = Asker("a client", together=True)
        taking = [self.take(party) for _ in range(4)]
        self.failureResultOf(self.take(CLIENTS[1]), Overloaded)
        self.clock.advance(PATIENCE)
        for waits in taking:
            self.failureResultOf(waits, Overloaded)

    def test_none_waits(self) -> None:
        """Where the first may not wait, the others may not either."""
        one, *_ = CLIENTS
        self.taken(one)
        waits = self.take(CLIENTS[1])
        party = Asker("a client", together=True)
        for _ in range(4):
            self.failureResultOf(self.take(party), Overloaded)
        self.assertNoResult(waits)
