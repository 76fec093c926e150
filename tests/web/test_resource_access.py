"""Tests of `osproxy.web.resource`: who may ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from osproxy.config.clients import networks
from osproxy.model import Backend
from osproxy.web.access import Access
from osproxy.web.routing import Routes
from tests.web.doubles import BACKENDS, Front, notice
from tests.web.test_resource import RootTestCase

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


class AskerTests(RootTestCase):
    """Who asks, where there is a proxy between."""

    def setUp(self) -> None:
        """Trust a proxy, and serve one client, and for one backend everybody but one."""
        super().setUp()
        everybody = Backend(
            "/all", "https://all.example", clients=networks("all"), deny=networks("192.0.2.7")
        )
        self.front = Front(
            self.clock,
            clients="192.0.2.1,10.0.0.1",
            deny="192.0.2.8",
            trusted="10.0.0.1,unix",
            backends=(everybody, *BACKENDS),
        )
        for path in ("/a", "/all/a"):
            self.front.cache.put(path, notice)

    def told(self, target: str, peer: IAddress, *fields: str) -> tuple[int, str]:
        """Ask, and tell the status and which client the log has."""
        status = self.front.ask(target, *fields, peer=peer).status
        return status, self.front.records[-1].client

    def test_client(self) -> None:
        """The client of a proxy that is trusted is in the log, and is judged."""
        proxy, unix = IPv4Address("TCP", "10.0.0.1", 1), UNIXAddress(None)
        for peer in (proxy, unix):
            for client, status in (("192.0.2.1", 200), ("192.0.2.2", 403), ("192.0.2.8", 403)):
                for field in (f"Forwarded: for={client}", f"X-Forwarded-For: 192.0.2.1, {client}"):
                    self.assertEqual(self.told("/a", peer, field), (status, client))
        self.assertEqual(self.told("/a", proxy), (200, "10.0.0.1"))
        self.assertEqual(self.told("/a", unix), (200, "unix"))
        asked = [(it.client, it.sender) for *_, it in self.front.cache.asked]
        self.assertEqual(
            asked,
            [
                *([("192.0.2.1", "10.0.0.1")] * 2),
                *([("192.0.2.1", "unix")] * 2),
                ("10.0.0.1", "10.0.0.1"),
                ("unix", "unix"),
            ],
        )

    def test_not_trusted(self) -> None:
        """What others say changes nothing."""
        for client, status in (("192.0.2.1", 200), ("192.0.2.2", 403)):
            for said in ("192.0.2.1", "192.0.2.8", "10.0.0.1"):
                peer = IPv4Address("TCP", client, 1)
                fields = (f"Forwarded: for={said}", f"X-Forwarded-For: {said}")
                self.assertEqual(self.told("/a", peer, *fields), (status, client))

    def test_two_clients(self) -> None:
        """Where a proxy lets a second field through, it is not known who asks."""
        proxy = IPv4Address("TCP", "10.0.0.1", 1)
        fields = ("Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.2")
        self.assertEqual(self.told("/a", proxy, *fields), (400, "10.0.0.1"))
        self.assertEqual(self.told("/-/healthy", proxy, *fields), (400, "10.0.0.1"))
        self.front.root.access = evolve(self.front.root.access, clients=networks("192.0.2.0/24"))
        self.assertEqual(self.told("/a", proxy, *fields), (403, "10.0.0.1"))
        self.assertEqual(self.front.cache.asked, [])

    def test_backend(self) -> None:
        """A list of a backend's counts for its files, and for nothing else that there is."""
        stranger, denied = (IPv4Address("TCP", host, 1) for host in ("192.0.2.2", "192.0.2.7"))
        for target, method, status in (
            ("/all/a", "GET", 200), ("/all/%61", "GET", 200), ("/all/a", "POST", 405),
            ("/a", "GET", 403), ("/pack/a", "GET", 403), ("/-/healthy", "GET", 403),
            ("/all/../a", "GET", 403), ("/all/..//-/metrics", "GET", 403), ("*", "OPTIONS", 403),
            ("/all/%", "GET", 403), ("http://evil.example/all/a", "GET", 403),
            ("/alla", "GET", 403), ("x:1", "CONNECT", 403),
        ):  # fmt: skip
            got = self.front.ask(target, method=method, peer=stranger)
            self.assertEqual(got.status, status, (target, method))
            got = self.front.ask(target, method=method, peer=denied)
            self.assertEqual(got.status, 403, (target, method))
        self.assertEqual(len(self.front.cache.asked), 2)

    def test_nothing_of_the_machine(self) -> None:
        """What identifies a machine reaches neither the cache nor the log."""
        peer = IPv4Address("TCP", "192.0.2.1", 1)
        self.front.ask("/a", "X-ZYpp-AnonymousId: f00ba2", "x_zypp_x: f00ba2", "A: b", peer=peer)
        ((_, _, asked),) = self.front.cache.asked
        self.assertEqual([name for name, _ in asked.fields], ["Host", "A"])
        self.assertNotIn("f00ba2", str(self.front.records))


