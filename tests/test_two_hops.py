"""
Two of us in a row, in memory: what the nearer one writes, octet by octet, the other one reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from attrs import define, evolve, field
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import format_date, only
from osproxy.http.messages import parse_response_head
from osproxy.model import Backend
from osproxy.upstream.turns import OURS, Asker
from tests.cache.doubles import Bench
from tests.cache.origin import Told, whole
from tests.web.doubles import Front
from tests.web.reading import request, responses

if TYPE_CHECKING:
    from osproxy.http.fields import Fields
    from osproxy.model import PassingBody
    from osproxy.upstream.origin import Reply, Upstream
    from tests.web.reading import Got

RPM = "/oss/x86_64/a-1-1.x86_64.rpm"
NEAR, FAR = (Backend("/", f"https://{host}") for host in ("origin.example", "near.example"))


@define(eq=False)
class Site:
    """
    The origin.

    :ivar files: bodies and fields, by path.
    :ivar asked: the fields of each request.
    """

    bench: Bench | None = None
    files: dict[str, tuple[bytes, Fields]] = field(factory=dict)
    asked: list[Fields] = field(factory=list)

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        fields: Fields = (),
        body: PassingBody | None = None,
        https_only: bool = False,
        verbatim: bool = False,
        asker: Asker = OURS,
    ) -> Reply:
        """See `osproxy.upstream.origin.Upstream.ask`."""
        assert self.bench is not None
        clock = self.bench.place.clock
        self.asked.append(fields)
        await deferLater(clock, 0)
        now = clock.seconds()
        path = url.removeprefix("https://origin.example")
        content, said = self.files.get(path, (b"", ()))
        status = 200 if path in self.files else 404
        tags = only(said, "etag")
        if tags and only(fields, "if-none-match") == (("If-None-Match", tags[0][1]),):
            content, status = b"", 304
        told = whole(content, ("Date", format_date(now)), *said, status=status)
        told.requested_at = told.received_at = now
        return cast("Reply", told)


@define(eq=False)
class Hop:
    """An upstream that is another of us: its listener gets the octets, and its answer is read."""

    front: Front
    bench: Bench

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        fields: Fields = (),
        body: PassingBody | None = None,
        https_only: bool = False,
        verbatim: bool = False,
        asker: Asker = OURS,
    ) -> Reply:
        """See `osproxy.upstream.origin.Upstream.ask`."""
        path = url.removeprefix("https://near.example")
        channel, wire = self.front.connect()
        lines = [f"{name}: {value}" for name, value in fields]
        channel.dataReceived(request(path, *lines, method=method))
        clock = self.bench.place.clock
        while not wire.value():
            await deferLater(clock, 0)
        # The rest of a small answer comes in the turn of its head.
        await deferLater(clock, 0)
        head, _, _ = wire.value().partition(b"\r\n\r\n")
        read = parse_response_head(head + b"\r\n\r\n")
        (got,) = responses(wire.value(), heads=method == "HEAD")
        told = Told(read.status, read.fields, len(got.body), host="near.example")
        told.send(got.body)
        told.finish()
        told.requested_at = told.received_at = clock.seconds()
        return cast("Reply", told)


class TwoHopsCase(SynchronousTestCase):
    """An origin, one of us near it, and another that asks the first."""

    generic = False

    def setUp(self) -> None:
        """Join them."""
        self.site = Site()
        self.near = self.bench(cast("Upstream", self.site))
        self.site.bench = self.near
        self.near_front = self.front(self.near, NEAR, "osproxy-near")
        self.far = self.bench(cast("Upstream", Hop(self.near_front, self.near)))
        self.client = self.front(self.far, FAR, "osproxy-far")

    def bench(self, upstream: Upstream) -> Bench:
        """Make a cache on a real directory."""
        bench = Bench(Path(self.mktemp()), instead=upstream)
        self.addCleanup(bench.stop)
        return bench

    def front(self, bench: Bench, backend: Backend, pseudonym: str) -> Front:
        """Make a listener in front of a cache."""
        backends = (evolve(backend, generic=self.generic),)
        return Front(bench.place.clock, backends=backends, cache=bench.cache, pseudonym=pseudonym)

    def advance(self, seconds: float) -> None:
        """Let time pass for both."""
        for bench in (self.near, self.far):
            bench.advance(seconds)

    def get(self, path: str = RPM, *fields: str) -> Got:
        """Ask the farther one."""
        return self.ask(self.client, path, *fields)

    def ask(self, front: Front, path: str, *fields: str) -> Got:
        """Ask one of them, and wait for the answer."""
        channel, wire = front.connect()
        channel.dataReceived(request(path, *fields))
        for _ in range(20):
            self.advance(0)
        (got,) = responses(wire.value())
        channel.connectionLost(Failure(ConnectionDone()))
        return got


class RepositoryTests(TwoHopsCase):
    """Files of a repository through two of us."""

    def setUp(self) -> None:
        """Have a file."""
        super().setUp()
        self.site.files[RPM] = (b"package", (("Last-Modified", "Thu, 01 Jan 1970 01:00:00 GMT"),))

    def test_age(self) -> None:
        """Age counts from the origin on, on both."""
        self.assertEqual(self.get()["Age"], "0")
        self.advance(100)
        self.assertEqual(self.get()["Age"], "100")

    def test_age_of_a_late_one(self) -> None:
        """What the nearer one has had for a while is as old at the farther one."""
        self.ask(self.near_front, RPM)
        self.advance(100)
        got = self.get()
        self.assertEqual((got.body, got["Age"]), (b"package", "100"))
        self.advance(11)
        self.assertEqual(self.get()["Age"], "111")

    def test_way(self) -> None:
        """Via names both, in the order of the way; Cache-Status has the origin's side first."""
        got = self.get()
        self.assertEqual(got["Via"], "1.1 osproxy-near, 1.1 osproxy-far")
        near, far = (got["Cache-Status"] or "").split(", ")
        self.assertIn("fwd=uri-miss; fwd-status=200; stored", near)
        self.assertIn('fwd=uri-miss; fwd-status=200; stored; detail="near.example"', far)
        ((_, way),) = only(self.site.asked[0], "via")
        self.assertEqual(way, "1.1 osproxy-far, 1.1 osproxy-near")

    def test_revalidated(self) -> None:
        """A look of the farther one is answered by the nearer one's, and both are fresh again."""
        self.get()
        self.advance(900)
        got = self.get()
        self.assertEqual((got.body, got["Age"]), (b"package", "0"))
        self.assertEqual(len(self.site.asked), 2)
        self.assertIn("fwd-status=304", got["Cache-Status"] or "")

    def test_missing(self) -> None:
        """A file that there is not is missing at both."""
        self.assertEqual(self.get("/oss/x86_64/b.rpm").status, 404)

    def test_machine(self) -> None:
        """What zypper says of its machine, nobody is told."""
        self.get(RPM, "X-ZYpp-AnonymousId: f00ba2")
        self.assertNotIn("f00ba2", str(self.site.asked))

    def test_ranges(self) -> None:
        """Parts of it are right."""
        got = self.get(RPM, "Range: bytes=1-2,4-5")
        self.assertEqual(got.status, 206)
        self.assertIn(b"\r\n\r\nac\r\n", got.body)
        self.assertEqual(self.get(RPM, "Range: bytes=-3").body, b"age")


