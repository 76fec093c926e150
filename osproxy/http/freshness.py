"""
May we use what we have? (RFC 9111 section 4, RFC 5861.)

Times are seconds since the epoch. Clocks jump: an age is never negative, and what was checked in
the future counts as stale.
"""

from __future__ import annotations

import math
from enum import Enum

from attrs import frozen


@frozen
class Lifetimes:
    """
    How long something may be used, in seconds, each after the one before; may be infinite.

    :ivar fresh_for: without asking (RFC 9111 section 4.2).
    :ivar stale_while_revalidate: while it is asked about behind the client's back (RFC 5861
        section 3).
    """

    fresh_for: float
    stale_while_revalidate: float = 0.0


class Verdict(Enum):
    """What to do about a request."""

    SERVE = "serve"
    SERVE_AND_REFRESH = "serve and refresh"
    REVALIDATE = "revalidate"
    FETCH = "fetch"


def decide(checked_at: float | None, lifetimes: Lifetimes, now: float) -> Verdict:
    """
    Say what to do about a request, without doing it.

    :param checked_at: when what is stored was last known to be right, None if nothing is stored.
    """
    if checked_at is None:
        return Verdict.FETCH
    if lifetimes.fresh_for == math.inf:
        return Verdict.SERVE
    elapsed = now - checked_at
    if elapsed < 0:
        return Verdict.REVALIDATE
    if elapsed < lifetimes.fresh_for:
        return Verdict.SERVE
    if elapsed < lifetimes.fresh_for + lifetimes.stale_while_revalidate:
        return Verdict.SERVE_AND_REFRESH
    return Verdict.REVALIDATE


def ttl(checked_at: float, lifetimes: Lifetimes, now: float) -> int | None:
    """
    Give the whole seconds that are left fresh (RFC 9211 section 2.4).

    Negative when stale, None when it stays fresh for ever.
    """
    if lifetimes.fresh_for == math.inf:
        return None
    if checked_at > now:
        return -1
    return math.floor(checked_at + lifetimes.fresh_for - now)


def age(date: float, now: float) -> int:
    """Give the value of the Age field (RFC 9111 section 5.1)."""
    return max(0, math.floor(now - date))
