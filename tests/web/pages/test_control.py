"""Tests of `osproxy.web.pages.control`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from osproxy.metrics import Metrics
from osproxy.web.channel import Channel
from osproxy.web.connections import Connections
from osproxy.web.pages.control import Control
from osproxy.web.pages.own import OwnPages
from tests.store.doubles import MIB, body_named, run
from tests.store.scrubs import ScrubTestCase
from tests.web.clients import Wire, site_of
from tests.web.pages.test_own import STATUS
from tests.web.reading import Got, request, responses

if TYPE_CHECKING:
    from osproxy.store.store import Store


class ControlTestCase(ScrubTestCase):
    """A control socket in memory, in front of a store."""

    def setUp(self) -> None:
        """Start the store."""
        super().setUp()
        self.ready = True
        self.opened = self.started()
        self.pages = OwnPages(lambda: self.ready, lambda: STATUS, Metrics(CollectorRegistry()))
        self.wires: list[tuple[Channel, Wire]] = []
        self.serve(self.opened)

    def tearDown(self) -> None:
        """Let all leave, and find that nothing goes on."""
        for channel, _ in self.wires:
            channel.connectionLost(Failure(ConnectionDone()))
        self.pass_time(2, 1)
        super().tearDown()
        self.successResultOf(run(self.opened.stop()))
        self.assertEqual(self.place.clock.getDelayedCalls(), [])

    def serve(self, store: Store) -> None:
        """Listen."""
        clock = self.place.clock
        control = Control(self.scrub(store), self.pages, lambda: self.ready, clock)
        self.site = site_of(control, Connections(9, 9), clock)

    def send(self, target: str, method: str = "POST", *fields: str) -> Wire:
        """Ask something, and give the connection."""
        wire = Wire(peerAddress=UNIXAddress(""), hostAddress=UNIXAddress("/run/osproxy/control"))
        channel = self.site.buildProtocol(wire.getPeer())
        assert isinstance(channel, Channel)
        channel.makeConnection(wire)
        self.wires.append((channel, wire))
        channel.dataReceived(request(target, *fields, method=method))
        return wire

    def got(self, wire: Wire) -> Got:
        """Read the response."""
        (got,) = responses(wire.value())
        return got

    def ask(self, target: str, method: str = "POST") -> Got:
        """Ask something that is answered at once."""
        return self.got(self.send(target, method))

    def lines(self, wire: Wire) -> list[dict[str, Any]]:
        """Read what was told so far."""
        return [json.loads(line) for line in self.got(wire).body.splitlines()]


class PagesTests(ControlTestCase):
    """What there is."""

    def test_own_pages(self) -> None:
        """The own pages of all listeners are here too."""
        self.assertEqual(self.ask("/-/healthy", "GET").body, b"ok\n")
        self.assertIn(b"entries: 7", self.ask("/-/status", "GET").body)
        metrics = self.ask("/-/metrics", "GET")
        self.assertEqual(metrics["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")

    def test_refused(self) -> None:
        """Each page has its methods, and there are no files here."""
        for target, method, status, allowed in (
            ("/-/scrub", "GET", 405, "POST"),
            ("/-/healthy", "POST", 405, "GET, HEAD"),
            ("/-/nothing", "GET", 404, None),
            ("/a.rpm", "GET", 404, None),
            ("/%zz", "GET", 400, None),
        ):
            got = self.ask(target, method)
            self.assertEqual((got.status, got["Allow"]), (status, allowed), target)

    def test_unreadable(self) -> None:
        """A request that could be read in two ways is refused, and nothing is done for it."""
        wire = self.send("/-/scrub", "POST", "Content-Length: 1", "Content-Length: 2")
        self.assertEqual(self.got(wire).status, 400)
        self.assertEqual(self.counted("verified_bytes"), 0)

    def test_not_ready(self) -> None:
        """Before the store is open there is nothing to verify."""
        self.ready = False
        self.assertEqual(self.ask("/-/scrub").status, 503)


class ScrubTests(ControlTestCase):
    """Everything is verified while somebody waits for it."""

    def test_whole(self) -> None:
        """How far it is, what is damaged, and the end are told, a line each."""
        for name in ("a", "b", "c"):
            self.put(self.opened, name, body_named(name, 2 * MIB))
        self.damage(self.opened, "b")
        wire = self.send("/-/scrub?rate=1MiB")
        self.assertEqual(wire.value(), b"")
        self.pass_time(10, 0.5)
        got = self.got(wire)
        self.assertEqual((got.status, got["Content-Type"]), (200, "application/x-ndjson"))
        self.assertTrue(got.whole)
        lines = self.lines(wire)
        octets = [line["octets_done"] / MIB for line in lines if "octets_done" in line]
        self.assertEqual(octets, sorted(octets))
        self.assertGreater(len(octets), 5)
        size = 3 * (2 * MIB + 4096)
        self.assertEqual(
            lines[-2:],
            [
                {"files": 3, "files_done": 3, "octets": size, "octets_done": size},
                {"end": "done"},
            ],
        )
        (damaged,) = (line for line in lines if "damaged" in line)
        self.assertEqual(damaged, {"damaged": "/b", "fault": "its body is not what was stored"})
        self.assertEqual(self.opened.entries, 2)
        self.flushLoggedErrors()

    def test_as_fast_as_can_be(self) -> None:
        """Without a rate, or with one of 0, it is over at once."""
        self.put(self.opened, "a", bytes(9 * MIB))
        for query in ("", "?rate=0"):
            self.assertEqual(self.lines(self.send(f"/-/scrub{query}"))[-1], {"end": "done"})

    def test_bad_rate(self) -> None:
        """A rate that is none is said to be none."""
        got = self.ask("/-/scrub?rate=fast")
        self.assertEqual(got.status, 400)
        self.assertIn(b"The rate is not a size; give", got.body)

    def test_second(self) -> None:
        """One at a time; whoever comes second is told so."""
        self.put(self.opened, "a", bytes(2 * MIB))
        first = self.send("/-/scrub?rate=1MiB")
        self.assertEqual(self.ask("/-/scrub").status, 409)
        self.pass_time(3, 0.5)
        self.assertEqual(self.lines(first)[-1], {"end": "done"})

    def test_client_leaves(self) -> None:
        """When whoever has asked leaves, it is given up after the bite."""
        self.put(self.opened, "a", bytes(9 * MIB))
        self.send("/-/scrub?rate=1MiB")
        self.pass_time(1)
        channel, _ = self.wires.pop()
        channel.connectionLost(Failure(ConnectionDone()))
        self.pass_time(1)
        read = self.counted("verified_bytes")
        self.pass_time(5, 1)
        self.assertEqual(self.counted("verified_bytes"), read)
        self.assertEqual(self.lines(self.send("/-/scrub"))[-1], {"end": "done"})

    def test_server_stops(self) -> None:
        """When the server stops, the answer ends with that."""
        self.put(self.opened, "a", bytes(9 * MIB))
        wire = self.send("/-/scrub?rate=1MiB")
        self.pass_time(1)
        self.successResultOf(run(self.scrubs[0].stop()))
        self.assertEqual(self.lines(wire)[-1], {"end": "stopped"})
        self.assertTrue(self.got(wire).whole)

    def test_failure(self) -> None:
        """What goes wrong on our side is told as well."""
        self.put(self.opened, "a")
        self.successResultOf(run(self.place.catalogue.close()))
        self.assertEqual(
            self.lines(self.send("/-/scrub")), [{"end": "failed: the catalogue is not open"}]
        )
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.successResultOf(run(self.place.catalogue.open()))
