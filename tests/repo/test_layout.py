"""Tests for `osproxy.repo.layout`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.layout import CORE, MEMBERS, Member, member_of


class MemberOfTests(SynchronousTestCase):
    """The files that decide what a repository is are known by their place."""

    def test_members(self) -> None:
        """Each is found at the top and deep below, with the root of its repository."""
        for root in ("", "/tumbleweed/repo/oss", "/repositories/home:/x/15.6"):
            for name in MEMBERS:
                with self.subTest(root=root, name=name):
                    self.assertEqual(member_of(f"{root}/{name}"), Member(root, name))

    def test_others(self) -> None:
        """Likenesses are no members."""
        for path in (
            "/",
            "/repomd.xml",
            "/repodata/repomd.xml.metalink",
            "/xrepodata/repomd.xml",
            "/repodata/repomd.xml/",
            "/repodata/primary.xml.gz",
            "/media.2/media",
            "/media.1/build",
            "/mycontent",
            "/content.asc",
        ):
            with self.subTest(path=path):
                self.assertIsNone(member_of(path))

    def test_core(self) -> None:
        """Clients ask for repomd.xml, its signature and key, and media.1/media at each refresh."""
        self.assertEqual(
            CORE,
            (
                "repodata/repomd.xml",
                "repodata/repomd.xml.asc",
                "repodata/repomd.xml.key",
                "media.1/media",
            ),
        )
