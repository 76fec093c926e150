"""Tests of `osproxy.http.methods`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.methods import allow, answered


class MethodsTests(SynchronousTestCase):
    """A method is answered, or it is not."""

    def test_table(self) -> None:
        """Files are read; elsewhere everything goes but what is no request to an origin."""
        for method, reading, anything in (
            ("GET", True, True),
            ("HEAD", True, True),
            ("get", False, True),
            ("POST", False, True),
            ("OPTIONS", False, True),
            ("FROB", False, True),
            ("TRACE", False, False),
            ("CONNECT", False, False),
        ):
            with self.subTest(method=method):
                self.assertIs(answered(method, reading=True), reading)
                self.assertIs(answered(method, reading=False), anything)

    def test_allow(self) -> None:
        """What is said to be answered is."""
        for reading in (True, False):
            said = allow(reading=reading).split(", ")
            self.assertIn("GET", said)
            self.assertTrue(all(answered(method, reading=reading) for method in said))
        self.assertNotIn("POST", allow(reading=True))
        self.assertIn("POST", allow(reading=False))
