"""
Heads of HTTP/1 messages, read so that nobody could read them differently (RFC 9112).

What two parsers take for different messages is how requests are smuggled past one of them (RFC
9112 section 11.2). So a request is taken exactly as the grammar has it, or refused; nothing is
mended. In a response a folded line and a repeated length are, since there a proxy has to. How a
body ends follows from the head; for the octets of it see `osproxy.http.chunked`.
"""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import IPv6Address

from attrs import field, frozen

from osproxy.http.fields import Fields, every, tokens, without
from osproxy.http.lines import EMPTY_LINES_AT_MOST, BadMessage, HeadReader

Version = tuple[int, int]

# Possessive throughout: a hostile line costs linear time.
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_TEXT = rb"[\t -~\x80-\xff]*+"
# RFC 9110 section 5.5: these three are dangerous. Other control octets are no better style, but may
# be kept, and what is made of a value is up to who reads it.
_VALUE = rb"[^\0\r\n]*+"
_REQUEST_LINE = re.compile(
    rb"(?P<method>%b) (?P<target>[!-~]++) HTTP/(?P<major>[0-9])\.(?P<minor>[0-9])" % _TOKEN
)
# The blank behind the status may be missing, as servers that have no reason to give often do.
_STATUS_LINE = re.compile(rb"HTTP/1\.(?P<minor>[0-9]) (?P<status>[1-5][0-9]{2})(?: (%b))?" % _TEXT)
_FIELD_LINE = re.compile(rb"(%b):(%b)" % (_TOKEN, _VALUE))
# An IPvFuture, of which there is no version yet, is no host here.
_HOST = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]++)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++)"
    r"(?::[0-9]{0,5}+)?"
)
_NUMBER = re.compile(r"[0-9]{1,18}+")
_MEMBER = re.compile(_TOKEN.decode())


class End(Enum):
    """What tells where a body ends, if not its length (RFC 9112 section 6.3)."""

    NO_BODY = "there is none"
    CHUNKED = "the last chunk"
    CLOSE = "the end of the connection"


Framing = End | int
"""How a body ends; a number is its length."""


@frozen
class RequestHead:
    """
    Request line and fields.

    :ivar target: as it was sent, see `osproxy.http.paths`.
    :ivar framing: how the body ends; follows from the fields, which raises `BadMessage` when they
        contradict each other.
    """

    method: str
    target: bytes
    version: Version
    fields: Fields
    framing: Framing = field(init=False)

    @framing.default
    def _(self) -> Framing:
        return _request_framing(self.version, self.fields)

    @property
    def expectations(self) -> set[str]:
        """What it expects, in lower case; before HTTP/1.1 nothing (RFC 9110 section 10.1.1)."""
        if self.version < (1, 1):
            return set()
        return {it.lower() for value in every(self.fields, "expect") for it in tokens(value)}

    @property
    def persistent(self) -> bool:
        """
        Whether further requests may follow over its connection (RFC 9112 section 9.3).

        That a client of HTTP/1.0 may ask for it we do not heed.
        """
        options = {it.lower() for value in every(self.fields, "connection") for it in tokens(value)}
        return self.version >= (1, 1) and "close" not in options


@frozen
class ResponseHead:
    """Status line and fields."""

    version: Version
    status: int
    reason: str
    fields: Fields

    def framing(self, method: str) -> Framing:
        """
        Say how the body ends of the response to a request of this method (RFC 9112 section 6.3).

        :raises BadMessage: when the fields contradict each other, or what they say cannot be.
        """
        length = _response_length(self.fields)
        codings = every(self.fields, "transfer-encoding")
        if codings:
            if length is not None:
                raise BadMessage("both Content-Length and Transfer-Encoding")
            if self.version < (1, 1):
                # Section 6.1: its framing is faulty.
                raise BadMessage("Transfer-Encoding in a response of HTTP/1.0")
            if [coding.lower() for coding in codings] != ["chunked"]:
                # We name none in a TE field, so that the server may use no other (section 7.4).
                raise BadMessage("a transfer coding that is not chunked alone")
        if self.status < 200 or self.status == 204:
            # They have no body and must not say so (section 6.1, RFC 9110 section 8.6). Where
            # they do, nobody can tell whether what follows is a body or the next response.
            if codings or length:
                raise BadMessage("a body where there can be none")
            return End.NO_BODY
        if method == "HEAD" or self.status == 304:
            return End.NO_BODY
        if method == "CONNECT" and self.status < 300:
            return End.NO_BODY
        if codings:
            return End.CHUNKED
        return End.CLOSE if length is None else length


def parse_request_head(octets: bytes) -> RequestHead:
    """
    Read a head that ends with its empty line.

    :raises BadMessage: when it is not exactly as RFC 9112 has it, or there is anything behind it;
        its status is 400, 414, 431, 501 or 505.
    """
    first, *lines = _lines(octets, EMPTY_LINES_AT_MOST)
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise BadMessage("a malformed request line")
    version = int(found["major"]), int(found["minor"])
    if version[0] != 1:
        raise BadMessage("a version other than HTTP/1", 505)
    fields = tuple(_field(line) for line in lines)
    _check_host(found["target"], version, every(fields, "host"))
    return RequestHead(found["method"].decode(), found["target"], version, fields)


def parse_response_head(octets: bytes) -> ResponseHead:
    """
    Read a head that ends with its empty line.

    :raises BadMessage: when it is not as RFC 9112 has it, or there is anything behind it.
    """
    first, *lines = _lines(octets, 0)
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        raise BadMessage("a malformed status line")
    reason = (found[3] or b"").decode("latin-1")
    fields = _with_one_length(tuple(_field(line) for line in _unfolded(lines)))
    return ResponseHead((1, int(found["minor"])), int(found["status"]), reason, fields)


