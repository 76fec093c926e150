"""
Where to listen: endpoint strings from ``--bind-address``, ``--listen`` and their TLS sisters, and
the sockets that were passed to the process.

Whether an endpoint can be listened on is found out when it is tried; see `osproxy.web`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.config.options import BIND_ADDRESS, LISTEN, TLS_BIND_ADDRESS, TLS_LISTEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from osproxy.config.options import Option
    from osproxy.config.sources import Sources


@frozen
class Listener:
    """
    One place to listen.

    :ivar description: a server endpoint in Twisted's words, never of the ``ssl`` kind; empty for a
        passed socket.
    :ivar tls: whether TLS is spoken there.
    :ivar source: the option and its source, as complaints begin.
    :ivar value: what was written there.
    :ivar passed: the socket that listens there already.
    """

    description: str
    tls: bool
    source: str
    value: str
    passed: Passed | None = None


@frozen
class Passed:
    """
    A socket that listens already, opened by who has started this process.

    :ivar name: what it was called.
    :ivar address: where it listens, for people.
    """

    fileno: int
    family: socket.AddressFamily
    name: str
    address: str
    tls: bool


def listeners(
    sources: Sources, *, ipv6: bool, passed: Sequence[Passed] = ()
) -> tuple[Listener, ...]:
    """
    List the places to listen: passed sockets, and what options say; the default is for none.

    :param ipv6: whether the default may be an IPv6 address.
    :raises ConfigError: when a value is no place to listen.
    """
    adopted = [Listener("", it.tls, f"socket {it.name}", it.address, it) for it in passed]
    plain = [*_bound(sources, BIND_ADDRESS, tls=False), *_listed(sources, LISTEN, tls=False)]
    if not plain and not adopted:
        default = r"tcp6:8080:interface=\:\:" if ipv6 else "tcp:8080:interface=0.0.0.0"
        value = "[::]:8080" if ipv6 else "0.0.0.0:8080"
        plain = [Listener(default, False, f"--{BIND_ADDRESS.name} (default)", value)]
    return (
        *adopted,
        *plain,
        *_bound(sources, TLS_BIND_ADDRESS, tls=True),
        *_listed(sources, TLS_LISTEN, tls=True),
    )


def has_ipv6(address: str = "::") -> bool:
    """Find out whether this machine can listen on an IPv6 address, by default on all it has."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _bound(sources: Sources, option: Option[str], *, tls: bool) -> Iterator[Listener]:
    found = sources.found(option)
    if found is not None:
        endpoint, given = found
        yield Listener(endpoint, tls, str(given), given.texts[0])


def _listed(sources: Sources, option: Option[str], *, tls: bool) -> Iterator[Listener]:
    for endpoint in sources.values(option):
        yield Listener(endpoint, tls, str(sources.given(option)), endpoint)
