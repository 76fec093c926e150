"""
The settings of a running server that can change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define
from twisted.logger import Logger

from osproxy.config.changes import adopt
from osproxy.config.options import CONNECTIONS
from osproxy.descriptors import connections_within
from osproxy.upstream.origin import host_of
from osproxy.web.access import Access
from osproxy.web.routing import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from osproxy.config.settings import Settings
    from osproxy.model import Backend
    from osproxy.upstream.agent import ExactAgent
    from osproxy.upstream.origin import Upstream
    from osproxy.web.proxied import Proxies
    from osproxy.web.resource import Root
    from osproxy.web.site import ClientSite


def authorities(backends: Iterable[Backend]) -> frozenset[str]:
    """Name the hosts that an operator has set, of which there are few."""
    return frozenset(host_of(backend.authority) for backend in backends)


def trouble_with_connections(settings: Settings, most: int) -> Iterator[str]:
    """Say so where more are wanted than there can be."""
    if (settings.connections or 0) > most:
        yield (
            f"--{CONNECTIONS.name}: {settings.connections} are more than file descriptors allow"
            f" for; {most} may be connected"
        )


@define(eq=False)
class Live:
    """
    The parts of a server that settings go to while it runs.

    Certificates and the logs are not among them, since they have to be opened first.

    :ivar settings: those in use.
    :ivar set_log_level: has the log leave out what is below a level.
    :ivar descriptors: how many file descriptors there may be.
    """

    _log = Logger()

    settings: Settings
    root: Root
    site: ClientSite
    proxies: Proxies
    agent: ExactAgent
    upstream: Upstream
    set_log_level: Callable[[str], None]
    descriptors: int

    def take(self, settings: Settings) -> None:
        """Go on with those of these settings that can change, from the next request on."""
        wanted = self.settings.connections
        self.settings = using = adopt(self.settings, settings)
        self.root.routes = Routes(using.backends)
        self.root.access = Access(using.clients, using.deny, using.trusted_proxies)
        self.proxies.named = using.proxy_protocol
        self.root.body_size = using.client_body_size
        self.root.challenges.directory = using.acme_challenge_dir
        self.site.connections.limit = using.client_connections
        self.site.connections.unlimited = using.trusted_proxies
        most = connections_within(self.descriptors, using.connections)
        if using.connections != wanted:
            for line in trouble_with_connections(using, most):
                self._log.warn("{line}", line=line)
        self.site.connections.most = most
        self.root.limits.total, self.root.limits.each = using.requests, using.client_requests
        self.root.limits.bandwidth.limit(using.bandwidth, using.client_bandwidth)
        self.upstream.turns.each = using.upstream_requests
        self.site.client_timeout = using.client_timeout
        self.agent.connect_timeout = using.connect_timeout
        self.agent.head_timeout = using.head_timeout
        self.upstream.stall_timeout = using.stall_timeout
        self.upstream.authorities = authorities(using.backends)
        self.set_log_level(using.log_level)
