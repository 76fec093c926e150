"""
What is counted. The registry is passed in, so that two servers in one process do not share it.

What each metric means, and what to do when it moves, is in ``docs/operations.rst``. Labels have few
values, whatever clients and upstreams send.
"""

from __future__ import annotations

import time
from http import HTTPStatus

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from osproxy.tallies import Distribution, Tally

_FIRST_BYTE = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 25)
_REQUEST = (0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600)
_UPSTREAM = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)

# nginx's 499 stands for a client that left first.
_STATUSES = {499: "499", **{int(status): str(int(status)) for status in HTTPStatus}}


def status_label(status: int) -> str:
    """Name a status, all that nobody has registered alike."""
    return _STATUSES.get(status, "other")


def boot_time() -> float:
    """Say when the machine was booted, in seconds since the epoch."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Process(ProcessCollector):
    def _boot_time(self) -> float:
        # Without a time it tells nothing at all; it would look for it in a file that a sandbox may
        # hide (ProcSubset= in systemd.exec(5)).
        return boot_time()


class Metrics:
    """
    The counters and gauges of one server.

    :ivar info: the version.
    :ivar requests: requests answered, by outcome (the first word of Cache-Status) and kind.
    :ivar sent: octets of bodies handed to clients, by outcome and kind.
    :ivar responses: responses by `status_label`.
    :ivar stale: responses that were stale, ``refreshing`` where that is as it should be, or for
        ``trouble``.
    :ivar cut: responses that were broken off.
    :ivar first_byte: seconds to the first octet of a body, by outcome.
    :ivar request: seconds to the end of a response, by outcome.
    :ivar connections: clients' connections.
    :ivar refused: connections and requests refused because of load or a limit, by what is short
        (`osproxy.shedding.Reason`).
    :ivar fills: fills that ended, by how (``complete``, ``named``, ``answered``, ``failed``,
        ``diverted``).
    :ivar fills_running: fills under way.
    :ivar resumed: interrupted bodies whose rest was asked for and came.
    :ivar resumed_octets: octets that were here then and did not have to come again.
    :ivar refreshes: looks at repositories' indexes, by what came of them.
    :ivar repositories: repositories whose index is in memory.
    :ivar upstream_requests: questions to upstreams, by host (`osproxy.upstream.origin`) and class
        of status.
    :ivar upstream_head: seconds until the head of a response, by host.
    :ivar upstream_received: octets of bodies received from upstreams.
    :ivar upstream_errors: failed upstream requests, by what failed.
    :ivar upstream_connections: connections to upstreams.
    :ivar evictions: entries removed to make room.
    :ivar verified: octets read back to see whether they are what was stored.
    :ivar damaged: entries dropped because they were not.
    :ivar troubles: what the disk refused, by what was tried (`osproxy.store.trouble.Work`).
    :ivar stored: octets that the store accounts for, entries, drafts and files awaiting deletion.
    :ivar capacity: octets that it may.
    :ivar reserved: octets of it that files being written have.
    :ivar awaiting: octets of it that are to be deleted.
    :ivar catalogue: octets of it that the catalogue has.
    :ivar pinned: octets of it that are never evicted.
    :ivar images: octets of it that images have.
    :ivar image_capacity: octets that they may.
    :ivar disk_free: octets that are free on the disk.
    :ivar disk_free_files: how many more files it can have.
    :ivar entries: entries that can be served.
    :ivar drafts: drafts that are being written.
    :ivar kept: drafts that wait to be completed.
    :ivar certificate_end: when the certificate for clients ends.
    :ivar reloads: reloads, by whether the settings were taken.
    :ivar reloaded: when the settings were taken last.
    :ivar log_lost: entries of logs that could not be written, by log.
    :ivar thread_calls: functions that run in threads, or wait for one, by pool.
    :ivar lag: seconds by which the reactor was late.
    :param proc: where the kernel tells of processes.
    """

    def __init__(self, registry: CollectorRegistry, proc: str = "/proc") -> None:
        self.registry = registry
        self.info = Info("osproxy", "What runs", registry=registry)
        self._of_clients(registry)
        self._of_fetching(registry)
        self._of_store(registry)
        self._of_process(registry, proc)

    def _of_clients(self, registry: CollectorRegistry) -> None:
        by_file, by_outcome = ("outcome", "kind"), ("outcome",)
        self.requests = Tally("osproxy_requests", "Requests answered", by_file, registry)
        self.sent = Tally("osproxy_sent_bytes", "Body bytes sent", by_file, registry)
        self.responses = Tally("osproxy_responses", "Responses by status", ("status",), registry)
        self.stale = Tally("osproxy_stale_responses", "Stale responses", ("why",), registry)
        self.cut = Counter("osproxy_cut_responses", "Responses broken off", registry=registry)
        self.first_byte = Distribution(
            "osproxy_first_byte_seconds", "Time to first byte", by_outcome, _FIRST_BYTE, registry
        )
        self.request = Distribution(
            "osproxy_request_seconds", "Time to last byte", by_outcome, _REQUEST, registry
        )
        self.connections = Gauge("osproxy_connections", "Client connections", registry=registry)
        self.refused = Tally("osproxy_refused", "Refused for load or limits", ("reason",), registry)

    def _of_fetching(self, registry: CollectorRegistry) -> None:
        self.fills = Counter("osproxy_fills", "Fills ended", ("result",), registry=registry)
        self.fills_running = Gauge("osproxy_fills_running", "Fills under way", registry=registry)
        self.resumed = Counter("osproxy_resumed", "Interrupted bodies continued", registry=registry)
        self.resumed_octets = Counter(
            "osproxy_resumed_bytes", "Body bytes not received again", registry=registry
        )
        self.refreshes = Counter(
            "osproxy_index_refreshes", "Looks at indexes", ("result",), registry=registry
        )
        self.repositories = Gauge(
            "osproxy_repositories", "Repositories in memory", registry=registry
        )
        self.upstream_requests = Tally(
            "osproxy_upstream_requests", "Questions to upstreams", ("host", "status"), registry
        )
        self.upstream_head = Distribution(
            "osproxy_upstream_head_seconds", "Time to response head", ("host",), _UPSTREAM, registry
        )
        self.upstream_received = Counter(
            "osproxy_upstream_received_bytes", "Body bytes received upstream", registry=registry
        )
        self.upstream_errors = Counter(
            "osproxy_upstream_errors", "Upstream failures", ("reason",), registry=registry
        )
        self.upstream_connections = Gauge(
            "osproxy_upstream_connections", "Upstream connections", registry=registry
        )

    def _of_store(self, registry: CollectorRegistry) -> None:
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
        self.capacity = Gauge("osproxy_capacity_bytes", "Bytes allowed", registry=registry)
        self.reserved = Gauge("osproxy_reserved_bytes", "Bytes of drafts", registry=registry)
        self.awaiting = Gauge(
            "osproxy_awaiting_deletion_bytes", "Bytes to be deleted", registry=registry
        )
        self.catalogue = Gauge("osproxy_catalogue_bytes", "Bytes of catalogue", registry=registry)
        self.pinned = Gauge("osproxy_pinned_bytes", "Bytes of pinned entries", registry=registry)
        self.images = Gauge("osproxy_image_bytes", "Bytes of images", registry=registry)
        self.image_capacity = Gauge(
            "osproxy_image_capacity_bytes", "Bytes allowed to images", registry=registry
        )
        self.disk_free = Gauge("osproxy_disk_free_bytes", "Bytes free on disk", registry=registry)
        self.disk_free_files = Gauge(
            "osproxy_disk_free_files", "Inodes free on disk", registry=registry
        )
        self.entries = Gauge("osproxy_entries", "Entries stored", registry=registry)
        self.drafts = Gauge("osproxy_drafts", "Drafts being written", registry=registry)
        self.kept = Gauge("osproxy_kept_drafts", "Drafts to be completed", registry=registry)

    def _of_process(self, registry: CollectorRegistry, proc: str) -> None:
        self.certificate_end = Gauge(
            "osproxy_certificate_end_timestamp_seconds", "End of certificate", registry=registry
        )
        self.reloads = Counter("osproxy_reloads", "Reloads", ("result",), registry=registry)
        for result in ("taken", "refused"):
            # An alert sees what increases, not what appears.
            self.reloads.labels(result)
        self.reloaded = Gauge(
            "osproxy_reloaded_timestamp_seconds", "Last reload taken", registry=registry
        )
        self.log_lost = Counter(
            "osproxy_log_lost", "Log entries not written", ("log",), registry=registry
        )
        self.thread_calls = Gauge(
            "osproxy_thread_calls", "Calls in or before threads", ("pool",), registry=registry
        )
        self.lag = Distribution(
            "osproxy_reactor_lag_seconds", "Lateness of the reactor", (), _LAG, registry
        )
        _Process(proc=proc, registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self) -> bytes:
        """Say everything in the Prometheus text format 0.0.4."""
        return generate_latest(self.registry)
