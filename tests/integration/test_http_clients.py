"""
Clients that ask for parts of files, or whether they have changed: curl, wget, aria2, zckdl, apt.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import threading
from typing import TYPE_CHECKING

from attrs import frozen

from tests.byteranges import parts_of
from tests.integration import debian
from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern, sha256_of
from tests.integration.scripted import pausing
from tests.integration.tools import find, require, run, threaded, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.server import Osproxy

_TARGET = "/tumbleweed/repo/oss/x86_64/large-1.0-1.1.x86_64.rpm"
_MODIFIED = 1_700_000_000
_LINE = re.compile(r'"GET (\S+) \S+" (\d+) (\d+) ')


@frozen
class Served:
    """What osproxy's own log says of a GET."""

    status: int
    octets: int


class HttpClientCase(IntegrationCase):
    """A file that was last changed long ago, and a client's directory."""

    def setUp(self) -> None:
        """Have a place where the client keeps what it gets."""
        super().setUp()
        self.kept = self.directory / "kept"
        self.kept.mkdir()

    def put(self, content: bytes, target: str = _TARGET, modified: float = _MODIFIED) -> str:
        """Publish a file and return its digest."""
        digest = self.site.write(target, content)
        os.utime(self.site.root / target.lstrip("/"), (modified, modified))
        return digest

    def served(self, server: Osproxy, count: int, target: str = _TARGET) -> list[Served]:
        """Wait until so many answers are logged, and return them in order."""

        def found() -> list[Served]:
            lines = filter(None, map(_LINE.search, server.logged()))
            return [Served(int(line[2]), int(line[3])) for line in lines if line[1] == target]

        until(lambda: len(found()) >= count, f"{count} answers are logged")
        return found()

    def partial(self, name: str, content: bytes) -> Path:
        """Leave the beginning of a file where a client will find it, with the date of the whole."""
        path = self.kept / name
        path.write_bytes(content)
        os.utime(path, (_MODIFIED, _MODIFIED))
        return path


