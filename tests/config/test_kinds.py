"""Tests of `osproxy.config.kinds`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.kinds import TIMED, guarded_kinds
from osproxy.config.values import BadValue
from osproxy.repo.kinds import Kind


class KindsTests(SynchronousTestCase):
    """Kinds as the operator names them."""

    def test_guarded(self) -> None:
        """All that can be, none, or some by their names."""
        everything = {
            Kind.ADDRESSED, Kind.PACKAGE, Kind.IMAGE, Kind.MUTABLE, Kind.LISTING, Kind.UNKNOWN
        }  # fmt: skip
        for text, expected in (
            ("yes", everything),
            ("no", set()),
            ("package", {Kind.PACKAGE}),
            ("Package, image", {Kind.PACKAGE, Kind.IMAGE}),
        ):
            self.assertEqual(guarded_kinds(text), expected, text)

    def test_not_guarded(self) -> None:
        """What is none of these is named, and so is what would be right."""
        for text in ("index", "rpm", "package,", "generic,package", ""):
            error = self.assertRaises(BadValue, guarded_kinds, text)
            self.assertIn("names no kind that can be guarded; give yes, no, or some of", str(error))

    def test_timed(self) -> None:
        """What is named by its content or never asked for is not fresh for a time."""
        self.assertEqual(TIMED["index"], Kind.INDEX)
        self.assertFalse(TIMED.keys() & {"addressed", "refused", "generic"})
