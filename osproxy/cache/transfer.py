"""
One body into one draft, out of as many replies as it takes.

What breaks off is asked for again from where it broke off (RFC 9110 section 14), so that readers
see nothing of it; and what an earlier transfer has left is completed rather than fetched anew (RFC
9111 section 3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.internet.task import deferLater
from twisted.logger import Logger

from osproxy.cache.combining import Refusal, Rest, incomplete
from osproxy.cache.hashing import Hashing
from osproxy.cache.heads import Take
from osproxy.cache.intake import Intake
from osproxy.upstream.origin import Unreachable, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from osproxy.cache.combining import Incomplete
    from osproxy.cache.fillstate import Means, Order
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Reply

#: Seconds before each try to continue; after the last of them without an octet it is given up.
PAUSES = (1.0, 2.0, 4.0)


class Abandoned(UpstreamError):
    """All readers left before there was enough of a file to be worth finishing."""


class Spoilt(Unreachable):
    """What has come of a file cannot be completed, now or later."""


@frozen
class Begun:
    """
    A draft, and the reply that feeds it.

    :ivar rest: which of the reply's octets are missing.
    """

    draft: Draft
    reply: Reply
    rest: Rest = field(factory=Rest)


async def resume(order: Order, store: Store) -> Begun | Reply | None:
    """
    Ask for the rest of what was put aside for a target, if there is anything.

    What is asked besides holds first: a 304 says that the entry which is stored is right, whatever
    was put aside (RFC 9110 section 13.2.2). An answer that is no rest is returned as it is; None
    says to ask as if nothing were there.

    :raises UpstreamError: when there is no answer; the draft waits on.
    """
    draft = await store.resume(order.rule.begun(order.target, store.kept.variants(order.target)))
    if draft is None:
        return None
    begun = incomplete(draft, draft.length)
    if begun is None or begun.provenance.digest != order.expectation.digest:
        draft.discard()
        return None
    try:
        reply = await _ask(order, begun, order.stored)
    except BaseException:
        draft.put_aside()
        raise
    rest = _judge(order, begun, reply)
    if isinstance(rest, Rest):
        return Begun(draft, reply, rest)
    if rest is Refusal.SILENT:
        draft.put_aside()
        return reply
    draft.discard()
    if reply.status == 200:
        return reply
    reply.abandon()
    return None


async def _ask(order: Order, begun: Incomplete, stored: Entry | None) -> Reply:
    return await order.source(fields=(*order.rule.conditions(stored), *begun.question))


def _judge(order: Order, begun: Incomplete, reply: Reply) -> Rest | Refusal:
    rest = begun.judge(reply)
    if isinstance(rest, Rest) and not order.rule.goes_with(begun.head, reply):
        # What may not be stored may not be combined with what is (RFC 9111 section 3).
        return Refusal.CHANGED
    return rest


class Transfer:
    """
    Fills a draft, and knows its digests in the end. Whoever made one calls `close`.

    :param grew: told after each write; what it raises ends the transfer.
    :param seen: whether anybody can have seen anything of the body.
    :ivar head: what is said of the file, by the last reply that fitted.
    :ivar length: octets of the whole file, None while unknown.
    :ivar combined: whether the body is put together from several replies.
    """

    _log = Logger()

    def __init__(
        self,
        order: Order,
        means: Means,
        begun: Begun,
        grew: Callable[[], None],
        seen: Callable[[], bool],
    ) -> None:
        self.head = begun.draft.head
        self.length = begun.draft.length
        self.combined = False
        self._order = order
        self._means = means
        self._draft = begun.draft
        self._grew = grew
        self._seen = seen
        self._next: tuple[Reply, Rest] | None = (begun.reply, begun.rest)
        self._hashing = self._hashed()
        if begun.draft.written:
            self._fits(begun.reply, begun.rest)
            # What is there is read back from the file like the rest.
            self._hashing.grew(begun.draft.written)

    def close(self) -> None:
        """Give the draft up, as far as digests are concerned."""
        self._hashing.close()

    async def run(self) -> None:
        """
        Return when the whole body is in the draft.

        :raises Spoilt: when the file is another one by now.
        :raises UpstreamError: when it does not come whole, nor its rest.
        :raises CacheFull: when there is no room, eviction tried.
        :raises OSError: as the disk has it.
        """
        await self._fill_up()
        if self.combined and not self._seen() and not await self._right():
            await self._begin_anew()
            await self._fill_up()

    async def digests(self) -> Mapping[str, str]:
        """
        Return the digests of the whole body in hexadecimal, by algorithm.

        :raises OSError: when it cannot be read back.
        """
        return await self._hashing.finish(self._draft.written)

    async def _fill_up(self) -> None:
        tries = 0
        while True:
            written = self._draft.written
            try:
                if await self._goes_on():
                    return
                failure: UpstreamError = Unreachable("", "partial", "only a part of it came")
            except (Abandoned, Spoilt):
                raise
            except UpstreamError as error:
                failure = error
            if self._draft.written > written:
                tries = 0
            if incomplete(self._draft, self.length) is None or tries == len(PAUSES):
                raise failure
            self._log.info(
                "{target}: {failure}; to be continued from octet {written}",
                target=self._order.target,
                failure=failure,
                written=self._draft.written,
            )
            if failure.host:
                self._means.metrics.upstream_errors.labels(failure.reason).inc()
            await deferLater(self._means.clock, PAUSES[tries])
            tries += 1

    async def _goes_on(self) -> bool:
        """Take one reply, and say whether all is there."""
        reply, rest = self._next or await self._ask_on()
        self._next = None
        written = self._draft.written
        intake = Intake(self._means.store, self._draft, self._has_grown, rest.skip, rest.count)
        await intake.take(reply)
        if self.length is not None:
            return self._draft.written == self.length
        # Where nobody says how long the file is, its end is where nothing more comes.
        return not rest.open_ended or self._draft.written == written

    def _has_grown(self) -> None:
        self._hashing.grew(self._draft.written)
        self._grew()

    async def _ask_on(self) -> tuple[Reply, Rest]:
        begun = incomplete(self._draft, self.length)
        assert begun is not None
        reply = await _ask(self._order, begun, None)
        rest = _judge(self._order, begun, reply)
        if isinstance(rest, Rest):
            self._fits(reply, rest)
            return reply, rest
        reply.abandon()
        if rest is Refusal.CHANGED:
            raise Spoilt(reply.host, "changed", f"{reply.host} has another version by now")
        raise Unreachable(reply.host, "partial", f"{reply.host} answers {reply.status}, no rest")

    def _fits(self, reply: Reply, rest: Rest) -> None:
        """Take over what the reply says (RFC 9111 section 3.4), and count it."""
        self.combined = True
        self.head = self._order.rule.updated(self.head, reply, self._means.clock.seconds())
        if rest.length is not None:
            self.length = rest.length
        self._means.metrics.resumed.inc()
        if reply.status == 206:
            self._means.metrics.resumed_octets.inc(self._draft.written)

    # Parts of several replies that make no file together.

    async def _right(self) -> bool:
        expected = self._order.expectation.digest
        return expected is None or (await self.digests())[expected.algorithm] == expected.hex

    async def _begin_anew(self) -> None:
        self._hashing.close()
        self._draft.rewind()
        self._hashing = self._hashed()
        reply = await self._order.source(fields=self._order.rule.conditions(None))
        kept = self._order.rule.judge(reply, None) is Take.KEEP
        if not kept or reply.length != self.length:
            reply.abandon()
            raise Spoilt(reply.host, "changed", f"{reply.host} has another version by now")
        self._next = (reply, Rest())

    def _hashed(self) -> Hashing:
        digest, draft = self._order.expectation.digest, self._draft
        algorithms = {"sha256"} if digest is None else {"sha256", digest.algorithm}
        return Hashing(draft.lease(), draft.offset, self._means.in_thread, sorted(algorithms))
