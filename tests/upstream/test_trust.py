"""Tests of `osproxy.upstream.trust`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import TestCase

from osproxy.upstream.origin import Unreachable
from osproxy.upstream.trust import policy
from tests.upstream.origins import Network, Origin, plain
from tests.web.certificates import certificate_files

if TYPE_CHECKING:
    from tests.web.certificates import Files


class PolicyTests(TestCase):
    """Upstreams prove who they are."""

    timeout = 60

    async def test_private_authority(self) -> None:
        """The operator's own authorities are trusted, and names are verified against theirs."""
        files = certificate_files(self.mktemp())
        network = Network(self, files.authority)
        url = network.serve(Origin(plain(b"abc")), files)
        reply = await network.upstream.ask(url + "/a")
        self.assertEqual(await reply.read(10), b"abc")

    async def test_several_authorities(self) -> None:
        """Each certificate of the file is an authority."""
        files = certificate_files(self.mktemp())
        network = Network(self, files.chain)
        url = network.serve(Origin(plain(b"abc")), files)
        reply = await network.upstream.ask(url + "/a")
        self.assertEqual(await reply.read(10), b"abc")

    async def test_unknown_authority(self) -> None:
        """A certificate of an authority that is not trusted is refused, and is not asked."""
        files = certificate_files(self.mktemp())
        network = Network(self, certificate_files(self.mktemp()).authority)
        await self.refused(network, Origin(plain(b"abc")), files)

    async def test_system_authorities(self) -> None:
        """Without a file of our own the system's authorities count, and no others."""
        await self.refused(Network(self), Origin(plain(b"abc")), certificate_files(self.mktemp()))

    async def test_wrong_name(self) -> None:
        """A certificate for another name is refused, whoever signed it."""
        files = certificate_files(self.mktemp())
        network = Network(self, files.authority)
        await self.refused(network, Origin(plain(b"abc")), files, "localhost")

    def test_no_certificate(self) -> None:
        """A file without certificates is an error at once."""
        empty = Path(self.mktemp())
        empty.write_bytes(b"")
        self.assertRaises(ValueError, policy, empty)

    def test_kept(self) -> None:
        """Certificates are read once a host, not once a request."""
        kept = policy(certificate_files(self.mktemp()).authority)
        creator = kept.creatorForNetloc(b"a.example", 443)
        self.assertIs(kept.creatorForNetloc(b"a.example", 443), creator)
        self.assertIsNot(kept.creatorForNetloc(b"b.example", 443), creator)

    async def refused(
        self, network: Network, origin: Origin, files: Files, name: str = "127.0.0.1"
    ) -> None:
        """Expect that an origin is not believed, and nothing is asked of it."""
        url = network.serve(origin, files).replace("127.0.0.1", name)
        with self.assertRaises(Unreachable) as raised:
            await network.upstream.ask(url + "/a")
        self.assertEqual(raised.exception.reason, "tls")
        self.assertEqual(raised.exception.host, url.removeprefix("https://"))
        self.assertEqual(origin.requests, [])
