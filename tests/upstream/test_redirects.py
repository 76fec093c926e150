"""Tests of `osproxy.upstream.redirects`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.upstream.redirects import Redirect, alias_of, judge

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


class AliasTests(SynchronousTestCase):
    """A redirect to another name in the same folder tells the real name of a file."""

    alias = "https://cdn.example/iso/dvd-Current.iso"

    def real(self, *led: str, asked: str = alias) -> str | None:
        """Say what redirects told that led to these, one after the other."""
        return alias_of((asked, *led))

    def test_no_redirect(self) -> None:
        """What was answered at once has one name."""
        self.assertIsNone(self.real())

    def test_same_folder(self) -> None:
        """The folder is the same, here or, below some other path, elsewhere."""
        for led in (
            "https://cdn.example/iso/dvd-Build1.iso",
            "https://cdn.example:443/iso/dvd%2DBuild1.iso",
            "http://cdn.example/iso/dvd-Build1.iso",
            "https://mirror.example/iso/dvd-Build1.iso",
            "https://mirror.example/pub/suse/iso/dvd-Build1.iso",
        ):
            with self.subTest(led):
                self.assertEqual(self.real(led), "dvd-Build1.iso")

    def test_first_that_renames(self) -> None:
        """The first other name counts, wherever it leads on to, or wherever it was led to."""
        named = "https://cdn.example/iso/dvd-Build1.iso"
        for led in (
            (named, "https://mirror.example/pub/iso/dvd-Build1.iso"),
            (named, "https://blobs.example/0123456789?key=1"),
            ("http://cdn.example/iso/dvd-Current.iso", named),
        ):
            with self.subTest(led):
                self.assertEqual(self.real(*led), "dvd-Build1.iso")
        self.assertIsNone(self.real("https://cdn.example/iso/dvd-Build1.txt", named))

    def test_canonical(self) -> None:
        """The name is spelt as our paths are."""
        self.assertEqual(self.real("https://cdn.example/iso/d%76d+1.iso"), "dvd%2B1.iso")

    def test_none(self) -> None:
        """What is another folder, another sort of file, or no certain name, is no real name."""
        for led in (
            "https://cdn.example/iso/dvd-Current.iso",
            "https://mirror.example/pub/dvd-Current.iso",
            "https://cdn.example/iso/dvd%2DCurrent.iso",
            "https://cdn.example/dvd-Build1.iso",
            "https://cdn.example/pub/iso/dvd-Build1.iso",
            "https://cdn.example/iso/sub/dvd-Build1.iso",
            "https://mirror.example/other/dvd-Build1.iso",
            "https://mirror.example/myiso/../hisiso/dvd-Build1.iso",
            "https://mirror.example/pubiso/dvd-Build1.iso",
            "https://cdn.example/iso/dvd-Build1.iso?key=1",
            "https://cdn.example/iso/",
            "https://cdn.example",
            "https://cdn.example/iso/dvd-Build1.iso/",
            "https://cdn.example/iso/..%2Fdvd-Build1.iso",
            "https://cdn.example/iso/a%2Fdvd-Build1.iso",
            "https://cdn.example/iso/a%5cdvd-Build1.iso",
            "https://cdn.example/iso/a%00.iso",
            "https://cdn.example/iso/dvd-Build1.iso.sha256",
            "https://cdn.example/iso/dvd-Build1",
            "https://cdn.example/iso/net-Current.iso",
        ):
            with self.subTest(led):
                self.assertIsNone(self.real(led))

    def test_top_folder(self) -> None:
        """Any path ends with that of the top folder: there another host says nothing."""
        top = "https://cdn.example/dvd-Current.iso"
        self.assertEqual(self.real("https://cdn.example/a.iso", asked=top), "a.iso")
        for led in ("https://mirror.example/a.iso", "https://mirror.example/pub/a.iso"):
            with self.subTest(led):
                self.assertIsNone(self.real(led, asked=top))

    def test_mirror(self) -> None:
        """A mirror does not say what the authority's files are called."""
        mirror = "https://mirror.example/iso/dvd-Current.iso"
        for led in ("https://mirror.example/iso/a.iso", "https://cdn.example/iso/a.iso"):
            with self.subTest(led):
                self.assertIsNone(self.real(mirror, led))

    def test_no_extension(self) -> None:
        """A name without an extension may stand for another one, and not for the folder."""
        asked = "https://cdn.example/iso/dvd-Current"
        self.assertEqual(self.real("https://cdn.example/iso/dvd-1", asked=asked), "dvd-1")
        self.assertIsNone(self.real("https://cdn.example/iso/", asked=asked))

    def test_question(self) -> None:
        """What was asked with a query is no file by its name alone."""
        self.assertIsNone(self.real("https://cdn.example/iso/a.iso", asked=f"{self.alias}?x"))

    @given(st.lists(st.text() | st.text(alphabet="/:[].@#%?-Current"), max_size=4))
    def test_never_raises(self, paths: list[str]) -> None:
        """Whatever the paths are, and a real name is one segment of a path."""
        real = self.real(*(f"https://cdn.example/{path}" for path in paths))
        self.assertNotIn("/", real or "")
