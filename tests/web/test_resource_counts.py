"""Tests of `osproxy.web.resource`: what is counted of requests."""

from __future__ import annotations

from functools import partial
from random import Random

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.answers import stale
from osproxy.http.cachestatus import CacheStatus
from osproxy.model import Answer, Relayed
from osproxy.repo.kinds import Kind
from tests.web.doubles import NOW, File, Front, Passing, answer_of, broken, notice, relay_of
from tests.web.reading import request


class CountTests(SynchronousTestCase):
    """A front on a clock that stands at ten in the morning."""

    def setUp(self) -> None:
        """Make a front."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.front = Front(self.clock)

    def test_counted(self) -> None:
        """Requests and octets are counted by outcome and kind."""
        self.front.cache.put("/hit", lambda: answer_of(b"0123456789", 10))
        self.front.cache.put("/miss", notice)
        missing = Answer(notice(404).content, CacheStatus(hit=True), Kind.PACKAGE)
        self.front.cache.put("/missing", lambda: missing)
        self.front.ask("/hit")
        self.front.ask("/hit", "Range: bytes=0-3")
        self.front.ask("/hit", 'If-None-Match: "ours"')
        self.front.ask("/miss")
        self.front.ask("/missing")
        self.front.ask("/-/healthy")
        self.front.ask("/..")
        self.assertEqual(self.front.count("hit", "package"), (4, 19))
        self.assertEqual(self.front.count("uri-miss", "unknown"), (1, 5))
        self.assertEqual(self.front.count("none", "own")[0], 2)

    def value(self, name: str, **labels: str) -> float | None:
        """Read a metric."""
        return self.front.metrics.registry.get_sample_value(f"osproxy_{name}", labels)

    def test_statuses_counted(self) -> None:
        """Responses are counted by status, a client that left by one of its own."""
        self.front.cache.put("/a", lambda: answer_of(b"0123456789", 10))
        for fields in ((), ("Range: bytes=0-3",), ("Range: bytes=90-",)):
            self.front.ask("/a", *fields)
        channel, _ = self.front.connect()
        channel.dataReceived(request("/waits"))
        channel.connectionLost(Failure(ConnectionLost()))
        for status in ("200", "206", "416", "499"):
            self.assertEqual(self.value("responses_total", status=status), 1, status)
        self.flushLoggedErrors()

    def test_times_counted(self) -> None:
        """How long it took is counted by outcome, to the first octet and to the last."""
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        self.clock.advance(2)
        body = File(self.mktemp(), 4)
        self.front.cache.waiting[0].callback(answer_of(body, 4))
        body.write(b"ab")
        self.clock.advance(4)
        body.write(b"cd")
        for name, total, bounds in (
            ("first_byte_seconds", 2, ("0.5", "2.5")),
            ("request_seconds", 6, ("2.5", "10.0")),
        ):
            self.assertEqual(self.value(f"{name}_sum", outcome="hit"), total)
            counts = [self.value(f"{name}_bucket", outcome="hit", le=bound) for bound in bounds]
            self.assertEqual(counts, [0, 1], name)

    def test_stale_counted(self) -> None:
        """Stale answers are counted by why they are."""
        for status, why in (
            (CacheStatus(hit=True, ttl=-1), "refreshing"),
            (CacheStatus(hit=True, ttl=0), None),
            (stale("no answer"), "trouble"),
            (CacheStatus(fwd="stale"), None),
        ):
            front = Front(self.clock)
            front.cache.put("/a", partial(Answer, notice().content, status, Kind.INDEX))
            front.ask("/a")
            value = partial(
                front.metrics.registry.get_sample_value, "osproxy_stale_responses_total"
            )
            counted = [it for it in ("refreshing", "trouble") if value({"why": it})]
            self.assertEqual(counted, [why] if why else [], status)

    def test_cut_counted(self) -> None:
        """So is what was broken off."""
        body = File(self.mktemp(), 10)
        self.front.cache.put("/a", lambda: answer_of(body, 10))
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        body.write(b"abc")
        body.fail(broken())
        self.assertEqual(self.value("cut_responses_total"), 1)

    def test_bounded(self) -> None:
        """Whatever clients and upstreams come up with, there are only so many series."""
        random = Random(5)

        def word() -> str:
            return "".join(random.choices("abcdefghijklmnopqrstuvwxyz-ABC0123456789", k=8))

        def ask() -> None:
            path = f"/{word()}/{word()}.{random.choice(('rpm', 'iso', 'xml', word()))}"
            target = path if random.random() < 0.7 else f"http://{word()}.example{path}"
            status = random.randrange(200, 600)
            self.front.cache.put(path, lambda: relay_of(Relayed(status, (), None)))
            self.front.ask(
                target,
                f"{word()}: {word()}",
                f"User-Agent: {word()}",
                method=random.choice(("GET", "HEAD", "POST", word().upper())),
            )

        def series() -> int:
            return sum(len(list(it.samples)) for it in self.front.metrics.registry.collect())

        before = series()
        for _ in range(2000):
            ask()
        # Statuses that are registered, and for each outcome and kind a few.
        self.assertLess(series() - before, 64 + 100)
        self.flushLoggedErrors()

    def test_passage_counted(self) -> None:
        """What is passed on is counted too."""
        body = Passing(3)
        self.front.cache.put("/a", lambda: relay_of(Relayed(200, (), body)))
        channel, _ = self.front.connect()
        channel.dataReceived(request("/a"))
        body.send(b"abc")
        body.over.callback(None)
        self.assertEqual(self.front.count("bypass", "image"), (1, 3))
