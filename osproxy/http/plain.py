"""
Requests that want a file and nothing else: no part of it, under no condition, from no proxy.

Nearly all that package managers send is of this kind, and of one client it differs in nothing but
the first line. So the rest is read once, by the very functions that read every head, and known
again by its octets. Whatever is not known to mean nothing is none of this kind.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from osproxy.http.fields import every, first
from osproxy.http.lines import BadMessage
from osproxy.http.messages import RequestHead, parse_request_head

LONGEST = 2048
"""Octets of a head that is looked at: what clients send has some hundreds."""

# In origin form, without a query or a fragment.
_REQUEST_LINE = re.compile(rb"GET (/[!-\"$->@-~]*+) HTTP/1\.1\r\n")

# What no file is chosen by, but where an origin does so, which those of repositories do not.
_MEANINGLESS = frozenset(
    ("host", "user-agent", "referer", "accept", "accept-encoding", "accept-language")
)
# What zypper tells of its machine.
_FAMILY = "x-zypp-"


@frozen
class PlainRequest:
    """
    A GET of HTTP/1.1 over a connection that is to last, without content.

    :ivar target: its path as it was sent.
    """

    target: bytes
    agent: str | None
    referrer: str | None


def plain_request(octets: bytes) -> PlainRequest | None:
    """Read a plain request, which has nothing behind it; None for whatever else."""
    if len(octets) > LONGEST:
        return None
    line = _REQUEST_LINE.match(octets)
    said = None if line is None else _said(octets[line.end() :])
    return None if line is None or said is None else PlainRequest(line[1], *said)


@lru_cache(maxsize=2048)
def _said(fields: bytes) -> tuple[str | None, str | None] | None:
    """Read what stands behind the first line, as if that were another: agent and referrer."""
    try:
        head = parse_request_head(b"GET / HTTP/1.1\r\n" + fields)
    except BadMessage:
        return None
    if not all(_means_nothing(name.lower(), head) for name, _ in head.fields):
        return None
    return first(head.fields, "user-agent"), first(head.fields, "referer")


def _means_nothing(name: str, head: RequestHead) -> bool:
    if name == "connection":
        return [value.lower() for value in every(head.fields, name)] == ["keep-alive"]
    return name in _MEANINGLESS or name.startswith(_FAMILY)
