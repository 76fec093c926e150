"""The values that travel say what they stand for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.conditions import Validators
from osproxy.model import Backend, Head, Target


class BackendTests(SynchronousTestCase):
    """`Backend` knows where the authority has its files."""

    def test_url(self) -> None:
        """The authority's own path is kept in front of the file's."""
        backend = Backend("/fedora", "https://example.org/pub/fedora")
        self.assertEqual(
            backend.url_of("/linux/a%2Bb.rpm"), "https://example.org/pub/fedora/linux/a%2Bb.rpm"
        )

    def test_query(self) -> None:
        """A query is put behind the path, and only if there is one."""
        backend = Backend("/", "https://example.org")
        self.assertEqual(backend.url_of("/a.rpm", "meta4"), "https://example.org/a.rpm?meta4")
        self.assertEqual(backend.url_of("/a.rpm", ""), "https://example.org/a.rpm")


class TargetTests(SynchronousTestCase):
    """`Target` is the key of a file."""

    def test_text(self) -> None:
        """It is shown as the path that clients write, whichever backend it belongs to."""
        self.assertEqual(str(Target("/", "/a/b.rpm")), "/a/b.rpm")
        self.assertEqual(str(Target("/fedora", "/a/b.rpm")), "/fedora/a/b.rpm")


class HeadTests(SynchronousTestCase):
    """`Head` gives what clients' conditions are compared with."""

    def head(self, *fields: tuple[str, str]) -> Head:
        """Make a head with these fields."""
        return Head('"ours"', fields, '"theirs"', "mirror.example", 500.0)

    def test_validators(self) -> None:
        """They are our own entity tag and the source's date, and when it was asked."""
        head = self.head(("Last-Modified", "Thu, 01 Jan 1970 00:01:00 GMT"))
        self.assertEqual(head.validators, Validators('"ours"', 60.0, 500.0))

    def test_no_date(self) -> None:
        """A date that is missing, or is none, is no validator."""
        for fields in ((), (("Last-Modified", "yesterday"),)):
            self.assertEqual(self.head(*fields).validators, Validators('"ours"', None, 500.0))

    def test_date_that_is_told(self) -> None:
        """Where clients are told the source's Date it is that one, by the source's clock."""
        head = self.head(("Date", "Thu, 01 Jan 1970 00:02:00 GMT"))
        self.assertEqual(head.validators.date, 120.0)
        self.assertEqual(self.head(("Date", "today")).validators.date, 500.0)
