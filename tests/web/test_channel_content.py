"""Tests of `osproxy.web.channel` with requests that have content, taken or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import BodyBroken
from osproxy.web.channel import DROPPED_AT_MOST, READ_AHEAD, Phase
from tests.web.clients import HEAD, Server, answer
from tests.web.doubles import Front, notice
from tests.web.reading import request, responses

if TYPE_CHECKING:
    from osproxy.web.content import RequestContent
    from osproxy.web.request import ClientRequest

CHUNKED = "Transfer-Encoding: chunked"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def length(octets: int) -> str:
    """Write a Content-Length."""
    return f"Content-Length: {octets}"


class TakenTests(SynchronousTestCase):
    """Content that somebody takes."""

    def setUp(self) -> None:
        """Connect a client."""
        self.server = Server()
        self.channel, self.wire = self.server.connect()
        self.taken = bytearray()

    def ask(self, *fields: str, version: str = "1.1") -> tuple[ClientRequest, RequestContent]:
        """Send the head of a request with content."""
        self.channel.dataReceived(request("/a", *fields, method="PUT", version=version))
        asked = self.server.answers.asked[-1]
        assert asked.content is not None
        return asked, asked.content

    def take(self, content: RequestContent) -> Deferred[None]:
        """Take it."""
        return Deferred.fromCoroutine(content.deliver(self.taken.extend))

    def test_asked_before_it_comes(self) -> None:
        """A request has its turn when its head is whole, and its content is taken as it comes."""
        asked, content = self.ask(length(6))
        done = self.take(content)
        self.channel.dataReceived(b"abc")
        self.assertEqual(self.taken, b"abc")
        self.channel.dataReceived(b"def" + HEAD)
        self.successResultOf(done)
        answer(asked)
        answer(self.server.answers.asked[1])
        self.assertEqual(self.taken, b"abcdef")
        self.assertEqual([got.status for got in responses(self.wire.value())], [200, 200])
        self.assertFalse(self.wire.disconnecting)

    def test_large(self) -> None:
        """It may be of any size, since nothing is kept."""
        asked, content = self.ask(CHUNKED)
        done = self.take(content)
        for _ in range(100):
            self.channel.dataReceived(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            self.assertEqual((content.held, self.wire.producerState), (0, "producing"))
        self.channel.dataReceived(b"0\r\n\r\n")
        self.successResultOf(done)
        answer(asked)
        self.assertEqual((len(self.taken), self.channel.phase), (6_553_600, Phase.IDLE))

    def test_paced(self) -> None:
        """The client is not read from while 64 KiB wait, and is again when they are taken."""
        _, content = self.ask(length(10 * READ_AHEAD))
        self.channel.dataReceived(b"x" * READ_AHEAD)
        self.assertEqual(self.wire.producerState, "producing")
        self.channel.dataReceived(b"x")
        self.assertEqual(self.wire.producerState, "paused")
        self.take(content)
        self.assertEqual(self.wire.producerState, "producing")
        content.pause()
        self.channel.dataReceived(b"x" * (READ_AHEAD + 1))
        self.assertEqual(self.wire.producerState, "paused")
        content.resume()
        self.assertEqual(self.wire.producerState, "producing")
        self.assertEqual(len(self.taken), 2 * (READ_AHEAD + 1))

    def test_next_in_line(self) -> None:
        """What is sent behind it is not read without limit either."""
        asked, _ = self.ask(length(1))
        self.channel.dataReceived(b"x" + HEAD * (READ_AHEAD // len(HEAD) + 1))
        self.assertEqual(self.wire.producerState, "paused")
        answer(asked)
        self.assertEqual(self.wire.producerState, "producing")

    def test_continue(self) -> None:
        """A client that waits for leave to send gets it once somebody takes its content."""
        asked, content = self.ask(length(3), "Expect: 100-continue")
        self.assertEqual(self.wire.value(), b"")
        done = self.take(content)
        self.assertEqual(self.wire.value(), CONTINUE)
        self.channel.dataReceived(b"abc")
        self.successResultOf(done)
        answer(asked)
        self.assertEqual(self.wire.value().count(b"HTTP/1.1 "), 2)
        self.assertFalse(self.wire.disconnecting)

    def test_no_continue(self) -> None:
        """There is none before HTTP/1.1, behind a response, and for what is there already."""
        for version, begun, sent in (("1.0", False, b""), ("1.1", True, b""), ("1.1", False, b"a")):
            with self.subTest(version=version, begun=begun, sent=sent):
                self.setUp()
                asked, content = self.ask(length(3), "Expect: 100-continue", version=version)
                self.channel.dataReceived(sent)
                if begun:
                    asked.write(b"x")
                self.take(content)
                self.assertNotIn(CONTINUE, self.wire.value())

    def test_malformed(self) -> None:
        """Content that turns out to be malformed breaks off; no request is read behind it."""
        asked, content = self.ask(CHUNKED)
        done = self.take(content)
        self.channel.dataReceived(b"1\r\naa" + HEAD)
        self.failureResultOf(done, BodyBroken)
        self.channel.dataReceived(HEAD)
        answer(asked)
        (got,) = responses(self.wire.value())
        self.assertEqual(got["Connection"], "close")
        self.assertTrue(self.wire.disconnecting)

    def test_client_leaves(self) -> None:
        """It breaks off when the client leaves."""
        _, content = self.ask(length(6))
        done = self.take(content)
        self.channel.connectionLost()
        self.failureResultOf(done, BodyBroken)

    def test_stalls(self) -> None:
        """A client that sends nothing for 120 s of what is wanted is cut."""
        _, content = self.ask(length(9))
        self.server.pass_time(200)
        self.take(content)
        for _ in range(3):
            self.server.pass_time(119)
            self.channel.dataReceived(b"x")
        content.pause()
        self.server.pass_time(200)
        content.resume()
        self.server.pass_time(119)
        self.assertFalse(self.wire.aborted)
        self.server.pass_time(1)
        self.assertTrue(self.wire.aborted)

    def test_stalls_by_a_clock_set_back(self) -> None:
        """By a clock that is set back such a client is cut as soon."""
        self.server.clock.rightNow = 5000.0
        _, content = self.ask(length(9))
        self.take(content)
        for now in (1000, 1119):
            self.channel.sweep(now, False)
        self.assertFalse(self.wire.aborted)
        self.channel.sweep(1120, False)
        self.assertTrue(self.wire.aborted)

    def test_answered_early(self) -> None:
        """When the response ends first, the little that is left is dropped."""
        asked, content = self.ask(length(6))
        done = self.take(content)
        self.channel.dataReceived(b"abc")
        answer(asked)
        self.failureResultOf(done, BodyBroken)
        self.channel.dataReceived(b"def" + HEAD)
        self.assertEqual((self.taken, len(self.server.answers.asked)), (b"abc", 2))

    def test_answered_early_with_much_to_come(self) -> None:
        """When much is left, the connection is closed."""
        asked, content = self.ask(length(DROPPED_AT_MOST + 1))
        done = self.take(content)
        answer(asked)
        self.failureResultOf(done, BodyBroken)
        self.assertTrue(self.wire.disconnecting)


class LeftTests(SynchronousTestCase):
    """Content that nobody takes, as with all backends whose files are only fetched."""

    def setUp(self) -> None:
        """Connect a client."""
        self.front = Front(Clock())
        self.front.cache.put("/a", notice)
        self.channel, self.wire = self.front.connect()

    def statuses(self) -> list[int]:
        """Tell what was answered."""
        return [got.status for got in responses(self.wire.value())]

    def closes(self) -> bool:
        """Whether the last response says that its connection ends with it."""
        return responses(self.wire.value())[-1]["Connection"] == "close"

    def test_little(self) -> None:
        """It is dropped, before the response or behind it, and the next request is read."""
        for method, status in (("GET", 200), ("PUT", 405)):
            for field, octets in ((length(3), b"abc"), (CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")):
                with self.subTest(method=method, field=field):
                    self.setUp()
                    self.channel.dataReceived(request("/a", field, method=method) + octets)
                    self.channel.dataReceived(request("/a"))
                    self.assertEqual(self.statuses(), [status, 200])
        self.setUp()
        self.channel.dataReceived(request("/a", length(3), method="PUT"))
        self.assertIs(self.channel.phase, Phase.RECEIVING)
        self.channel.dataReceived(b"abc" + request("/a") * 2)
        self.assertEqual(self.statuses(), [405, 200, 200])
        self.assertFalse(self.wire.disconnecting)

    def test_most(self) -> None:
        """As much as is read for the sake of the connection is read and not kept."""
        self.channel.dataReceived(request("/a", length(DROPPED_AT_MOST), method="PUT"))
        for _ in range(DROPPED_AT_MOST // 1024):
            self.channel.dataReceived(b"x" * 1024)
            self.assertEqual(self.wire.producerState, "producing")
        self.assertFalse(self.closes())
        self.assertIs(self.channel.phase, Phase.IDLE)

    def test_much(self) -> None:
        """With more to come than that, or nobody knows how much, the connection ends."""
        for field in (length(DROPPED_AT_MOST + 1), length(999_999_999), CHUNKED):
            for method, status in (("GET", 200), ("PUT", 405)):
                with self.subTest(field=field, method=method):
                    self.setUp()
                    self.channel.dataReceived(request("/a", field, method=method))
                    self.assertEqual(self.statuses(), [status])
                    self.assertTrue(self.closes())
                    self.assertTrue(self.wire.disconnecting)

    def test_announced_only(self) -> None:
        """A client that waits for leave to send is refused without it, and not read on."""
        for method, status in (("GET", 200), ("PUT", 405)):
            with self.subTest(method=method):
                self.setUp()
                fields = (length(3), "Expect: 100-continue")
                self.channel.dataReceived(request("/a", *fields, method=method))
                self.assertEqual(self.statuses(), [status])
                self.assertTrue(self.closes())

    def test_expectation(self) -> None:
        """An expectation that is not known is 417 (RFC 9110 section 10.1.1)."""
        self.channel.dataReceived(request("/a", "Expect: 100-continue, 200-ok") + request("/a"))
        self.assertEqual(self.statuses(), [417, 200])

    def test_malformed(self) -> None:
        """Wrong framing that has come with the head is 400, and nothing behind it is read."""
        octets = request("/a", CHUNKED) + b"3\r\nabcd\r\n0\r\n\r\n" + request("/a")
        self.channel.dataReceived(request("/a") + octets)
        self.assertEqual(self.statuses(), [200, 400])
        self.assertTrue(self.closes())

    def test_malformed_behind(self) -> None:
        """Wrong framing behind a response ends the connection."""
        server = Server()
        channel, wire = server.connect()
        channel.dataReceived(request("/a", CHUNKED))
        server.answers.asked[0].write(b"begun")
        channel.dataReceived(b"x\r\n" + HEAD)
        server.answers.asked[0].finish()
        self.assertEqual(len(server.answers.asked), 1)
        self.assertTrue(wire.disconnecting)

    def test_slow(self) -> None:
        """What is dropped has to come within 30 s of the response."""
        server = Server()
        channel, wire = server.connect()
        channel.dataReceived(request("/a", length(99), method="PUT"))
        server.pass_time(50)
        answer(server.answers.asked[0])
        for _ in range(29):
            channel.dataReceived(b"x")
            server.pass_time(1)
        self.assertFalse(wire.disconnecting)
        server.pass_time(1)
        self.assertTrue(wire.disconnecting)

    def test_drained(self) -> None:
        """When the server stops, it does not wait for what is dropped."""
        self.channel.dataReceived(request("/a", length(3), method="PUT"))
        self.front.site.drain()
        self.assertTrue(self.wire.disconnecting)
