"""Tests of `osproxy.upstream.redirects`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.upstream.redirects import Redirect, judge

HERE = "https://cdn.example/a/b"


class JudgeTests(SynchronousTestCase):
    """A redirect is followed, relayed or refused."""

    def verdict(self, location: str, here: str = HERE, *, https_only: bool = False) -> Redirect:
        """Judge the first redirect of a request."""
        return judge(here, here, location, https_only=https_only)[0]

    def test_resolves(self) -> None:
        """A Location may be relative, to the URL that redirects; its fragment is dropped."""
        for location, expected in (
            ("https://mirror.example/x", "https://mirror.example/x"),
            ("/x?y", "https://cdn.example/x?y"),
            ("x", "https://cdn.example/a/x"),
            ("../x", "https://cdn.example/x"),
            ("//mirror.example/x", "https://mirror.example/x"),
            ("http://mirror.example/x%2By#z", "http://mirror.example/x%2By"),
        ):
            with self.subTest(location):
                found = judge(HERE, HERE, location, https_only=False)
                self.assertEqual(found, (Redirect.FOLLOW, expected))

    def test_slash(self) -> None:
        """A redirect to the same place with a slash is relayed, and only that."""
        for location in ("/a/b/", "b/", "https://cdn.example/a/b/", "https://cdn.example:443/a/b/"):
            with self.subTest(location):
                found = judge(HERE, HERE, location, https_only=False)
                self.assertEqual(found, (Redirect.RELAY, "/a/b/"))
        for location in ("https://mirror.example/a/b/", "http://cdn.example/a/b/", "/a/c/"):
            with self.subTest(location):
                self.assertIs(self.verdict(location), Redirect.FOLLOW)

    def test_gives_up_tls(self) -> None:
        """What must come by TLS is not fetched without; the other way is always open."""
        self.assertIs(self.verdict("http://m.example/x", https_only=True), Redirect.REFUSE)
        self.assertIs(self.verdict("https://m.example/x", https_only=True), Redirect.FOLLOW)
        self.assertIs(
            self.verdict("http://m.example/x", "http://cdn.example/", https_only=True),
            Redirect.FOLLOW,
        )

    def test_private(self) -> None:
        """A public name does not lead into a private network, however it is spelt."""
        for host in (
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fe80::1%25eth0]",
            "[fd00::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost",
            "localhost.",
            "a.localhost",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "router",
            "nas.local",
            "NAS.Local.",
            "a.home.arpa",
            "db.internal",
        ):
            with self.subTest(host):
                self.assertIs(self.verdict(f"http://{host}:80/x"), Redirect.REFUSE)

    def test_public(self) -> None:
        """Public names and addresses are followed."""
        for host in ("mirror.example", "8.8.8.8", "[2600::1]", "10.example", "local.example"):
            with self.subTest(host):
                self.assertIs(self.verdict(f"http://{host}/x"), Redirect.FOLLOW)

    def test_private_from_private(self) -> None:
        """A backend that lives inside may lead to another inside, also by way of the public."""
        inside, outside = "http://10.0.0.1/x", "http://mirror.example/x"
        found = judge(inside, outside, "http://10.0.0.2/x", https_only=False)
        self.assertEqual(found, (Redirect.FOLLOW, "http://10.0.0.2/x"))
        for first in ("http://nas.local:80/x", "http://mirror/x", "http://a.internal./x"):
            with self.subTest(first):
                found = judge(first, outside, "http://10.0.0.2/x", https_only=False)
                self.assertEqual(found, (Redirect.FOLLOW, "http://10.0.0.2/x"))
        self.assertIs(judge(outside, inside, "/y", https_only=False)[0], Redirect.REFUSE)

    def test_nonsense(self) -> None:
        """What is no place on the web, or carries a password, is refused."""
        for location in (
            "ftp://mirror.example/x",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://[::1/x",
            "http://mirror.example:x/",
            "http://mirror.example:99999/",
            "http://user:secret@mirror.example/",
            "http://user@mirror.example/",
        ):
            with self.subTest(location):
                self.assertIs(self.verdict(location), Redirect.REFUSE)

    @given(st.text() | st.text(alphabet="/:[].@#%htps12 "))
    def test_never_raises(self, location: str) -> None:
        """Whatever a Location says, it is judged."""
        judge(HERE, HERE, location, https_only=True)
