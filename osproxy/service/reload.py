"""
What was written anew is taken up, and no connection is lost: settings, certificates, log files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.logger import Logger

from osproxy.config.changes import changes
from osproxy.config.given import ConfigError
from osproxy.service.renewal import read
from osproxy.web.tls import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from osproxy.config.settings import Settings
    from osproxy.metrics import Metrics
    from osproxy.service.live import Live
    from osproxy.service.logs import Logs
    from osproxy.service.renewal import Renewal
    from osproxy.service.systemd import ServiceManager
    from osproxy.threads import InThread
    from osproxy.web.tls import Certificate

_log = Logger()


@frozen
class Found:
    """
    What was read, complete and in order.

    :ivar certificate: None where there is no TLS.
    """

    settings: Settings
    certificate: Certificate | None


@define(eq=False)
class Reload:
    """
    Reads everything again when asked to, and takes all of it or nothing.

    Log files are opened anew in any case: somebody may have moved them away.

    :param load: reads the settings, in a thread.
    :param renewal: looks after the certificate, if there is TLS.
    """

    _load: Callable[[], Settings]
    _live: Live
    _renewal: Renewal | None
    _logs: Logs
    _manager: ServiceManager
    _in_thread: InThread
    _metrics: Metrics
    _clock: IReactorTime
    _asked: bool = field(default=False, init=False)
    _running: bool = field(default=False, init=False)

    async def __call__(self) -> None:
        """Reload; asked in the middle of it, do so once more."""
        self._asked = True
        if self._running:
            return
        self._running = True
        try:
            while self._asked:
                self._asked = False
                await self._reload()
        finally:
            self._running = False

    async def _reload(self) -> None:
        self._manager.reloading()
        try:
            try:
                self._take(await self._in_thread(self._find))
                self._metrics.reloads.labels("taken").inc()
                self._metrics.reloaded.set(self._clock.seconds())
            except (ConfigError, Unusable) as error:
                self._metrics.reloads.labels("refused").inc()
                _log.error("not reloaded: {error}", error=error)
            await self._logs.reopen(self._live.settings)
        finally:
            self._manager.ready()

    def _find(self) -> Found:
        settings = self._load()
        if self._renewal is None or settings.tls is None:
            return Found(settings, None)
        return Found(settings, read(settings.tls))

    def _take(self, found: Found) -> None:
        before = self._live.settings
        differences = changes(before, found.settings)
        self._live.take(found.settings)
        for change in differences:
            (_log.info if change.live else _log.warn)("reloaded: {change}", change=change)
        for warning in found.settings.warnings:
            if warning not in before.warnings:
                _log.warn("reloaded: {line}", line=warning)
        if self._renewal is not None and found.certificate is not None:
            assert found.settings.tls is not None
            self._renewal.take(found.settings.tls, found.certificate)
        if not differences:
            _log.info("reloaded: no setting has changed")