def serialise_request(head: RequestHead) -> bytes:
    """
    Write a head as it goes over the wire, its empty line included.

    :raises BadMessage: when it cannot be written so that it is read again as what it is.
    """
    first = b"%b %b HTTP/%d.%d" % (_octets(head.method), head.target, *head.version)
    if not _REQUEST_LINE.fullmatch(first):
        raise BadMessage("a malformed request line")
    return _written(first, head.fields)


def serialise_response(head: ResponseHead) -> bytes:
    """
    Write a head as it goes over the wire, its empty line included.

    :raises BadMessage: when it cannot be written so that it is read again as what it is.
    """
    first = b"HTTP/%d.%d %d %b" % (*head.version, head.status, _octets(head.reason))
    if not _STATUS_LINE.fullmatch(first):
        raise BadMessage("a malformed status line")
    return _written(first, head.fields)


def check_field_line(line: bytes) -> None:
    """
    Let a line pass that is a field, as those of a trailer section are (RFC 9112 section 7.1.2).

    :raises BadMessage: when it is none.
    """
    _field(line)


def _lines(octets: bytes, empty_lines: int) -> list[bytes]:
    buffer = bytearray(octets)
    head = HeadReader(empty_lines).take(buffer)
    if head is None:
        raise BadMessage("a head without its end")
    if buffer:
        raise BadMessage("octets behind the head")
    return head.split(b"\r\n")[:-2]


def _field(line: bytes) -> tuple[str, str]:
    """
    Take a field line apart (RFC 9112 section 5).

    The grammar leaves no room for a folded line (section 5.2), a blank before the colon (section
    5.1), or a bare CR (section 2.2).
    """
    found = _FIELD_LINE.fullmatch(line)
    if found is None:
        raise BadMessage("a malformed field line")
    return found[1].decode(), found[2].strip(b" \t").decode("latin-1")


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """Put folded lines together, a blank in place of each fold (RFC 9112 section 5.2)."""
    whole: list[bytes] = []
    for line in lines:
        if not line.startswith((b" ", b"\t")):
            whole.append(line)
        elif whole:
            whole[-1] = whole[-1].rstrip(b" \t") + b" " + line.strip(b" \t")
        else:
            # Section 2.2: before the first field it is no fold.
            raise BadMessage("a blank before the first field")
    return whole


def _check_host(target: bytes, version: Version, hosts: list[str]) -> None:
    """
    Require one valid Host, of HTTP/1.0 at most one (RFC 9112 section 3.2).

    It is empty where the URL meant has no authority, which a target in absolute or authority form
    has.
    """
    if len(hosts) > 1 or (not hosts and version >= (1, 1)):
        raise BadMessage(f"a request has one Host field, not {len(hosts)}")
    for host in hosts:
        if not (_is_host(host) if host else target.startswith((b"/", b"*"))):
            raise BadMessage("an invalid Host field")


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    try:
        return found is not None and (not found["address"] or bool(IPv6Address(found["address"])))
    except ValueError:
        return False


def _request_framing(version: Version, fields: Fields) -> Framing:
    lengths = every(fields, "content-length")
    codings = every(fields, "transfer-encoding")
    if codings:
        if lengths:
            # Section 6.1 allows it and calls it the mark of an attempt to smuggle.
            raise BadMessage("both Content-Length and Transfer-Encoding")
        if version < (1, 1):
            # Section 6.1: its framing is faulty.
            raise BadMessage("Transfer-Encoding in a request of HTTP/1.0")
        _check_codings(",".join(codings))
        return End.CHUNKED
    if len(lengths) > 1:
        # RFC 9110 section 8.6 lets identical ones pass. No client has a reason to send them, and
        # who reads only the first or the last of them reads another request.
        raise BadMessage("more than one Content-Length")
    return _number(lengths[0]) if lengths else End.NO_BODY


def _check_codings(value: str) -> None:
    codings = [coding.strip(" \t").lower() for coding in value.split(",")]
    if codings == ["chunked"]:
        return
    known = all(_MEMBER.fullmatch(coding) for coding in codings)
    if known and codings[-1] == "chunked" and codings.count("chunked") == 1:
        # RFC 9112 section 6.1.
        raise BadMessage("a transfer coding other than chunked", 501)
    # Sections 6.1 and 6.3: chunked comes last, and once.
    raise BadMessage("transfer codings that do not end in chunked")


def _with_one_length(fields: Fields) -> Fields:
    """Say a length once that is said several times (RFC 9110 section 8.6)."""
    length = _response_length(fields)
    if length is None or every(fields, "content-length") == [str(length)]:
        return fields
    return (*without(fields, "content-length"), ("Content-Length", str(length)))


def _response_length(fields: Fields) -> int | None:
    lengths = [
        length.strip(" \t")
        for value in every(fields, "content-length")
        for length in value.split(",")
    ]
    if len(set(lengths)) > 1:
        raise BadMessage("lengths that contradict each other")
    return _number(lengths[0]) if lengths else None


def _number(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise BadMessage("a Content-Length that is no length")
    return int(value)


def _written(first: bytes, fields: Fields) -> bytes:
    lines = []
    for name, value in fields:
        line = b"%b: %b" % (_octets(name), _octets(value))
        if _field(line) != (name, value):
            raise BadMessage("a field that would be read as another")
        lines.append(line)
    return b"\r\n".join((first, *lines, b"", b""))


def _octets(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadMessage("a character that has no octet") from None
