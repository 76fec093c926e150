"""
Asking an origin, or a mirror, for a file.

`Upstream.ask` returns the reply whose body is still to come (`osproxy.upstream.reply`). Questions
of our own follow redirects; those that we ask for another go out, and are answered, as they are.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define
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
from twisted.web.iweb import IAgent
from zope.interface import implementer

from osproxy.descriptors import EXHAUSTED, lowest_free
from osproxy.http.conditions import answers
from osproxy.http.fields import every, without
from osproxy.http.lines import BadMessage
from osproxy.model import BodyBroken
from osproxy.upstream.redirects import MOST, STATUSES, Redirect, alias_of, judge
from osproxy.upstream.reply import (
    Overloaded,
    Reply,
    TimedOut,
    Unreachable,
    UpstreamError,
    Useless,
)
from osproxy.upstream.turns import OURS
from osproxy.upstream.upload import Upload
from osproxy.upstream.watch import TookTooLong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.defer import Deferred
    from twisted.web.iweb import IBodyProducer, IResponse

    from osproxy.http.fields import Fields
    from osproxy.metrics import Metrics
    from osproxy.model import PassingBody
    from osproxy.upstream.agent import ExactAgent
    from osproxy.upstream.turns import Asker, Turns

__all__ = [
    "USER_AGENT",
    "Overloaded",
    "Reply",
    "TimedOut",
    "Unreachable",
    "Upstream",
    "UpstreamError",
    "Useless",
]

# Begins like a package manager's: MirrorCache answers those without guessing.
USER_AGENT = f"ZYpp (osproxy/{version('osproxy')})"


class Upstream:
    """
    Asks upstreams for files.

    :ivar stall_timeout: seconds for which a body may pause.
    :ivar authorities: hosts that are counted by their names, all others being as one: where
        redirects lead, nobody can foresee.
    :ivar turns: when a question may be asked.
    :ivar uploads: the same of what a client sends along: it takes as long as the client likes.
    """

    def __init__(
        self,
        agent: ExactAgent,
        reactor: Any,
        stall_timeout: float,
        metrics: Metrics,
        turns: Turns,
        uploads: Turns,
    ) -> None:
        self.authorities: frozenset[str] = frozenset()
        self._agent = agent
        self._client = HTTPClient(_Identity(agent))
        self._reactor = reactor
        self.stall_timeout = stall_timeout
        self._metrics = metrics
        self.turns = turns
        self.uploads = uploads

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        fields: Fields = (),
        body: PassingBody | None = None,
        https_only: bool = False,
        verbatim: bool = False,
        asker: Asker = OURS,
    ) -> Reply:
        """
        Ask, and return what comes: past redirects, or ``verbatim``, as for another.

        A question of our own has a few fields of its own; it is for files as they are, without
        cookies. A redirect that only adds a slash is returned as the reply. What is asked verbatim
        has the fields that are given and no others but Host and those that frame the body, and
        whatever is answered is the reply.

        :param fields: what to say, or what to say besides: conditions, Range, Via.
        :param body: what to send along; only verbatim. It is closed in any case.
        :param https_only: whether a redirect from https to http is refused.
        :param asker: who it is asked for, where more is asked than may be at once.
        :raises UpstreamError: when there is no answer.
        :raises BodyBroken: when there is none because the body was not whole.
        """
        if verbatim:
            return await self._for_another(url, method, fields, body, asker)
        assert body is None, "a redirect could want it a second time"
        way = [url]
        while True:
            reply = await self._once(way[-1], method, fields, len(way) - 1, asker)
            location = reply.location
            if reply.status not in STATUSES or location is None:
                reply.alias_of = alias_of(way)
                return reply
            verdict, where = judge(url, way[-1], location, https_only=https_only)
            if verdict is Redirect.RELAY:
                reply.abandon()
                reply.redirect = where
                return reply
            if verdict is Redirect.REFUSE:
                reply.abandon()
                raise Unreachable(reply.host, "redirect", f"{reply.host} redirects, but {where}")
            # As a rule the body is there already, and its connection the next to be used.
            await reply.finish()
            if len(way) > MOST:
                raise Unreachable(reply.host, "redirect", f"{reply.host} redirects too often")
            way.append(where)

    async def _for_another(
        self, url: str, method: str, fields: Fields, body: PassingBody | None, asker: Asker
    ) -> Reply:
        upload = None if body is None else Upload(body, self._reactor, self.stall_timeout)

        def ask() -> Deferred[IResponse]:
            # A URL that is ASCII is not touched: not even an empty query gets lost.
            uri = url if url.isascii() else EncodedURL.from_text(url).to_uri().to_text()
            return self._agent.request(
                method.encode("latin-1"), uri.encode("ascii"), _headers(fields), upload
            )

        turns = self.turns if upload is None else self.uploads
        try:
            return await self._reply(ask, url, fields, 0, turns, asker, verbatim=True)
        finally:
            if upload is not None:
                upload.stopProducing()

    async def _once(self, url: str, method: str, fields: Fields, hops: int, asker: Asker) -> Reply:
        ours: Fields = (("Accept", "*/*"), ("User-Agent", USER_AGENT))
        if not every(fields, "via"):
            ours += (("Via", "1.1 osproxy"),)

        async def ask() -> IResponse:
            response: Any = await self._client.request(
                method,
                _AsIs.from_text(url),
                headers=_headers((*ours, *without(fields, "cookie"))),
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            )
            exact: IResponse = response.original
            return exact

        return await self._reply(ask, url, fields, hops, self.turns, asker, verbatim=False)

    async def _reply(
        self,
        ask: Callable[[], Awaitable[IResponse]],
        url: str,
        fields: Fields,
        hops: int,
        turns: Turns,
        asker: Asker,
        *,
        verbatim: bool,
    ) -> Reply:
        host = host_of(url)
        await turns.take(host, asker)
        requested_at = self._reactor.seconds()
        status = "failed"
        try:
            response: Any = await ask()
            status = f"{response.code // 100}xx"
        except TookTooLong as error:
            raise TimedOut(host, error.reason, f"{host} {error}") from error
        except (CancelledError, BodyBroken):
            raise
        except Exception as error:
            raise _named(host, error) from error
        finally:
            turns.give(host, asker)
            self._count(host, status, self._reactor.seconds() - requested_at)
        reply = Reply(
            response,
            url=url,
            host=host,
            hops=hops,
            requested_at=requested_at,
            verbatim=verbatim,
            clock=self._reactor,
            stall_timeout=self.stall_timeout,
            metrics=self._metrics,
        )
        if not answers(reply.status, fields):
            reply.abandon()
            text = f"{host} answers {reply.status}, which was not asked for"
            raise Unreachable(host, "protocol", text)
        return reply

    def _count(self, host: str, status: str, seconds: float) -> None:
        name = host if host in self.authorities else "other"
        self._metrics.upstream_requests.add((name, status))
        if status != "failed":
            self._metrics.upstream_head.add((name,), seconds)


def host_of(url: str) -> str:
    """Name the host of a URL, with its port if it has one."""
    return urlsplit(url).netloc.rpartition("@")[2]


@implementer(IAgent)
@define(eq=False)
class _Identity:
    """
    What treq asks by.

    treq asks for gzip besides what it is told, and unpacks it behind one's back; a cache of signed
    files can have neither. What comes nevertheless it does not see (`osproxy.upstream.exchange`),
    and cookies neither.
    """

    inner: ExactAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """See `twisted.web.iweb.IAgent.request`."""
        plain = Headers() if headers is None else headers.copy()
        plain.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self.inner.request(method, uri, plain, bodyProducer)


class _AsIs(EncodedURL):
    """A URL that treq leaves alone; it would take an IPv6 address for a name."""

    def to_uri(self) -> EncodedURL:
        return self if self.host.isascii() else super().to_uri()


def _headers(fields: Fields) -> Headers:
    headers = Headers()
    for name, value in fields:
        headers.addRawHeader(name.encode("latin-1"), value.encode("latin-1"))
    return headers


def _named(host: str, error: Exception) -> UpstreamError:
    """Find the name of what went wrong; Twisted wraps it in lists of reasons."""
    causes = [error, *(reason.value for reason in getattr(error, "reasons", None) or ())]
    for cause in causes:
        match cause:
            case ConnectionRefusedError():
                return Unreachable(host, "refused", f"{host} refuses connections")
            case ConnectError() if cause.osError in EXHAUSTED:
                return _exhausted()
            case DNSLookupError():
                # A name is looked up in files and by sockets.
                if lowest_free() is None:
                    return _exhausted()
                return Unreachable(host, "dns", f"{host} has no address")
            case TLSError() | VerificationError():
                return Unreachable(host, "tls", f"{host} cannot prove who it is")
            case TimeoutError() | TCPTimedOutError():
                return TimedOut(host, "timeout", f"{host} did not connect in time")
            case ConnectError():
                return Unreachable(host, "connect", f"{host} cannot be reached")
            case BadMessage():
                return Unreachable(host, "protocol", f"{host} sends {cause}")
    last = causes[-1]
    return Unreachable(host, "protocol", f"{host} gave no answer ({type(last).__name__})")


def _exhausted() -> UpstreamError:
    return Overloaded("", "descriptors", "there are too many open files")
