"""Tests of `osproxy.web.incoming`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.lines import BadMessage
from osproxy.http.messages import RequestHead, parse_request_head
from osproxy.web.content import BadContent
from osproxy.web.incoming import Incoming, unframed
from tests.web.reading import request

CHUNKED = "Transfer-Encoding: chunked"


def incoming(data: bytes = b"") -> Incoming:
    """Make one to which this has come."""
    made = Incoming(lambda: None, lambda: None)
    made.receive(data)
    return made


class IncomingTests(SynchronousTestCase):
    """Tests of `Incoming`."""

    def test_one_at_a_time(self) -> None:
        """Requests are given one by one, and what has come of the next is told."""
        one = incoming(b"\r\n" + request("/a") + request("/b") + b"G")
        for target in (b"/a", b"/b"):
            head = one.next()
            assert head is not None
            self.assertEqual(head.target, target)
            self.assertTrue(one.begun)
        self.assertIsNone(one.next())
        self.assertEqual((one.begun, one.held), (True, 1))

    def test_nothing(self) -> None:
        """An empty line is not the beginning of a request."""
        one = incoming(b"\r\n")
        self.assertIsNone(one.next())
        self.assertEqual((one.begun, one.held), (False, 0))

    def test_content(self) -> None:
        """What follows the head belongs to its content, and what follows that does not."""
        for field, octets in (("Content-Length: 3", b"abc"), (CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")):
            for cut in range(len(octets)):
                with self.subTest(field=field, cut=cut):
                    one = incoming(request("/a", field) + octets[:cut])
                    one.next()
                    self.assertTrue(one.unfinished)
                    one.receive(octets[cut:] + request("/b"))
                    self.assertFalse(one.unfinished)
                    assert one.content is not None
                    self.assertEqual(one.held, 3 + len(request("/b")))
                    one.content.close()
                    self.assertEqual(one.held, len(request("/b")))
                    head = one.next()
                    assert head is not None
                    self.assertEqual((head.target, one.content), (b"/b", None))

    def test_empty_content(self) -> None:
        """Content of no octets is none: nobody waits to be asked for it, or has to take it."""
        one = incoming(request("/a", "Content-Length: 0", "Expect: 100-continue") + request("/b"))
        for target in (b"/a", b"/b"):
            head = one.next()
            assert head is not None
            self.assertEqual((head.target, one.content, one.unfinished), (target, None, False))

    def test_malformed(self) -> None:
        """What is malformed is refused when its turn comes, its content with it if it has come."""
        for octets in (request("/a", "X : y"), request("/a", CHUNKED) + b"x\r\n"):
            one = incoming(request("/") + octets)
            self.assertIsNotNone(one.next())
            self.assertRaises(BadMessage, one.next)
            self.assertIsNone(one.content)

    def test_malformed_later(self) -> None:
        """Content that turns out to be malformed breaks off, and nothing behind it is read."""
        one = incoming(request("/a", CHUNKED))
        one.next()
        for data in (b"x\r\n", request("/b")):
            one.receive(data)
            self.assertTrue(one.broken)
        assert one.content is not None
        self.assertIsInstance(one.content.trouble, BadContent)
        self.assertTrue(one.unfinished)

    def test_end(self) -> None:
        """When no more will come, unfinished content is broken, and other is not."""
        for sent, broken in ((b"ab", True), (b"abc", False)):
            one = incoming(request("/a", "Content-Length: 3") + sent)
            one.next()
            one.end()
            self.assertEqual(one.broken, broken)

    def test_expectation(self) -> None:
        """Whether a client waits before it sends is seen from its head."""
        for value, version, expected in (
            ("100-Continue", "1.1", True),
            ("100-continue", "1.0", False),
            ("200-ok", "1.1", False),
        ):
            one = incoming(request("/", f"Expect: {value}", "Content-Length: 3", version=version))
            one.next()
            assert one.content is not None
            self.assertEqual(one.content.expected, expected)

    @given(st.data())
    def test_in_pieces(self, data: st.DataObject) -> None:
        """However octets are cut, the same requests come of them."""
        octets = request("/a") + request("/b", CHUNKED) + b"1\r\nx\r\n0\r\nT: u\r\n\r\n"
        octets += request("/c", "Content-Length: 2") + b"yz\r\n" + request("/d")
        cuts = sorted(data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=9)))
        one, targets = incoming(), []
        for start, stop in zip([0, *cuts], [*cuts, len(octets)], strict=True):
            one.receive(octets[start:stop])
            while not one.unfinished and (head := one.next()) is not None:
                targets.append(head.target)
        self.assertEqual(targets, [b"/a", b"/b", b"/c", b"/d"])


class UnframedTests(SynchronousTestCase):
    """Tests of `unframed`."""

    def test_fields(self) -> None:
        """What frames a body or asks for leave to send one is left out, and nothing else."""
        head = parse_request_head(
            request("/a", "content-length: 3", "Expect: 100-continue", "X: y", method="PUT")
        )
        self.assertEqual(
            unframed(head), RequestHead("PUT", b"/a", (1, 1), (("Host", "x"), ("X", "y")))
        )
        head = parse_request_head(request("/a", CHUNKED, version="1.7"))
        self.assertEqual(unframed(head), RequestHead("GET", b"/a", (1, 1), (("Host", "x"),)))
