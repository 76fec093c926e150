"""
Where clients connect: all endpoints listen, or none does and one line says why.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.components import proxyForInterface
from zope.interface import implementer

from osproxy.web.unixsockets import Unlocked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IProtocolFactory
    from twisted.python.failure import Failure

    from osproxy.config.listeners import Passed
    from osproxy.web.gate import Gate

_log = Logger()

# Linux takes the lesser of this and net.core.somaxconn; Twisted's own 50 are soon full.
_BACKLOG = 4096

_ADVICE = {
    errno.EADDRINUSE: "something listens there already; stop that or choose another port",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE, a Unix socket its directory",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EAFNOSUPPORT: "this machine has no such addresses; choose an IPv4 one",
}


class BindFailed(Exception):
    """A listener could not be had; the text is one line that says which and why."""

    def __init__(self, description: str, failure: Failure) -> None:
        super().__init__(f"{description}: cannot listen: {_reason(failure.value)}")


@frozen
class Listening:
    """
    One listener to be.

    :ivar description: how the operator would recognise it: the option and its value.
    :ivar gate: who says when it accepts; None where it always does.
    """

    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory
    description: str
    gate: Gate | None = None


class Listeners(Service):
    """
    Listens on all endpoints from start to stop.

    :ivar ports: what listens.
    """

    name = "listeners"

    def __init__(self, wanted: Sequence[Listening]) -> None:
        self._wanted = wanted
        self.ports: list[IListeningPort] = []
        self._begun = False

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use low ports.

        :raises BindFailed: when one of them cannot be had; the others are given up.
        """
        self._begun = True
        for listening in self._wanted:
            failures: list[Failure] = []
            bound = listening.endpoint.listen(listening.factory)
            bound.addCallback(self._listens, listening.gate)
            # None of Twisted's own endpoints takes its time; one of a plug-in might.
            bound.addErrback(failures.append if bound.called else self._failed_late)
            if failures:
                Deferred.fromCoroutine(self._close())
                raise BindFailed(listening.description, failures[0])

    def startService(self) -> None:
        """Listen, if that was not done with privileges."""
        if not self._begun:
            self.privilegedStartService()
        Service.startService(self)

    def stopService(self) -> Deferred[None]:
        """Take no further connection; those that are open stay."""
        Service.stopService(self)
        self._begun = False
        return Deferred.fromCoroutine(self._close())

    def _listens(self, port: IListeningPort, gate: Gate | None) -> None:
        self.ports.append(port)
        if gate is not None:
            gate.add(port)

    def _failed_late(self, failure: Failure) -> None:
        _log.failure("a listener could not be had", failure)

    async def _close(self) -> None:
        ports, self.ports = self.ports, []
        for listening in self._wanted:
            if listening.gate is not None:
                listening.gate.clear()
        await DeferredList([maybeDeferred(port.stopListening) for port in ports])


@implementer(IStreamServerEndpoint)
@define(eq=False)
class PassedEndpoint:
    """An endpoint whose socket listens already, and still belongs to who has passed it."""

    _reactor: Any
    _passed: Passed

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803
        """Accept connections from now on; this can be done once."""
        adopted = AdoptedStreamServerEndpoint(
            self._reactor, self._passed.fileno, self._passed.family
        )
        listening: Deferred[IListeningPort] = adopted.listen(protocolFactory)
        return listening.addCallback(_PassedPort)


class _PassedPort(proxyForInterface(IListeningPort)):  # type: ignore[misc]
    """A port that is given back rather than ended."""

    def stopListening(self) -> None:  # noqa: N802
        """
        Accept no more: those who come wait for the next process that is passed the socket.

        Twisted would remove the file of a Unix socket, by which it is found.
        """
        self.original.stopReading()
        self.original.socket.close()


def endpoint_of(reactor: object, description: str) -> IStreamServerEndpoint:
    """
    Make the endpoint that a string describes, with a queue for as many as the kernel takes.

    :raises ValueError: when it describes none.
    """
    queued = description
    if description.startswith(("tcp:", "tcp6:")) and ":backlog=" not in description:
        queued += f":backlog={_BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(Unlocked(reactor), queued)
    except Exception as error:
        # What a parser makes of nonsense is up to the parser: a TypeError for a missing port, an
        # AttributeError for an unknown address family.
        raise ValueError(f"{description}: not an endpoint: {error}") from error
    return endpoint


def probe(description: str, shown: str = "") -> str | None:
    """
    Try whether a ``tcp:`` or ``tcp6:`` endpoint can be had now: why not, or None.

    A daemon has no standard error any more by the time it listens. Others than TCP are not tried.

    :raises ValueError: as `endpoint_of`.
    """
    endpoint = endpoint_of(_Trial(), description)
    over_tcp = isinstance(endpoint, TCP4ServerEndpoint | TCP6ServerEndpoint)
    if not over_tcp:
        return None
    failures: list[Failure] = []
    endpoint.listen(Factory()).addErrback(failures.append)
    return str(BindFailed(shown or description, failures[0])) if failures else None


class _Trial:
    """Stands in for a reactor: binds as it would, and lets go at once."""

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> None:
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((interface, port))


def _reason(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    if not isinstance(error, OSError):
        return str(error)
    said = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0)
    return f"{said} ({advice})" if advice else said
