"""Tests of `osproxy.web.content`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.lines import BadMessage
from osproxy.http.messages import End
from osproxy.model import BodyBroken
from osproxy.web.content import BadContent, RequestContent

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.messages import Framing


class Taking:
    """
    Content, and one who takes it.

    :ivar said: ``invited`` and ``flow``, as they were called.
    """

    def __init__(self, framing: Framing, *, expected: bool = False) -> None:
        self.said: list[str] = []
        self.taken: list[bytes] = []
        self.buffer = bytearray()
        self.content = RequestContent(
            framing,
            expected=expected,
            invite=lambda: self.said.append("invited"),
            flow=lambda: self.said.append("flow"),
        )

    def deliver(self, sink: Callable[[bytes], None] | None = None) -> Deferred[None]:
        """Begin to take it."""
        return Deferred.fromCoroutine(self.content.deliver(sink or self.taken.append))

    def feed(self, data: bytes) -> None:
        """Let octets come."""
        self.buffer += data
        self.content.feed(self.buffer)


class RequestContentTests(SynchronousTestCase):
    """Tests of `RequestContent`."""

    def test_whole(self) -> None:
        """It is delivered as it comes, what is behind it is left, and its end is told."""
        for framing, pieces in (
            (6, (b"abc", b"defGET")),
            (End.CHUNKED, (b"3\r\nabc", b"\r\n3\r\ndef\r\n0\r\n\r\nGET")),
        ):
            with self.subTest(framing=framing):
                one = Taking(framing)
                done = one.deliver()
                one.feed(pieces[0])
                self.assertEqual(one.taken, [b"abc"])
                self.assertNoResult(done)
                one.feed(pieces[1])
                self.successResultOf(done)
                self.assertEqual((one.taken, one.buffer), ([b"abc", b"def"], b"GET"))
                self.assertTrue(one.content.done)

    def test_length(self) -> None:
        """A length is known where it was said."""
        self.assertEqual(Taking(6).content.length, 6)
        self.assertIsNone(Taking(End.CHUNKED).content.length)

    def test_empty(self) -> None:
        """Of nothing, nothing is delivered, at once."""
        one = Taking(0)
        self.successResultOf(one.deliver())
        self.assertEqual(one.taken, [])

    def test_come_before(self) -> None:
        """What came before anybody took it is kept, and delivered in one piece."""
        one = Taking(End.CHUNKED)
        for piece in (b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"):
            one.feed(piece)
        self.assertEqual(one.content.held, 2)
        self.successResultOf(one.deliver())
        self.assertEqual((one.taken, one.content.held), ([b"ab"], 0))

    def test_paused(self) -> None:
        """Who takes it may have it wait, in between as well."""
        one = Taking(6)

        def sink(data: bytes) -> None:
            one.taken.append(data)
            one.content.pause()

        done = one.deliver(sink)
        one.feed(b"ab")
        self.assertFalse(one.content.wanted)
        one.feed(b"cd")
        one.feed(b"ef")
        self.assertEqual((one.taken, one.content.held), ([b"ab"], 4))
        self.assertNoResult(done)
        one.content.resume()
        self.successResultOf(done)
        self.assertEqual(one.taken, [b"ab", b"cdef"])
        self.assertEqual(one.said, ["flow", "flow"])

    def test_wanted(self) -> None:
        """It is wanted while somebody waits for it."""
        one = Taking(2)
        self.assertFalse(one.content.wanted)
        one.deliver()
        self.assertTrue(one.content.wanted)
        one.feed(b"ab")
        self.assertFalse(one.content.wanted)

    def test_invited(self) -> None:
        """A client that waits for it is told to send once, when it is wanted."""
        one = Taking(2, expected=True)
        self.assertEqual(one.said, [])
        one.deliver()
        self.assertEqual(one.said, ["invited", "flow"])

    def test_came_uninvited(self) -> None:
        """A client that has begun to send needs no word (RFC 9110 section 10.1.1)."""
        one = Taking(2, expected=True)
        one.feed(b"a")
        one.deliver()
        self.assertEqual(one.said, ["flow"])

    def test_malformed(self) -> None:
        """Wrong framing is told to who feeds."""
        one = Taking(End.CHUNKED)
        self.assertRaises(BadMessage, one.feed, b"x\r\n")

    def test_failed(self) -> None:
        """Content that breaks off is broken to who takes it, then or later, but what has come."""
        trouble = BadContent("the client left")
        one = Taking(6)
        one.feed(b"ab")
        one.content.fail(trouble)
        self.assertIs(self.failureResultOf(one.deliver(), BodyBroken).value, trouble)
        self.assertEqual(one.taken, [b"ab"])
        other = Taking(6)
        done = other.deliver()
        other.content.fail(trouble)
        self.assertIs(self.failureResultOf(done, BodyBroken).value, trouble)

    def test_sink_fails(self) -> None:
        """What the sink raises comes out, and nothing more goes in."""
        one = Taking(6)

        def sink(data: bytes) -> None:
            one.taken.append(data)
            raise ZeroDivisionError

        done = one.deliver(sink)
        one.feed(b"ab")
        self.failureResultOf(done, ZeroDivisionError)
        one.feed(b"cdef")
        self.assertEqual(one.taken, [b"ab"])

    def test_cancelled(self) -> None:
        """Who takes it may lose interest."""
        one = Taking(6)
        done = one.deliver()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        one.feed(b"ab")
        self.assertEqual(one.taken, [])

    def test_closed(self) -> None:
        """Once given up, what is there and what comes is dropped, and nobody waits for it."""
        one = Taking(6)
        done = one.deliver()
        one.content.close()
        self.failureResultOf(done, BodyBroken)
        one.feed(b"abcdef")
        self.assertEqual((one.taken, one.content.held, one.content.done), ([], 0, True))
        self.failureResultOf(one.deliver(), BodyBroken)
        one.content.close()

    def test_rest(self) -> None:
        """Whether the rest is worth reading: it must be known to come, and to be little."""
        for framing, expected, sent, found in (
            (10, False, b"", True),
            (11, False, b"", False),
            (11, False, b"a", True),
            (10, True, b"", False),
            (10, True, b"a", True),
            (End.CHUNKED, False, b"1\r\n", False),
            (End.CHUNKED, False, b"0\r\n\r\n", True),
        ):
            with self.subTest(framing=framing, sent=sent):
                one = Taking(framing, expected=expected)
                one.feed(sent)
                self.assertEqual(one.content.ends_within(10), found)
        one = Taking(5)
        one.content.fail(BadContent("the client left"))
        self.assertFalse(one.content.ends_within(10))

    @given(st.lists(st.sampled_from((b"ab", b"c", b"pause", b"resume"))), st.integers(0, 9))
    def test_in_order(self, events: list[bytes], at: int) -> None:
        """Whatever comes when, all of it is delivered, once and in order."""
        sent = b"".join(event for event in events if event in (b"ab", b"c"))
        one = Taking(len(sent))
        for number, event in enumerate(events):
            if number == at:
                one.deliver()
            if event == b"pause":
                one.content.pause()
            elif event == b"resume":
                one.content.resume()
            else:
                one.feed(event)
        one.content.resume()
        if len(events) <= at:
            one.deliver()
        self.assertEqual(b"".join(one.taken), sent)
