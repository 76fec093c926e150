"""
Too much of everything: those who are served go on being served, and it ends with its cause.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.clients import Dnf
from tests.integration.crowds import Crowd, addresses, ask_all, request, status_of
from tests.integration.packages import OSS, pattern, snapshots
from tests.integration.scripted import response
from tests.integration.server import TWIST, Osproxy
from tests.integration.tools import DEADLINE, Finished, require, run, threaded, until
from tests.integration.wire import AT_ONCE, Connection, fetch

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.integration.scripted import Question

_SMALL = "/x/noarch/small-1-1.noarch.rpm"
_LARGE = "/x/noarch/large-1-1.noarch.rpm"
_CONTENT = pattern(1_000)
_LONG = pattern(8_000_000)
_HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX-"


def sha256(octets: bytes) -> str:
    """Say what these octets are, in a word."""
    return hashlib.sha256(octets).hexdigest()


class Visitor(threading.Thread):
    """
    A client of its own address that asks for what is stored, again and again.

    :ivar answers: how often it was answered how: a status, or what went wrong.
    :ivar slowest: seconds that the slowest answer took.
    """

    def __init__(self, server: Osproxy, source: str) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._source = source
        self._over = threading.Event()
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._over.wait(0.05):
            begin = time.monotonic()
            try:
                answer = fetch(self._server.port, _SMALL, source=self._source)
                right = answer.status != 200 or answer.body == _CONTENT
                self.answers[str(answer.status) if right else "wrong"] += 1
            except OSError as error:
                self.answers[repr(error)] += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def end(self) -> None:
        """Stop, and wait for the last answer."""
        self._over.set()
        self.join(30)


class OverloadCase(IntegrationCase):
    """A server with two files stored, and others that want too much of it."""

    def serve(self, *options: str, descriptors: int | None = None) -> Osproxy:
        """Start a server, with so many descriptors if that is given, and have the files stored."""
        for target, content in ((_SMALL, _CONTENT), (_LARGE, _LONG)):
            self.site.write(target, content)
        limited = ("sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *TWIST)
        server = Osproxy(
            self.place("osproxy"),
            self.file_server().url,
            *options,
            command=TWIST if descriptors is None else limited,
        )
        self.addCleanup(server.close)
        server.start()
        for target in (_SMALL, _LARGE):
            self.assertEqual(server.fetch(target).status, 200)
        server.settle()
        return server

    def crowd(self, server: Osproxy) -> Crowd:
        """Make a crowd that leaves with the test."""
        crowd = Crowd(server.port)
        self.addCleanup(crowd.leave)
        return crowd

    @contextmanager
    def visited(self, server: Osproxy) -> Iterator[Visitor]:
        """Have a client ask all the while, and one that is served already be served to the end."""
        visitor = Visitor(server, "127.9.9.9")
        with Connection(server.port, source="127.9.9.8", receive_buffer=4096) as established:
            established.ask(_LARGE)
            begun = established.head()
            octets = established.read(100_000)
            visitor.start()
            try:
                yield visitor
            finally:
                visitor.end()
            octets += established.read(len(_LONG) - len(octets))
        self.assertEqual((begun.status, sha256(octets)), (200, sha256(_LONG)))

    def assert_recovers(self, server: Osproxy, descriptors: int) -> None:
        """Check that everything works as before, with as many descriptors as before."""
        until(lambda: _descriptors(server) <= descriptors, "descriptors are given back")
        self.assertEqual(server.fetch(_SMALL).body, _CONTENT)
        self.site.write("/x/noarch/new-1-1.noarch.rpm", b"new")
        self.assertEqual(server.fetch("/x/noarch/new-1-1.noarch.rpm").body, b"new")
        self.assertEqual(server.fetch("/x/noarch/no-1-1.noarch.rpm").status, 404)
        self.assertNotIn("Traceback", server.said())
        self.assertNotIn("EMFILE", server.said())


def _descriptors(server: Osproxy) -> int:
    assert server.process is not None
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def _seconds_of_cpu(server: Osproxy) -> float:
    assert server.process is not None
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class CrowdTests(OverloadCase):
    """Too many connections."""

    @threaded
    def test_few_descriptors(self) -> None:
        """
        With 256 descriptors 64 clients are served and none of them is harmed; further ones are told
        503 or are not accepted, without the processor being kept busy, until there is room again.
        """
        server = self.serve(descriptors=256)
        before = _descriptors(server)
        large = request(server.port, _LARGE)
        with self.visited(server) as visitor:
            until(lambda: visitor.answers["200"] >= 3, "it is served")
            crowd = self.crowd(server)
            crowd.join(list(islice(addresses(1), 62)), large, receive_buffer=4096)
            # The places are taken: of those who come now some are told, and the rest wait.
            told = ask_all(server.port, [_SMALL] * 40, deadline=10)
            for answer in told:
                if answer:
                    self.assertIn(status_of(answer), (200, 503))
                    retry = b"\r\nRetry-After: 5\r\n" in answer
                    self.assertEqual(retry, status_of(answer) == 503, answer)
            self.assertIn(503, map(status_of, told))
            self.assertEqual(server.fetch("/-/healthy").status, 200)
            crowd.join(list(islice(addresses(2), 200)), _HALF_A_HEAD, receive_buffer=4096)
            until(lambda: _descriptors(server) > 80, "it is full")
            busy = _seconds_of_cpu(server)
            # The time over which it is watched.
            time.sleep(2)
            self.assertLess(_seconds_of_cpu(server) - busy, 1.0)
            self.assertLess(_descriptors(server), 208)
            crowd.leave()
        self.assertLessEqual(set(visitor.answers) - {"200", "503"}, set(), visitor.answers)
        self.assert_recovers(server, before + 2)
        self.assert_refusals(server, "all connections are taken")

    @threaded
    def test_two_thousand_slow_clients(self) -> None:
        """1,000 that send slowly and 1,000 that read slowly keep nobody out, and cost little."""
        server = self.serve()
        before, memory = _descriptors(server), server.resident()
        with self.visited(server) as visitor:
            crowd = self.crowd(server)
            crowd.join(["127.0.0.1"] * 1_000, request(server.port, _LARGE), receive_buffer=4096)
            # Last, since these have half a minute only.
            crowd.join(["127.0.0.1"] * 1_000, _HALF_A_HEAD)
            self.assertEqual(crowd.refused, 0)
            self.assertEqual(server.fetch(_SMALL).body, _CONTENT)
            until(lambda: _descriptors(server) >= before + 2_000, "all are connected")
            self.assertLess(server.resident() - memory, 150 << 20)
            crowd.leave()
        self.assertEqual(set(visitor.answers), {"200"})
        self.assertLess(visitor.slowest, AT_ONCE)
        self.assert_recovers(server, before + 2)
        self.assert_refusals(server)

    @threaded
    def test_accept_storm(self) -> None:
        """2,000 who connect at once are all served, and who is served meanwhile is, too."""
        server = self.serve()
        before = _descriptors(server)
        with self.visited(server) as visitor:
            # Who does not fit into the kernel's queue tries again after a second, two, four, ...
            answers = ask_all(server.port, [_SMALL] * 2_000, deadline=3 * DEADLINE)
        self.assertEqual(Counter(map(status_of, answers)), {200: 2_000})
        self.assertTrue(all(answer.endswith(_CONTENT) for answer in answers))
        self.assertEqual(set(visitor.answers), {"200"})
        self.assert_recovers(server, before + 2)

    @threaded
    def test_slowhttptest(self) -> None:
        """Slowhttptest finds the server available in each of its modes with 1,000 connections."""
        require("slowhttptest")
        server = self.serve()
        before = _descriptors(server)
        for mode in ("-H -i 5", "-B -i 5 -s 8192", "-R -a 10 -b 3000", "-X -w 10 -y 20 -n 5 -z 32"):
            visitor = Visitor(server, "127.0.0.1")
            visitor.start()
            # It takes notice of its time now and then only.
            said = _slowhttptest(server, mode.split())
            visitor.end()
            self.assertIn("YES", said, mode)
            self.assertNotIn("NO", said, mode)
            self.assertEqual(set(visitor.answers), {"200"}, mode)
            self.assertLess(visitor.slowest, AT_ONCE, mode)
        self.assert_recovers(server, before + 2)


def _slowhttptest(server: Osproxy, mode: list[str]) -> list[str]:
    done: Finished = run(
        [
            "slowhttptest",
            *("-c", "1000", "-r", "1000", "-l", "5", "-p", "20"),
            *mode,
            *("-u", f"{server.url}{_LARGE}"),
        ],
        check=False,
    )
    lines = [line for line in done.out.splitlines() if "service available" in line]
    return [word for line in lines for word in ("YES", "NO") if word in line]


class Slow:
    """
    An upstream that has nothing and takes its time to say so, and how many ask it at once.

    :ivar asking: how many ask it now.
    :ivar most: how many have asked it at once.
    """

    def __init__(self) -> None:
        self.asking = 0
        self.most = 0
        self._held = threading.Event()
        self._pause = 0.3
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Answer nobody until told to go on."""
        self._pause = DEADLINE

    def go_on(self) -> None:
        """Answer at once."""
        self._held.set()

    def __call__(self, question: Question, connection: socket.socket) -> None:
        """Answer one question."""
        with self._lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        stored = "/x/noarch/small" in question.target
        if not stored:
            # The scenario: an origin that is slow to answer.
            self._held.wait(self._pause)
        with self._lock:
            self.asking -= 1
        content = b"" if question.method == "HEAD" else _CONTENT
        connection.sendall(response("200 OK", content) if stored else response("404 Not Found"))


