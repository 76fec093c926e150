"""
The power fails, on a real file system that loses what was not synced.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from osproxy.store.records import read_header
from tests.integration import disks
from tests.integration.tools import require, require_root, threaded
from tests.integration.troubles import TroubleCase

if TYPE_CHECKING:
    from tests.integration.server import Osproxy


class PowerTests(TroubleCase):
    """What is there after the power has failed, by durability."""

    def lose_power(self, durability: str) -> tuple[Osproxy, dict[str, str]]:
        """Store files, lose the power at once, and start on what is left, after another boot."""
        require("unshare")
        disk = self.mounted(disks.ext4(self.place("disk"), 100 << 20))
        files = self.publish(6)
        nginx = self.file_server()
        server = self.osproxy(
            nginx.url, f"--durability={durability}", cache_path=disk.path, start=False
        )
        server.in_boot("one")
        server.start()
        self.hits(server, files)
        disk.fail()
        server.kill()
        disk.remount()
        server.in_boot("two")
        server.start()
        return server, files

    @threaded
    def test_full(self) -> None:
        """With ``full`` all that was stored is there."""
        server, files = self.lose_power("full")
        self.assertEqual(self.hits(server, files), len(files))
        self.assertEqual(self.complaints(server), [])
        self.assert_ledger_is_right(server)

    @threaded
    def test_fast(self) -> None:
        """With ``fast`` some of it may be lost; nothing wrong is served."""
        server, files = self.lose_power("fast")
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), len(files))
        self.assert_ledger_is_right(server)
        self.complaints(server)

    @threaded
    def test_verified_after_another_boot(self) -> None:
        """With ``fast``, what has lost octets but not its length is fetched anew."""
        require("unshare")
        require_root("bind a file")
        files = self.publish(4)
        server = self.osproxy(self.file_server().url, start=False)
        server.in_boot("one")
        server.start()
        self.hits(server, files)
        self.assertEqual(server.stop(), 0)
        stored = {read_header(path).target.path: path for path in server.entry_files()}
        first, *_ = files
        with stored[first].open("r+b") as file:
            file.seek(100_000)
            file.write(bytes(50_000))
        server.in_boot("two")
        server.start()
        self.assertEqual(self.hits(server, files), 3)
        self.assertEqual(self.troubles(server), {"read": 1.0})
        (line,) = self.complaints(server)
        self.assertIn("is lost", line)
        self.assertEqual(self.hits(server, files), 4)
        self.assert_ledger_is_right(server)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(stored[first]))
