"""
Who asks and who may, with nginx and HAProxy in front, and clients at addresses of their own.

All of 127.0.0.0/8 is this machine, so that a client is told by the address that it connects from.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.haproxy import Haproxy
from tests.integration.nginx import Nginx
from tests.integration.packages import pattern
from tests.integration.scripted import response
from tests.integration.tools import DEADLINE, require, threaded, until
from tests.integration.wire import Connection

if TYPE_CHECKING:
    import socket

    from tests.integration.ports import Port
    from tests.integration.scripted import Question
    from tests.integration.server import Osproxy

FRIEND, STRANGER, NGINX, HAPROXY = "127.0.0.5", "127.0.0.6", "127.0.0.77", "127.0.0.78"

_FRONT = """
location / {{
    proxy_pass http://{place};
    proxy_bind {bind};
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    {fields}
}}
"""
_OLDER = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
_NEWER = """
    proxy_set_header X-Forwarded-For "";
    set $before "";
    if ($http_forwarded) { set $before "$http_forwarded, "; }
    proxy_set_header Forwarded "${before}for=$remote_addr";
"""


class AccessCase(IntegrationCase):
    """A proxy that serves one client, and this machine's own address for the tests' sake."""

    def setUp(self) -> None:
        """Need curl, too."""
        super().setUp()
        require("curl")

    def serve(self, *options: str, tls: bool = False, backends: str = "") -> Osproxy:
        """Start a proxy for a file server."""
        site = self.site.root
        (site / "x").mkdir(parents=True, exist_ok=True)
        (site / "x" / "a.rpm").write_bytes(b"package")
        return self.osproxy(
            self.file_server().url,
            f"--clients=127.0.0.1,{FRIEND}",
            *options,
            backends=backends,
            certificates=self.certificates if tls else None,
        )

    def nginx(self, place: str, fields: str, *, bind: str = NGINX) -> Nginx:
        """Start an nginx in front of a proxy."""
        server = _FRONT.format(place=place, fields=fields, bind=bind)
        nginx = Nginx(self.place("front"), server)
        self.addCleanup(nginx.close)
        nginx.start()
        return nginx

    def curl(self, source: str, url: str, *arguments: str) -> tuple[int, int]:
        """Ask from an address, and return the status and curl's own verdict."""
        command = ["curl", "-sS", "-o", str(self.directory / "got"), "-w", "%{http_code}"]
        done = subprocess.run(
            [*command, "--max-time", str(int(DEADLINE)), "--interface", source, *arguments, url],
            capture_output=True,
            check=False,
            text=True,
        )
        return int(done.stdout), done.returncode

    def served(self, port: Port, source: str) -> int:
        """
        Have five answers to an address under way at once, and tell how many there are.

        None of those is cut for the others' sake.
        """
        # More than lies on the way that nobody reads from.
        content = pattern(24_000_000)
        self.site.write("/x/large.rpm", content)
        held = []
        for _ in range(5):
            try:
                # One that is at nothing would have to make room for others.
                connection = Connection(port, source=source, receive_buffer=65536)
                self.addCleanup(connection.close)
                connection.ask("/x/large.rpm", {"X-Forwarded-For": FRIEND})
                if connection.head().status == 200:
                    held.append(connection)
            except OSError:
                # Cut, be it before it has sent anything.
                continue
        for connection in held:
            self.assertTrue(connection.read(len(content)) == content)
        return len(held)

    def last(self, server: Osproxy, count: int) -> str:
        """Wait for so many lines in the access log, of files, and give the client of the last."""

        def lines() -> list[str]:
            return [line for line in server.logged() if " /-/" not in line]

        until(lambda: len(lines()) >= count, f"{count} lines are logged")
        self.assertEqual(len(lines()), count)
        return lines()[-1].split()[0]