class FloodTests(IntegrationCase):
    """Too many questions to upstreams."""

    @threaded
    def test_missing_names(self) -> None:
        """Names that nobody has cost an upstream a few questions at a time."""
        self._flood("GET")

    @threaded
    def test_heads(self) -> None:
        """So do questions whether there are such names."""
        self._flood("HEAD")

    def _flood(self, method: str) -> None:
        slow = Slow()
        server = self.osproxy(self.scripted(slow).url, "--upstream-requests=4")
        self.assertEqual(server.fetch(_SMALL).body, _CONTENT)
        server.settle()
        before = _descriptors(server)
        visitor = Visitor(server, "127.9.9.9")
        visitor.start()
        names = [f"/x/noarch/no-{number}-1.noarch.rpm" for number in range(400)]
        answers = ask_all(server.port, names, method)
        visitor.end()
        counted = Counter(map(status_of, answers))
        self.assertEqual(set(counted), {404, 503}, counted)
        # Half of the turns and of the queue is what one client can have.
        self.assertGreaterEqual(counted[404], 4)
        for answer in answers:
            retry = b"\r\nRetry-After: 5\r\n" in answer
            self.assertEqual(retry, status_of(answer) == 503, answer)
        self.assertEqual(slow.most, 2)
        self.assertEqual(set(visitor.answers), {"200"})
        self.assertLess(visitor.slowest, AT_ONCE)
        self.assert_refusals(server, "is asked as much as it may be")
        # It ends by itself.
        self.assertEqual(server.fetch("/x/noarch/other-1-1.noarch.rpm").status, 404)
        until(lambda: _descriptors(server) <= before + 2, "descriptors are given back")
        self.assertNotIn("Traceback", server.said())

    @threaded
    def test_others(self) -> None:
        """While one client asks for names that nobody has, another gets what is not stored."""
        slow = Slow()
        server = self.osproxy(self.scripted(slow).url, "--upstream-requests=4")
        names = [f"/x/noarch/no-{number}-1.noarch.rpm" for number in range(400)]
        flood = threading.Thread(target=ask_all, args=(server.port, names))
        flood.start()
        until(lambda: slow.most == 2, "the flood has its turns")
        for number in range(3):
            answer = fetch(
                server.port, f"/x/noarch/small{number}-1-1.noarch.rpm", source="127.9.9.9"
            )
            self.assertEqual((answer.status, answer.body), (200, _CONTENT))
        flood.join()

    @threaded
    def test_cold_repository(self) -> None:
        """A repository works with one question at a time, though its index is of several files."""
        self.site.publish(snapshots()[0])
        server = self.osproxy(self.file_server().url, "--upstream-requests=1")
        self.assertEqual(server.fetch(f"{OSS}/repodata/repomd.xml").status, 200)

    @threaded
    def test_stale(self) -> None:
        """What is stored is served stale rather than not at all while too much is asked."""
        slow = Slow()
        server = self.osproxy(
            self.scripted(slow).url, "--upstream-requests=1", freshness={"package": 0.0}
        )
        self.assertEqual(server.fetch(_SMALL).body, _CONTENT)
        server.settle()
        slow.hold()
        self.addCleanup(slow.go_on)
        names = [f"/x/noarch/no-{number}-1.noarch.rpm" for number in range(4)]
        flood = threading.Thread(target=ask_all, args=(server.port, names))
        flood.start()
        until(lambda: slow.asking == 1, "the flood has its turn")
        answer = server.fetch(_SMALL)
        self.assertEqual((answer.status, answer.body), (200, _CONTENT))
        self.assertIn("asked too much at once", answer.field("Cache-Status") or "")
        slow.go_on()
        flood.join()


