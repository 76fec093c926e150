"""
Fetching again what was lost from the disk while it was in use.

It is done as if a client asked: the same decisions are made, and who else asks meanwhile joins in.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger

from osproxy.http import via
from osproxy.model import Asked, BodyBroken, BodyDiverted, Representation, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.python.failure import Failure

    from osproxy.cache.cache import Cache
    from osproxy.model import Answer, Backend
    from osproxy.store.entries import Entry

# A disk that loses many files at once must not become a flood upstream.
_AT_ONCE = 2


class Refetch:
    """Has the cache fetch entries again that it has lost."""

    _log = Logger()

    def __init__(
        self, cache: Cache, backends: Callable[[], Iterable[Backend]], pseudonym: str
    ) -> None:
        """
        Make it.

        :param backends: gives those that are served now.
        :param pseudonym: our own, by which a loop is seen (RFC 9110 section 7.6.3).
        """
        self._cache = cache
        self._via = via.add((), "1.1", pseudonym)
        self._backends = backends
        self._turn = DeferredSemaphore(_AT_ONCE)
        self._running: set[Deferred[None]] = set()
        self._stopped = False

    def __call__(self, entry: Entry) -> bool:
        """
        Have an entry fetched again, soon, and say whether that will be done.

        Its backend may be gone from the settings; and of what varies by the fields of a request
        it is not known with which it was asked for.
        """
        backend = next((it for it in self._backends() if it.prefix == entry.target.backend), None)
        if self._stopped or backend is None or entry.target.variant:
            return False

        running = Deferred.fromCoroutine(self._fetch(backend, entry))
        self._running.add(running)

        def over(result: object) -> object:
            self._running.remove(running)
            return result

        def failed(failure: Failure) -> None:
            self._log.failure("fetching {target} again", failure, target=entry.target)

        running.addBoth(over).addErrback(failed)
        return True

    def stop(self) -> None:
        """Fetch nothing any more."""
        self._stopped = True
        for running in list(self._running):
            running.cancel()

    async def _fetch(self, backend: Backend, entry: Entry) -> None:
        try:
            await self._turn.acquire()
        except CancelledError:
            return
        try:
            # One that was cancelled gives its turn to the next.
            if self._stopped:
                return
            answer = await self._cache.obtain(backend, *question_of(backend, entry, self._via))
            # A fill that nobody reads may be given up.
            await _read_to_the_end(answer)
        except CancelledError:
            return
        finally:
            self._turn.release()


def question_of(backend: Backend, entry: Entry, way: str) -> tuple[Target, Asked]:
    """Put the question that the entry was the answer to."""
    path, query = entry.target.path, None
    if backend.generic and "?" in path:
        path, _, query = path.partition("?")
    return Target(backend.prefix, path), Asked(query=query, via=way)


async def _read_to_the_end(answer: Answer) -> None:
    body = getattr(answer.content, "body", None)
    if body is None or isinstance(body, bytes):
        return
    try:
        if isinstance(answer.content, Representation):
            # What went wrong is known to the fill, and said by it.
            with suppress(BodyBroken, BodyDiverted):
                while await body.wait(body.available):
                    continue
    finally:
        body.close()
