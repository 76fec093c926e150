"""
The conductor of generic backends: a caching reverse proxy as RFC 9111 has it.

There are no kinds here: what may be kept, for how long, and for whom, the responses say. Clients'
fields travel, and so does what they send. `Generic.obtain` decides which way a request goes; what
is asked and kept of one is in `osproxy.cache.said`, what goes on to one client and is not kept, in
`osproxy.cache.alone`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.cache.alone import forward, passed_on, relay
from osproxy.cache.answers import Unanswered, line, plain, stale
from osproxy.cache.changes import Changes
from osproxy.cache.experience import REST
from osproxy.cache.fills import UNATTENDED
from osproxy.cache.fillstate import FillState, Order
from osproxy.cache.follow import FillReader
from osproxy.cache.heads import stored_of
from osproxy.cache.memory import Memory
from osproxy.cache.said import (
    AsSaid,
    Travelling,
    key_of,
    localised,
    looked_at,
    outnumbered,
    renewed,
    selected,
    variant_of,
    with_fields,
)
from osproxy.cache.serving import Lost, from_fill, from_store
from osproxy.cache.transfer import Abandoned
from osproxy.cache.unkept import far_ahead
from osproxy.http import freshness, methods
from osproxy.http.cachecontrol import RequestControl
from osproxy.http.cachestatus import CacheStatus, Fwd
from osproxy.http.fields import end_to_end, without
from osproxy.http.freshness import Verdict
from osproxy.http.storing import fields_of_asker, may_store
from osproxy.model import Answer
from osproxy.repo.kinds import Kind
from osproxy.repo.policies import policy_of
from osproxy.upstream.origin import Unreachable, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.fill import Fill
    from osproxy.cache.fills import Fills
    from osproxy.model import Asked, Backend, Head, Target
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Upstream

_POLICY = policy_of(Kind.GENERIC, "/", freshness={})
_NAMES = 10_000

PASSING = 60.0
"""Seconds for which it is believed of what was not kept that it will not be the next time."""


class Generic:
    """Answers requests for what generic backends have."""

    def __init__(self, store: Store, upstream: Upstream, fills: Fills, clock: IReactorTime) -> None:
        self._store = store
        self._upstream = upstream
        self._fills = fills
        self._clock = clock
        self._resting: Memory[Target, str] = Memory(_NAMES, REST)
        self._passing: Memory[Target, bool] = Memory(_NAMES, PASSING)
        self._changes = Changes()

    async def obtain(self, backend: Backend, target: Target, asked: Asked) -> Answer:
        """
        Answer one request.

        :param target: without the query, which belongs to the key here.
        :raises UpstreamError: when there is no answer.
        :raises Lost: when what was stored cannot be read; it is not stored any more.
        """
        # What goes no further than to us is nothing that a response could be selected by.
        asked = evolve(asked, fields=end_to_end(asked.fields))
        if asked.query is not None:
            target = evolve(target, path=f"{target.path}?{asked.query}")
        source = Travelling(self._upstream, backend, target, asked)
        answer = await self._answer(source)
        # Whoever named the authority's own host is led back to us by that name.
        return answer if asked.absolute else localised(answer, backend)

    async def _answer(self, source: Travelling) -> Answer:
        asked = source.asked
        if asked.method not in methods.READING or asked.body is not None:
            return await forward(source, self._forget)
        stored = await self._store.all_of(source.target)
        key = key_of(source, stored)
        answer = self._arrived(source, key)
        if answer is not None:
            return answer
        entry = selected(stored, asked)
        if entry is None:
            return await self._missing(source, key, stored)
        return await self._known(source, entry, key)

    def _arrived(self, source: Travelling, key: Target) -> Answer | None:
        """Answer with what has come as a whole, although the disk has yet to take it."""
        fill, asked, now = self._fills.find(key), source.asked, self._clock.seconds()
        if fill is None or not fill.arrived or self._changes.overtook(key, source.target, now):
            return None
        assert fill.head is not None
        stored, control = stored_of(fill.head), RequestControl.parse(asked.fields)
        fresh = freshness.decide_heeded(stored, control, now).verdict is Verdict.SERVE
        if not fresh or not _fits(fill, asked):
            return None
        status = CacheStatus(hit=True, ttl=freshness.ttl_of(stored, now))
        return from_fill(fill, FillReader(fill), asked, status, now)

    # What is not stored.

    async def _missing(self, source: Travelling, key: Target, stored: Sequence[Entry]) -> Answer:
        asked = source.asked
        control = RequestControl.parse(asked.fields)
        why = Fwd.VARY_MISS if stored else Fwd.URI_MISS
        if control.only_if_cached:
            return _not_cached()
        if control.no_store:
            return await relay(source, Fwd.BYPASS)
        if asked.head or self._passes(source, key):
            return await relay(source, why)
        for entry in outnumbered(stored):
            self._store.doom(entry)
        return await self._fetch(key, source, None, why)

    def _passes(self, source: Travelling, key: Target) -> bool:
        """Whether to ask for this client alone: what came for all was of no use to others."""
        if not self._passing.get(source.target, self._clock.seconds()):
            return False
        fill = self._fills.find(key)
        return not plain(source.asked) if fill is None else fill.state is FillState.ASKING

    # What is stored.

    async def _known(self, source: Travelling, entry: Entry, key: Target) -> Answer:
        asked, now = source.asked, self._clock.seconds()
        control, stored = RequestControl.parse(asked.fields), stored_of(entry.head)
        decision = freshness.decide_heeded(stored, control, now)
        left = freshness.ttl_of(stored, now)
        if decision.verdict is Verdict.SERVE:
            return await self._serve(entry, asked, CacheStatus(hit=True, ttl=left))
        if decision.verdict is Verdict.SERVE_AND_REFRESH:
            self._refresh(key, source, entry)
            status = CacheStatus(hit=True, ttl=left, detail="stale-while-revalidate")
            return await self._serve(entry, asked, status)
        if control.only_if_cached:
            return _not_cached()
        trouble = self._resting.get(source.target, now)
        if trouble is not None and self._outlives(entry, control, None):
            return await self._serve(entry, asked, stale(trouble))
        why_asked = decision.fwd or Fwd.MISS
        if control.no_store:
            return await relay(source, Fwd.BYPASS)
        try:
            if asked.head:
                return await self._look(source, entry, why_asked)
            return await self._fetch(key, source, entry, why_asked)
        except UpstreamError as error:
            raise Unanswered(error, why_asked) from error

    async def _serve(self, entry: Entry, asked: Asked, status: CacheStatus) -> Answer:
        return await from_store(self._store, entry, asked, status, self._clock.seconds())

    def _outlives(self, entry: Entry, control: RequestControl, status: int | None) -> bool:
        """Whether it may be served although the upstream fails, with a status or with none."""
        stored, now = stored_of(entry.head), self._clock.seconds()
        return freshness.may_serve_stale_on_error(stored, control, now, status)

    def _refresh(self, key: Target, source: Travelling, entry: Entry) -> None:
        """Revalidate behind the client's back, once however many ask."""
        if self._fills.find(key) is None and self._fills.unattended < UNATTENDED:
            self._begin(key, source.for_all(), entry, background=True)

    # Asking for ourselves, on behalf of all who want the same.

    def _begin(
        self, key: Target, source: Travelling, entry: Entry | None, *, background: bool = False
    ) -> Fill:
        order = Order(
            key,
            source,
            _POLICY,
            stored=entry,
            background=background,
            rule=AsSaid(source.asked.fields),
        )
        self._changes.begun(key)
        return self._fills.begin(order, lambda fill: self._learn(fill, source))

    def _learn(self, fill: Fill, source: Travelling) -> None:
        """Take in what has become of a fill, before anybody is told."""
        now, target, key = self._clock.seconds(), source.target, fill.order.target
        entry, reply = fill.order.stored, fill.reply
        if fill.state is FillState.FAILED and not isinstance(fill.failure, Abandoned):
            self._resting.put(target, str(fill.failure), now)
        elif fill.state is not FillState.FAILED:
            self._resting.forget(target)
        if fill.confirmed and entry is not None and reply is not None:
            asked = source.asked.fields
            head = renewed(asked, entry.head, reply)
            if may_store(head.status, asked, head.fields):
                self._store.freshen(entry, now, head)
            elif not may_store(head.status, without(asked, "authorization"), head.fields):
                self._store.doom(entry)
            # Else it is right, but what was said of it was said to one who is known (section 3.5).
        if fill.state is FillState.DIVERTED:
            self._passing.put(target, True, now)
        elif fill.state is FillState.COMPLETE:
            self._passing.forget(target)
            if self._changes.overtook(key, target, now):
                self._store.doom_all(target)
        self._changes.ended(key)

    async def _fetch(
        self, key: Target, source: Travelling, entry: Entry | None, why: Fwd
    ) -> Answer:
        asked = source.asked
        fill = self._fills.find(key)
        collapsed = fill is not None
        if fill is None:
            fill = self._begin(key, source, entry)
        elif fill.state is not FillState.ASKING and RequestControl.parse(asked.fields).no_cache:
            # What came before this request was made is not what it asks for.
            return await relay(source, Fwd.REQUEST)
        elif self._changes.overtook(key, source.target, self._clock.seconds()):
            return await relay(source, why)
        reader = FillReader(fill)
        try:
            await fill.when_headed()
            return await self._filled(fill, reader, source, why, collapsed)
        except BaseException:
            reader.close()
            raise

    async def _filled(
        self, fill: Fill, reader: FillReader, source: Travelling, why: Fwd, collapsed: bool
    ) -> Answer:
        """Answer from a fill of which it is known now what it will be."""
        asked = source.asked
        if fill.state in (FillState.STREAMING, FillState.VERIFYING, FillState.COMPLETE):
            assert fill.head is not None
            if collapsed and not self._also_for(asked, fill.head):
                reader.close()
                return await relay(source, why)
            if not _fits(fill, asked):
                reader.close()
                return await self._fetch_apart(fill, source)
            if far_ahead(fill, asked):
                reader.close()
                return await relay(source, why)
            if not fill.readable:
                raise Lost(f"{fill.order.target} was evicted before it was read")
            status = CacheStatus(fwd=why, collapsed=collapsed)
            return from_fill(fill, reader, asked, status, self._clock.seconds())
        entry = selected(await self._store.all_of(source.target), asked)
        # Taken after the last await: whoever has it must give it on, or up. It was asked with the
        # fields of whoever began the fill, and may be theirs alone.
        reply = None if collapsed else fill.take_reply()
        reader.close()
        control = RequestControl.parse(asked.fields)
        if fill.state is FillState.FAILED:
            if entry is not None and self._outlives(entry, control, None):
                return await self._serve(entry, asked, stale(str(fill.failure)))
            raise fill.failure or Unreachable("", "unknown", "the upstream gave no answer")
        if fill.state is FillState.ANSWERED:
            return await self._answered(fill, source, entry, why, collapsed)
        if reply is None:
            trouble = self._resting.get(source.target, self._clock.seconds())
            if trouble is not None and entry is not None and self._outlives(entry, control, None):
                return await self._serve(entry, asked, stale(trouble))
            return await relay(source, why)
        error = reply.status if reply.status >= 500 else None
        if error and entry is not None and self._outlives(entry, control, error):
            reply.abandon()
            trouble = f"{reply.host} answered {error}"
            self._resting.put(source.target, trouble, self._clock.seconds())
            status = evolve(stale(trouble), fwd_status=error)
            return await self._serve(entry, asked, status)
        if plain(asked):
            return passed_on(reply, asked, why)
        reply.abandon()
        return await relay(source, why)

    def _also_for(self, asked: Asked, head: Head) -> bool:
        """
        Whether a response that another asked for may be used for a request that was made meanwhile.

        RFC 9111 section 4: if it might be used were it stored. What must be asked for anew each
        time could be about whoever asked. A look at the source that is taken after the request was
        made is as good as one that is taken for it.
        """
        control = evolve(RequestControl.parse(asked.fields), no_cache=False)
        decision = freshness.decide_heeded(stored_of(head), control, self._clock.seconds())
        return decision.verdict in (Verdict.SERVE, Verdict.SERVE_AND_REFRESH)

    async def _fetch_apart(self, fill: Fill, source: Travelling) -> Answer:
        """Fetch a variant of which only now it is known that it is another than the fill's."""
        assert fill.head is not None
        key = evolve(source.target, variant=variant_of(source.asked.fields, fill.head.fields))
        if key == fill.order.target:
            # What the responses vary by has just changed.
            return await relay(source, Fwd.VARY_MISS)
        return await self._fetch(key, source, None, Fwd.VARY_MISS)

    async def _answered(
        self, fill: Fill, source: Travelling, entry: Entry | None, why: Fwd, collapsed: bool
    ) -> Answer:
        """Answer after a 304."""
        reply = fill.reply
        assert reply is not None
        if entry is not None and fill.confirmed:
            if collapsed and not self._also_for(source.asked, entry.head):
                return await relay(source, why)
            status = CacheStatus(
                fwd=why, fwd_status=reply.status, collapsed=collapsed, detail=reply.host
            )
            answer = await self._serve(entry, source.asked, status)
            return answer if collapsed else with_fields(answer, fields_of_asker(reply.fields))
        if fill.order.stored is not None:
            # It speaks of a response that we do not have (RFC 9111 section 4.3.4).
            self._store.doom(fill.order.stored)
        raise Lost(f"{source.target} is not what the upstream has confirmed")

    # What a request that is passed on has to say of what is stored.

    async def _look(self, source: Travelling, entry: Entry, why: Fwd) -> Answer:
        """Pass HEAD on, and learn from the answer about what is stored."""
        try:
            reply = await source.as_asked()
        except UpstreamError as error:
            if self._outlives(entry, RequestControl.parse(source.asked.fields), None):
                return await self._serve(entry, source.asked, stale(str(error)))
            raise
        if reply.status == 200 and entry.head.status == 200:
            head = looked_at(source.asked.fields, entry.head, entry.length, reply)
            if head is None or not may_store(200, source.asked.fields, head.fields):
                self._store.doom(entry)
            else:
                self._store.freshen(entry, self._clock.seconds(), head)
        return passed_on(reply, source.asked, why)

    def _forget(self, target: Target) -> None:
        """Let go of what may have been changed, and of what is just being fetched of it."""
        self._changes.changed(target, self._clock.seconds())
        self._store.doom_all(target)


def _fits(fill: Fill, asked: Asked) -> bool:
    """Say whether what is being filled is of the variant that a request is for."""
    assert fill.head is not None
    theirs = fill.order.rule.target_of(fill.order.target, fill.head).variant
    return variant_of(asked.fields, fill.head.fields) == theirs


def _not_cached() -> Answer:
    """RFC 9111 section 5.2.1.7: only what is stored would do."""
    notice = line(504, "It is not stored, and only-if-cached forbids to fetch it.")
    return Answer(notice, CacheStatus(detail="only-if-cached"), Kind.GENERIC)
