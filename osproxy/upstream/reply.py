"""
A reply whose body is still to come, and what may become of it.

What goes wrong has two names, `Unreachable` and `TimedOut`, for a client is told 502 or 504. How to
come by a reply is in `osproxy.upstream.origin`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from string import punctuation
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH

from osproxy.http.fields import end_to_end
from osproxy.upstream.agent import HIDDEN_ENCODING

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure
    from twisted.web.iweb import IResponse

    from osproxy.http.fields import Fields
    from osproxy.metrics import Metrics

_LENGTH = re.compile(b"[0-9]{1,18}")
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


class TimedOut(UpstreamError):
    """It takes too long."""


class Reply:
    """
    A response whose body is still to come. It is taken by `deliver` or `read`, or by `abandon`.

    :ivar fields: end-to-end fields as they came.
    :ivar length: octets of the body, None where that is not said.
    :ivar url: what was asked in the end, past redirects.
    :ivar host: whom; ``hops`` redirects led there.
    :ivar redirect: for a redirect that only adds a slash, the path with it.
    """

    def __init__(
        self,
        response: IResponse,
        url: str,
        host: str,
        hops: int,
        clock: Any,
        stall_timeout: float,
        metrics: Metrics,
    ) -> None:
        self.status = response.code
        self.fields = _fields_of(response)
        self.length = _length_of(response)
        self.url = url
        self.host = host
        self.hops = hops
        self.redirect: str | None = None
        self._response = response
        self._body = _Body(response, host, clock, stall_timeout, metrics)
        self._taken = False
        self._abandoned = False

    @property
    def location(self) -> str | None:
        """Where it redirects to."""
        values = self._response.headers.getRawHeaders(b"Location")
        # What is no character of a URL is an octet that was not encoded.
        return quote(values[0], safe=punctuation) if values else None

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


def _length_of(response: IResponse) -> int | None:
    if response.request.method == b"HEAD":
        # There is no body, and so no length to Twisted; the field says what GET would bring.
        stated = response.headers.getRawHeaders(b"Content-Length", [b""])[0]
        return int(stated) if _LENGTH.fullmatch(stated) else None
    return None if response.length is UNKNOWN_LENGTH else int(response.length)


# RFC 9110 section 5.5: what must not be in a value is rejected or made a space.
_TO_SPACES = bytes.maketrans(b"\x00\r\n", b"   ")


def _fields_of(response: IResponse) -> Fields:
    found: list[tuple[str, str]] = []
    for raw, values in response.headers.getAllRawHeaders():
        name = raw.decode("latin-1")
        if name == "Content-Encoding":
            # treq's, and empty: the upstream's own was hidden from it.
            continue
        if raw == HIDDEN_ENCODING:
            name = "Content-Encoding"
        found.extend((name, value.translate(_TO_SPACES).decode("latin-1")) for value in values)
    return end_to_end(tuple(found))


class _Body(Protocol):
    """Receives a body, guards it against stalling, and knows whether it was whole."""

    def __init__(
        self, response: IResponse, host: str, clock: Any, stall_timeout: float, metrics: Metrics
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
        # Where no length is said the end of the connection is the end of the body (RFC 9112
        # section 6.3, rule 8).
        if reason.check(ResponseDone, PotentialDataLoss) and not dropped:
            self._end(None)
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
