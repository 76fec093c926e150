"""Tests of `osproxy.web.respond`."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachestatus import CacheStatus
from osproxy.http.fields import first
from osproxy.model import Answer, Head, Notice, Relayed, Representation
from osproxy.repo.kinds import Kind
from osproxy.web.respond import plan
from tests.web.doubles import HEAD_OF_FILE, NOW, Front, Passing, answer_of, relay_of, stored
from tests.web.reading import Got, responses

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
    ({"Range": "bytes=0-1,5-6"}, 200, (0, 10), None),
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
            response = plan(self.content(10), tuple(asked.items()))
            found = (response.status, response.span, first(response.fields, "content-range"))
            self.assertEqual(found, (status, span, content_range), asked)

    def test_length(self) -> None:
        """Content-Length is that of what is sent, and a 304 has none."""
        for asked, status, span, _ in TABLE:
            response = plan(self.content(10), tuple(asked.items()))
            length = None if status == 304 else str(span[1] - span[0] if span else 0)
            self.assertEqual(first(response.fields, "content-length"), length, asked)

    def test_our_entity_tag(self) -> None:
        """The entity tag is ours, in whatever is said of a file."""
        for asked, *_ in TABLE:
            response = plan(self.content(10), tuple(asked.items()))
            self.assertEqual(first(response.fields, "etag"), '"ours"', asked)

    def test_unknown_length(self) -> None:
        """Of a file of unknown length all is sent, and no ranges are offered."""
        response = plan(self.content(None), (("Range", "bytes=2-4"),))
        self.assertEqual((response.status, response.span), (200, (0, None)))
        for name in ("accept-ranges", "content-length", "content-range"):
            self.assertIsNone(first(response.fields, name))

    def test_not_modified_of_unknown_length(self) -> None:
        """What a client has it is not sent, however long it may be."""
        self.assertEqual(plan(self.content(None), (("If-None-Match", '"ours"'),)).status, 304)

    def test_nothing(self) -> None:
        """Of an empty file no range can be had."""
        response = plan(self.content(0), (("Range", "bytes=0-"),))
        self.assertEqual(first(response.fields, "content-range"), "bytes */0")
        self.assertEqual(plan(self.content(0), ()).span, (0, 0))


class FieldsTests(SynchronousTestCase):
    """What a response says beside its body."""

    def setUp(self) -> None:
        """Make a front whose clock stands at ten in the morning."""
        clock = Clock()
        clock.advance(NOW)
        self.front = Front(clock)

    def get(self, answer: Answer, *fields: str, method: str = "GET") -> Got:
        """Ask for a file to which the cache gives this answer."""
        self.front.cache.put("/a", lambda: answer)
        return self.front.ask("/a", *fields, method=method)

    def test_whole(self) -> None:
        """A stored file is sent with all that a cache and a client can use."""
        got = self.get(answer_of(b"0123456789", 10))
        self.assertEqual((got.status, got.body), (200, b"0123456789"))
        expected = {
            "ETag": '"ours"',
            "Last-Modified": SAME,
            "Content-Type": "application/x-rpm",
            "Content-Length": "10",
            "Accept-Ranges": "bytes",
            "Age": "100",
            "Date": "Thu, 01 Jan 1970 09:58:20 GMT",
            "Via": "1.1 osproxy",
            "Cache-Status": "osproxy; hit; ttl=30",
            "Server": "osproxy",
        }
        self.assertEqual(dict(got.fields), expected)

    def test_part(self) -> None:
        """A range of a file in memory is that part of it."""
        got = self.get(answer_of(b"0123456789", 10), "Range: bytes=2-4")
        self.assertEqual((got.status, got.body, got["Content-Length"]), (206, b"234", "3"))

    def test_unsatisfiable(self) -> None:
        """A range beyond the end is a 416 without body, which says how long the file is."""
        got = self.get(answer_of(b"0123456789", 10), "Range: bytes=10-")
        self.assertEqual((got.status, got.body), (416, b""))
        self.assertEqual((got["Content-Range"], got["Content-Type"]), ("bytes */10", None))

    def test_head(self) -> None:
        """HEAD has the length of the whole file, and no range (RFC 9110 section 14.2)."""
        got = self.get(answer_of(None, 10), "Range: bytes=2-4", method="HEAD")
        self.assertEqual((got.status, got["Content-Length"]), (200, "10"))

    def test_head_not_modified(self) -> None:
        """HEAD heeds conditions."""
        got = self.get(answer_of(None, 10), 'If-None-Match: "ours"', method="HEAD")
        self.assertEqual(got.status, 304)

    def test_head_of_unknown_length(self) -> None:
        """HEAD of a file of unknown length promises no framing."""
        got = self.get(answer_of(None, None), method="HEAD")
        self.assertEqual((got["Content-Length"], got["Transfer-Encoding"]), (None, None))

    def test_not_modified(self) -> None:
        """A 304 brings a stored response up to date and says nothing of a body."""
        got = self.get(answer_of(b"0123456789", 10), f"If-Modified-Since: {SAME}")
        self.assertEqual((got.status, got["ETag"], got["Last-Modified"]), (304, '"ours"', SAME))
        for name in ("Content-Type", "Content-Length", "Transfer-Encoding"):
            self.assertIsNone(got[name])

    def test_failed_condition(self) -> None:
        """A 412 has no body and no age."""
        got = self.get(answer_of(b"0123456789", 10), 'If-Match: "other"')
        self.assertEqual((got.status, got["Content-Length"], got["Age"]), (412, "0", None))

    def test_unknown_length(self) -> None:
        """A body of unknown length is chunked and offers no ranges."""
        body = stored(self.mktemp(), b"0123456789")
        got = self.get(answer_of(body, None))
        self.assertEqual((got.body, got.whole, body.closed), (b"0123456789", True, 1))
        self.assertEqual((got["Transfer-Encoding"], got["Accept-Ranges"]), ("chunked", None))

    def test_no_type(self) -> None:
        """What had no Content-Type upstream gets none from us."""
        head = evolve(HEAD_OF_FILE, fields=())
        self.assertIsNone(self.get(answer_of(b"x", 1, head))["Content-Type"])

    def test_encoding(self) -> None:
        """A Content-Encoding is the upstream's, or there is none."""
        head: Head = evolve(HEAD_OF_FILE, fields=(("Content-Encoding", "gzip"),))
        self.assertEqual(self.get(answer_of(b"x", 1, head))["Content-Encoding"], "gzip")
        self.assertIsNone(self.get(answer_of(b"x", 1), "Accept-Encoding: gzip")["Content-Encoding"])

    def test_octets(self) -> None:
        """What is not ASCII goes out in the octets in which it came."""
        head = evolve(HEAD_OF_FILE, fields=(("X-A", "caf\xe9"),))
        self.assertEqual(self.get(answer_of(b"x", 1, head))["X-A"], "caf\xe9")

    def test_repeated_field(self) -> None:
        """A field that the source sent twice is sent twice."""
        head = evolve(HEAD_OF_FILE, fields=(("X-A", "1"), ("x-a", "2")))
        got = self.get(answer_of(b"x", 1, head))
        values = [value for name, value in got.fields if name.lower() == "x-a"]
        self.assertEqual(values, ["1", "2"])

    def test_body_closed(self) -> None:
        """A body that is not needed is given up all the same."""
        body = stored(self.mktemp(), b"0123456789")
        self.get(answer_of(body, 10), 'If-None-Match: "ours"')
        self.assertEqual(body.closed, 1)

    def test_redirect(self) -> None:
        """A folder that was asked for without its slash is told where it is."""
        notice = Notice(301, b"It is a folder.\n", location="/a/")
        got = self.get(Answer(notice, CacheStatus(fwd="uri-miss"), Kind.LISTING))
        self.assertEqual((got.status, got["Location"], got["Age"]), (301, "/a/", None))
        self.assertEqual(got["Cache-Status"], "osproxy; fwd=uri-miss")

    def test_notice_by_head(self) -> None:
        """HEAD of a line of ours has its length and not the line."""
        got = self.get(Answer(Notice(404, b"No.\n"), CacheStatus(), None), method="HEAD")
        self.assertEqual((got.status, got["Content-Length"]), (404, "4"))

    def test_no_content(self) -> None:
        """A 204 has neither type nor length."""
        got = self.get(Answer(Notice(204), CacheStatus(), None))
        self.assertEqual(
            (got.status, got["Content-Type"], got["Content-Length"]), (204, None, None)
        )

    def test_source(self) -> None:
        """Cache-Status names the source of what was fetched, but not of a hit."""
        answer = relay_of(Relayed(200, (), None))
        got = self.get(answer, method="HEAD")
        self.assertIn('detail="mirror.example"', str(got["Cache-Status"]))


