"""
The server is killed at any moment, and finds its directory in order again.
"""

from __future__ import annotations

import contextlib
import random
import threading
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import OSS, pattern, snapshots
from tests.integration.tools import DEADLINE, threaded, until

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

_KILLS = 50
_TARGET = "/tumbleweed/repo/oss/noarch/a-1-1.noarch.rpm"
_POINTS = [
    f"{when}-{step}"
    for step in ("header", "rename", "catalogue", "visible")
    for when in ("before", "after")
]
_INDEX = ("media.1/media", "repodata/repomd.xml.asc", "repodata/repomd.xml")


class CrashTests(IntegrationCase):
    """A crash at any instant loses at most what was being written."""

    def ask_in_vain(self, server: Osproxy, target: str) -> None:
        """Ask a server that may die of it."""
        # It may be gone in the middle of a head.
        with contextlib.suppress(OSError, ValueError, IndexError):
            server.fetch(target, deadline=10)

    @threaded
    def test_random_kills(self) -> None:
        """
        Fifty kills at random times, some while it starts, evicts or replaces: after each start
        all octets are right, and ledger and disk agree.
        """
        dice = random.Random(6)
        files = {
            f"/x/noarch/file-{number}-1-1.noarch.rpm": pattern(
                dice.choice([3000, 40_000, 300_000, 3_000_000]), seed=number
            )
            for number in range(60)
        }
        digests = {target: self.site.write(target, content) for target, content in files.items()}
        nginx = self.file_server()
        server = self.osproxy(
            nginx.url,
            f"--cache-size={30 << 20}",
            freshness={"package": 0.2},
            start=False,
        )
        targets = list(digests)
        done = threading.Event()

        def load(seed: int) -> None:
            own = random.Random(seed)
            while not done.is_set():
                self.ask_in_vain(server, own.choice(targets))

        for kill in range(_KILLS):
            if kill % 10 == 9:
                # Killed while it starts.
                server.launch()
                done.wait(dice.uniform(0.1, 1.0))
                server.kill()
            server.start()
            self.assert_ledger_is_right(server)
            for target in dice.sample(targets, 6):
                self.assert_whole(server.fetch(target), digests[target])
            done.clear()
            threads = [threading.Thread(target=load, args=(kill * 10 + n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            # The scenario: a kill at a random time.
            done.wait(dice.uniform(0.0, 0.4))
            server.kill()
            done.set()
            for thread in threads:
                thread.join(DEADLINE)
            done.clear()
        server.start()
        self.assert_ledger_is_right(server)
        for target, digest in digests.items():
            self.assert_whole(server.fetch(target), digest)
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_crash_at_each_step_of_a_commit(self) -> None:
        """
        Killed before or after any step of a commit, the server keeps the file if the catalogue
        had it, and no trace of it if not.
        """
        digest = self.site.write(_TARGET, pattern(500_000))
        nginx = self.file_server()
        for point in _POINTS:
            server = self.osproxy(nginx.url, start=False)
            server.start(crash_at=point)
            self.ask_in_vain(server, _TARGET)
            self.assertEqual(server.wait(), -9, point)
            server.start()
            self.assert_ledger_is_right(server)
            kept = point in ("after-catalogue", "before-visible", "after-visible")
            self.assertEqual(server.status().entries, int(kept), point)
            answer = server.fetch(_TARGET)
            self.assert_whole(answer, digest)
            self.assertEqual(answer.cache_status.startswith("osproxy; hit"), kept, point)
            self.assert_ledger_is_right(server)
            server.close()

    @threaded
    def test_damaged_catalogue(self) -> None:
        """A catalogue with garbage in its middle costs one line of the log, and no file."""
        digests = {
            target: self.site.write(target, pattern(9000, seed=number))
            for number in range(300)
            for target in (f"/x/noarch/file-{number}-1-1.noarch.rpm",)
        }
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        for target, digest in digests.items():
            self.assert_whole(server.fetch(target), digest)
        server.settle()
        self.assertEqual(server.status().entries, len(digests), server.said())
        self.assertEqual(server.stop(), 0)
        catalogue = server.store / "catalogue.sqlite"
        octets = bytearray(catalogue.read_bytes())
        self.assertGreater(len(octets), 100_000)
        third = len(octets) // 3
        octets[third : 2 * third] = random.Random(6).randbytes(third)
        catalogue.write_bytes(octets)
        server.start()
        until(lambda: server.status().entries == len(digests), "all files are known again")
        for target, digest in digests.items():
            answer = server.fetch(target)
            self.assert_whole(answer, digest)
            self.assertTrue(answer.cache_status.startswith("osproxy; hit"), answer.cache_status)
        self.assert_ledger_is_right(server)
        lines = [line for line in server.said().splitlines() if "#error" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("the catalogue is damaged", lines[0])

    @threaded
    def test_crash_before_a_commit(self) -> None:
        """A file that had all its octets when the server died is completed by the last of them."""
        digest = self.site.write(_TARGET, pattern(3_000_000))
        nginx = self.file_server()
        server = self.osproxy(nginx.url, start=False)
        server.start(crash_at="before-header")
        self.ask_in_vain(server, _TARGET)
        self.assertEqual(server.wait(), -9)
        server.start()
        until(lambda: server.metric("kept_drafts") == 1, "the draft is found")
        self.assert_ledger_is_right(server)
        self.assert_whole(server.fetch(_TARGET), digest)
        until(lambda: len(nginx.logged()) == 2, "nginx has logged")
        self.assertEqual([line.range for line in nginx.logged()], ["", "bytes=2999999-"])
        server.settle()
        self.assertEqual((server.status().entries, server.draft_files()), (1, []))
        self.assert_ledger_is_right(server)

    @threaded
    def test_crash_while_an_index_changes(self) -> None:
        """
        Killed before or after any step of an index's change, the server has one snapshot of it.
        """
        numbers = {
            snapshot.digests()[path]: snapshot.number for snapshot in snapshots() for path in _INDEX
        }
        nginx = self.file_server()
        for point in _POINTS:
            self.site.publish(snapshots()[0])
            server = self.osproxy(nginx.url, freshness={"index": 0.5})
            for path in _INDEX:
                server.fetch(f"{OSS}/{path}")
            # The siblings are fetched behind the first answer.
            until(partial(self._settled, server), "the first snapshot is stored")
            server.stop()
            self.site.publish(snapshots()[1])
            server.start(crash_at=point)
            until(partial(self._dies_of_asking, server), f"it dies at {point}", every=0.1)
            self.assertEqual(server.wait(), -9, point)
            nginx.stop()
            server.start()
            self.assert_ledger_is_right(server)
            seen = [numbers[server.fetch(f"{OSS}/{path}").digest] for path in _INDEX]
            kept = point in ("after-catalogue", "before-visible", "after-visible")
            self.assertEqual(seen, [2, 2, 2] if kept else [1, 1, 1], point)
            server.close()
            nginx.start()

    def _settled(self, server: Osproxy) -> bool:
        status = server.status()
        return status.drafts == 0 and status.entries >= len(_INDEX)

    def _dies_of_asking(self, server: Osproxy) -> bool:
        self.ask_in_vain(server, f"{OSS}/repodata/repomd.xml")
        return server.process is None or server.process.poll() is not None
