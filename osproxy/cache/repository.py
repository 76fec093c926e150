"""
The state of one repository's index: which snapshots there are, and how fresh they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.model import Target
from osproxy.repo.layout import CORE
from osproxy.upstream.origin import Overloaded
from osproxy.upstream.turns import Asker
from osproxy.waiting import Waiters

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

    Only its refresh puts another snapshot in place of the current one.

    :ivar root: target whose path is the repository's, without a slash at the end.
    :ivar names: the files that a refresh looks at.
    :ivar previous: the snapshot before, in memory, for clients that have begun with it.
    :ivar failure: why the last refresh failed.
    :ivar begun_at: when the refresh that is under way was begun.
    """

    root: Target
    fresh_for: float
    source_of: Callable[[str], Source]
    current: Snapshot | None = None
    previous: Snapshot | None = None
    names: tuple[str, ...] = CORE
    gone_since: float | None = None
    suspect: str | None = None
    failure: UpstreamError | None = None
    begun_at: float = 0.0
    refreshing: Deferred[None] | None = None
    refreshed: Waiters = field(factory=Waiters)
    retiring: IDelayedCall | None = None
    _rests_since: float = 0.0
    _rests_for: float = 0.0

    def target(self, name: str) -> Target:
        """Name the target of a member."""
        return Target(self.root.backend, f"{self.root.path}/{name}")

    @property
    def lifetime(self) -> float:
        """Seconds for which the current snapshot is believed."""
        if self.current is None or self.current.has_index:
            return self.fresh_for
        return min(self.fresh_for, ABSENT_FOR)

    def fresh(self, now: float) -> bool:
        """Whether the current snapshot may be served without a look at the authority."""
        if self.current is None or not self.current.whole:
            return False
        return 0 <= now - self.current.checked_at < self.lifetime

    def serves(self, name: str) -> bool:
        """Whether a client can be told what a member is, fresh or stale."""
        return self.current is not None and self.current.has(name)

    def know(self, name: str) -> None:
        """Let refreshes look at one more file."""
        if name not in self.names:
            self.names = (*self.names, name)

    def renewing(self) -> Callable[[str], Source]:
        """Give the sources of a renewal: it is for all who will ask, and not for who asks now."""
        ours, source_of = Asker(together=True), self.source_of
        return lambda name: source_of(name).on_behalf_of(ours)

    def failed(self, error: UpstreamError, now: float, seconds: float) -> None:
        """Note why a refresh has failed, and begin no other for a while."""
        self.failure = error
        # Where nothing can be served meanwhile, a rest after a refusal of ours would refuse more.
        if self.current is not None or not isinstance(error, Overloaded):
            self.rest(now, seconds)

    def rest(self, now: float, seconds: float) -> None:
        """Begin no refresh for a while."""
        self._rests_since, self._rests_for = now, seconds

    def rests(self, now: float) -> bool:
        """Whether no refresh is to be begun; a clock that is set back ends the rest."""
        return 0 <= now - self._rests_since < self._rests_for
