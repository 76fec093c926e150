"""Tests of `osproxy.config.clients`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.clients import NEAR, UNIX, allows, client_of, networks, peers
from osproxy.config.values import BadValue


class NetworksTests(SynchronousTestCase):
    """Networks are written as in routing tables."""

    def test_list(self) -> None:
        """Networks of both families and single addresses stand with commas between them."""
        self.assertEqual(
            [str(network) for network in networks("10.0.0.0/8, ::1,192.0.2.7,")],
            ["10.0.0.0/8", "::1/128", "192.0.2.7/32"],
        )

    def test_all(self) -> None:
        """Everybody is one word, or the two networks that hold everything."""
        self.assertEqual(networks("all"), networks("0.0.0.0/0,::/0"))

    def test_refused(self) -> None:
        """What is no network is named, and the network that was meant is proposed."""
        for text in ("10.0.0.0/33", "lan", "10.0.0", "10.0.0.0/8;::1", "fe80::/64/1"):
            self.assertIn("give", str(self.assertRaises(BadValue, networks, text)))
        error = self.assertRaises(BadValue, networks, "::1,10.1.2.3/8")
        self.assertIn("10.0.0.0/8", str(error))

    def test_mapped(self) -> None:
        """The IPv6 mapping of an IPv4 network is that network, as addresses of it are."""
        for text, expected in (
            ("::ffff:10.6.6.7", "10.6.6.7/32"),
            ("::ffff:a06:607", "10.6.6.7/32"),
            ("::ffff:10.6.0.0/112", "10.6.0.0/16"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::fffe:0:0/95", "::fffe:0:0/95"),
        ):
            self.assertEqual([str(network) for network in networks(text)], [expected])
            self.assertEqual([str(network) for network in peers(text)], [expected])
        for address in ("10.6.6.7", "::ffff:10.6.6.7", "::FFFF:a06:607"):
            self.assertTrue(allows(networks("::ffff:10.6.6.7"), address), address)
        self.assertFalse(allows(networks("::ffff:10.6.6.7"), "10.6.6.8"))

    def test_zone(self) -> None:
        """A zone would never match, and is refused rather than left unmatched."""
        for text in ("fe80::1%eth0", "::1,fe80::%eth0/64"):
            for read in (networks, peers):
                self.assertIn("zone", str(self.assertRaises(BadValue, read, text)))


class PeersTests(SynchronousTestCase):
    """Proxies are named by networks, or by the kind of their socket."""

    def test_list(self) -> None:
        """A word stands for Unix sockets, in any case."""
        self.assertEqual(peers(" Unix,10.0.0.0/8,"), (UNIX, *networks("10.0.0.0/8")))
        self.assertEqual(peers("all"), networks("all"))

    def test_refused(self) -> None:
        """Whatever else is no network is refused, and both words are proposed."""
        error = self.assertRaises(BadValue, peers, "unix:/run/x")
        self.assertIn("unix, or all", str(error))


class AllowsTests(SynchronousTestCase):
    """Who may connect is told from the address alone."""

    def test_default(self) -> None:
        """By default the machine itself, private and link-local networks may connect."""
        near = networks(NEAR)
        for address in (
            *("127.0.0.1", "::1", "10.1.2.3", "172.31.255.255", "192.168.1.1", "169.254.0.1"),
            *("fe80::1%eth0", "fd00::1", "::ffff:192.168.1.1"),
        ):
            self.assertTrue(allows(near, address), address)
        for address in ("192.0.2.1", "172.32.0.1", "2001:db8::1", "::ffff:192.0.2.1"):
            self.assertFalse(allows(near, address), address)

    def test_all(self) -> None:
        """Where all may connect, any address may."""
        for address in ("192.0.2.1", "2001:db8::1"):
            self.assertTrue(allows(networks("all"), address))

    def test_unix(self) -> None:
        """Those on Unix sockets are in no network, and meant by their name."""
        self.assertFalse(allows(networks("all"), UNIX))
        self.assertFalse(allows(peers("all"), UNIX))
        self.assertTrue(allows(peers("::1,unix"), UNIX))
        self.assertTrue(allows(peers("unix,::1"), "::1"))
        self.assertFalse(allows(peers("unix"), "::1"))

    def test_no_address(self) -> None:
        """What is no address is in no network."""
        self.assertFalse(allows(networks("all"), ""))
        self.assertFalse(allows(networks("all"), "localhost"))


class ClientTests(SynchronousTestCase):
    """Whom an address counts as."""

    def test_addresses(self) -> None:
        """IPv4 and local addresses stand for themselves, public IPv6 ones for their network."""
        for address, client in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("fd00::1:2", "fd00::1:2"),
            ("::1", "::1"),
            ("unix", "unix"),
            ("no:address", "no:address"),
        ):
            self.assertEqual(client_of(address), client, address)

    @given(st.text(max_size=40))
    def test_anything(self, text: str) -> None:
        """Whatever is given, nothing is raised."""
        self.assertIsInstance(client_of(text), str)
