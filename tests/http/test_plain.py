"""Tests of `osproxy.http.plain`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import first, without
from osproxy.http.lines import BadMessage
from osproxy.http.messages import End, parse_request_head
from osproxy.http.plain import LONGEST, PlainRequest, plain_request
from tests.http.support import FIELDS, PIECES, TARGETS, VALUES

ZYPPER = (
    "Host: download.opensuse.org",
    "User-Agent: ZYpp 17.37.17 (curl 8.14.1) openSUSE-Leap-16.0-x86_64",
    "X-ZYpp-AnonymousId: 1b9ca7c5-f3b6-4d53-8c26-6c6a3b1c6b4a",
    "X-ZYpp-DistributionFlavor: appliance-kvm",
    "Accept: */*",
)
_NAMES = st.sampled_from(
    (
        *("Host", "host", "User-Agent", "Accept", "Accept-Encoding", "Referer", "X-ZYpp-Any"),
        *("Connection", "Range", "Content-Length", "If-None-Match", "X"),
    )
)
_SAID = st.sampled_from(("x", "keep-alive", "Keep-Alive", "close", "0", "", "a, b")) | VALUES


def request(*lines: str, first: str = "GET /a-1.rpm HTTP/1.1", host: bool = True) -> bytes:
    """Write a request of these lines."""
    hosts = ("Host: x",) if host else ()
    return "\r\n".join((first, *hosts, *lines, "", "")).encode("latin-1")


class PlainTests(SynchronousTestCase):
    """What is plain."""

    def test_zypper(self) -> None:
        """What package managers send is, and what a log wants to know of it is told."""
        self.assertEqual(
            plain_request(request(*ZYPPER, "Referer: http://x/", host=False)),
            PlainRequest(
                b"/a-1.rpm", "ZYpp 17.37.17 (curl 8.14.1) openSUSE-Leap-16.0-x86_64", "http://x/"
            ),
        )
        for line in ("Connection: Keep-Alive", "Accept-Encoding: gzip", "accept-language: de"):
            self.assertEqual(plain_request(request(line)), PlainRequest(b"/a-1.rpm", None, None))

    def test_not_plain(self) -> None:
        """What means anything else, or may do, is not."""
        for line in (
            "Range: bytes=0-1",
            "If-Range: x",
            "If-None-Match: x",
            "If-Modified-Since: x",
            "Cache-Control: no-cache",
            "Pragma: no-cache",
            "Connection: close",
            "Connection: keep-alive, close",
            "Connection: keep-alive\r\nConnection: close",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Via: 1.1 x",
            "Forwarded: for=192.0.2.1",
            "X-Forwarded-For: 192.0.2.1",
            "Authorization: x",
            "Cookie: x",
            "Upgrade: h2c",
            "Something: new",
        ):
            self.assertIsNone(plain_request(request(line)), line)
        for line in (
            "HEAD / HTTP/1.1",
            "GET / HTTP/1.0",
            "GET http://x/ HTTP/1.1",
            "GET * HTTP/1.1",
            "GET /a?b HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET  / HTTP/1.1",
        ):
            self.assertIsNone(plain_request(request(first=line)), line)

    def test_not_alone(self) -> None:
        """A part of a head is not, nor one with anything before or behind it, or too long a one."""
        whole = request(*ZYPPER, host=False)
        self.assertIsNotNone(plain_request(whole))
        for octets in (whole[:-1], whole[:20], b"", b"\r\n" + whole, whole + b"G", whole + whole):
            self.assertIsNone(plain_request(octets), octets)
        room = LONGEST - len(request("User-Agent: "))
        self.assertIsNotNone(plain_request(request("User-Agent: " + room * "x")))
        self.assertIsNone(plain_request(request("User-Agent: " + room * "x" + "x")))

    def test_bad(self) -> None:
        """What would be refused is not."""
        for octets in (
            request(host=False),
            request("Host: y"),
            request("A : b"),
            request("Accept: a\r\n b"),
            request().replace(b"\r\n", b"\n"),
        ):
            self.assertRaises(BadMessage, parse_request_head, octets)
            self.assertIsNone(plain_request(octets))

    def agrees(self, octets: bytes) -> None:
        """See that what is plain is read as others are, and that this is all there is to it."""
        plain = plain_request(octets)
        if plain is None:
            return
        head = parse_request_head(octets)
        said = PlainRequest(
            head.target, first(head.fields, "user-agent"), first(head.fields, "referer")
        )
        self.assertEqual(plain, said)
        self.assertEqual((head.method, head.version, head.framing), ("GET", (1, 1), End.NO_BODY))
        self.assertTrue(head.persistent)
        self.assertEqual(head.expectations, set())
        left = without(
            head.fields,
            *("host", "user-agent", "referer", "accept", "accept-encoding", "accept-language"),
        )
        for name, value in left:
            known = (name.lower(), value.lower()) == ("connection", "keep-alive")
            self.assertTrue(known or name.lower().startswith("x-zypp-"), name)

    @given(TARGETS, st.lists(st.tuples(_NAMES, _SAID), max_size=5) | FIELDS)
    def test_read_as_others_are(self, target: bytes, fields: list[tuple[str, str]]) -> None:
        """Whatever is plain is read as any request is."""
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: x"]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in fields]
        self.agrees(b"\r\n".join((*lines, b"", b"")))

    @given(PIECES)
    def test_hostile(self, octets: bytes) -> None:
        """Whatever comes, nothing is raised, and what is plain is read as any request is."""
        self.agrees(octets)
        self.agrees(b"GET / HTTP/1.1\r\nHost: x\r\n" + octets + b"\r\n\r\n")
