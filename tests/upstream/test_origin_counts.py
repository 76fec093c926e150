"""Tests of `osproxy.upstream.origin`: what is counted of upstreams, and by which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.trial.unittest import TestCase

from osproxy.upstream.origin import host_of
from osproxy.upstream.reply import UpstreamError
from tests.upstream.origins import Network, Origin, moved, plain

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


class CountTests(TestCase):
    """Questions to upstreams, counted."""

    timeout = 60

    def setUp(self) -> None:
        """Have a network."""
        self.network = Network(self)
        self.upstream = self.network.upstream

    def samples(self, name: str) -> list[Sample]:
        """Read a metric."""
        return [
            sample
            for family in self.network.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"osproxy_upstream_{name}"
        ]

    def asked(self) -> dict[tuple[str, str], float]:
        """Tell how often which host has answered how."""
        return {
            (it.labels["host"], it.labels["status"]): it.value
            for it in self.samples("requests_total")
        }

    async def test_hosts(self) -> None:
        """Authorities are counted by their names, wherever redirects lead by one."""
        mirror = self.network.serve(Origin(plain(b"x"), plain(b"x")))
        authority = self.network.serve(Origin(moved(f"{mirror}/a"), moved(f"{mirror}/a")))
        self.upstream.authorities = frozenset((host_of(authority),))
        for _ in range(2):
            await (await self.upstream.ask(f"{authority}/a")).read(1)
        self.assertEqual(self.asked(), {(host_of(authority), "3xx"): 2, ("other", "2xx"): 2})
        counts = {it.labels["host"]: it.value for it in self.samples("head_seconds_count")}
        self.assertEqual(counts, {host_of(authority): 2, "other": 2})

    async def test_failed(self) -> None:
        """Who does not answer has failed, and has no time."""
        url = self.network.serve(Origin(b"nonsense\r\n\r\n"))
        with self.assertRaises(UpstreamError):
            await self.upstream.ask(url)
        self.assertEqual(self.asked(), {("other", "failed"): 1})
        self.assertEqual(self.samples("head_seconds_count"), [])

    async def test_connections(self) -> None:
        """A connection counts until it is closed, that which is kept as well."""
        agent = self.network.agent
        self.assertEqual(agent.connections, 0)
        await (await self.upstream.ask(self.network.serve(Origin(plain(b"x"))))).read(1)
        self.assertEqual(agent.connections, 1)
        await agent.close()
        self.assertEqual(agent.connections, 0)

    def test_host(self) -> None:
        """A host is told with its port, and without a user."""
        self.assertEqual(host_of("https://me:secret@h.example:81/a@b"), "h.example:81")
