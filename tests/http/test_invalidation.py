"""Tests for `osproxy.http.invalidation`."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.invalidation import invalidated

TARGET = "http://origin.example/a/b?c"


class InvalidatedTests(SynchronousTestCase):
    """A change makes untrue what is stored (RFC 9111 section 4.4)."""

    def test_methods(self) -> None:
        """Every method that is not known to be safe is a change."""
        for method in ("GET", "HEAD", "OPTIONS", "TRACE"):
            self.assertEqual(invalidated(method, 200, TARGET, (("Location", "/x"),)), ())
        for method in ("POST", "PUT", "DELETE", "PATCH", "PURGE", "get", "GET ", ""):
            with self.subTest(method=method):
                self.assertEqual(invalidated(method, 200, TARGET, ()), (TARGET,))

    def test_statuses(self) -> None:
        """An error changes nothing."""
        changed = {status for status in range(-1, 1000) if invalidated("PUT", status, TARGET, ())}
        self.assertEqual(changed, set(range(200, 400)))

    def test_named(self) -> None:
        """Location and Content-Location name more, on the same origin."""
        for reference, expected in (
            ("http://origin.example/x", "http://origin.example/x"),
            ("HTTP://ORIGIN.example:80/x", "http://ORIGIN.example:80/x"),
            ("//origin.example/x", "http://origin.example/x"),
            (" /x?y#z\t", "http://origin.example/x?y"),
            ("x", "http://origin.example/a/x"),
            ("../../../x", "http://origin.example/x"),
            ("?x", "http://origin.example/a/b?x"),
            ("", None),
            ("#x", None),
            ("https://origin.example/x", None),
            ("http://origin.example:8080/x", None),
            ("http://origin.example:/x", "http://origin.example:/x"),
            ("http://other.example/x", None),
            ("//other.example/x", None),
            ("http://origin.example@other.example/x", None),
            ("http://origin.example.other.example/x", None),
            ("http://origin.example:x/", None),
            ("http://origin.example:99999/", None),
            ("http://origin.example:-80/", None),
            ("http://[", None),
            ("http://[::1/x", None),
            ("ftp://origin.example/x", None),
            ("javascript:x", None),
            ("/\\other.example/x", None),
            ("/x\r\ny", None),
            ("ht\ttp://origin.example/x", None),
            ("/\xe9", None),
            ("http://origin.example:\N{ARABIC-INDIC DIGIT ONE}/", None),
        ):
            for name in ("Location", "content-location"):
                with self.subTest(name=name, reference=reference):
                    found = invalidated("POST", 201, TARGET, ((name, reference),))
                    self.assertEqual(found, (TARGET, *([expected] if expected else ())))

    def test_several(self) -> None:
        """All of them are found, each once, without the fragment of the target."""
        fields = (
            ("Content-Location", "/x"),
            ("Location", "/y"),
            ("Location", "/x"),
            ("Location", "//other.example/"),
        )
        self.assertEqual(
            invalidated("POST", 303, "https://h:443/#f", fields),
            ("https://h:443/", "https://h:443/y", "https://h:443/x"),
        )

    def test_ports(self) -> None:
        """The port that belongs to the scheme need not be written."""
        for target, reference, same in (
            ("https://h/", "https://h:443/x", True),
            ("https://h:443/", "https://h/x", True),
            ("https://h/", "https://h:80/x", False),
            ("http://h:8080/", "http://h:8080/x", True),
            ("http://[::1]:8080/", "//[::1]:8080/x", True),
            ("http://h:0/", "http://h/x", False),
        ):
            with self.subTest(target=target, reference=reference):
                found = invalidated("PUT", 204, target, (("Location", reference),))
                self.assertEqual(len(found), 1 + same)

    @given(st.lists(st.text() | st.text(alphabet="http:/@[]origin.example\\#?%")))
    def test_same_origin(self, references: list[str]) -> None:
        """Whatever is named, nothing of another origin is touched."""
        fields = tuple(("Location", reference) for reference in references)
        for uri in invalidated("POST", 200, TARGET, fields):
            self.assertEqual(urlsplit(uri).scheme, "http")
            self.assertEqual(urlsplit(uri).hostname, "origin.example")

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in ("../", "/", "x/../", ":", "@", "[", "#", "?", "//", "%", "a"):
            for prefix in ("", "/", "http://", "//origin.example/"):
                invalidated("POST", 200, TARGET, (("Location", prefix + text * 100_000),))
