"""Tests of `osproxy.web.proxyheader`."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.proxyheader import V2_AT_MOST, BadHeader, Header, crc32c, read

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
FOUR = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.9") + struct.pack("!HH", 4000, 80)
SIX = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    + struct.pack("!HH", 4000, 443)
)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1") + SIX[16:]
UNIX = bytes(216)


def v2(rest: bytes = b"", command: int = 0x21, family: int = 0x11) -> bytes:
    """Write a header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def tlv(kind: int, value: bytes) -> bytes:
    """Write what stands behind the addresses."""
    return struct.pack("!BH", kind, len(value)) + value


def summed(rest: bytes, behind: bytes = b"") -> bytes:
    """Write a header with its right checksum."""
    zero = v2(rest + tlv(3, bytes(4)) + behind)
    begin = 16 + len(rest) + 3
    return zero[:begin] + crc32c(zero).to_bytes(4, "big") + zero[begin + 4 :]


class Version1Tests(SynchronousTestCase):
    """A line of text (section 2.1)."""

    def test_table(self) -> None:
        """It names the client, or says that it is not known."""
        for line, source in (
            ("PROXY TCP4 192.0.2.1 192.0.2.9 4000 80", ("192.0.2.1", 4000)),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", ("255.255.255.255", 65535)),
            ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0", ("0.0.0.0", 0)),
            ("PROXY TCP6 2001:DB8:0::1 ::1 4000 443", ("2001:db8::1", 4000)),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 4000 443", ("192.0.2.1", 4000)),
            ("PROXY UNKNOWN", None),
            ("PROXY UNKNOWN ", None),
            ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", None),
        ):
            with self.subTest(line=line):
                octets = line.encode() + b"\r\n"
                self.assertEqual(read(octets + b"GET / HTTP/1.1\r\n"), Header(source, len(octets)))

    def test_longest(self) -> None:
        """The longest line that can be is read; a longer one is not waited for."""
        line = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
        self.assertEqual(len(line), 107)
        self.assertEqual(read(line), Header(None, 107))
        for longer in (line[:-2] + b"x\r\n", line[:-2] + b"xxx", line[:-1] + b"x"):
            self.assertRaises(BadHeader, read, longer)

    def test_refused(self) -> None:
        """Whatever differs from the form by an octet is refused."""
        good = "PROXY TCP4 192.0.2.1 192.0.2.9 4000 80\r\n"
        self.assertIsNotNone(read(good.encode()))
        for old, new in (
            ("PROXY", "proxy"), ("PROXY ", "PROXY  "), ("TCP4", "TCP5"), ("TCP4", "tcp4"),
            ("TCP4", "TCP6"), ("TCP4", "UDP4"), ("TCP4", "UNKNOWNX"), ("TCP4 ", "TCP4"),
            ("192.0.2.1", "192.0.2.256"), ("192.0.2.1", "192.0.2.01"), ("192.0.2.1", "192.0.2"),
            ("192.0.2.1", "::1"), ("192.0.2.9", "192.0.2.999"), ("192.0.2.1 ", ""), (" 80", ""),
            ("4000", "04000"), ("4000", "65536"), ("80", "65536"), ("80", "-1"), ("80", "+1"),
            ("80", "80 "), ("80", "80 x"), ("\r\n", "\n"), ("\r\n", "\rx\n"), ("80", "8\u0660"),
        ):  # fmt: skip
            with self.subTest(old=old, new=new):
                self.assertRaises(BadHeader, read, good.replace(old, new, 1).encode())
        for line in (b"PROXY TCP6 2001:db8:::1 ::1 1 1\r\n", b"PROXY TCP6 ::1%eth0 ::1 1 1\r\n"):
            self.assertRaises(BadHeader, read, line)


