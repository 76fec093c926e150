"""Tests of `osproxy.web.listeners`."""

from __future__ import annotations

import os
import socket

from attrs import evolve
from twisted.internet import reactor  # noqa: TID251
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from osproxy.config.listeners import Passed
from osproxy.web.listeners import BindFailed, Listeners, Listening, PassedEndpoint, probe
from tests.web.support import port_of


@implementer(IStreamServerEndpoint)
class Endpoint:
    """An endpoint that does what the test says."""

    def __init__(self, result: Deferred[IListeningPort]) -> None:
        self.result = result

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Give the result."""
        return self.result


class Greeter(Protocol):
    """Greets, and closes."""

    def connectionMade(self) -> None:
        """Do so."""
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


class Greeting(Factory):
    """Greets who connects."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Greeter:
        """See `twisted.internet.interfaces.IProtocolFactory`."""
        return Greeter()


def taken(family: socket.AddressFamily, host: str) -> socket.socket:
    """Listen, so that a port is taken."""
    listening = socket.socket(family)
    listening.bind((host, 0))
    listening.listen()
    return listening


def listening_on(port: int, description: str) -> Listening:
    """Describe a listener on the loopback interface."""
    return Listening(TCP4ServerEndpoint(reactor, port, 50, "127.0.0.1"), Factory(), description)