class NginxTests(AccessCase):
    """Behind nginx the client is the one that nginx has seen."""

    def ask_all(self, server: Osproxy, front: str, field: str) -> None:
        """Have both clients ask by way of nginx, and try to pass for another."""
        forge = ["-H", field]
        for number, (client, arguments, status) in enumerate(
            (
                (FRIEND, [], 200),
                (STRANGER, [], 403),
                (FRIEND, forge, 200),
                (STRANGER, forge, 403),
                (STRANGER, [*forge, *forge], 403),
            ),
            1,
        ):
            self.assertEqual(self.curl(client, f"{front}/x/a.rpm", *arguments), (status, 0))
            self.assertEqual(self.last(server, number), client)

    @threaded
    def test_x_forwarded_for(self) -> None:
        """With X-Forwarded-For; a Forwarded that nginx lets through is no way in."""
        server = self.serve(f"--trusted-proxies={NGINX}")
        front = self.nginx(str(server.port), _OLDER).url
        self.ask_all(server, front, f"X-Forwarded-For: {FRIEND}")
        forged = ("-H", f"Forwarded: for={FRIEND}")
        self.assertEqual(self.curl(STRANGER, f"{front}/x/a.rpm", *forged), (403, 0))
        self.assertEqual(self.last(server, 6), NGINX)

    @threaded
    def test_forwarded(self) -> None:
        """With Forwarded, whatever a client has begun in it."""
        server = self.serve(f"--trusted-proxies={NGINX}")
        front = self.nginx(str(server.port), _NEWER).url
        self.ask_all(server, front, f"Forwarded: for={FRIEND}")
        for number, begun in enumerate(('for="', 'for="\\', f'for={FRIEND};host="', ",,;"), 6):
            forged = ("-H", f"Forwarded: {begun}")
            self.assertEqual(self.curl(STRANGER, f"{front}/x/a.rpm", *forged), (403, 0), begun)
            self.assertEqual(self.last(server, number), STRANGER)

    @threaded
    def test_unix_socket(self) -> None:
        """Over a Unix socket, where nginx has no address of its own."""
        path = self.socket_path()
        server = self.serve(f"--listen=unix:{path}", "--trusted-proxies=unix")
        front = self.nginx(f"unix:{path}:", _OLDER, bind="off").url
        self.ask_all(server, front, f"X-Forwarded-For: {FRIEND}")

    @threaded
    def test_chain(self) -> None:
        """Through two of them, where each says who has asked it."""
        server = self.serve(f"--trusted-proxies={NGINX},127.0.0.79")
        inner = self.nginx(str(server.port), _OLDER)
        outer = self.nginx(str(inner.port), _OLDER, bind="127.0.0.79")
        self.ask_all(server, outer.url, f"X-Forwarded-For: {FRIEND}")

    @threaded
    def test_not_trusted(self) -> None:
        """Where nobody is trusted the fields change nothing: nginx is the client."""
        server = self.serve()
        forged = ("-H", f"X-Forwarded-For: {FRIEND}", "-H", f"Forwarded: for={FRIEND}")
        self.assertEqual(self.curl(STRANGER, f"{server.url}/x/a.rpm", *forged), (403, 0))
        self.assertEqual(self.last(server, 1), STRANGER)
        front = self.nginx(str(server.port), _OLDER).url
        self.assertEqual(self.curl(FRIEND, f"{front}/x/a.rpm"), (403, 0))
        self.assertEqual(self.last(server, 2), NGINX)

    @threaded
    def test_many_connections(self) -> None:
        """A proxy that is trusted may have any number of connections, its clients have theirs."""
        server = self.serve(f"--trusted-proxies={NGINX}", "--client-connections=2")
        for source, expected in ((NGINX, 5), (FRIEND, 2)):
            self.assertEqual(self.served(server.port, source), expected, source)


class ListsTests(AccessCase):
    """Lists of backends, and of those who may not."""

    @threaded
    def test_lists(self) -> None:
        """A backend's list counts for its files; who is denied is so from a reload on."""
        origin = self.file_server()
        tables = "".join(
            f'[backend."/{name}"]\nauthority = "{origin.url}"\n{keys}\n'
            for name, keys in (
                ("all", 'clients = "all"'),
                ("few", 'clients = ["127.0.0.9"]'),
                ("most", f'deny = "{FRIEND}"'),
            )
        )
        server = self.serve(backends=tables)

        def seen(source: str) -> list[int]:
            return [
                self.curl(source, f"{server.url}{prefix}/x/a.rpm")[0]
                for prefix in ("", "/all", "/few", "/most", "/-/status")
            ]

        self.assertEqual(seen(FRIEND), [200, 200, 403, 403, 404])
        self.assertEqual(seen(STRANGER), [403, 200, 403, 403, 403])
        self.assertEqual(seen("127.0.0.9"), [403, 200, 200, 403, 403])
        said = server.configuration.read_text()
        server.configuration.write_text(f'deny = ["{STRANGER}", "127.0.0.9"]\n{said}')
        server.reload()
        until(lambda: seen(STRANGER) == [403] * 5, "the stranger is denied")
        self.assertEqual(seen("127.0.0.9"), [403] * 5)
        self.assertEqual(seen(FRIEND), [200, 200, 403, 403, 404])
        self.assertIn(f"--deny: {STRANGER}/32, 127.0.0.9/32 from now on", server.said())


