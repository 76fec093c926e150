"""
What a shared cache keeps of a response, and how it is brought up to date (RFC 9111 section 3).

Stricter than the RFC where that costs little: a response that sets a cookie is kept only if it says
that it is for everybody, and the cookie never; what answers other things than a plain GET is not
kept; nor is what would make no sense without the fields that it wants left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.http.cachecontrol import CacheControl, RequestControl
from osproxy.http.fields import (
    end_to_end,
    every,
    first,
    only,
    parse_date,
    taken_for,
    tokens,
    without,
)
from osproxy.http.freshness import HEURISTICALLY_CACHEABLE
from osproxy.http.vary import selecting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osproxy.http.fields import Fields

# Those of RFC 9110 section 15 and RFC 7725 that mean the same to whoever asks for the URI.
_UNDERSTOOD = frozenset(
    (
        200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405,
        406, 408, 409, 410, 411, 413, 414, 415, 421, 422, 426, 451, 500, 501, 502, 503, 504, 505,
    )
)  # fmt: skip
# Those that answer a Range, a condition, a delta (RFC 3229) or a proxy's client, and those that RFC
# 6585 forbids to store.
_NEVER = frozenset((206, 226, 304, 407, 412, 416, 417, 428, 429, 431, 511))

# Fields that speak of one transfer, one hop's copy or the origin's own host; what says so in the
# RFC's own words is left out by `end_to_end`. Warning is obsolete (section 5.5).
_OF_TRANSFER = (
    "accept-ranges", "age", "alt-svc", "content-length", "content-range",
    "strict-transport-security", "warning",
)  # fmt: skip
# Those that speak of one client, or of how its request went (RFC 9209).
_OF_ASKER = ("authentication-info", "proxy-status", "set-cookie", "set-cookie2")
# What clients tell who they are by, beside Authorization, of which section 3.5 speaks: cookies, and
# the tokens of APIs and of artifact stores (GitLab, JFrog, HashiCorp, OpenStack).
_CREDENTIALS = frozenset(
    (
        "api-key", "apikey", "cookie", "deploy-token", "job-token", "private-token",
        "x-access-token", "x-api-key", "x-api-token", "x-auth-key", "x-auth-token",
        "x-consul-token", "x-jfrog-art-api", "x-vault-token",
    )
)  # fmt: skip
# Without these a response would say something else.
_ESSENTIAL = frozenset(
    (
        "cache-control", "content-encoding", "content-location", "content-type", "date", "expires",
        "location", "vary",
    )
)  # fmt: skip
# What is stored depends on them (section 3.2): they say how the octets are to be read. A 304 that
# has another type is known from MirrorCache.
_DEPENDED_UPON = ("content-encoding", "content-type")


def may_store(status: int, request: Fields, response: Fields, *, head: bool = False) -> bool:
    """
    Say whether the response to a GET may be stored (RFC 9111 section 3).

    :param head: whether it answers a HEAD, so that there is nothing to store; see `after_head`.
    """
    if head or not 200 <= status <= 599 or status in _NEVER:
        return False
    said = CacheControl.of(response)
    # must-understand comes with a no-store for those who do not know it (section 5.2.2.3).
    if (status not in _UNDERSTOOD) if said.must_understand else said.no_store:
        return False
    if RequestControl.parse(request).no_store or said.private:
        return False
    if first(request, "authorization") is not None and not (
        said.public or said.must_revalidate or said.s_maxage is not None
    ):
        # Section 3.5.
        return False
    excepted = said.private_fields | said.no_cache_fields
    if excepted & _ESSENTIAL or selecting((), response) is None:
        return False
    shared = said.public or said.s_maxage is not None
    if first(response, "set-cookie") is not None and not (shared or "set-cookie" in excepted):
        return False
    return (
        shared
        or said.max_age is not None
        or first(response, "expires") is not None
        or status in HEURISTICALLY_CACHEABLE
    )


def may_store_for_all(status: int, response: Fields) -> bool:
    """
    Say whether the response to a question of our own may be stored, to be handed to whoever asks.

    It must not vary by more than Accept-Encoding, which we always send alike.
    """
    varies = {name.lower() for value in every(response, "vary") for name in tokens(value)}
    return may_store(status, (), response) and varies <= {"accept-encoding"}


def may_be_personal(request: Fields, response: Fields) -> bool:
    """
    Say whether a response could be meant for one client alone, though it does not say so.

    Many applications know their users by a cookie, or by a token in a field of their own, and say
    nothing of caching. What is stored of them would be handed to others, be it where the origin
    cannot be asked (RFC 9111 section 4.2.4).
    """
    said = CacheControl.of(response)
    if said.public or not any(taken_for(name) in _CREDENTIALS for name, _ in request):
        return False
    explicit = (said.s_maxage, said.max_age, first(response, "expires"))
    return all(it is None for it in explicit)


def kept_fields(response: Fields) -> Fields:
    """
    Leave out the fields that are not stored (RFC 9111 section 3.1).

    Those are also the ones that private or no-cache name (sections 5.2.2.4 and 5.2.2.7).
    """
    return without(end_to_end(response), *_OF_TRANSFER, *_names_of_asker(response))


def fields_of_asker(response: Fields) -> Fields:
    """
    Give the fields that are not stored, but are meant for whoever has asked.

    A cookie that no-cache names is for them as for everybody who asks (section 5.2.2.4).
    """
    return only(without(end_to_end(response), *_OF_TRANSFER), *_names_of_asker(response))


def updated(stored: Fields, new: Fields) -> Fields:
    """
    Bring stored fields up to date with those of a 304 or of a HEAD (RFC 9111 section 3.2).

    Without a Date of its own the new response was made when it came, and the stored Date goes.
    What follows from the fields is to be looked at again, from the request that was sent: whether
    it `may_store` this, and what it was selected by.
    """
    news = without(kept_fields(new), *_DEPENDED_UPON)
    replaced = {name.lower() for name, _ in news} | {"date"}
    merged = (*without(stored, *replaced), *news)
    return kept_fields(merged)


def matches_stored(new: Fields, stored: Sequence[Fields]) -> tuple[int, ...]:
    """
    Say which stored responses a 304 is about (RFC 9111 section 4.3.4), by their indexes.

    A 304 without any validator is believed to be about the only one there is, although the RFC asks
    that this one have none either: the condition was made of that one's validators.

    :param stored: those that could have been chosen for the request, the latest first.
    """
    etag, modified = _etag(new), first(new, "last-modified")
    # MirrorCache's tags have no quotes, and are compared as they are.
    if etag is not None and not etag.startswith("W/"):
        return tuple(index for index, fields in enumerate(stored) if _etag(fields) == etag)
    if etag is None and modified is None:
        return (0,) if len(stored) == 1 else ()
    for index, fields in enumerate(stored):
        had = _etag(fields)
        if etag is not None and had is not None:
            found = had.removeprefix("W/") == etag.removeprefix("W/")
        else:
            found = modified is not None and _same_date(fields, modified)
        if found:
            return (index,)
    return ()


def after_head(stored: Fields, stored_length: int, head: Fields) -> Fields | None:
    """
    Bring stored fields up to date with a 200 to a HEAD (RFC 9111 section 4.3.5).

    None where that is about another state of the file, so that what is stored is stale.
    """
    etag, modified = _etag(head), first(head, "last-modified")
    if etag is not None and etag != _etag(stored):
        return None
    if modified is not None and not _same_date(stored, modified):
        return None
    lengths = {length for value in every(head, "content-length") for length in tokens(value)}
    if lengths and lengths != {str(stored_length)}:
        return None
    return updated(stored, head)


def _names_of_asker(response: Fields) -> tuple[str, ...]:
    said = CacheControl.of(response)
    return (*_OF_ASKER, *said.private_fields, *said.no_cache_fields)


def _etag(fields: Fields) -> str | None:
    etag = first(fields, "etag")
    return None if etag is None else etag.strip(" \t")


def _same_date(fields: Fields, modified: str) -> bool:
    had = first(fields, "last-modified")
    if had is None:
        return False
    date = parse_date(had)
    return had == modified if date is None else date == parse_date(modified)
