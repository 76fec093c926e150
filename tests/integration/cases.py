"""
What the test cases share: directories, upstreams and servers that end with the test.
"""

from __future__ import annotations

import shutil
import ssl
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import TestCase

from tests.integration.certificates import Certificates, make_certificates
from tests.integration.nginx import Nginx, Upstreams, file_server
from tests.integration.packages import OSS, Site
from tests.integration.scripted import ScriptedUpstream
from tests.integration.server import Osproxy
from tests.integration.tools import require, until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from tests.integration.packages import Snapshot
    from tests.integration.scripted import Question
    from tests.integration.wire import Answer


#: What the ledger counts the catalogue in; files are counted in much smaller blocks.
CATALOGUE_UNIT = 256 * 1024


class IntegrationCase(TestCase):
    """
    A test with processes of its own.

    Test methods are `threaded`; the methods below may be called from such a thread. Each wait in
    them has a deadline of its own.
    """

    timeout = 600

    def setUp(self) -> None:
        """Skip unless what every test needs is there."""
        require("nginx")
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self._count = 0

    def place(self, name: str) -> Path:
        """Name a path that nobody uses yet."""
        self._count += 1
        return self.directory / f"{self._count}-{name}"

    def socket_path(self, name: str = "socket") -> Path:
        """Name a path that nobody uses yet, short enough for a Unix socket (unix(7))."""
        folder = tempfile.mkdtemp(prefix="osproxy-")
        self.addCleanup(shutil.rmtree, folder)
        return Path(folder) / name

    @cached_property
    def site(self) -> Site:
        """The files that upstreams serve."""
        return Site(self.directory / "site")

    @cached_property
    def certificates(self) -> Certificates:
        """A private authority and a server's certificate."""
        require("openssl")
        return make_certificates(self.directory / "certificates")

    def client_context(self) -> ssl.SSLContext:
        """Trust the private authority, and no other."""
        return ssl.create_default_context(cafile=str(self.certificates.authority))

    def upstreams(self, *, limit_rate: str = "0") -> Upstreams:
        """Start an authority, two mirrors and a redirector, for the site."""
        upstreams = Upstreams(self.place("upstreams"), self.site.root, limit_rate=limit_rate)
        self.addCleanup(upstreams.close)
        upstreams.start()
        return upstreams

    def file_server(
        self, *, limit_rate: str = "0", certificates: Certificates | None = None
    ) -> Nginx:
        """Start one nginx for the site."""
        place = self.place("nginx")
        nginx = file_server(place, self.site.root, limit_rate=limit_rate, certificates=certificates)
        self.addCleanup(nginx.close)
        nginx.start()
        return nginx

    def scripted(self, answer: Callable[[Question, socket.socket], None]) -> ScriptedUpstream:
        """Start an upstream that misbehaves."""
        upstream = ScriptedUpstream(answer)
        self.addCleanup(upstream.close)
        return upstream

    def osproxy(
        self,
        authority: str | None,
        *options: str,
        hosts: Sequence[str] = (),
        freshness: dict[str, float] | None = None,
        backends: str = "",
        certificates: Certificates | None = None,
        cache_path: Path | None = None,
        start: bool = True,
    ) -> Osproxy:
        """Start a server for an authority, with an empty cache unless a path is given."""
        server = Osproxy(
            self.place("osproxy"),
            authority,
            *options,
            hosts=hosts,
            freshness=freshness,
            backends=backends,
            certificates=certificates,
            cache_path=cache_path,
        )
        self.addCleanup(server.close)
        if start:
            server.start()
        return server

    def at_once(self, *actions: Callable[[], Any]) -> list[Any]:
        """Do all these things at the same time, and return their results in order."""
        with ThreadPoolExecutor(len(actions)) as pool:
            return [future.result() for future in [pool.submit(action) for action in actions]]

    def assert_whole(self, answer: Answer, digest: str) -> None:
        """Check that this is a complete answer 200 with the right octets."""
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(answer.complete, answer)
        self.assertEqual(answer.digest, digest, answer)

    def shows(self, server: Osproxy, snapshot: Snapshot) -> bool:
        """Tell whether a client is shown the index of this snapshot."""
        answer = server.fetch(f"{OSS}/repodata/repomd.xml")
        return answer.digest == snapshot.digests()["repodata/repomd.xml"]

    def assert_refusals(self, server: Osproxy, *texts: str) -> None:
        """Check that it has told of these refusals, and no other, each once a minute at most."""
        said = [line for line in server.said().splitlines() if "Shedding#warn" in line]
        for line in said:
            self.assertEqual(sum(text in line for text in texts), 1, said)
        for text in texts:
            times = [datetime.fromisoformat(line.split()[0]) for line in said if text in line]
            self.assertNotEqual(times, [], (text, said))
            for earlier, later in pairwise(times):
                # In whole seconds.
                self.assertGreaterEqual((later - earlier).total_seconds(), 59, said)

    def assert_ledger_is_right(self, server: Osproxy) -> None:
        """
        Check that the ledger has what the disk has, once nothing is under way.

        Of drafts there are those only that wait to be completed.

        The catalogue, which grows and shrinks as it works, is counted in units that it fits into.
        """

        def agree() -> bool:
            status, catalogue = server.status(), server.catalogue_octets()
            room = status.stored - server.entry_octets() - server.draft_octets()
            fits = catalogue <= room <= catalogue + 2 * CATALOGUE_UNIT
            # No entry is a body that has lost its own name, nor what was evicted while it is read.
            named = [path for path in server.entry_files() if not path.suffix]
            alike = status.drafts == 0 and status.entries == len(named)
            return alike and fits and room % CATALOGUE_UNIT == 0

        try:
            until(agree, "ledger and disk agree")
        except TimeoutError:
            self.fail(
                f"{server.status()}; on disk: entries {server.entry_octets()}"
                f" in {len(server.entry_files())} files, catalogue {server.catalogue_octets()},"
                f" drafts {server.draft_files()}"
            )
        # What was interrupted waits to be completed.
        self.assertEqual(len(server.draft_files()), server.metric("kept_drafts"))
        status = server.status()
        self.assertLessEqual(status.stored, status.capacity)
