"""
The body of a client's request on its way to an upstream, at the upstream's pace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from osproxy.model import BodyBroken
from osproxy.upstream.watch import TookTooLong

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConsumer, IDelayedCall
    from twisted.python.failure import Failure

    from osproxy.model import PassingBody


@implementer(IBodyProducer)
class Upload:
    """
    Sends one body, and closes it whatever happens.

    What the upstream does not take is not asked of the client either, so that no more than what
    the transport holds is ever in memory.

    :param stall_timeout: seconds for which the upstream may take nothing.
    """

    def __init__(self, body: PassingBody, clock: Any, stall_timeout: float) -> None:
        self.length = UNKNOWN_LENGTH if body.length is None else body.length
        self._body = body
        self._left = body.length
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._consumer: IConsumer | None = None
        self._delivering: Deferred[None] | None = None
        self._produced: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._guard: IDelayedCall | None = None
        self._over = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:  # noqa: N802
        """
        See `twisted.web.iweb.IBodyProducer.startProducing`.

        Fails with `BodyBroken` when the client does not send all of it, with `TookTooLong` when
        the upstream takes nothing.
        """
        if not self._over:
            self._consumer = consumer
            self._delivering = Deferred.fromCoroutine(self._body.deliver(self._take))
            self._delivering.addCallbacks(self._delivered, self._fail)
        return self._produced

    def pauseProducing(self) -> None:
        """See `twisted.internet.interfaces.IPushProducer`."""
        if not self._over and self._guard is None:
            self._guard = self._clock.callLater(self._stall_timeout, self._stalled)
            self._body.pause()

    def resumeProducing(self) -> None:
        """See `twisted.internet.interfaces.IPushProducer`."""
        if not self._over and self._guard is not None:
            self._unguard()
            self._body.resume()

    def stopProducing(self) -> None:
        """See `twisted.web.iweb.IBodyProducer.stopProducing`; idempotent."""
        if self._over:
            return
        self._over = True
        self._consumer = None
        self._unguard()
        if self._delivering is not None:
            self._delivering.cancel()
        self._body.close()

    def _take(self, data: bytes) -> None:
        if self._consumer is None:
            # It was told to stop, and is still at it.
            return
        if self._left is not None:
            if len(data) > self._left:
                # The upstream would take the rest for another request (RFC 9112 section 11.2).
                self._fail(BodyBroken("the body of the request is longer than it says"))
                return
            self._left -= len(data)
        self._consumer.write(data)

    def _delivered(self, _: None) -> None:
        if self._left:
            self._fail(BodyBroken("the body of the request is shorter than it says"))
        elif not self._over:
            self.stopProducing()
            self._produced.callback(None)

    def _stalled(self) -> None:
        self._guard = None
        self._fail(TookTooLong("took nothing", self._stall_timeout, "stalled"))

    def _fail(self, why: Exception | Failure) -> None:
        if not self._over:
            self.stopProducing()
            self._produced.errback(why)

    def _unguard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.cancel()
