"""Tests of `osproxy.web.pages.own`."""

from __future__ import annotations

from attrs import evolve
from prometheus_client import CollectorRegistry
from twisted.trial.unittest import SynchronousTestCase

from osproxy.metrics import Metrics
from osproxy.web.pages.own import OwnPages, Page, Status, is_own

STATUS = Status(
    version="0.1.0",
    uptime=90061.5,
    entries=7,
    stored=512,
    capacity=2048,
    drafts=1,
    connections=3,
)


class OwnPagesTests(SynchronousTestCase):
    """Tests of `OwnPages`."""

    def setUp(self) -> None:
        """Make the pages of a server that is ready."""
        self.ready = True
        self.pages = OwnPages(lambda: self.ready, lambda: STATUS, Metrics(CollectorRegistry()))

    def page(self, path: str) -> Page:
        """Get a page that exists."""
        return self.pages.own_page(path)

    def test_healthy(self) -> None:
        """A process that answers is healthy."""
        self.assertEqual(self.page("/-/healthy").status, 200)

    def test_ready(self) -> None:
        """Whether requests can be served shows in the status."""
        self.assertEqual(self.page("/-/ready").status, 200)
        self.ready = False
        self.assertEqual(self.page("/-/ready").status, 503)

    def test_status(self) -> None:
        """The status page says a fact a line."""
        self.assertEqual(
            self.page("/-/status").body.decode(),
            "osproxy: 0.1.0\n"
            "uptime: 90061 s\n"
            "entries: 7\n"
            "stored: 512\n"
            "capacity: 2048\n"
            "drafts: 1\n"
            "connections: 3\n",
        )

    def test_line(self) -> None:
        """Who passes by is told the most of it in a line."""
        self.assertEqual(
            evolve(STATUS, stored=1 << 30, capacity=16 << 30).line,
            "3 connections, 1 files being fetched, 1.0 of 16.0 GiB in 7 files",
        )

    def test_other_name_of_status(self) -> None:
        """Who comes from the existing proxy finds the status where it was."""
        self.assertEqual(self.page("/_status"), self.page("/-/status"))

    def test_metrics(self) -> None:
        """The metrics are in Prometheus' text format, and labelled as such."""
        page = self.page("/-/metrics")
        self.assertEqual(page.content_type, "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn(b"\nosproxy_entries 0.0\n", page.body)

    def test_robots(self) -> None:
        """Robots are asked to stay away."""
        self.assertEqual(self.page("/robots.txt").body, b"User-agent: *\nDisallow: /\n")

    def test_unknown(self) -> None:
        """What is below our prefix and no page is not looked for elsewhere."""
        self.assertEqual([self.page(path).status for path in ("/-/x", "/-/", "/-")], [404] * 3)

    def test_not_ours(self) -> None:
        """All other paths belong to repositories."""
        for path in ("/", "/-x", "/repositories/-/ready", "/x/robots.txt"):
            self.assertFalse(is_own(path), path)
        for path in ("/-/metrics", "/-/x", "/-", "/_status", "/robots.txt"):
            self.assertTrue(is_own(path), path)
