"""
Images that are asked for by an alias, as curl does: nginx redirects, as openSUSE's redirector does
for symbolic links, to the name that the image has today.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.fsck import fsck
from tests.integration.nginx import Nginx
from tests.integration.packages import pattern
from tests.integration.tools import require, run, threaded, until

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

#: More than a connection takes that nobody reads from.
_SIZE = 24_000_000
_ALIAS = "/iso/dvd-Current.iso"
_REDIRECTOR = """
absolute_redirect off;
limit_rate 24m;
root {root};
location = {alias} {{
    if (-f {root}/second) {{ return 302 dvd-Build2.iso; }}
    return 302 dvd-Build1.iso;
}}
"""


def real(number: int) -> str:
    """Give the path of an image by its real name."""
    return f"/iso/dvd-Build{number}.iso"


class AliasTests(IntegrationCase):
    """Two names, one image, one transfer."""

    def setUp(self) -> None:
        """Need curl and du; have two images, and an alias of the first."""
        require("curl")
        require("du")
        super().setUp()
        for number in (1, 2):
            self.site.write(real(number), pattern(_SIZE, seed=number))
        root = self.site.root.absolute()
        # nginx makes its tags of the time and the length.
        for number in (1, 2):
            os.utime(f"{root}{real(number)}", (number * 1e6, number * 1e6))
        self.nginx = Nginx(self.place("nginx"), _REDIRECTOR.format(root=root, alias=_ALIAS))
        self.addCleanup(self.nginx.close)
        self.nginx.start()

    def server(self, fresh: float = 3600.0) -> Osproxy:
        """Start a server that keeps images, and takes them for fresh so long."""
        return self.osproxy(self.nginx.url, "--cache-large-objects", freshness={"image": fresh})

    def curl(self, server: Osproxy, path: str, number: int) -> str:
        """Have curl fetch a file, see which image it is, and return what Cache-Status says."""
        head, body = self.directory / "curl-head", self.directory / "curl-body"
        run(["curl", "--silent", "--fail", "-D", head, "-o", body, f"{server.url}{path}"])
        self.assertTrue(body.read_bytes() == pattern(_SIZE, seed=number), path)
        server.settle()
        lines = head.read_text().lower().splitlines()
        return next(line for line in lines if line.startswith("cache-status:"))

    def hits(self, server: Osproxy, number: int, *paths: str) -> None:
        """See that these are served without a question."""
        self.nginx.forget()
        for path in paths:
            self.assertIn("; hit", self.curl(server, path, number))
        self.assertEqual(self.nginx.logged(), [])

    def transferred(self, *paths: str) -> int:
        """Count the octets of bodies, once these were asked for, and forget them."""
        until(lambda: {line.path for line in self.nginx.logged()} >= {*paths}, "it is logged")
        octets = sum(line.sent for line in self.nginx.logged() if line.status == 200)
        self.nginx.forget()
        return octets

    def assert_bodies(self, server: Osproxy, count: int) -> None:
        """Ask du, which counts a file once however many links it has."""
        said = run(["du", "--bytes", "--summarize", server.store / "entries"]).out
        self.assertEqual(int(said.split()[0]) // _SIZE, count)
        self.assert_ledger_is_right(server)

    @threaded
    def test_alias_first(self) -> None:
        """The real name is a hit, over restarts, also without the catalogue."""
        server = self.server()
        self.assertIn("fwd=uri-miss", self.curl(server, _ALIAS, 1))
        self.assertEqual(self.transferred(_ALIAS, real(1)), _SIZE)
        for lost in (False, True):
            self.hits(server, 1, real(1), _ALIAS)
            self.assert_bodies(server, 1)
            self.assertEqual(server.stop(), 0)
            if lost:
                for file in server.store.glob("catalogue.*"):
                    file.unlink()
            server.start()
            until(lambda: server.status().entries == 2, "all is listed")
        self.hits(server, 1, real(1), _ALIAS)
        for path in (real(1), _ALIAS):
            head = server.fetch(path, method="HEAD")
            self.assertEqual((head.status, head.field("content-length")), (200, str(_SIZE)))
            tag = head.field("etag") or ""
            part = server.fetch(path, {"Range": "bytes=1000-1999", "If-Range": tag})
            self.assertEqual((part.status, part.body), (206, pattern(_SIZE, seed=1)[1000:2000]))
            self.assertEqual(server.fetch(path, {"If-None-Match": tag}).status, 304)
        server.stop()
        found = fsck(self.directory, "--cache-path", server.cache_path)
        self.assertEqual((found.code, found.out.split(",")[0]), (0, "2 entries"), found.all)

    @threaded
    def test_real_name_first(self) -> None:
        """The alias brings nothing but a head, whoever asks at the same time."""
        server = self.server()
        self.curl(server, real(1), 1)
        self.assertEqual(self.transferred(real(1)), _SIZE)
        answers = self.at_once(*[lambda: server.fetch(_ALIAS)] * 4)
        for answer in answers:
            self.assertTrue(answer.complete and answer.body == pattern(_SIZE, seed=1), answer)
            self.assertRegex(answer.cache_status.lower(), "; hit|fwd=uri-miss; fwd-status=200")
        self.assertLess(self.transferred(_ALIAS, real(1)), _SIZE * 3 // 4)
        self.hits(server, 1, _ALIAS, real(1))
        self.assert_bodies(server, 1)

    @threaded
    def test_moves_on(self) -> None:
        """The alias is the new image, which comes once; the old one stays under its own name."""
        for stored in (False, True):
            (self.site.root / "second").unlink(missing_ok=True)
            server = self.server(fresh=0.0)
            self.curl(server, _ALIAS, 1)
            if stored:
                self.curl(server, real(2), 2)
            (self.site.root / "second").touch()
            self.nginx.forget()
            self.assertIn("fwd=stale", self.curl(server, _ALIAS, 2))
            octets = self.transferred(_ALIAS, real(2))
            if stored:
                self.assertLess(octets, _SIZE * 3 // 4)
            else:
                self.assertEqual(octets, _SIZE)
            for path, number in ((real(1), 1), (real(2), 2), (_ALIAS, 2)):
                self.curl(server, path, number)
            self.assertEqual(self.transferred(_ALIAS, real(1), real(2)), 0)
            self.assert_bodies(server, 2)
            server.close()

    @threaded
    def test_authority_away(self) -> None:
        """Both names are served stale."""
        server = self.server(fresh=0.0)
        self.curl(server, _ALIAS, 1)
        self.nginx.stop()
        for path in (_ALIAS, real(1)):
            self.assertIn("stale", self.curl(server, path, 1))

    @threaded
    def test_not_kept(self) -> None:
        """Where images are not kept, nothing is."""
        server = self.osproxy(self.nginx.url)
        self.curl(server, _ALIAS, 1)
        self.assertEqual(server.status().entries, 0)
