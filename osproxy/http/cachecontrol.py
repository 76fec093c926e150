"""
What a response, or a request, says about caching (RFC 9111 section 5.2).

Read leniently: upstreams send what they send, and a directive that makes no sense must not cost us
the response. Where two directives disagree the stricter one holds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from attrs import frozen

from osproxy.http.fields import Fields, every, first, parse_date, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

# The greatest number of seconds there is (RFC 9111 section 1.2.2).
_EVER = 2**31

_REVALIDATE = ("must-revalidate", "proxy-revalidate")

# MirrorCache separates directives by blanks: what follows the digits is left alone.
_SECONDS = re.compile(r'"?([0-9]++)(?![^\s"])')


@frozen
class CacheControl:
    """
    The directives that this cache heeds; ages in seconds.

    ``private`` and ``no_cache`` are meant to hold for the whole response even where they name
    fields, as RFC 9111 sections 5.2.2.4 and 5.2.2.7 allow. ``must_revalidate`` stands for
    proxy-revalidate, too, which says the same to a shared cache.
    """

    max_age: int | None = None
    s_maxage: int | None = None
    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    must_revalidate: bool = False

    @classmethod
    def parse(cls, values: Iterable[str]) -> Self:
        """Read the values of all Cache-Control fields of one message; never raises."""
        directives: dict[str, list[str]] = {}
        for value in values:
            for directive in tokens(value):
                name, _, argument = directive.partition("=")
                directives.setdefault(name.strip().lower(), []).append(argument.strip())
        return cls(
            max_age=_least(directives.get("max-age")),
            s_maxage=_least(directives.get("s-maxage")),
            no_store="no-store" in directives,
            no_cache="no-cache" in directives,
            private="private" in directives,
            must_revalidate=not directives.keys().isdisjoint(_REVALIDATE),
        )


def storable(fields: Fields) -> bool:
    """
    Say whether a shared cache may store a response with these fields (RFC 9111 section 3).

    One that sets a cookie is somebody's own. One that varies by more than Accept-Encoding is not
    for everybody either; that field itself we always send alike.
    """
    said = CacheControl.parse(every(fields, "cache-control"))
    varies = {name.lower() for value in every(fields, "vary") for name in tokens(value)}
    return not (
        said.no_store
        or said.private
        or varies - {"accept-encoding"}
        or first(fields, "set-cookie") is not None
    )


def explicit_lifetime(fields: Fields, date: float) -> float | None:
    """
    Give the seconds that a response says it stays fresh, None where it says nothing.

    RFC 9111 section 4.2.1: s-maxage before max-age before Expires, which counts from ``date``. What
    cannot be understood is stale at once (sections 4.2.1 and 5.3), as is what must always be
    validated (section 5.2.2.4).
    """
    said = CacheControl.parse(every(fields, "cache-control"))
    if said.no_cache:
        return 0.0
    for seconds in (said.s_maxage, said.max_age):
        if seconds is not None:
            return float(seconds)
    expires = first(fields, "expires")
    if expires is None:
        return None
    until = parse_date(expires)
    return 0.0 if until is None else max(0.0, until - date)


def may_be_stale(fields: Fields) -> bool:
    """Say whether a shared cache may serve a response when it is stale (RFC 9111 section 4.2.4)."""
    said = CacheControl.parse(every(fields, "cache-control"))
    return not (said.must_revalidate or said.no_cache or said.s_maxage is not None)


def _least(arguments: list[str] | None) -> int | None:
    return None if arguments is None else min(map(_seconds, arguments))


def _seconds(argument: str) -> int:
    found = _SECONDS.match(argument)
    if found is None:
        return 0
    digits = found[1].lstrip("0")
    return _EVER if len(digits) > 10 else min(int(digits or "0"), _EVER)