class RateTests(OverloadCase):
    """Limits that an operator has set."""

    @threaded
    def test_requests(self) -> None:
        """A client that asks too often is told 503 and when to come again; others are not."""
        server = self.serve("--client-requests=0.01 burst=12")
        answers = [fetch(server.port, _SMALL, source="127.0.0.2") for _ in range(20)]
        self.assertEqual([it.status for it in answers], [200] * 12 + [503] * 8)
        refused = answers[-1]
        self.assertIn(int(refused.field("Retry-After") or 0), range(50, 101))
        self.assertEqual(fetch(server.port, _SMALL, source="127.0.0.3").status, 200)
        self.assertEqual(fetch(server.port, "/-/ready", source="127.0.0.2").status, 200)
        self.assert_refusals(server, "127.0.0.2 asks more often")

    @threaded
    def test_dnf(self) -> None:
        """With dnf, which asks again at once and soon gives up, packages install all the same."""
        self.site.publish(snapshots()[0])
        server = self.osproxy(
            self.file_server().url, "--client-requests=5 burst=2", "--client-connections=3"
        )
        dnf = Dnf(self.place("root"), f"{server.url}{OSS}/")
        dnf.refresh()
        dnf.install()
        self.assertEqual(dnf.installed(), snapshots()[0].expected())
        self.assert_refusals(server)

    @threaded
    def test_bandwidth(self) -> None:
        """
        What there is in all is kept to and is shared by clients, not by connections. SIGHUP takes
        the limit away.
        """
        server = self.serve()
        with server.configuration.open("r+") as file:
            settings = file.read()
            file.seek(0)
            file.write('bandwidth = "2MB"\n' + settings)
        server.reload()
        until(lambda: "--bandwidth: 2000000" in server.said(), "the limit counts")
        got = Counter({"127.0.0.2": 0, "127.0.0.3": 0})
        over = threading.Event()

        def read(source: str) -> None:
            with Connection(server.port, source=source, receive_buffer=65536) as connection:
                connection.ask(_LARGE)
                connection.head()
                while not over.is_set() and (part := connection.read1(65536)):
                    got[source] += len(part)

        sources = ["127.0.0.2"] * 4 + ["127.0.0.3"]
        readers = [threading.Thread(target=read, args=(source,)) for source in sources]
        began = time.monotonic()
        for reader in readers:
            reader.start()
        until(lambda: got.total() > 6_000_000, "enough has come to be counted")
        over.set()
        for reader in readers:
            reader.join(DEADLINE)
        # A second's worth may come at once.
        self.assertLess(got.total(), 2_000_000 * (time.monotonic() - began + 1), got)
        self.assertLess(abs(got["127.0.0.2"] - got["127.0.0.3"]), 0.3 * got.total(), got)
        server.configuration.write_text(settings)
        server.reload()
        until(lambda: "--bandwidth: 0" in server.said(), "it counts no more")

        def fast() -> bool:
            begin = time.monotonic()
            self.assertEqual(sha256(server.fetch(_LARGE).body), sha256(_LONG))
            return time.monotonic() - begin < 2

        until(fast, "it comes faster than it might before")

    @threaded
    def test_throttled(self) -> None:
        """One that is throttled is not taken for one that stalls."""
        content = pattern(250_000)
        self.site.write(_SMALL, content)
        server = self.osproxy(
            self.file_server().url, "--client-timeout=1", "--client-bandwidth=40kB"
        )
        for _ in ("fetched", "stored"):
            self.assertEqual(sha256(server.fetch(_SMALL).body), sha256(content))
