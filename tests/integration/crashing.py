"""
A server that kills itself at a named step of a commit: ``crashing.py STEP OPTION...``.

It is the real one in all else; only the checkpoint that the store is told its steps by is ours.
"""

from __future__ import annotations

import os
import signal
import sys

from twisted.internet import reactor  # noqa: TID251 - this is a program of its own
from twisted.logger import globalLogBeginner, textFileLogObserver

from osproxy.tap import Options, makeService


def main(step: str, arguments: list[str]) -> None:
    """Run until that step, or for ever."""

    def checkpoint(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    options = Options()
    options.parseOptions(arguments)
    service = makeService(options, checkpoint)
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    service.privilegedStartService()
    service.startService()
    running = reactor
    running.addSystemEventTrigger("before", "shutdown", service.stopService)
    running.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
