"""Tests of `osproxy.cache.source`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.source import FileSource
from osproxy.upstream.turns import OURS, Asker
from tests.cache.origin import Origin, Told

if TYPE_CHECKING:
    from osproxy.upstream.origin import Upstream


class SourceTests(SynchronousTestCase):
    """One file can be asked for again and again."""

    def test_asked(self) -> None:
        """Each question goes to the same place, under the same terms."""
        origin = Origin()
        for https_only in (False, True):
            source = FileSource(cast("Upstream", origin), "/a", https_only=https_only)
            for method, fields in (("GET", ()), ("HEAD", (("Range", "bytes=1-"),))):
                asking = Deferred.fromCoroutine(source(method=method, fields=fields))
                question = origin.next()
                told = question.answer(Told())
                self.assertIs(self.successResultOf(asking), told)
                asked = (question.url, question.method, question.fields, question.https_only)
                self.assertEqual(asked, ("/a", method, fields, https_only))

    def test_on_behalf_of(self) -> None:
        """Whose questions they are goes along, and is all that differs where another asks."""
        origin, client = Origin(), Asker("a client")
        source = FileSource(cast("Upstream", origin), "/a", True, "1.1 x", client)
        for one, asker in ((source, client), (source.on_behalf_of(OURS), OURS)):
            asking = Deferred.fromCoroutine(one())
            question = origin.next()
            question.answer(Told())
            self.successResultOf(asking)
            asked = (question.url, question.fields, question.https_only, question.asker)
            self.assertEqual(asked, ("/a", (("Via", "1.1 x"),), True, asker))
