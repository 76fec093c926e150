"""Tests of `osproxy.web.accounting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import evolve
from prometheus_client import CollectorRegistry
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachestatus import CacheStatus
from osproxy.metrics import Metrics
from osproxy.web.accounting import Accounting
from tests.records import RECORD

if TYPE_CHECKING:
    from osproxy.web.accesslog import AccessLog
    from osproxy.web.record import Record


class AccountingTests(SynchronousTestCase):
    """What a request comes to."""

    def setUp(self) -> None:
        """Keep books."""
        self.records: list[Record] = []
        self.metrics = Metrics(CollectorRegistry())
        self.accounting = Accounting(cast("AccessLog", self), self.metrics)

    def add(self, record: Record) -> None:
        """See `osproxy.web.accesslog.AccessLog.add`."""
        self.records.append(record)

    def value(self, name: str, **labels: str) -> float | None:
        """Give what was counted."""
        return self.metrics.registry.get_sample_value(f"osproxy_{name}", labels)

    def test_hit(self) -> None:
        """A request is logged as it is, and counted in all that counts requests."""
        self.accounting.add(RECORD, CacheStatus(hit=True, ttl=5))
        self.assertEqual(self.records, [RECORD])
        self.assertEqual(self.value("requests_total", outcome="hit", kind="index"), 1)
        self.assertEqual(self.value("sent_bytes_total", outcome="hit", kind="index"), 1234)
        self.assertEqual(self.value("responses_total", status="200"), 1)
        self.assertEqual(self.value("request_seconds_sum", outcome="hit"), 1.5)
        self.assertEqual(self.value("first_byte_seconds_sum", outcome="hit"), 0.0004)
        for why in ("trouble", "refreshing"):
            self.assertIsNone(self.value("stale_responses_total", why=why))
        self.assertEqual(self.value("cut_responses_total"), 0)

    def test_own(self) -> None:
        """What is no file is our own, and what sent nothing has no first octet."""
        self.accounting.add(evolve(RECORD, kind=None, first=None), CacheStatus())
        self.assertEqual(self.value("requests_total", outcome="none", kind="own"), 1)
        self.assertIsNone(self.value("first_byte_seconds_sum", outcome="none"))

    def test_stale_and_cut(self) -> None:
        """What was stale is counted by why, and what was broken off."""
        self.accounting.add(evolve(RECORD, cut=True), CacheStatus(fwd="stale", stale=True))
        self.accounting.add(RECORD, CacheStatus(hit=True, ttl=-1))
        for why in ("trouble", "refreshing"):
            self.assertEqual(self.value("stale_responses_total", why=why), 1)
        self.assertEqual(self.value("cut_responses_total"), 1)
