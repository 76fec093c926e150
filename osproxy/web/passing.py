"""
A body that is not kept, from its upstream to a client.

What the client does not take is not read upstream, nor what it may not have yet.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.http import Request

    from osproxy.model import PassingBody
    from osproxy.web.bandwidth import Pace

_log = Logger()


async def pass_on(
    request: Request, body: PassingBody, sent: Callable[[int], None], pace: Pace | None
) -> None:
    """
    Send a body that is not kept; what the client does not take is not read upstream.

    :param pace: what the client may have, None for as much as it takes.
    :raises BodyBroken: when the body ends before its end.
    """

    def write(data: bytes) -> None:
        request.write(data)
        sent(len(data))

    flow = _Flow(body)
    request.registerProducer(flow, True)
    try:
        if pace is None:
            await body.deliver(write)
            return
        paced = _Paced(pace, flow, write)
        try:
            await body.deliver(paced.add)
            await paced.written()
        finally:
            paced.end()
    finally:
        release(request)


def release(request: Request) -> None:
    """Take a request's producer away; one whose connection was lost has no channel any more."""
    if request.channel is not None:
        request.unregisterProducer()


@implementer(IPushProducer)
class _Flow:
    """Hands on to a passage what slows it down: a full connection, or the pace."""

    def __init__(self, body: PassingBody) -> None:
        self._body = body
        self._full = False
        self._held = False

    def hold(self, held: bool) -> None:
        """Let nothing come while something that came is held."""
        self._held = held
        self._tell()

    def pauseProducing(self) -> None:
        self._full = True
        self._tell()

    def resumeProducing(self) -> None:
        self._full = False
        self._tell()

    def stopProducing(self) -> None:
        # The request is cancelled in the same reactor turn, and with it the passage.
        self.pauseProducing()

    def _tell(self) -> None:
        if self._full or self._held:
            self._body.pause()
        else:
            self._body.resume()


class _Paced:
    """Holds what comes until it may be sent: no more than comes before a pause is heeded."""

    def __init__(self, pace: Pace, flow: _Flow, write: Callable[[bytes], None]) -> None:
        self._pace = pace
        self._flow = flow
        self._write = write
        self._held: deque[bytes] = deque()
        self._sending: Deferred[None] | None = None
        self._waiting: Deferred[None] | None = None

    def add(self, data: bytes) -> None:
        """Take what has come."""
        self._held.append(data)
        if self._sending is None:
            self._flow.hold(True)
            sending = self._sending = Deferred.fromCoroutine(self._send())
            sending.addCallbacks(self._sent, lambda failure: failure.trap(CancelledError))
            sending.addErrback(lambda failure: _log.failure("pacing a body", failure))

    async def written(self) -> None:
        """Return once all that has come is on its way."""
        if self._sending is not None:
            self._waiting = Deferred()
            await self._waiting

    def end(self) -> None:
        """Wait for nothing any more."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self) -> None:
        while self._held:
            data = self._held.popleft()
            await self._pace.all_of(len(data))
            self._write(data)

    def _sent(self, _: None) -> None:
        self._sending = None
        # What comes now comes at once, and is held anew.
        self._flow.hold(False)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
