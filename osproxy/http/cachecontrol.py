"""
What a response, or a request, says about caching (RFC 9111 section 5.2).

Read leniently: upstreams send what they send, and a directive that makes no sense must not cost us
the response. Where two directives disagree the stricter one holds.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Self

from attrs import frozen

from osproxy.http.fields import Fields, every, is_token, parse_date, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The greatest number of seconds there is (RFC 9111 section 1.2.2).
EVER = 2**31

# No directive has a blank in it but in quotes, so a blank may separate them as well as a comma:
# MirrorCache leaves the commas out. So does a semicolon, which others write by mistake: what stands
# behind it, or before it, may be a `private`. An argument keeps it, and is none that can be read.
# Blanks around the equals sign are no syntax, but are sent. Possessive, and begun at nothing that
# separates: a hostile value costs linear time.
_DIRECTIVE = re.compile(
    r'(?=[^ \t,;])(?P<name>[^ \t,;="]*+)'
    r'(?P<equals>[ \t]*+=(?:[ \t]*+(?=[0-9"]))?+)?+'
    r'(?P<argument>(?P<open>"(?:[^"\\]|\\.)*+(?P<close>")?+)?+[^ \t,;]*+;?+)',
    re.DOTALL,
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SECONDS = re.compile("[0-9]+")

# What each directive of a message has for arguments, None where it has none.
_Directives = dict[str, list[str | None]]


@frozen
class CacheControl:
    """
    The directives of a response (RFC 9111 section 5.2.2, RFC 5861, RFC 8246); ages in seconds.

    :ivar no_cache: without naming fields; likewise ``private``.
    :ivar no_cache_fields: the fields that must not be replayed without validation (section
        5.2.2.4), in lower case.
    :ivar private_fields: the fields that must not be stored (section 5.2.2.7), in lower case.
    """

    max_age: int | None = None
    s_maxage: int | None = None
    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    immutable: bool = False
    no_cache_fields: frozenset[str] = frozenset()
    private_fields: frozenset[str] = frozenset()
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None

    @classmethod
    def parse(cls, values: Iterable[str]) -> Self:
        """
        Read the values of all Cache-Control fields of one response; never raises.

        An age that is no number is zero (section 4.2.1), so is a time of grace; of several the
        least holds. What should name fields and does not means all of the response.
        """
        directives = _read(values)
        no_cache, no_cache_fields = _named(directives.get("no-cache", []))
        private, private_fields = _named(directives.get("private", []))
        return cls(
            max_age=_least(directives, "max-age"),
            s_maxage=_least(directives, "s-maxage"),
            no_store="no-store" in directives,
            no_cache=no_cache,
            private=private,
            public="public" in directives,
            must_revalidate="must-revalidate" in directives,
            proxy_revalidate="proxy-revalidate" in directives,
            must_understand="must-understand" in directives,
            immutable="immutable" in directives,
            no_cache_fields=no_cache_fields,
            private_fields=private_fields,
            stale_while_revalidate=_least(directives, "stale-while-revalidate"),
            stale_if_error=_least(directives, "stale-if-error"),
        )

    @classmethod
    def of(cls, response: Fields) -> Self:
        """Read what a response says."""
        return cls.parse(every(response, "cache-control"))


@frozen
class RequestControl:
    """
    The directives of a request (RFC 9111 section 5.2.1, RFC 5861 section 4).

    ``only_if_cached`` is for whoever would ask an upstream: 504 instead (section 5.2.1.7).

    :ivar max_stale: infinite where it is given without a value.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: float | None = None
    stale_if_error: int | None = None

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """
        Read the fields of a request; never raises.

        Pragma counts only where there is no Cache-Control (section 5.4). What is no number asks for
        the most: nothing older than now, nothing stale.
        """
        values = every(fields, "cache-control")
        if not values:
            return cls(no_cache="no-cache" in _read(every(fields, "pragma")))
        directives = _read(values)
        max_stale = [
            math.inf if argument is None else float(delta_seconds(argument) or 0)
            for argument in directives.get("max-stale", [])
        ]
        return cls(
            no_cache="no-cache" in directives,
            no_store="no-store" in directives,
            only_if_cached="only-if-cached" in directives,
            max_age=_least(directives, "max-age"),
            min_fresh=_of_all(max, directives, "min-fresh", unreadable=EVER),
            max_stale=min(max_stale, default=None),
            stale_if_error=_least(directives, "stale-if-error"),
        )


def delta_seconds(text: str) -> int | None:
    """Read a number of seconds (RFC 9111 section 1.2.2), None where it is none."""
    if not _SECONDS.fullmatch(text):
        return None
    digits = text.lstrip("0")
    return EVER if len(digits) > 10 else min(int(digits or "0"), EVER)


def explicit_lifetime(fields: Fields, date: float) -> float | None:
    """
    Give the seconds that a response says it stays fresh, None where it says nothing.

    RFC 9111 section 4.2.1: s-maxage before max-age before Expires, which counts from ``date``. What
    cannot be understood is stale at once (sections 4.2.1 and 5.3), as is what must always be
    validated (section 5.2.2.4).
    """
    said = CacheControl.of(fields)
    if said.no_cache:
        return 0.0
    for seconds in (said.s_maxage, said.max_age):
        if seconds is not None:
            return float(seconds)
    ends = [parse_date(value) for value in every(fields, "expires")]
    if not ends:
        return None
    until = min(date if end is None else end for end in ends)
    return min(max(0.0, until - date), float(EVER))


def may_be_stale(fields: Fields) -> bool:
    """
    Say whether a shared cache may serve a response when it is stale (RFC 9111 section 4.2.4).

    That s-maxage forbids it, too, is in section 5.2.2.10.
    """
    said = CacheControl.of(fields)
    return not (
        said.no_cache or said.must_revalidate or said.proxy_revalidate or said.s_maxage is not None
    )


def _read(values: Iterable[str]) -> _Directives:
    directives: _Directives = {}
    for value in values:
        for found in _DIRECTIVE.finditer(value):
            if found["open"] and not found["close"]:
                # Nobody knows what else was meant to be said behind a quote that is never closed.
                for name in ("no-store", "private"):
                    directives.setdefault(name, []).append(None)
            argument = None
            if found["equals"]:
                quoted = _QUOTED.fullmatch(found["argument"])
                argument = found["argument"]
                if quoted:
                    argument = _ESCAPED.sub(r"\1", quoted[1])
            directives.setdefault(found["name"].lower(), []).append(argument)
    return directives


def _named(arguments: list[str | None]) -> tuple[bool, frozenset[str]]:
    """Say whether a directive is meant for the whole response, and which fields it names."""
    whole = False
    names: set[str] = set()
    for argument in arguments:
        listed = tokens(argument or "")
        if listed and all(map(is_token, listed)):
            names.update(name.lower() for name in listed)
        else:
            whole = True
    return whole, frozenset(names)


def _least(directives: _Directives, name: str) -> int | None:
    return _of_all(min, directives, name, unreadable=0)


def _of_all(
    choose: Callable[[Iterable[int]], int], directives: _Directives, name: str, *, unreadable: int
) -> int | None:
    arguments = directives.get(name)
    if arguments is None:
        return None
    numbers = (delta_seconds(argument or "") for argument in arguments)
    return choose(unreadable if number is None else number for number in numbers)
