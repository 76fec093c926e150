"""Tests for `osproxy.repo.digests`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.digests import Digest, digest_in_name

SHA256 = "9a" * 32


class DigestInNameTests(SynchronousTestCase):
    """Some files promise their content by their name."""

    def test_promised(self) -> None:
        """Data files of rpm-md and Debian's by-hash files do; the digits tell the algorithm."""
        for path, algorithm, digits in (
            (f"/repo/oss/repodata/{SHA256}-primary.xml.gz", "sha256", SHA256),
            (f"/repodata/{SHA256.upper()}-x", "sha256", SHA256),
            (f"/repodata/sub/{SHA256}-x", "sha256", SHA256),
            (f"/repodata/{'0' * 32}-x", "md5", "0" * 32),
            (f"/repodata/{'0' * 40}-x", "sha1", "0" * 40),
            (f"/repodata/{'0' * 56}-x", "sha224", "0" * 56),
            (f"/repodata/{'0' * 96}-x", "sha384", "0" * 96),
            (f"/repodata/{'0' * 128}-x", "sha512", "0" * 128),
            (f"/dists/a/by-hash/SHA256/{SHA256}", "sha256", SHA256),
            (f"/dists/a/by-hash/MD5Sum/{'0' * 32}", "md5", "0" * 32),
        ):
            with self.subTest(path=path):
                self.assertEqual(digest_in_name(path), Digest(algorithm, digits))

    def test_not_promised(self) -> None:
        """Other places, other lengths and what lies beside such a file promise nothing."""
        for path in (
            "/repodata/primary.xml.gz",
            f"/repodata/{SHA256}",
            f"/repodata/{SHA256}.xml",
            f"/repodata/{SHA256}0-primary.xml.gz",
            f"/repodata/{'g' * 64}-primary.xml.gz",
            f"/x86_64/{SHA256}-primary.xml.gz",
            f"/repodata/{SHA256}-primary.xml.gz.metalink",
            f"/repodata/{SHA256}-primary.xml.gz.asc",
            f"/by-hash/SHA256/{SHA256}-x",
            f"/by-hash/{SHA256}/Packages",
        ):
            with self.subTest(path=path):
                self.assertIsNone(digest_in_name(path))
