"""
HAProxy in front of osproxy, which tells by the PROXY protocol whose connections it hands on.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.integration.ports import Port
from tests.integration.tools import DEADLINE, find, until

if TYPE_CHECKING:
    from pathlib import Path

_CONFIGURATION = """
defaults
    mode tcp
    timeout connect 60s
    timeout client 60s
    timeout server 60s
"""

# Its checks say that they are its own: LOCAL in version 2, UNKNOWN in version 1. However many of
# them fail on a machine that stalls, the server counts as there.
_PLACE = """
listen {number}
    bind {port}
    server osproxy {server} {how} source {source} check check-send-proxy inter 200ms fall 100000
"""


class Haproxy:
    """
    One HAProxy.

    :ivar ports: where it listens, in the order of what it was told.
    """

    def __init__(self, directory: Path, source: str, *places: tuple[Port, str]) -> None:
        """
        Write its configuration.

        :param source: the address that it connects from.
        :param places: for each port to listen on, where connections go, and how they begin.
        """
        directory.mkdir(parents=True)
        self.ports = [Port() for _ in places]
        self._log = directory / "log"
        self._file = directory / "haproxy.cfg"
        self._process: subprocess.Popen[bytes] | None = None
        self._file.write_text(
            _CONFIGURATION
            + "".join(
                _PLACE.format(number=number, port=port, server=server, how=how, source=source)
                for number, (port, (server, how)) in enumerate(zip(self.ports, places, strict=True))
            )
        )

    def start(self) -> None:
        """Return once it accepts connections on all ports."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [find("haproxy"), "-db", "-f", self._file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = self._process

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"HAProxy has stopped: {self._log.read_text()}")
            return all(port.answers() for port in self.ports)

        until(ready, "HAProxy listens")

    def close(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE)
        for port in self.ports:
            port.close()
