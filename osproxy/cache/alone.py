"""
What generic backends are asked for one client alone, and what that client is told.

Nothing of it is kept, and nobody else waits for it. What a request may have changed at its origin
is not to be served any more (RFC 9111 section 4.4): which targets that is, is said here. How the
octets travel is in `osproxy.cache.passage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.passage import relayed
from osproxy.cache.said import last_hop, target_of
from osproxy.http import methods
from osproxy.http.cachestatus import CacheStatus, Fwd
from osproxy.http.invalidation import invalidated
from osproxy.model import Answer, Notice
from osproxy.repo.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from osproxy.cache.said import Travelling
    from osproxy.http.fields import Fields
    from osproxy.model import Asked, Target
    from osproxy.upstream.origin import Reply


async def relay(source: Travelling, why: Fwd) -> Answer:
    """
    Ask what the client asks, and pass on what comes.

    :raises UpstreamError: when there is no answer.
    """
    return passed_on(await source.as_asked(), source.asked, why)


def passed_on(reply: Reply, asked: Asked, why: Fwd) -> Answer:
    """Make an answer of a reply that is for nobody else."""
    status = CacheStatus(fwd=why, fwd_status=reply.status, detail=reply.host)
    return Answer(relayed(reply, asked), status, Kind.GENERIC, source=reply.host)


async def forward(source: Travelling, forget: Callable[[Target], None]) -> Answer:
    """
    Pass on what may change something.

    :param forget: called with each target that may have been changed, whether there is an answer
        or not.
    :raises UpstreamError: when there is none.
    """
    asked = source.asked
    if asked.method == "OPTIONS" and last_hop(asked.fields):
        allowed = Notice(204, allow=methods.allow(reading=False))
        return Answer(allowed, CacheStatus(), Kind.GENERIC)
    try:
        reply = await source.as_asked()
    except BaseException:
        # Whether there was no answer or nobody waited for it: it may have been carried out.
        for target in _changed(source, 200, ()):
            forget(target)
        raise
    for target in _changed(source, reply.status, reply.fields):
        forget(target)
    return passed_on(reply, asked, Fwd.BYPASS if asked.method in methods.READING else Fwd.METHOD)


def _changed(source: Travelling, status: int, fields: Fields) -> Iterator[Target]:
    for url in invalidated(source.asked.method, status, source.url, fields):
        target = target_of(url, source.backend)
        if target is not None:
            yield target
