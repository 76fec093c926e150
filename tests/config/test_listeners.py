"""Tests of `osproxy.config.listeners`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.given import ConfigError
from osproxy.config.listeners import Listener, Passed, has_ipv6, listeners
from osproxy.config.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def listed(
    arguments: Mapping[str, str | Sequence[str]],
    *,
    ipv6: bool = True,
    passed: Sequence[Passed] = (),
) -> tuple[Listener, ...]:
    """List what is listened on with these arguments."""
    return listeners(Sources(arguments, {}, {}), ipv6=ipv6, passed=passed)


class ListenersTests(SynchronousTestCase):
    """Any number of places may be listened on, with TLS and without."""

    def test_default(self) -> None:
        """By default it is port 8080 of all addresses, of IPv4 alone where there is no IPv6."""
        source = "--bind-address (default)"
        self.assertEqual(
            listed({}), (Listener(r"tcp6:8080:interface=\:\:", False, source, "[::]:8080"),)
        )
        self.assertEqual(
            listed({}, ipv6=False),
            (Listener("tcp:8080:interface=0.0.0.0", False, source, "0.0.0.0:8080"),),
        )

    def test_default_with_tls(self) -> None:
        """A place for TLS stands beside the default."""
        plain, tls = listed({"tls-bind-address": "[::1]:8443"})
        self.assertEqual((plain.tls, tls.tls), (False, True))
        self.assertEqual(tls.source, "--tls-bind-address (command line)")
        self.assertEqual(tls.value, "[::1]:8443")

    def test_endpoints(self) -> None:
        """Endpoints stand instead of the default, and beside an address that was given."""
        places = {"listen": ["tcp:1", "unix:/x"], "tls-listen": ["tcp:2"]}
        self.assertEqual(
            [(place.description, place.tls) for place in listed(places)],
            [("tcp:1", False), ("unix:/x", False), ("tcp:2", True)],
        )
        places["bind-address"] = ["127.0.0.1:80"]
        self.assertEqual(listed(places)[0].description, "tcp:80:interface=127.0.0.1")

    def test_passed(self) -> None:
        """Sockets that listen already stand instead of the default, and beside what was given."""
        http = Passed(3, socket.AF_INET6, "http", "[::]:80", tls=False)
        https = Passed(4, socket.AF_INET6, "https", "[::]:443", tls=True)
        adopted = (
            Listener("", False, "socket http", "[::]:80", http),
            Listener("", True, "socket https", "[::]:443", https),
        )
        self.assertEqual(listed({}, passed=(http, https)), adopted)
        self.assertEqual(listed({}, passed=(https,)), adopted[1:])
        places = listed({"bind-address": "127.0.0.1:1"}, passed=(http, https))
        self.assertEqual(places[:2], adopted)
        self.assertEqual(places[2].description, "tcp:1:interface=127.0.0.1")

    def test_endpoint_with_tls_of_its_own(self) -> None:
        """An endpoint that would bring its own TLS is refused with what to give instead."""
        for option in ("listen", "tls-listen"):
            error = self.assertRaises(ConfigError, listed, {option: ["ssl:8443"]})
            self.assertIn(f"--{option} (command line): 'ssl:8443' ", str(error))
            self.assertIn("give --tls-listen tcp:", str(error))

    def test_twisted_understands(self) -> None:
        """What an address becomes is an endpoint to Twisted."""
        places = listed({"bind-address": "[fe80::1%eth0]:80", "tls-bind-address": "127.0.0.1:81"})
        for place in places:
            serverFromString(MemoryReactor(), place.description)

    def test_machine(self) -> None:
        """Whether there is IPv6 is found out from the machine."""
        self.assertIn(has_ipv6(), (True, False))
        # RFC 3849: an address of documents, which no machine has.
        self.assertFalse(has_ipv6("2001:db8::1"))
