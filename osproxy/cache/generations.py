"""
The current snapshot of each repository's index files, and the swap to the next.

All index files of a repository share one clock. While it runs they are served from the store; when
it has run out, one look at the authority decides for all of them. If they have changed, they are
fetched anew, and all change hands in one reactor turn; clients that have begun with the
snapshot before are shown the rest of it (`osproxy.cache.visits`).
"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger

from osproxy.cache.answers import insists
from osproxy.cache.repository import ABSENT_FOR, Repository
from osproxy.cache.snapshots import (
    REPOMD,
    Change,
    Document,
    Snapshot,
    compare,
    fetch_all,
    fetch_first,
    fetch_next,
    in_memory,
)
from osproxy.cache.visits import LASTS, Visits
from osproxy.http.cachestatus import CacheStatus
from osproxy.repo.kinds import Kind
from osproxy.repo.layout import CORE, MEMBERS
from osproxy.upstream.origin import Overloaded, Unreachable, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.source import Source
    from osproxy.metrics import Metrics
    from osproxy.model import Asked, Target
    from osproxy.repo.policies import Policy
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.threads import InThread

#: Seconds that a client waits for a refresh before it is served what there is.
PATIENCE = 3.0
#: Seconds after a refresh that failed before the next is begun.
REST = 5.0
_REPOSITORIES = 10_000


class Generations:
    """Keeps the snapshots of all repositories, and renews them when they are asked for."""

    _log = Logger()

    def __init__(
        self, store: Store, in_thread: InThread, clock: IReactorTime, metrics: Metrics
    ) -> None:
        self._store = store
        self._in_thread = in_thread
        self._clock = clock
        self._metrics = metrics
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
            await self._renew(repository, name)
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
            if repository.refreshing is not None:
                ended = repository.refreshed.wait()
                repository.refreshing.cancel()
                await ended
            self._retire(repository)

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

    # Bringing it up to date.

    async def _renew(self, repository: Repository, name: str) -> None:
        now = self._clock.seconds()
        if repository.refreshing is None:
            if repository.rests(now):
                return
            self._begin_refresh(repository, now)
        if repository.refreshing is None:
            return
        # Who cannot be served anything waits for the end.
        patience = math.inf
        if repository.serves(name):
            patience = min(repository.begun_at + PATIENCE - now, PATIENCE)
            if patience <= 0:
                return
        waiter = repository.refreshed.wait()
        if patience < math.inf:
            waiter.addTimeout(patience, self._clock)
        try:
            await waiter
        except TimeoutError:
            self._log.info("{root} is served stale, its refresh takes long", root=repository.root)

    def _begin_refresh(self, repository: Repository, now: float) -> None:
        def over(result: object) -> object:
            repository.refreshing = None
            repository.refreshed.wake()
            return result

        repository.begun_at = now
        # Set before the callback is added: the refresh may be over already.
        repository.refreshing = running = Deferred.fromCoroutine(self._refresh(repository))
        running.addBoth(over).addErrback(
            lambda failure: self._log.failure("refreshing {root}", failure, root=repository.root)
        )

    async def _refresh(self, repository: Repository) -> None:
        try:
            if repository.current is None:
                now = self._clock.seconds()
                documents = await fetch_first(repository.source_of, repository.names, now)
                await self._take_over(repository, documents)
                change = Change.NEW
            else:
                change = await self._next(repository, repository.current)
            repository.failure = None
            self._refreshed(change.name)
        except CancelledError:
            # Those who waited must not begin another.
            stopping = Unreachable("", "abandoned", "osproxy is stopping")
            repository.failed(stopping, self._clock.seconds(), REST)
        except UpstreamError as error:
            repository.failed(error, self._clock.seconds(), REST)
            self._refreshed("failed")
            if not isinstance(error, Overloaded):
                # Of that it is said that it is so, not for each of thousands.
                text = "{root} could not be refreshed: {error}"
                self._log.warn(text, root=repository.root, error=error)
        except Exception:
            bug = Unreachable("", "bug", "an error of ours")
            repository.failed(bug, self._clock.seconds(), REST)
            self._refreshed("failed")
            raise

    def _refreshed(self, result: str) -> None:
        self._metrics.refreshes.labels(result.lower()).inc()

    async def _next(self, repository: Repository, current: Snapshot) -> Change:
        source_of = repository.renewing()
        looked = await fetch_all(source_of, repository.names, self._clock.seconds())
        now = self._clock.seconds()
        change, repository.suspect = compare(current, looked, repository.suspect)
        if change is not Change.GONE:
            repository.gone_since = None
        if change is Change.NONE:
            await self._confirm(repository, current, looked)
        elif change is Change.NEW:
            documents = await fetch_next(source_of, current, looked, now)
            await self._take_over(repository, documents)
        elif change is Change.IN_FLUX:
            repository.rest(now, REST)
        elif self._gone(repository, now):
            await self._take_over(repository, looked)
        return change

    def _gone(self, repository: Repository, now: float) -> bool:
        """
        Whether to believe that there is no index any more.

        One 404 may be a mirror's slip; a second one, a minute later, is believed (F4).
        """
        since = repository.gone_since
        if since is not None and now - since >= ABSENT_FOR:
            repository.gone_since = None
            return True
        if since is None or now < since:
            repository.gone_since = since = now
        repository.rest(now, since + ABSENT_FOR - now)
        return False

    async def _confirm(
        self, repository: Repository, current: Snapshot, looked: Mapping[str, Document | None]
    ) -> None:
        """Note that all is as it was, and put in what was lost, or was never asked for."""
        added = {name: one for name, one in looked.items() if not current.has(name)}
        stored = await self._keep(repository, added, current.token)
        now = self._clock.seconds()
        members: dict[str, Entry | Document | None] = {**current.members, **added, **stored}
        for name, member in members.items():
            if isinstance(member, Document):
                members[name] = evolve(member, head=evolve(member.head, date=now))
            elif member is not None:
                self._store.freshen(member, now, evolve(member.head, date=now))
        repository.current = Snapshot(current.token, now, members)

    # The swap.

    async def _take_over(
        self, repository: Repository, documents: Mapping[str, Document | None]
    ) -> None:
        token = secrets.token_hex(8)
        before = repository.current
        previous = None if before is None else await in_memory(before, self._in_thread)
        stored = await self._keep(repository, documents, token)
        # One reactor turn from here on: all members change hands together (F2).
        if stored or not any(documents.values()):
            for name, document in documents.items():
                if document is None:
                    self._store.doom_all(repository.target(name))
        self._retire(repository)
        repository.previous = previous
        repository.current = Snapshot(token, self._clock.seconds(), {**documents, **stored})
        if previous is not None:
            what = "has a new snapshot" if any(documents.values()) else "is gone"
            self._log.info("{root} {what}", root=repository.root, what=what)
            repository.retiring = self._clock.callLater(2 * LASTS, self._retire, repository)

    async def _keep(
        self, repository: Repository, documents: Mapping[str, Document | None], token: str
    ) -> dict[str, Entry]:
        """Store all of them in one step; a store that fails costs no client an answer."""
        drafts: list[tuple[Draft, str]] = []
        names: list[str] = []
        try:
            for name, document in documents.items():
                if document is None:
                    continue
                draft = await self._store.begin(
                    repository.target(name),
                    document.head,
                    len(document.content),
                    kind=Kind.INDEX,
                    generation=token,
                )
                drafts.append((draft, document.digest))
                names.append(name)
                draft.write(document.content)
            entries = await self._store.commit(drafts, self._clock.seconds())
        except BaseException as error:
            for draft, _ in drafts:
                draft.discard()
            if isinstance(error, CancelledError) or not isinstance(error, Exception):
                raise
            self._log.warn(
                "the index of {root} stays in memory: {error!r}", root=repository.root, error=error
            )
            return {}
        return dict(zip(names, entries, strict=True))

    def _retire(self, repository: Repository) -> None:
        """Forget the snapshot before the current one."""
        if repository.retiring is not None and repository.retiring.active():
            repository.retiring.cancel()
        repository.retiring = None
        repository.previous = None


def _unknown() -> Unreachable:
    return Unreachable("", "unknown", "the index cannot be had")
