"""
What is stored is served while no upstream answers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.clients import Dnf, Zypper
from tests.integration.packages import OSS, snapshots
from tests.integration.tools import DEADLINE, threaded, until
from tests.integration.wire import AT_ONCE, fetch

if TYPE_CHECKING:
    import socket

    from tests.integration.scripted import Question
    from tests.integration.server import Osproxy

_FRESHNESS: dict[str, float] = {"index": 1, "package": 1, "mutable": 1}
_INDEX = f"{OSS}/repodata/repomd.xml"


class OfflineTests(IntegrationCase):
    """What clients get when upstream is away."""

    def assert_stale(self, server: Osproxy, target: str) -> None:
        """Check that an answer is old and says so."""

        def aged() -> bool:
            return server.fetch(target).age >= 2

        until(aged, f"{target} has become stale")
        answer = server.fetch(target)
        self.assertEqual(answer.status, 200)
        self.assertRegex(answer.cache_status, r"^osproxy; (hit.*; ttl=-\d+|.*fwd=stale)")

    @threaded
    def test_clients_go_on(self) -> None:
        """With all upstreams stopped, clients with empty roots refresh and install."""
        first, _ = snapshots()
        self.site.publish(first)
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url, freshness=_FRESHNESS)
        url = f"{server.url}{OSS}/"
        for kind in (Zypper, Dnf):
            client = kind(self.place("root"), url)
            client.refresh()
            client.install()
        upstreams.stop()
        package = next(path for path in first.packages() if "tool" in path)
        for target in (_INDEX, f"{OSS}/media.1/media", f"{OSS}/{package}"):
            self.assert_stale(server, target)
        for kind in (Zypper, Dnf):
            client = kind(self.place("root"), url)
            client.refresh()
            client.install()
            self.assertEqual(client.installed(), first.expected())
        server.kill()
        server.start()
        self.assert_stale(server, _INDEX)
        client = Zypper(self.place("root"), url)
        client.refresh()
        client.install()
        self.assertEqual(client.installed(), first.expected())

    @threaded
    def test_not_stored(self) -> None:
        """What is not stored is 502 with a line of text, at once, and not 404 or 500."""
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url)
        upstreams.stop()
        for target in (_INDEX, "/x/noarch/a-1-1.noarch.rpm", "/x/unheard-of"):
            answer = server.fetch(target)
            self.assertEqual(answer.status, 502, target)
            self.assertTrue((answer.field("Content-Type") or "").startswith("text/plain"))
            self.assertEqual(len(answer.body.splitlines()), 1, answer.body)

    @threaded
    def test_silent_upstream(self) -> None:
        """An upstream that accepts and says nothing: the index is served within 3 s or so."""
        first, _ = snapshots()
        self.site.publish(first)
        nginx = self.file_server()
        silent = False

        def answer(question: Question, connection: socket.socket) -> None:
            if silent:
                # Nothing comes; this returns when the asker gives up.
                connection.recv(1)
                return
            got = fetch(nginx.port, question.target)
            connection.sendall(got.head + got.body)

        upstream = self.scripted(answer)
        patient = f"--head-timeout={DEADLINE}"
        server = self.osproxy(upstream.url, patient, freshness=_FRESHNESS)
        self.assertEqual(server.fetch(_INDEX).status, 200)
        silent = True
        self.assert_stale(server, _INDEX)
        begin = time.monotonic()
        self.assert_whole(server.fetch(_INDEX), first.digests()["repodata/repomd.xml"])
        self.assertLess(time.monotonic() - begin, AT_ONCE)

    @threaded
    def test_slow_upstream_is_not_a_bad_one(self) -> None:
        """A file that is not stored, from an upstream that says nothing: 504."""

        def answer(question: Question, connection: socket.socket) -> None:
            connection.recv(1)

        server = self.osproxy(self.scripted(answer).url, "--head-timeout=1")
        answered = server.fetch("/x/noarch/a-1-1.noarch.rpm")
        self.assertEqual(answered.status, 504)
        self.assertEqual(len(answered.body.splitlines()), 1)

    @threaded
    def test_error_of_upstream_replaces_nothing(self) -> None:
        """500, 403 and a page in place of a file leave what is stored as it is."""
        content = b"good" * 1000
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\nConnection: close\r\n\r\n" + content

        def answer(question: Question, connection: socket.socket) -> None:
            connection.sendall(reply)

        server = self.osproxy(self.scripted(answer).url, freshness=_FRESHNESS)
        target = "/x/noarch/a-1-1.noarch.rpm"
        self.assertEqual(server.fetch(target).body, content)
        for status in ("500 Broken", "403 Forbidden", "503 Busy"):
            reply = (
                f"HTTP/1.1 {status}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad"
            ).encode()
            self.assert_stale(server, target)
            answered = server.fetch(target)
            self.assertEqual((answered.status, answered.body), (200, content), status)
