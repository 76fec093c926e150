"""
The header of the PROXY protocol, versions 1 and 2: whose connection a proxy hands on.

As HAProxy's specification has it (``proxy-protocol.txt``, 2.1 and 2.2). Twisted has parsers as
well, but they want the beginning in one piece, refuse ``PROXY UNKNOWN``, take addresses that are
none, and look at neither lengths nor checksums.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

V1_AT_MOST = 107
"""Octets of a header of version 1, its end included (2.1)."""

V2_AT_MOST = 4096
"""Octets of one of version 2: it could say that it has 64 KiB, but there is not so much to tell."""

_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"

_PORT = rb"(0|[1-9][0-9]{0,4})"
_FOUR = re.compile(rb"PROXY TCP4 ([0-9.]{7,15}) ([0-9.]{7,15}) %b %b\r\n" % (_PORT, _PORT))
_SIX = re.compile(
    rb"PROXY TCP6 ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) %b %b\r\n" % (_PORT, _PORT)
)
# Whatever stands behind the word is to be ignored.
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r]*)?\r\n")

# Signature, version and command, family and transport, length of the rest.
_BEGINNING = struct.Struct("!12sBBH")
_TLV = struct.Struct("!BH")
_CRC32C = 3
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
# How long the addresses are: INET, INET6 and UNIX, each with the streams and the datagrams of it.
_ADDRESSES = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_FAMILY_AT_MOST, _TRANSPORT_AT_MOST = 3, 2


class BadHeader(ValueError):
    """A connection that does not begin with a header of the PROXY protocol, or with a wrong one."""


@frozen
class Header:
    """
    What a header says.

    :ivar source: the client's address and port; None where the proxy speaks for itself, or has a
        client of which we could make nothing: then the connection is as it looks.
    :ivar length: octets of the header.
    """

    source: tuple[str, int] | None
    length: int


def read(begun: bytes) -> Header | None:
    """
    Read the header that a connection begins with, None while it is not whole.

    :raises BadHeader: as soon as it can be told that there is none.
    """
    if begun[:12] == _V2[: len(begun)]:
        return None if len(begun) < _BEGINNING.size else _read_v2(begun)
    if begun[:6] == _V1[: len(begun)]:
        return _read_v1(begun[:V1_AT_MOST])
    raise BadHeader("no PROXY header")


def _read_v1(begun: bytes) -> Header | None:
    end = begun.find(b"\n") + 1
    if not end:
        if len(begun) == V1_AT_MOST:
            raise BadHeader(f"a PROXY header of more than {V1_AT_MOST} octets")
        return None
    line = begun[:end]
    if _UNKNOWN.fullmatch(line):
        return Header(None, end)
    found = _FOUR.fullmatch(line) or _SIX.fullmatch(line)
    if found is None:
        raise BadHeader("a PROXY header that is not as version 1 has it")
    kind: type[IPv4Address | IPv6Address] = IPv4Address if b" TCP4 " in line else IPv6Address
    source, destination, *ports = (part.decode("ascii") for part in found.groups())
    try:
        address = kind(source)
        kind(destination)
    except ValueError:
        raise BadHeader("a PROXY header with what is no address") from None
    if max(map(int, ports)) > 65535:
        raise BadHeader("a PROXY header with what is no port")
    return Header((_text(address), int(ports[0])), end)


def _read_v2(begun: bytes) -> Header | None:
    _, command, family, rest = _BEGINNING.unpack_from(begun)
    if command not in (_LOCAL, _PROXY):
        raise BadHeader("a PROXY header of another version, or with an unknown command")
    if family >> 4 > _FAMILY_AT_MOST or family & 15 > _TRANSPORT_AT_MOST:
        raise BadHeader("a PROXY header of an unknown family")
    length = _BEGINNING.size + rest
    if length > V2_AT_MOST:
        raise BadHeader(f"a PROXY header of more than {V2_AT_MOST} octets")
    if len(begun) < length:
        return None
    header = begun[:length]
    if command == _LOCAL or family not in _ADDRESSES:
        # What else it has is to be ignored.
        return Header(None, length)
    behind = _BEGINNING.size + _ADDRESSES[family]
    if behind > length:
        raise BadHeader("a PROXY header without its addresses")
    for kind, begin, end in _tlvs(header, behind):
        if kind == _CRC32C:
            _check(header, begin, end)
    # Others than TCP are known, and of no use to us.
    addresses = header[_BEGINNING.size : behind]
    if family == _TCP4:
        return Header((_text(IPv4Address(addresses[:4])), int.from_bytes(addresses[8:10])), length)
    if family == _TCP6:
        source = _text(IPv6Address(addresses[:16]))
        return Header((source, int.from_bytes(addresses[32:34])), length)
    return Header(None, length)


def _text(address: IPv4Address | IPv6Address) -> str:
    """Write an address; one of IPv6 that stands for IPv4 as what it means."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _tlvs(header: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """Go through what stands behind the addresses: of each its type, and where its value lies."""
    while position < len(header):
        begin = position + _TLV.size
        if begin > len(header):
            raise BadHeader("a PROXY header that ends within a TLV")
        kind, length = _TLV.unpack_from(header, position)
        position = begin + length
        if position > len(header):
            raise BadHeader("a PROXY header that ends within a TLV")
        yield kind, begin, position


def _check(header: bytes, begin: int, end: int) -> None:
    """Compare the checksum of a header, which is made with zeros in its own place (2.2.4)."""
    if end - begin != 4:
        raise BadHeader("a PROXY header with a checksum of another length")
    if crc32c(header[:begin] + bytes(4) + header[end:]) != int.from_bytes(header[begin:end]):
        raise BadHeader("a PROXY header with a wrong checksum")


def crc32c(data: bytes) -> int:
    """Sum octets up by Castagnoli's polynomial (RFC 9260 appendix A)."""
    value = 0xFFFFFFFF
    for octet in data:
        value = _TABLE[(value ^ octet) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = tuple(map(_row, range(256)))
