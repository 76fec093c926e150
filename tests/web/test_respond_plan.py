"""Tests of `osproxy.web.respond.plan`: status, fields and pieces, before anything is sent."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import Fields, first
from osproxy.http.multipart import octets_of
from osproxy.http.ranges import Span
from osproxy.model import Representation
from osproxy.web.respond import plan
from tests.web.doubles import HEAD_OF_FILE

BEFORE = "Thu, 01 Jan 1970 00:59:59 GMT"
SAME = "Thu, 01 Jan 1970 01:00:00 GMT"

# What a client asks of a file of 10 octets: status, octets, Content-Range.
TABLE: tuple[tuple[dict[str, str], int, tuple[int, int] | None, str | None], ...] = (
    ({}, 200, (0, 10), None),
    ({"Range": "bytes=2-4"}, 206, (2, 5), "bytes 2-4/10"),
    ({"Range": "bytes=0-0"}, 206, (0, 1), "bytes 0-0/10"),
    ({"Range": "bytes=4-"}, 206, (4, 10), "bytes 4-9/10"),
    ({"Range": "bytes=4-99"}, 206, (4, 10), "bytes 4-9/10"),
    ({"Range": "bytes=-3"}, 206, (7, 10), "bytes 7-9/10"),
    ({"Range": "bytes=-99"}, 206, (0, 10), "bytes 0-9/10"),
    ({"Range": "bytes=10-"}, 416, None, "bytes */10"),
    ({"Range": "bytes=-0"}, 416, None, "bytes */10"),
    ({"Range": "bytes=2-4,5-6"}, 206, (2, 7), "bytes 2-6/10"),
    ({"Range": "bytes=5-6,2-5"}, 206, (2, 7), "bytes 2-6/10"),
    ({"Range": "bytes=8-9,10-11"}, 206, (8, 10), "bytes 8-9/10"),
    ({"Range": "bytes=0-,0-,0-"}, 200, (0, 10), None),
    ({"Range": "bytes=" + "0-0,2-2," * 600}, 200, (0, 10), None),
    ({"Range": "bytes=0-1,5-6", "If-Range": '"other"'}, 200, (0, 10), None),
    ({"Range": "bytes=10-,20-30"}, 416, None, "bytes */10"),
    ({"Range": "lines=1-2"}, 200, (0, 10), None),
    ({"Range": "bytes=4-2"}, 200, (0, 10), None),
    ({"Range": "bytes=2-4", "If-Range": '"ours"'}, 206, (2, 5), "bytes 2-4/10"),
    ({"Range": "bytes=2-4", "If-Range": '"other"'}, 200, (0, 10), None),
    ({"Range": "bytes=2-4", "If-Range": 'W/"ours"'}, 200, (0, 10), None),
    ({"Range": "bytes=2-4", "If-Range": SAME}, 206, (2, 5), "bytes 2-4/10"),
    ({"Range": "bytes=2-4", "If-Range": BEFORE}, 200, (0, 10), None),
    ({"Range": "bytes=99-", "If-Range": '"other"'}, 200, (0, 10), None),
    ({"If-None-Match": '"ours"'}, 304, None, None),
    ({"If-None-Match": 'W/"ours", "x"'}, 304, None, None),
    ({"If-None-Match": "*"}, 304, None, None),
    ({"If-None-Match": '"other"'}, 200, (0, 10), None),
    ({"If-None-Match": '"other"', "If-Modified-Since": SAME}, 200, (0, 10), None),
    ({"If-Modified-Since": SAME}, 304, None, None),
    ({"If-Modified-Since": BEFORE}, 200, (0, 10), None),
    ({"If-None-Match": '"ours"', "Range": "bytes=2-4"}, 304, None, None),
    ({"If-Match": '"ours"'}, 200, (0, 10), None),
    ({"If-Match": '"other"'}, 412, None, None),
    ({"If-Unmodified-Since": BEFORE}, 412, None, None),
    ({"If-Unmodified-Since": SAME, "Range": "bytes=-1"}, 206, (9, 10), "bytes 9-9/10"),
)


class PlanTests(SynchronousTestCase):
    """Tests of `plan`."""

    def content(self, length: int | None) -> Representation:
        """Make a file of a length."""
        return Representation(HEAD_OF_FILE, None, length)

    def test_table(self) -> None:
        """Conditions and ranges come to the status and the octets that RFC 9110 wants."""
        for asked, status, span, content_range in TABLE:
            response = plan(self.content(10), tuple(asked.items()), "x")
            found = (response.status, response.pieces, first(response.fields, "content-range"))
            pieces = () if span is None else (Span(*span),)
            self.assertEqual(found, (status, pieces, content_range), asked)

    def test_length(self) -> None:
        """Content-Length is that of what is sent, and a 304 has none."""
        for asked, status, span, _ in TABLE:
            response = plan(self.content(10), tuple(asked.items()), "x")
            length = None if status == 304 else str(span[1] - span[0] if span else 0)
            self.assertEqual(first(response.fields, "content-length"), length, asked)

    def test_our_entity_tag(self) -> None:
        """The entity tag is ours, in whatever is said of a file."""
        for asked, *_ in TABLE:
            response = plan(self.content(10), tuple(asked.items()), "x")
            self.assertEqual(first(response.fields, "etag"), '"ours"', asked)

    def test_other_statuses(self) -> None:
        """What is no file is replayed as it is: there are no conditions and no parts."""
        for status in (301, 404):
            content = evolve(self.content(10), head=evolve(HEAD_OF_FILE, status=status))
            for asked in ({"If-None-Match": "*"}, {"Range": "bytes=1-2"}, {"If-Match": '"x"'}):
                response = plan(content, tuple(asked.items()), "x")
                self.assertEqual((response.status, response.pieces), (status, (Span(0, 10),)))
                self.assertEqual(first(response.fields, "content-length"), "10")
                self.assertIsNone(first(response.fields, "accept-ranges"))

    def test_no_content(self) -> None:
        """A 204 has no body and does not speak of one."""
        content = evolve(self.content(0), head=evolve(HEAD_OF_FILE, status=204))
        response = plan(content, (("Range", "bytes=1-2"),), "x")
        self.assertEqual((response.status, response.pieces), (204, ()))
        self.assertIsNone(first(response.fields, "content-length"))

    def test_no_entity_tag(self) -> None:
        """Where there is none, none is made up."""
        content = evolve(self.content(10), head=evolve(HEAD_OF_FILE, etag=None))
        for asked, *_ in TABLE:
            response = plan(content, tuple(asked.items()), "x")
            self.assertIsNone(first(response.fields, "etag"))

    def test_stored_date(self) -> None:
        """A Date that is stored is replayed, by a 304 as well."""
        date = ("Date", "Thu, 01 Jan 1970 02:00:00 GMT")
        head = evolve(HEAD_OF_FILE, fields=(*HEAD_OF_FILE.fields, date))
        for asked in ((), (("If-None-Match", '"ours"'),)):
            response = plan(evolve(self.content(10), head=head), asked, "x")
            self.assertIn(date, response.fields)

    def test_unknown_length(self) -> None:
        """Of a file of unknown length all is sent, and no ranges are offered."""
        for asked in ("bytes=2-4", "bytes=0-1,5-6", "bytes=99-"):
            response = plan(self.content(None), (("Range", asked),), "x")
            self.assertEqual((response.status, response.pieces), (200, None))
            for name in ("accept-ranges", "content-length", "content-range"):
                self.assertIsNone(first(response.fields, name))

    def test_not_modified_of_unknown_length(self) -> None:
        """What a client has it is not sent, however long it may be."""
        response = plan(self.content(None), (("If-None-Match", '"ours"'),), "x")
        self.assertEqual((response.status, response.pieces), (304, ()))

    def test_nothing(self) -> None:
        """Of an empty file no range can be had."""
        response = plan(self.content(0), (("Range", "bytes=0-"),), "x")
        self.assertEqual(first(response.fields, "content-range"), "bytes */0")
        self.assertEqual(plan(self.content(0), (), "x").pieces, (Span(0, 0),))

    def test_young(self) -> None:
        """A file that was young when it was sent has no part by its date (section 13.1.5)."""
        head = evolve(HEAD_OF_FILE, date=3600.0 + 59)
        asked = (("Range", "bytes=2-4"), ("If-Range", SAME))
        self.assertEqual(plan(Representation(head, None, 10), asked, "x").status, 200)

    def test_parts(self) -> None:
        """Many ranges are many parts, of which only the parts say where they lie."""
        response = plan(self.content(1000), (("Range", "bytes=0-1,500-,100-102"),), "x")
        self.assertEqual(response.status, 206)
        said = {name.lower(): value for name, value in response.fields}
        self.assertEqual(said["content-type"], "multipart/byteranges; boundary=x")
        self.assertNotIn("content-range", said)
        self.assertEqual((said["etag"], said["accept-ranges"]), ('"ours"', "bytes"))
        self.assertEqual(said["last-modified"], SAME)
        assert response.pieces is not None
        spans = [piece for piece in response.pieces if isinstance(piece, Span)]
        self.assertEqual(spans, [Span(0, 2), Span(500, 1000), Span(100, 103)])
        octets = octets_of(response.pieces)
        self.assertEqual(said["content-length"], str(octets))
        head = response.pieces[0]
        assert isinstance(head, bytes)
        self.assertIn(b"\r\nContent-Type: application/x-rpm\r\n", head)

    def test_not_of_a_part(self) -> None:
        """What was said of the octets of the whole is not said of a part."""
        digests = (("Content-MD5", "x"), ("content-digest", "y"), ("Repr-Digest", "z"))
        content = Representation(evolve(HEAD_OF_FILE, fields=digests), None, 10)
        rows: tuple[tuple[Fields, int], ...] = (
            ((), 3),
            ((("Range", "bytes=0-1"),), 1),
            ((("Range", "bytes=0-1,5-6"),), 1),
        )
        for asked, kept in rows:
            names = {name.lower() for name, _ in plan(content, asked, "x").fields}
            digested = names & {"content-md5", "content-digest", "repr-digest"}
            self.assertEqual(len(digested), kept, asked)
            self.assertIn("repr-digest", names)
