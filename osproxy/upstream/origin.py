"""
Asking an origin, or a mirror, for a file.

`Upstream.ask` follows redirects and returns the reply whose body is still to come
(`osproxy.upstream.reply`).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hyperlink import EncodedURL
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.web.http_headers import Headers

from osproxy.upstream.agent import TookTooLong
from osproxy.upstream.redirects import MOST, STATUSES, Redirect, judge
from osproxy.upstream.reply import Reply, TimedOut, Unreachable, UpstreamError

if TYPE_CHECKING:
    from twisted.web.iweb import IAgent

    from osproxy.http.fields import Fields
    from osproxy.metrics import Metrics
    from osproxy.model import PassingBody

__all__ = ["USER_AGENT", "Reply", "TimedOut", "Unreachable", "Upstream", "UpstreamError"]

# Begins like a package manager's: MirrorCache answers those without guessing.
USER_AGENT = f"ZYpp (osproxy/{version('osproxy')})"


class Upstream:
    """
    Asks upstreams for files.

    :param stall_timeout: seconds for which a body may pause.
    """

    def __init__(self, agent: IAgent, reactor: Any, stall_timeout: float, metrics: Metrics) -> None:
        self._client = HTTPClient(agent)
        self._reactor = reactor
        self._stall_timeout = stall_timeout
        self._metrics = metrics

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        fields: Fields = (),
        body: PassingBody | None = None,
        https_only: bool = False,
    ) -> Reply:
        """
        Ask and return what comes, past redirects.

        A redirect that only adds a slash is returned as the reply.

        :param fields: what to say besides: conditions, Range.
        :param https_only: whether a redirect from https to http is refused.
        :raises UpstreamError: when there is no answer.
        """
        begun, hops = url, 0
        while True:
            reply = await self._once(url, method, fields, hops)
            location = reply.location
            if reply.status not in STATUSES or location is None:
                return reply
            verdict, where = judge(begun, url, location, https_only=https_only)
            if verdict is Redirect.RELAY:
                reply.abandon()
                reply.redirect = where
                return reply
            if verdict is Redirect.REFUSE:
                reply.abandon()
                raise Unreachable(reply.host, "redirect", f"{reply.host} redirects, but {where}")
            hops += 1
            # As a rule the body is there already, and its connection the next to be used.
            await reply.finish()
            if hops > MOST:
                raise Unreachable(reply.host, "redirect", f"{reply.host} redirects too often")
            url = where

    async def _once(self, url: str, method: str, fields: Fields, hops: int) -> Reply:
        host = urlsplit(url).netloc.rpartition("@")[2]
        headers = Headers({"Accept": ["*/*"], "User-Agent": [USER_AGENT], "Via": ["1.1 osproxy"]})
        for name, value in fields:
            headers.addRawHeader(name.encode("latin-1"), value.encode("latin-1"))
        try:
            response = await self._client.request(
                method,
                _AsIs.from_text(url),
                headers=headers,
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            )
        except TookTooLong as error:
            raise TimedOut(host, "timeout", f"{host} {error}") from error
        except CancelledError:
            raise
        except Exception as error:
            raise _named(host, error) from error
        reply = Reply(
            response.original, url, host, hops, self._reactor, self._stall_timeout, self._metrics
        )
        if not 200 <= reply.status <= 599:
            reply.abandon()
            raise Unreachable(host, "protocol", f"{host} answers {reply.status}")
        return reply


class _AsIs(EncodedURL):
    """A URL that treq leaves alone; it would take an IPv6 address for a name."""

    def to_uri(self) -> EncodedURL:
        return self if self.host.isascii() else super().to_uri()


def _named(host: str, error: Exception) -> UpstreamError:
    """Find the name of what went wrong; Twisted wraps it in lists of reasons."""
    causes = [error, *(reason.value for reason in getattr(error, "reasons", None) or ())]
    for cause in causes:
        match cause:
            case ConnectionRefusedError():
                return Unreachable(host, "refused", f"{host} refuses connections")
            case DNSLookupError():
                return Unreachable(host, "dns", f"{host} has no address")
            case TLSError() | VerificationError():
                return Unreachable(host, "tls", f"{host} cannot prove who it is")
            case TimeoutError() | TCPTimedOutError():
                return TimedOut(host, "timeout", f"{host} did not connect in time")
            case ConnectError():
                return Unreachable(host, "connect", f"{host} cannot be reached")
    last = causes[-1]
    return Unreachable(host, "protocol", f"{host} gave no answer ({type(last).__name__})")
