"""
File descriptors are used up in the middle of what is being done: nobody is harmed, and it passes.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from tests.integration.packages import pattern
from tests.integration.scripted import response
from tests.integration.tools import DEADLINE, require_root, threaded, until
from tests.integration.troubles import FILE, TroubleCase

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from tests.integration.scripted import Question, ScriptedUpstream
    from tests.integration.server import Osproxy

_NEWCOMERS = 30
# Of what comes slowly so much comes at first.
_BEGINNING = FILE // 2


def open_files(server: Osproxy) -> int:
    """Count the descriptors of a server."""
    assert server.process is not None
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@contextmanager
def limited(server: Osproxy, descriptors: int) -> Iterator[None]:
    """Let a server that runs have so many descriptors only, and then as many as before."""
    require_root("change the limits of a process")
    assert server.process is not None
    pid = server.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


class DescriptorTests(TroubleCase):
    """What is asked for while there are none, or hardly any."""

    def outcome(self, server: Osproxy, path: str, digest: str) -> str:
        """Ask for a file, and say what came of it; a wrong answer fails."""
        try:
            answer = server.fetch(path)
        except ConnectionError:
            return "refused"
        if answer.status == 503:
            self.assertIn("Retry-After", dict(answer.fields))
            return "later"
        self.assert_whole(answer, digest)
        return "served"

    def upstream(self, go_on: Event) -> ScriptedUpstream:
        """Start an upstream that stops in the middle of files until it is told to go on."""

        def answer(question: Question, connection: socket.socket) -> None:
            body = self.site.root.joinpath(question.target.lstrip("/")).read_bytes()
            whole = response("200 OK", body, ETag=f'"{len(body)}"')
            connection.sendall(whole[:_BEGINNING])
            if len(whole) > _BEGINNING:
                go_on.wait(DEADLINE)
                connection.sendall(whole[_BEGINNING:])

        return self.scripted(answer)

    def publish_more(self, name: str, count: int, size: int) -> dict[str, str]:
        """Put further files upstream; return their digests by path."""
        return {
            path: self.site.write(path, pattern(size, seed=size + number))
            for number in range(count)
            for path in [f"/x/noarch/{name}-{number}-1-1.noarch.rpm"]
        }

    def check(self, more: int, happens: Callable[[Osproxy, list[Future[str]]], None]) -> None:
        """
        Have clients come while there are so many descriptors more than are taken.

        :param happens: waits for what is to happen then.
        """
        go_on = Event()
        self.addCleanup(go_on.set)
        stored = self.publish_more("stored", 5, 5000)
        new = self.publish_more("new", 5, 9000)
        slow = self.publish_more("slow", 8, FILE)
        server = self.osproxy(self.upstream(go_on).url, "--cache-size=100MiB")
        self.hits(server, stored)
        with ThreadPoolExecutor(len(slow) + _NEWCOMERS) as pool:
            fills = [pool.submit(self.outcome, server, *it) for it in slow.items()]
            # With what is in front of a body in its file.
            begun = len(slow) * _BEGINNING
            until(lambda: server.draft_octets() >= begun, "of all there is the beginning")
            with limited(server, open_files(server) + more):
                wanted = [*stored.items(), *new.items()] * (_NEWCOMERS // 10)
                newcomers = [pool.submit(self.outcome, server, *it) for it in wanted]
                happens(server, newcomers)
                go_on.set()
                wait(fills)
            # Who came first had all they need.
            self.assertEqual(Counter(it.result() for it in fills), {"served": len(slow)})
            outcomes = Counter(it.result() for it in newcomers)
        self.assertLess(outcomes["refused"], _NEWCOMERS // 2, outcomes)
        server.settle()
        self.assertEqual(self.hits(server, {**stored, **slow}), len(stored) + len(slow))
        self.hits(server, new)
        self.assertEqual(self.hits(server, new), len(new))
        said = self.complaints(server)
        self.assertLessEqual(len(said), 6, said)
        self.assertLess(len(server.said().splitlines()), 100)
        self.assertNotIn("catalogue", self.troubles(server))
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_none(self) -> None:
        """What is coming comes; nobody is accepted meanwhile, which is said once."""

        def said(server: Osproxy, newcomers: list[Future[str]]) -> None:
            until(lambda: "file descriptors run out" in server.said(), "it is said")

        self.check(0, said)

    @threaded
    def test_hardly_any(self) -> None:
        """Those who are accepted are served, or told to come again."""

        def answered(server: Osproxy, newcomers: list[Future[str]]) -> None:
            wait(newcomers, return_when=FIRST_COMPLETED)

        self.check(4, answered)
