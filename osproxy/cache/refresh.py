"""
The refresh of a repository's index files: one look at the authority, and the swap if they changed.

Whoever asks for one of them waits for the look that is under way, but not for long if there is
something to be served. What has changed is fetched anew, and all of it changes hands in one reactor
turn.
"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger

from osproxy.cache.repository import ABSENT_FOR
from osproxy.cache.snapshots import (
    Change,
    Document,
    Snapshot,
    compare,
    fetch_all,
    fetch_first,
    fetch_next,
    in_memory,
)
from osproxy.cache.visits import LASTS
from osproxy.repo.kinds import Kind
from osproxy.upstream.origin import Overloaded, Unreachable, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.interfaces import IReactorTime

    from osproxy.cache.repository import Repository
    from osproxy.metrics import Metrics
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.threads import InThread

#: Seconds that a client waits for a refresh before it is served what there is.
PATIENCE = 3.0
#: Seconds after a refresh that failed before the next is begun.
REST = 5.0


class Refresh:
    """Brings repositories up to date, each once however many ask."""

    _log = Logger()

    def __init__(
        self, store: Store, in_thread: InThread, clock: IReactorTime, metrics: Metrics
    ) -> None:
        self._store = store
        self._in_thread = in_thread
        self._clock = clock
        self._metrics = metrics

    async def renew(self, repository: Repository, name: str) -> None:
        """
        Have a repository looked at, unless that was tried a moment ago.

        Returns when it was, or when who wants the file ``name`` has waited long enough for it.
        """
        now = self._clock.seconds()
        if repository.refreshing is None:
            if repository.rests(now):
                return
            self._begin(repository, now)
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

    async def end(self, repository: Repository) -> None:
        """End what is under way, and forget the snapshot before the current one."""
        if repository.refreshing is not None:
            ended = repository.refreshed.wait()
            repository.refreshing.cancel()
            await ended
        self._retire(repository)

    def _begin(self, repository: Repository, now: float) -> None:
        def over(result: object) -> object:
            repository.refreshing = None
            repository.refreshed.wake()
            return result

        repository.begun_at = now
        # Set before the callback is added: the refresh may be over already.
        repository.refreshing = running = Deferred.fromCoroutine(self._run(repository))
        running.addBoth(over).addErrback(
            lambda failure: self._log.failure("refreshing {root}", failure, root=repository.root)
        )

    async def _run(self, repository: Repository) -> None:
        try:
            if repository.current is None:
                now = self._clock.seconds()
                documents = await fetch_first(repository.source_of, repository.names, now)
                await self._take_over(repository, documents)
                change = Change.NEW
            else:
                change = await self._next(repository, repository.current)
            repository.failure = None
            self._count(change.name)
        except CancelledError:
            # Those who waited must not begin another.
            stopping = Unreachable("", "abandoned", "osproxy is stopping")
            repository.failed(stopping, self._clock.seconds(), REST)
        except UpstreamError as error:
            repository.failed(error, self._clock.seconds(), REST)
            self._count("failed")
            if not isinstance(error, Overloaded):
                # Of that it is said that it is so, not for each of thousands.
                text = "{root} could not be refreshed: {error}"
                self._log.warn(text, root=repository.root, error=error)
        except Exception:
            bug = Unreachable("", "bug", "an error of ours")
            repository.failed(bug, self._clock.seconds(), REST)
            self._count("failed")
            raise

    def _count(self, result: str) -> None:
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
