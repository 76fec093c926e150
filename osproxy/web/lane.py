"""
The short way to what is asked for most: a small file that is fresh, open, and in memory.

A plain request for one is answered in one step, with one write. All that `osproxy.web.resource`
would look at is looked at here, or is known to come to nothing; where anything else is the case the
request goes there, as if it had not been looked at. The answers are the same to the octet.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from osproxy.cache.athand import way_to
from osproxy.http.plain import plain_request
from osproxy.model import Representation
from osproxy.web.pages.own import is_own
from osproxy.web.record import Record
from osproxy.web.routing import Refused, place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.athand import Way
    from osproxy.cache.cache import Cache
    from osproxy.http.plain import PlainRequest
    from osproxy.model import Answer, Backend
    from osproxy.web.access import Access
    from osproxy.web.accounting import Accounting
    from osproxy.web.channel import Channel
    from osproxy.web.resource import Root
    from osproxy.web.respond import Responder
    from osproxy.web.routing import Routes

# Paths, and clients, that are remembered.
_MOST = 4096


class Lane:
    """Answers what can be answered at once."""

    def __init__(
        self,
        root: Root,
        cache: Cache,
        responder: Responder,
        accounting: Accounting,
        clock: IReactorTime,
    ) -> None:
        self._root = root
        self._cache = cache
        self._responder = responder
        self._accounting = accounting
        self._clock = clock
        self._routes: Routes | None = None
        self._access: Access | None = None
        self._way: Callable[[bytes], Way | None]
        self._admits: Callable[[str, str], bool]

    def answer(self, octets: bytes, channel: Channel, began: float) -> bool:
        """
        Answer a request whose head, and nothing else, has come; say whether that was done.

        :param channel: has no other request under way, and takes what is written.
        """
        root = self._root
        request = plain_request(octets)
        if request is None or not channel.served:
            return False
        if root.challenges.are_at(request.target):
            return False
        if self._routes is not root.routes or self._access is not root.access:
            self._begin_anew(root.routes, root.access)
        way, client = self._way(request.target), channel.peer
        if way is None or not self._admits(client, way.target.backend):
            return False
        if not root.limits.take_at_once(client):
            return False
        answer = self._cache.at_hand(way)
        if answer is None:
            root.limits.give_back(client)
            return False
        sent = self._send(answer, channel)
        took = self._clock.seconds() - began
        record = _record(request, client, began, answer, sent, took)
        self._accounting.add(record, answer.cache_status)
        return True

    def _send(self, answer: Answer, channel: Channel) -> int:
        content = answer.content
        assert isinstance(content, Representation), "a file"
        assert isinstance(content.body, bytes), "that was read"
        channel.transport.write(self._responder.head_of(answer, content) + content.body)
        return len(content.body)

    def _begin_anew(self, routes: Routes, access: Access) -> None:
        """Forget what was found out by other settings."""
        self._routes, self._access = routes, access
        self._way = lru_cache(_MOST)(partial(_way_of, routes))
        backends = {backend.prefix: backend for backend in routes.backends}
        self._admits = lru_cache(_MOST)(partial(_admits, access, backends))


def _way_of(routes: Routes, target: bytes) -> Way | None:
    try:
        place = place_of(target)
        if is_own(place.path):
            return None
        return way_to(*routes.find(place))
    except Refused:
        return None


def _admits(access: Access, backends: dict[str, Backend], client: str, prefix: str) -> bool:
    # Who may be believed says nothing in a plain request: whoever sends it asks.
    try:
        access.admit(client, backends[prefix])
    except Refused:
        return False
    return True


def _record(
    request: PlainRequest, client: str, began: float, answer: Answer, sent: int, seconds: float
) -> Record:
    return Record(
        client=client,
        at=began,
        method="GET",
        target=request.target.decode("ascii"),
        protocol="HTTP/1.1",
        status=200,
        sent=sent,
        referrer=request.referrer,
        agent=request.agent,
        cache_status=answer.cache_status.outcome,
        source=answer.source or None,
        first=seconds if sent else None,
        total=seconds,
        kind=answer.kind and answer.kind.value,
    )
