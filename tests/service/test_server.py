"""Tests of `osproxy.service.server`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from osproxy.service.server import Server
from osproxy.service.shutdown import Step
from osproxy.service.systemd import ServiceManager
from osproxy.store.layout import StoreError
from osproxy.web.listeners import Listeners, Listening
from tests.service.managers import Manager
from tests.web.support import logged, port_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Reactor(Clock):
    """
    A reactor of which the test says when it runs.

    :ivar done: what it was told to do, in order.
    """

    def __init__(self, done: list[str]) -> None:
        super().__init__()
        self.done = done
        self.when_running: list[Callable[[], object]] = []
        self.from_thread: list[Callable[[], object]] = []
        self.triggers: list[tuple[Any, ...]] = []

    def callWhenRunning(self, function: Callable[[], object]) -> None:  # noqa: N802
        """Keep what is to be called."""
        self.when_running.append(function)

    def callFromThread(self, function: Callable[[], object]) -> None:  # noqa: N802
        """Keep what is to be called."""
        self.from_thread.append(function)

    def addSystemEventTrigger(self, *trigger: Any) -> None:  # noqa: N802
        """Keep what is to be done at the end."""
        self.triggers.append(trigger)

    def stop(self) -> None:
        """Note that."""
        self.done.append("reactor stopped")

    def run(self) -> None:
        """Begin to run."""
        waiting, self.when_running = self.when_running, []
        for function in waiting:
            function()

    def turn(self) -> None:
        """Call what was to be called from a thread."""
        waiting, self.from_thread = self.from_thread, []
        for function in waiting:
            function()


def manager_of(reactor: Reactor, address: str) -> ServiceManager:
    """Make what tells the service manager."""
    return ServiceManager({"NOTIFY_SOCKET": address}, reactor, lambda: "fine", lambda: 1.0)


class ServerTests(SynchronousTestCase):
    """Tests of `Server`, whose parts only say that they were called."""

    def setUp(self) -> None:
        """Keep the signal handlers of the test's process."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.done: list[str] = []
        self.reactor = Reactor(self.done)
        self.opening: Deferred[None] = Deferred()
        self.reloading: Deferred[None] = succeed(None)
        self.manager = Manager(self)

    def server(self, *steps: Step, listening: Listening | None = None) -> Server:
        """Make a server."""

        def open_store() -> Deferred[None]:
            self.done.append("open")
            return self.opening

        async def reload() -> None:
            self.done.append("reload")
            await self.reloading

        listeners = Listeners([] if listening is None else [listening])
        return Server(
            self.reactor,
            listeners,
            manager_of(self.reactor, self.manager.address),
            reload=reload,
            begin=(lambda: self.done.append("disk"), lambda: self.done.append("catalogue")),
            open_store=open_store,
            announcements=("these may connect: all",),
            warnings=(),
            steps=steps,
        )

    def step(self, name: str, limit: float | None = None) -> Step:
        """Make a step that is done at once."""
        return Step(name, lambda: self.done.append(name), limit)

    def start(self, server: Server) -> None:
        """Start as twistd does."""
        server.privilegedStartService()
        server.startService()
        self.reactor.run()

    def test_start(self) -> None:
        """Threads begin before the store is opened, and nothing begins with privileges."""
        server = self.server()
        server.privilegedStartService()
        self.assertEqual(self.done, [])
        server.startService()
        self.assertEqual(self.done, ["disk", "catalogue", "open"])

    def test_announcements(self) -> None:
        """The log says what the operator should know, and when requests are answered."""
        events = logged(self)
        self.start(self.server())
        self.assertEqual(
            [event["line"] for event in events if "line" in event], ["these may connect: all"]
        )
        self.assertNotIn("ready", [event.get("log_format") for event in events])
        self.opening.callback(None)
        self.assertIn("ready", [event.get("log_format") for event in events])

    def test_told(self) -> None:
        """The service manager hears of readiness when the store is open, and first of a stop."""
        server = self.server(self.step("listeners"))
        self.start(server)
        self.assertEqual(self.manager.heard(), [["STATUS=opening the cache"]])
        self.opening.callback(None)
        self.assertEqual([lines[0] for lines in self.manager.heard()], ["READY=1"])
        bodies: Deferred[None] = Deferred()
        self.opening = succeed(None)
        server = self.server(Step("bodies", lambda: bodies))
        self.start(server)
        self.manager.heard()
        stopping = server.stopService()
        self.assertEqual([lines[0] for lines in self.manager.heard()], ["STOPPING=1"])
        self.assertNotEqual(self.reactor.getDelayedCalls(), [])
        bodies.callback(None)
        self.successResultOf(stopping)

    def test_silent_in_the_end(self) -> None:
        """A stop leaves no timer behind."""
        self.opening = succeed(None)
        server = self.server()
        self.start(server)
        self.successResultOf(server.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_reload(self) -> None:
        """SIGHUP has what was written anew taken up."""
        self.opening = succeed(None)
        self.start(self.server())
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertNotIn("reload", self.done)
        self.reactor.turn()
        self.assertEqual(self.done[-1], "reload")

    def test_reload_while_opening(self) -> None:
        """Before the store is open nothing is reloaded: who has reloaded is ready."""
        self.start(self.server())
        os.kill(os.getpid(), signal.SIGHUP)
        self.reactor.turn()
        self.assertNotIn("reload", self.done)
        self.opening.callback(None)
        self.assertEqual(self.done[-1], "reload")

    def test_reload_before_all(self) -> None:
        """A SIGHUP that comes before the reactor runs is heard when it does."""
        self.opening = succeed(None)
        server = self.server()
        server.privilegedStartService()
        server.startService()
        os.kill(os.getpid(), signal.SIGHUP)
        self.reactor.run()
        self.reactor.turn()
        self.assertEqual(self.done[-1], "reload")

    def test_reload_that_fails(self) -> None:
        """A fault in it is logged, and nobody stops for it."""
        self.opening = succeed(None)
        self.reloading = fail(ZeroDivisionError())
        self.start(self.server())
        os.kill(os.getpid(), signal.SIGHUP)
        self.reactor.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNotIn("reactor stopped", self.done)

    def test_stop_while_opening(self) -> None:
        """A store that is being opened is waited for before it is closed."""
        server = self.server(self.step("listeners"), self.step("store"))
        self.start(server)
        stopping = server.stopService()
        self.assertNoResult(stopping)
        self.opening.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.done, ["disk", "catalogue", "open", "listeners", "store"])

    def test_stop_after_failure(self) -> None:
        """One that could not be opened is not waited for."""
        server = self.server(self.step("store"))
        self.start(server)
        self.opening.errback(OSError("no such disk"))
        self.successResultOf(server.stopService())
        self.assertEqual(self.done[-1], "store")
        self.flushLoggedErrors(OSError)

    def test_stop_unstarted(self) -> None:
        """A server that was never started can be stopped."""
        self.successResultOf(self.server(self.step("store")).stopService())
        self.assertEqual(self.done, ["store"])

    def test_signal(self) -> None:
        """SIGTERM stops the reactor, which stops the steps in their order."""
        self.opening = succeed(None)
        server = self.server(self.step("listeners"), self.step("bodies", 30), self.step("store"))
        self.start(server)
        del self.done[:]
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.done, [])
        self.reactor.turn()
        self.assertEqual(self.done, ["reactor stopped"])
        self.successResultOf(server.stopService())
        self.assertEqual(self.done[1:], ["listeners", "bodies", "store"])

    def test_signals_before(self) -> None:
        """Until the reactor runs the signals are those of the process."""
        before = signal.getsignal(signal.SIGTERM)
        server = self.server()
        server.privilegedStartService()
        server.startService()
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)
        self.reactor.run()
        self.assertNotEqual(signal.getsignal(signal.SIGTERM), before)

    def test_drain_limit(self) -> None:
        """Bodies under way have their time and no more; what comes after waits for them."""
        self.opening = succeed(None)
        under_way: Deferred[None] = Deferred()
        server = self.server(Step("bodies", lambda: under_way, 30.0), self.step("store"))
        self.start(server)
        stopping = server.stopService()
        self.reactor.advance(29)
        self.assertNoResult(stopping)
        self.assertNotIn("store", self.done)
        self.reactor.advance(1)
        self.successResultOf(stopping)
        self.assertEqual(self.done[-1], "store")

    def test_store_unusable(self) -> None:
        """When the store cannot be opened the reactor stops and the exit status is 1."""
        self.start(self.server())
        self.opening.errback(OSError("no such disk"))
        self.reactor.run()
        self.assertEqual(self.done[-1], "reactor stopped")
        self.assertEqual(self.reactor.triggers, [("after", "shutdown", os._exit, 1)])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(
            self.manager.heard()[-1], ["STATUS=the cache cannot be opened: no such disk"]
        )

    def test_store_unusable_for_a_reason(self) -> None:
        """What is the operator's to put right is said in one line, without a traceback."""
        self.start(self.server())
        self.opening.errback(StoreError("somebody's"))
        self.reactor.run()
        self.assertEqual(self.reactor.triggers, [("after", "shutdown", os._exit, 1)])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_store_unusable_at_once(self) -> None:
        """That may be before the reactor runs, which then stops as soon as it does."""
        self.opening = fail(OSError("no such disk"))
        server = self.server()
        server.privilegedStartService()
        server.startService()
        self.assertNotIn("reactor stopped", self.done)
        self.reactor.run()
        self.assertEqual(self.done[-1], "reactor stopped")
        self.flushLoggedErrors(OSError)

    def test_opened_at_once(self) -> None:
        """An empty store may be open at once."""
        self.opening = succeed(None)
        self.start(self.server())
        self.assertEqual(self.reactor.triggers, [])


