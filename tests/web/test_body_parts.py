"""Tests of `osproxy.web.body`: many parts of a file in one response."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.ranges import Span
from osproxy.model import BodyBroken, BodyDiverted
from osproxy.web.body import ClientGone, send
from osproxy.web.tls import Renewable, certificate, wrap
from tests.byteranges import parts_of
from tests.store.doubles import at_once
from tests.web.cases import LARGE, SocketsTestCase
from tests.web.certificates import certificate_files
from tests.web.clients import Server
from tests.web.doubles import File, Front, Onward, Passing, answer_of, broken, stored
from tests.web.reading import Client, connect_tls, digest, request, responses, turn, until
from tests.web.support import listen

if TYPE_CHECKING:
    from osproxy.http.multipart import Pieces
    from tests.byteranges import Part
    from tests.web.reading import Got

CONTENT = bytes(range(256)) * 1000


class PiecesTests(SynchronousTestCase):
    """Tests of `send` with more pieces than one."""

    def setUp(self) -> None:
        """Have a client ask."""
        server = Server()
        self.channel, self.wire = server.connect()
        self.channel.dataReceived(request("/a", version="1.0"))
        (self.request,) = server.answers.asked
        self.sizes: list[int] = []

    def send_pieces(self, body: File, pieces: Pieces) -> Deferred[None]:
        """Begin to send."""
        return Deferred.fromCoroutine(send(self.request, body, pieces, at_once, self.sizes.append))

    def sent(self) -> bytes:
        """Tell what the client has of the body."""
        return bytes(self.wire.value()).partition(b"\r\n\r\n")[2]

    def test_pieces(self) -> None:
        """Octets as they are and spans go out in order, whichever way the spans lie."""
        pieces = (b"<", Span(100_000, 200_000), b"><", Span(0, 5), b"><", Span(7, 7), b">")
        self.successResultOf(self.send_pieces(stored(self.mktemp(), CONTENT), pieces))
        expected = b"<" + CONTENT[100_000:200_000] + b"><" + CONTENT[:5] + b"><>"
        self.assertEqual(self.sent(), expected)
        self.assertEqual(sum(self.sizes), len(expected))

    def test_pieces_of_a_growing_file(self) -> None:
        """Each span is waited for; what stands before it goes out when it begins to be there."""
        body = File(self.mktemp(), 30)
        sending = self.send_pieces(body, (b"<", Span(5, 15), b"><", Span(20, 22), b">"))
        self.assertFalse(self.request.startedWriting)
        body.write(b"01234")
        self.assertFalse(self.request.startedWriting)
        body.write(b"56789")
        self.assertEqual(self.sent(), b"<56789")
        body.write(b"abcdefghij")
        self.assertEqual(self.sent(), b"<56789abcde")
        body.write(b"KLMNOPQRST")
        self.successResultOf(sending)
        self.assertEqual(self.sent(), b"<56789abcde><KL>")
        self.assertEqual(sum(self.sizes), 16)

    def test_small_pieces(self) -> None:
        """Hundreds of small parts go out like a few."""
        pieces: list[bytes | Span] = []
        for start in range(0, 30_000, 100):
            pieces += (b"<>", Span(start, start + 50))
        self.successResultOf(self.send_pieces(stored(self.mktemp(), CONTENT), tuple(pieces)))
        expected = b"".join(b"<>" + CONTENT[start : start + 50] for start in range(0, 30_000, 100))
        self.assertEqual(self.sent(), expected)

    def test_paused_between_pieces(self) -> None:
        """A client that takes nothing is sent no further span."""
        body = File(self.mktemp(), 20)
        sending = self.send_pieces(body, (b"<", Span(0, 5), b"><", Span(10, 15), b">"))
        body.write(b"0123456789")
        self.channel.pauseProducing()
        body.write(b"abcdefghij")
        self.assertNotIn(b"abcde", self.sent())
        self.channel.resumeProducing()
        self.successResultOf(sending)
        self.assertEqual(self.sent(), b"<01234><abcde>")

    def test_pieces_end_early(self) -> None:
        """A body that ends before one of its spans does is broken."""
        body = File(self.mktemp(), 20)
        sending = self.send_pieces(body, (b"<", Span(0, 5), b"><", Span(8, 15), b">"))
        body.write(b"0123456789")
        body.end()
        self.failureResultOf(sending, BodyBroken)
        self.assertEqual(self.sent(), b"<01234><89")

    def test_pieces_diverted(self) -> None:
        """When a file grows no further, what is missing of each span comes by a passage."""
        body = File(self.mktemp(), 100)
        rests = [Passing(7), Passing(5)]
        onward = Onward(*rests)
        pieces = (
            b"<",
            Span(0, 2),
            b"><",
            Span(8, 15),
            b"><",
            Span(20, 25),
            b"><",
            Span(3, 6),
            b">",
        )
        sending = self.send_pieces(body, pieces)
        body.write(b"0123456789")
        body.fail(BodyDiverted(onward))
        rests[0].send(b"abcde")
        rests[0].over.callback(None)
        self.assertEqual((rests[0].closed, self.sent()), (1, b"<01><89abcde><"))
        rests[1].send(b"ABCDE")
        rests[1].over.callback(None)
        self.successResultOf(sending)
        self.assertEqual(onward.asked, [(10, 15), (20, 25)])
        self.assertEqual(self.sent(), b"<01><89abcde><ABCDE><345>")
        self.assertEqual(([rest.closed for rest in rests], sum(self.sizes)), ([1, 1], 25))
        self.assertIsNone(self.request.producer)

    def test_diverted_too_often(self) -> None:
        """An upstream is not asked again and again for one client: its answer is broken."""
        body = File(self.mktemp(), 1000)
        onward = Onward(*(Passing(1) for _ in range(20)))
        spans = tuple(Span(start, start + 1) for start in range(0, 200, 10))
        sending = self.send_pieces(body, spans)
        body.fail(BodyDiverted(onward))
        for rest in onward.bodies[:16]:
            rest.send(b"x")
            rest.over.callback(None)
        self.failureResultOf(sending, BodyBroken)
        self.assertEqual((self.sent(), len(onward.asked)), (b"x" * 16, 16))
        self.assertEqual([rest.closed for rest in onward.bodies], [1] * 16 + [0] * 4)

    def test_gone_between_pieces(self) -> None:
        """When the connection is lost between two spans the sending ends."""
        body = File(self.mktemp(), 20)
        sending = self.send_pieces(body, (b"<", Span(0, 5), b"><", Span(10, 15), b">"))
        body.write(b"0123456789")
        self.channel.stopProducing()
        body.write(b"abcdefghij")
        self.failureResultOf(sending, ClientGone)


# Spans of a file of 3000 octets: few, in any order and overlapping.
FEW = st.lists(
    st.tuples(st.integers(0, 2999), st.integers(1, 700)).map(
        lambda pair: (pair[0], min(pair[0] + pair[1], 3000))
    ),
    min_size=1,
    max_size=6,
)
# Many, in order, with a gap of one octet at least between any two.
MANY = st.lists(st.integers(0, 3000), min_size=4, max_size=600, unique=True).map(
    lambda cuts: [(one, other) for one, other in zip(*[iter(sorted(cuts))] * 2, strict=False)]
)


class GrowingTests(SynchronousTestCase):
    """For any spans of a file that grows in any steps, what is sent are these parts of the file."""

    content = LARGE[:3000]

    def ask(self, spans: list[tuple[int, int]], steps: list[int]) -> Got:
        """Ask for spans of a file that grows step by step, and at last to its end."""
        front = Front(Clock())
        # The test goes on writing when the client has all that it wants.
        body = File(self.mktemp(), 3000, readers=2)
        front.cache.put("/a", lambda: answer_of(body, 3000))
        body.write(self.content[: steps[0]])
        channel, wire = front.connect()
        asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
        channel.dataReceived(request("/a", f"Range: bytes={asked}") + request("/-/healthy"))
        for step in (*steps[1:], 3000):
            body.write(self.content[body.available :][:step])
        got, after = responses(wire.value())
        self.assertEqual((after.body, body.closed), (b"ok\n", 1))
        body.close()
        self.assertEqual({record.sent for record in front.records}, {len(got.body), 3})
        self.assertEqual(got["Content-Length"], str(len(got.body)))
        return got

    @given(FEW, st.lists(st.integers(0, 1500), min_size=1, max_size=8))
    def test_few(self, spans: list[tuple[int, int]], steps: list[int]) -> None:
        """The octets that were asked for come, and no others, each once."""
        got = self.ask(spans, steps)
        if sum(stop - start for start, stop in spans) > 6000:
            self.assertEqual((got.status, digest(got.body)), (200, digest(self.content)))
            return
        self.assertEqual(got.status, 206)
        said = got["Content-Range"]
        if said is None:
            parts = [(part.start, part.stop, part.body) for part in self.taken_apart(got)]
            self.assertGreater(len(parts), 1)
        else:
            first, last = said.removeprefix("bytes ").removesuffix("/3000").split("-")
            parts = [(int(first), int(last) + 1, got.body)]
            self.assertEqual(got["Content-Type"], "application/x-rpm")
        for start, stop, octets in parts:
            self.assertEqual(digest(octets), digest(self.content[start:stop]))
        come = [octet for start, stop, _ in parts for octet in range(start, stop)]
        wanted = {octet for start, stop in spans for octet in range(start, stop)}
        self.assertEqual(sorted(come), sorted(wanted))

    @given(MANY, st.lists(st.integers(0, 1500), min_size=1, max_size=8))
    def test_many(self, spans: list[tuple[int, int]], steps: list[int]) -> None:
        """Spans that are in order and apart come each as it was asked for."""
        got = self.ask(spans, steps)
        self.assertEqual(got.status, 206)
        parts = self.taken_apart(got)
        self.assertEqual([(part.start, part.stop) for part in parts], spans)
        for part in parts:
            self.assertEqual(part.body, self.content[part.start : part.stop])

    def taken_apart(self, got: Got) -> list[Part]:
        """Take a body of many parts apart."""
        parts = parts_of(got["Content-Type"], got.body)
        self.assertIsNone(got["Content-Range"])
        self.assertEqual({part.length for part in parts}, {3000})
        self.assertEqual({part.content_type for part in parts}, {"application/x-rpm"})
        return parts


class SocketsTests(SocketsTestCase):
    """Many parts over real sockets."""

    def spans(self, count: int, seed: int) -> list[tuple[int, int]]:
        """Lay so many spans, from one octet to a hundred thousand, in order over a large file."""
        chance = random.Random(seed)
        step = len(LARGE) // count
        spans = []
        for number in range(count):
            start = number * step + chance.randrange(step // 2)
            spans.append((start, start + chance.choice((1, 100, step // 3, step // 2))))
        return spans

    def asking(self, path: str, spans: list[tuple[int, int]]) -> bytes:
        """Write a request for spans."""
        asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
        return request(path, f"Range: bytes={asked}")

    async def answers(self, count: int) -> list[Got]:
        """Wait for so many responses."""
        await self.served(count)
        return responses(bytes(self.client.data))

    def assert_parts(self, got: Got, spans: list[tuple[int, int]]) -> None:
        """Check that these are the parts that were asked for."""
        self.assertEqual(got.status, 206)
        parts = parts_of(got["Content-Type"], got.body)
        self.assertEqual([(part.start, part.stop) for part in parts], spans)
        for part in parts:
            self.assertEqual(digest(part.body), digest(LARGE[part.start : part.stop]))

    async def test_pipelined(self) -> None:
        """Answers of many parts, few and large or many and small, stand in line with all others."""
        self.put("/a", LARGE)
        asked = [self.spans(3, 1), self.spans(300, 2), self.spans(512, 3), self.spans(2, 4)]
        self.client.send(
            b"".join(self.asking("/a", spans) + request("/-/healthy") for spans in asked)
        )
        found = await self.answers(2 * len(asked))
        for spans, got in zip(asked, found[::2], strict=True):
            self.assert_parts(got, spans)
        self.assertEqual([got.body for got in found[1::2]], [b"ok\n"] * len(asked))
        octets = sorted(len(got.body) for got in found)
        self.assertEqual(sorted(record.sent for record in self.front.records), octets)

    async def test_small(self) -> None:
        """What fits into one write is sent so."""
        self.put("/a", LARGE)
        spans = [(start, start + 10) for start in range(0, 10_000, 50)]
        self.client.send(self.asking("/a", spans))
        self.assert_parts((await self.answers(1))[0], spans)

    async def test_growing(self) -> None:
        """Three hundred parts of a file that grows come as they are there."""
        body = self.grow("/a", len(LARGE), readers=2)
        spans = self.spans(300, 5)
        self.client.send(self.asking("/a", spans) + request("/-/healthy"))
        await until(lambda: self.front.cache.asked)
        steps = random.Random(5)
        while body.available < len(LARGE):
            step = steps.choice((1, 1000, 70_000, 500_000))
            body.write(LARGE[body.available : body.available + step])
            await turn(steps.randrange(4))
        got, after = await self.answers(2)
        self.assert_parts(got, spans)
        self.assertEqual((after.body, body.closed), (b"ok\n", 1))
        body.close()

    async def test_slow_reader(self) -> None:
        """A client that stops reading gets the rest when it reads on."""
        self.put("/a", LARGE)
        spans = self.spans(50, 7)
        self.client.send(self.asking("/a", spans))
        stops = random.Random(5)
        while not self.front.records:
            self.client.read(False)
            await turn(stops.randrange(5))
            self.client.read(True)
            await turn(stops.randrange(5))
        self.assert_parts((await self.answers(1))[0], spans)

    async def test_backwards(self) -> None:
        """Parts come in the order in which they were asked for."""
        self.put("/a", LARGE)
        spans = self.spans(10, 6)[::-1]
        self.client.send(self.asking("/a", spans))
        self.assert_parts((await self.answers(1))[0], spans)

    async def test_diverted(self) -> None:
        """When the file grows no further the parts go on by passages, without a seam."""
        spans = self.spans(4, 8)
        body = self.grow("/a", len(LARGE))
        reach = spans[1][0]
        rests = [Passing(stop - start) for start, stop in spans[1:]]
        onward = Onward(*rests)
        self.client.send(self.asking("/a", spans) + request("/-/healthy"))
        await until(lambda: self.front.cache.asked)
        body.write(LARGE[:reach])
        body.fail(BodyDiverted(onward))
        for rest, (start, stop) in zip(rests, spans[1:], strict=True):
            await self.pour(rest, LARGE[start:stop])
        got, after = await self.answers(2)
        self.assert_parts(got, spans)
        self.assertEqual((after.body, onward.asked), (b"ok\n", spans[1:]))

    async def pour(self, body: Passing, content: bytes) -> None:
        """Have octets come by a passage, once somebody wants them."""
        await until(lambda: body.sink is not None)
        body.send(content)
        body.over.callback(None)

    async def test_broken(self) -> None:
        """When the rest of the file does not come the connection is broken."""
        body = self.grow("/a", len(LARGE))
        self.client.send(self.asking("/a", self.spans(30, 9)))
        await until(lambda: self.front.cache.asked)
        body.write(LARGE[:3_000_000])
        await self.client.received(100_000)
        body.fail(broken())
        await self.client.ended()
        (got,) = responses(bytes(self.client.data))
        self.assertEqual((got.status, got.whole, body.closed), (206, False, 1))

    async def test_client_leaves(self) -> None:
        """A client that leaves between two parts releases the file once, and that is no error."""
        body = self.grow("/a", len(LARGE))
        self.client.send(self.asking("/a", self.spans(30, 9)))
        await until(lambda: self.front.cache.asked)
        body.write(LARGE[:3_000_000])
        await self.client.received(100_000)
        self.client.leave()
        await self.front.site.when_idle()
        self.assertEqual((body.closed, self.front.records[0].status), (1, 499))
        self.assertEqual(self.flushLoggedErrors(), [])


class TlsSocketsTests(SocketsTests):
    """The same over TLS, where blocks are written."""

    def listen(self) -> int:
        """Listen with a certificate."""
        self.files = certificate_files(self.mktemp())
        renewable = Renewable(certificate(self.files.pems))
        return listen(self, wrap(self.front.site, renewable, real_reactor))

    async def connect(self) -> Client:
        """Connect a client that trusts it."""
        return await connect_tls(self.port, self.files.authority.read_bytes())