class GenericTests(TwoHopsCase):
    """What a web server has through two of us."""

    generic = True

    def test_age(self) -> None:
        """Neither is fresh for longer than the origin said."""
        self.site.files["/x"] = (b"one", (("Cache-Control", "max-age=100"), ("ETag", '"1"')))
        self.assertEqual(self.get("/x")["Age"], "0")
        self.advance(99)
        got = self.get("/x")
        self.assertEqual((got["Age"], got["Cache-Status"]), ("99", "osproxy; hit; ttl=1"))
        self.advance(1)
        got = self.get("/x")
        self.assertEqual((got["Age"], got.body), ("0", b"one"))
        self.assertEqual(len(self.site.asked), 2)
        self.assertEqual(only(self.site.asked[1], "if-none-match"), (("If-None-Match", '"1"'),))

    def test_vary(self) -> None:
        """Each variant goes its way, and is found again by both."""
        for language in ("de", "en"):
            said = (("Cache-Control", "max-age=100"), ("Vary", "Accept-Language"))
            self.site.files["/x"] = (language.encode(), said)
            self.get("/x", f"Accept-Language: {language}")
        del self.site.files["/x"]
        self.assertEqual(self.get("/x", "Accept-Language: de").body, b"de")
        self.assertEqual(len(self.site.asked), 2)

    def test_private(self) -> None:
        """What is somebody's own is stored by neither."""
        self.site.files["/x"] = (b"mine", (("Cache-Control", "private"),))
        for _ in range(2):
            self.assertEqual(self.get("/x").body, b"mine")
        self.assertEqual(len(self.site.asked), 2)
        self.assertEqual((self.near.store.entries, self.far.store.entries), (0, 0))

    def test_forwarded(self) -> None:
        """The origin is told of both, and of the client."""
        self.site.files["/x"] = (b"one", ())
        self.get("/x", "Via: 1.0 before")
        fields = self.site.asked[0]
        ((_, way),) = only(fields, "via")
        self.assertEqual(way, "1.0 before, 1.1 osproxy-far, 1.1 osproxy-near")
        ((_, whom),) = only(fields, "forwarded")
        self.assertEqual(whom.count("for="), 2)

    def test_machine(self) -> None:
        """What zypper says of its machine stays here, in any spelling, named for one hop or not."""
        self.site.files["/x"] = (b"one", ())
        for name in ("X-ZYpp-AnonymousId", "x-ZYPP-DistributionFlavor", "X_ZYpp_AnonymousId"):
            self.get("/x", f"{name}: f00ba2", "X-Other: kept")
            self.get("/x", f"{name}: f00ba2", "X-Other: kept", f"Connection: {name}")
        self.assertEqual(len(self.site.asked), 6)
        self.assertNotIn("f00ba2", str(self.site.asked))
        self.assertEqual(str(self.site.asked).count("kept"), 6)
