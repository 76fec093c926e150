"""Tests of `osproxy.web.respond`."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachestatus import CacheStatus
from osproxy.model import Answer, Head, Notice, Relayed
from osproxy.repo.kinds import Kind
from tests.byteranges import parts_of
from tests.web.doubles import (
    HEAD_OF_FILE,
    MODIFIED,
    NOW,
    TYPED,
    File,
    Front,
    Passing,
    answer_of,
    relay_of,
    stored,
)
from tests.web.reading import Got, responses

BEFORE = "Thu, 01 Jan 1970 00:59:59 GMT"
SAME = "Thu, 01 Jan 1970 01:00:00 GMT"


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
            "Via": "1.1 osproxy-1",
            "Cache-Status": "osproxy; hit; ttl=30",
            "Server": "osproxy",
        }
        self.assertEqual(dict(got.fields), expected)

    def test_part(self) -> None:
        """A range of a file in memory is that part of it."""
        got = self.get(answer_of(b"0123456789", 10), "Range: bytes=2-4")
        self.assertEqual((got.status, got.body, got["Content-Length"]), (206, b"234", "3"))

    def test_parts(self) -> None:
        """Many ranges of a file in memory are those parts of it; no two boundaries are the same."""
        boundaries = set()
        for _ in range(3):
            got = self.get(answer_of(b"0123456789", 10), "Range: bytes=2-4,-1")
            found = parts_of(got["Content-Type"], got.body)
            self.assertEqual([(part.start, part.body) for part in found], [(2, b"234"), (9, b"9")])
            self.assertEqual({part.content_type for part in found}, {"application/x-rpm"})
            self.assertEqual((got.status, got["Content-Length"]), (206, str(len(got.body))))
            self.assertEqual((got["Age"], got["Content-Range"]), ("100", None))
            boundaries.add(got["Content-Type"])
        self.assertEqual(len(boundaries), 3)
        self.assertEqual(self.front.records[-1].sent, len(got.body))

    def test_repeated_range(self) -> None:
        """Two Range fields are none."""
        got = self.get(answer_of(b"0123456789", 10), "Range: bytes=2-4", "Range: bytes=2-4")
        self.assertEqual((got.status, got.body), (200, b"0123456789"))

    def test_unsatisfiable(self) -> None:
        """A range beyond the end is a 416 without body, which says how long the file is."""
        got = self.get(answer_of(b"0123456789", 10), "Range: bytes=10-")
        self.assertEqual((got.status, got.body), (416, b""))
        self.assertEqual((got["Content-Range"], got["Content-Type"]), ("bytes */10", None))
        self.assertEqual((got["Age"], got["Date"]), (None, "Thu, 01 Jan 1970 10:00:00 GMT"))

    def test_unsatisfiable_growing(self) -> None:
        """So is one of a file that has not come yet, if its length is known."""
        body = File(self.mktemp(), 10)
        got = self.get(answer_of(body, 10), "Range: bytes=10-")
        self.assertEqual((got.status, got["Content-Range"], body.closed), (416, "bytes */10", 1))

    def test_head(self) -> None:
        """HEAD has the length of the whole file, and no range (RFC 9110 section 14.2)."""
        for asked in ("bytes=2-4", "bytes=0-1,5-6", "bytes=99-"):
            got = self.get(answer_of(None, 10), f"Range: {asked}", method="HEAD")
            self.assertEqual((got.status, got["Content-Length"]), (200, "10"))
            self.assertEqual(got["Content-Type"], "application/x-rpm")

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

    def test_not_modified_fields(self) -> None:
        """It has what RFC 9110 section 15.4.5 asks for, where a 200 would have it, and no more."""
        told = (
            ("Cache-Control", "max-age=5"), ("Content-Location", "/a"), ("Expires", BEFORE),
            ("Vary", "Accept"), MODIFIED, ("Set-Cookie", "a=b"),
        )  # fmt: skip
        more = (TYPED, ("Content-Language", "en"), ("Content-Disposition", "inline"), ("X-A", "b"))
        head = evolve(HEAD_OF_FILE, fields=(*more, *told))
        got = self.get(answer_of(b"0123456789", 10, head), 'If-None-Match: "ours"')
        ours = {"ETag", "Date", "Age", "Via", "Server", "Cache-Status"}
        self.assertEqual({name for name, _ in got.fields}, ours | {name for name, _ in told})
        self.assertEqual([got[name] for name, _ in told], [value for _, value in told])
        self.assertEqual((got["Date"], got["Age"]), ("Thu, 01 Jan 1970 09:58:20 GMT", "100"))

    def test_failed_condition(self) -> None:
        """A 412 has no body and no age."""
        got = self.get(answer_of(b"0123456789", 10), 'If-Match: "other"')
        self.assertEqual((got.status, got["Content-Length"], got["Age"]), (412, "0", None))
        self.assertEqual(got["Date"], "Thu, 01 Jan 1970 10:00:00 GMT")

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
        self.assertEqual((got["Via"], got["Age"]), ("1.1 cdn, 1.1 osproxy-1", "7"))
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
        self.assertEqual(got["Via"], "1.1 caf\xe9, 1.1 osproxy-1")
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

    def test_parts(self) -> None:
        """A 206 of many parts is passed on as it is, boundary and all."""
        said = 'multipart/byteranges; charset=x; boundary="THIS SEPARATES"'
        got = self.relay(206, Passing(4), ("Content-Type", said))
        self.assertEqual((got.status, got["Content-Type"], got.body), (206, said, b"abcd"))
        self.assertEqual((got["Content-Length"], got["Content-Range"]), ("4", None))

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