class RelayedTests(SynchronousTestCase):
    """What becomes of an upstream's response that is passed on."""

    def setUp(self) -> None:
        """Make a front."""
        clock = Clock()
        clock.advance(NOW)
        self.front = Front(clock)

    def relay(self, status: int, body: Passing | None, *fields: tuple[str, str]) -> Got:
        """Pass a response of four octets on."""
        self.front.cache.put("/a", lambda: relay_of(Relayed(status, fields, body)))
        channel, wire = self.front.connect()
        channel.dataReceived(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        if body is not None and body.sink is not None:
            body.send(b"ab")
            body.send(b"cd")
            body.over.callback(None)
        (got,) = responses(wire.value())
        return got

    def test_chains(self) -> None:
        """Via and Cache-Status go on where those before us left off."""
        got = self.relay(
            200, Passing(4), ("Via", "1.1 cdn"), ("Cache-Status", "cdn; hit"), ("Age", "7")
        )
        self.assertEqual((got["Via"], got["Age"]), ("1.1 cdn, 1.1 osproxy", "7"))
        self.assertEqual(
            got["Cache-Status"],
            'cdn; hit, osproxy; fwd=bypass; fwd-status=200; detail="mirror.example"',
        )

    def test_date(self) -> None:
        """The date is the upstream's, and ours where it gave none."""
        date = ("Date", "Thu, 01 Jan 1970 05:00:00 GMT")
        self.assertEqual(self.relay(200, Passing(4), date)["Date"], date[1])
        self.assertEqual(self.relay(200, Passing(4))["Date"], "Thu, 01 Jan 1970 10:00:00 GMT")

    def test_octets(self) -> None:
        """Via and Cache-Status, too, keep octets that are not ASCII."""
        got = self.relay(200, Passing(4), ("Via", "1.1 caf\xe9"), ("Cache-Status", "\xe9; hit"))
        self.assertEqual(got["Via"], "1.1 caf\xe9, 1.1 osproxy")
        self.assertTrue(str(got["Cache-Status"]).startswith("\xe9; hit, osproxy; "))

    def test_hop_by_hop(self) -> None:
        """What was said to us alone, or named in Connection, goes no further."""
        got = self.relay(
            200, Passing(4), ("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "5"),
            ("Upgrade", "h2c"), ("Proxy-Authenticate", "Basic"), ("X-End", "1"),
        )  # fmt: skip
        names = {name.lower() for name, _ in got.fields}
        self.assertLessEqual({"x-end", "content-length"}, names)
        dropped = {"connection", "x-hop", "keep-alive", "upgrade", "proxy-authenticate"}
        self.assertEqual(names & dropped, set())

    def test_head_failing(self) -> None:
        """A head that cannot be written gives the body up."""
        body = Passing(4)
        got = self.relay(200, body, ("X-A", "\N{SNOWMAN}"))
        self.assertEqual((got.status, body.closed, body.sink), (500, 1, None))
        self.assertEqual(len(self.flushLoggedErrors(UnicodeEncodeError)), 1)

    def test_known_length(self) -> None:
        """A body whose length is known upstream has it here."""
        body = Passing(4)
        got = self.relay(206, body, ("Content-Range", "bytes 0-3/9"))
        self.assertEqual((got.status, got.body, got["Content-Length"]), (206, b"abcd", "4"))
        self.assertEqual((got["Content-Range"], body.closed), ("bytes 0-3/9", 1))

    def test_unknown_length(self) -> None:
        """One whose length is not known is chunked."""
        got = self.relay(200, Passing())
        self.assertEqual((got.body, got["Transfer-Encoding"]), (b"abcd", "chunked"))

    def test_not_modified(self) -> None:
        """A 304 of the upstream's is passed on, and its connection given up."""
        body = Passing(0)
        got = self.relay(304, body, ("ETag", '"theirs"'))
        self.assertEqual((got.status, got["ETag"], body.closed), (304, '"theirs"', 1))
        self.assertIsNone(got["Content-Length"])
