"""Tests of `osproxy.descriptors`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from osproxy.descriptors import connections_within, lowest_free, open_within, reserve_within

_PROGRAM = """
import resource, sys
from osproxy.descriptors import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


class NumbersTests(SynchronousTestCase):
    """How many there may be, and what for."""

    def test_connections(self) -> None:
        """Each client has three descriptors, and something is left; nobody is shut out."""
        for descriptors, connections in ((3, 1), (256, 58), (1024, 298), (65_536, 16_384)):
            self.assertEqual(connections_within(descriptors, None), connections, descriptors)
        self.assertEqual(connections_within(1024, 100), 100)
        self.assertEqual(connections_within(1024, 1000), 298)
        self.assertEqual(connections_within(1 << 20, 100_000), 100_000)

    def test_open(self) -> None:
        """A sixteenth is for files that nobody reads, 4096 at most."""
        for descriptors, files in ((8, 0), (256, 16), (1024, 64), (1 << 20, 4096)):
            self.assertEqual(open_within(descriptors), files, descriptors)

    def test_reserve(self) -> None:
        """An eighth is kept from new connections, 512 at most, and what one turn could take."""
        for descriptors, reserve in ((64, 32), (256, 48), (1024, 128), (1 << 20, 512)):
            self.assertEqual(reserve_within(descriptors), reserve, descriptors)

    def test_raised(self) -> None:
        """The soft limit is raised to the hard one."""
        self.assertEqual(self.raised("100", "200"), "200 200 200")
        self.assertEqual(self.raised("200", "200"), "200 200 200")

    def raised(self, soft: str, hard: str) -> str:
        """Raise the limit in a process of its own, and tell what came of it."""
        program = [sys.executable, "-c", _PROGRAM, soft, hard]
        return subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip()

    def test_lowest_free(self) -> None:
        """The next descriptor is known, and that there is none."""
        free = lowest_free()
        taken = os.dup(0)
        self.addCleanup(os.close, taken)
        self.assertEqual(taken, free)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        self.assertIsNone(lowest_free())
