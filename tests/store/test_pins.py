"""Tests of `osproxy.store.pins`; what becomes of pinned files is in `tests.store.test_room`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.ledger import BLOCK, Ledger
from osproxy.store.pins import Pins
from tests.store.doubles import said
from tests.web.support import logged


class PinsTests(SynchronousTestCase):
    """Which files are pinned."""

    pins = Pins(("/oss/", "/iso/a.iso", "/packman/x/"))

    def test_hold(self) -> None:
        """A file is pinned by its name, or by that of a folder above, prefixes included."""
        for backend, path, pinned in (
            ("/", "/oss/repodata/repomd.xml", True),
            ("/", "/oss/", True),
            ("/", "/oss", False),
            ("/", "/oss-update/a.rpm", False),
            ("/", "/x/oss/a.rpm", False),
            ("/", "/iso/a.iso", True),
            ("/", "/iso/a.iso.sha256", False),
            ("/packman", "/x/a.rpm", True),
            ("/", "/packman/x/a.rpm", True),
            ("/", "/x/a.rpm", False),
        ):
            self.assertIs(self.pins.hold(Target(backend, path)), pinned, (backend, path))
        self.assertFalse(Pins().hold(Target("/", "/oss/a")))

    def test_images(self) -> None:
        """A pinned image is not counted among images."""
        self.assertTrue(self.pins.image(Target("/", "/iso/b.iso"), Kind.IMAGE))
        self.assertFalse(self.pins.image(Target("/", "/iso/a.iso"), Kind.IMAGE))
        self.assertFalse(self.pins.image(Target("/", "/b.rpm"), Kind.PACKAGE))

    def test_check(self) -> None:
        """Pins that have outgrown the capacity are told of once, those that fit never."""
        events = logged(self)
        pins = Pins(("/oss/",))
        ledger = Ledger(3 * BLOCK)
        ledger.overhead = BLOCK
        ledger.adopt(1, 2 * BLOCK, evictable=False)
        pins.check(ledger)
        # The catalogue alone is too much for it, and nothing is pinned.
        full = Ledger(BLOCK)
        full.overhead = 2 * BLOCK
        pins.check(full)
        self.assertEqual(said(events, "pinned"), [])
        ledger.set_capacity(2 * BLOCK)
        pins.check(ledger)
        pins.check(ledger)
        (message,) = said(events, "pinned")
        self.assertIn("pinned files take 8192 octets", message)
