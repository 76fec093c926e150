"""
The current snapshot of each repository's index files, and the swap to the next.

All index files of a repository share one clock. While it runs they are served from the store; when
it has run out, one look at the authority decides for all of them. If repomd.xml has changed, the
others are fetched anew, and all change hands in one reactor turn; clients that have begun with the
snapshot before are shown the rest of it (`osproxy.cache.visits`).
"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger

from osproxy.cache.repository import ABSENT_FOR, Repository
from osproxy.cache.snapshots import (
    REPOMD,
    Change,
    Document,
    Snapshot,
    belongs_together,
    compare,
    fetch,
    fetch_all,
    in_memory,
    still_the_same,
)
from osproxy.cache.visits import LASTS, Visits
from osproxy.http.cachestatus import CacheStatus
from osproxy.repo.kinds import Kind
from osproxy.repo.layout import CORE, MEMBERS
from osproxy.store.ledger import CacheFull
from osproxy.upstream.origin import Unreachable, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.source import Source
    from osproxy.model import Asked, Target
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.threads import InThread

#: Seconds that a client waits for a refresh before it is served what there is.
PATIENCE = 3.0
#: Seconds after a refresh that failed before the next is begun.
REST = 5.0
_ATTEMPTS = 3
_REPOSITORIES = 10_000


class Generations:
    """Keeps the snapshots of all repositories, and renews them when they are asked for."""

    _log = Logger()

    def __init__(self, store: Store, in_thread: InThread, clock: IReactorTime) -> None:
        self._store = store
        self._in_thread = in_thread
        self._clock = clock
        self._repositories: dict[Target, Repository] = {}
        self._visits = Visits()

    async def member(
        self,
        root: Target,
        name: str,
        asked: Asked,
        *,
        fresh_for: float,
        source_of: Callable[[str], Source],
    ) -> tuple[Entry | Document | None, Repository, CacheStatus]:
        """
        Return the index file ``name`` of the snapshot that this client is to see, or None.

        Besides, whose file it is, and why the authority was asked, if it was and has answered.

        :param source_of: gives the source of a member by its name.
        :raises UpstreamError: when nothing is stored and the authority cannot be asked.
        """
        now = self._clock.seconds()
        repository = self._repository(root, fresh_for, source_of)
        if not repository.whole:
            # Evicted, or lost from the disk: the others alone might not fit what comes now.
            self._retire(repository)
            repository.current = None
        status = CacheStatus(hit=True)
        if not repository.fresh(now):
            status = CacheStatus(
                fwd="uri-miss" if repository.current is None else "stale",
                stored=True,
                collapsed=repository.refreshing is not None,
            )
            await self._renew(repository, now)
        current = repository.current
        if current is not None:
            self._touch(current)
        if current is None:
            raise repository.failure or Unreachable("", "unknown", "the index cannot be had")
        snapshot = self._shown(repository, name, asked, now)
        if name not in snapshot.members:
            await self._complete(repository, snapshot, name)
        return snapshot.members.get(name), repository, status

    def _shown(self, repository: Repository, name: str, asked: Asked, now: float) -> Snapshot:
        current, previous = repository.current, repository.previous
        assert current is not None
        # HEAD is a look, not a part of the visit: zypper asks so before it begins.
        if asked.head:
            return current
        tokens = (current.token,) if previous is None else (current.token, previous.token)
        token = self._visits.show(
            str(repository.root), asked.client, asked.connection, name, tokens, now
        )
        if previous is not None and token == previous.token and name in previous.members:
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

    def _repository(
        self, root: Target, fresh_for: float, source_of: Callable[[str], Source]
    ) -> Repository:
        repository = self._repositories.get(root)
        if repository is None:
            self._forget_idle()
            repository = Repository(root, fresh_for, source_of)
            self._repositories[root] = repository
            self._recall(repository)
        return repository

    def _recall(self, repository: Repository) -> None:
        """Put the snapshot together again from the store, after a restart."""
        index = self._store.find(repository.target(REPOMD))
        if index is None:
            return
        snapshot = Snapshot(index.generation, index.checked_at)
        for name in MEMBERS:
            entry = self._store.find(repository.target(name))
            if entry is not None and entry.generation == index.generation:
                snapshot.members[name] = entry
        if not snapshot.members.keys() >= set(CORE):
            # Those that are fetched now must not be of a later snapshot than the others.
            snapshot.checked_at = -math.inf
        repository.current = snapshot

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

    async def _renew(self, repository: Repository, now: float) -> None:
        if repository.refreshing is None:
            if now < repository.rests_until:
                return
            self._begin_refresh(repository)
        if repository.refreshing is None:
            return
        waiter = repository.refreshed.wait()
        if repository.current is not None:
            waiter.addTimeout(PATIENCE, self._clock)
        try:
            await waiter
        except TimeoutError:
            self._log.info("{root} is served stale, its refresh takes long", root=repository.root)

    def _begin_refresh(self, repository: Repository) -> None:
        def over(result: object) -> object:
            repository.refreshing = None
            repository.refreshed.fire()
            return result

        # Set before the callback is added: the refresh may be over already.
        repository.refreshing = running = Deferred.fromCoroutine(self._refresh(repository))
        running.addBoth(over).addErrback(
            lambda failure: self._log.failure("refreshing {root}", failure, root=repository.root)
        )

    async def _refresh(self, repository: Repository) -> None:
        now = self._clock.seconds()
        try:
            if repository.current is None:
                await self._first(repository)
            else:
                await self._next(repository, repository.current)
            repository.failure = None
        except UpstreamError as error:
            repository.failure = error
            repository.rests_until = now + REST
            self._log.warn(
                "{root} could not be refreshed: {error}", root=repository.root, error=error
            )
        except CancelledError:
            repository.failure = Unreachable("", "abandoned", "osproxy is stopping")
        except Exception:
            repository.failure = Unreachable("", "bug", "an error of ours")
            repository.rests_until = now + REST
            raise

    async def _first(self, repository: Repository) -> None:
        await self._take_over(repository, await self._consistent(repository, {}))

    async def _next(self, repository: Repository, current: Snapshot) -> None:
        now = self._clock.seconds()
        looked = await fetch_all(repository.source_of, (REPOMD, CORE[3]), now)
        change, repository.suspect = compare(current, looked, repository.suspect)
        if change is not Change.GONE:
            repository.gone_since = None
        if change is Change.NONE:
            self._confirm(current)
        elif change is Change.NEW:
            documents = await self._consistent(repository, looked)
            await self._take_over(repository, documents)
        elif change is Change.IN_FLUX:
            repository.rests_until = now + REST
        elif repository.gone_since is None or now - repository.gone_since < ABSENT_FOR:
            # One 404 may be a mirror's slip; a second one, a minute later, is believed (F4).
            repository.gone_since = repository.gone_since or now
            repository.rests_until = repository.gone_since + ABSENT_FOR
        else:
            self._gone(repository, current)

    async def _consistent(
        self, repository: Repository, looked: Mapping[str, Document | None]
    ) -> dict[str, Document | None]:
        """
        Get all members as they are at one time.

        :param looked: what has just been fetched.
        :raises UpstreamError: when they cannot be had, or the authority changes too fast.
        """
        before = repository.current
        names = [*CORE, *(before.members if before else ())]
        for _ in range(_ATTEMPTS):
            missing = [name for name in dict.fromkeys(names) if name not in looked]
            fetched = await fetch_all(repository.source_of, missing, self._clock.seconds())
            documents = {**looked, **fetched}
            index = documents[REPOMD]
            if index is None:
                return documents
            if belongs_together(before, documents) and await still_the_same(
                repository.source_of(REPOMD), index
            ):
                return documents
            looked = {}
        raise Unreachable("", "in flux", "the authority is publishing a new snapshot")

    def _confirm(self, snapshot: Snapshot) -> None:
        now = self._clock.seconds()
        snapshot.checked_at = now
        for name, member in snapshot.members.items():
            if isinstance(member, Document):
                snapshot.members[name] = evolve(member, head=evolve(member.head, date=now))
            elif member is not None:
                self._store.freshen(member, now, evolve(member.head, date=now))

    # The swap.

    async def _take_over(
        self, repository: Repository, documents: Mapping[str, Document | None]
    ) -> None:
        token = secrets.token_hex(8)
        before = repository.current
        previous = None if before is None else await in_memory(before, self._in_thread)
        stored = await self._keep(repository, documents, token)
        # One reactor turn from here on: all members change hands together (F2).
        snapshot = Snapshot(token, self._clock.seconds())
        snapshot.members.update(documents)
        snapshot.members.update(stored)
        self._retire(repository)
        repository.previous, repository.current = previous, snapshot
        if previous is not None:
            self._log.info("{root} has a new snapshot", root=repository.root)
            repository.retiring = self._clock.callLater(2 * LASTS, self._retire, repository)

    async def _keep(
        self, repository: Repository, documents: Mapping[str, Document | None], token: str
    ) -> dict[str, Entry]:
        """Store all of them in one step; a disk that has no room costs no client an answer."""
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
        except (CacheFull, OSError) as error:
            for draft, _ in drafts:
                draft.discard()
            self._log.warn(
                "the index of {root} stays in memory: {error}", root=repository.root, error=error
            )
            return {}
        except BaseException:
            for draft, _ in drafts:
                draft.discard()
            raise
        return dict(zip(names, entries, strict=True))

    def _retire(self, repository: Repository) -> None:
        """Forget the snapshot before the current one."""
        if repository.retiring is not None and repository.retiring.active():
            repository.retiring.cancel()
        repository.retiring = None
        repository.previous = None

    def _gone(self, repository: Repository, current: Snapshot) -> None:
        self._log.info("{root} is gone", root=repository.root)
        for member in current.members.values():
            if member is not None and not isinstance(member, Document):
                self._store.doom(member)
        repository.current = Snapshot(
            secrets.token_hex(8), self._clock.seconds(), dict.fromkeys(CORE)
        )
        repository.gone_since = None

    # A member that nobody asked for before.

    async def _complete(self, repository: Repository, snapshot: Snapshot, name: str) -> None:
        """
        Fetch one more member of the snapshot.

        :raises UpstreamError: when it cannot be had.
        """
        now = self._clock.seconds()
        if repository.failure is not None and now < repository.rests_until:
            raise repository.failure
        try:
            document = await fetch(repository.source_of(name), now)
        except UpstreamError as error:
            repository.failure, repository.rests_until = error, self._clock.seconds() + REST
            raise
        if name in snapshot.members:
            return
        stored = await self._keep(repository, {name: document}, snapshot.token)
        snapshot.members[name] = stored.get(name, document)
