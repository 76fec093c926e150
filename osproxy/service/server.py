"""
The running server: begins in order, and stops in order.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from osproxy.service.shutdown import Shutdown, SignalHandlers, Step
from osproxy.store.layout import StoreError
from osproxy.web.listeners import BindFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from twisted.python.failure import Failure

    from osproxy.service.systemd import ServiceManager
    from osproxy.web.listeners import Listeners


class Server(Shutdown):
    """
    Everything, as the one service that Twisted starts and stops.

    It listens before the store is open, so that a restart refuses nobody; requests that come in
    between wait.

    :ivar listeners: where clients connect.
    :param manager: is told how we are.
    :param begin: called first, in order.
    :param open_store: brings the store up.
    :param reload: takes up what was written anew.
    :param announcements: lines for the log.
    :param warnings: lines for it that somebody has to look at.
    """

    name = "osproxy"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        listeners: Listeners,
        manager: ServiceManager,
        *,
        begin: Sequence[Callable[[], None]],
        open_store: Callable[[], Awaitable[None]],
        reload: Callable[[], Awaitable[None]],
        announcements: Sequence[str],
        warnings: Sequence[str],
        steps: Sequence[Step],
    ) -> None:
        # A store that is only half open can be neither used nor closed.
        opened = Step("wait until the store is open", self._when_opened)
        silence = Step("tell the service manager no more", manager.stop)
        super().__init__((opened, *steps, silence), reactor)
        self._reactor = reactor
        self.listeners = listeners
        self._manager = manager
        self._begin = begin
        self._open_store = open_store
        self._reload = reload
        self._announcements = announcements
        self._warnings = warnings
        self._opening: Deferred[None] = succeed(None)

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use low ports.

        :raises SystemExit: with one line, when that cannot be.
        """
        super().privilegedStartService()
        self._listen(self.listeners.privilegedStartService)

    def startService(self) -> None:
        """
        Begin to answer.

        :raises SystemExit: as `privilegedStartService`, which twist does not call.
        """
        super().startService()
        self._manager.start()
        for begin in self._begin:
            begin()
        for line in self._warnings:
            self._log.warn("{line}", line=line)
        for line in self._announcements:
            self._log.info("{line}", line=line)
        self._listen(self.listeners.startService)
        handlers = SignalHandlers(
            self._reactor.callFromThread, self._reactor.stop, self._begin_reload
        )
        # A SIGHUP that comes before the reactor runs must not end the process.
        handlers.install_reload()
        self._reactor.callWhenRunning(handlers.install)
        self._opening = Deferred.fromCoroutine(self._opened()).addErrback(self._unusable)

    def stopService(self) -> Deferred[None]:
        """Fire once the last step is done."""
        self._manager.stopping()
        return super().stopService()

    def _when_opened(self) -> Deferred[None]:
        opened: Deferred[None] = Deferred()
        self._opening.addCallback(opened.callback)
        return opened

    def _listen(self, start: Callable[[], None]) -> None:
        try:
            start()
        except BindFailed as error:
            raise SystemExit(f"osproxy: {error}") from error

    async def _opened(self) -> None:
        await self._open_store()
        self._log.info("ready")
        self._manager.ready()

    def _begin_reload(self) -> None:
        reloading = Deferred.fromCoroutine(self._reloaded())
        reloading.addErrback(lambda failure: self._log.failure("reloading", failure))

    async def _reloaded(self) -> None:
        # Who has reloaded is ready, which we are not before.
        await self._when_opened()
        await self._reload()

    def _unusable(self, failure: Failure) -> None:
        """Stop, with exit status 1: without a store there is nothing to serve from."""
        self._manager.failed(f"the cache cannot be opened: {failure.value}")
        if not failure.check(StoreError):
            self._log.failure("the cache cannot be opened", failure)
        print(f"osproxy: the cache cannot be opened: {failure.value}", file=sys.stderr)  # noqa: T201
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        # It may have failed at once, before there is anything to stop.
        self._reactor.callWhenRunning(self._reactor.stop)
