"""A whole server in the process of the tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import globalLogBeginner
from twisted.trial.unittest import TestCase

from osproxy.tap import Options, makeService
from tests.origins import Origin

if TYPE_CHECKING:
    from osproxy.service.server import Server


def parsed(*arguments: str) -> Options:
    """Parse a command line."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


class WholeTestCase(TestCase):
    """A place for a cache, and an origin."""

    timeout = 60

    def setUp(self) -> None:
        """Make them, and keep what a server changes of its process."""
        self.patch(globalLogBeginner, "beginLoggingTo", globalLogBeginner.beginLoggingTo)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        for name in [name for name in os.environ if name.startswith("OSPROXY_")]:
            self.addCleanup(os.environ.__setitem__, name, os.environ.pop(name))
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.log = self.folder / "access.log"
        self.origin = Origin(self)

    def make(self, *more: str) -> Server:
        """Make a server that may use the origin."""
        return makeService(
            parsed(
                f"--cache-path={self.folder / 'cache'}",
                f"--access-log={self.log}",
                f"--mirror-chain={self.origin.url}",
                "--free-space=0",
                "--listen=tcp:0:interface=127.0.0.1",
                *more,
            )
        )

    def start(self, *more: str) -> Server:
        """Start a server as twistd does."""
        server = self.make(*more)
        server.privilegedStartService()
        server.startService()
        return server
