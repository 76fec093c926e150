"""Tests of `osproxy.web.gate`."""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from osproxy.web.gate import ACCEPTS_A_TURN, Gate
from tests.web.doubles import FakePort
from tests.web.reading import connect, turn
from tests.web.support import logged, port_of

if TYPE_CHECKING:
    import socket


class Passed:
    """A listener with another around it."""

    def __init__(self, original: FakePort) -> None:
        self.original = original


class Crowded:
    """
    The socket of a listener on a machine that has no room for further connections.

    :ivar number: what the system says of it; 0 once there is room.
    """

    def __init__(self, beneath: socket.socket, number: int) -> None:
        self._beneath = beneath
        self.number = number

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, or have one."""
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return self._beneath.accept()

    def __getattr__(self, name: str) -> Any:
        """Have all else of the socket."""
        return getattr(self._beneath, name)


class GateTests(SynchronousTestCase):
    """Tests of `Gate`."""

    def test_all_or_none(self) -> None:
        """All listeners stop accepting, and go on, together; once is enough, twice no harm."""
        gate, ports = Gate(100), [FakePort(), FakePort()]
        gate.add(ports[0])
        gate.add(Passed(ports[1]))  # type: ignore[arg-type]
        events = logged(self)
        for act, reading in ((gate.close, False), (gate.open, True)):
            for _ in range(2):
                act()
                self.assertEqual([port.reading for port in ports], [reading, reading])
                self.assertEqual(gate.shut, not reading)
        self.assertEqual(len(events), 1)

    def test_closed_listeners(self) -> None:
        """Listeners that were closed are not read from again."""
        gate, port = Gate(100), FakePort()
        gate.add(port)
        gate.close()
        gate.clear()
        gate.open()
        self.assertFalse(port.reading)

    def test_accepts_a_few_at_a_time(self) -> None:
        """A listener that has taken to accepting many at a time is brought back."""
        gate, port = Gate(100), FakePort()
        gate.add(port)
        self.assertEqual(port.numberAccepts, ACCEPTS_A_TURN)
        port.numberAccepts = 500
        gate.calm()
        self.assertEqual(port.numberAccepts, ACCEPTS_A_TURN)

    def test_short(self) -> None:
        """Descriptors run out when the lowest that is free is one of the reserve."""
        gate = Gate(100)
        self.assertEqual([gate.short(number) for number in (5, 99, 100, 400)], [0, 0, 1, 1])
        free = os.dup(0)
        os.close(free)
        gate.descriptors = free
        self.assertTrue(gate.short())
        gate.descriptors = free + 10
        self.assertFalse(gate.short())

    def test_none_left(self) -> None:
        """Without any descriptor left they run out, too."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        self.assertTrue(Gate(100).short())


class PortTests(TestCase):
    """A listener of the reactor's."""

    timeout = 60

    def setUp(self) -> None:
        """Listen, behind a gate."""
        self.accepted = accepted = Deferred[None]()

        class Tells(Protocol):
            def connectionMade(self) -> None:
                accepted.callback(None)
                assert self.transport is not None
                self.transport.loseConnection()

        factory: Any = ServerFactory.forProtocol(Tells)
        self.port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.gate = Gate(1 << 20)

    async def test_kernel_queues(self) -> None:
        """Who connects while it is shut is accepted once it is open."""
        self.gate.add(self.port)
        self.gate.close()
        client = await connect(port_of(self.port))
        for _ in range(5):
            await turn()
        self.assertFalse(self.accepted.called)
        self.gate.open()
        await self.accepted
        client.leave()

    async def test_no_room(self) -> None:
        """Who cannot be accepted waits, too; that is told once, and not tried again at once."""
        numbers = (errno.ENFILE, errno.EMFILE, errno.ENOBUFS, errno.ENOMEM)
        self.port.socket = crowded = Crowded(self.port.socket, numbers[0])
        self.gate.add(self.port)
        told: list[str] = []

        def no_room(why: str) -> None:
            told.append(why)
            self.gate.close()

        self.gate.no_room = no_room
        events = logged(self)
        self.gate.close()
        client = await connect(port_of(self.port))
        for number in numbers:
            crowded.number = number
            self.gate.open()
            for _ in range(20):
                await turn()
        self.assertEqual(told, list(map(os.strerror, numbers)))
        self.assertFalse(self.accepted.called)
        crowded.number = 0
        self.gate.open()
        await self.accepted
        self.assertEqual([it for it in events if "acceptError" in it], [])
        client.leave()

    async def test_no_descriptor(self) -> None:
        """Who connects while there is no descriptor is left alone until there is one."""
        accepted: list[Protocol] = []

        class Tells(Protocol):
            def connectionMade(self) -> None:
                accepted.append(self)
                assert self.transport is not None
                self.transport.loseConnection()

        factory: Any = ServerFactory.forProtocol(Tells)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        gate = Gate(1 << 20)
        gate.no_room = lambda _: gate.close()
        gate.add(port)
        gate.close()
        clients = [await connect(port_of(port)) for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        free = os.dup(0)
        os.close(free)
        events = logged(self)
        for most, count in ((free, 0), (free + 1, 1)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            gate.open()
            # The one that was accepted is not closed before the next turn.
            while not gate.shut:
                await turn()
            self.assertEqual(len(accepted), count)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        gate.open()
        while len(accepted) < 3:
            await turn()
        self.assertNotIn("twisted.internet.tcp.Port", {it["log_namespace"] for it in events})
        for client in clients:
            client.leave()