class CurlTests(HttpClientCase):
    """What curl meets."""

    def curl(self, *arguments: str | Path, code: int = 0) -> str:
        """Run curl, and return what it writes out."""
        require("curl")
        done = run(["curl", "--silent", "--show-error", *arguments], check=False)
        self.assertEqual(done.code, code, done.all)
        return done.out

    @threaded
    def test_ranges(self) -> None:
        """With -r, curl gets the octets it names, be it one range or many."""
        content = pattern(3_000_000)
        self.put(content)
        server = self.osproxy(self.file_server().url)
        file = self.kept / "file"
        for asked, expected in (
            ("1000-1999", content[1000:2000]),
            ("2900000-", content[2_900_000:]),
            ("-7", content[-7:]),
            ("0-499,500-999", content[:1000]),
        ):
            written = self.curl("-r", asked, "-o", file, "-w", "%{http_code}", server.url + _TARGET)
            self.assertEqual((written, file.read_bytes()), ("206", expected), asked)
        self.assert_parts(content, server.url + _TARGET)
        served = self.served(server, 5)
        self.assertEqual({answer.status for answer in served}, {206})
        self.assertEqual(served[-1].octets, (self.kept / "parts").stat().st_size)
        beyond = self.curl("-r", "3000000-", "-w", "%{http_code}", server.url + _TARGET)
        self.assertEqual(beyond, "416")

    def assert_parts(self, content: bytes, url: str) -> None:
        """Ask for three ranges of three million octets, and check the parts that come."""
        spans = ((0, 10), (1_000_000, 1_500_000), (2_999_999, 3_000_000))
        asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
        file, head = self.kept / "parts", self.kept / "head"
        self.curl("-r", asked, "-o", file, "-D", head, url)
        said = re.search(r"(?im)^content-type: (.*)\r$", head.read_bytes().decode())
        assert said is not None
        # nginx, unlike us, begins with the end of a line that is not there.
        parts = parts_of(said[1], file.read_bytes().removeprefix(b"\r\n"))
        self.assertEqual([(part.start, part.stop) for part in parts], list(spans))
        for part in parts:
            self.assertEqual((part.length, part.body), (3_000_000, content[part.start : part.stop]))

    @threaded
    def test_passed_on(self) -> None:
        """Parts of what is not kept are the upstream's, and come as it sent them."""
        content = pattern(3_000_000)
        target = "/distribution/leap/15.6/iso/openSUSE-Leap-15.6-DVD-x86_64-Build1.iso"
        self.put(content, target)
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        self.assert_parts(content, server.url + target)
        (answer,) = self.served(server, 1, target)
        self.assertEqual(
            (answer.status, answer.octets), (206, (self.kept / "parts").stat().st_size)
        )
        (asked,) = nginx.logged()
        self.assertEqual(asked.range, "bytes=0-9,1000000-1499999,2999999-2999999")

    @threaded
    def test_continued(self) -> None:
        """With -C, curl gets the rest of what was cut off, and no octet of what it has."""
        content, goes_on = pattern(10_000_000), threading.Event()
        digest = hashlib.sha256(content).hexdigest()
        self.addCleanup(goes_on.set)
        server = self.osproxy(self.scripted(pausing(content, 5_000_000, goes_on)).url)
        file = self.kept / "file"
        command = [find("curl"), "--silent", "--no-buffer", "-o", str(file), server.url + _TARGET]
        with subprocess.Popen(command) as process:
            until(lambda: file.exists() and file.stat().st_size > 1_000_000, "some has come")
            process.kill()
        had = file.stat().st_size
        self.assertTrue(0 < had < len(content), had)
        goes_on.set()
        self.curl("-C", "-", "-o", file, server.url + _TARGET)
        self.assertEqual(sha256_of(file), digest)
        rest = self.served(server, 2)[-1]
        self.assertEqual(rest, Served(206, len(content) - had))
        # Who has it all asks for what is behind the end.
        self.curl("-C", "-", "-o", file, server.url + _TARGET)
        self.assertEqual(sha256_of(file), digest)
        self.assertEqual(self.served(server, 3)[-1], Served(416, 0))

    @threaded
    def test_entity_tag(self) -> None:
        """With --etag-compare, curl gets no octet of what it has, and all of what has changed."""
        digest = self.put(pattern(2_000_000))
        server = self.osproxy(self.file_server().url, freshness={"package": 0})
        file, tag = self.kept / "file", self.kept / "tag"

        def ask() -> str:
            said = ("-w", "%{http_code} %{size_download}", server.url + _TARGET)
            return self.curl("--etag-compare", tag, "--etag-save", tag, "-o", file, *said)

        self.assertEqual((ask(), sha256_of(file)), ("200 2000000", digest))
        server.settle()
        self.assertRegex(tag.read_text().strip(), r'^"[0-9a-f]+"$')
        self.assertEqual((ask(), sha256_of(file)), ("304 0", digest))
        digest = self.put(pattern(1_000_000, seed=1), modified=_MODIFIED + 3600)
        self.assertEqual((ask(), sha256_of(file)), ("200 1000000", digest))

    @threaded
    def test_date(self) -> None:
        """With -z, curl gets what is younger than what it has, and nothing else."""
        digest = self.put(pattern(2_000_000))
        server = self.osproxy(self.file_server().url)
        file = self.kept / "file"
        said = ("-w", "%{http_code} %{size_download}", server.url + _TARGET)
        self.assertEqual(self.curl("-R", "-o", file, *said), "200 2000000")
        self.assertEqual(file.stat().st_mtime, _MODIFIED)
        self.assertEqual(self.curl("-R", "-z", file, "-o", file, *said), "304 0")
        self.assertEqual(sha256_of(file), digest)
        os.utime(file, (_MODIFIED - 1, _MODIFIED - 1))
        self.assertEqual(self.curl("-R", "-z", file, "-o", file, *said), "200 2000000")


class WgetTests(HttpClientCase):
    """What wget meets."""

    def wget(self, *arguments: str | Path) -> str:
        """Run wget where its files are kept, and return what it says."""
        require("wget")
        return run(["wget", "--no-verbose", "--no-proxy", *arguments], directory=self.kept).err

    @threaded
    def test_continued(self) -> None:
        """With -c, wget gets the rest of what it has the beginning of."""
        content = pattern(5_000_000)
        digest = self.put(content)
        server = self.osproxy(self.file_server().url)
        file = self.partial(_TARGET.split("/")[-1], content[:3_000_000])
        self.wget("-c", server.url + _TARGET)
        self.assertEqual(sha256_of(file), digest)
        self.assertEqual(self.served(server, 1), [Served(206, 2_000_000)])
        # Who has it all is told so.
        self.wget("-c", server.url + _TARGET)
        self.assertEqual(sha256_of(file), digest)
        self.assertEqual(self.served(server, 2)[-1], Served(416, 0))

    @threaded
    def test_newer(self) -> None:
        """With -N, wget gets what is younger than what it has, and nothing else."""
        digest = self.put(pattern(1_000_000))
        server = self.osproxy(self.file_server().url)
        file = self.kept / _TARGET.split("/")[-1]
        for _ in range(2):
            self.wget("-N", server.url + _TARGET)
            self.assertEqual((sha256_of(file), file.stat().st_mtime), (digest, _MODIFIED))
        self.assertEqual(self.served(server, 2), [Served(200, 1_000_000), Served(304, 0)])
        os.utime(file, (_MODIFIED - 1, _MODIFIED - 1))
        self.wget("-N", server.url + _TARGET)
        self.assertEqual(self.served(server, 3)[-1], Served(200, 1_000_000))


