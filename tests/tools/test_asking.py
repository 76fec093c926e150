"""Tests of `osproxy.tools.asking`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.asking import Found, NoAnswer, Stage, verify_everything
from tests.tools.servers import SocketServer, chunked

PROGRESS = {"files": 2, "files_done": 1, "octets": 10, "octets_done": 5}
DAMAGED = {"damaged": "/a.rpm", "fault": "its file is missing"}


class VerifyTests(SynchronousTestCase):
    """What a running server is asked, and says."""

    def ask(self, answer: bytes, rate: int | None = None) -> list[Found | Stage]:
        """Ask a server that answers so."""
        self.server = SocketServer(self, answer)
        return list(verify_everything(self.server.path, rate))

    def trouble(self, answer: bytes) -> str:
        """Ask a server that answers so, and give the line of the error."""
        text = str(self.assertRaises(NoAnswer, self.ask, answer))
        self.assertEqual(len(text.splitlines()), 1)
        return text

    def test_said(self) -> None:
        """What the server says is given as it is said, but for its last word."""
        said = self.ask(chunked(PROGRESS, DAMAGED, PROGRESS, {"end": "done"}))
        stage = Stage(files=2, octets=10, octets_done=5)
        self.assertEqual(said, [stage, Found("/a.rpm", "its file is missing"), stage])
        self.assertEqual(self.server.asked, ["POST /-/scrub HTTP/1.1"])

    def test_rate(self) -> None:
        """The rate is asked for, where there is one."""
        self.ask(chunked({"end": "done"}), 100)
        self.assertEqual(self.server.asked, ["POST /-/scrub?rate=100 HTTP/1.1"])

    def test_no_end(self) -> None:
        """Whatever does not come to its end is told of as such."""
        refused = b"HTTP/1.1 409 Conflict\r\nContent-Length: 15\r\n\r\nAlready begun.\n"
        for answer, text in (
            (refused, "the server says: Already begun."),
            (chunked(PROGRESS, {"end": "stopped"}), "the server has stopped"),
            (chunked({"end": "failed: no disk"}), "the server has failed: no disk"),
            (chunked(PROGRESS), "the server has broken off"),
        ):
            self.assertEqual(self.trouble(answer), text)

    def test_nonsense(self) -> None:
        """So is what makes no sense, and what is cut; the socket is named."""
        for answer in (
            b"",
            b"220 mail.example\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nYes\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            chunked(PROGRESS, whole=False),
        ):
            text = self.trouble(answer)
            self.assertTrue(text.startswith((f"{self.server.path}: ", "the server has")), text)

    def test_nobody(self) -> None:
        """Where nobody listens, the socket is named, and what the kernel says."""
        path = Path("/proc/osproxy/control")
        error = self.assertRaises(NoAnswer, list, verify_everything(path, None))
        self.assertEqual(str(error), "/proc/osproxy/control: No such file or directory")
