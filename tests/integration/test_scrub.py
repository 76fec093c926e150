"""
What lies on the disk is altered by hand: it is found, dropped, and fetched again.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.fsck import alter, begin_fsck, file_of, fsck
from tests.integration.packages import OSS, pattern, snapshots
from tests.integration.tools import DEADLINE, threaded, until
from tests.integration.wire import Connection, download

if TYPE_CHECKING:
    from tests.integration.nginx import Nginx
    from tests.integration.server import Osproxy

_SIZES = (3000, 70_000, 1_200_000, 5_000_000)
_INDEX = f"{OSS}/repodata/repomd.xml"
_LARGE = "/x/noarch/large-1-1.noarch.rpm"


def target(number: int) -> str:
    """Name a package."""
    return f"/x/noarch/p{number}-1-1.noarch.rpm"


class ScrubCase(IntegrationCase):
    """A server that has stored some files, and its control socket."""

    def setUp(self) -> None:
        """Have a control socket."""
        super().setUp()
        self.socket = self.socket_path("control")

    def filled(self, *options: str) -> tuple[Nginx, Osproxy, dict[str, str]]:
        """Start a server, and have it store a file of each size; give the digests by target."""
        digests = {
            target(number): self.site.write(target(number), pattern(size, seed=number))
            for number, size in enumerate(_SIZES)
        }
        nginx = self.file_server()
        server = self.osproxy(nginx.url, f"--control-socket={self.socket}", *options)
        for name, digest in digests.items():
            self.assert_whole(server.fetch(name), digest)
        until(lambda: server.status().entries == len(digests), "all is stored")
        return nginx, server, digests

    def counted(self, server: Osproxy, name: str) -> float:
        """Read a counter."""
        for line in server.fetch("/-/metrics").body.decode().splitlines():
            if line.startswith(f"osproxy_{name}_total "):
                return float(line.split()[1])
        raise ValueError(name)

    def complaints(self, server: Osproxy) -> list[str]:
        """Give the lines that say that something is damaged."""
        return [line for line in server.said().splitlines() if "is damaged" in line]


class RunningTests(ScrubCase):
    """While osproxy runs."""

    @threaded
    def test_altered(self) -> None:
        """
        What was altered is found over the socket, told of once, counted, and fetched again right.

        What was not is kept; a second look finds all well.
        """
        nginx, server, digests = self.filled()
        altered = (target(1), target(3))
        alter(file_of(server, altered[0]))
        file_of(server, altered[1]).unlink()
        nginx.forget()
        found = fsck(self.directory, "--control-socket", self.socket)
        self.assertEqual(found.code, 1, found.all)
        self.assertIn(f"{altered[0]}: its body is not what was stored\n", found.out)
        self.assertIn(f"{altered[1]}: its file is missing\n", found.out)
        self.assertIn("4 entries, 6.0 MiB: 2 damaged, and dropped\n", found.out)
        self.assertEqual(len(self.complaints(server)), 2, server.said())
        self.assertEqual(self.counted(server, "damaged_entries"), 2)
        until(lambda: server.status().entries == 4, "all is stored again")
        self.assertEqual(sorted(line.path for line in nginx.logged()), sorted(altered))
        nginx.forget()
        for name, digest in digests.items():
            answer = server.fetch(name)
            self.assert_whole(answer, digest)
            self.assertIn("hit", answer.cache_status)
        self.assertEqual(nginx.logged(), [])
        again = fsck(
            self.directory, "--cache-path", server.cache_path, "--control-socket", self.socket
        )
        self.assertEqual(
            (again.code, again.out), (0, "4 entries, 6.0 MiB: all as they were stored\n")
        )
        self.assert_ledger_is_right(server)

    @threaded
    def test_index(self) -> None:
        """An index file that was altered comes back with its siblings."""
        first, _ = snapshots()
        self.site.publish(first)
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url, f"--control-socket={self.socket}")
        right = server.fetch(_INDEX).body
        until(lambda: server.status().entries >= 3, "the index is stored")
        before = server.status().entries
        alter(file_of(server, _INDEX))
        self.assertEqual(fsck(self.directory, "--control-socket", self.socket).code, 1)
        until(lambda: server.status().entries == before, "it is stored again")
        upstreams.stop()
        self.assertEqual(server.fetch(_INDEX).body, right)

    @threaded
    def test_in_the_background(self) -> None:
        """Nobody has to ask: once the interval is over, all is read back at the rate allowed."""
        _, server, digests = self.filled("--scrub-interval=3s", "--scrub-rate=4MB")
        alter(file_of(server, target(2)))
        until(lambda: self.complaints(server), "it is found", deadline=90)
        until(lambda: server.status().entries == 4, "it is stored again")
        self.assert_whole(server.fetch(target(2)), digests[target(2)])
        began, before = time.monotonic(), self.counted(server, "verified_bytes")
        until(lambda: self.counted(server, "verified_bytes") > before + 8e6, "more", deadline=120)
        self.assertGreater(time.monotonic() - began, 1)
        self.assertEqual(len(self.complaints(server)), 1)

    @threaded
    def test_reader(self) -> None:
        """Whoever is being served a file that turns out to be wrong does not get it whole."""
        _, server, _ = self.filled()
        size = 40 << 20
        digest = self.site.write(_LARGE, pattern(size, seed=9))
        self.assert_whole(server.fetch(_LARGE), digest)
        until(lambda: server.status().entries == 5, "it is stored")
        with Connection(server.port, receive_buffer=64 * 1024) as connection:
            connection.ask(_LARGE)
            self.assertEqual(connection.head().status, 200)
            got = len(connection.read(1 << 20))
            alter(file_of(server, _LARGE))
            self.assertEqual(fsck(self.directory, "--control-socket", self.socket).code, 1)
            try:
                while part := connection.read1(1 << 20):
                    got += len(part)
            except ConnectionError:
                pass
        self.assertLess(got, size)
        until(lambda: "is cut: the file is damaged" in server.said(), "it is said")
        self.assert_whole(server.fetch(_LARGE), digest)
        until(lambda: server.status().entries == 5, "it is stored again")
        self.assert_ledger_is_right(server)

    @threaded
    def test_serving_goes_on(self) -> None:
        """Clients are served as ever meanwhile: none waits for the end of it, however many ask."""
        _, server, digests = self.filled()
        size = 64 << 20
        digest = self.site.write(_LARGE, pattern(size, seed=9))
        self.assert_whole(server.fetch(_LARGE), digest)
        until(lambda: server.status().entries == 5, "it is stored")

        def ask(count: int) -> None:
            for _ in range(count):
                answer = server.fetch(target(0))
                self.assert_whole(answer, digests[target(0)])
                self.assertIn("hit", answer.cache_status)

        def read() -> None:
            large = download(server.port, _LARGE)
            self.assertEqual((large.got, large.digest), (size, digest))

        # At this pace it takes minutes.
        process = begin_fsck(self.directory, "--control-socket", self.socket, "--rate=300kB")
        until(lambda: self.counted(server, "verified_bytes") > 0, "it has begun")
        self.at_once(partial(ask, 50), read)
        self.assertIsNone(process.poll())
        self.assertLess(self.counted(server, "verified_bytes"), size)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 130)
        until(self.verify, "the other has ended")
        # Nor does it harm anybody when it reads as fast as it can.
        over = threading.Event()

        def check() -> bool:
            try:
                return self.verify()
            finally:
                over.set()

        def ask_on() -> None:
            while not over.is_set():
                ask(1)

        well, *_ = self.at_once(check, read, ask_on)
        self.assertTrue(well)

    def verify(self) -> bool:
        """Have everything verified, as fast as can be, and say whether all was well."""
        return fsck(self.directory, "--control-socket", self.socket).code == 0

    @threaded
    def test_interrupted(self) -> None:
        """Who interrupts the command ends what it has begun; another may begin at once."""
        _, server, _ = self.filled()
        process = begin_fsck(self.directory, "--control-socket", self.socket, "--rate=100kB")
        until(lambda: self.counted(server, "verified_bytes") > 0, "it has begun")
        second = fsck(self.directory, "--control-socket", self.socket)
        self.assertEqual(second.code, 2)
        self.assertIn("Everything is being verified already.", second.err)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, out), (130, ""))
        self.assertTrue(err.endswith("osproxy-fsck: interrupted\n"), err)

        until(self.verify, "the other has ended")

    @threaded
    def test_server_stops(self) -> None:
        """A stop waits for nothing of it; whoever waits is told, and can look at the files."""
        _, server, _ = self.filled()
        process = begin_fsck(self.directory, "--control-socket", self.socket, "--rate=30kB")
        until(lambda: self.counted(server, "verified_bytes") > 0, "it has begun")
        # What is read back would take longer than the stop may.
        self.assertEqual(server.stop(), 0)
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 2, err)
        self.assertIn("osproxy-fsck: the server has stopped\n", err)
        self.assertFalse(self.socket.exists())
        self.assertEqual(fsck(self.directory, "--cache-path", server.cache_path).code, 0)


class StoppedTests(ScrubCase):
    """While osproxy is stopped, or was killed."""

    @threaded
    def test_repair(self) -> None:
        """What is damaged is found, and deleted only when that is asked for; the rest is served."""
        nginx, server, digests = self.filled()
        server.kill()
        alter(file_of(server, target(0)))
        os.truncate(file_of(server, target(3)), 1 << 20)
        files = {path: path.stat().st_size for path in server.entry_files()}
        found = fsck(self.directory, "--cache-path", server.cache_path)
        self.assertEqual(found.code, 1, found.all)
        self.assertIn(f"{target(0)}: its body is not what was stored (entries/", found.out)
        self.assertIn(f"{target(3)}: its file has another size (", found.out)
        self.assertEqual({path: path.stat().st_size for path in server.entry_files()}, files)
        repaired = fsck(self.directory, "--cache-path", server.cache_path, "--repair")
        self.assertEqual(repaired.code, 1, repaired.all)
        self.assertIn("deleted: 2 entries, 0 files without an entry\n", repaired.out)
        clean = fsck(self.directory, "--cache-path", server.cache_path)
        self.assertEqual((clean.code, clean.out.split(",")[0]), (0, "2 entries"))
        nginx.forget()
        server.start()
        for name, digest in digests.items():
            self.assert_whole(server.fetch(name), digest)
        self.assertEqual(len(nginx.logged()), 2)

    @threaded
    def test_catalogue(self) -> None:
        """A catalogue that is lost is made anew from the files, and nothing is fetched again."""
        nginx, server, digests = self.filled()
        server.stop()
        (server.store / "catalogue.sqlite").write_bytes(b"no database at all" * 1000)
        found = fsck(self.directory, "--cache-path", server.cache_path)
        self.assertEqual(found.code, 1, found.all)
        self.assertIn("makes a new catalogue from the files when it starts", found.out)
        repaired = fsck(self.directory, "--cache-path", server.cache_path, "--repair")
        self.assertIn("the catalogue is made anew from the files", repaired.out)
        nginx.forget()
        server.start()
        for name, digest in digests.items():
            self.assert_whole(server.fetch(name), digest)
        self.assertEqual(nginx.logged(), [])

    @threaded
    def test_running(self) -> None:
        """A cache that is in use is not looked at behind its server's back."""
        _, server, _ = self.filled()
        refused = fsck(self.directory, "--cache-path", server.cache_path, "--repair")
        self.assertEqual((refused.code, refused.out), (2, ""))
        self.assertIn("is in use by another process; stop osproxy", refused.err)
        self.assertEqual(server.status().entries, 4)
