"""
What tests of disks in trouble share: many files, what was said, what was counted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.disks import Disk
    from tests.integration.server import Osproxy

FILE = 3_000_000
_COMPLAINT = re.compile(r"\[\S+#(?:warn|error|critical)\]")


class TroubleCase(IntegrationCase):
    """A test in which clients want files while the disk has its troubles."""

    def publish(self, count: int, size: int = FILE) -> dict[str, str]:
        """Put files upstream; return their digests by path."""
        return {
            path: self.site.write(path, pattern(size, seed=number))
            for number in range(count)
            for path in [f"/x/noarch/file-{number}-1-1.noarch.rpm"]
        }

    def mounted(self, disk: Disk) -> Disk:
        """Have a file system until the test ends."""
        self.addCleanup(disk.unmount)
        return disk

    def hits(self, server: Osproxy, files: dict[str, str], wanted: Iterable[str] = ()) -> int:
        """Ask for files, all or some, check that they are right, and count the hits."""
        answers = {path: server.fetch(path) for path in wanted or files}
        for path, answer in answers.items():
            self.assert_whole(answer, files[path])
        server.settle()
        return sum(it.cache_status.startswith("osproxy; hit") for it in answers.values())

    def complaints(self, server: Osproxy, *, beyond: int = 0) -> list[str]:
        """Gather what it complained of, but for so much at the beginning; there is no traceback."""
        said = server.said()
        self.assertNotIn("Traceback", said)
        return [line for line in said.splitlines() if _COMPLAINT.search(line)][beyond:]

    def assert_said(self, server: Osproxy, *must: str, may: tuple[str, ...] = ()) -> None:
        """
        Check what it complained of: of each kind of trouble once at most, in whatever order.

        :param must: words of complaints that there have to be.
        :param may: words of those that there can be, as the disk and its time please.
        """
        said = self.complaints(server)
        for line in said:
            self.assertEqual(sum(words in line for words in (*must, *may)), 1, said)
        for words in (*must, *may):
            count = sum(words in line for line in said)
            self.assertIn(count, (1,) if words in must else (0, 1), (words, said))

    def troubles(self, server: Osproxy) -> dict[str, float]:
        """Read the counters of troubles that are not zero, by what was tried."""
        text = server.fetch("/-/metrics").body.decode()
        pairs = re.findall(
            r'^osproxy_disk_troubles_total\{work="(\w+)"\} (\S+)$', text, re.MULTILINE
        )
        return {work: float(count) for work, count in pairs if float(count)}
