"""Tests of `osproxy.service.shutdown`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.service.shutdown import Shutdown, SignalHandlers, Step

if TYPE_CHECKING:
    from collections.abc import Callable


class ShutdownTests(SynchronousTestCase):
    """Tests of `Shutdown`."""

    def setUp(self) -> None:
        """Make a clock, and a list of what was done."""
        self.clock = Clock()
        self.done: list[str] = []

    def step(self, name: str) -> Step:
        """Make a step that is done at once."""
        return Step(name, lambda: self.done.append(name))

    def stop(self, *steps: Step) -> Deferred[None]:
        """Stop a service of these steps."""
        shutdown = Shutdown(steps, self.clock)
        shutdown.startService()
        return shutdown.stopService()

    def test_in_order(self) -> None:
        """A step begins when the one before is done, and the stop ends with the last."""
        accepting: Deferred[None] = Deferred()
        stopped = self.stop(
            Step("accepting", lambda: accepting), self.step("bodies"), self.step("store")
        )
        self.assertEqual(self.done, [])
        self.assertNoResult(stopped)
        accepting.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.done, ["bodies", "store"])

    def test_coroutine(self) -> None:
        """A step may be a coroutine."""

        async def close() -> None:
            self.done.append("closed")

        self.successResultOf(self.stop(Step("store", close)))
        self.assertEqual(self.done, ["closed"])

    def test_out_of_time(self) -> None:
        """A step that takes longer than its limit is given up, and the next one begins."""
        given_up: list[Deferred[None]] = []
        endless: Deferred[None] = Deferred(given_up.append)
        stopped = self.stop(Step("bodies", lambda: endless, 30.0), self.step("store"))
        self.clock.advance(29)
        self.assertNoResult(stopped)
        self.clock.advance(1)
        self.successResultOf(stopped)
        self.assertEqual((given_up, self.done), ([endless], ["store"]))

    def test_in_time(self) -> None:
        """A step that is done within its limit leaves no timer behind."""
        self.successResultOf(self.stop(Step("bodies", lambda: None, 30.0)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """A step that fails is logged, and the next one begins."""

        def fail() -> None:
            raise ValueError("broken")

        self.successResultOf(self.stop(Step("bodies", fail), self.step("store")))
        self.assertEqual(self.done, ["store"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class SignalHandlersTests(SynchronousTestCase):
    """Tests of `SignalHandlers`."""

    def setUp(self) -> None:
        """Keep the handlers of the test's process."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.turns: list[Callable[[], object]] = []
        self.stopped = self.reloads = 0
        self.left: list[int] = []

    def stop(self) -> None:
        """Count the stops."""
        self.stopped += 1

    def reload(self) -> None:
        """Count the reloads."""
        self.reloads += 1

    def handlers(self, stop: Callable[[], object] | None = None) -> SignalHandlers:
        """Make handlers that reach the test, and install them."""
        handlers = SignalHandlers(
            self.turns.append, stop or self.stop, self.reload, self.left.append
        )
        handlers.install()
        return handlers

    def test_first(self) -> None:
        """SIGTERM stops the reactor, from the reactor's own turn."""
        self.handlers()
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual((self.stopped, len(self.turns)), (0, 1))
        self.turns[0]()
        self.assertEqual((self.stopped, self.left), (1, []))

    def test_interrupt(self) -> None:
        """SIGINT does the same."""
        self.handlers()
        os.kill(os.getpid(), signal.SIGINT)
        self.turns[0]()
        self.assertEqual((self.stopped, self.left), (1, []))

    def test_second(self) -> None:
        """A second signal of either kind ends the process at once, and not with status 0."""
        self.handlers()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual((self.left, len(self.turns)), ([143], 1))

    def test_reload(self) -> None:
        """SIGHUP reloads, from the reactor's own turn, as often as it comes."""
        self.handlers()
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(self.reloads, 0)
        for turn in self.turns:
            turn()
        self.assertEqual((self.reloads, self.stopped, self.left), (2, 0, []))

    def test_other_reload(self) -> None:
        """SIGUSR1, by which others rotate logs, does the same and not what it does by default."""
        self.addCleanup(
            signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        )
        self.handlers()
        os.kill(os.getpid(), signal.SIGUSR1)
        (turn,) = self.turns
        turn()
        self.assertEqual(self.reloads, 1)

    def test_reload_of_others(self) -> None:
        """Where twistd has SIGUSR1 rotate its own log, that is left to it."""
        rotated: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: rotated.append(number))
        self.handlers()
        os.kill(os.getpid(), signal.SIGUSR1)
        self.assertEqual((rotated, self.turns), ([signal.SIGUSR1], []))

    def test_reload_while_stopping(self) -> None:
        """Once a stop was asked for SIGHUP does nothing."""
        self.handlers()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual((len(self.turns), self.left), (1, []))

    def test_stopped_already(self) -> None:
        """A signal that comes while the reactor stops of itself is no error."""

        def stop() -> None:
            raise ReactorNotRunning

        self.handlers(stop)
        os.kill(os.getpid(), signal.SIGTERM)
        self.turns[0]()
        self.assertEqual(self.left, [])
