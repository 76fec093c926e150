"""Tests of `osproxy.web.access`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.clients import UNIX, networks, peers
from osproxy.model import Backend
from osproxy.web.access import Access
from osproxy.web.routing import Refused

OPEN = Backend("/open", "http://h", clients=networks("all"))
SHUT = Backend("/shut", "http://h", clients=networks("10.1.0.0/16"))
PLAIN = Backend("/plain", "http://h")
PICKY = Backend("/picky", "http://h", deny=networks("10.2.0.0/16"))


class AdmitTests(SynchronousTestCase):
    """A client may ask where the list that counts has it, and no other one denies it."""

    def admitted(self, access: Access, client: str) -> list[str]:
        """Tell for which backends a client may ask; an empty name stands for our own pages."""
        found = []
        for backend in (None, OPEN, SHUT, PLAIN, PICKY):
            try:
                access.admit(client, backend)
            except Refused as refused:
                self.assertEqual(refused.status, 403)
                self.assertEqual(str(refused), f"{client} may not use this proxy.")
            else:
                found.append("" if backend is None else backend.prefix)
        return found

    def test_table(self) -> None:
        """The list of a backend counts in the general one's place; denials add up."""
        access = Access(networks("10.0.0.0/8"), networks("10.3.0.0/16,192.0.2.9"))
        for client, expected in (
            ("10.0.0.1", ["", "/open", "/plain", "/picky"]),
            ("10.1.0.1", ["", "/open", "/shut", "/plain", "/picky"]),
            ("::ffff:10.1.0.1", ["", "/open", "/shut", "/plain", "/picky"]),
            ("10.2.0.1", ["", "/open", "/plain"]),
            ("10.3.0.1", []),
            ("192.0.2.1", ["/open"]),
            ("192.0.2.9", []),
            ("2001:db8::1", ["/open"]),
        ):
            self.assertEqual(self.admitted(access, client), expected, client)

    def test_unix(self) -> None:
        """Who may use a Unix socket, its file says."""
        access = Access(networks("10.0.0.0/8"), networks("all"))
        self.assertEqual(len(self.admitted(access, UNIX)), 5)


class AskerTests(SynchronousTestCase):
    """It is the operator who says which proxies are believed."""

    def test_asker(self) -> None:
        """Without any nobody is, with ``unix`` also who has no address."""
        fields = (("X-Forwarded-For", "192.0.2.1"),)
        for trusted, sender, expected in (
            ("", "10.0.0.1", "10.0.0.1"),
            ("10.0.0.2", "10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", "192.0.2.1"),
            ("10.0.0.0/8", UNIX, UNIX),
            ("unix", UNIX, "192.0.2.1"),
            ("unix", "10.0.0.1", "10.0.0.1"),
        ):
            access = Access(networks("all"), trusted_proxies=peers(trusted))
            self.assertEqual(access.asker(fields, sender), expected, (trusted, sender))

    def test_unknown(self) -> None:
        """A proxy that names two clients has named none."""
        access = Access(networks("all"), trusted_proxies=peers("10.0.0.1"))
        fields = (("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.2"))
        self.assertIsNone(access.asker(fields, "10.0.0.1"))