class ListeningTests(TestCase):
    """How a server listens."""

    def server(self, port: int) -> Server:
        """Make a server that listens on a port."""
        reactor = Reactor([])
        endpoint = TCP4ServerEndpoint(real_reactor, port, 50, "127.0.0.1")
        return Server(
            reactor,
            Listeners([Listening(endpoint, Factory(), f"--listen (command line): {port}")]),
            manager_of(reactor, ""),
            reload=lambda: succeed(None),
            begin=(),
            open_store=lambda: succeed(None),
            announcements=(),
            warnings=(),
            steps=(),
        )

    async def test_with_privileges(self) -> None:
        """A port is had while the process has its privileges, and once."""
        server = self.server(0)
        server.privilegedStartService()
        self.assertEqual(len(server.listeners.ports), 1)
        server.startService()
        self.assertEqual(len(server.listeners.ports), 1)
        await server.listeners.stopService()

    async def test_without(self) -> None:
        """Whoever starts the server without that step has it listen too, as twist does."""
        server = self.server(0)
        server.startService()
        self.assertEqual(len(server.listeners.ports), 1)
        await server.listeners.stopService()

    async def test_taken(self) -> None:
        """A port that cannot be had ends the process with one line, in either way of starting."""
        first = self.server(0)
        first.privilegedStartService()
        port = port_of(first.listeners.ports[0])
        for start in (Server.privilegedStartService, Server.startService):
            with self.assertRaises(SystemExit) as raised:
                start(self.server(port))
            self.assertEqual(
                raised.exception.code,
                f"osproxy: --listen (command line): {port}: cannot listen: Address already in use"
                " (something listens there already; stop that or choose another port)",
            )
        await first.listeners.stopService()
