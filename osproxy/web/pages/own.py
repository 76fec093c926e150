"""
Pages of our own, below ``/-/`` and where others expect them: health, readiness, status, metrics.

They only tell. What to do with a method other than GET and HEAD is the root resource's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.metrics import Metrics

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@frozen
class Page:
    """A whole response."""

    status: int
    content_type: str
    body: bytes


@frozen
class Status:
    """
    What there is to know at a glance.

    :ivar version: of osproxy.
    :ivar uptime: seconds since the start.
    :ivar entries: files that can be served.
    :ivar stored: octets accounted for.
    :ivar capacity: octets that may be.
    :ivar drafts: files that are being written.
    :ivar connections: clients' connections.
    """

    version: str
    uptime: float
    entries: int
    stored: int
    capacity: int
    drafts: int
    connections: int

    @property
    def line(self) -> str:
        """Write what is of interest to one who passes by."""
        return (
            f"{self.connections} connections, {self.drafts} files being fetched,"
            f" {self.stored / 2**30:.1f} of {self.capacity / 2**30:.1f} GiB"
            f" in {self.entries} files"
        )

    def __str__(self) -> str:
        """Write a line a fact, which a script can read too."""
        return (
            f"osproxy: {self.version}\n"
            f"uptime: {int(self.uptime)} s\n"
            f"entries: {self.entries}\n"
            f"stored: {self.stored}\n"
            f"capacity: {self.capacity}\n"
            f"drafts: {self.drafts}\n"
            f"connections: {self.connections}\n"
        )


@define(eq=False)
class OwnPages:
    """
    Finds the page of a path.

    :ivar ready: whether requests can be served: listening, and the store loaded.
    """

    ready: Callable[[], bool]
    status: Callable[[], Status]
    metrics: Metrics

    def own_page(self, path: str) -> Page:
        """Give the page of a canonical path that is ours, see `is_own`."""
        match path:
            case "/-/healthy":
                return _text(200, "ok\n")
            case "/-/ready":
                return _text(200, "ready\n") if self.ready() else _text(503, "not ready\n")
            case "/-/status" | "/_status":
                return _text(200, str(self.status()))
            case "/-/metrics":
                return Page(200, _EXPOSITION, self.metrics.exposition())
            case "/robots.txt":
                return _text(200, "User-agent: *\nDisallow: /\n")
        return _text(404, "osproxy has no such page\n")


def is_own(path: str) -> bool:
    """Say whether a canonical path is ours, be there a page or not."""
    return path in ("/-", "/_status", "/robots.txt") or path.startswith("/-/")


def _text(status: int, text: str) -> Page:
    return Page(status, _TEXT, text.encode())
