"""
What upstreams have taught us about single files, and for how long we believe it.

A failure is not repeated at once, an absent file not asked for at once, and a file that is stored
outlives the first time that its authority says it has it no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.cache.answers import MISSING, insists, notice_of
from osproxy.cache.fillstate import FillState
from osproxy.cache.memory import Memory
from osproxy.cache.transfer import Abandoned
from osproxy.http import freshness
from osproxy.http.cachecontrol import explicit_lifetime
from osproxy.http.storing import may_store_for_all
from osproxy.repo.policies import Gone

if TYPE_CHECKING:
    from osproxy.cache.fill import Fill
    from osproxy.model import Asked, Notice, Target
    from osproxy.repo.policies import Policy
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.upstream.origin import Reply

#: Seconds after a failed revalidation in which the upstream is left alone.
REST = 5.0
#: Seconds for which an authority's 404 is remembered (F4).
ABSENT_FOR = 60.0
#: Seconds for which a refusal is remembered at most, where it says itself for how long.
REFUSED_FOR = 24 * 3600.0
#: Seconds for which files that cannot be gone are served after the authority's first 404 (F4).
GRACE = 48 * 3600.0
#: Seconds for which a file that outgrew the cache is passed through unasked.
OUTGROWN_FOR = 24 * 3600.0
_NAMES = 10_000
_TOO_EARLY = 425


@frozen
class Refusal:
    """
    What an authority has said instead of giving a file.

    :ivar notice: what clients are told.
    :ivar said_at: when, in seconds since the epoch.
    """

    notice: Notice
    said_at: float


def believed_for(reply: Reply, policy: Policy, *, for_all: bool = True) -> float:
    """
    Say for how many seconds a refusal answers for the authority (F4), 0 for what is none.

    Where responses are heeded they say themselves, of any status of the client's fault (RFC 9111
    section 3), but for 425: that MirrorCache wants to be asked again, whatever else it says. An
    error of the upstream's is no more than a reason to let it rest (F5).

    :param for_all: whether a GET without anything of a client's was refused. A response to HEAD is
        none to GET (RFC 9111 section 4), and a range or a condition may itself be what is refused.
    """
    unsaid = ABSENT_FOR if reply.status in MISSING else 0.0
    if not policy.heeds_response:
        return unsaid
    if not 400 <= reply.status < 500 or reply.status == _TOO_EARLY:
        return 0.0
    if not may_store_for_all(reply.status, reply.fields):
        return 0.0
    date = freshness.date_of(reply.fields, reply.received_at)
    said = explicit_lifetime(reply.fields, date)
    if said is None:
        return unsaid
    age = freshness.initial_age(reply.fields, reply.requested_at, reply.received_at)
    seconds = max(0.0, said - age)
    # The next time the authority may lead to another mirror than the one that has refused.
    return seconds if for_all and not reply.hops else min(seconds, unsaid)


class Experience:
    """
    Remembers how asking for files ended.

    :ivar outgrown: files for which there was no room.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refused: Memory[Target, Refusal] = Memory(_NAMES, REFUSED_FOR)
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
            rule = fill.order.rule
            if rule.goes_with(entry.head, reply):
                self._store.freshen(entry, now, rule.updated(entry.head, reply, now))
            else:
                # It is right, but not to be stored any more.
                self._store.doom(entry)
        elif reply.status in MISSING and entry is not None:
            self._believe_missing(target, reply, entry, fill.order.policy, now)
        elif entry is not None or not self.refused(target, reply, fill.order.policy, now):
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
            self.refused(target, reply, policy, now)

    def refused(
        self, target: Target, reply: Reply, policy: Policy, now: float, *, for_all: bool = True
    ) -> bool:
        """Remember a refusal for as long as it is believed, if it is at all, and say whether."""
        seconds = believed_for(reply, policy, for_all=for_all)
        if seconds:
            self._refused.put(target, Refusal(notice_of(reply), now), now, seconds)
        return seconds > 0

    def refusal(self, target: Target, asked: Asked, policy: Policy, now: float) -> Notice | None:
        """Say what the authority would answer, as far as that is known and will do."""
        known = self._refused.get(target, now)
        if known is None or insists(asked, known.said_at, policy, now):
            return None
        return known.notice

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
