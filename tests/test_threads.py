"""Work leaves the reactor's thread, and its outcome comes back to it."""

from __future__ import annotations

import threading

from twisted.internet import reactor  # noqa: TID251 - what threads report to must really run
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from osproxy.threads import Threads


class ThreadsTests(TestCase):
    """`Threads` runs what waits for a disk."""

    def pool(self, size: int) -> Threads:
        """Make a pool that is stopped when the test ends."""
        threads = Threads(reactor, size, "test")  # type: ignore[arg-type]
        threads.start()
        self.addCleanup(threads.stop)
        return threads

    async def test_elsewhere(self) -> None:
        """A call runs in another thread; what it returns arrives in the reactor's."""
        name = await self.pool(1)(lambda: threading.current_thread().name)
        self.assertNotEqual(name, threading.current_thread().name)
        self.assertIs(threading.current_thread(), threading.main_thread())

    async def test_arguments(self) -> None:
        """Arguments, named ones as well, reach the function."""
        self.assertEqual(await self.pool(1)(int, "ff", base=16), 255)

    async def test_failure(self) -> None:
        """What a call raises is raised where it is awaited."""
        with self.assertRaises(ZeroDivisionError):
            await self.pool(1)(divmod, 1, 0)

    async def test_order(self) -> None:
        """In a pool of one, calls keep their order."""
        threads, seen = self.pool(1), list[int]()
        await gatherResults([threads(seen.append, number) for number in range(50)])
        self.assertEqual(seen, list(range(50)))

    async def test_bound(self) -> None:
        """No more calls than the size run at once, and that many do."""
        threads, both = self.pool(2), threading.Barrier(2)

        def meet() -> str:
            both.wait(timeout=10)
            return threading.current_thread().name

        names = await gatherResults([threads(meet) for _ in range(4)])
        self.assertEqual(len(set(names)), 2)

    async def test_counted(self) -> None:
        """It is known how many calls run or wait, whatever comes of them."""
        threads, go = self.pool(1), threading.Event()
        waiting, failing = threads(go.wait, 10), threads(divmod, 1, 0)
        given_up = threads(int, "7").addErrback(lambda _: None)
        self.assertEqual(threads.calls, 3)
        given_up.cancel()
        self.assertEqual(threads.calls, 2)
        go.set()
        await waiting
        await failing.addErrback(lambda _: None)
        self.assertEqual(threads.calls, 0)

    async def test_not_started(self) -> None:
        """Calls made before the start wait for it."""
        threads = Threads(reactor, 1, "test")  # type: ignore[arg-type]
        waiting = threads(int, "7")
        self.assertFalse(waiting.called)
        threads.start()
        self.addCleanup(threads.stop)
        self.assertEqual(await waiting, 7)

    async def test_stop(self) -> None:
        """A stop finishes what was begun, and a second one is nothing."""
        threads, finished = Threads(reactor, 1, "test"), threading.Event()  # type: ignore[arg-type]
        threads.start()
        done = threads(finished.set)
        threads.stop()
        threads.stop()
        self.assertTrue(finished.is_set())
        await done
