"""
zypper and dnf refresh and install through osproxy, and each file is fetched from upstream once.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import unquote

from osproxy.repo.layout import CORE
from tests.integration.cases import IntegrationCase
from tests.integration.clients import Dnf, Zypper
from tests.integration.packages import OBS, OSS, snapshots
from tests.integration.tools import DEADLINE, threaded, until

if TYPE_CHECKING:
    from tests.integration.certificates import Certificates
    from tests.integration.clients import Installation
    from tests.integration.nginx import Logged, Upstreams
    from tests.integration.packages import Snapshot
    from tests.integration.server import Osproxy


class ClientTests(IntegrationCase):
    """What package managers meet."""

    def assert_installs(self, client: Installation, snapshot: Snapshot) -> None:
        """Refresh, install, and compare packages and installed files by digest."""
        client.refresh()
        client.install()
        self.assertEqual(client.installed(), snapshot.expected())
        published = {path.split("/")[-1]: it for path, it in snapshot.packages().items()}
        kept = client.kept()
        self.assertEqual(len(kept), 2)
        self.assertEqual(kept, {name: published[name] for name in kept})

    def serve(
        self, snapshot: Snapshot, root: str = OSS, *, certificates: Certificates | None = None
    ) -> tuple[Upstreams, Osproxy]:
        """Publish a snapshot, and start a server with nothing in its cache; note when."""
        self.site.publish(snapshot, root)
        upstreams = self.upstreams()
        patience = [f"--{what}-timeout={DEADLINE}" for what in ("connect", "head")]
        server = self.osproxy(upstreams.url, *patience, certificates=certificates)
        self.began = time.monotonic()
        return upstreams, server

    @property
    def most_looks(self) -> int:
        """How often dnf's no-cache can have had the index looked at: once in ten seconds."""
        return 1 + int(time.monotonic() - self.began) // 10

    def assert_fetched_once(
        self, upstreams: Upstreams, server: Osproxy, root: str = OSS, *, most_looks: int = 1
    ) -> None:
        """
        Check in the upstreams' own logs that nothing was fetched twice.

        At a look at the index each of its files is asked for once, whole and without a condition;
        that the first one has not changed meanwhile is asked by HEAD. One shows what is new, and
        others that nothing is.
        """
        index = [f"{root}/{name}" for name in CORE]

        def gets() -> list[Logged]:
            nginxes = (upstreams.authority, *upstreams.mirrors)
            return [line for nginx in nginxes for line in nginx.logged() if line.method == "GET"]

        def asked() -> Counter[str]:
            return Counter(unquote(line.path) for line in gets())

        until(lambda: asked()[index[0]] == self.looked(server).total(), "no look is under way")
        looks = asked()[index[0]]
        self.assertIn(looks, range(1, most_looks + 1))
        self.assertEqual(self.looked(server), +Counter(new=1, none=looks - 1))
        heads = [line.path for line in upstreams.authority.logged() if line.method == "HEAD"]
        self.assertEqual(heads, index[:1])
        self.assertEqual({asked()[path] for path in index}, {looks})
        others = {path: count for path, count in asked().items() if path not in index}
        self.assertEqual(len([path for path in others if "/noarch/" in path]), 2, others)
        self.assertEqual(set(others.values()), {1}, others)
        for line in gets():
            file = self.site.root / unquote(line.path).lstrip("/")
            expected = (200, file.stat().st_size) if file.exists() else (404, line.sent)
            self.assertEqual((line.status, line.sent, line.condition), (*expected, ""), line)

    def looked(self, server: Osproxy) -> Counter[str]:
        """Count the looks at indexes, by what has come of them."""
        text = server.fetch("/-/metrics").body.decode()
        found = re.findall(r'(?m)^osproxy_index_refreshes_total{result="(\w+)"} (\S+)$', text)
        return Counter({result: int(float(count)) for result, count in found})

    @threaded
    def test_zypper(self) -> None:
        """With zypper, signed packages install over HTTP; upstream gives each file once."""
        upstreams, server = self.serve(snapshots()[0])
        self.assert_installs(Zypper(self.place("root"), f"{server.url}{OSS}/"), snapshots()[0])
        self.assert_fetched_once(upstreams, server)

    @threaded
    def test_zypper_over_tls(self) -> None:
        """With zypper, packages install over TLS if a private authority vouches for us."""
        upstreams, server = self.serve(snapshots()[0], certificates=self.certificates)
        url = f"{server.tls_url}{OSS}/"
        zypper = Zypper(self.place("root"), url, certificates=self.certificates)
        self.assert_installs(zypper, snapshots()[0])
        self.assert_fetched_once(upstreams, server)

    @threaded
    def test_dnf(self) -> None:
        """With dnf, signed packages install over HTTP; upstream gives each file once."""
        upstreams, server = self.serve(snapshots()[0])
        self.assert_installs(Dnf(self.place("root"), f"{server.url}{OSS}/"), snapshots()[0])
        self.assert_fetched_once(upstreams, server, most_looks=self.most_looks)

    @threaded
    def test_dnf_over_tls(self) -> None:
        """With dnf, packages install over TLS if a private authority vouches for us."""
        upstreams, server = self.serve(snapshots()[0], certificates=self.certificates)
        url = f"{server.tls_url}{OSS}/"
        dnf = Dnf(self.place("root"), url, certificates=self.certificates)
        self.assert_installs(dnf, snapshots()[0])
        self.assert_fetched_once(upstreams, server, most_looks=self.most_looks)

    @threaded
    def test_one_copy_for_all(self) -> None:
        """
        Both clients, with TLS and without, share one copy of each file, though they escape names
        differently.
        """
        upstreams, server = self.serve(snapshots()[0], certificates=self.certificates)
        for kind in (Zypper, Dnf):
            self.assert_installs(kind(self.place("root"), f"{server.url}{OSS}/"), snapshots()[0])
            url = f"{server.tls_url}{OSS}/"
            self.assert_installs(
                kind(self.place("root"), url, certificates=self.certificates), snapshots()[0]
            )
        self.assert_fetched_once(upstreams, server, most_looks=self.most_looks)

    @threaded
    def test_repository_of_the_build_service(self) -> None:
        """A repository with a colon in its path and no media.1/media installs; its 404 is kept."""
        bare = snapshots()[0].without_media()
        upstreams, server = self.serve(bare, OBS)
        for kind in (Zypper, Zypper, Dnf):
            self.assert_installs(kind(self.place("root"), f"{server.url}{OBS}/"), bare)
        self.assert_fetched_once(upstreams, server, OBS, most_looks=self.most_looks)

    @threaded
    def test_what_upstream_is_asked(self) -> None:
        """Upstream is asked for plain files without encodings, not for zypper's metalinks."""
        upstreams, server = self.serve(snapshots()[0])
        Zypper(self.place("root"), f"{server.url}{OSS}/").refresh()
        lines = [line for nginx in upstreams.all for line in nginx.logged()]
        # What the redirector passes on to the authority has lost no field of interest.
        self.assertEqual({line.accept for line in lines}, {"*/*"})
        self.assertEqual({line.encoding for line in lines}, {"identity"})
        self.assertEqual({line.agent[:4] for line in lines}, {"ZYpp"})
