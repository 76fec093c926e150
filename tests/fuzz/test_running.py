"""Tests of the fuzzer: that it finds what is wrong, and would find it again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.inputs import REQUESTS, mangled, pieces
from tests.fuzz.readings import READINGS
from tests.fuzz.running import fuzz
from tests.fuzz.targets import TARGETS, connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.targets import Target


class FuzzTests(SynchronousTestCase):
    """Tests of `fuzz`."""

    def setUp(self) -> None:
        """Gather what is said."""
        self.said: list[str] = []

    def fuzz(self, *targets: Target) -> bool:
        """Try some inputs."""
        return fuzz(targets, 1, lambda number: number < 400, self.said.append)

    def test_all_is_well(self) -> None:
        """All targets hold for some inputs, of which each takes some for good."""
        self.assertTrue(self.fuzz(*TARGETS), self.said)
        self.assertEqual(len(self.said), len(TARGETS))
        for line in self.said:
            self.assertRegex(line, r"^\w+: 100 inputs, [1-9]")

    def test_failure(self) -> None:
        """An input for which something does not hold is told, and found again by its seed."""

        def no_colon_behind_x(octets: bytes, pieces: Sequence[bytes]) -> bool:
            assert b"X:" not in octets
            return True

        for _ in range(2):
            self.assertFalse(self.fuzz((no_colon_behind_x, REQUESTS)))
        first, again = self.said
        self.assertEqual(first, again)
        self.assertIn(b"X:".hex(), first)
        self.assertIn("of seed 1 fails no_colon_behind_x", first)

    def test_pieces(self) -> None:
        """Pieces put together are the input."""
        random = Random(5)
        for _ in range(300):
            octets = mangled(random, REQUESTS)
            self.assertEqual(b"".join(pieces(random, octets)), octets)


class ReadingTests(SynchronousTestCase):
    """The other readers, with whom ours is compared, are readers."""

    def test_agree(self) -> None:
        """All of them read good requests alike, however many there are."""
        octets = REQUESTS[5] + REQUESTS[6] + REQUESTS[7] + REQUESTS[0]
        lines = [request.split(b"\r\n")[0] for request in REQUESTS[5:8] + REQUESTS[:1]]
        expected = list(zip(lines, [b"abc", b"abc", b"0123456789\n", b""], strict=True))
        for reading in READINGS:
            self.assertEqual(reading.requests(octets), expected)

    def test_differ(self) -> None:
        """Each of the ways in which they differ shows, and none of it is taken by us."""
        head = b"POST /a HTTP/1.1\r\nHost: x\r\n"
        for octets in (
            head + b"X: y\n\r\n",
            head + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            head + b"Content-Length: 1, 2\r\n\r\nab",
        ):
            with self.subTest(octets=octets):
                found = {tuple(reading.requests(octets)) for reading in READINGS}
                self.assertGreater(len(found), 1)
                self.assertFalse(connections(octets, [octets]))
