"""A server's parts, as far as settings go to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.testing import MemoryReactorClock

from osproxy.config.settings import load
from osproxy.service.errorlog import ErrorLog
from osproxy.service.live import Live
from osproxy.upstream.agent import ExactAgent
from osproxy.upstream.origin import Upstream
from osproxy.upstream.trust import policy
from osproxy.upstream.turns import Turns
from osproxy.web.proxied import Proxies
from tests.web.doubles import Front

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime
    from twisted.logger import LogEvent

    from osproxy.config.settings import Settings
    from osproxy.web.logfile import Output


def settings_with(directory: str, **options: str) -> Settings:
    """Load settings with these options, and a directory that is there."""
    given = {name.replace("_", "-"): value for name, value in options.items()}
    return load({"cache-path": directory, **given}, {}, ipv6=lambda: True)


def errors_in(
    output: Output[LogEvent] | None, clock: IReactorTime, lost: Callable[[int], None]
) -> ErrorLog:
    """Have an error log whose reactor is a clock."""
    return ErrorLog(output, clock, lambda function: function(), lost)


class Parts:
    """
    The parts, made with one set of settings.

    :ivar levels: the log levels that were set.
    """

    def __init__(self, settings: Settings) -> None:
        self.reactor = MemoryReactorClock()
        self.front = Front(self.reactor)
        agent = ExactAgent(self.reactor, policy(None), connect_timeout=1, head_timeout=1)
        turns, uploads = (Turns(self.reactor, self.front.shedding, 1) for _ in range(2))
        upstream = Upstream(agent, self.reactor, 1, self.front.metrics, turns, uploads)
        self.levels: list[str] = []
        self.live = Live(
            settings,
            self.front.root,
            self.front.site,
            Proxies((), self.front.site, self.front.shedding),
            agent,
            upstream,
            self.levels.append,
            1024,
        )
