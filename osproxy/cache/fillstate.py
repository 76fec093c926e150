"""
What a fill is to fetch, by what means, and how far it can have come.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from osproxy.cache.heads import ByKind
from osproxy.model import Expectation

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.heads import Rule
    from osproxy.cache.source import Source
    from osproxy.metrics import Metrics
    from osproxy.model import Target
    from osproxy.repo.policies import Policy
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.threads import InThread


class FillState(Enum):
    """What has become of a fill, and what may be looked at."""

    ASKING = "nothing yet"
    STREAMING = "head, length, available octets"
    VERIFYING = "the same; all octets are written, the last ones are not shown yet"
    COMPLETE = "everything; the entry is in the store"
    FOLLOWING = "leader: the fill by which it comes, since it was asked for by another name"
    NAMED = "head; what comes is in the store, and has become the entry too: no octet was taken"
    ANSWERED = "reply: there was nothing to keep"
    DIVERTED = "what was written so far; the rest is to be had through passages"
    FAILED = "failure"


#: Where a fill may go from each state; anything else is a bug.
NEXT = {
    FillState.ASKING: {
        FillState.STREAMING, FillState.FOLLOWING, FillState.NAMED, FillState.ANSWERED,
        FillState.DIVERTED, FillState.FAILED,
    },
    FillState.STREAMING: {FillState.VERIFYING, FillState.DIVERTED, FillState.FAILED},
    FillState.VERIFYING: {FillState.COMPLETE, FillState.DIVERTED, FillState.FAILED},
    FillState.COMPLETE: set(),
    FillState.FOLLOWING: {FillState.NAMED, FillState.FAILED},
    FillState.NAMED: set(),
    FillState.ANSWERED: set(),
    FillState.DIVERTED: set(),
    FillState.FAILED: set(),
}  # fmt: skip

#: A fill that nobody reads goes on if no more than this is missing, or half of it is there.
WORTH_FINISHING = 64 << 20


def worth_finishing(written: int, length: int | None) -> bool:
    """Say whether it is known that most of a file is there."""
    if length is None:
        # It may never end, as a stream of events does not.
        return False
    missing = length - written
    return missing <= WORTH_FINISHING or missing <= written


@frozen
class Order:
    """
    What a fill is to fetch.

    :ivar stored: the entry that is to be revalidated, if there is one.
    :ivar expectation: what the file must be like.
    :ivar background: whether it is to be finished though nobody reads.
    :ivar admitted: whether it is kept; if not, it may become another name of what is.
    :ivar rule: what is asked and kept; as the kind of the file has it, unless given.
    """

    target: Target
    source: Source
    policy: Policy
    expectation: Expectation = field(factory=Expectation)
    stored: Entry | None = None
    background: bool = False
    admitted: bool = True
    rule: Rule = field()

    @rule.default
    def _by_kind(self) -> Rule:
        return ByKind(self.policy)


@frozen
class Means:
    """What all fills work with."""

    store: Store
    in_thread: InThread
    clock: IReactorTime
    metrics: Metrics
