"""
What upstreams have taught us about single files, and for how long we believe it.

A failure is not repeated at once, an absent file not asked for at once, and a file that is stored
outlives the first time that its authority says it has it no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.cache.answers import MISSING
from osproxy.cache.fillstate import FillState
from osproxy.cache.heads import confirmed
from osproxy.cache.memory import Memory
from osproxy.cache.transfer import Abandoned
from osproxy.repo.policies import Gone

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.model import Target
    from osproxy.repo.policies import Policy
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Reply

#: Seconds after a failed revalidation in which the upstream is left alone.
REST = 5.0
#: Seconds for which an authority's 404 is remembered (F4).
ABSENT_FOR = 60.0
#: Seconds for which files that cannot be gone are served after the authority's first 404 (F4).
GRACE = 48 * 3600.0
#: Seconds for which a file that outgrew the cache is passed through unasked.
OUTGROWN_FOR = 24 * 3600.0
_NAMES = 10_000


class Experience:
    """
    Remembers how asking for files ended.

    :ivar absent: statuses by which the authority denied files, 404 or 410.
    :ivar outgrown: files for which there was no room.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.absent: Memory[Target, int] = Memory(_NAMES, ABSENT_FOR)
        self.outgrown: Memory[Target, bool] = Memory(_NAMES, OUTGROWN_FOR)
        self._missed: Memory[Target, float] = Memory(_NAMES, GRACE + 2 * ABSENT_FOR)
        self._denied: Memory[Target, bool] = Memory(_NAMES, ABSENT_FOR)
        self._resting: Memory[Target, str] = Memory(_NAMES, REST)

    def learn(self, fill: Fill, now: float) -> None:
        """Take in, once, what has become of a fill."""
        target, reply, entry = fill.order.target, fill.reply, fill.order.stored
        if fill.state in (FillState.COMPLETE, FillState.NAMED):
            self._found(target)
            self._resting.forget(target)
        elif fill.outgrown:
            self.outgrown.put(target, True, now)
        elif fill.state is FillState.FAILED and not isinstance(fill.failure, Abandoned):
            self._resting.put(target, str(fill.failure), now)
        if reply is None:
            return
        if fill.confirmed and entry is not None:
            self._found(target)
            self._store.freshen(entry, now, confirmed(entry.head, reply, now))
        elif reply.status in MISSING and entry is not None:
            self._believe_missing(target, reply, entry, fill.order.policy, now)
        elif reply.status in MISSING:
            self.absent.put(target, reply.status, now)
        else:
            self._resting.put(target, f"{reply.host} answered {reply.status}", now)

    def _believe_missing(
        self, target: Target, reply: Reply, entry: Entry, policy: Policy, now: float
    ) -> None:
        """One 404 may be a slip of the authority's: what is stored outlives it for a while (F4)."""
        self._denied.put(target, True, now)
        since = self._missed.get(target, now)
        if since is None:
            self._missed.put(target, now, now)
            return
        patience = ABSENT_FOR if policy.gone is Gone.CONFIRM else GRACE
        if now - since >= patience:
            self._store.doom(entry)
            self._found(target)
            self.absent.put(target, reply.status, now)

    def _found(self, target: Target) -> None:
        self._missed.forget(target)
        self._denied.forget(target)

    def left_alone(self, target: Target, now: float) -> bool:
        """Whether the upstream has just failed us, or denied the file, and is not asked yet."""
        denied = self._denied.get(target, now) is not None
        return denied or self._resting.get(target, now) is not None

    def why(self, target: Target, now: float) -> str:
        """Say what happened the last time."""
        return self._resting.get(target, now) or "the upstream has it no more"
