"""Tests of `osproxy.web.resource`: what a request comes to, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Answer, BodyBroken, Relayed
from osproxy.web.content import BadContent
from tests.web.doubles import NOW, File, Front, Passing, answer_of, broken, notice, relay_of
from tests.web.reading import request, responses
from tests.web.support import logged

if TYPE_CHECKING:
    from collections.abc import Callable


class RootTestCase(SynchronousTestCase):
    """A front on a clock that stands at ten in the morning."""

    def setUp(self) -> None:
        """Make a front."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.front = Front(self.clock)


class LeavingTests(RootTestCase):
    """Clients that do not wait for their answers."""

    def test_before_the_answer(self) -> None:
        """A client that leaves cancels what is done for it, and nobody else's."""
        first, _ = self.front.connect()
        second, wire = self.front.connect()
        for channel in (first, second):
            channel.dataReceived(request("/a"))
        one, other = self.front.cache.waiting
        first.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.front.cache.cancelled, [one])
        other.callback(notice())
        self.assertEqual([got.body for got in responses(wire.value())], [b"here\n"])
        self.assertEqual([record.status for record in self.front.records], [499, 200])

    def leave_while_asked(self, come: Callable[[Deferred[Answer]], None]) -> None:
        """Have a client leave, and something come of what was done for it all the same."""
        channel, _ = self.front.connect()
        deaf: Deferred[Answer] = Deferred(come)
        self.front.cache.waits = lambda: deaf
        channel.dataReceived(request("/a", method="HEAD"))
        channel.connectionLost(Failure(ConnectionLost()))
        (record,) = self.front.records
        self.assertEqual(record.status, 499)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_answered_all_the_same(self) -> None:
        """An answer that comes for one who has left is given up, and the request not finished."""
        body = Passing(10)
        self.leave_while_asked(lambda asked: asked.callback(relay_of(Relayed(200, (), body))))
        self.assertEqual((body.closed, body.sink), (1, None))

    def test_notice_all_the_same(self) -> None:
        """So is a line of ours, such as that the source could not be asked."""
        self.leave_while_asked(lambda asked: asked.callback(notice(502)))

    def test_failed_all_the_same(self) -> None:
        """What fails because the client has left is no failure of the source, and none of ours."""
        self.leave_while_asked(lambda asked: asked.errback(broken()))
        del self.front.records[:]
        self.leave_while_asked(lambda asked: asked.errback(ConnectionAborted()))

    def test_passage_ends_all_the_same(self) -> None:
        """A body that ends without a word when its client leaves does not finish the request."""
        body = Passing(10, over=Deferred(lambda over: over.callback(None)))
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((body.closed, self.front.records[0].status), (1, 499))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_during_a_body(self) -> None:
        """One that leaves while a file grows gives it up once, and that is no error."""
        body = File(self.mktemp(), 10)
        self.front.cache.put("/a", lambda: answer_of(body, 10))
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        body.write(b"abc")
        channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(body.closed, 1)
        (record,) = self.front.records
        self.assertEqual((record.status, record.sent), (499, 3))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_during_a_passage(self) -> None:
        """One that leaves in the middle of a passage ends it."""
        body = Passing(10)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        body.send(b"abc")
        channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((body.closed, self.front.records[0].status), (1, 499))
        self.assertEqual(self.flushLoggedErrors(), [])


