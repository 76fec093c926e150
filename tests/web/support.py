"""What tests of listeners and connections share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.address import IPv4Address
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort
    from twisted.trial.unittest import SynchronousTestCase, TestCase


def port_of(listening: IListeningPort) -> int:
    """Tell which port the kernel chose."""
    address = listening.getHost()
    assert isinstance(address, IPv4Address)
    return address.port


def listen(case: TestCase, factory: Any) -> int:
    """Listen on a loopback port until the test ends, and tell which."""
    listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
    case.addCleanup(listening.stopListening)
    return port_of(listening)


def logged(case: SynchronousTestCase) -> EventLoggingObserver:
    """Gather what is logged until the test ends."""
    observer = EventLoggingObserver()
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return observer