class ListenersTests(TestCase):
    """Tests of `Listeners`."""

    async def test_listens_until_stopped(self) -> None:
        """From start to stop clients can connect, then no more."""
        listeners = Listeners([listening_on(0, "a"), listening_on(0, "b")])
        listeners.startService()
        addresses = [("127.0.0.1", port_of(port)) for port in listeners.ports]
        self.assertEqual(len(addresses), 2)
        for address in addresses:
            socket.create_connection(address, 10).close()
        await listeners.stopService()
        for address in addresses:
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(address, 10)

    async def test_privileged(self) -> None:
        """Ports opened while the process has its privileges are not opened again at the start."""
        listeners = Listeners([listening_on(0, "a")])
        listeners.privilegedStartService()
        listeners.startService()
        self.assertEqual(len(listeners.ports), 1)
        await listeners.stopService()

    async def test_port_in_use(self) -> None:
        """A port in use is one line that names the listener and says what to do."""
        with taken(socket.AF_INET, "127.0.0.1") as other:
            port = other.getsockname()[1]
            listeners = Listeners([listening_on(port, f"--bind-address 127.0.0.1:{port}")])
            with self.assertRaises(BindFailed) as raised:
                listeners.startService()
        self.assertEqual(
            str(raised.exception),
            f"--bind-address 127.0.0.1:{port}: cannot listen: Address already in use"
            " (something listens there already; stop that or choose another port)",
        )

    async def test_all_or_none(self) -> None:
        """When one listener cannot be had the others are given up."""
        with taken(socket.AF_INET, "127.0.0.1") as other:
            first = listening_on(0, "a")
            listeners = Listeners([first, listening_on(other.getsockname()[1], "b")])
            with self.assertRaises(BindFailed):
                listeners.startService()
        self.assertEqual(listeners.ports, [])
        await listeners.stopService()

    def test_other_failure(self) -> None:
        """Whatever keeps an endpoint from listening is said in the same way."""
        refused = Endpoint(fail(ValueError("no such domain")))
        listeners = Listeners([Listening(refused, Factory(), "--listen odd:")])
        with self.assertRaises(BindFailed) as raised:
            listeners.startService()
        self.assertEqual(str(raised.exception), "--listen odd:: cannot listen: no such domain")

    def test_late_failure(self) -> None:
        """An endpoint that fails only after the start is logged."""
        late: Deferred[IListeningPort] = Deferred()
        Listeners([Listening(Endpoint(late), Factory(), "--listen odd:")]).startService()
        late.errback(ValueError("gone"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class PassedTests(TestCase):
    """Tests of `PassedEndpoint`."""

    timeout = 60

    def passed(self, family: socket.AddressFamily, address: object) -> tuple[Passed, object]:
        """Listen as the service manager does; give what is passed, and where it is."""
        listening = socket.socket(family)
        self.addCleanup(listening.close)
        listening.bind(address)  # type: ignore[arg-type]
        listening.listen()
        passed = Passed(os.dup(listening.fileno()), family, "http", "somewhere", tls=False)
        return passed, listening.getsockname()

    def connected(self, family: socket.AddressFamily, address: object) -> socket.socket:
        """Connect."""
        client = socket.socket(family)
        self.addCleanup(client.close)
        client.settimeout(10)
        client.connect(address)  # type: ignore[arg-type]
        return client

    async def check(self, family: socket.AddressFamily, address: object) -> None:
        """Pass a socket to one process after the other; who connects in between is served."""
        passed, address = self.passed(family, address)
        next_one = evolve(passed, fileno=os.dup(passed.fileno))
        client = self.connected(family, address)
        first = Listeners([Listening(PassedEndpoint(reactor, passed), Greeting(), "socket http")])
        first.startService()
        self.assertEqual(await deferToThread(client.recv, 5), b"hello")
        await first.stopService()
        client = self.connected(family, address)
        second = Listeners([Listening(PassedEndpoint(reactor, next_one), Greeting(), "")])
        second.startService()
        self.assertEqual(await deferToThread(client.recv, 5), b"hello")
        await second.stopService()
        self.connected(family, address)

    async def test_ipv4(self) -> None:
        """A socket of IPv4 is listened on, and given back."""
        await self.check(socket.AF_INET, ("127.0.0.1", 0))

    async def test_ipv6(self) -> None:
        """So is one of IPv6."""
        await self.check(socket.AF_INET6, ("::1", 0))

    async def test_unix(self) -> None:
        """So is a Unix socket, whose file stays where it is."""
        name = os.path.relpath(self.mktemp())
        await self.check(socket.AF_UNIX, name)
        self.assertTrue(os.path.exists(name))

    async def test_not_there(self) -> None:
        """A descriptor that has been closed is one line."""
        passed, _ = self.passed(socket.AF_INET, ("127.0.0.1", 0))
        os.close(passed.fileno)
        endpoint = PassedEndpoint(reactor, passed)
        listeners = Listeners([Listening(endpoint, Greeting(), "socket http: somewhere")])
        with self.assertRaises(BindFailed) as raised:
            listeners.startService()
        self.assertEqual(
            str(raised.exception), "socket http: somewhere: cannot listen: Bad file descriptor"
        )


class ProbeTests(SynchronousTestCase):
    """Tests of `probe`."""

    def test_free(self) -> None:
        """A port that can be had is no error, and is free afterwards."""
        with taken(socket.AF_INET, "127.0.0.1") as other:
            port = other.getsockname()[1]
        description = f"tcp:{port}:interface=127.0.0.1"
        self.assertEqual([probe(description), probe(description)], [None, None])

    def test_taken(self) -> None:
        """A port that is taken is told, before there is a reactor."""
        with taken(socket.AF_INET, "127.0.0.1") as other:
            port = other.getsockname()[1]
            said = probe(f"tcp:{port}:interface=127.0.0.1")
        self.assertEqual(
            said,
            f"tcp:{port}:interface=127.0.0.1: cannot listen: Address already in use"
            " (something listens there already; stop that or choose another port)",
        )

    def test_taken_ipv6(self) -> None:
        """The same holds for IPv6."""
        with taken(socket.AF_INET6, "::1") as other:
            said = probe(f"tcp6:{other.getsockname()[1]}:interface=\\:\\:1")
        self.assertIn("Address already in use", str(said))

    def test_not_our_address(self) -> None:
        """An address of another machine is told."""
        said = probe("tcp:0:interface=192.0.2.1")
        self.assertIn("this machine does not have that address", str(said))

    def test_all_ipv6(self) -> None:
        """A tcp6 endpoint without interface is tried on all addresses."""
        self.assertIsNone(probe("tcp6:0"))

    def test_other_endpoints(self) -> None:
        """Sockets that are handed over, or are no TCP, are not tried."""
        self.assertIsNone(probe("unix:/nonexistent/socket"))

    def test_nonsense(self) -> None:
        """What is no endpoint is an error of its own."""
        for nonsense in ("nonsense:1", "tcp:abc", "tcp", "systemd:domain=X:index=0"):
            with self.assertRaises(ValueError) as raised:
                probe(nonsense)
            self.assertTrue(str(raised.exception).startswith(f"{nonsense}: not an endpoint: "))
