"""
The state of one repository's index: which snapshots there are, and how fresh they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.cache.snapshots import Document
from osproxy.cache.waiters import Waiters
from osproxy.model import Target
from osproxy.store.blobs import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from osproxy.cache.snapshots import Snapshot
    from osproxy.cache.source import Source
    from osproxy.upstream.origin import UpstreamError

#: A repository that is gone, or was never there, is asked for again after so many seconds.
ABSENT_FOR = 60.0


@define(eq=False)
class Repository:
    """
    The index files of one repository, as far as somebody asked for them.

    :ivar root: target whose path is the repository's, without a slash at the end.
    :ivar previous: the snapshot before, in memory, for clients that have begun with it.
    :ivar rests_until: no refresh is begun before.
    :ivar failure: why the last refresh failed.
    """

    root: Target
    fresh_for: float
    source_of: Callable[[str], Source]
    current: Snapshot | None = None
    previous: Snapshot | None = None
    rests_until: float = 0.0
    gone_since: float | None = None
    suspect: str | None = None
    failure: UpstreamError | None = None
    refreshing: Deferred[None] | None = None
    refreshed: Waiters = field(factory=Waiters)
    retiring: IDelayedCall | None = None

    def target(self, name: str) -> Target:
        """Name the target of a member."""
        return Target(self.root.backend, f"{self.root.path}/{name}")

    def fresh(self, now: float) -> bool:
        """Whether the current snapshot may be served without a look at the authority."""
        if self.current is None:
            return False
        lifetime = self.fresh_for if self.current.has_index else min(self.fresh_for, ABSENT_FOR)
        return 0 <= now - self.current.checked_at < lifetime

    @property
    def whole(self) -> bool:
        """Whether all that is stored of the current snapshot is still there."""
        members = {} if self.current is None else self.current.members
        return all(
            member is None or isinstance(member, Document) or member.state is State.LIVE
            for member in members.values()
        )
