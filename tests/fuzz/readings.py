"""
How others read requests: those that are lax, each in its own way.

Whatever we take for good all of them have to read as we do, or a request could be smuggled past us
or past them (RFC 9112 section 11.2). What is wrong they read as best they can.
"""

from __future__ import annotations

from itertools import product

from attrs import frozen


@frozen
class Reading:
    """
    A way to read.

    :ivar bare_lf: whether LF alone ends a line, as RFC 9112 section 2.2 allows.
    :ivar coding_first: whether Transfer-Encoding counts before Content-Length.
    :ivar last: whether the last of several fields of a name counts, else the first.
    """

    bare_lf: bool
    coding_first: bool
    last: bool

    def requests(self, octets: bytes) -> list[tuple[bytes, bytes]]:
        """Read whole requests, as many as there are: their first lines and their contents."""
        found: list[tuple[bytes, bytes]] = []
        rest: bytes | None = octets
        while rest:
            first, fields, rest = self._head(rest)
            if rest is None:
                break
            content, rest = self._content(fields, rest)
            if rest is not None:
                found.append((first, content))
        return found

    def _line(self, octets: bytes) -> tuple[bytes, bytes | None]:
        line, end, rest = octets.partition(b"\n" if self.bare_lf else b"\r\n")
        return line.removesuffix(b"\r"), rest if end else None

    def _head(self, octets: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes | None]:
        first, rest = self._line(octets)
        while rest is not None and not first:
            first, rest = self._line(rest)
        fields: list[tuple[bytes, bytes]] = []
        while rest is not None:
            line, rest = self._line(rest)
            if not line:
                break
            if line[:1] in b" \t" and fields:
                name, value = fields.pop()
                fields.append((name, value + b" " + line.strip()))
            else:
                name, _, value = line.partition(b":")
                fields.append((name.strip().lower(), value.strip()))
        return first, fields, rest

    def _content(
        self, fields: list[tuple[bytes, bytes]], octets: bytes
    ) -> tuple[bytes, bytes | None]:
        chunked = any(
            name == b"transfer-encoding" and b"chunked" in value.lower() for name, value in fields
        )
        lengths = [value for name, value in fields if name == b"content-length"]
        if chunked and (self.coding_first or not lengths):
            return self._chunks(octets)
        if not lengths:
            return b"", octets
        length = _number(lengths[-1 if self.last else 0].split(b",")[-1 if self.last else 0], 10)
        return octets[:length], octets[length:] if len(octets) >= length else None

    def _chunks(self, octets: bytes) -> tuple[bytes, bytes | None]:
        content, rest = b"", octets
        while True:
            line, after = self._line(rest)
            if after is None:
                return content, None
            size = _number(line.partition(b";")[0], 16)
            if not size:
                _, _, behind = self._head(b"trailer\r\n" + after)
                return content, behind
            content += after[:size]
            end, behind = self._line(after[size:])
            if behind is None:
                return content, None
            rest = behind if not end else end + b"\r\n" + behind


READINGS = tuple(Reading(*ways) for ways in product((False, True), repeat=3))


def _number(text: bytes, base: int) -> int:
    try:
        return abs(int(text.strip() or b"0", base))
    except ValueError:
        return 0
