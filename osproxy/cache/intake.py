"""
From a reply into a draft; where the draft is full, the reply waits while room is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from osproxy.upstream.origin import Unreachable
from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from osproxy.store.drafts import Draft
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Reply


class Intake:
    """
    Writes one body to a draft, no faster than there is room for it.

    :param grew: told after each write; what it raises ends the transfer.
    :param skip: octets at the beginning of the body that the draft has already.
    :param count: octets that the body is to have, None where that is not known.
    """

    def __init__(
        self,
        store: Store,
        draft: Draft,
        grew: Callable[[], None],
        skip: int = 0,
        count: int | None = None,
    ) -> None:
        self._store = store
        self._draft = draft
        self._grew = grew
        self._skip = skip
        self._count = count
        self._come = 0
        # What came after the draft was full: what was under way when the reply was paused.
        self._held = bytearray()
        self._making: Deferred[None] | None = None
        self._made = Waiters()
        self._failure: Failure | None = None

    async def take(self, reply: Reply) -> None:
        """
        Return when all of it is in the draft.

        :raises CacheFull: when there is no room, eviction tried.
        :raises OSError: as the disk has it.
        :raises UpstreamError: when the body does not come whole.
        """
        try:
            await reply.deliver(lambda data: self._came(reply, data))
            if self._making is not None:
                await self._made.wait()
        finally:
            if self._making is not None:
                self._making.cancel()
        self._check()
        if self._skip or (self._count is not None and self._come < self._count):
            raise Unreachable(reply.host, "truncated", f"{reply.host} ended before the end")

    def _check(self) -> None:
        if self._failure is not None:
            self._failure.raiseException()

    def _came(self, reply: Reply, data: bytes) -> None:
        self._come += len(data)
        if self._count is not None and self._come > self._count:
            raise Unreachable(reply.host, "size", f"{reply.host} sends more than it said")
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
            if not data:
                return
        if self._making is None and self._draft.holds(len(data)):
            self._write(data)
            return
        self._held.extend(data)
        if self._making is None:
            reply.pause()
            self._make_room(reply)
        self._check()

    def _make_room(self, reply: Reply) -> None:
        def over(_: object) -> None:
            self._making = None
            # After a failure as well: the next octet, or the end, brings it to light.
            reply.resume()
            self._made.wake()

        def failed(failure: Failure) -> None:
            self._failure = failure

        # Set before the callbacks are added: it may be over already.
        self._making = making = Deferred.fromCoroutine(self._write_held())
        making.addErrback(failed).addBoth(over)

    async def _write_held(self) -> None:
        # More may come before the pause is felt.
        while self._held:
            await self._store.make_room(self._draft, len(self._held))
            data, self._held = bytes(self._held), bytearray()
            self._write(data)

    def _write(self, data: bytes) -> None:
        self._draft.write(data)
        self._grew()
