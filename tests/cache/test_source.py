"""Tests of `osproxy.cache.source`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.source import source_of
from tests.cache.doubles import Origin, Told

if TYPE_CHECKING:
    from osproxy.upstream.origin import Upstream


class SourceTests(SynchronousTestCase):
    """One file can be asked for again and again."""

    def test_asked(self) -> None:
        """Each question goes to the same place, under the same terms."""
        origin = Origin()
        for https_only in (False, True):
            source = source_of(cast("Upstream", origin), "/a", https_only=https_only)
            for method, fields in (("GET", ()), ("HEAD", (("Range", "bytes=1-"),))):
                asking = Deferred.fromCoroutine(source(method=method, fields=fields))
                question = origin.next()
                told = question.answer(Told())
                self.assertIs(self.successResultOf(asking), told)
                asked = (question.url, question.method, question.fields, question.https_only)
                self.assertEqual(asked, ("/a", method, fields, https_only))
