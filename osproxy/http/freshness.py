"""
May we use what we have? (RFC 9111 section 4, RFC 5861.)

`decide` follows lifetimes of our own making, `decide_heeded` what response and request say.

Times are seconds since the epoch. Clocks jump: an age is never negative, and what was checked in
the future counts as stale.
"""

from __future__ import annotations

import math
from enum import Enum

from attrs import frozen

from osproxy.http.cachecontrol import (
    EVER,
    CacheControl,
    RequestControl,
    delta_seconds,
    explicit_lifetime,
    may_be_stale,
)
from osproxy.http.cachestatus import Fwd
from osproxy.http.fields import Fields, first, parse_date

# What may be kept although nothing is said of freshness (RFC 9110 section 15.1, RFC 7725 section
# 3); of 206, which is of their number, see `osproxy.http.storing`.
HEURISTICALLY_CACHEABLE = frozenset(
    (200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 451, 501)
)
# RFC 9111 section 4.2.2 suggests the fraction, and leaves the limit to us.
_HEURISTIC_FRACTION = 0.1
_HEURISTIC_LIMIT = 24 * 3600.0

# What counts as an error of the upstream (RFC 5861 section 4).
_ERRORS = frozenset((500, 502, 503, 504))


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


@frozen
class Stored:
    """
    A stored response whose own word on caching is heeded.

    :ivar fields: as `osproxy.http.storing` keeps them.
    :ivar born: when the origin made or last confirmed it, by our clock: when it was received, less
        its `initial_age`.
    """

    status: int
    fields: Fields
    born: float

    @property
    def lifetime(self) -> float:
        """For how many seconds it is fresh; it counts from `born` where there is no Date."""
        return lifetime(self.status, self.fields, date_of(self.fields, self.born))


@frozen
class Decision:
    """
    What to do about a request, and why.

    :ivar fwd: why an upstream is to be asked, where something is stored; None where none is, and
        where it is served.
    """

    verdict: Verdict
    fwd: Fwd | None = None


def date_of(fields: Fields, received_at: float) -> float:
    """
    Say when a response was made by its own word (RFC 9110 section 6.6.1).

    One without a Date that can be read was made when it was received.
    """
    date = parse_date(first(fields, "date") or "")
    return received_at if date is None else date


def age_of(fields: Fields) -> int:
    """
    Say how old a response was by its own Age (RFC 9111 section 5.1).

    One that is no number is ignored, of several the first counts.
    """
    value = (first(fields, "age") or "").partition(",")[0]
    return delta_seconds(value.strip(" \t")) or 0


def initial_age(fields: Fields, requested_at: float, received_at: float) -> float:
    """
    Say how old a response was when it came (RFC 9111 section 4.2.3).

    Of what Date and Age say the worse is believed.
    """
    apparent = max(0.0, received_at - date_of(fields, received_at))
    delay = max(0.0, received_at - requested_at)
    return min(max(apparent, age_of(fields) + delay), float(EVER))


def lifetime(status: int, fields: Fields, date: float) -> float:
    """
    Say for how many seconds a response is fresh (RFC 9111 section 4.2.1).

    Where it does not say, a tenth of the time that it has not changed for, if it may be kept
    without a word (section 4.2.2).

    :param date: see `date_of`.
    """
    explicit = explicit_lifetime(fields, date)
    if explicit is not None:
        return explicit
    if status not in HEURISTICALLY_CACHEABLE and not CacheControl.of(fields).public:
        return 0.0
    modified = parse_date(first(fields, "last-modified") or "")
    if modified is None:
        return 0.0
    return min(max(0.0, date - modified) * _HEURISTIC_FRACTION, _HEURISTIC_LIMIT)


def decide_heeded(stored: Stored | None, request: RequestControl, now: float) -> Decision:
    """
    Say what to do about a request, as RFC 9111 section 4 has it.

    Of ``only_if_cached`` nothing is said here: whoever is told to ask an upstream then answers 504.
    """
    if stored is None:
        return Decision(Verdict.FETCH)
    age = now - stored.born
    left = stored.lifetime - age
    said = CacheControl.of(stored.fields)
    if age < 0:
        return Decision(Verdict.REVALIDATE, Fwd.STALE)
    if left > 0:
        if _contented(request, age, left, immutable=said.immutable):
            return Decision(Verdict.SERVE)
        return Decision(Verdict.REVALIDATE, Fwd.REQUEST)
    if may_be_stale(stored.fields) and _tolerates(request, age, -left):
        if -left < (said.stale_while_revalidate or 0):
            return Decision(Verdict.SERVE_AND_REFRESH)
        if request.max_stale is not None:
            return Decision(Verdict.SERVE)
    return Decision(Verdict.REVALIDATE, Fwd.STALE)


def may_serve_stale_on_error(
    stored: Stored, request: RequestControl, now: float, error_status: int | None
) -> bool:
    """
    Say whether what is stored may be served because the upstream fails (RFC 5861 section 4).

    An upstream that fails is as good as gone, so that what is stale may be served for as long as
    nobody forbids it (RFC 9111 sections 4.2.4 and 4.3.3); stale-if-error, of the response or of the
    request, limits for how long.

    :param error_status: None where there was no answer.
    """
    if error_status is not None and error_status not in _ERRORS:
        return False
    age = now - stored.born
    overdue = age - stored.lifetime
    said = CacheControl.of(stored.fields)
    if overdue < 0 and not said.no_cache:
        return not request.no_cache or request.stale_if_error is not None
    limits = (said.stale_if_error, request.stale_if_error)
    if not may_be_stale(stored.fields) or any(
        limit is not None and overdue > limit for limit in limits
    ):
        return False
    return request.stale_if_error is not None or _tolerates(request, age, overdue)


def ttl_of(stored: Stored, now: float) -> int:
    """Give the whole seconds that are left fresh, negative when stale (RFC 9211 section 2.4)."""
    return -1 if stored.born > now else math.floor(stored.born + stored.lifetime - now)


def _contented(request: RequestControl, age: float, left: float, *, immutable: bool) -> bool:
    """
    Say whether what is fresh is fresh enough (RFC 9111 section 5.2.1).

    What never changes is old enough for whoever reloads it (RFC 8246 section 2.1).
    """
    young = request.max_age is None or age <= request.max_age or immutable
    return young and not request.no_cache and left >= (request.min_fresh or 0)


def _tolerates(request: RequestControl, age: float, overdue: float) -> bool:
    """
    Say whether a request leaves it to us to serve what is stale (RFC 9111 section 5.2.1).

    One that speaks of age, but not of max-stale, wants nothing stale (section 5.2.1.1).
    """
    if request.no_cache or request.min_fresh is not None:
        return False
    if request.max_stale is None:
        return request.max_age is None
    return overdue <= request.max_stale and (request.max_age is None or age <= request.max_age)
