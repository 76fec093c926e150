"""Tests of `osproxy.cache.verified`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.passage import Passage
from osproxy.cache.verified import HELD_BACK, Verified
from osproxy.model import BodyBroken
from osproxy.repo.digests import Digest
from tests.cache.origin import Told

if TYPE_CHECKING:
    from osproxy.upstream.origin import Reply


class VerifiedTests(SynchronousTestCase):
    """What passes through is not handed out whole before its digest is right."""

    def setUp(self) -> None:
        """Have a body that comes in two blocks."""
        self.content = bytes(range(256)) * 512
        self.told = Told(200, (), len(self.content))
        self.taken = bytearray()

    def deliver(self, expected: bytes) -> Deferred[None]:
        """Take a body that should be ``expected``."""
        digest = Digest("sha256", hashlib.sha256(expected).hexdigest())
        self.body = Verified(Passage(cast("Reply", self.told)), digest)
        return Deferred.fromCoroutine(self.body.deliver(self.taken.extend))

    def test_right(self) -> None:
        """The last 64 KiB come when all is known to be right."""
        delivering = self.deliver(self.content)
        self.assertEqual(self.body.length, len(self.content))
        self.told.send(self.content[:70_000])
        self.told.send(self.content[70_000:])
        self.assertEqual(self.taken, self.content[:-HELD_BACK])
        self.told.finish()
        self.successResultOf(delivering)
        self.assertEqual(self.taken, self.content)

    def test_wrong(self) -> None:
        """A wrong body breaks off before its end."""
        delivering = self.deliver(b"other")
        self.told.send(self.content)
        self.told.finish()
        self.failureResultOf(delivering, BodyBroken)
        self.assertEqual(len(self.taken), len(self.content) - HELD_BACK)

    def test_empty(self) -> None:
        """An empty body may be right, too."""
        delivering = self.deliver(b"")
        self.told.finish()
        self.successResultOf(delivering)
        self.assertEqual(self.taken, b"")

    def test_back_pressure(self) -> None:
        """It is paused, resumed and given up like any passage."""
        self.deliver(b"")
        self.body.pause()
        self.assertTrue(self.told.paused)
        self.body.resume()
        self.assertFalse(self.told.paused)
        self.body.close()
        self.assertTrue(self.told.abandoned)