class AriaTests(HttpClientCase):
    """What aria2 meets, which asks for many parts of a file at once."""

    @threaded
    def test_eight_connections(self) -> None:
        """Eight parts at once make the whole file, be it still coming or there already."""
        require("aria2c")
        content = pattern(60_000_000)
        digest = self.put(content)
        nginx = self.file_server(limit_rate="20000000")
        server = self.osproxy(nginx.url)
        for name in ("cold", "warm"):
            run(
                ["aria2c", "-x8", "-s8", "-k1M", "--no-conf", "--all-proxy=", "--no-netrc",
                 "--file-allocation=none", f"--out={name}", server.url + _TARGET],
                directory=self.kept,
            )  # fmt: skip
            self.assertEqual(sha256_of(self.kept / name), digest, name)
            server.settle()
        # It hangs up on a part when another connection has come to where that began.
        statuses = [answer.status for answer in self.served(server, 16)]
        self.assertEqual(set(statuses) | {499}, {206, 499}, statuses)
        self.assertEqual([line.range for line in nginx.logged()].count(""), 1)


class ZchunkTests(HttpClientCase):
    """What the readers of zchunk meet, here zckdl with the code that dnf has as well."""

    def chunks(self, *states: int) -> Path:
        """Make a file of 700 chunks, each in the next of these states."""
        records = [
            b"<package " + random.Random(number * 10 + states[number % len(states)]).randbytes(2000)
            for number in range(700)
        ]
        path = self.place("primary.xml")
        path.write_bytes(b"<metadata>\n" + b"".join(records))
        packed = path.with_suffix(".zck")
        run(["zck", "-m", "-s", "<package", "-o", packed, path])
        return packed

    @threaded
    def test_missing_chunks(self) -> None:
        """
        Of 350 chunks that are missing, each between two that are not, 255 are asked for at once and
        come, while the file is still coming and when it is there.
        """
        require("zck", "zckdl")
        old, new = self.chunks(0), self.chunks(0, 1)
        content = new.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        target = f"/tumbleweed/repo/oss/repodata/{digest}-primary.xml.zck"
        self.put(content, target)
        nginx = self.file_server(limit_rate="800000")
        server = self.osproxy(nginx.url)
        for _ in range(2):
            place = self.place("zckdl")
            place.mkdir()
            run(
                ["zckdl", "--fail-no-ranges", "--source", old, server.url + target],
                directory=place,
            )
            (file,) = place.iterdir()
            self.assertEqual(sha256_of(file), digest)
            server.settle()
        served = self.served(server, 8, target)
        # Lead, header, and two requests for chunks; each time the same.
        self.assertEqual([answer.status for answer in served], [206] * 8)
        self.assertEqual(served[:4], served[4:])
        self.assertLess(sum(answer.octets for answer in served[:4]), len(content) * 0.6)
        self.assertEqual([line.range for line in nginx.logged()], [""])


class AptTests(HttpClientCase):
    """What apt meets, by a backend of its own."""

    @threaded
    def test_update_and_download(self) -> None:
        """Indexes come once, then have not changed; a package goes on where it was cut off."""
        package = debian.publish(self.site, "/debian", self.place("workshop"))
        nginx = self.file_server()
        authority = f'[backend."/deb"]\nauthority = "{nginx.url}/debian"\n'
        server = self.osproxy(None, backends=authority)
        apt = debian.Apt(self.place("apt"), f"{server.url}/deb")
        apt.update()
        apt.update()
        release = "/deb/dists/stable/Release"
        statuses = [answer.status for answer in self.served(server, 2, release)]
        self.assertEqual(statuses, [200, 304])
        name = package.path.split("/")[-1]
        content = (self.site.root / package.path.lstrip("/")).read_bytes()
        beginning = apt.archives / "partial" / name
        beginning.write_bytes(content[:1_000_000])
        os.utime(beginning, (debian.MODIFIED, debian.MODIFIED))
        apt.download()
        self.assertEqual(sha256_of(apt.archives / name), package.digest)
        target = "/deb" + package.path.removeprefix("/debian")
        rest = Served(206, package.length - 1_000_000)
        self.assertEqual(self.served(server, 1, target), [rest])

        # Of another date the beginning is of another file: If-Range says so, and all of it comes.
        (apt.archives / name).unlink()
        beginning.write_bytes(bytes(1_000_000))
        os.utime(beginning, (debian.MODIFIED - 3600, debian.MODIFIED - 3600))
        apt.download()
        self.assertEqual(sha256_of(apt.archives / name), package.digest)
        self.assertEqual(self.served(server, 2, target), [rest, Served(200, package.length)])
