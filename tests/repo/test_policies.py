"""Tests for `osproxy.repo.policies`."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.freshness import Lifetimes
from osproxy.repo.kinds import Kind
from osproxy.repo.policies import Gone, policy_of

HOUR = 3600.0


class PolicyOfTests(SynchronousTestCase):
    """Each kind is kept in its own way."""

    def test_guarded(self) -> None:
        """The kinds that the operator names are kept only at a second request."""
        for kind in Kind:
            policy = policy_of(kind, "/a", freshness={}, guarded={Kind.IMAGE})
            self.assertEqual(policy.guarded, kind is Kind.IMAGE)

    def test_lifetimes(self) -> None:
        """Each kind stays fresh, and useful when stale, for its own time."""
        for kind, path, lifetimes in (
            (Kind.INDEX, "/tumbleweed/repo/oss/content", Lifetimes(600.0)),
            (Kind.INDEX, "/repositories/home:/x/repodata/repomd.xml", Lifetimes(60.0)),
            (Kind.INDEX, "/obs/repositories/x/repodata/repomd.xml", Lifetimes(60.0)),
            (Kind.INDEX, "/myrepositories/x/repodata/repomd.xml", Lifetimes(600.0)),
            (Kind.ADDRESSED, "/a", Lifetimes(math.inf)),
            (Kind.PACKAGE, "/repositories/a", Lifetimes(900.0)),
            (Kind.IMAGE, "/a", Lifetimes(900.0)),
            (Kind.MUTABLE, "/a", Lifetimes(900.0, 24 * HOUR)),
            (Kind.LISTING, "/a", Lifetimes(300.0, HOUR)),
            (Kind.REFUSED, "/a", Lifetimes(0.0)),
            (Kind.UNKNOWN, "/a", Lifetimes(0.0)),
            (Kind.GENERIC, "/a", Lifetimes(0.0)),
        ):
            with self.subTest(kind=kind, path=path):
                self.assertEqual(policy_of(kind, path, freshness={}).lifetimes, lifetimes)

    def test_operator_decides(self) -> None:
        """What the operator said of a kind holds everywhere, and only for that kind."""
        said = {Kind.INDEX: 5.0, Kind.MUTABLE: 7.0}
        for kind, path, lifetimes in (
            (Kind.INDEX, "/repositories/x", Lifetimes(5.0)),
            (Kind.MUTABLE, "/x", Lifetimes(7.0, 24 * HOUR)),
            (Kind.PACKAGE, "/x", Lifetimes(900.0)),
        ):
            with self.subTest(kind=kind):
                self.assertEqual(policy_of(kind, path, freshness=said).lifetimes, lifetimes)

    def test_keep(self) -> None:
        """Images are kept on demand, what is refused never, the rest always."""
        for large_objects in (False, True):
            for kind in Kind:
                with self.subTest(kind=kind, large_objects=large_objects):
                    policy = policy_of(kind, "/a", large_objects=large_objects, freshness={})
                    kept = {Kind.IMAGE: large_objects, Kind.REFUSED: False}.get(kind, True)
                    self.assertIs(policy.keep, kept)
                    self.assertIs(policy.kind, kind)

    def test_checks_after(self) -> None:
        """A client's no-cache brings a look at the source, but not one a client."""
        for kind in Kind:
            never = kind in (Kind.ADDRESSED, Kind.REFUSED)
            with self.subTest(kind=kind):
                policy = policy_of(kind, "/a", freshness={})
                self.assertEqual(policy.checks_after, math.inf if never else 10.0)

    def test_https_only(self) -> None:
        """Index and boot files do not come by a redirect that gives up encryption."""
        for kind, path, expected in (
            (Kind.INDEX, "/repodata/repomd.xml", True),
            (Kind.MUTABLE, "/boot/x86_64/linux", True),
            (Kind.MUTABLE, "/EFI/BOOT/bootx64.efi", True),
            (Kind.MUTABLE, "/CHECKSUMS", False),
            (Kind.PACKAGE, "/a.rpm", False),
        ):
            with self.subTest(path=path):
                self.assertIs(policy_of(kind, path, freshness={}).https_only, expected)

    def test_heeds_response(self) -> None:
        """Only of what no rule knows, or that is no repository's, is the response heeded."""
        heeding = {kind for kind in Kind if policy_of(kind, "/a", freshness={}).heeds_response}
        self.assertEqual(heeding, {Kind.UNKNOWN, Kind.GENERIC})

    def test_gone(self) -> None:
        """What an older index may still name outlives its removal."""
        graced = {kind for kind in Kind if policy_of(kind, "/a", freshness={}).gone is Gone.GRACE}
        self.assertEqual(graced, {Kind.ADDRESSED, Kind.PACKAGE, Kind.IMAGE})
