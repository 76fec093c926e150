"""Tests of `osproxy.config.given`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.given import ConfigError, Given


class ConfigErrorTests(SynchronousTestCase):
    """A complaint is one line."""

    def test_one_line(self) -> None:
        """Whatever stands in a value, the complaint about it stays one line that prints."""
        text = str(ConfigError("bad 'a\nb\x1b[2J\udcff' größe"))
        self.assertEqual(text, r"bad 'a\nb\x1b[2J\udcff' größe")


class GivenTests(SynchronousTestCase):
    """What was given knows how to complain about itself."""

    def test_complaint(self) -> None:
        """A complaint begins with the option and the place where it was set."""
        given = Given("--cache-size", "variable OSPROXY_CACHE_SIZE", ("x",))
        self.assertEqual(
            str(given.wrong("'x' is not a size")),
            "--cache-size (variable OSPROXY_CACHE_SIZE): 'x' is not a size",
        )
