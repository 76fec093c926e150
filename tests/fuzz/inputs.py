"""Inputs: good and bad messages, and what becomes of them when they are mangled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

REQUESTS = (
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x.example:80/a?b HTTP/1.1\r\nHost: x.example\r\nAccept: */*\r\n\r\n",
    b"GET /a HTTP/1.0\r\n\r\n",
    b"HEAD /%41 HTTP/1.1\r\nHost: [::1]:8080\r\nRange: bytes=0-5\r\nConnection: close\r\n\r\n",
    b"\r\nOPTIONS * HTTP/1.1\r\nHost:\r\nX-Empty:\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    b"A;x=y\r\n0123456789\r\n1\r\n\n\r\n0\r\nTrailer: t\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 29\r\n\r\n"
    b"GET /b HTTP/1.1\r\nHost: y\r\n\r\n\r\n",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n z\r\n\r\n",
    b"HTTP/1.0 302 \r\nLocation: http://x/\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5, 5\r\n\r\n',
    b"HTTP/1.1 204\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
)
CHUNKED = (
    b"3\r\nabc\r\n0\r\n\r\n",
    b'00a;x="y;z"\r\n0123456789\r\n1\r\n\r\r\n0;last\r\nT: u\r\nV:\r\n\r\nGET',
    b"FFFFFFFFFFFFFFFF\r\nabc",
    b"1\r\na\r\n" * 50 + b"0\r\n\r\n",
)

# More than any limit of ours.
_AT_MOST = 100_000

_WORDS = (
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x85",
    b"\xa0",
    b"\xff",
    b":",
    b",",
    b";",
    b'"',
    b"0",
    b"0\r\n\r\n",
    b"-1",
    b"+1",
    b"0x10",
    b"99999999999999999999",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"Host: x\r\n",
    b"Host: y\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length : 5\r\n",
    b"content-length:7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"X: " + b"x" * 9000 + b"\r\n",
)


def mangled(random: Random, seeds: tuple[bytes, ...]) -> bytes:
    """Make an input of some of these."""
    octets = b"".join(random.choices(seeds, k=random.choice((1, 1, 1, 2, 3))))
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        octets = random.choice(_WAYS)(random, octets)[:_AT_MOST]
    return octets


def pieces(random: Random, octets: bytes) -> list[bytes]:
    """Cut an input as a network might."""
    if random.random() < 0.1:
        return [bytes((octet,)) for octet in octets]
    cuts = sorted(random.choices(range(len(octets) + 1), k=random.randrange(6)))
    return [
        octets[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(octets)], strict=True)
    ]


def _insert(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets) + 1)
    return octets[:at] + random.choice(_WORDS) + octets[at:]


def _insert_line(random: Random, octets: bytes) -> bytes:
    lines = octets.split(b"\r\n")
    lines.insert(random.randrange(len(lines) + 1), random.choice(_WORDS).removesuffix(b"\r\n"))
    return b"\r\n".join(lines)


def _replace(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets) + 1)
    return octets[:at] + random.choice(_WORDS) + octets[at + random.randrange(4) :]


def _change(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets) + 1)
    return octets[:at] + bytes((random.randrange(256),)) + octets[at + 1 :]


def _drop(random: Random, octets: bytes) -> bytes:
    at = random.randrange(len(octets) + 1)
    return octets[:at] + octets[at + random.choice((1, 1, 2, 5, 20)) :]


def _cut(random: Random, octets: bytes) -> bytes:
    return octets[: random.randrange(len(octets) + 1)]


def _repeat(random: Random, octets: bytes) -> bytes:
    start = random.randrange(len(octets) + 1)
    stop = start + random.choice((1, 2, 5, 20))
    return octets[:stop] + octets[start:stop] * random.choice((1, 1, 2, 100)) + octets[stop:]


def _repeat_line(random: Random, octets: bytes) -> bytes:
    lines = octets.split(b"\r\n")
    at = random.randrange(len(lines))
    return b"\r\n".join(
        lines[:at] + lines[at : at + 1] * random.choice((2, 2, 3, 120)) + lines[at + 1 :]
    )


def _swap_lines(random: Random, octets: bytes) -> bytes:
    lines = octets.split(b"\r\n")
    random.shuffle(lines)
    return b"\r\n".join(lines)


def _swap_case(random: Random, octets: bytes) -> bytes:
    start = random.randrange(len(octets) + 1)
    stop = start + random.randrange(20)
    return octets[:start] + octets[start:stop].swapcase() + octets[stop:]


_WAYS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _insert,
    _insert,
    _insert_line,
    _insert_line,
    _replace,
    _change,
    _drop,
    _cut,
    _repeat,
    _repeat_line,
    _swap_lines,
    _swap_case,
)
