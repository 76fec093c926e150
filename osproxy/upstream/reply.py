"""
A reply whose body is still to come, and what may become of it.

What goes wrong has two names, `Unreachable` and `TimedOut`, for a client is told 502 or 504. How to
come by a reply is in `osproxy.upstream.origin`.
"""

from __future__ import annotations

from contextlib import suppress
from string import punctuation
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from osproxy.http.fields import end_to_end, first, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from osproxy.http.fields import Fields
    from osproxy.metrics import Metrics
    from osproxy.upstream.agent import ExactResponse
    from osproxy.upstream.exchange import Exchange

# What is left of a reply is read rather than its connection dropped, if it is not more than this.
_WORTH_READING = 64 << 10


class UpstreamError(Exception):
    """
    An upstream could not be had.

    :ivar host: which one, empty where there is none to blame.
    :ivar reason: a short label, for counting.
    """

    def __init__(self, host: str, reason: str, text: str) -> None:
        super().__init__(text)
        self.host = host
        self.reason = reason


class Unreachable(UpstreamError):
    """It refuses, breaks off, or makes no sense."""


class Useless(Unreachable):
    """
    It answers, but with a status that is of no use.

    :ivar status: which one.
    """

    def __init__(self, host: str, status: int) -> None:
        super().__init__(host, "status", f"{host} answered {status}")
        self.status = status


class TimedOut(UpstreamError):
    """It takes too long."""


class Overloaded(UpstreamError):
    """It is not asked, since too much is under way; it may be in a moment."""


class Reply:
    """
    A response whose body is still to come. It is taken by `deliver` or `read`, or by `abandon`.

    :ivar protocol: the version of HTTP that it came by.
    :ivar fields: end-to-end fields in the order in which they came; Content-Length, which `length`
        tells, only in reply to HEAD, and Set-Cookie only where it is to be passed on.
    :ivar length: octets of the body, None where that is not said; in reply to HEAD those that GET
        would bring.
    :ivar requested_at: when it was asked for, and when its head came, ``received_at``: seconds by
        the clock, for the arithmetic of RFC 9111 section 4.2.3.
    :ivar url: what was asked in the end, past redirects.
    :ivar host: whom; ``hops`` redirects led there.
    :ivar redirect: for a redirect that only adds a slash, the path with it.
    :ivar alias_of: the name of the file, in the folder that was asked, if it was asked for by an
        alias (`osproxy.upstream.redirects.alias_of`).
    """

    def __init__(
        self,
        response: ExactResponse,
        *,
        url: str,
        host: str,
        hops: int,
        requested_at: float,
        verbatim: bool,
        clock: Any,
        stall_timeout: float,
        metrics: Metrics,
    ) -> None:
        exchange = response.exchange
        assert exchange.head is not None, "a response begins with its head"
        self.status = exchange.head.status
        self.protocol = "{}.{}".format(*exchange.head.version)
        self.fields = _passed_on(exchange, verbatim=verbatim)
        self.length = exchange.length
        self.requested_at = requested_at
        self.received_at: float = clock.seconds()
        self.url = url
        self.host = host
        self.hops = hops
        self.redirect: str | None = None
        self.alias_of: str | None = None
        self._body = _Body(response, host, clock, stall_timeout, metrics)
        self._taken = False
        self._abandoned = False

    @property
    def location(self) -> str | None:
        """Where it redirects to."""
        value = first(self.fields, "location")
        # What is no character of a URL is an octet that was not encoded.
        return None if value is None else quote(value.encode("latin-1"), safe=punctuation)

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """
        Hand every octet to ``sink`` and return when the body has ended as it should.

        What ``sink`` raises ends the transfer and is raised here; so does cancelling.

        :raises Unreachable: when the body ends before its end.
        :raises TimedOut: when it stalls.
        """
        await self._take(sink)

    async def read(self, limit: int) -> bytes:
        """
        Return the body, of which ``limit`` octets are accepted.

        :raises UpstreamError: when it does not come whole, or is larger.
        """
        content = bytearray()

        def keep(data: bytes) -> None:
            content.extend(data)
            if len(content) > limit:
                raise Unreachable(self.host, "size", f"{self.host} sends more than is credible")

        await self._take(keep)
        return bytes(content)

    def pause(self) -> None:
        """Let nothing come for now; idempotent."""
        self._body.pause()

    def resume(self) -> None:
        """Go on after `pause`; idempotent."""
        self._body.resume()

    def abandon(self) -> None:
        """Drop the body, and the connection with it unless little is left; idempotent."""
        if self._abandoned:
            return
        self._abandoned = True
        if self._taken or not self._small:
            self._taken = True
            self._body.drop()
        else:
            # Whatever comes of it, nobody waits for it any more.
            Deferred.fromCoroutine(self.read(_WORTH_READING)).addErrback(lambda _: None)

    async def finish(self) -> None:
        """Abandon the reply, and wait for what is left, if it is known to be little."""
        if self.length is None or not self._small:
            self.abandon()
            return
        with suppress(UpstreamError):
            await self.read(_WORTH_READING)

    @property
    def _small(self) -> bool:
        # A body of unknown length is small until it turns out not to be.
        return self.length is None or self.length <= _WORTH_READING

    def _take(self, sink: Callable[[bytes], None]) -> Deferred[None]:
        if self._taken:
            raise AssertionError("a body can be taken once")
        self._taken = True
        return self._body.begin(sink)


