"""
Who stays when there is not room for all, and what the simulator makes of the log of it.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.tools import threaded, until

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

_CAPACITY = "--cache-size=24MiB"
_SIZE = 4_000_000


def hash_of(target: str) -> int:
    """Give each target a number of its own, the same in each run."""
    return int.from_bytes(target.encode())


class EvictionTests(IntegrationCase):
    """Policies, pins, and the part of images."""

    def write(self, *targets: str, size: int = _SIZE) -> None:
        """Put files on the site."""
        for target in targets:
            # Each its own content: what is equal would be stored once.
            self.site.write(target, pattern(size, seed=hash_of(target)))

    def fetch(self, server: Osproxy, *targets: str) -> None:
        """Fetch files, one after the other."""
        for target in targets:
            self.assertEqual(len(server.fetch(target).body), _SIZE)
            server.settle()

    def stored(self, server: Osproxy, *targets: str) -> list[str]:
        """Say which of these files are stored."""
        return [
            target
            for target in targets
            if server.fetch(target, method="HEAD").cache_status.startswith("osproxy; hit")
        ]

    @threaded
    def test_pinned(self) -> None:
        """What is pinned outlasts everything, and what is pinned in vain is told of."""
        pinned = ("/x/pinned/a-1-1.noarch.rpm", "/x/b-1-1.noarch.rpm")
        others = tuple(f"/x/file-{number}-1-1.noarch.rpm" for number in range(8))
        large = "/x/pinned/large-1-1.noarch.rpm"
        self.write(*pinned, *others)
        self.write(large, size=20_000_000)
        server = self.osproxy(
            self.file_server().url, _CAPACITY, "--pin=/x/pinned/", f"--pin={pinned[1]}"
        )
        self.fetch(server, *pinned, *others, *others)
        self.assertEqual(self.stored(server, *pinned), list(pinned))
        self.assertLess(len(self.stored(server, *others)), 5)
        self.assertNotIn("cannot be held", server.said())
        self.assertEqual(len(server.fetch(large).body), 20_000_000)
        until(lambda: f"{large} cannot be held" in server.said(), "said so")
        self.assertEqual(self.stored(server, large, *pinned), list(pinned))
        self.assert_ledger_is_right(server)

    @threaded
    def test_images(self) -> None:
        """Images take no more than their part, whatever the policy, and leave the rest alone."""
        images = tuple(f"/iso/image-{number}.iso" for number in range(4))
        packages = tuple(f"/x/file-{number}-1-1.noarch.rpm" for number in range(3))
        self.write(*images, *packages)
        url = self.file_server().url
        for policy in ("clock", "gdsf", "lru"):
            server = self.osproxy(
                url,
                _CAPACITY,
                "--cache-large-objects",
                "--image-space=40%",
                f"--eviction={policy}",
                cache_path=self.place(policy),
            )
            self.fetch(server, *packages, *images)
            self.assertEqual(self.stored(server, *images), list(images[2:]), policy)
            self.assertEqual(self.stored(server, *packages), list(packages), policy)
            self.assert_ledger_is_right(server)

    @threaded
    def test_log(self) -> None:
        """The access log can be replayed: what was fetched would have been fetched."""
        targets = tuple(f"/x/file-{number}-1-1.noarch.rpm" for number in range(5))
        self.write(*targets)
        server = self.osproxy(self.file_server().url)
        self.fetch(server, *targets, *targets, targets[0])
        self.stored(server, *targets)
        server.fetch("/x/missing-1-1.noarch.rpm")
        server.fetch(targets[1], {"Range": "bytes=5-9"})
        until(lambda: sum(" /x/" in line for line in server.logged()) == 18, "logged")
        simulate = (sys.executable, "-m", "osproxy.tools.simulate")
        done = subprocess.run(
            [*simulate, "--size=1GiB", "--policy=clock", str(server.access_log)],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.stderr, "")
        self.assertIn(": 12 requests for 45.8 MiB, 19.1 MiB of files\n", done.stdout)
        self.assertIn("41.667 %", done.stdout)

    @threaded
    def test_wonder_guard(self) -> None:
        """What is asked for once is not kept; asked for again, after a restart too, it is."""
        once, twice = "/x/once-1-1.noarch.rpm", "/x/twice-1-1.noarch.rpm"
        self.write(once, twice)
        server = self.osproxy(self.file_server().url, "--wonder-guard")
        self.fetch(server, once, twice)
        server.fetch(twice, method="HEAD")
        self.assertEqual(server.entry_files(), [])
        server.stop()
        server.start()
        self.fetch(server, twice)
        self.assertEqual(self.stored(server, once, twice), [twice])
