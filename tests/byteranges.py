"""
Bodies of many parts, read as literally as the strictest client reads them.

This is libzypp's and zchunk's way, not that of MIME: what stands behind ``boundary=`` is the
boundary to the end of the line, a blank follows each colon, and a part has as many octets as its
Content-Range says, whatever they look like. Whatever else comes is an error.
"""

from __future__ import annotations

import re

from attrs import frozen

_TYPE = re.compile(r"multipart/byteranges; boundary=(.+)")
_RANGE = re.compile(rb"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


@frozen
class Part:
    """
    A part of a file.

    :ivar length: the length of the file, as it is said here.
    """

    start: int
    stop: int
    length: int
    content_type: str | None
    body: bytes


def parts_of(content_type: str | None, body: bytes) -> list[Part]:
    """
    Take a body apart.

    :raises ValueError: when something is not as it must be.
    """
    found = _TYPE.fullmatch(content_type or "")
    if found is None:
        raise ValueError(f"not of many parts: {content_type}")
    line = b"--" + found[1].encode("latin-1")
    parts = []
    position = 0
    while body[position : position + len(line) + 2] == line + b"\r\n":
        # The line's own end may be the first half of the empty line.
        begin, end = position + len(line), body.index(b"\r\n\r\n", position)
        part = _part(body[begin:end], body, end + 4)
        parts.append(part)
        position = end + 4 + len(part.body) + 2
        if body[position - 2 : position] != b"\r\n":
            raise ValueError(f"no line ends at {position}")
    if body[position:] != line + b"--\r\n":
        raise ValueError(f"no end at {position}: {body[position : position + 100]!r}")
    return parts


def _part(head: bytes, body: bytes, position: int) -> Part:
    fields: dict[str, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b": ")
        if not colon or name.lower().decode() in fields:
            raise ValueError(f"no field: {line!r}")
        fields[name.lower().decode()] = value
    found = _RANGE.fullmatch(fields.get("content-range", b""))
    if found is None:
        raise ValueError(f"no range: {head!r}")
    start, stop = int(found[1]), int(found[2]) + 1
    content = body[position : position + stop - start]
    if not content or len(content) != stop - start:
        raise ValueError(f"{len(content)} octets for {found[0]!r}")
    said = fields.get("content-type")
    return Part(start, stop, int(found[3]), None if said is None else said.decode(), content)