class FailuresTests(RootTestCase):
    """What goes wrong, and how a client can tell."""

    def fail_with(self, error: Exception) -> None:
        """Have the cache raise."""

        def raising() -> Answer:
            raise error

        self.front.cache.put("/a", raising)

    def test_error_of_ours(self) -> None:
        """An error of ours is a 500 with one line that says nothing of it; the log has all."""
        self.fail_with(ValueError("secret"))
        got = self.front.ask("/a")
        self.assertEqual(got.status, 500)
        self.assertEqual(got.body, b"An error of this proxy's; its log has more.\n")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_fields(self) -> None:
        """What goes wrong is told with the fields of every answer (RFC 9110 section 6.6.1)."""
        for error in (BadContent("too much", 413), BodyBroken("it broke"), ValueError("secret")):
            self.fail_with(error)
            got = self.front.ask("/a")
            self.assertEqual(got["Date"], "Thu, 01 Jan 1970 10:00:00 GMT", error)
            self.assertEqual(got["Cache-Status"], "osproxy", error)
            self.assertIn("osproxy", got["Via"], error)
        self.flushLoggedErrors(ValueError)

    def test_error_of_ours_by_head(self) -> None:
        """HEAD gets the same status and no line."""
        self.fail_with(ValueError("secret"))
        got = self.front.ask("/a", method="HEAD")
        self.assertEqual((got.status, got["Content-Length"]), (500, "44"))
        self.assertEqual(self.front.records[0].sent, 0)
        self.flushLoggedErrors(ValueError)

    def test_connection_goes_on(self) -> None:
        """After a 500 the connection is as good as before."""
        self.fail_with(ValueError("secret"))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a") + request("/-/healthy"))
        self.assertEqual([got.status for got in responses(wire.value())], [500, 200])
        self.flushLoggedErrors(ValueError)

    def test_error_after_the_head(self) -> None:
        """Once a head was sent the connection is broken."""
        body = File(self.mktemp(), 10)
        self.front.cache.put("/a", lambda: answer_of(body, 10))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        body.write(b"abc")
        body.fail(ValueError("secret"))
        self.assertTrue(wire.aborted)
        self.assertNotIn(b"secret", wire.value())
        (record,) = self.front.records
        self.assertEqual((record.status, record.cut, body.closed), (200, True, 1))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_broken_body(self) -> None:
        """A body that ends before its end breaks the connection, and says so in the log."""
        events = logged(self)
        body = File(self.mktemp(), 10)
        self.front.cache.put("/a", lambda: answer_of(body, 10))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        body.write(b"abc")
        body.fail(broken())
        (got,) = responses(wire.value())
        self.assertEqual((wire.aborted, got.whole, body.closed), (True, False, 1))
        (record,) = self.front.records
        self.assertEqual((record.status, record.cut, record.sent), (200, True, 3))
        self.assertEqual(
            [str(event["error"]) for event in events if "error" in event],
            ["the upstream broke off"],
        )

    def test_broken_chunked_body(self) -> None:
        """One of unknown length lacks its last chunk."""
        body = File(self.mktemp())
        self.front.cache.put("/a", lambda: answer_of(body, None))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        body.write(b"abc")
        body.fail(broken())
        (got,) = responses(wire.value())
        self.assertEqual((wire.aborted, got.body, got.whole), (True, b"abc", False))

    def test_broken_for_old_clients(self) -> None:
        """HTTP/1.0 has no chunks: there the connection is broken, not closed, to tell."""
        body = File(self.mktemp())
        self.front.cache.put("/a", lambda: answer_of(body, None))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", version="1.0"))
        body.write(b"abc")
        body.fail(broken())
        self.assertTrue(wire.value().endswith(b"\r\n\r\nabc"))
        self.assertNotIn(b"chunked", wire.value())
        self.assertTrue(wire.aborted)

    def test_whole_for_old_clients(self) -> None:
        """A body of unknown length that is complete is closed after its last octet."""
        body = File(self.mktemp())
        self.front.cache.put("/a", lambda: answer_of(body, None))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", version="1.0"))
        body.write(b"abc")
        body.end()
        self.assertEqual((wire.aborted, wire.disconnecting), (False, True))

    def test_broken_before_the_head(self) -> None:
        """A body that fails before its first octet is a 502 with a line that says why."""
        body = File(self.mktemp(), 10)
        self.front.cache.put("/a", lambda: answer_of(body, 10))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        body.fail(broken())
        (got,) = responses(wire.value())
        self.assertEqual((got.status, got.body), (502, b"the upstream broke off.\n"))
        (record,) = self.front.records
        self.assertEqual((record.status, record.cut), (502, False))
        self.assertEqual((got["ETag"], wire.aborted), (None, False))

    def test_broken_passage(self) -> None:
        """A passage that ends before its end breaks the connection."""
        body = Passing(10)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a"))
        body.send(b"abc")
        body.over.errback(broken())
        self.assertEqual((wire.aborted, body.closed), (True, 1))


class AccountTests(RootTestCase):
    """What is said of requests afterwards."""

    def test_record(self) -> None:
        """The access log gets all that its line tells, with the times taken on one clock."""
        channel, _ = self.front.connect()
        channel.dataReceived(
            request("/a?b", "Referer: http://r.example/", "User-Agent: ZYpp 17", version="1.1")
        )
        self.clock.advance(2)
        body = File(self.mktemp(), 10)
        self.front.cache.waiting[0].callback(answer_of(body, 10))
        self.clock.advance(1)
        body.write(b"abc")
        self.clock.advance(4)
        body.write(b"defghij")
        (record,) = self.front.records
        self.assertEqual((record.client, record.at), ("192.0.2.1", NOW))
        self.assertEqual(
            (record.method, record.target, record.protocol), ("GET", "/a?b", "HTTP/1.1")
        )
        self.assertEqual((record.status, record.sent), (200, 10))
        self.assertEqual((record.referrer, record.agent), ("http://r.example/", "ZYpp 17"))
        self.assertEqual((record.cache_status, record.source), ("hit", "mirror.example"))
        self.assertEqual((record.first, record.total), (3.0, 7.0))

    def test_without_body(self) -> None:
        """Where no octet of a body was sent there is no time of the first one."""
        self.front.cache.put("/a", lambda: answer_of(None, 10))
        self.front.ask("/a", method="HEAD")
        (record,) = self.front.records
        self.assertEqual((record.sent, record.first, record.agent), (0, None, None))

    def test_hostile_octets(self) -> None:
        """Fields that are no UTF-8 harm nobody."""
        self.front.cache.put("/a", notice)
        self.assertEqual(self.front.ask("/a", "User-Agent: \xff\xfe", "Referer: \xe9").status, 200)
        (record,) = self.front.records
        self.assertEqual((record.agent, record.referrer), ("\xff\xfe", "\xe9"))

    def test_refusals_recorded(self) -> None:
        """What is refused is in the access log as well."""
        for target in ("/..", "http://evil.example/", "/-/nothing"):
            self.front.ask(target)
        self.assertEqual([record.status for record in self.front.records], [400, 403, 404])

    def test_unreadable(self) -> None:
        """So is what could not be read, with nothing of what it said; its client is told why."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", "X : y"))
        (got,) = responses(wire.value())
        self.assertEqual(
            (got.status, got["Connection"], got.body), (400, "close", b"a malformed field line.\n")
        )
        (record,) = self.front.records
        self.assertEqual(
            (record.method, record.target, record.status, record.agent), ("-", "-", 400, None)
        )
        self.assertEqual(self.front.cache.asked, [])

    def test_bad_content(self) -> None:
        """Content of a request that breaks off is its client's fault."""
        channel, wire = self.front.connect()
        channel.dataReceived(request("/a", "Content-Length: 9"))
        self.front.cache.waiting[0].errback(BadContent("the client ended its side"))
        (got,) = responses(wire.value())
        self.assertEqual((got.status, got.body), (400, b"the client ended its side.\n"))
        self.assertEqual(self.flushLoggedErrors(), [])
