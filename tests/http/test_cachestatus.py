"""Tests for `osproxy.http.cachestatus`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachestatus import CacheStatus


class CacheStatusTests(SynchronousTestCase):
    """Each answer says how it came about (RFC 9211)."""

    def test_serialise(self) -> None:
        """The parameters come in the order of the RFC."""
        for status, expected in (
            (CacheStatus(), "osproxy"),
            (CacheStatus(hit=True, ttl=30), "osproxy; hit; ttl=30"),
            (CacheStatus(hit=True, ttl=-412), "osproxy; hit; ttl=-412"),
            (CacheStatus(fwd="uri-miss", collapsed=True), "osproxy; fwd=uri-miss; collapsed"),
            (
                CacheStatus(
                    fwd="uri-miss",
                    fwd_status=200,
                    stored=True,
                    collapsed=True,
                    detail="mirror.example",
                ),
                'osproxy; fwd=uri-miss; fwd-status=200; stored; collapsed; detail="mirror.example"',
            ),
            (CacheStatus(detail='a"b\\c\r\nd'), r'osproxy; detail="a\"b\\c??d"'),
        ):
            with self.subTest(status=status):
                self.assertEqual(status.serialise(), expected)

    def test_outcome(self) -> None:
        """Requests are counted by whether they were hits, else by why an upstream was asked."""
        self.assertEqual(CacheStatus(hit=True).outcome, "hit")
        self.assertEqual(CacheStatus(fwd="stale").outcome, "stale")
        self.assertEqual(CacheStatus().outcome, "none")

    @given(st.text())
    def test_detail_is_contained(self, detail: str) -> None:
        """No detail breaks out of its quotes."""
        written = CacheStatus(detail=detail).serialise()
        self.assertTrue(re.fullmatch(r'osproxy; detail="(?:[ !#-\[\]-~]|\\["\\])*"', written))
