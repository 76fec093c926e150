"""
One download, many readers.

When several clients ask for a file that we do not have, only the first question goes upstream. The
answer is written to a draft in the store, and every client, the first included, reads that draft
as it grows, from wherever it likes and as fast as it likes. Nothing here knows about clients or
their protocol; see `osproxy.web.body` for where the octets go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from osproxy.cache.aliases import name_too, otherwise_named
from osproxy.cache.combining import provenance_of
from osproxy.cache.fillstate import NEXT, FillState, worth_finishing
from osproxy.cache.growth import Growth
from osproxy.cache.heads import Take
from osproxy.cache.passage import continued
from osproxy.cache.transfer import Abandoned, Begun, Spoilt, Transfer, resume
from osproxy.cache.verified import HELD_BACK
from osproxy.http.fields import only
from osproxy.store.blobs import State
from osproxy.store.ledger import CacheFull
from osproxy.store.trouble import DISK_ERRORS, Work
from osproxy.upstream.origin import Unreachable, UpstreamError
from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from osproxy.cache.fillstate import Means, Order
    from osproxy.http.fields import Fields
    from osproxy.model import Head, PassingBody
    from osproxy.store.drafts import Draft
    from osproxy.upstream.origin import Reply


class Fill:
    """
    The download of one file, from the question to the entry.

    :ivar names: by which what comes may be asked for.
    :ivar state: see `FillState`.
    :ivar leader: the fill that it is FOLLOWING.
    :ivar draft: what its readers read, from STREAMING on.
    :ivar head: what is known of the file, from STREAMING on, or NAMED.
    :ivar growth: of the draft, and what of it readers may have.
    :ivar reply: the upstream's reply, once ANSWERED: 304, or a status that is not kept.
    :ivar admitted: whether what comes is kept, which may still be decided while it is ASKING.
    :ivar confirmed: whether that reply says that what is stored is still right.
    :ivar outgrown: whether it was DIVERTED because there is no room for all of it.
    :ivar caches: what caches nearer the origin said of it (RFC 9211 section 2); not kept.
    :ivar fields_of_asker: what was said to whoever began it, and to nobody else; not kept either.
    :ivar failure: why it FAILED.
    :ivar readers: how many follow it, each a `osproxy.cache.follow.FillReader`.
    """

    _log = Logger()

    def __init__(
        self,
        order: Order,
        means: Means,
        others: Collection[Fill],
        may_go_on: Callable[[], bool],
        decided: Callable[[Fill], None],
    ) -> None:
        self.order = order
        self.admitted = order.admitted
        self.names = {order.target}
        self.state = FillState.ASKING
        self.leader: Fill | None = None
        self.draft: Draft | None = None
        self.head: Head | None = None
        self.growth = Growth(0 if order.expectation.digest is None else HELD_BACK)
        self.reply: Reply | None = None
        self.confirmed = False
        self.outgrown = False
        self.caches: Fields = ()
        self.fields_of_asker: Fields = ()
        self.failure: UpstreamError | None = None
        self.readers = 0
        self._delivering = False
        self._means = means
        self._others = others
        self._may_go_on = may_go_on
        self._decided = decided
        self._unread: Reply | None = None
        self._headed = Waiters()
        self._ended = Waiters()
        self._running: Deferred[None] | None = None

    def begin(self) -> None:
        """Start."""

        def over(result: object) -> object:
            self._running = None
            self._ended.wake()
            return result

        self._means.metrics.fills_running.inc()
        running = Deferred.fromCoroutine(self._run())
        self._running = running
        running.addBoth(over).addErrback(
            lambda failure: self._log.failure("filling {target}", failure, target=self.order.target)
        )

    def take_reply(self) -> Reply | None:
        """Give the reply of a diverted fill to the first who can use it; None to the others."""
        reply, self._unread = self._unread, None
        return reply

    async def cancel(self) -> None:
        """End at once, readers are cut; but what has all its octets is verified and kept."""
        if self._running is not None:
            ended = self._ended.wait()
            if self.state is not FillState.VERIFYING:
                self._running.cancel()
            await ended

    @property
    def unverified(self) -> bool:
        """Whether there is an expected digest that has not been met yet."""
        return self.order.expectation.digest is not None and bool(NEXT[self.state])

    @property
    def whole(self) -> bool:
        """Whether all its octets have come, and only the disk is waited for."""
        return self.state is FillState.VERIFYING or self.growth.whole

    @property
    def arrived(self) -> bool:
        """Whether readers may have all of it, so that it is as good as stored."""
        growth = self.growth
        whole = self.state is FillState.VERIFYING and growth.available == growth.length
        return whole and self.headed and self.readable

    @property
    def headed(self) -> bool:
        """Whether it is known what to tell readers."""
        if self.state is FillState.ASKING:
            return False
        # Of a file of one block even the head is a promise that could not be taken back.
        length = self.growth.length
        held = self.unverified and length is not None and length <= HELD_BACK
        return not held

    # The course of a fill, in order.

    async def _run(self) -> None:
        metrics = self._means.metrics
        try:
            await self._ask()
        except Spoilt as error:
            self._fail(error)
        except UpstreamError as error:
            self._fail(error, resumable=True)
        except CancelledError:
            self._fail(Abandoned("", "abandoned", "it was given up"), resumable=True)
        except Exception:
            self._fail(Unreachable("", "bug", "an error of ours"))
            raise
        finally:
            metrics.fills_running.dec()
            metrics.fills.labels(self.state.name.lower()).inc()
            if self.draft is not None and self.state is FillState.DIVERTED:
                self.draft.discard()

    async def _ask(self) -> None:
        rule, stored, store = self.order.rule, self.order.stored, self._means.store
        found = await resume(self.order, store)
        if isinstance(found, Begun):
            await self._receive(found)
            return
        reply = found or await self.order.source(fields=rule.conditions(stored))
        take = rule.judge(reply, stored)
        entry = None
        if take is Take.KEEP:
            entry = await otherwise_named(self, self._others, self._means, reply)
        if entry is not None:
            self._named(entry.head)
        elif take is Take.KEEP and self.admitted:
            await self._begin(reply)
        elif take in (Take.KEEP, Take.PASS):
            self._divert(reply)
        else:
            if take is Take.CONFIRMED:
                # What was put aside is of another version than what is stored.
                store.kept.drop(self.order.target)
            self._answered(reply, confirmed=take is Take.CONFIRMED)

    async def follow(self, leader: Fill) -> None:
        """Have those who wait read what another fill brings, and return when that has ended."""
        self.leader = leader
        self._enter(FillState.FOLLOWING)
        if leader._running is not None:
            await leader._ended.wait()

    def _named(self, head: Head) -> None:
        self.head = head
        self._enter(FillState.NAMED)

    def _answered(self, reply: Reply, *, confirmed: bool) -> None:
        reply.abandon()
        self.reply = reply
        self.confirmed = confirmed
        self._enter(FillState.ANSWERED)

    async def _begin(self, reply: Reply) -> None:
        order = self.order
        self.caches = only(reply.fields, "cache-status")
        self.fields_of_asker = order.rule.fields_of_asker(reply)
        head = order.rule.head_of(reply, order.expectation, self._means.clock.seconds())
        try:
            draft = await self._means.store.begin(
                order.rule.target_of(order.target, head),
                head,
                reply.length,
                kind=order.policy.kind,
                provenance=provenance_of(reply, order.expectation),
            )
        except (CacheFull, OSError) as error:
            self._means.store.trouble.met(Work.KEEP, error, order.target)
            self._divert(reply)
            return
        except BaseException:
            reply.abandon()
            raise
        await self._receive(Begun(draft, reply))

    async def _receive(self, begun: Begun) -> None:
        self.draft = begun.draft
        transfer = Transfer(self.order, self._means, begun, self._grew, lambda: self.headed)
        self.head, self.growth.length = transfer.head, transfer.length
        self.growth.grew(begun.draft.written)
        try:
            self._enter(FillState.STREAMING)
            if not self._wanted():
                begun.reply.abandon()
                raise self._abandoned()
            await self._deliver(transfer)
            await self._keep(begun, transfer)
        except (CacheFull, OSError) as error:
            self._means.store.trouble.met(Work.KEEP, error, self.order.target)
            self.outgrown = isinstance(error, CacheFull)
            self._divert(None)
        finally:
            transfer.close()

    async def _deliver(self, transfer: Transfer) -> None:
        # While it waits it can be cancelled; while it runs it cannot.
        self._delivering = True
        try:
            await transfer.run()
        finally:
            self._delivering = False

    def _grew(self) -> None:
        assert self.draft is not None
        readers, self._delivering = self.readers, False
        self.growth.grew(self.draft.written)
        self._delivering = True
        if self.readers < readers and not self._wanted():
            raise self._abandoned()

    def _abandoned(self) -> Abandoned:
        host = "" if self.head is None else self.head.source
        return Abandoned(host, "abandoned", "nobody waits for it any more")

    async def _keep(self, begun: Begun, transfer: Transfer) -> None:
        self._enter(FillState.VERIFYING)
        expected = self.order.expectation.digest
        if expected is None:
            # Framing and length were right: readers need not wait for the digest (B2).
            self.growth.complete()
        try:
            digests = await transfer.digests()
        except OSError as error:
            self._means.store.trouble.met(Work.READ, error, self.order.target)
            if expected is not None:
                raise Spoilt("", "disk", f"what was received is lost: {error}") from error
            self._enter(FillState.DIVERTED)
            return
        if expected is not None and digests[expected.algorithm] != expected.hex:
            raise Spoilt(transfer.head.source, "digest", "the file has a wrong digest")
        # To keep it may take a while, which nobody need wait for.
        self.growth.complete()
        now = self._means.clock.seconds()
        try:
            (entry,) = await self._means.store.commit([(begun.draft, digests["sha256"])], now)
        except DISK_ERRORS as error:
            # The readers have, or can still read, a whole and right file.
            self._means.store.trouble.met(Work.KEEP, error, self.order.target)
            self._enter(FillState.DIVERTED)
            return
        if transfer.combined:
            # The file itself has room for no more than what was said first.
            self._means.store.freshen(entry, now, transfer.head)
        await name_too(self.order, self._means, begun.reply, entry)
        self._enter(FillState.COMPLETE)

    def _divert(self, reply: Reply | None) -> None:
        self._unread = reply
        self._enter(FillState.DIVERTED)
        self.growth.divert(self._onward)
        # Whoever waited was told in this turn; a reply that nobody took must not hang for ever.
        unread = self.take_reply()
        if unread is not None:
            unread.abandon()

    def _fail(self, error: UpstreamError, *, resumable: bool = False) -> None:
        if not NEXT[self.state]:
            return
        # Before anybody is told: whoever asks again in the same turn may take the draft up.
        if self.draft is not None:
            if resumable and self.state is FillState.STREAMING:
                self.draft.put_aside()
            else:
                self.draft.discard()
        self.failure = error
        self._enter(FillState.FAILED)
        self.growth.break_off(str(error))

    def _enter(self, state: FillState) -> None:
        if state not in NEXT[self.state]:
            raise AssertionError(f"a fill cannot go from {self.state.name} to {state.name}")
        self.state = state
        if not NEXT[state]:
            self._decided(self)
        if self.headed:
            self._headed.wake()

    # What readers see.

    async def when_headed(self) -> None:
        """Return once `headed`."""
        if not self.headed:
            await self._headed.wait()

    async def _onward(self, position: int, stop: int | None) -> PassingBody:
        assert self.head is not None
        source, digest = self.order.source, self.order.expectation.digest
        return await continued(source, self.head, self.growth.length, position, stop, digest)

    @property
    def readable(self) -> bool:
        """Whether a reader can still take hold of the file; once stored, it may be evicted."""
        if self.draft is None:
            return False
        blob = self.draft.blob
        return blob.at_hand() is not None and blob.state is not State.DOOMED

    def left(self) -> None:
        """Say that a reader is gone; a transfer that is not `_wanted` any more is given up."""
        self.readers -= 1
        if self._delivering and not self._wanted() and self._running is not None:
            self._running.cancel()

    def _wanted(self) -> bool:
        """Whether it is worth going on: somebody reads, or it is known that most of it is there."""
        if self.readers or self.order.background or self.whole:
            return True
        return worth_finishing(self.growth.written, self.growth.length) and self._may_go_on()
