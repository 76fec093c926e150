"""Tests of `osproxy.web.unixsockets`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet import reactor  # noqa: TID251
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from osproxy.web.unixsockets import Unlocked, remove_left


def bound(case: SynchronousTestCase, path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Have a socket of a name."""
    made = socket.socket(socket.AF_UNIX, kind)
    case.addCleanup(made.close)
    made.bind(path)
    return made


class RemoveLeftTests(SynchronousTestCase):
    """Tests of `remove_left`."""

    def setUp(self) -> None:
        """Name a place."""
        self.path = os.path.relpath(self.mktemp())

    def test_left(self) -> None:
        """One that nobody listens at is taken away, be its process there or not."""
        bound(self, self.path)
        remove_left(self.path)
        self.assertFalse(os.path.lexists(self.path))

    def test_in_use(self) -> None:
        """One that is listened at stays, however many wait there to be let in."""
        bound(self, self.path).listen(0)
        for _ in range(5):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect_ex(self.path)
            remove_left(self.path)
            self.assertTrue(os.path.lexists(self.path))

    def test_something_else(self) -> None:
        """What is no socket of streams stays, and so does what a link leads to."""
        Path(self.path).mkdir()
        for name, make in (
            ("file", lambda path: Path(path).write_text("x")),
            ("pipe", os.mkfifo),
            ("folder", os.mkdir),
            ("datagrams", lambda path: bound(self, path, socket.SOCK_DGRAM)),
            ("left", lambda path: bound(self, path)),
            ("link", lambda path: os.symlink("left", path)),
        ):
            path = f"{self.path}/{name}"
            make(path)
            if name != "left":
                remove_left(path)
            self.assertTrue(os.path.lexists(path), name)

    def test_nothing(self) -> None:
        """Nothing is there, or nothing in the file system: all is well."""
        for path in (self.path, f"{self.path}/x", f"\0osproxy-test-{os.getpid()}"):
            remove_left(path)


class UnlockedTests(TestCase):
    """Tests of `Unlocked`."""

    async def test_listens(self) -> None:
        """It listens where a crash has left a name, with the permissions wanted, and no lock."""
        path = os.path.relpath(self.mktemp())
        bound(self, path).close()
        port = Unlocked(reactor).listenUNIX(path, Factory(), 50, 0o640, wantPID=True)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        self.assertFalse(os.path.lexists(f"{path}.lock"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        await maybeDeferred(port.stopListening)
        self.assertFalse(os.path.lexists(path))

    def test_all_else(self) -> None:
        """All else is as the reactor has it."""
        self.assertEqual(Unlocked(reactor).callLater, reactor.callLater)
