"""
A disk that is hardly larger than the cache, and more traffic than fits.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.tools import DEADLINE, require, require_root, run, threaded, until
from tests.integration.wire import Connection, download

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.server import Osproxy

_CAPACITY = 100_000_000


def used_of(place: Path) -> int:
    """Say how many octets of a file system are in use."""
    it = os.statvfs(place)
    return (it.f_blocks - it.f_bfree) * it.f_frsize


class CapacityTests(IntegrationCase):
    """The cap holds, and nobody fails by it."""

    def setUp(self) -> None:
        """Skip unless file systems can be mounted."""
        super().setUp()
        require("mount", "umount")
        require_root("mount a tmpfs")

    def tmpfs(self, octets: int) -> Path:
        """Mount an empty file system of this size."""
        place = self.place("disk")
        place.mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"size={octets}", "osproxy-test", place])
        self.addCleanup(run, ["umount", "--lazy", place])
        return place

    def watch(self, server: Osproxy, disk: Path, done: threading.Event) -> list[str]:
        """Look at ledger and disk until told to stop; return what was wrong."""
        wrong = []
        while not done.wait(0.05):
            status, used = server.status(), used_of(disk)
            if status.stored > status.capacity or status.capacity > _CAPACITY:
                wrong.append(f"ledger beyond capacity: {status}")
            if used > status.capacity:
                wrong.append(f"disk beyond capacity: {used} {status}")
        return wrong

    def assert_never_full(self, server: Osproxy) -> None:
        """Check that the disk was never found full."""
        for word in ("No space left", "ENOSPC", "Errno 28", "Traceback"):
            self.assertNotIn(word, server.said())

    @threaded
    def test_three_times_the_capacity(self) -> None:
        """
        300 MB pass through a cache of 100 MB on a disk of little more: all octets right, the disk
        never full, the ledger right throughout.
        """
        digests = {
            f"/x/noarch/file-{number}-1-1.noarch.rpm": pattern(5_000_000, seed=number)
            for number in range(60)
        }
        expected = {target: self.site.write(target, it) for target, it in digests.items()}
        disk = self.tmpfs(112 << 20)
        server = self.osproxy(self.file_server().url, f"--cache-size={_CAPACITY}", cache_path=disk)
        done = threading.Event()
        targets = list(expected)

        def load(part: int) -> None:
            for target in targets[part::4]:
                self.assert_whole(server.fetch(target), expected[target])

        def loads() -> None:
            try:
                self.at_once(*(partial(load, part) for part in range(4)))
            finally:
                done.set()

        _, wrong = self.at_once(loads, partial(self.watch, server, disk, done))
        self.assertEqual(wrong[:5], [])
        self.assert_never_full(server)
        self.assert_ledger_is_right(server)
        status = server.status()
        self.assertGreater(status.stored, _CAPACITY * 0.7)
        hits = sum(
            server.fetch(target, method="HEAD").cache_status.startswith("osproxy; hit")
            for target in targets
        )
        self.assertEqual(hits, status.entries)

    @threaded
    def test_reader_of_an_evicted_file(self) -> None:
        """A slow reader gets the whole of a file that is evicted meanwhile; others miss it."""
        wanted = "/x/noarch/wanted-1-1.noarch.rpm"
        digest = self.site.write(wanted, pattern(20_000_000, seed=1))
        others = [f"/x/noarch/file-{number}-1-1.noarch.rpm" for number in range(30)]
        for number, target in enumerate(others):
            self.site.write(target, pattern(5_000_000, seed=number))
        disk = self.tmpfs(112 << 20)
        nginx = self.file_server()
        # By clock it would be kept: its reader has used it.
        options = (f"--cache-size={_CAPACITY}", "--eviction=lru")
        server = self.osproxy(nginx.url, *options, cache_path=disk)
        self.assert_whole(server.fetch(wanted), digest)
        server.settle()
        begun, evicted = threading.Event(), threading.Event()

        def pace(seconds: float) -> int | None:
            begun.set()
            return None if evicted.is_set() else 2_000_000

        def evict() -> None:
            try:
                self.assertTrue(begun.wait(DEADLINE))
                for target in others:
                    self.assertEqual(server.fetch(target).status, 200)
                nginx.forget()
                again = server.fetch(wanted)
                self.assert_whole(again, digest)
                self.assertIn("fwd=uri-miss", again.cache_status)
                until(lambda: any(it.path == wanted for it in nginx.logged()), "asked upstream")
            finally:
                evicted.set()

        slow, _ = self.at_once(partial(download, server.port, wanted, pace=pace), evict)
        self.assertTrue(slow.head.cache_status.startswith("osproxy; hit"))
        self.assertEqual((slow.got, slow.digest), (20_000_000, digest))
        self.assert_never_full(server)
        self.assert_ledger_is_right(server)

    @threaded
    def test_disk_smaller_than_told(self) -> None:
        """The capacity is what the disk has above its floor, if that is less than was set."""
        disk = self.tmpfs(40 << 20)
        content = pattern(8_000_000)
        targets = [f"/x/noarch/file-{number}-1-1.noarch.rpm" for number in range(12)]
        for target in targets:
            self.site.write(target, content)
        server = self.osproxy(self.file_server().url, "--cache-size=1GiB", cache_path=disk)
        capacity = server.status().capacity
        self.assertLessEqual(capacity, 0.95 * (40 << 20))
        self.assertGreater(capacity, 0.8 * (40 << 20))
        for target in targets:
            self.assertEqual(server.fetch(target).body, content)
        self.assert_never_full(server)
        self.assert_ledger_is_right(server)

    @threaded
    def test_larger_than_the_cache(self) -> None:
        """A file larger than the cache goes through, ranges included, and nothing is evicted."""
        content = pattern(60_000_000)
        large, small = "/x/noarch/large-1-1.noarch.rpm", "/x/noarch/small-1-1.noarch.rpm"
        self.site.write(large, content)
        self.site.write(small, b"small")
        server = self.osproxy(self.file_server().url, f"--cache-size={20 << 20}")
        server.fetch(small)
        server.settle()
        self.assertEqual(server.fetch(large).body, content)
        part = server.fetch(large, {"Range": "bytes=30000000-30000009"})
        self.assertEqual((part.status, part.body), (206, content[30_000_000:30_000_010]))
        self.assertTrue(server.fetch(small).cache_status.startswith("osproxy; hit"))
        self.assert_ledger_is_right(server)
        self.assertEqual(server.status().entries, 1)

    @threaded
    def test_disk_filled_by_others(self) -> None:
        """When others fill the disk, clients are served all the same."""
        disk = self.tmpfs(60 << 20)
        targets = [f"/x/noarch/file-{number}-1-1.noarch.rpm" for number in range(6)]
        content = pattern(8_000_000)
        for target in targets:
            self.site.write(target, content)
        server = self.osproxy(self.file_server().url, "--cache-size=50MiB", cache_path=disk)
        self.assertEqual(server.fetch(targets[0]).body, content)
        with (disk / "ballast").open("wb") as ballast:
            try:
                while True:
                    ballast.write(b"x" * 65536)
                    ballast.flush()
            except OSError:
                # Full, as intended.
                pass
        for target in targets:
            answer = server.fetch(target)
            self.assertEqual((answer.status, answer.complete), (200, True))
            self.assertEqual(answer.body, content)
        self.assertNotIn("Traceback", server.said())
        (disk / "ballast").unlink()

    @threaded
    def test_memory_of_a_passage(self) -> None:
        """A body that is not kept takes little memory, however slow its client."""
        target = "/iso/large.iso"
        self.site.write(target, pattern(200_000_000))
        server = self.osproxy(self.file_server().url)
        before = server.resident()
        connections = []
        for _ in range(8):
            connection = Connection(server.port, receive_buffer=65536)
            self.addCleanup(connection.close)
            connection.ask(target)
            self.assertEqual(connection.head().status, 200)
            connection.read(1000)
            connections.append(connection)
        for connection in connections:
            connection.read(3_000_000)
        self.assertLess(server.resident() - before, 24 << 20)
