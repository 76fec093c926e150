"""Tests of `osproxy.tools.fsck`."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path

from osproxy.tools import fsck
from osproxy.tools.fsck import main
from tests.store.doubles import StoreTestCase, find, run, target
from tests.tools.servers import SocketServer, chunked

DONE = chunked({"files": 3, "files_done": 3, "octets": 2048, "octets_done": 2048}, {"end": "done"})


class FsckTestCase(StoreTestCase):
    """A cache, and the command."""

    def setUp(self) -> None:
        """Store something, and keep the variables of the machine away."""
        super().setUp()
        self.store = self.started()
        self.put(self.store, "a")
        entry = find(self.store, target("a"))
        assert entry is not None
        self.file = entry.blob.path
        for name in list(os.environ):
            if name.startswith(("OSPROXY_", "CACHE_", "RUNTIME_", "XDG_")):
                self.addCleanup(os.environ.__setitem__, name, os.environ.pop(name))

    def stop(self) -> None:
        """Stop the server."""
        self.successResultOf(run(self.store.stop()))

    def command(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Run the command; give its exit status, and what it writes."""
        out, err = StringIO(), StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        status = main([str(argument) for argument in arguments])
        return status, out.getvalue(), err.getvalue()

    def here(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Run the command for this cache."""
        return self.command("--cache-path", self.place.path, *arguments)

    def refusal(self, *arguments: str | Path) -> str:
        """Run the command in a way in which it cannot find anything out; give its one line."""
        status, out, err = self.here(*arguments)
        self.assertEqual((status, out, len(err.splitlines())), (2, "", 1), err)
        self.assertTrue(err.startswith("osproxy-fsck: "), err)
        return err


class StoppedTests(FsckTestCase):
    """With the server stopped."""

    def test_statuses(self) -> None:
        """0 when all is well, 1 when something was found, repaired or not."""
        self.stop()
        status, out, err = self.here()
        self.assertEqual((status, out), (0, "1 entry, 8.9 KiB: all as they were stored\n"))
        self.assertIn("100 %  8.9 KiB of 8.9 KiB", err)
        self.file.unlink()
        self.assertEqual(self.here()[0], 1)
        self.assertEqual(self.here("--repair", "--rate", "1GB")[0], 1)
        self.assertEqual(self.here()[:2], (0, "0 entries, 0 B: all as they were stored\n"))

    def test_lock(self) -> None:
        """The lock is released at the end, whichever it is."""
        self.stop()
        self.here()
        self.started()

    def test_where(self) -> None:
        """The directory is where the server's settings say."""
        self.stop()
        config = Path(self.mktemp())
        config.write_text(f'cache_path = "{self.place.path.absolute()}"\n')
        self.assertEqual(self.command("--config", config)[0], 0)
        os.environ["OSPROXY_CACHE_PATH"] = str(self.place.path)
        self.addCleanup(os.environ.pop, "OSPROXY_CACHE_PATH", None)
        self.assertEqual(self.command()[0], 0)
        del os.environ["OSPROXY_CACHE_PATH"]
        os.environ["CACHE_DIRECTORY"] = f"{self.place.path}:/elsewhere"
        self.addCleanup(os.environ.pop, "CACHE_DIRECTORY", None)
        self.assertEqual(self.command()[0], 0)

    def test_cannot(self) -> None:
        """2, and a line, where there is nothing to look at, or the command makes no sense."""
        self.stop()
        self.assertIn("is no cache directory of osproxy", self.refusal("--cache-path", "/proc"))
        self.assertIn("--rate: 'fast' is not a size; give", self.refusal("--rate", "fast"))
        self.assertIn("--config (command line): ", self.refusal("--config", "/proc/missing"))
        self.place.directory.catalogue.unlink()
        self.place.directory.catalogue.mkdir()
        self.assertIn("catalogue.sqlite: ", self.refusal())

    def test_no_such_option(self) -> None:
        """What is no option ends with the usage, and the same status."""
        with self.assertRaises(SystemExit) as raised:
            self.command("--nonsense")
        self.assertEqual(raised.exception.code, 2)

    def test_interrupted(self) -> None:
        """Whoever interrupts it gets a line, and a shell the status that it knows."""
        self.stop()

        def interrupted(*_: object) -> int:
            raise KeyboardInterrupt

        self.patch(fsck, "run", interrupted)
        self.assertEqual(self.here(), (130, "", "osproxy-fsck: interrupted\n"))


class RunningTests(FsckTestCase):
    """With the server running."""

    def test_no_socket(self) -> None:
        """Without its socket, the server would have to be stopped."""
        for more in ((), ("--control-socket", "off")):
            line = self.refusal(*more)
            self.assertIn("is in use by another process", line)
            self.assertIn("stop osproxy, or give its --control-socket", line)
        self.stop()

    def test_asks(self) -> None:
        """The server is asked, over the socket that is given, or that its settings say."""
        server = SocketServer(self, DONE)
        expected = (0, "3 entries, 2.0 KiB: all as they were stored\n")
        self.assertEqual(self.command("--control-socket", server.path, "--rate=1MB")[:2], expected)
        os.environ["OSPROXY_CONTROL_SOCKET"] = str(server.path)
        self.addCleanup(os.environ.pop, "OSPROXY_CONTROL_SOCKET")
        self.assertEqual(self.here()[:2], expected)
        self.assertEqual(
            server.asked, ["POST /-/scrub?rate=1000000 HTTP/1.1", "POST /-/scrub HTTP/1.1"]
        )
        self.stop()
        # What is stopped is not asked.
        self.assertEqual(self.here()[:2], (0, "1 entry, 8.9 KiB: all as they were stored\n"))
        self.assertEqual(len(server.asked), 2)

    def test_both(self) -> None:
        """Where both are given, a directory that is in use is asked about, another looked at."""
        server = SocketServer(self, DONE)
        both = ("--control-socket", server.path)
        told = (0, "3 entries, 2.0 KiB: all as they were stored\n")
        self.assertEqual(self.here(*both)[:2], told)
        line = self.refusal(*both, "--cache-path", "/proc")
        self.assertIn("is no cache directory of osproxy", line)
        self.stop()
        seen = (0, "1 entry, 8.9 KiB: all as they were stored\n")
        self.assertEqual(self.here(*both)[:2], seen)
        self.assertEqual(len(server.asked), 1)

    def test_damaged(self) -> None:
        """What the server has found is told, and shows in the status."""
        damaged = {"damaged": "/a.rpm", "fault": "its file is missing"}
        stage = {"files": 1, "octets": 2048, "octets_done": 2048}
        server = SocketServer(self, chunked(damaged, stage, {"end": "done"}))
        self.assertEqual(
            self.command("--control-socket", server.path)[:2],
            (1, "/a.rpm: its file is missing\n1 entry, 2.0 KiB: 1 damaged, and dropped\n"),
        )
        self.stop()

    def test_no_answer(self) -> None:
        """2, when the server does not come to the end."""
        server = SocketServer(self, chunked({"end": "stopped"}))
        line = self.refusal("--control-socket", server.path)
        self.assertEqual(line, "osproxy-fsck: the server has stopped\n")
        self.assertIn("/missing: ", self.refusal("--control-socket", "/missing"))
        self.stop()

    def test_repair(self) -> None:
        """There is nothing to repair while it runs."""
        server = SocketServer(self, DONE)
        line = self.refusal("--control-socket", server.path, "--repair")
        self.assertIn("--repair is for when osproxy is stopped", line)
        self.assertEqual(server.asked, [])
        self.stop()