class HaproxyTests(AccessCase):
    """Behind HAProxy the client is the one that its header names."""

    def setUp(self) -> None:
        """Need HAProxy, too."""
        super().setUp()
        require("haproxy")

    def haproxy(self, *places: tuple[Port, str]) -> list[Port]:
        """Start it in front of a proxy."""
        haproxy = Haproxy(self.place("haproxy"), HAPROXY, *places)
        self.addCleanup(haproxy.close)
        haproxy.start()
        return haproxy.ports

    @threaded
    def test_both_versions(self) -> None:
        """With either version, with a checksum, and in front of TLS; checks of its own are none."""
        server = self.serve(f"--proxy-protocol={HAPROXY}", tls=True)
        ways = ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id")
        ports = self.haproxy(
            *((server.port, how) for how in ways), *((server.tls_port, how) for how in ways)
        )
        authority = ("--cacert", str(self.certificates.authority))
        count = 0
        for number, port in enumerate(ports):
            scheme = "http" if number < len(ways) else "https"
            for client, status in ((FRIEND, 200), (STRANGER, 403)):
                count += 1
                got = self.curl(client, f"{scheme}://{port}/x/a.rpm", *authority)
                self.assertEqual(got, (status, 0), (number, client))
                self.assertEqual(self.last(server, count), client)
        self.assertNotIn("is cut", server.said())

    @threaded
    def test_connections(self) -> None:
        """The connections of a client are counted as its own."""
        server = self.serve(f"--proxy-protocol={HAPROXY}", "--client-connections=2")
        (port,) = self.haproxy((server.port, "send-proxy-v2"))
        for source, expected in ((FRIEND, 2), ("127.0.0.1", 2)):
            self.assertEqual(self.served(port, source), expected, source)

    @threaded
    def test_curl(self) -> None:
        """From curl as well, in front of TLS; from others a header is a bad request."""
        server = self.serve(f"--proxy-protocol={HAPROXY}", "--clients=127.0.0.0/8", tls=True)
        authority = ("--cacert", str(self.certificates.authority))
        for count, (source, url, arguments, expected) in enumerate(
            (
                (HAPROXY, server.url, ["--haproxy-protocol"], (200, 0)),
                (HAPROXY, server.tls_url, ["--haproxy-protocol", *authority], (200, 0)),
                (FRIEND, server.url, ["--haproxy-protocol"], (400, 0)),
                (FRIEND, server.tls_url, authority, (200, 0)),
            ),
            1,
        ):
            self.assertEqual(self.curl(source, f"{url}/x/a.rpm", *arguments), expected)
            self.assertEqual(self.last(server, count), source)

    @threaded
    def test_no_header(self) -> None:
        """Without a header there is no answer, and one line in a minute."""
        server = self.serve(f"--proxy-protocol={HAPROXY}", tls=True)
        for url in (server.url, server.tls_url):
            status, verdict = self.curl(HAPROXY, f"{url}/x/a.rpm", "--insecure")
            self.assertEqual(status, 0)
            self.assertIn(verdict, (35, 52, 56))
        self.assert_refusals(server, f"{HAPROXY} has sent no PROXY header")
        self.assertEqual(server.fetch("/x/a.rpm").status, 200)
        self.assertEqual(self.last(server, 1), "127.0.0.1")

    @threaded
    def test_pieces(self) -> None:
        """Header and request come in single octets."""
        server = self.serve(f"--proxy-protocol={HAPROXY}")
        with Connection(server.port, source=HAPROXY) as connection:
            said = (
                f"PROXY TCP4 {FRIEND} 127.0.0.1 4000 80\r\nGET /x/a.rpm HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            for octet in said.encode():
                connection.send(bytes([octet]))
            self.assertEqual(connection.answer().status, 200)
        self.assertEqual(self.last(server, 1), FRIEND)


class MachineTests(AccessCase):
    """What zypper says of its machine stays where it is."""

    @threaded
    def test_stays(self) -> None:
        """Neither kind of backend tells an upstream, nor does the log have it."""

        def answer(question: Question, connection: socket.socket) -> None:
            connection.sendall(response("200 OK", b"package"))

        origin = self.scripted(answer)
        table = f'[backend."/api"]\nauthority = "{origin.url}"\npolicy = "generic"\n'
        server = self.osproxy(origin.url, backends=table)
        spelled = ("X-ZYpp-AnonymousId", "x-zypp-DistributionFLAVOR", "X_ZYpp_AnonymousId")
        for number, prefix in enumerate(("", "/api")):
            fields = [arg for name in spelled for arg in ("-H", f"{name}: f00ba2")]
            url = f"{server.url}{prefix}/x/a-{number}.rpm"
            named = ("-H", "Connection: x-zypp-anonymousid", "-H", "X-Other: kept")
            self.assertEqual(self.curl("127.0.0.1", url, *fields, *named), (200, 0))
        said = [dict(question.fields) for question in origin.asked]
        self.assertTrue(any("x-other" in fields for fields in said))
        self.assertNotIn("zypp_", "".join(str(fields).lower().replace("-", "_") for fields in said))
        self.assertNotIn("f00ba2", str(said))
        self.last(server, 2)
        self.assertNotIn("f00ba2", server.access_log.read_text() + server.said())
