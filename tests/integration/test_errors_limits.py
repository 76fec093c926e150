"""
What a client may not do for long, who may not connect, and how the server stops.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.scripted import pausing
from tests.integration.tools import DEADLINE, threaded, until
from tests.integration.wire import Connection, download, fetch

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

_TARGET = "/x/noarch/a-1-1.noarch.rpm"


def _refused(server: Osproxy, source: str) -> bool:
    """Say whether a connection from there is closed at once."""
    try:
        with Connection(server.port, source=source) as connection:
            return connection.closed_within()
    except ConnectionResetError:
        # It was broken before it knew that it was made.
        return True


class LimitTests(IntegrationCase):
    """Clients that hold on to what they do not use."""

    @threaded
    def test_patience(self) -> None:
        """
        A head that is not finished within 30 s, and a connection that idles for 60 s, are closed;
        dripping octets does not help.
        """
        server = self.osproxy("http://127.0.0.1:9")

        def silent() -> float:
            with Connection(server.port) as connection:
                return self._closed_after(connection)

        def half() -> float:
            with Connection(server.port) as connection:
                connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
                return self._closed_after(connection)

        def dripping() -> float:
            begin = time.monotonic()
            with Connection(server.port) as connection:
                try:
                    connection.send(b"GET / HTTP/1.1\r\n")
                    while time.monotonic() - begin < 2 * DEADLINE:
                        connection.send(b"X-A: b\r\n")
                        if connection.closed_within(1):
                            break
                except OSError:
                    pass
            return time.monotonic() - begin

        def idle() -> float:
            with Connection(server.port) as connection:
                connection.ask("/-/healthy")
                connection.answer()
                return self._closed_after(connection)

        silence, unfinished, dripped, idled = self.at_once(silent, half, dripping, idle)
        self.assertLess(silence, 2 * DEADLINE)
        for seconds in (unfinished, dripped):
            self.assertGreater(seconds, 25)
            # Less than a connection may idle, or it would not be the time for a head that ended it.
            self.assertLess(seconds, idled)
        self.assertTrue(55 < idled < 2 * DEADLINE, idled)

    def _closed_after(self, connection: Connection) -> float:
        begin = time.monotonic()
        self.assertTrue(connection.closed_within(2 * DEADLINE), "it is still open")
        return time.monotonic() - begin

    @threaded
    def test_client_that_takes_nothing(self) -> None:
        """
        A client that takes no octet for the time-out is cut off, over TLS too, stored or not; a
        slow one is not.
        """
        stored, passed = _TARGET, "/iso/large.iso"
        content = pattern(40_000_000)
        digest = self.site.write(stored, content)
        self.site.write(passed, content)
        server = self.osproxy(
            self.file_server().url, "--client-timeout=10", certificates=self.certificates
        )
        server.fetch(stored)
        server.settle()
        context = self.client_context()

        def stalled(target: str, *, tls: bool) -> None:
            port = server.tls_port if tls else server.port
            trust = context if tls else None
            with Connection(port, tls=trust, receive_buffer=65536) as connection:
                connection.ask(target)
                connection.head()
                connection.read(1000)
                # Both ends' kernels hold some; what is left of the connection is seen in the
                # server's own table of sockets.
                name = connection.socket.getsockname()
                until(partial(self._gone, server, name[1]), f"{target} is cut", every=0.2)

        def slow() -> None:
            result = download(
                server.port, stored, pace=lambda seconds: int(100_000 + 3_000_000 * seconds)
            )
            self.assertEqual((result.got, result.digest), (40_000_000, digest))

        self.at_once(
            slow,
            *(
                partial(stalled, target, tls=tls)
                for target in (stored, passed)
                for tls in (False, True)
            ),
        )

    def _gone(self, server: Osproxy, port: int) -> bool:
        """Tell whether the server's end of a client's connection is gone."""
        ours = {str(it.number) for it in (server.port, server.tls_port)}
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in table.readlines()[1:]:
                fields = line.split()
                local, remote = (int(fields[n].split(":")[1], 16) for n in (1, 2))
                # An inode of 0: the process has let go of it.
                if str(local) in ours and remote == port and fields[9] != "0":
                    return False
        return True

    @threaded
    def test_connections_of_one_address(self) -> None:
        """
        An address has so many connections and no more: one that idles makes room, those with an
        answer under way do not, and others are not affected.
        """
        # More than lies on the way that nobody reads from.
        content = pattern(24_000_000)
        self.site.write(_TARGET, content)
        server = self.osproxy(self.file_server().url, "--client-connections=8")
        self.assertEqual(server.fetch(_TARGET).body, content)
        held = []
        for _ in range(8):
            connection = Connection(server.port, source="127.0.0.2", receive_buffer=65536)
            self.addCleanup(connection.close)
            connection.ask(_TARGET)
            self.assertEqual(connection.head().status, 200)
            held.append(connection)
        self.assertTrue(_refused(server, "127.0.0.2"))
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        idle = held.pop()
        self.assertTrue(idle.read(len(content)) == content)

        def served() -> bool:
            try:
                return fetch(server.port, "/-/healthy", source="127.0.0.2").status == 200
            except OSError:
                return False

        until(served, "one that idles for a moment makes room")
        self.assertTrue(idle.closed_within())
        for connection in held:
            self.assertTrue(connection.read(len(content)) == content)
        connection = Connection(server.port, source="127.0.0.2", receive_buffer=65536)
        self.addCleanup(connection.close)
        connection.ask(_TARGET)
        self.assertTrue(connection.answer().body == content)

    @threaded
    def test_default_number_of_connections(self) -> None:
        """By default an address may well have 1,000 connections: it may be many machines'."""
        server = self.osproxy("http://127.0.0.1:9")
        held = [Connection(server.port, source="127.0.0.3") for _ in range(1_000)]
        for connection in held:
            self.addCleanup(connection.close)
        for connection in (held[0], held[-1]):
            connection.ask("/-/healthy")
            self.assertEqual(connection.answer().status, 200)

    @threaded
    def test_who_may_connect(self) -> None:
        """Clients outside the given networks get 403; a line at the start says who may."""
        self.site.write(_TARGET, b"content")
        server = self.osproxy(self.file_server().url, "--clients=127.0.0.1/32,::1/128")
        self.assertEqual(fetch(server.port, _TARGET, source="127.0.0.1").status, 200)
        self.assertEqual(fetch(server.port, _TARGET, source="127.0.0.2").status, 403)
        self.assertIn("127.0.0.1/32", server.said())

    @threaded
    def test_malformed_requests(self) -> None:
        """What is no HTTP is 400 or a closed connection, and no traceback."""
        server = self.osproxy("http://127.0.0.1:9")
        for octets in (
            b"\r\n\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n : b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        ):
            with Connection(server.port) as connection:
                try:
                    connection.send(octets)
                    connection.socket.shutdown(socket.SHUT_WR)
                    status = connection.answer().status
                except OSError:
                    status = 0
                self.assertIn(status, (0, 400, 403, 413, 414, 431, 501, 505), octets[:60])
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        self.assertNotIn("Traceback", server.said())


class StopTests(IntegrationCase):
    """The end of a server."""

    @threaded
    def test_stop(self) -> None:
        """SIGTERM and SIGINT end it with status 0; what was stored is there afterwards."""
        digest = self.site.write(_TARGET, pattern(1_000_000))
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        self.assert_whole(server.fetch(_TARGET), digest)
        server.settle()
        self.assertEqual(server.stop(), 0)
        nginx.stop()
        server.start()
        assert server.process is not None
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        server.start()
        answer = server.fetch(_TARGET)
        self.assert_whole(answer, digest)
        self.assertTrue(answer.cache_status.startswith("osproxy; hit"), answer.cache_status)
        self.assertNotIn("Traceback", server.said())

    def _deaf(self, server: Osproxy) -> bool:
        return not server.port.answers()

    @threaded
    def test_bodies_under_way(self) -> None:
        """A body under way is finished before it stops; new connections are not taken."""
        content, goes_on = pattern(6_000_000), Event()
        self.addCleanup(goes_on.set)
        server = self.osproxy(self.scripted(pausing(content, 3_000_000, goes_on)).url)
        with Connection(server.port) as connection:
            connection.ask(_TARGET)
            connection.head()
            process = server.process
            assert process is not None
            process.send_signal(signal.SIGTERM)
            until(partial(self._deaf, server), "it listens no more")
            self.assertIsNone(process.poll())
            goes_on.set()
            self.assertTrue(connection.read(len(content)) == content)
        self.assertEqual(server.wait(), 0)
        self.assertFalse(server.port.answers())

    @threaded
    def test_impatient_stop(self) -> None:
        """Beyond the drain time-out, or at a second signal, it stops at once."""
        content, goes_on = pattern(60_000_000), Event()
        self.addCleanup(goes_on.set)
        upstream = self.scripted(pausing(content, 1_000_000, goes_on))
        for patience, twice in ((1, False), (1000, True)):
            server = self.osproxy(upstream.url, f"--drain-timeout={patience}")
            with Connection(server.port) as connection:
                connection.ask(_TARGET)
                connection.head()
                process = server.process
                assert process is not None
                process.send_signal(signal.SIGTERM)
                until(partial(self._deaf, server), "it listens no more")
                if twice:
                    self.assertIsNone(process.poll())
                    process.send_signal(signal.SIGTERM)
                # The rest does not come before it has.
                self.assertEqual(server.wait(), 128 + signal.SIGTERM if twice else 0)
                with contextlib.suppress(ConnectionResetError):
                    self.assertLess(len(connection.read(len(content))), 1_000_001)
            server.start()
            self.assert_ledger_is_right(server)
            server.close()
