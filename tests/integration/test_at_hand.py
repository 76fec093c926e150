"""
Small files, which stay open and are answered at once: what becomes of them is noticed all the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from osproxy.store.records import read_header
from tests.integration import test_trouble_files
from tests.integration.tools import threaded, until
from tests.integration.troubles import TroubleCase

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

_SMALL = 30_000


class AtHandTests(TroubleCase):
    """Files that were just read."""

    def opened(self, server: Osproxy) -> list[Path]:
        """List the files of entries that the server has open."""
        assert server.process is not None
        found = []
        for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
            # It may be closed by now.
            with contextlib.suppress(FileNotFoundError):
                found.append(Path(os.readlink(path)))
        return [path for path in found if path.is_relative_to(server.store / "entries")]

    def warmed(self, count: int) -> tuple[Osproxy, dict[str, str]]:
        """Have files that are stored and open."""
        files = self.publish(count, _SMALL)
        server = self.osproxy(self.file_server().url)
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), count)
        self.assertEqual(len(self.opened(server)), count)
        return server, files

    @threaded
    def test_changed(self) -> None:
        """What somebody has changed meanwhile is fetched anew, in the same request."""
        changes = test_trouble_files._CHANGES
        server, files = self.warmed(len(changes) + 1)
        stored = {read_header(path).target.path: path for path in server.entry_files()}
        for change, path in zip(changes, files, strict=False):
            change(stored[path])
        self.assertEqual(self.hits(server, files), 1)
        self.assertEqual(self.troubles(server)["read"], len(changes))
        self.assertEqual(self.hits(server, files), len(files))
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_directory_deleted(self) -> None:
        """When the directory is made anew, nothing of the old one stays open."""
        server, files = self.warmed(3)
        shutil.rmtree(server.store)
        until(lambda: not self.opened(server), "it has noticed")
        self.assertEqual(self.hits(server, files), 0)
        self.assertEqual(server.stop(), 0)
