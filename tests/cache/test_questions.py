"""Tests of `osproxy.cache.questions`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.questions import answered_here, is_question
from osproxy.model import Notice


class QuestionTests(SynchronousTestCase):
    """Requests about files are told from requests for files."""

    def test_geography(self) -> None:
        """Nobody is told where in the world we are."""
        self.assertEqual(answered_here("/geoip", ""), Notice(204))

    def test_no_other_mirrors(self) -> None:
        """A folder has no mirrors but ourselves, so that clients are not led round the cache."""
        for query in ("mirrorlist", "mirrorlist=", "json&mirrorlist", "MirrorList"):
            answer = answered_here("/tumbleweed/repo/oss/", query)
            assert isinstance(answer, Notice)
            self.assertEqual((answer.status, answer.body), (200, b"[]\n"))
            self.assertEqual(answer.content_type, "application/json")

    def test_about_a_file(self) -> None:
        """Questions about one file are the redirector's to answer."""
        for path, query in (
            ("/oss/x86_64/less.rpm", "metalink"),
            ("/oss/x86_64/less.rpm", "meta4"),
            ("/oss/x86_64/less.rpm", "mirrorlist&json"),
            ("/oss/x86_64/less.rpm.metalink", ""),
            ("/oss/x86_64/less.rpm.meta4", ""),
            ("/oss/x86_64/less.rpm.mirrorlist", ""),
        ):
            self.assertTrue(is_question(path, query), (path, query))
            self.assertIsNone(answered_here(path, query), (path, query))

    def test_files(self) -> None:
        """Any other query, and a folder's plain listing, is a request for the file."""
        for path, query in (
            ("/oss/x86_64/less.rpm", ""),
            ("/oss/x86_64/less.rpm", "time=1"),
            ("/oss/", ""),
            ("/oss/", "P=*.rpm"),
            ("/geoip/x", ""),
            ("/mirrorlist", ""),
        ):
            self.assertFalse(is_question(path, query), (path, query))
            self.assertIsNone(answered_here(path, query), (path, query))