def _passed_on(exchange: Exchange, *, verbatim: bool) -> Fields:
    assert exchange.head is not None
    fields = end_to_end(exchange.head.fields)
    if exchange.method != "HEAD":
        fields = without(fields, "content-length")
    return fields if verbatim else without(fields, "set-cookie")


class _Body(Protocol):
    """Receives a body, guards it against stalling, and knows whether it was whole."""

    def __init__(
        self,
        response: ExactResponse,
        host: str,
        clock: Any,
        stall_timeout: float,
        metrics: Metrics,
    ) -> None:
        self._response = response
        self._host = host
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._metrics = metrics
        self._sink: Callable[[bytes], None] | None = None
        self._ended: Deferred[None] | None = None
        self._guard: IDelayedCall | None = None
        self._paused = False
        self._over = False

    def begin(self, sink: Callable[[bytes], None]) -> Deferred[None]:
        self._sink = sink
        ended: Deferred[None] = Deferred(lambda _: self.drop())
        self._ended = ended
        if not self._paused:
            self._flow()
        return ended

    def _flow(self) -> None:
        self._watch()
        self._response.deliverBody(self)
        if self._paused and not self._over:
            # The sink has paused in the meantime; but in the end Twisted lets the body flow.
            self._producer.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self._metrics.upstream_received.inc(len(data))
        if self._sink is None:
            return
        if self._guard is not None:
            self._guard.reset(self._stall_timeout)
        try:
            self._sink(data)
        except Exception as error:
            self._end(error)
            self.drop()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        dropped, self._over = self._over, True
        exchange = self._response.exchange
        # Twisted's client does not tell every end of a connection from the end of a body.
        if exchange.complete and not dropped and reason.check(ResponseDone, PotentialDataLoss):
            self._end(None)
        elif exchange.fault is not None:
            self._end(Unreachable(self._host, "protocol", f"{self._host} sends {exchange.fault}"))
        else:
            text = f"{self._host} broke off before the end"
            self._end(Unreachable(self._host, "truncated", text))

    def pause(self) -> None:
        if self._paused:
            return
        self._paused = True
        self._unwatch()
        if self.transport is not None and not self._over:
            self._producer.pauseProducing()

    def resume(self) -> None:
        if not self._paused:
            return
        self._paused = False
        if self._over or self._sink is None:
            return
        if self.transport is None:
            self._flow()
        else:
            self._watch()
            self._producer.resumeProducing()

    def drop(self) -> None:
        """Close the connection, unless the body has ended."""
        self._sink = None
        self._unwatch()
        if self.transport is None:
            # Only who takes a body can stop it.
            self._response.deliverBody(self)
        if not self._over:
            self._over = True
            self._producer.stopProducing()

    @property
    def _producer(self) -> Any:
        return self.transport

    def _watch(self) -> None:
        if self._sink is not None:
            self._guard = self._clock.callLater(self._stall_timeout, self._stalled)

    def _unwatch(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None and guard.active():
            guard.cancel()

    def _stalled(self) -> None:
        self._guard = None
        text = f"{self._host} has sent nothing for {self._stall_timeout:g} s"
        self._end(TimedOut(self._host, "stalled", text))
        self.drop()

    def _end(self, error: Exception | None) -> None:
        self._unwatch()
        self._sink = None
        ended, self._ended = self._ended, None
        if ended is None or ended.called:
            return
        if error is None:
            ended.callback(None)
        else:
            ended.errback(error)
