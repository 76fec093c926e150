"""
Several parts of a file in one response (RFC 9110 sections 14.6 and 15.3.7.2).

Written as the strictest readers of package managers want it, libzypp's and zchunk's: the boundary
without quotes and behind one blank, a blank behind each colon, the length of the file in numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.http.ranges import Span, content_range

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a body is made of: octets as they are, and spans of a file.
Pieces = tuple[bytes | Span, ...]


@frozen
class Multipart:
    """
    The body of a 206 that has many parts, before any octet of it is sent.

    :ivar content_type: the response's Content-Type.
    :ivar length: its octets in all.
    """

    content_type: str
    length: int
    pieces: Pieces


def octets_of(pieces: Sequence[bytes | Span]) -> int:
    """Say how many octets these pieces have."""
    return sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in pieces)


def multipart(
    spans: Sequence[Span], length: int, content_type: str | None, boundary: str
) -> Multipart:
    """
    Put these spans of a file of so many octets into one body.

    :param content_type: the file's, which each part repeats; None where nobody knows it.
    :param boundary: characters of a token, so that it needs no quotes; they must not be foreseen by
        who makes the file.
    """
    said = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    pieces: list[bytes | Span] = []
    for span in spans:
        before = "\r\n" if pieces else ""
        head = f"{before}--{boundary}\r\n{said}Content-Range: {content_range(span, length)}\r\n\r\n"
        pieces += (head.encode("latin-1"), span)
    pieces.append(f"\r\n--{boundary}--\r\n".encode("latin-1"))
    return Multipart(
        f"multipart/byteranges; boundary={boundary}",
        octets_of(pieces),
        tuple(pieces),
    )
