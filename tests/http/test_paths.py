"""Tests for `osproxy.http.paths`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.paths import (
    BadTarget,
    RequestTarget,
    below,
    canonical_path,
    equivalent_path,
    parse_target,
)

PATHS = st.text(alphabet="/.%2eEfF5cC+~^:a\\ é\0") | st.text()


class ParseTargetTests(SynchronousTestCase):
    """A request target is taken apart."""

    def test_table(self) -> None:
        """Both forms give path and query; only the absolute one gives a host."""
        for raw, expected in (
            (b"/", RequestTarget(None, "/", None)),
            (b"/a%20b?x=1?2", RequestTarget(None, "/a%20b", "x=1?2")),
            (b"/a?", RequestTarget(None, "/a", "")),
            (b"/a?#b", RequestTarget(None, "/a", "")),
            (b"/a#b?c", RequestTarget(None, "/a", None)),
            (b"//a.example/b", RequestTarget(None, "//a.example/b", None)),
            (b"http://Example.ORG/a?b", RequestTarget("example.org", "/a", "b")),
            (b"HTTP://example.org", RequestTarget("example.org", "/", None)),
            (b"http://example.org?q", RequestTarget("example.org", "/", "q")),
            (b"http://example.org:80/", RequestTarget("example.org", "/", None)),
            (b"http://example.org:/", RequestTarget("example.org", "/", None)),
            (b"http://example.org:8080/", RequestTarget("example.org:8080", "/", None)),
            (b"https://example.org:443/", RequestTarget("example.org", "/", None)),
            (b"https://example.org:80/", RequestTarget("example.org:80", "/", None)),
            (b"http://[2001:DB8::1]:81/", RequestTarget("[2001:db8::1]:81", "/", None)),
        ):
            with self.subTest(raw=raw):
                self.assertEqual(parse_target(raw), expected)

    def test_refused(self) -> None:
        """Other forms and schemes, names of users, blanks and other octets are refused."""
        for raw in (
            b"",
            b"*",
            b"example.org:443",
            b"ftp://example.org/",
            b"http:///a",
            b"http://user@example.org/",
            b"http://example.org:x/",
            b"http://exa mple.org/",
            b"/a b",
            b"/\xc3\xa4",
            b"/a\x00",
            b"/a\r\nb",
            b"/\x7f",
        ):
            with self.subTest(raw=raw):
                self.assertRaises(BadTarget, parse_target, raw)

    @given(st.binary() | st.binary().map(lambda rest: b"http://" + rest))
    def test_ascii_or_bad(self, raw: bytes) -> None:
        """Whatever arrives is refused, or gives a path in ASCII that begins with a slash."""
        try:
            target = parse_target(raw)
        except BadTarget:
            return
        self.assertTrue(target.path.startswith("/"))
        self.assertTrue(f"{target.path}{target.query}".isascii())


class CanonicalPathTests(SynchronousTestCase):
    """Each file has one name."""

    def test_table(self) -> None:
        """Different spellings of a path come out alike."""
        for expected, *spellings in (
            ("/", "//", "/.", "/./", "/a/..", "/%2e", "/a//../"),
            ("/a/b", "/a//b", "/./a/./b", "/a/x/../b", "/a/x/%2E%2e/b", "/%61/b", "/a/x//../b"),
            ("/a/", "/a//", "/a/.", "/a/b/..", "/a/b/../"),
            ("/home:/x", "/home%3A/x", "/home%3a/x"),
            ("/%2Ba%2B", "/+a+", "/%2ba%2B"),
            ("/a%5E1~b", "/a^1~b", "/a%5e1%7eb"),
            ("/a@b!$&'()*,;=", "/a%40b%21%24%26%27%28%29%2a%2c%3b%3d"),
            ("/a%2Fb", "/a%2fb"),
            ("/a%5C...", "/a\\...", "/a%5c..."),
            ("/...%2F.", "/...%2f%2E"),
            ("/..a;..b", "/%2e.a;..b"),
            ("/a%20b", "/a b"),
            ("/%C3%A4", "/ä", "/%c3%a4"),
            ("/%25", "/%25"),
            ("/%252e", "/%252e"),
            ("/...", "/.%2e."),
            ("/%3F%23", "/?#"),
        ):
            for spelling in (expected, *spellings):
                with self.subTest(spelling=spelling):
                    self.assertEqual(canonical_path(spelling), expected)

    def test_refused(self) -> None:
        """Ways above the root, bad escapes and control octets are refused."""
        for raw in (
            "",
            "a",
            "/..",
            "/a/../../b",
            "/%2e%2E/a",
            "//..",
            "/%",
            "/%4",
            "/%zz",
            "/%-1",
            "/%00",
            "/%0a",
            "/%7F",
            "/\0",
            "/\n",
            "/\udc80",
        ):
            with self.subTest(raw=raw):
                self.assertRaises(BadTarget, canonical_path, raw)

    def test_led_out(self) -> None:
        """Who undoes escapes first, or knows parameters, must not be led out of a folder either."""
        for raw in (
            "/a/..%2Fb",
            "/a/x%2f%2e%2E%2fb",
            "/a/b%5c..",
            "/a/..\\b",
            "/a/..;x/b",
            "/a/x%2F..;/b",
        ):
            for form in (canonical_path, equivalent_path):
                with self.subTest(raw=raw, form=form):
                    self.assertRaises(BadTarget, form, raw)

    @given(PATHS.map(lambda rest: "/" + rest))
    def test_canonical_or_bad(self, raw: str) -> None:
        """A path is refused, or comes out clean, and stays as it is from then on."""
        try:
            path = canonical_path(raw)
        except BadTarget:
            return
        self.assertEqual(canonical_path(path), path)
        self.assertTrue(path.isascii() and path.isprintable())
        self.assertNotIn("//", path)
        self.assertTrue({".", ".."}.isdisjoint(path.split("/")))


class EquivalentPathTests(SynchronousTestCase):
    """Spellings that no origin can tell apart come out alike, others do not."""

    def test_table(self) -> None:
        """Dot segments and needless escapes go; whatever may mean something stays."""
        for expected, *spellings in (
            ("/", "/.", "/./", "/a/..", "/%2e"),
            ("//",),
            ("/a//b", "/%61//b", "/a/./%2e//b"),
            ("/a/x//b",),
            ("/a/x/b", "/a/x//../b"),
            ("/a/", "/a/.", "/a/b/..", "/a/b/../"),
            ("/home:/x",),
            ("/home%3A/x", "/home%3a/x"),
            ("/+a",),
            ("/%2Ba", "/%2ba"),
            ("/a%2Fb", "/a%2fb"),
            ("/a%5E", "/a^", "/a%5e"),
            ("/%7B~", "/{%7e"),
        ):
            for spelling in (expected, *spellings):
                with self.subTest(spelling=spelling):
                    self.assertEqual(equivalent_path(spelling), expected)

    def test_refused(self) -> None:
        """It leads nowhere that a canonical path does not."""
        for raw in ("", "a", "/..", "/%2e%2E/a", "/%", "/%zz", "/%00", "/a/../../b"):
            with self.subTest(raw=raw):
                self.assertRaises(BadTarget, equivalent_path, raw)

    @given(PATHS.map(lambda rest: "/" + rest))
    def test_equivalent_or_bad(self, raw: str) -> None:
        """A path is refused, or stays as it is from then on; dot segments are gone."""
        try:
            path = equivalent_path(raw)
        except BadTarget:
            return
        self.assertEqual(equivalent_path(path), path)
        self.assertTrue(path.isascii() and path.isprintable())
        self.assertTrue({".", ".."}.isdisjoint(path.split("/")))


class BelowTests(SynchronousTestCase):
    """Prefixes are compared by whole segments."""

    def test_table(self) -> None:
        """A prefix has itself and what lies below it, the root has all."""
        for prefix, path, expected in (
            ("/", "/a/b", "/a/b"),
            ("/", "/", "/"),
            ("/foo", "/foo", "/"),
            ("/foo", "/foo/", "/"),
            ("/foo", "/foo/x", "/x"),
            ("/foo", "/foobar", None),
            ("/foo", "/", None),
            ("/foo/bar", "/foo/bar/x/", "/x/"),
            ("/foo/bar", "/foo/x", None),
        ):
            with self.subTest(prefix=prefix, path=path):
                self.assertEqual(below(prefix, path), expected)
