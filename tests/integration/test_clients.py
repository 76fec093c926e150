"""
zypper and dnf refresh and install through osproxy, and each file is fetched from upstream once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from osproxy.repo.layout import CORE, MEMBERS
from tests.integration.cases import IntegrationCase
from tests.integration.clients import Dnf, Zypper
from tests.integration.packages import OBS, OSS, snapshots
from tests.integration.tools import threaded, until

if TYPE_CHECKING:
    from tests.integration.clients import Installation
    from tests.integration.nginx import Upstreams
    from tests.integration.packages import Snapshot


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

    def assert_fetched_once(self, upstreams: Upstreams) -> None:
        """Check in the upstreams' own logs that nothing was fetched twice."""
        until(lambda: any("demo-tool" in path for path in upstreams.fetched()), "nginx has logged")
        # dnf's no-cache has the index looked at anew if the last look was more than 10 s ago.
        looked_at = {f"{OSS}/{name}" for name in MEMBERS}
        twice = {path for path, count in upstreams.fetched().items() if count != 1} - looked_at
        self.assertEqual(twice, set())

    @threaded
    def test_zypper(self) -> None:
        """With zypper, signed packages install over HTTP; upstream gives each file once."""
        self.site.publish(snapshots()[0])
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url)
        self.assert_installs(Zypper(self.place("root"), f"{server.url}{OSS}/"), snapshots()[0])
        self.assert_fetched_once(upstreams)

    @threaded
    def test_zypper_over_tls(self) -> None:
        """With zypper, packages install over TLS if a private authority vouches for us."""
        self.site.publish(snapshots()[0])
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url, certificates=self.certificates)
        url = f"{server.tls_url}{OSS}/"
        zypper = Zypper(self.place("root"), url, certificates=self.certificates)
        self.assert_installs(zypper, snapshots()[0])
        self.assert_fetched_once(upstreams)

    @threaded
    def test_dnf(self) -> None:
        """With dnf, signed packages install over HTTP; upstream gives each file once."""
        self.site.publish(snapshots()[0])
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url)
        self.assert_installs(Dnf(self.place("root"), f"{server.url}{OSS}/"), snapshots()[0])
        self.assert_fetched_once(upstreams)

    @threaded
    def test_dnf_over_tls(self) -> None:
        """With dnf, packages install over TLS if a private authority vouches for us."""
        self.site.publish(snapshots()[0])
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url, certificates=self.certificates)
        url = f"{server.tls_url}{OSS}/"
        dnf = Dnf(self.place("root"), url, certificates=self.certificates)
        self.assert_installs(dnf, snapshots()[0])
        self.assert_fetched_once(upstreams)

    @threaded
    def test_one_copy_for_all(self) -> None:
        """
        Both clients, with TLS and without, share one copy of each file, though they escape names
        differently.
        """
        self.site.publish(snapshots()[0])
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url, certificates=self.certificates)
        for kind in (Zypper, Dnf):
            self.assert_installs(kind(self.place("root"), f"{server.url}{OSS}/"), snapshots()[0])
            url = f"{server.tls_url}{OSS}/"
            self.assert_installs(
                kind(self.place("root"), url, certificates=self.certificates), snapshots()[0]
            )
        self.assert_fetched_once(upstreams)

    @threaded
    def test_repository_of_the_build_service(self) -> None:
        """A repository with a colon in its path and no media.1/media installs; its 404 is kept."""
        bare = snapshots()[0].without_media()
        self.site.publish(bare, OBS)
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url)
        for kind in (Zypper, Zypper, Dnf):
            self.assert_installs(kind(self.place("root"), f"{server.url}{OBS}/"), bare)

        def only_with_the_index() -> bool:
            asked = Counter(line.path for line in upstreams.authority.logged())
            missing, looks = (asked[f"{OBS}/{name}"] for name in ("media.1/media", CORE[2]))
            return 0 < missing == looks

        until(only_with_the_index, "nobody has had it asked for but looks at the index")

    @threaded
    def test_what_upstream_is_asked(self) -> None:
        """Upstream is asked for plain files without encodings, not for zypper's metalinks."""
        self.site.publish(snapshots()[0])
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url)
        Zypper(self.place("root"), f"{server.url}{OSS}/").refresh()
        lines = until(
            lambda: [line for nginx in upstreams.all for line in nginx.logged()], "logged"
        )
        # What the redirector passes on to the authority has lost no field of interest.
        self.assertEqual({line.accept for line in lines}, {"*/*"})
        self.assertEqual({line.encoding for line in lines}, {"identity"})
        self.assertEqual({line.agent[:4] for line in lines}, {"ZYpp"})
