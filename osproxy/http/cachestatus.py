"""
Say how a request was answered, in the words of RFC 9211.
"""

from __future__ import annotations

import re
from enum import StrEnum

from attrs import field, frozen
from attrs.converters import optional

_UNPRINTABLE = re.compile(r"[^ -~]")
_ESCAPED = re.compile(r'(["\\])')

# The greatest integer of a structured field (RFC 8941 section 3.3.1).
_GREATEST = 10**15 - 1


class Fwd(StrEnum):
    """
    Why an upstream was asked (RFC 9211 section 2.2).

    :cvar MISS: something is stored for the URI, and why it cannot be used is not told.
    :cvar VARY_MISS: what is stored for the URI is for other requests (RFC 9111 section 4.1).
    :cvar REQUEST: what is stored is fresh, but the request wants it confirmed.
    :cvar PARTIAL: what is stored has not all of what is asked for.
    """

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    MISS = "miss"
    REQUEST = "request"
    STALE = "stale"
    PARTIAL = "partial"


@frozen
class CacheStatus:
    """
    One answer as the Cache-Status field tells it (RFC 9211 section 2).

    :ivar hit: what was stored was used, and no upstream was asked before.
    :ivar fwd: why an upstream was asked; not together with ``hit``.
    :ivar fwd_status: the status that the upstream gave.
    :ivar stored: the response was stored.
    :ivar collapsed: the request was answered along with others.
    :ivar ttl: seconds left fresh, negative when stale.
    :ivar stale: what is stored was used though it should have been confirmed; ``detail`` says why
        it was not.
    :ivar detail: anything more, for instance the host that the body came from.
    """

    hit: bool = False
    fwd: Fwd | None = field(default=None, converter=optional(Fwd))
    fwd_status: int | None = None
    stored: bool = False
    collapsed: bool = False
    ttl: int | None = None
    detail: str | None = None
    stale: bool = False

    @property
    def outcome(self) -> str:
        """The one word that requests are counted by; ``none`` where no file was looked for."""
        return "hit" if self.hit else self.fwd or "none"

    def serialise(self) -> str:
        """Write the value of the field, a member of a structured list (RFC 8941 section 3.1)."""
        parts = ["osproxy"]
        if self.hit:
            parts.append("hit")
        if self.fwd is not None:
            parts.append(f"fwd={self.fwd}")
        if self.fwd_status is not None:
            parts.append(f"fwd-status={_integer(self.fwd_status)}")
        if self.stored:
            parts.append("stored")
        if self.collapsed:
            parts.append("collapsed")
        if self.ttl is not None:
            parts.append(f"ttl={_integer(self.ttl)}")
        if self.detail is not None:
            printable = _UNPRINTABLE.sub("?", self.detail)
            parts.append('detail="' + _ESCAPED.sub(r"\\\1", printable) + '"')
        return "; ".join(parts)


def _integer(number: int) -> int:
    return max(-_GREATEST, min(number, _GREATEST))
