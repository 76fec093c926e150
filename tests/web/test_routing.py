"""Tests of `osproxy.web.routing`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Backend, Target
from osproxy.web.routing import Refused, Routes, permit, place_of

GENERIC = Backend("/api", "https://api.example", ("api.example",), generic=True)
ROUTES = Routes(
    (
        Backend("/", "https://authority.example", ("cdn.example",)),
        GENERIC,
        Backend("/api/v2", "https://v2.example"),
    )
)


class RoutesTests(SynchronousTestCase):
    """A request is for the files of one backend, or of none."""

    def found(self, raw: bytes) -> Target:
        """Say which target a request is for."""
        return ROUTES.find(place_of(raw))[1]

    def refused(self, raw: bytes) -> int:
        """Say with which status a request is refused."""
        refused: Refused = self.assertRaises(Refused, self.found, raw)
        return refused.status

    def test_prefixes(self) -> None:
        """The longest prefix counts, and is left out of the target."""
        for raw, expected in (
            (b"/a/b", Target("/", "/a/b")),
            (b"/api/x", Target("/api", "/x")),
            (b"/api", Target("/api", "/")),
            (b"/api/v2/x", Target("/api/v2", "/x")),
            (b"/apis", Target("/", "/apis")),
        ):
            self.assertEqual(self.found(raw), expected, raw)

    def test_hosts(self) -> None:
        """A host that a backend answers for needs no prefix; another is served by nobody."""
        self.assertEqual(self.found(b"http://cdn.example/api/x"), Target("/", "/api/x"))
        self.assertEqual(self.found(b"http://api.example/x"), Target("/api", "/x"))
        self.assertEqual(self.refused(b"http://other.example/x"), 403)

    def test_spellings(self) -> None:
        """Files of repositories have one spelling; a generic origin may tell some apart."""
        self.assertEqual(self.found(b"/a//b+c%40"), Target("/", "/a/b%2Bc@"))
        self.assertEqual(self.found(b"/api/a//b+c%40"), Target("/api", "/a//b+c%40"))

    def test_odd(self) -> None:
        """What names no file is a bad request; where no backend is, there is no file."""
        for raw in (b"a", b"/../a", b"/%zz", b"/api/../../x", b"ftp://cdn.example/"):
            self.assertEqual(self.refused(raw), 400, raw)
        alone = Routes((GENERIC,))
        self.assertEqual(self.assertRaises(Refused, alone.find, place_of(b"/x")).status, 404)


class PermitTests(SynchronousTestCase):
    """Methods that are not answered are told which are."""

    def test_table(self) -> None:
        """Repositories and own pages are read; a generic backend takes what there is."""
        for method, backend, allowed in (
            ("GET", None, None),
            ("POST", None, "GET, HEAD"),
            ("HEAD", ROUTES.backends[-1], None),
            ("OPTIONS", ROUTES.backends[-1], "GET, HEAD"),
            ("POST", GENERIC, None),
            ("TRACE", GENERIC, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            ("CONNECT", None, "GET, HEAD"),
        ):
            with self.subTest(method=method):
                if allowed is None:
                    permit(method, backend)
                else:
                    refused = self.assertRaises(Refused, permit, method, backend)
                    self.assertEqual((refused.status, refused.allowed), (405, allowed))
