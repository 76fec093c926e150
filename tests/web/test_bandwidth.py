"""Tests of `osproxy.web.bandwidth`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.bandwidth import Bandwidth

BURST = 16 << 10


class BandwidthTests(SynchronousTestCase):
    """Tests of `Bandwidth` and its paces."""

    def setUp(self) -> None:
        """Limit all clients to 4 KiB a second."""
        self.clock = Clock()
        self.bandwidth = Bandwidth(self.clock, 4096, 0)

    def take(self, client: str, octets: int) -> Deferred[None]:
        """Wait until a client may send all of so much."""
        pace = self.bandwidth.pace(client)
        assert pace is not None
        return Deferred.fromCoroutine(pace.all_of(octets))

    def test_off(self) -> None:
        """Without limits there is nothing to keep to."""
        self.assertIsNone(Bandwidth(self.clock, 0, 0).pace("a"))

    def test_waits(self) -> None:
        """Beyond the burst one waits as long as it takes, and no timer is left."""
        self.successResultOf(self.take("a", BURST))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        waits = self.take("a", 8192)
        self.clock.pump([0.1] * 19)
        self.assertNoResult(waits)
        self.clock.pump([0.1] * 2)
        self.successResultOf(waits)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_shared(self) -> None:
        """Clients that wait are served in turn, whoever came first."""
        first, second = self.take("a", BURST + 16_384), self.take("b", 4096)
        self.clock.pump([0.1] * 22)
        self.assertNoResult(first)
        self.successResultOf(second)
        first.addErrback(lambda failure: failure.trap(CancelledError))
        first.cancel()

    def test_used_up(self) -> None:
        """While anybody wants more, nothing of it lies idle, whoever has how many bodies."""
        self.bandwidth.limit(40_000, 0)
        sent = 0

        async def send(client: str) -> None:
            nonlocal sent
            pace = self.bandwidth.pace(client)
            assert pace is not None
            while True:
                octets = await pace.take(100_000)
                sent += octets

        sending = [Deferred.fromCoroutine(send(client)) for client in "aaab"]
        # In steps that fit neither what a grant takes nor a round.
        for step in (0.013, 0.007, 0.05):
            self.clock.pump([step] * 300)
            there = BURST + 40_000 * self.clock.seconds()
            self.assertLessEqual(sent, there)
            # What is left is less than the next grant.
            self.assertGreater(sent, there - BURST // 4)
        for one in sending:
            one.addErrback(lambda failure: failure.trap(CancelledError))
            one.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Who waits no longer leaves nothing behind, and what it left is another's."""
        gone = self.take("a", BURST + 4096)
        waits = self.take("b", 4096)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.clock.advance(1)
        self.successResultOf(waits)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_given_back(self) -> None:
        """What was granted and not sent is another's at once."""
        self.successResultOf(self.take("a", BURST))
        pace = self.bandwidth.pace("a")
        assert pace is not None
        pace.give_back(1000)
        self.successResultOf(self.take("b", 1000))

    def test_limit_taken_away(self) -> None:
        """Those who wait go on at once when there is no limit any more."""
        waits = self.take("a", 10 * BURST)
        self.assertNoResult(waits)
        self.bandwidth.limit(0, 0)
        self.successResultOf(waits)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_limit_of_each(self) -> None:
        """A limit of one client does not hold up another, and counts networks."""
        self.bandwidth.limit(0, 4096)
        self.successResultOf(self.take("2001:db8::1", BURST))
        waits = self.take("2001:db8::2", 4096)
        self.assertNoResult(waits)
        self.successResultOf(self.take("2001:db8:0:1::1", BURST))
        self.clock.advance(1)
        self.successResultOf(waits)

    def test_limit_of_each_taken_away(self) -> None:
        """Those who wait for a limit of their own go on at once, too, when there is none."""
        self.bandwidth.limit(0, 4096)
        waits = self.take("a", 10 * BURST)
        self.assertNoResult(waits)
        self.bandwidth.limit(0, 0)
        self.successResultOf(waits)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_limit_of_each_raised(self) -> None:
        """Those who wait wait for no longer than the new limit wants, and no shorter."""
        self.bandwidth.limit(0, 100)
        waits = self.take("a", BURST + 10_000)
        self.bandwidth.limit(0, 10_000)
        self.clock.pump([0.1] * 9)
        self.assertNoResult(waits)
        self.clock.pump([0.1] * 2)
        self.successResultOf(waits)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_earlier(self) -> None:
        """Who waits for less goes on earlier than those who wait already."""
        self.bandwidth.limit(0, 4096)
        long = self.take("a", BURST + 4096)
        short = self.take("b", BURST + 100)
        self.clock.advance(0.1)
        self.successResultOf(short)
        self.assertNoResult(long)
        self.clock.advance(0.9)
        self.successResultOf(long)
        self.assertEqual(self.clock.getDelayedCalls(), [])
