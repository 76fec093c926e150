"""
Answers that are passed on and not kept: images, questions about files, what there is no room for.

How the octets travel is in `osproxy.cache.passage`; here it is said what a client is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.cache.answers import conditional, plain, unavailable
from osproxy.cache.passage import ahead, relay, relayed
from osproxy.cache.verified import Verified
from osproxy.http.cachestatus import CacheStatus
from osproxy.http.conditions import applicable_range
from osproxy.http.fields import first
from osproxy.http.ranges import Unsatisfiable, parse_content_range, parse_range
from osproxy.model import Answer
from osproxy.upstream.turns import Asker

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.experience import Experience
    from osproxy.cache.fill import Fill
    from osproxy.cache.source import Source
    from osproxy.model import Asked, Relayed, Target
    from osproxy.repo.digests import Digest
    from osproxy.repo.policies import Policy
    from osproxy.upstream.origin import Reply


#: A range that begins further ahead of a fill is not waited for, but passed through.
AHEAD = 16 << 20


class Unkept:
    """Passes upstreams' answers on; remembers of them only that a file is absent."""

    def __init__(self, experience: Experience, clock: IReactorTime) -> None:
        self._experience = experience
        self._clock = clock

    async def answer(
        self,
        target: Target,
        source: Source,
        asked: Asked,
        policy: Policy,
        reply: Reply | None = None,
        digest: Digest | None = None,
    ) -> Answer:
        """
        Ask what the client asks, and pass on what comes.

        :param reply: an answer that is here already.
        :param digest: what the whole file must be like.
        :raises UpstreamError: when there is none.
        """
        now = self._clock.seconds()
        if reply is not None:
            content = _verified(relayed(reply, asked), digest)
            return self._judged(target, content, reply, asked, policy)
        refusal = self._experience.refusal(target, asked, policy, now)
        if refusal is not None and not asked.query:
            return Answer(refusal, CacheStatus(hit=True), policy.kind)
        content, reply = await relay(_for(asked, source), asked)
        return self._judged(target, _verified(content, digest), reply, asked, policy)

    async def ahead_of(self, fill: Fill, asked: Asked) -> Answer:
        """
        Pass on a range that the fill of the same file will not reach soon.

        :raises UpstreamError: when it cannot be had, or is of another version.
        """
        length = fill.growth.length
        assert fill.head is not None and length is not None
        source = _for(asked, fill.order.source)
        content, reply = await ahead(source, asked, fill.head, length)
        return self._judged(fill.order.target, content, reply, asked, fill.order.policy)

    def _judged(
        self, target: Target, content: Relayed, reply: Reply, asked: Asked, policy: Policy
    ) -> Answer:
        status = CacheStatus(
            fwd="uri-miss" if asked.head else "bypass", fwd_status=reply.status, detail=reply.host
        )
        if (reply.status >= 400 and reply.status != 416) or reply.redirect is not None:
            if content.body is not None:
                content.body.close()
            if not asked.query:
                now, for_all = self._clock.seconds(), plain(asked)
                self._experience.refused(target, reply, policy, now, for_all=for_all)
            return unavailable(reply, target, policy.kind, status)
        return Answer(content, status, policy.kind, source=reply.host)


def _for(asked: Asked, source: Source) -> Source:
    """Ask a source that may be another's, or a fill's, for who asks now."""
    return source.on_behalf_of(Asker.at(asked.client))


def _verified(content: Relayed, digest: Digest | None) -> Relayed:
    # A part of a file has no digest to compare with (B1).
    if digest is None or content.body is None or not _whole(content):
        return content
    return evolve(content, body=Verified(content.body, digest))


def _whole(content: Relayed) -> bool:
    if content.status != 206:
        return content.status == 200
    part = parse_content_range(first(content.fields, "content-range") or "")
    return part is not None and part.start == 0 and part.stop == part.length


def far_ahead(fill: Fill, asked: Asked) -> bool:
    """
    Whether the range that is asked for begins so far ahead that waiting makes no sense.

    Many ranges are waited for, wherever they lie: upstreams differ in what they make of them.
    """
    growth = fill.growth
    if asked.head or conditional(asked) or growth.length is None:
        return False
    assert fill.head is not None
    wanted = applicable_range(asked.fields, fill.head.validators)
    if wanted is None:
        return False
    try:
        spans = parse_range(wanted, growth.length)
    except Unsatisfiable:
        return False
    return len(spans) == 1 and spans[0].start > growth.written + AHEAD
