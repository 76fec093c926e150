"""
What is counted. The registry is passed in, so that two servers in one process do not share it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """
    The counters and gauges of one server.

    :ivar requests: requests answered, by outcome (the first word of Cache-Status) and kind.
    :ivar sent: octets of bodies handed to clients, by outcome and kind.
    :ivar refused: connections and requests refused because of load or a limit, by what is short
        (`osproxy.shedding.Reason`).
    :ivar fills: fills that ended, by how (``complete``, ``answered``, ``failed``, ``diverted``).
    :ivar fills_running: fills under way.
    :ivar resumed: interrupted bodies whose rest was asked for and came.
    :ivar resumed_octets: octets that were here then and did not have to come again.
    :ivar kept: drafts that wait to be completed.
    :ivar upstream_received: octets of bodies received from upstreams.
    :ivar upstream_errors: failed upstream requests, by what failed.
    :ivar evictions: entries removed to make room.
    :ivar verified: octets read back to see whether they are what was stored.
    :ivar damaged: entries dropped because they were not.
    :ivar troubles: what the disk refused, by what was tried (`osproxy.store.trouble.Work`).
    :ivar stored: octets that the store accounts for, entries, drafts and files awaiting deletion.
    :ivar entries: entries that can be served.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "osproxy_requests", "Requests answered", ("outcome", "kind"), registry=registry
        )
        self.sent = Counter(
            "osproxy_sent_bytes", "Body bytes sent", ("outcome", "kind"), registry=registry
        )
        self.refused = Counter(
            "osproxy_refused",
            "Connections and requests refused for load or limits",
            ("reason",),
            registry=registry,
        )
        self.fills = Counter("osproxy_fills", "Fills ended", ("result",), registry=registry)
        self.fills_running = Gauge("osproxy_fills_running", "Fills under way", registry=registry)
        self.resumed = Counter("osproxy_resumed", "Interrupted bodies continued", registry=registry)
        self.resumed_octets = Counter(
            "osproxy_resumed_bytes", "Body bytes not received again", registry=registry
        )
        self.kept = Gauge("osproxy_kept_drafts", "Drafts to be completed", registry=registry)
        self.upstream_received = Counter(
            "osproxy_upstream_received_bytes", "Body bytes received upstream", registry=registry
        )
        self.upstream_errors = Counter(
            "osproxy_upstream_errors", "Upstream failures", ("reason",), registry=registry
        )
        self.evictions = Counter("osproxy_evictions", "Entries evicted", registry=registry)
        self.verified = Counter(
            "osproxy_verified_bytes", "Stored bytes verified", registry=registry
        )
        self.damaged = Counter(
            "osproxy_damaged_entries", "Entries found damaged and dropped", registry=registry
        )
        self.troubles = Counter(
            "osproxy_disk_troubles", "Refusals of the disk", ("work",), registry=registry
        )
        self.stored = Gauge("osproxy_stored_bytes", "Bytes accounted for", registry=registry)
        self.entries = Gauge("osproxy_entries", "Entries stored", registry=registry)
        self.connections = Gauge("osproxy_connections", "Client connections", registry=registry)

    def exposition(self) -> bytes:
        """Say everything in the Prometheus text format 0.0.4."""
        return generate_latest(self.registry)
