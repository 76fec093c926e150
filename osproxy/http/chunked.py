"""
Undo the chunked transfer coding (RFC 9112 section 7.1).

Chunk extensions, of which no use is known, and trailer fields, which no cache needs, are looked at
and dropped, as a recipient may (RFC 9112 sections 7.1.1 and 7.1.2, RFC 9110 section 6.5.1).
"""

from __future__ import annotations

import re
from enum import Enum, auto

from attrs import define, field

from osproxy.http.lines import (
    FIELD_LINE_AT_MOST,
    FIELDS_AT_MOST,
    HEAD_AT_MOST,
    BadMessage,
    LineReader,
)
from osproxy.http.messages import check_field_line

CHUNK_LINE_AT_MOST = 1024
EXTENSIONS_AT_MOST = 16 * 1024
"""Octets of extensions in a whole body: they are a way to keep a recipient busy for nothing."""

# RFC 9112 section 7.1.1 would have blanks before an extension left out. Nobody needs to send them,
# and how this line is read is where chunked bodies are smuggled past those who read it otherwise.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)(;[\t -~\x80-\xff]*+)?")


class _Next(Enum):
    """What of a chunked body is to come."""

    SIZE = auto()
    CONTENT = auto()
    CRLF = auto()
    TRAILER = auto()
    NOTHING = auto()


@define(eq=False)
class ChunkedDecoder:
    """Takes a chunked body off the front of what has come, and no octet behind it."""

    _next: _Next = field(default=_Next.SIZE, init=False)
    _reader: LineReader = field(factory=LineReader, init=False)
    _left: int = field(default=0, init=False)
    _extensions: int = field(default=0, init=False)
    _fields: int = field(default=0, init=False)
    _fields_octets: int = field(default=0, init=False)

    @property
    def done(self) -> bool:
        """Whether the body has ended."""
        return self._next is _Next.NOTHING

    def take(self, buffer: bytearray) -> bytes:
        """
        Take the next octets of content out of ``buffer``.

        There are none when the body has ended, and when more must come first.

        :raises BadMessage: when it is not as the grammar has it.
        """
        going_on = True
        while going_on:
            match self._next:
                case _Next.SIZE:
                    going_on = self._size(buffer)
                case _Next.CONTENT:
                    return self._content(buffer)
                case _Next.CRLF:
                    going_on = self._crlf(buffer)
                case _Next.TRAILER:
                    going_on = self._trailer(buffer)
                case _Next.NOTHING:
                    going_on = False
        return b""

    def _size(self, buffer: bytearray) -> bool:
        line = self._reader.take(buffer, CHUNK_LINE_AT_MOST, 400)
        if line is None:
            return False
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise BadMessage("a malformed chunk size")
        self._extensions += len(found[2] or b"")
        if self._extensions > EXTENSIONS_AT_MOST:
            raise BadMessage(f"more than {EXTENSIONS_AT_MOST} octets of chunk extensions")
        self._left = int(found[1], 16)
        self._next = _Next.CONTENT if self._left else _Next.TRAILER
        return True

    def _content(self, buffer: bytearray) -> bytes:
        content = bytes(buffer[: self._left])
        del buffer[: self._left]
        self._left -= len(content)
        if not self._left:
            self._next = _Next.CRLF
        return content

    def _crlf(self, buffer: bytearray) -> bool:
        if not b"\r\n".startswith(buffer[:2]):
            raise BadMessage("a chunk that is not as long as it says")
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._next = _Next.SIZE
        return True

    def _trailer(self, buffer: bytearray) -> bool:
        line = self._reader.take(buffer, FIELD_LINE_AT_MOST)
        if line is None:
            return False
        if not line:
            self._next = _Next.NOTHING
            return True
        check_field_line(line)
        self._fields += 1
        self._fields_octets += len(line)
        if self._fields > FIELDS_AT_MOST or self._fields_octets > HEAD_AT_MOST:
            raise BadMessage("a trailer section that is too large", 431)
        return True