class ClientsTests(RootTestCase):
    """Who may ask."""

    def setUp(self) -> None:
        """Make a front for one network."""
        super().setUp()
        self.front = Front(self.clock, clients="192.0.2.0/24")
        self.front.cache.put("/a", notice)

    def test_allowed(self) -> None:
        """A client of the network is served."""
        self.assertEqual(self.front.ask("/a").status, 200)

    def test_mapped(self) -> None:
        """So is one that comes to an IPv6 socket."""
        peer = IPv6Address("TCP", "::ffff:192.0.2.1", 1)
        self.assertEqual(self.front.ask("/a", peer=peer).status, 200)

    def test_others(self) -> None:
        """Others are told that they may not, whatever they ask for."""
        peer = IPv4Address("TCP", "198.51.100.1", 1)
        for target, method in (("/a", "GET"), ("/-/metrics", "GET"), ("/%", "PUT")):
            got = self.front.ask(target, method=method, peer=peer)
            self.assertEqual(
                (got.status, got.body), (403, b"198.51.100.1 may not use this proxy.\n")
            )
        self.assertEqual(self.front.cache.asked, [])

    def test_challenges(self) -> None:
        """
        An answer to a challenge of ACME is for everybody, under whatever name; it is all there is.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "token").write_bytes(b"token.key")
        path, peer = "/.well-known/acme-challenge/", IPv4Address("TCP", "198.51.100.1", 1)
        self.assertEqual(self.front.ask(f"{path}token", peer=peer).status, 403)
        self.front.challenges.directory = directory
        got = self.front.ask(f"{path}token", peer=peer)
        self.assertEqual((got.status, got.body), (200, b"token.key"))
        self.assertEqual(got["Cache-Control"], "no-store")
        self.assertEqual(got["Content-Type"], "application/octet-stream")
        for target, method, status in (
            (f"{path}token", "HEAD", 200), (f"{path}token", "POST", 405), (f"{path}x", "GET", 404),
            (path, "GET", 404), (f"{path}../../-/metrics", "GET", 404), (f"/{path}x", "GET", 403),
            ("/-/metrics", "GET", 403), (f"http://cdn.example{path}token", "GET", 403),
        ):  # fmt: skip
            got = self.front.ask(target, method=method, peer=peer)
            self.assertEqual((got.status, b"key" in got.body), (status, False), (target, method))
        self.assertEqual(self.front.cache.asked, [])
        self.assertEqual(len(self.front.records), 10)

    def test_no_challenge_in_what_is_no_request(self) -> None:
        """What could not be read is refused as ever, whatever it seems to ask for."""
        self.front.challenges.directory = Path()
        got = self.front.ask("/.well-known/acme-challenge/x", "Host: y")
        self.assertEqual(got.status, 400)

    def test_changed(self) -> None:
        """Who may ask, and where for, can change between two requests."""
        self.front.root.access = Access(networks("10.0.0.0/8"))
        self.assertEqual(self.front.ask("/a").status, 403)
        self.front.root.access = Access(networks("all"))
        self.front.root.routes = Routes((Backend("/other", "http://other.example"),))
        self.assertEqual(self.front.ask("/a").status, 404)

    def test_unix_socket(self) -> None:
        """Who may use a Unix socket is up to its file, so that whoever connects is served."""
        self.assertEqual(self.front.ask("/a", peer=UNIXAddress(None)).status, 200)
