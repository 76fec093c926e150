"""
Requests, good and bad, as octets on a connection.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import OSS, snapshots
from tests.integration.scripted import response, saying
from tests.integration.tools import threaded, until

if TYPE_CHECKING:
    import socket

    from tests.integration.scripted import Question

_TARGET = "/x/noarch/a-1-1.noarch.rpm"
_METALINK = "*/*, application/metalink+xml, application/metalink4+xml"


class RequestTests(IntegrationCase):
    """Methods, targets and what comes back."""

    @threaded
    def test_methods(self) -> None:
        """GET and HEAD are answered; other methods are 405 and say which are allowed."""
        self.site.write(_TARGET, b"content")
        server = self.osproxy(self.file_server().url)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"):
            answer = server.fetch(_TARGET, {"Content-Length": "0"}, method)
            self.assertEqual(answer.status, 405, method)
            self.assertEqual(answer.field("Allow"), "GET, HEAD")
        answer = server.fetch("cdn.opensuse.org:443", method="CONNECT")
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.field("Allow"), "GET, HEAD")
        self.assertRegex(answer.body, b"http://|baseurl")

    @threaded
    def test_head(self) -> None:
        """HEAD has the true length, fetches by HEAD and stores nothing."""
        self.site.write(_TARGET, b"content")
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        answer = server.fetch(_TARGET, method="HEAD")
        self.assertEqual((answer.status, answer.field("Content-Length")), (200, "7"))
        until(nginx.logged, "nginx has logged")
        self.assertEqual([line.method for line in nginx.logged()], ["HEAD"])
        self.assertEqual(server.status().entries, 0)
        server.fetch(_TARGET)
        server.settle()
        answer = server.fetch(_TARGET, method="HEAD")
        self.assertEqual((answer.status, answer.field("Content-Length")), (200, "7"))
        self.assertTrue(answer.cache_status.startswith("osproxy; hit"))

    @threaded
    def test_head_of_an_index(self) -> None:
        """HEAD of repomd.xml has the true length and begins the fill of its set."""
        first, _ = snapshots()
        self.site.publish(first)
        server = self.osproxy(self.upstreams().url)
        answer = server.fetch(f"{OSS}/repodata/repomd.xml", method="HEAD")
        length = (first.directory / "repodata" / "repomd.xml").stat().st_size
        self.assertEqual((answer.status, answer.field("Content-Length")), (200, str(length)))
        until(lambda: server.status().entries >= 1, "it is stored")

    @threaded
    def test_absolute_form(self) -> None:
        """Absolute targets for a backend's hosts share its entries; other hosts are 403."""
        self.site.write(_TARGET, b"content")
        nginx = self.file_server()
        server = self.osproxy(
            nginx.url, hosts=["cdn.opensuse.org", "download.opensuse.org", "other:8080"]
        )
        self.assertEqual(server.fetch(_TARGET).body, b"content")
        server.settle()
        for target in (
            f"http://cdn.opensuse.org{_TARGET}",
            f"http://download.opensuse.org:80{_TARGET}",
            f"https://Download.openSUSE.org:443{_TARGET}",
            f"http://other:8080{_TARGET}",
        ):
            answer = server.fetch(target)
            self.assertEqual(answer.body, b"content", target)
            self.assertTrue(answer.cache_status.startswith("osproxy; hit"), target)
        for target in (
            f"http://evil.example{_TARGET}",
            f"http://other:9090{_TARGET}",
            f"http://127.0.0.1:22{_TARGET}",
        ):
            self.assertEqual(server.fetch(target).status, 403, target)
        self.assertEqual(server.fetch(f"ftp://cdn.opensuse.org{_TARGET}").status // 100, 4)

    @threaded
    def test_spellings(self) -> None:
        """All spellings of a path are one file, and upstream gets one of them."""
        path = "/repositories/home:/x/noarch/libdemo++-1~rc1^git-1.noarch.rpm"
        self.site.write(path, b"content")
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        for target in (
            path,
            "/repositories/home%3A/x/noarch/libdemo%2B%2B-1%7Erc1%5Egit-1.noarch.rpm",
            "/repositories/home%3a/x/noarch/libdemo%2b%2b-1~rc1%5egit-1.noarch.rpm",
            "//repositories//home:/x/./noarch/../noarch/libdemo++-1~rc1^git-1.noarch%2erpm",
            "/repositories/home:/x/y/%2E%2e/noarch/libdemo++-1~rc1^git-1.noarch.rpm",
            f"{path}?key=value",
        ):
            answer = server.fetch(target)
            self.assertEqual((answer.status, answer.body), (200, b"content"), target)
        until(nginx.logged, "nginx has logged")
        self.assertEqual(len(nginx.logged()), 1, nginx.logged())

    @threaded
    def test_bad_targets(self) -> None:
        """What escapes the root, or is no path at all, is 400, and upstream hears nothing."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        for target in (
            "/../etc/passwd",
            "/a/../../etc/passwd",
            "/%2e%2E/etc/passwd",
            "/a%zz",
            "/a%2",
            "/a%00b",
            "/a%0ab",
            "a",
        ):
            self.assertEqual(server.fetch(target).status, 400, target)
        self.assertEqual(nginx.logged(), [])

    @threaded
    def test_dot_segments_go_before_the_prefix(self) -> None:
        """A path that leaves a backend's prefix by dots is not that backend's."""
        self.site.write("/one/a.rpm", b"one")
        self.site.write("/two/a.rpm", b"two")
        nginx = self.file_server()
        backends = f'[backend."/b"]\nauthority = "{nginx.url}/two"\n'
        server = self.osproxy(f"{nginx.url}/one", backends=backends)
        self.assertEqual(server.fetch("/b/../a.rpm").body, b"one")
        self.assertEqual(server.fetch("/b/a.rpm").body, b"two")

    @threaded
    def test_encoded_slashes_stay(self) -> None:
        """%2F and %5C reach upstream as they are, unless they lead out of a folder there."""
        upstream = self.scripted(saying(response("200 OK", b"it")))
        server = self.osproxy(upstream.url)
        for target in ("/x/a%2Fb.rpm", "/x/a%5Cb.rpm"):
            self.assertEqual(server.fetch(target).status, 200)
        for target in ("/x/%2E%2E%2Fa.rpm", "/x/..%5Ca.rpm"):
            self.assertEqual(server.fetch(target).status, 400)
        asked = [question.target for question in upstream.asked]
        self.assertEqual(asked, ["/x/a%2Fb.rpm", "/x/a%5Cb.rpm"])

    @threaded
    def test_own_answers(self) -> None:
        """/geoip is 204, a folder's mirror list is empty, robots.txt is ours."""
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        self.assertEqual(server.fetch("/geoip").status, 204)
        folder = server.fetch("/tumbleweed/repo/oss/?mirrorlist")
        self.assertEqual((folder.status, json.loads(folder.body)), (200, []))
        self.assertEqual(server.fetch("/robots.txt").status, 200)
        self.assertEqual(nginx.logged(), [])

    @threaded
    def test_questions_about_mirrors(self) -> None:
        """Metalinks and mirror lists of files pass through and are never kept."""
        metalink = response("200 OK", b"metalink", Content_Type="application/metalink4+xml")
        upstream = self.scripted(saying(metalink))
        server = self.osproxy(upstream.url)
        asked = [f"{_TARGET}?{query}" for query in ("metalink", "meta4", "mirrorlist")]
        asked += [f"{_TARGET}.{suffix}" for suffix in ("metalink", "meta4", "mirrorlist")]
        for target in asked:
            for _ in range(2):
                self.assertEqual(server.fetch(target).body, b"metalink", target)
            self.assertEqual(upstream.count(target), 2, target)
        self.assertEqual(server.status().entries, 0)

    @threaded
    def test_metalink_accept(self) -> None:
        """An Accept that welcomes metalinks is not passed on, and gets the file itself."""

        def answer(question: Question, connection: socket.socket) -> None:
            metalink = "metalink" in question.fields.get("accept", "")
            connection.sendall(response("200 OK", b"<metalink/>" if metalink else b"content"))

        server = self.osproxy(self.scripted(answer).url)
        self.assertEqual(server.fetch(_TARGET, {"Accept": _METALINK}).body, b"content")
