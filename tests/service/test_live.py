"""Tests of `osproxy.service.live`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.changes import LIVE
from osproxy.config.clients import networks
from tests.service.lives import Parts, settings_with


class LiveTests(SynchronousTestCase):
    """Tests of `Live`."""

    def test_everything(self) -> None:
        """Each setting that can change reaches the part that goes by it, others reach none."""
        directory = self.mktemp()
        Path(directory).mkdir()
        parts = Parts(settings_with(directory))
        new = settings_with(
            directory,
            acme_challenge_dir="/challenges",
            mirror_chain="http://parent",
            clients="10.0.0.0/8",
            deny="10.1.0.0/16",
            trusted_proxies="192.0.2.1,unix",
            proxy_protocol="192.0.2.2",
            connections="12",
            client_connections="3",
            requests="13",
            client_requests="14 burst=15",
            bandwidth="16",
            client_bandwidth="17",
            upstream_requests="18",
            client_body_size="4",
            connect_timeout="5",
            head_timeout="6",
            stall_timeout="7",
            client_timeout="8",
            drain_timeout="9",
            access_log="off",
            access_log_format="json",
            error_log="-",
            log_level="warn",
            cache_size="1GiB",
        )
        live = parts.live
        live.take(new)
        reached: dict[str, object] = {
            "acme_challenge_dir": live.root.challenges.directory,
            "backends": live.root.routes.backends,
            "clients": live.root.access.clients,
            "deny": live.root.access.deny,
            "trusted_proxies": live.root.access.trusted_proxies,
            "proxy_protocol": live.proxies.named,
            "client_connections": parts.front.connections.limit,
            "connections": parts.front.connections.most,
            "requests": live.root.limits.total,
            "client_requests": live.root.limits.each,
            "bandwidth": live.root.limits.bandwidth.total,
            "client_bandwidth": live.root.limits.bandwidth.each,
            "upstream_requests": live.upstream.turns.each,
            "client_body_size": live.root.body_size,
            "connect_timeout": live.agent.connect_timeout,
            "head_timeout": live.agent.head_timeout,
            "stall_timeout": live.upstream.stall_timeout,
            "client_timeout": live.site.client_timeout,
            "log_level": parts.levels[-1],
            # These are asked for when they are needed.
            "drain_timeout": live.settings.drain_timeout,
            "access_log": live.settings.access_log,
            "access_log_format": live.settings.access_log_format,
            "error_log": live.settings.error_log,
        }
        # The certificate is `osproxy.service.renewal`'s.
        self.assertEqual(set(reached), LIVE - {"tls"})
        for name, value in reached.items():
            self.assertEqual(value, getattr(new, name), name)
        self.assertEqual(live.upstream.uploads.each, new.upstream_requests)
        self.assertEqual(live.site.connections.unlimited, new.trusted_proxies)
        self.assertEqual(live.settings.cache_size, 16 << 30)
        self.assertEqual(live.upstream.authorities, {"parent"})

    def test_next_request(self) -> None:
        """The next request on a connection that is there is judged anew."""
        directory = self.mktemp()
        Path(directory).mkdir()
        parts = Parts(settings_with(directory, clients="192.0.2.0/24"))
        self.assertEqual(parts.front.ask("/-/healthy").status, 200)
        parts.live.take(settings_with(directory, clients="10.0.0.0/8"))
        self.assertEqual(parts.front.root.access.clients, networks("10.0.0.0/8"))
        self.assertEqual(parts.front.ask("/-/healthy").status, 403)
