"""Tests of `osproxy.cache.follow`."""

from __future__ import annotations

import os

from osproxy.cache.follow import FillReader
from tests.cache.doubles import CacheTestCase, body_of
from tests.cache.origin import Told

RPM = "/oss/a.rpm"


class FillReaderTests(CacheTestCase):
    """A reader sees a growing file, and may go on when the fill has ended."""

    def test_body(self) -> None:
        """It has the length that will be, and what is available now."""
        body = body_of(self.begin(RPM, told := Told(200, (), 4)))
        told.send(b"ab")
        self.assertEqual((body.length, body.available), (4, 2))
        self.assertEqual(os.pread(body.fileno(), 2, body.offset), b"ab")
        body.close()

    def test_after_the_end(self) -> None:
        """A slow reader reads on though the entry was evicted since."""
        body = body_of(self.begin(RPM, told := Told(200, (), 4)))
        told.send(b"body")
        told.finish()
        entry = self.entry_of(RPM)
        self.bench.store.doom(entry)
        self.assertEqual(os.pread(body.fileno(), body.available, body.offset), b"body")
        self.assertGreater(self.bench.place.ledger.awaiting, 0)
        body.close()
        self.assertEqual(self.bench.place.ledger.awaiting, 0)

    def test_closing_twice(self) -> None:
        """A reader leaves once, however often it says so."""
        body = body_of(self.begin(RPM, Told(200, (), 4)))
        fill = self.fill_of(RPM)
        other = FillReader(fill)
        body.close()
        body.close()
        self.assertEqual(fill.readers, 1)
        other.close()
        self.assertEqual(fill.readers, 0)
