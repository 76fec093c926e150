"""
Certificates that are written anew while the server runs.

Those who renew them mostly tell nobody, so that the files are looked at now and then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from osproxy.config.given import ConfigError
from osproxy.web.tls import Unusable, certificate

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.interfaces import IReactorTime

    from osproxy.config.certificates import Pair
    from osproxy.threads import InThread
    from osproxy.web.tls import Certificate, Renewable

LOOK_EVERY = 60.0

_log = Logger()

_State = tuple[tuple[int, ...] | None, ...]


@define(eq=False)
class Renewal:
    """
    Looks after the certificate of the listeners.

    :ivar pair: the files that it comes from.
    :ivar served: what new connections get.
    """

    pair: Pair
    served: Renewable
    _in_thread: InThread
    _clock: IReactorTime
    # How the files were when they were read with success, how when they last were not, and what was
    # said then.
    _known: _State = field(default=(), init=False)
    _doubtful: _State = field(default=(), init=False)
    _complaint: tuple[_State, str] = field(default=((), ""), init=False)
    # What was last said of the one that is served.
    _trouble: str | None = field(default=None, init=False)
    _looking: LoopingCall = field(init=False)

    @_looking.default
    def _make_looking(self) -> LoopingCall:
        looking = LoopingCall(self._look_and_survive)
        looking.clock = self._clock
        return looking

    def start(self) -> None:
        """Begin to look."""
        self._judge()
        self._looking.start(LOOK_EVERY, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def take(self, pair: Pair, found: Certificate) -> None:
        """Have new connections served with what was found in these files."""
        self.pair = pair
        if found.pems != self.served.certificate.pems:
            self.served.certificate = found
            self._trouble = None
            _log.info(
                "new connections get the certificate in {chain}, which ends {until}",
                chain=pair.chain,
                until=found.until,
            )
        self._judge()

    async def look(self) -> None:
        """Take what is new; if it is of no use, say so once and keep what there is."""
        self._judge()
        pair = self.pair
        state = await self._in_thread(_state_of, pair)
        if state == self._known:
            return
        try:
            found = await self._in_thread(read, pair)
        except (ConfigError, Unusable) as error:
            # The one file may have been written before the other: they have until the next look.
            complaint = state, str(error)
            if state == self._doubtful and complaint != self._complaint:
                self._complaint = complaint
                _log.error("{error}; the certificate of before stays in use", error=error)
            self._doubtful = state
            return
        self._known = state
        if pair == self.pair:
            self.take(pair, found)

    def _judge(self) -> None:
        """Warn once of one that has ended, or counts later only: our clock may be the wrong one."""
        trouble = self.served.certificate.trouble(self._clock.seconds())
        if trouble is not None and trouble != self._trouble:
            _log.warn(
                "the certificate in {chain} {trouble}; clients refuse it",
                chain=self.pair.chain,
                trouble=trouble,
            )
        self._trouble = trouble

    def _look_and_survive(self) -> Deferred[None]:
        looking = Deferred.fromCoroutine(self.look())
        return looking.addErrback(lambda failure: _log.failure("looking for certificates", failure))


def read(pair: Pair) -> Certificate:
    """
    Read a certificate, and make of it what connections are served with.

    :raises ConfigError: when the files cannot be used.
    :raises Unusable: when TLS cannot be spoken with what is in them.
    """
    return certificate(pair.read())


def _state_of(pair: Pair) -> _State:
    return tuple(_state(path) for path in (pair.key, pair.chain))


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        # Reading it will say what is wrong.
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
