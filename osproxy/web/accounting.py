"""
What is written down of a request that was answered: a line in the access log, and the metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.metrics import status_label

if TYPE_CHECKING:
    from osproxy.http.cachestatus import CacheStatus
    from osproxy.metrics import Metrics
    from osproxy.web.accesslog import AccessLog
    from osproxy.web.record import Record


class Accounting:
    """Keeps the books."""

    def __init__(self, access_log: AccessLog, metrics: Metrics) -> None:
        self._access_log = access_log
        self._metrics = metrics

    def add(self, record: Record, answered: CacheStatus) -> None:
        """Write a request down."""
        self._count(record, answered)
        self._access_log.add(record)

    def _count(self, record: Record, answered: CacheStatus) -> None:
        metrics, outcome = self._metrics, answered.outcome
        kind = record.kind or "own"
        metrics.requests.add((outcome, kind))
        metrics.sent.add((outcome, kind), record.sent)
        metrics.responses.add((status_label(record.status),))
        metrics.request.add((outcome,), record.total)
        if record.first is not None:
            metrics.first_byte.add((outcome,), record.first)
        if answered.stale:
            metrics.stale.add(("trouble",))
        elif answered.ttl is not None and answered.ttl < 0:
            metrics.stale.add(("refreshing",))
        if record.cut:
            metrics.cut.inc()
