"""
Say how a request was answered, in the words of RFC 9211.
"""

from __future__ import annotations

import re

from attrs import frozen

_UNPRINTABLE = re.compile(r"[^ -~]")
_ESCAPED = re.compile(r'(["\\])')


@frozen
class CacheStatus:
    """
    One answer as the Cache-Status field tells it (RFC 9211 section 2).

    :ivar hit: what was stored was used, and no upstream was asked before.
    :ivar fwd: why an upstream was asked: ``uri-miss``, ``stale``, ``bypass``, ``request``, ...
    :ivar fwd_status: the status that the upstream gave.
    :ivar stored: the response was stored.
    :ivar collapsed: the request was answered along with others.
    :ivar ttl: seconds left fresh, negative when stale.
    :ivar detail: anything more, for instance the host that the body came from.
    """

    hit: bool = False
    fwd: str | None = None
    fwd_status: int | None = None
    stored: bool = False
    collapsed: bool = False
    ttl: int | None = None
    detail: str | None = None

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
            parts.append(f"fwd-status={self.fwd_status}")
        if self.stored:
            parts.append("stored")
        if self.collapsed:
            parts.append("collapsed")
        if self.ttl is not None:
            parts.append(f"ttl={self.ttl}")
        if self.detail is not None:
            printable = _UNPRINTABLE.sub("?", self.detail)
            parts.append('detail="' + _ESCAPED.sub(r"\\\1", printable) + '"')
        return "; ".join(parts)
