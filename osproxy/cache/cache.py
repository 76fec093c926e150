"""
The conductor: a question in, an answer out.

`Cache.obtain` is the one long sentence of the program: what kind of file is this, what is stored,
what is to be done; and then it is done. The decisions are made elsewhere, by functions that do
nothing (`osproxy.http.freshness`, `osproxy.repo.policies`); the index files of repositories, which
change together, have a module of their own (`osproxy.cache.generations`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from twisted.logger import Logger

from osproxy.cache.aliases import may_be_alias
from osproxy.cache.answers import (
    Unanswered,
    failed,
    insists,
    line,
    missing_file,
    plain,
    stale,
    unavailable,
)
from osproxy.cache.athand import at_hand, policy_at
from osproxy.cache.experience import Experience
from osproxy.cache.fills import UNATTENDED, Fills
from osproxy.cache.fillstate import FillState, Order
from osproxy.cache.follow import FillReader
from osproxy.cache.generic import Generic
from osproxy.cache.heads import freshness_of, serves_stale
from osproxy.cache.memory import Memory
from osproxy.cache.questions import answered_here, is_question
from osproxy.cache.serving import Lost, from_fill, from_store
from osproxy.cache.snapshots import Document
from osproxy.cache.source import FileSource
from osproxy.cache.unkept import Unkept, far_ahead
from osproxy.http import freshness
from osproxy.http.cachestatus import CacheStatus, Fwd
from osproxy.http.freshness import Verdict
from osproxy.model import Answer, Expectation, Representation, Target
from osproxy.repo.digests import digest_in_name
from osproxy.repo.kinds import Kind, classify
from osproxy.repo.layout import member_of
from osproxy.upstream.origin import Unreachable, UpstreamError
from osproxy.upstream.turns import OURS, Asker
from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.athand import Way
    from osproxy.cache.fill import Fill
    from osproxy.cache.generations import Generations
    from osproxy.cache.source import Source
    from osproxy.metrics import Metrics
    from osproxy.model import Asked, Backend
    from osproxy.repo.policies import Policy
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Upstream


class Cache:
    """Answers requests for files of the backends' repositories."""

    _log = Logger()

    def __init__(
        self,
        store: Store,
        upstream: Upstream,
        fills: Fills,
        generations: Generations,
        clock: IReactorTime,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._fills = fills
        self._generations = generations
        self._clock = clock
        self._metrics = metrics
        self._experience = Experience(store)
        self._unkept = Unkept(self._experience, clock)
        self._generic = Generic(store, upstream, fills, clock)
        self._unknown: Memory[Target, bool] = Memory(10_000, 24 * 3600.0)
        self._reported = 0.0
        self._open = False
        self._opened = Waiters()

    async def start(self) -> None:
        """Open the store; requests that come before wait for it."""
        await self._store.start()
        self._open = True
        self._opened.wake()

    @property
    def ready(self) -> bool:
        """Whether requests are answered without waiting for the store."""
        return self._open

    async def obtain(self, backend: Backend, target: Target, asked: Asked) -> Answer:
        """
        Answer one request.

        The body of the answer, if it has one, belongs to the caller, who closes it.
        """
        if not self._open:
            await self._opened.wait()
        kind = Kind.GENERIC if backend.generic else classify(target.path)
        if kind is Kind.UNKNOWN:
            self._report(target)
        try:
            try:
                return await self._answer(backend, target, asked, kind)
            except Lost:
                # The store has dropped the entry, and said so: this time it is a miss.
                return await self._answer(backend, target, asked, kind)
        except Lost as lost:
            return failed(Unreachable("", "disk", str(lost)), kind, asked)
        except Unanswered as unanswered:
            self._count(unanswered.error)
            return failed(unanswered.error, kind, asked, unanswered.why)
        except UpstreamError as error:
            self._count(error)
            return failed(error, kind, asked)

    def at_hand(self, way: Way) -> Answer | None:
        """Answer a plain request if nothing need be waited for; see `osproxy.cache.athand`."""
        return at_hand(self._store, way, self._clock.seconds()) if self._open else None

    def _count(self, error: UpstreamError) -> None:
        # Without a host it is our own fault.
        if error.host:
            self._metrics.upstream_errors.labels(error.reason).inc()

    def _report(self, target: Target) -> None:
        """Name each file without a rule once, and at most one a second: scanners have many."""
        now = self._clock.seconds()
        if self._unknown.get(target, now) or 0 <= now - self._reported < 1:
            return
        self._reported = now
        self._unknown.put(target, True, now)
        self._log.info(
            "no rule for {path}: its kind is unknown, please report it", path=target.path
        )

    async def stop(self) -> None:
        """End all that is under way; readers are cut."""
        await self._fills.stop()
        await self._generations.stop()

    async def _answer(self, backend: Backend, target: Target, asked: Asked, kind: Kind) -> Answer:
        if kind is Kind.GENERIC:
            return await self._generic.obtain(backend, target, asked)
        if kind is Kind.REFUSED:
            return Answer(line(404, "No such file."), CacheStatus(detail="refused"), kind)
        notice = answered_here(target.path, asked.query)
        if notice is not None:
            return Answer(notice, CacheStatus(detail="answered here"), kind)
        policy = policy_at(backend, target, kind)
        asks = is_question(target.path, asked.query)
        url = backend.url_of(target.path, asked.query if asks else None)
        asker = Asker.at(asked.client)
        source = FileSource(self._upstream, url, policy.https_only, asked.via, asker)
        if asks or not policy.keep:
            return await self._unkept.answer(target, source, asked, policy)
        if kind is Kind.INDEX:
            return await self._index(backend, target, asked, policy)
        return await self._file(target, source, asked, policy)

    # Files.

    async def _file(self, target: Target, source: Source, asked: Asked, policy: Policy) -> Answer:
        now = self._clock.seconds()
        entry = self._store.at_hand(target) or await self._store.find(target)
        if entry is None:
            return await self._fetch(target, source, asked, policy, None, Fwd.URI_MISS)
        since, lifetimes = freshness_of(entry.head, entry.checked_at, policy)
        verdict = freshness.decide(since, lifetimes, now)
        status = CacheStatus(hit=True, ttl=freshness.ttl(since, lifetimes, now))
        fresh = verdict is Verdict.SERVE
        if insists(asked, entry.checked_at, policy, now):
            verdict = Verdict.REVALIDATE
        if verdict is not Verdict.SERVE:
            if self._experience.left_alone(target, now) and serves_stale(entry, policy, now):
                status = status if fresh else stale(self._experience.why(target, now))
            elif verdict is Verdict.SERVE_AND_REFRESH:
                self._refresh(target, source, policy, entry)
                status = evolve(status, detail="stale-while-revalidate")
            else:
                why = Fwd.REQUEST if fresh else Fwd.STALE
                try:
                    return await self._fetch(target, source, asked, policy, entry, why)
                except UpstreamError as error:
                    raise Unanswered(error, why) from error
        return await self._stored(entry, asked, status)

    async def _stored(self, entry: Entry, asked: Asked, status: CacheStatus) -> Answer:
        return await from_store(self._store, entry, asked, status, self._clock.seconds())

    def _refresh(self, target: Target, source: Source, policy: Policy, entry: Entry) -> None:
        """Revalidate behind the client's back, once however many ask."""
        if self._fills.find(target) is None and self._fills.unattended < UNATTENDED:
            ours = source.on_behalf_of(OURS)
            order = evolve(self._order(target, ours, policy, entry), background=True)
            self._begin(order)

    def _begin(self, order: Order) -> Fill:
        return self._fills.begin(
            order, lambda fill: self._experience.learn(fill, self._clock.seconds())
        )

    def _order(self, target: Target, source: Source, policy: Policy, entry: Entry | None) -> Order:
        return Order(target, source, policy, Expectation(digest_in_name(target.path)), entry)

    async def _fetch(
        self,
        target: Target,
        source: Source,
        asked: Asked,
        policy: Policy,
        entry: Entry | None,
        why: Fwd,
    ) -> Answer:
        now = self._clock.seconds()
        fill, admitted = self._fills.find(target), True
        if fill is None and entry is None:
            refusal = self._experience.refusal(target, asked, policy, now)
            if refusal is not None:
                return Answer(refusal, CacheStatus(hit=True), policy.kind)
            passes = asked.head or self._experience.outgrown.get(target, now)
            if not passes and policy.guarded:
                admitted = self._store.admits(target)
            if passes or not (admitted or may_be_alias(target, policy.kind)):
                digest = digest_in_name(target.path)
                return await self._unkept.answer(target, source, asked, policy, None, digest)
        if fill is not None and fill.order.policy.kind is Kind.GENERIC:
            # It was begun for one client, before a reload.
            digest = digest_in_name(target.path)
            return await self._unkept.answer(target, source, asked, policy, None, digest)
        forwarded = CacheStatus(fwd=why, collapsed=fill is not None)
        if fill is None:
            order = self._order(target, source, policy, entry)
            fill = self._begin(evolve(order, admitted=admitted))
        elif fill.arrived and fill.head is not None:
            since, lifetimes = freshness_of(fill.head, now, policy)
            if freshness.decide(since, lifetimes, now) is Verdict.SERVE:
                forwarded = CacheStatus(hit=True, ttl=freshness.ttl(since, lifetimes, now))
        elif not asked.head:
            # This is the second time.
            fill.admitted = True
        reader = FillReader(fill)
        try:
            await fill.when_headed()
            return await self._filled(fill, reader, asked, policy, forwarded)
        except BaseException:
            reader.close()
            raise

    async def _filled(
        self,
        fill: Fill,
        reader: FillReader,
        asked: Asked,
        policy: Policy,
        forwarded: CacheStatus,
        *,
        passes: bool = True,
    ) -> Answer:
        """
        Answer from a fill of which it is known now what it will be.

        :param passes: whether a range that is far ahead may be passed through.
        """
        match fill.state:
            case FillState.STREAMING | FillState.VERIFYING | FillState.COMPLETE:
                if not fill.readable:
                    reader.close()
                    # What was equal to something else has become a name of that.
                    return await self._kept(fill, asked, forwarded)
                if passes and far_ahead(fill, asked):
                    try:
                        answer = await self._unkept.ahead_of(fill, asked)
                    except UpstreamError as error:
                        self._count(error)
                        # Meanwhile the fill may have come to any end.
                        return await self._filled(
                            fill, reader, asked, policy, forwarded, passes=False
                        )
                    reader.close()
                    return answer
                return from_fill(fill, reader, asked, forwarded, self._clock.seconds())
            case FillState.FOLLOWING:
                reader.close()
                assert fill.leader is not None
                reader, forwarded = FillReader(fill.leader), evolve(forwarded, collapsed=True)
                return await self._filled(fill.leader, reader, asked, policy, forwarded)
            case FillState.NAMED:
                reader.close()
                return await self._kept(fill, asked, forwarded)
            case FillState.DIVERTED:
                reply = fill.take_reply() if plain(asked) else None
                reader.close()
                order = fill.order
                return await self._unkept.answer(
                    order.target, order.source, asked, policy, reply, order.expectation.digest
                )
            case FillState.ANSWERED | FillState.FAILED:
                reader.close()
                return await self._unfilled(fill, asked, policy, forwarded)
        raise AssertionError(f"a fill that is {fill.state.name} has no head")

    async def _kept(self, fill: Fill, asked: Asked, forwarded: CacheStatus) -> Answer:
        """Answer with what has become of a fill that has no file of its own, or no longer."""
        target = fill.order.target
        entry = await self._store.find(target)
        if entry is None or fill.head is None:
            raise Lost(f"{target} was evicted before it was read")
        status = evolve(
            forwarded, fwd_status=fill.head.status, stored=True, detail=fill.head.source
        )
        return await self._stored(entry, asked, status)

    async def _unfilled(
        self,
        fill: Fill,
        asked: Asked,
        policy: Policy,
        forwarded: CacheStatus,
    ) -> Answer:
        """Answer when the upstream had nothing to keep: not modified, missing, or an error."""
        target, reply, now = fill.order.target, fill.reply, self._clock.seconds()
        entry = await self._store.find(target)
        if reply is not None and fill.confirmed:
            if entry is None:
                raise Lost(f"{target} was evicted while it was revalidated")
            status = evolve(forwarded, fwd_status=reply.status, detail=reply.host)
            return await self._stored(entry, asked, status)
        if entry is not None and serves_stale(entry, policy, now):
            return await self._stored(entry, asked, stale(self._experience.why(target, now)))
        if reply is None:
            raise fill.failure or Unreachable("", "unknown", "the upstream gave no answer")
        return unavailable(reply, target, policy.kind, forwarded)

    # Index files.

    async def _index(
        self, backend: Backend, target: Target, asked: Asked, policy: Policy
    ) -> Answer:
        member = member_of(target.path)
        assert member is not None
        root = Target(target.backend, member.root)
        asker = Asker.at(asked.client, together=True)

        def source_of_member(name: str) -> Source:
            url = backend.url_of(f"{member.root}/{name}")
            return FileSource(self._upstream, url, policy.https_only, asked.via, asker)

        kept, repository, status = await self._generations.member(
            root,
            member.name,
            asked,
            policy=policy,
            source_of=source_of_member,
        )
        now = self._clock.seconds()
        current = repository.current
        if current is None or not repository.fresh(now):
            why = repository.failure
            status = stale("being refreshed" if why is None else str(why))
        elif status.hit:
            status = evolve(status, ttl=int(current.checked_at + repository.lifetime - now))
        if kept is None:
            return missing_file(404, policy.kind, status)
        if isinstance(kept, Document):
            body = None if asked.head else kept.content
            representation = Representation(kept.head, body, len(kept.content))
            age = freshness.age(kept.head.date, now)
            return Answer(representation, status, policy.kind, age, kept.head.source)
        return await self._stored(kept, asked, status)
