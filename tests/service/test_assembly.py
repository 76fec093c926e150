"""Tests of `osproxy.service.assembly`."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol

from osproxy.service import assembly
from osproxy.upstream.agent import ExactAgent
from osproxy.upstream.origin import host_of
from tests.origins import HOP_BY_HOP
from tests.service.running import WholeTestCase
from tests.web.certificates import certificate_files
from tests.web.reading import Client, Got, connect, connect_tls, request, responses, turn, until
from tests.web.support import logged, port_of

if TYPE_CHECKING:
    from osproxy.service.server import Server

PACKAGE = "/repo/x86_64/a-1-1.x86_64.rpm"
IMAGE = "/iso/a.iso"


class RunningTests(WholeTestCase):
    """A server on real ports, its origin on another."""

    async def get(self, client: Client, target: str, *fields: str) -> Got:
        """Get a file over a connection on which nothing was asked before."""
        client.send(request(target, "Connection: close", *fields))
        await client.ended()
        (got,) = responses(bytes(client.data))
        return got

    async def connected(self, server: Server, place: int = 0) -> Client:
        """Connect a client to one of the listeners."""
        return await connect(port_of(server.listeners.ports[place]))

    async def test_miss_and_hit(self) -> None:
        """A file comes from the origin the first time, and from the disk from then on."""
        self.origin.files[PACKAGE] = content = os.urandom(300_000)
        server = self.start()
        statuses = await self.get_until_kept(server, content)
        await server.stopService()
        self.assertEqual(self.origin.asked, [f"GET {PACKAGE} HTTP/1.1"])
        self.assertIn("fwd=uri-miss", statuses[0])

    async def get_until_kept(self, server: Server, content: bytes) -> list[str]:
        """Get a package until it is a hit: the entry is there a little after the last octet."""
        statuses: list[str] = []
        while not statuses or "osproxy; hit" not in statuses[-1]:
            got = await self.get(await self.connected(server), PACKAGE)
            self.assertEqual((got.status, got.body), (200, content))
            statuses.append(str(got["Cache-Status"]))
        return statuses

    async def test_restart(self) -> None:
        """What was kept is there after a restart, and the log has a line for each request."""
        self.origin.files[PACKAGE] = content = os.urandom(300_000)
        server = self.start()
        before = await self.get_until_kept(server, content)
        await server.stopService()
        server = self.start()
        after = await self.get_until_kept(server, content)
        await server.stopService()
        self.assertEqual((len(self.origin.asked), len(after)), (1, 1))
        lines = self.log.read_text().splitlines()
        self.assertEqual(len(lines), len(before) + 1)
        self.assertIn('"uri-miss"', lines[0])
        self.assertIn('"hit"', lines[-1])

    async def test_ready(self) -> None:
        """It says when it is ready, and what it counts."""
        server = self.start()
        await self.get(await self.connected(server), "/none.rpm")
        ready = await self.get(await self.connected(server), "/-/ready")
        metrics = await self.get(await self.connected(server), "/-/metrics")
        await server.stopService()
        self.assertEqual(ready.body, b"ready\n")
        self.assertIn(
            b'osproxy_requests_total{kind="package",outcome="uri-miss"} 1.0', metrics.body
        )

    async def test_more_connections_than_descriptors(self) -> None:
        """Where more connections are wanted than there can be, the log says so at the start."""
        for wanted, said in (("999999999", True), ("1", False)):
            events = logged(self)
            server = self.start(f"--connections={wanted}")
            await server.stopService()
            lines = [event["line"] for event in events if "line" in event]
            self.assertEqual(any("descriptors allow" in line for line in lines), said)
            self.assertEqual(f"{wanted} clients may be connected" in lines, not said)

    async def test_figures(self) -> None:
        """What parts of it know of themselves is told, each by its own name."""
        files = certificate_files(str(self.folder / "certificates"))
        server = self.start(
            "--tls-listen=tcp:0:interface=127.0.0.1",
            f"--tls-pem-key={files.key}",
            f"--tls-pem-chain={files.chain}",
            "--cache-size=1GiB",
            "--image-space=25%",
        )
        self.origin.files[PACKAGE] = content = os.urandom(300_000)
        await self.get_until_kept(server, content)
        metrics = await self.get(await self.connected(server), "/-/metrics")
        # What has come as a whole is a hit a moment before it is an entry.
        while b"osproxy_entries 1.0" not in metrics.body:
            metrics = await self.get(await self.connected(server), "/-/metrics")
        await server.stopService()
        figures = {
            name.removeprefix("osproxy_"): float(value)
            for name, value in re.findall(r"(?m)^(\S+) (\S+)$", metrics.body.decode())
        }
        for name, least, most in (
            ("capacity_bytes", 1 << 30, 1 << 30),
            ("image_capacity_bytes", 1 << 28, 1 << 28),
            ("stored_bytes", 300_000, 1 << 20),
            ("catalogue_bytes", 1, 1 << 20),
            ("disk_free_bytes", 1, 1 << 60),
            ("disk_free_files", 1, float("inf")),
            ("entries", 1, 1),
            ("connections", 1, 2),
            ("upstream_connections", 1, 1),
            ("certificate_end_timestamp_seconds", 1_700_000_000, 1 << 40),
            ('thread_calls{pool="disk"}', 0, 2),
            ('thread_calls{pool="scrub"}', 0, 1),
            (f'upstream_requests_total{{host="{host_of(self.origin.url)}",status="2xx"}}', 1, 1),
            (f'info{{version="{version("osproxy")}"}}', 1, 1),
            ('log_lost_total{log="access"}', 0, 0),
        ):
            self.assertTrue(least <= figures[name] <= most, (name, figures[name]))

    async def test_twist(self) -> None:
        """Started without the privileged step, as twist does, it serves as well."""
        server = self.make()
        server.startService()
        got = await self.get(await self.connected(server), "/-/healthy")
        self.assertEqual(got.body, b"ok\n")
        await server.stopService()

    async def test_tls(self) -> None:
        """Plain HTTP and TLS are served at once."""
        files = certificate_files(str(self.folder / "certificates"))
        server = self.start(
            "--tls-listen=tcp:0:interface=127.0.0.1",
            f"--tls-pem-key={files.key}",
            f"--tls-pem-chain={files.chain}",
        )
        self.origin.files[PACKAGE] = content = os.urandom(300_000)
        plain = await self.get(await self.connected(server), PACKAGE)
        port = port_of(server.listeners.ports[1])
        client = await connect_tls(port, files.authority.read_bytes())
        secure = await self.get(client, PACKAGE)
        self.assertEqual((plain.body, secure.body), (content, content))
        await server.stopService()

    async def test_proxies(self) -> None:
        """Who is a proxy is one to all listeners, and what they say of clients counts."""
        server = self.start(
            "--listen=tcp:0:interface=127.0.0.1",
            "--proxy-protocol=127.0.0.1",
            "--trusted-proxies=10.0.0.1",
            "--clients=10.0.0.0/8",
            "--deny=10.0.0.9",
        )
        for place in (0, 1):
            for field, status in (("X: y", 200), ("X-Forwarded-For: 10.0.0.9", 403)):
                client = await self.connected(server, place)
                client.send(b"PROXY TCP4 10.0.0.1 10.0.0.2 4000 80\r\n")
                self.assertEqual((await self.get(client, "/-/healthy", field)).status, status)
        await server.stopService()
        clients = [line.split()[0] for line in self.log.read_text().splitlines()]
        self.assertEqual(clients, ["10.0.0.1", "10.0.0.9"] * 2)

    async def test_hop_by_hop(self) -> None:
        """What an upstream says to the next hop goes no further, kept or passed on."""
        server = self.start()
        for path in (PACKAGE, IMAGE):
            self.origin.files[path] = b"0123456789"
            got = await self.get(await self.connected(server), path)
            self.assertEqual((got.body, got["Content-Length"]), (b"0123456789", "10"))
            for line in HOP_BY_HOP:
                self.assertIsNone(got[line.partition(":")[0]], line)
        await server.stopService()

    async def test_passage_waits(self) -> None:
        """Of what is not kept no more is read upstream than the client takes."""
        self.origin.files[IMAGE] = content = bytes(40_000_000)
        server = self.start()
        client = await self.connected(server)
        client.send(request(IMAGE, "Connection: close"))
        await client.received(100_000)
        client.read(False)
        await turn(2000)
        received = await self.get(await self.connected(server), "/-/metrics")
        (count,) = (
            float(line.split()[1])
            for line in received.body.decode().splitlines()
            if line.startswith("osproxy_upstream_received_bytes_total")
        )
        self.assertLess(count, 20_000_000)
        client.read(True)
        await client.ended()
        (got,) = responses(bytes(client.data))
        self.assertEqual(got.body, content)
        await server.stopService()

    async def test_body_finished(self) -> None:
        """A body that is under way when the server stops is finished; nobody else is let in."""
        self.origin.files[PACKAGE] = content = os.urandom(300_000)
        self.origin.held[PACKAGE] = 100_000
        server = self.start()
        client = await self.connected(server)
        port = port_of(server.listeners.ports[0])
        client.send(request(PACKAGE))
        await client.received(100_000)
        stopping = server.stopService()
        await until(lambda: not server.listeners.ports)
        await turn()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 10)
        self.assertFalse(stopping.called)
        self.origin.go_on(PACKAGE)
        await stopping
        await client.ended()
        (got,) = responses(bytes(client.data))
        self.assertEqual(got.body, content)

    async def test_body_cut(self) -> None:
        """One that takes longer than may be waited for is cut, and can be told from a whole one."""
        self.origin.files[PACKAGE] = bytes(300_000)
        self.origin.held[PACKAGE] = 100_000
        server = self.start("--drain-timeout=0.1")
        client = await self.connected(server)
        client.send(request(PACKAGE))
        await client.received(100_000)
        await server.stopService()
        await client.ended()
        (got,) = responses(bytes(client.data))
        self.assertFalse(got.whole)
        self.assertIn('; cut"', self.log.read_text())

    async def test_upstream_that_stays(self) -> None:
        """A source that does not let its connection be closed keeps nobody for long."""
        self.patch(assembly, "_CLOSE_WITHIN", 0.01)
        self.patch(ExactAgent, "close", lambda agent: Deferred())
        server = self.start()
        await server.stopService()
        again = self.start()
        await again.stopService()

    async def test_idle_connections(self) -> None:
        """Connections on which nothing is asked do not keep the server from stopping."""
        server = self.start()
        client = await self.connected(server)
        await until(lambda: client.connected)
        await turn()
        await server.stopService()
        await client.ended()


class ControlTests(WholeTestCase):
    """The socket over which osproxy is told to do something."""

    def setUp(self) -> None:
        """Have a directory with a short name: that of a socket is."""
        super().setUp()
        folder = tempfile.mkdtemp(prefix="osproxy-")
        self.addCleanup(shutil.rmtree, folder)
        self.socket = Path(folder) / "control"

    async def ask(self, target: str, method: str) -> Got:
        """Ask something over the socket."""
        endpoint = UNIXClientEndpoint(real_reactor, str(self.socket))
        client: Client = await connectProtocol(endpoint, Client())
        client.send(request(target, "Connection: close", method=method))
        await client.ended()
        (got,) = responses(bytes(client.data))
        return got

    async def test_verifies(self) -> None:
        """Who may use it has everything verified; clients elsewhere have not."""
        self.origin.files[PACKAGE] = os.urandom(300_000)
        server = self.start(f"--control-socket={self.socket}")
        self.assertEqual(stat.S_IMODE(self.socket.stat().st_mode), 0o600)
        client = await connect(port_of(server.listeners.ports[0]))
        client.send(request(PACKAGE, "Connection: close"))
        await client.ended()
        # The entry is there a little after the last octet.
        while b"entries: 1\n" not in (await self.ask("/-/status", "GET")).body:
            await turn()
        got = await self.ask("/-/scrub", "POST")
        self.assertEqual(json.loads(got.body.splitlines()[-1]), {"end": "done"})
        metrics = await self.ask("/-/metrics", "GET")
        self.assertIn(b"\nosproxy_verified_bytes_total 300000.0\n", metrics.body)
        client = await connect(port_of(server.listeners.ports[0]))
        client.send(request("/-/scrub", "Connection: close", method="POST"))
        await client.ended()
        self.assertEqual(responses(bytes(client.data))[0].status, 405)
        await server.stopService()
        self.assertEqual(list(self.socket.parent.iterdir()), [])

    async def test_left_by_a_crash(self) -> None:
        """What a crash has left of it is no hindrance, though its process had our number."""
        self.socket.with_name("control.lock").symlink_to(str(os.getpid()))
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.socket))
        server = self.start(f"--control-socket={self.socket}")
        self.assertEqual((await self.ask("/-/healthy", "GET")).status, 200)
        await server.stopService()

    async def test_off(self) -> None:
        """Unless it is wanted there is none."""
        server = self.start()
        self.assertEqual(len(server.listeners.ports), 1)
        await server.stopService()

    async def test_in_use(self) -> None:
        """Where another server has it, that is said in one line."""
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(str(self.socket))
        other.listen()
        server = self.make(f"--control-socket={self.socket}")
        with self.assertRaises(SystemExit) as raised:
            server.privilegedStartService()
        line = str(raised.exception.code)
        self.assertEqual(len(line.splitlines()), 1)
        self.assertIn(f"--control-socket: {self.socket}: cannot listen", line)
        server.startService()
        await server.stopService()
