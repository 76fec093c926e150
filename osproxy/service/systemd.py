"""
systemd, told how we are (sd_notify(3)), and shown that the reactor turns (sd_watchdog_enabled(3)).

Others speak the same protocol: podman, s6, supervisors of all kinds.
"""

from __future__ import annotations

import os
import socket
import time
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime

_log = Logger()

STATUS_EVERY = 30.0
"""Seconds between two looks at the status, where the watchdog wants nothing more often."""


class Phase(Enum):
    """What the service manager knows of us."""

    STARTING = "opening the cache"
    READY = "serving"
    RELOADING = "reloading"
    STOPPING = "stopping"


def watchdog_of(environ: Mapping[str, str], pid: int) -> float | None:
    """Say within how many seconds we are to be heard of, None where nobody listens."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    if not (microseconds.isascii() and microseconds.isdigit()):
        return None
    return int(microseconds) / 1e6 or None


@define(eq=False)
class ServiceManager:
    """
    Tells the service manager, if there is one: a process that was started by hand is no service.

    That it cannot be told is said once, and stops nobody: it draws its own conclusions.

    :param environ: has the address in ``NOTIFY_SOCKET``.
    :param status: what goes on, in a line.
    :param stopping_takes: seconds after which a stop has come to its end.
    """

    _environ: Mapping[str, str]
    _clock: IReactorTime
    _status: Callable[[], str]
    _stopping_takes: Callable[[], float]
    _pid: Callable[[], int] = os.getpid
    _monotonic_ns: Callable[[], int] = time.monotonic_ns
    _phase: Phase = field(default=Phase.STARTING, init=False)
    _watched: bool = field(default=False, init=False)
    _told: str = field(default="", init=False)
    _failing: bool = field(default=False, init=False)
    # Kept, so that we are heard of when descriptors run out.
    _way: socket.socket | None = field(default=None, init=False)
    _beating: LoopingCall = field(init=False)

    @_beating.default
    def _make_beating(self) -> LoopingCall:
        beating = LoopingCall(self._beat)
        beating.clock = self._clock
        return beating

    def start(self) -> None:
        """Say that we have begun, and show from now on that we are alive."""
        # Not before: twistd may have become another process.
        watchdog = watchdog_of(self._environ, self._pid())
        self._watched = watchdog is not None
        self._tell(f"STATUS={Phase.STARTING.value}")
        if self._address is not None:
            # Half of the time: one that is late is no reason to end us.
            every = STATUS_EVERY if watchdog is None else watchdog / 2
            beating = self._beating.start(every, now=False)
            beating.addErrback(lambda failure: _log.failure("no longer alive to systemd", failure))

    def ready(self) -> None:
        """Say that we listen and answer; after a reload, that we do so again."""
        self._enter(Phase.READY, "READY=1", self._news())

    def reloading(self) -> None:
        """Say that what was written anew is being read."""
        # By the time systemd finds out which of two reloads has been answered.
        began = f"MONOTONIC_USEC={self._monotonic_ns() // 1000}"
        self._enter(Phase.RELOADING, "RELOADING=1", began, f"STATUS={Phase.RELOADING.value}")

    def stopping(self) -> None:
        """Say that we stop, and for how long that may take."""
        needed = f"EXTEND_TIMEOUT_USEC={int(self._stopping_takes() * 1e6)}"
        self._enter(Phase.STOPPING, "STOPPING=1", needed, f"STATUS={Phase.STOPPING.value}")

    def failed(self, why: str) -> None:
        """Say why we cannot be ready."""
        self._tell("STATUS=" + " ".join(why.split()))

    def stop(self) -> None:
        """Say no more."""
        if self._beating.running:
            self._beating.stop()
        way, self._way = self._way, None
        if way is not None:
            way.close()

    @property
    def _address(self) -> str | None:
        return self._environ.get("NOTIFY_SOCKET") or None

    def _enter(self, phase: Phase, *lines: str) -> None:
        # What stops is neither reloading nor ready, whatever was under way.
        if self._phase is not Phase.STOPPING:
            self._phase = phase
            self._tell(*lines)

    def _beat(self) -> None:
        lines = ["WATCHDOG=1"] if self._watched else []
        if self._phase is Phase.READY and (news := self._news()) != self._told:
            lines.append(news)
        if lines:
            self._tell(*lines)

    def _news(self) -> str:
        return f"STATUS={self._status()}"

    def _tell(self, *lines: str) -> None:
        address = self._address
        if address is None:
            return
        if lines[-1].startswith("STATUS="):
            self._told = lines[-1]
        try:
            if self._way is None:
                # A manager that reads nothing must not hold us up.
                self._way = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._way.sendto("\n".join(lines).encode(errors="replace"), _path(address))
        except OSError as error:
            if not self._failing:
                _log.error(
                    "the service manager at {address} cannot be told: {error}",
                    address=address,
                    error=error,
                )
            self._failing = True
        else:
            self._failing = False


def _path(address: str) -> str:
    """Give the address as the kernel has it: an abstract one is written with an at sign."""
    return "\0" + address[1:] if address.startswith("@") else address
