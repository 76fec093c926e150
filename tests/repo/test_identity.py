"""Tests for `osproxy.repo.identity`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.identity import anonymous


class AnonymousTests(SynchronousTestCase):
    """What tells of a machine goes no further than here."""

    def test_left_out(self) -> None:
        """Whatever zypper says in fields of its own is left out, however the name is spelled."""
        for name in (
            "X-ZYpp-AnonymousId",
            "X-ZYpp-DistributionFlavor",
            "x-zypp-anonymousid",
            "X-ZYPP-",
            "X_ZYpp_AnonymousId",
            "x-ZYPP_whatever",
        ):
            with self.subTest(name=name):
                fields = (("Host", "h"), (name, "f00"), ("Accept", "*/*"), (name, "ba2"))
                self.assertEqual(anonymous(fields), (("Host", "h"), ("Accept", "*/*")))

    def test_kept(self) -> None:
        """Whatever else there is stays, in its order, be it of a similar name."""
        fields = (
            ("User-Agent", "ZYpp 17.25.7 (curl 7.88.1) openSUSE-Leap-15.2-x86_64"),
            ("X-ZYppX", "a"),
            ("ZYpp-AnonymousId", "b"),
            ("XX-ZYpp-AnonymousId", "c"),
        )
        self.assertEqual(anonymous(fields), fields)
