"""
The lines of a message's head, taken off the front of what has come, within limits.

Where lines end decides which message is read at all, so that this is done in one place: for
requests, for responses, and for what the chunked coding has of lines.
"""

from __future__ import annotations

from attrs import define, field

REQUEST_LINE_AT_MOST = 8 * 1024
FIELD_LINE_AT_MOST = 16 * 1024
FIELDS_AT_MOST = 100
HEAD_AT_MOST = 64 * 1024
EMPTY_LINES_AT_MOST = 4
"""Lines to ignore before a request, of which there is at least one (RFC 9112 section 2.2)."""


class BadMessage(ValueError):
    """
    A message that is not as HTTP/1 has it, or larger than we take.

    :ivar status: what it is answered with, where it is a request.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@define(eq=False)
class LineReader:
    """Takes lines off the front of what has come, one after the other."""

    _searched: int = 0

    def take(self, buffer: bytearray, at_most: int, too_long: int = 431) -> bytes | None:
        """
        Take the next line out of ``buffer``, its CRLF left off; None while it is not whole.

        :param at_most: octets of the line.
        :param too_long: status for one that is longer.
        :raises BadMessage: for a longer line, and one that ends in LF alone: RFC 9112 section 2.2
            lets a recipient take that for an end of line, so that some do and some do not.
        """
        end = buffer.find(b"\n", self._searched, at_most + 2)
        if end < 0:
            if len(buffer) >= at_most + 2:
                raise BadMessage(f"a line of more than {at_most} octets", too_long)
            self._searched = len(buffer)
            return None
        if not end or buffer[end - 1 : end] != b"\r":
            raise BadMessage("a line that ends in LF alone")
        line = bytes(buffer[: end - 1])
        del buffer[: end + 1]
        self._searched = 0
        return line


@define(eq=False)
class HeadReader:
    """
    Takes the lines of one head off the front of what has come, and no octet behind it.

    :ivar empty_lines: how many more may come before it: before a request some, else none.
    """

    empty_lines: int = 0
    _reader: LineReader = field(factory=LineReader, init=False)
    _lines: list[bytes] = field(factory=list, init=False)
    _octets: int = field(default=0, init=False)

    @property
    def begun(self) -> bool:
        """Whether a whole line has come."""
        return bool(self._lines)

    def take(self, buffer: bytearray) -> bytes | None:
        """
        Take what has come out of ``buffer``; return the head with its final empty line once whole.

        Time is linear in what has come, however it is cut into pieces.

        :raises BadMessage: for a head that is too large, and for a bare LF.
        """
        while True:
            if self._lines:
                line = self._reader.take(buffer, FIELD_LINE_AT_MOST)
            else:
                line = self._reader.take(buffer, REQUEST_LINE_AT_MOST, 414)
            if line is None:
                return None
            self._octets += len(line) + 2
            if line:
                self._lines.append(line)
                if len(self._lines) > 1 + FIELDS_AT_MOST:
                    raise BadMessage(f"more than {FIELDS_AT_MOST} fields", 431)
                if self._octets > HEAD_AT_MOST:
                    raise BadMessage(f"a head of more than {HEAD_AT_MOST} octets", 431)
            elif self._lines:
                return b"\r\n".join((*self._lines, b"", b""))
            elif not self.empty_lines:
                raise BadMessage("an empty line in place of the first")
            else:
                self.empty_lines -= 1
