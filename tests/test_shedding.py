"""Tests of `osproxy.shedding`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.metrics import Metrics
from osproxy.shedding import Reason, Shedding
from tests.web.support import logged


class SheddingTests(SynchronousTestCase):
    """Tests of `Shedding`."""

    def setUp(self) -> None:
        """Make one on a clock."""
        self.clock = Clock()
        self.clock.advance(1_000)
        self.metrics = Metrics(CollectorRegistry())
        self.shedding = Shedding(self.clock, self.metrics.refused)
        self.events = logged(self)

    def shed(self, reason: Reason, times: int) -> None:
        """Refuse something so many times."""
        for _ in range(times):
            self.shedding.shed(reason, "192.0.2.1")

    def said(self) -> list[tuple[str, int]]:
        """List what was said: the reason, and how much had been left unsaid."""
        return [(event["reason"], event["unsaid"]) for event in self.events if "reason" in event]

    def test_once_a_minute(self) -> None:
        """However much is refused, the log says so once a minute, with what it left out."""
        self.shed(Reason.UPSTREAM, 1_000)
        self.clock.advance(59.9)
        self.shed(Reason.UPSTREAM, 1)
        self.assertEqual(self.said(), [("upstream", 0)])
        self.clock.advance(0.1)
        self.shed(Reason.UPSTREAM, 5)
        self.assertEqual(self.said(), [("upstream", 0), ("upstream", 1_000)])

    def test_each_reason(self) -> None:
        """One reason does not silence another, and each has its text."""
        for reason in Reason:
            self.shed(reason, 2)
        self.assertEqual(self.said(), [(reason.value, 0) for reason in Reason])

    def test_clock_set_back(self) -> None:
        """A clock that goes back does not silence it."""
        self.shed(Reason.REQUESTS, 1)
        self.clock.rightNow = 0.0
        self.shed(Reason.REQUESTS, 1)
        self.assertEqual(len(self.said()), 2)

    def test_counted(self) -> None:
        """All of it is counted, said or not."""
        self.shed(Reason.CLIENT_REQUESTS, 7)
        value = self.metrics.registry.get_sample_value
        label = {"reason": "client-requests"}
        self.assertEqual(value("osproxy_refused_total", label), 7)
