"""
Sockets that listen already when the process starts, passed as systemd passes them
(sd_listen_fds(3)): descriptors from 3 on, told of by variables that name our process.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from osproxy.config.given import ConfigError
from osproxy.config.listeners import Passed

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")

_FIRST = 3
_MOST = 256

# What systemd calls sockets that nobody has named: as their unit, or so.
_UNNAMED = ("", "unknown")
_UNIT = ".socket"

_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def first_environment(source: Path = Path("/proc/self/environ")) -> dict[str, str]:
    """
    Give the environment that the process was started with; where nobody knows, what is left of it.

    Twisted takes the variables out of it when its endpoints are imported, before anybody else has
    had a look, and then knows nothing of sockets without names.
    """
    try:
        content = os.fsdecode(source.read_bytes())
    except OSError:
        return dict(os.environ)
    pairs = (it.partition("=") for it in content.split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def passed_sockets(environ: Mapping[str, str], pid: int, first: int = _FIRST) -> tuple[Passed, ...]:
    """
    Find the sockets that were passed to this process; none where the variables tell of another.

    :param first: the least of the descriptors.
    :raises ConfigError: when one cannot be used, or there is no telling what for.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()):
        return ()
    names = environ["LISTEN_FDNAMES"].split(":") if environ.get("LISTEN_FDNAMES") else []
    if int(count) > _MOST or len(names) not in (0, int(count)):
        raise ConfigError(
            f"LISTEN_FDS (environment): {count} sockets, of which {len(names)} have names,"
            " cannot have been passed; start osproxy by its units"
        )
    return tuple(
        _passed(first + number, names[number] if names else "") for number in range(int(count))
    )


def _passed(fileno: int, name: str) -> Passed:
    plain = name == "http" or name in _UNNAMED or name.endswith(_UNIT)
    problem = None if plain or name == "https" else "has a name that says nothing"
    address, family = "", socket.AF_UNIX
    try:
        with socket.socket(fileno=os.dup(fileno)) as it:
            problem = problem or _problem(it)
            if problem is None:
                address, family = _address(it), it.family
    except OSError as error:
        problem = f"cannot be used ({error.strerror})"
    if problem is not None:
        raise ConfigError(
            f"socket {name or 'without a name'} (descriptor {fileno}): {problem}; pass listening"
            " stream sockets, with FileDescriptorName= http, or https for TLS"
        )
    # Of no concern to programs that we may start.
    os.set_inheritable(fileno, False)
    return Passed(fileno, family, name or "http", address, tls=name == "https")


def _problem(it: socket.socket) -> str | None:
    if it.family not in _FAMILIES:
        return "is neither an internet nor a Unix socket"
    if it.type != socket.SOCK_STREAM:
        return "is no stream socket"
    if not it.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen (Accept=no is needed)"
    return None


def _address(it: socket.socket) -> str:
    name = it.getsockname()
    match it.family:
        case socket.AF_INET:
            return "{}:{}".format(*name)
        case socket.AF_INET6:
            return f"[{name[0]}]:{name[1]}"
    path = os.fsdecode(name)
    return "@" + path[1:] if path.startswith("\0") else path
