"""
Work that may wait for a disk, off the reactor thread.

What is passed around is only the function `InThread`: the store, the fills and the readers do not
know how many threads there are, and a test hands them a function that runs at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorFromThreads

_P = ParamSpec("_P")
_T = TypeVar("_T")


class InThread(Protocol):
    """
    Run a function elsewhere and say what came of it.

    Cancelling the Deferred gives up waiting; the function itself runs to its end.
    """

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Call ``function`` with the arguments and fire with its result or failure."""


class Threads:
    """
    A bounded pool: at most ``size`` functions run at once, the rest wait in order.

    With ``size`` 1 it is a thread of one's own, in which calls keep their order (SQLite).

    :ivar calls: how many run or wait, and are waited for.
    """

    def __init__(self, reactor: IReactorFromThreads, size: int, name: str) -> None:
        self._reactor = reactor
        self.calls = 0
        self._pool = ThreadPool(0, size, name)

    def start(self) -> None:
        """Begin to take work; before this, calls wait."""
        self._pool.start()

    def stop(self) -> None:
        """Finish what was begun and end the threads; blocks until then."""
        if self._pool.started:
            self._pool.stop()

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """See `InThread`."""
        self.calls += 1
        running = deferToThreadPool(self._reactor, self._pool, function, *args, **kwargs)
        return running.addBoth(self._over)

    def _over(self, result: _T) -> _T:
        self.calls -= 1
        return result
