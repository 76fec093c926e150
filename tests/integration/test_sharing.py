"""
Equal files under several names, as curl asks for them: what lies on the disk lies there once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.fsck import alter, fsck
from tests.integration.packages import pattern
from tests.integration.server import BLOCK
from tests.integration.tools import DEADLINE, require, run, threaded, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.nginx import Nginx
    from tests.integration.server import Osproxy

_SIZE = 3_000_000
_POINTS = [
    f"{when}-{step}"
    for step in ("header", "rename", "catalogue", "visible")
    for when in ("before", "after")
]


def target(name: str) -> str:
    """Name a file of which a backend has no digest."""
    return f"/x/noarch/{name}-1-1.noarch.rpm"


class SharingTests(IntegrationCase):
    """One body, several names."""

    def setUp(self) -> None:
        """Need curl and du; have an origin with three files that are the same."""
        require("curl")
        require("du")
        super().setUp()
        content = pattern(_SIZE)
        self.digest = hashlib.sha256(content).hexdigest()
        for name in "abc":
            self.site.write(target(name), content)

    def served(self, server: Osproxy, *names: str) -> None:
        """Have curl fetch these, and compare."""
        for name in names:
            path = self.directory / f"curl-{name}"
            run(["curl", "--silent", "--fail", "-o", path, f"{server.url}{target(name)}"])
            self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), self.digest, name)

    def filled(self, *names: str, fresh: float = 3600.0) -> tuple[Nginx, Osproxy]:
        """Start a server that has stored these."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url, freshness={"package": fresh})
        self.served(server, *names)
        server.settle()
        until(lambda: server.status().entries == len(names), "all is stored")
        nginx.forget()
        return nginx, server

    def assert_once(self, server: Osproxy) -> None:
        """Ask du, which counts a file once however many links it has."""
        said = run(["du", "--bytes", "--summarize", server.store / "entries"]).out
        self.assertLess(int(said.split()[0]), _SIZE * 3 // 2)
        self.assert_ledger_is_right(server)

    def listed(self, server: Osproxy, *names: str) -> None:
        """Wait until a start knows of so many files at least."""
        until(lambda: server.status().entries >= len(names), "all is listed")

    def body(self, server: Osproxy) -> Path:
        """Find the one file that is large."""
        (large,) = [path for path in server.entry_files() if path.stat().st_size > _SIZE]
        return large

    @threaded
    def test_stored_once(self) -> None:
        """Three names take one body, over a restart, and without the catalogue."""
        nginx, server = self.filled("a", "b", "c")
        self.assert_once(server)
        for lost in (False, True):
            self.assertEqual(server.stop(), 0)
            if lost:
                for path in server.store.glob("catalogue.*"):
                    path.unlink()
            server.start()
            self.listed(server, "a", "b", "c")
            self.served(server, "a", "b", "c")
            self.assert_once(server)
        self.assertEqual(nginx.logged(), [])
        found = fsck(self.directory, "--cache-path", server.cache_path)
        self.assertEqual(found.code, 2, found.all)
        server.stop()
        found = fsck(self.directory, "--cache-path", server.cache_path)
        self.assertEqual((found.code, found.out.split(",")[0]), (0, "3 entries"), found.all)

    @threaded
    def test_at_the_same_time(self) -> None:
        """Equal files that are fetched together by many are stored once."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url, freshness={"package": 3600.0})
        answers = self.at_once(*(lambda n=n: server.fetch(target(n)) for n in "abcabc"))
        for answer in answers:
            self.assert_whole(answer, self.digest)
        server.settle()
        until(lambda: server.status().entries == 3, "all is stored")
        self.assert_once(server)

    @threaded
    def test_ranges_and_conditions(self) -> None:
        """Each name answers with its own validators, in parts, and to HEAD."""
        _, server = self.filled("a", "b")
        tags = []
        for name in "ab":
            head = server.fetch(target(name), method="HEAD")
            self.assertEqual((head.status, head.field("content-length")), (200, str(_SIZE)))
            tags.append(head.field("etag") or "")
            part = server.fetch(target(name), {"Range": "bytes=1000-1999", "If-Range": tags[-1]})
            self.assertEqual((part.status, part.body), (206, pattern(_SIZE)[1000:2000]))
            unchanged = server.fetch(target(name), {"If-None-Match": tags[-1]})
            self.assertEqual(unchanged.status, 304)
        self.assertNotEqual(*tags)

    @threaded
    def test_new_version_of_one(self) -> None:
        """When the first name has another version, the others keep the body."""
        nginx, server = self.filled("a", "b", fresh=0.0)
        self.site.write(target("a"), b"new" * 1000)
        self.assertEqual(server.fetch(target("a")).body, b"new" * 1000)
        server.settle()
        nginx.forget()
        for lost in (False, True):
            self.served(server, "b")
            self.assertEqual(server.fetch(target("a")).body, b"new" * 1000)
            self.assert_once(server)
            server.kill()
            if lost:
                for path in server.store.glob("catalogue.*"):
                    path.unlink()
            server.start()
            self.listed(server, "a", "b")
        self.served(server, "b")
        # Each is asked about, and sent no more.
        self.assertEqual({line.status for line in nginx.logged()}, {304})

    @threaded
    def test_crash_at_each_step(self) -> None:
        """Killed at any step of storing a second name: the first is served, one body is there."""
        for point in _POINTS:
            for lost in (False, True):
                nginx, server = self.filled("a")
                server.stop()
                server.start(crash_at=point)
                # It may be gone in the middle of a head.
                with contextlib.suppress(OSError, ValueError, IndexError):
                    server.fetch(target("b"), deadline=10)
                self.assertEqual(server.wait(), -9, point)
                if lost:
                    for path in server.store.glob("catalogue.*"):
                        path.unlink()
                server.start()
                self.listed(server, "a")
                self.served(server, "a", "b")
                server.settle()
                self.assert_once(server)
                fetched = [line for line in nginx.logged() if line.path == target("a")]
                self.assertEqual(fetched, [], point)
                server.close()

    @threaded
    def test_damaged(self) -> None:
        """When the one body is damaged all names go, and each is fetched again and is right."""
        _, server = self.filled("a", "b", "c")
        server.stop()
        alter(self.body(server))
        found = fsck(self.directory, "--cache-path", server.cache_path, "--repair")
        self.assertIn("deleted: 3 entries", found.out)
        server.start()
        self.assertEqual(server.status().entries, 0)
        self.served(server, "a", "b", "c")
        server.settle()
        self.assert_once(server)

    @threaded
    def test_evicted(self) -> None:
        """A cache that is full of other things lets go of the body with all its names."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url, f"--cache-size={12 << 20}", freshness={"package": 3600.0})
        self.served(server, "a", "b", "c")
        server.settle()
        for number in range(6):
            self.site.write(target(f"n{number}"), pattern(3_000_000, seed=number + 10))
            server.fetch(target(f"n{number}"))
            server.settle()
        self.assertFalse([path for path in server.entry_files() if path.stat().st_size == BLOCK])
        self.assert_ledger_is_right(server)

    @threaded
    def test_readers(self) -> None:
        """Who reads a body slowly has all of it, though all its names have gone meanwhile."""
        _, server = self.filled("a", "b", fresh=0.0)
        path = self.directory / "slow"
        url = f"{server.url}{target('b')}"
        reading = threading.Thread(
            target=run,
            args=(["curl", "--silent", "--fail", "--limit-rate", "1500K", "-o", path, url],),
        )
        reading.start()
        until(lambda: path.exists() and path.stat().st_size > 0, "it has begun")
        for name in "ab":
            self.site.write(target(name), name.encode() * 5000)
            self.assertEqual(server.fetch(target(name)).body, name.encode() * 5000)
        reading.join(3 * DEADLINE)
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), self.digest)
        server.settle()
        until(
            lambda: not [p for p in server.entry_files() if os.stat(p).st_size > _SIZE], "it goes"
        )
        self.assert_ledger_is_right(server)
