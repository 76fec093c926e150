"""
The snapshots of each repository's index files, and which of them a client is shown.

All index files of a repository share one clock. While it runs they are served from the store; when
it has run out, one look at the authority decides for all of them (`osproxy.cache.refresh`). If they
have changed hands, clients that have begun with the snapshot before are shown the rest of it
(`osproxy.cache.visits`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osproxy.cache.answers import insists
from osproxy.cache.refresh import Refresh
from osproxy.cache.repository import Repository
from osproxy.cache.snapshots import REPOMD, Document, Snapshot
from osproxy.cache.visits import Visits
from osproxy.http.cachestatus import CacheStatus
from osproxy.repo.layout import CORE, MEMBERS
from osproxy.upstream.origin import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.source import Source
    from osproxy.metrics import Metrics
    from osproxy.model import Asked, Target
    from osproxy.repo.policies import Policy
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.threads import InThread

_REPOSITORIES = 10_000


class Generations:
    """Keeps the snapshots of all repositories, and has them renewed when they are asked for."""

    def __init__(
        self, store: Store, in_thread: InThread, clock: IReactorTime, metrics: Metrics
    ) -> None:
        self._store = store
        self._clock = clock
        self._refresh = Refresh(store, in_thread, clock, metrics)
        self._repositories: dict[Target, Repository] = {}
        self._visits = Visits()
        metrics.repositories.set_function(lambda: len(self._repositories))

    async def member(
        self,
        root: Target,
        name: str,
        asked: Asked,
        *,
        policy: Policy,
        source_of: Callable[[str], Source],
    ) -> tuple[Entry | Document | None, Repository, CacheStatus]:
        """
        Return the index file ``name`` of the snapshot that this client is to see, or None.

        Besides, whose file it is, and why the authority was asked, if it was and has answered.

        :param source_of: gives the source of a member by its name.
        :raises UpstreamError: when nothing is stored and the authority cannot be asked.
        """
        repository = await self._repository(root, policy.lifetimes.fresh_for, source_of)
        repository.know(name)
        before, now = repository.current, self._clock.seconds()
        had, collapsed = repository.serves(name), repository.refreshing is not None
        asked_upstream, was_fresh = False, repository.fresh(now)
        # Twice, since the refresh that is under way may know nothing of a name that is new.
        for _ in range(2):
            if self._will_do(repository, name, asked, policy):
                break
            asked_upstream = True
            await self._refresh.renew(repository, name)
        current = repository.current
        if current is None:
            raise repository.failure or _unknown()
        self._touch(current)
        snapshot = self._shown(repository, name, asked)
        if not snapshot.has(name):
            if name in snapshot.presumed:
                return None, repository, CacheStatus(hit=True)
            raise repository.failure or _unknown()
        kept = snapshot.members[name]
        if not asked_upstream or (was_fresh and had and current is before):
            return kept, repository, CacheStatus(hit=True)
        is_new = before is None or kept is not before.members.get(name)
        status = CacheStatus(
            fwd=("request" if was_fresh else "stale") if had else "uri-miss",
            fwd_status=200 if had and kept is not None else None,
            stored=is_new and kept is not None and not isinstance(kept, Document),
            collapsed=collapsed,
        )
        return kept, repository, status

    def _will_do(self, repository: Repository, name: str, asked: Asked, policy: Policy) -> bool:
        """Whether what there is may be shown without a look at the authority."""
        now, current = self._clock.seconds(), repository.current
        if current is None or not repository.fresh(now) or not repository.serves(name):
            return False
        return not insists(asked, current.checked_at, policy, now)

    def _shown(self, repository: Repository, name: str, asked: Asked) -> Snapshot:
        current, previous = repository.current, repository.previous
        assert current is not None
        # HEAD is a look, not a part of the visit: zypper asks so before it begins.
        if asked.head:
            return current
        tokens = (current.token,) if previous is None else (current.token, previous.token)
        now = self._clock.seconds()
        token = self._visits.show(
            str(repository.root), asked.client, asked.connection, name, tokens, now
        )
        if previous is not None and token == previous.token and previous.has(name):
            return previous
        return current

    def _touch(self, snapshot: Snapshot) -> None:
        """Let all members age together, so that none is evicted while the others are in use."""
        for member in snapshot.members.values():
            if member is not None and not isinstance(member, Document):
                self._store.touch(member)

    async def stop(self) -> None:
        """End what is under way."""
        for repository in list(self._repositories.values()):
            await self._refresh.end(repository)

    # What is known already.

    async def _repository(
        self, root: Target, fresh_for: float, source_of: Callable[[str], Source]
    ) -> Repository:
        if root not in self._repositories:
            fresh = Repository(root, fresh_for, source_of)
            found = {name: await self._store.find(fresh.target(name)) for name in MEMBERS}
            # Another may have asked for it meanwhile.
            if root not in self._repositories:
                self._forget_idle()
                self._recall(fresh, found)
                self._repositories[root] = fresh
        repository = self._repositories.pop(root)
        # What asks now is what the next refresh is for.
        repository.source_of = source_of
        # At the end: those that nobody asks for come to the front, and are forgotten first.
        self._repositories[root] = repository
        return repository

    def _recall(self, repository: Repository, found: Mapping[str, Entry | None]) -> None:
        """Put the snapshot together again from what is stored, after a restart."""
        stored = [entry for entry in found.values() if entry is not None]
        if not stored:
            return
        index = stored[0]
        members: dict[str, Entry | Document | None] = {}
        presumed = {name for name in CORE if found[name] is None}
        if found["content"] is None:
            # Only where there is another index it can be that there never was a repomd.xml.
            presumed.discard(REPOMD)
        checked_at = index.checked_at
        for name, entry in found.items():
            if entry is None:
                continue
            repository.know(name)
            if entry.generation == index.generation:
                members[name] = entry
            else:
                checked_at = -math.inf
        repository.current = Snapshot(index.generation, checked_at, members, frozenset(presumed))

    def _forget_idle(self) -> None:
        """
        Let the oldest go when there are too many: made-up names must not pile up.

        Of those that are stored the store knows as much.
        """
        if len(self._repositories) < _REPOSITORIES:
            return
        idle = [
            root
            for root, repository in self._repositories.items()
            if repository.refreshing is None and repository.previous is None
        ]
        for root in idle[: _REPOSITORIES // 10]:
            del self._repositories[root]


def _unknown() -> Unreachable:
    return Unreachable("", "unknown", "the index cannot be had")
