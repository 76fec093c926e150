"""
Tests of `osproxy.store.syncing`.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.syncing import Disk, sync_names
from tests.store.power import Remembering


class DiskTests(SynchronousTestCase):
    """The real disk is asked."""

    def test_asked(self) -> None:
        """Files and folders are synced; what is neither is an error."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "a").write_bytes(b"a")
        disk = Disk()
        before = len(os.listdir("/proc/self/fd"))
        disk.folder(folder)
        with (folder / "a").open("rb") as file:
            disk.file(file.fileno())
        self.assertRaises(NotADirectoryError, disk.folder, folder / "a")
        self.assertRaises(FileNotFoundError, disk.folder, folder / "b")
        reading, writing = os.pipe()
        self.assertRaises(OSError, disk.file, reading)
        os.close(reading)
        os.close(writing)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_names(self) -> None:
        """All folders between the entries and the directory are synced, each once."""
        root = Path(self.mktemp())
        paths = [root / "entries" / place for place in ("00/01/a", "00/01/b", "00/02/c")]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        disk = Remembering()
        sync_names(disk, paths)
        entries = root / "entries"
        self.assertEqual(
            sorted(disk.names),
            [entries, entries / "00", entries / "00" / "01", entries / "00" / "02"],
        )