class Version2Tests(SynchronousTestCase):
    """A block of octets (section 2.2)."""

    def test_table(self) -> None:
        """It names the client where that has an address, and what else it has is passed over."""
        for octets, source in (
            (v2(FOUR), ("192.0.2.1", 4000)),
            (v2(SIX, family=0x21), ("2001:db8::1", 4000)),
            (v2(MAPPED, family=0x21), ("192.0.2.1", 4000)),
            (v2(FOUR + tlv(4, b"noop") + tlv(0xEA, b"") + tlv(2, b"host")), ("192.0.2.1", 4000)),
            (v2(FOUR + tlv(4, bytes(V2_AT_MOST - 31))), ("192.0.2.1", 4000)),
            (summed(FOUR), ("192.0.2.1", 4000)),
            (summed(FOUR + tlv(2, b"host"), tlv(4, b"")), ("192.0.2.1", 4000)),
            (v2(UNIX, family=0x31), None),
            (v2(UNIX, family=0x32), None),
            (v2(FOUR, family=0x12), None),
            (v2(SIX, family=0x22), None),
            (v2(family=0x00), None),
            (v2(b"whatever", family=0x00), None),
            (v2(b"whatever", family=0x01), None),
            (v2(b"whatever", family=0x10), None),
            (v2(command=0x20, family=0x00), None),
            (v2(FOUR + b"no TLV", command=0x20), None),
        ):
            with self.subTest(octets=octets):
                self.assertEqual(read(octets + b"GET"), Header(source, len(octets)))

    def test_refused(self) -> None:
        """What cannot be is refused."""
        right = summed(FOUR)
        for octets in (
            v2(FOUR, command=0x11), v2(FOUR, command=0x22), v2(FOUR, command=0x2F),
            v2(FOUR, command=0x00), v2(FOUR, family=0x41), v2(FOUR, family=0x13),
            v2(FOUR[:-1]), v2(SIX[:-1], family=0x21), v2(FOUR, family=0x21),
            v2(UNIX[1:], family=0x31), v2(), v2(FOUR + b"\4"), v2(FOUR + b"\4\0"),
            v2(FOUR + b"\4\0\1"), v2(FOUR + tlv(4, b"x")[:-1]), v2(FOUR + tlv(3, b"abc")),
            v2(FOUR + tlv(3, b"abcd")), v2(UNIX + b"\4", family=0x31),
            right[:-1] + bytes([right[-1] ^ 1]), right[:20] + b"\1" + right[21:],
        ):  # fmt: skip
            with self.subTest(octets=octets):
                self.assertRaises(BadHeader, read, octets)

    def test_too_long(self) -> None:
        """One that says it is too long is not waited for."""
        longest = v2(bytes(V2_AT_MOST - 16), command=0x20)
        self.assertEqual(read(longest), Header(None, V2_AT_MOST))
        self.assertRaises(BadHeader, read, v2(bytes(V2_AT_MOST - 15), command=0x20)[:16])

    def test_checksum(self) -> None:
        """The checksum is that of RFC 3720 appendix B.4."""
        for octets, expected in (
            (b"", 0),
            (bytes(32), 0x8A9136AA),
            (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E),
            (b"123456789", 0xE3069283),
        ):
            self.assertEqual(crc32c(octets), expected)


class PiecesTests(SynchronousTestCase):
    """A header comes in as many pieces as it likes."""

    def test_begun(self) -> None:
        """As long as it can become one, it is none yet."""
        for octets in (
            b"PROXY TCP4 192.0.2.1 192.0.2.9 4000 80\r\n",
            b"PROXY UNKNOWN\r\n",
            v2(FOUR),
            v2(command=0x20),
            summed(FOUR),
        ):
            for length in range(1, len(octets)):
                self.assertIsNone(read(octets[:length]), (octets, length))
            self.assertIsNotNone(read(octets))

    def test_other(self) -> None:
        """What cannot become one is refused with the octet that tells."""
        for octets in (b"GET", b"PROXX", b"PRI", b"\r\n\r\n\0\r\nQUIX", b"\x16\x03", b"\r\r", b"p"):
            self.assertRaises(BadHeader, read, octets)
            if octets[:-1] in (b"PROX", b"PR", b"\r\n\r\n\0\r\nQUI", b"\r"):
                self.assertIsNone(read(octets[:-1]))

    @given(
        st.binary(max_size=64)
        | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest)
        | st.binary(max_size=300).map(v2)
        | st.text(alphabet="PROXY TCP46UNKNOWN:.0129f\r\n").map(lambda it: f"PROXY {it}".encode())
    )
    def test_nothing_else_raised(self, octets: bytes) -> None:
        """Whatever comes, it is a header, the beginning of one, or none."""
        try:
            header = read(octets)
        except BadHeader:
            return
        if header is not None:
            self.assertLessEqual(header.length, len(octets))
            self.assertEqual(read(octets[: header.length]), header)
