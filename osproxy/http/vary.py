"""
Which requests a stored response is for, beside those for its URI (RFC 9111 section 4.1).

Two values of a field are the same if one can be brought into the form of the other without a change
of meaning. That is done where the field's grammar is known and the value follows it to the letter;
any other value is compared as it is, since it costs little to store a response twice, and much to
hand out the wrong one.
"""

from __future__ import annotations

import re
from hashlib import sha256
from json import dumps
from typing import TYPE_CHECKING

from osproxy.http.fields import every, is_token, taken_for, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.fields import Fields

# The fields that a response was selected by, their names in lower case and sorted, their values in
# one form; None stands for a field that the request did not have, which is not an empty one.
Selecting = tuple[tuple[str, str | None], ...]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_WEIGHT = re.compile(r"[ \t]*+q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_LANGUAGE = re.compile(r"\*|[A-Za-z]{1,8}(?:-[0-9A-Za-z]{1,8})*+")
_MEDIA = re.compile(rf"({_TOKEN}/{_TOKEN})((?:[ \t]*+;.*)?)", re.DOTALL)
_PARAMETER = re.compile(rf'[ \t]*+;[ \t]*+({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*+")', re.DOTALL)


# What frameworks obey in place of the request's own target and method, and do not tell in Vary: so
# the response to it is none to others. (Of Forwarded, RFC 7239, see `osproxy.http.forwarded`.)
_OBEYED = frozenset(
    (
        "front-end-https", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
        "x-forwarded-proto", "x-forwarded-protocol", "x-forwarded-scheme", "x-forwarded-server",
        "x-forwarded-ssl", "x-host", "x-http-method", "x-http-method-override",
        "x-method-override", "x-original-host", "x-original-url", "x-rewrite-url", "x-url-scheme",
    )
)  # fmt: skip
# What each proxy says anew: the next request has another, whatever its client sends.
_SAID_ANEW = frozenset(("forwarded", "via", "x-forwarded-for"))


def selecting(request: Fields, response: Fields) -> Selecting | None:
    """
    Give what a response was selected by; empty where it is for everybody.

    None where no other request may have it unasked: Vary has a ``*``, or what is no field name and
    so could mean anything, or a field that every proxy says anew.
    """
    nominated = {name.lower() for value in every(response, "vary") for name in tokens(value)}
    if "*" in nominated or nominated & _SAID_ANEW or not all(map(is_token, nominated)):
        return None
    # An origin may also heed what it takes for one of these.
    decisive = nominated | _OBEYED
    heeded = {name.lower() for name, _ in request if taken_for(name) in decisive}
    return _select(nominated | heeded, request)


def variant_key(selecting: Selecting) -> str:
    """Name a variant by a text of hexadecimal digits, empty where there is but one."""
    return sha256(dumps(selecting).encode()).hexdigest()[:32] if selecting else ""


def _select(nominated: set[str], request: Fields) -> Selecting:
    present: dict[str, list[str]] = {}
    for name, value in request:
        name = name.lower()
        if name in nominated:
            present.setdefault(name, []).append(value)
    return tuple(
        (name, _normalised(name, _combined(present[name])) if name in present else None)
        for name in sorted(nominated)
    )


def _combined(values: list[str]) -> str:
    """Make one value of several (RFC 9110 section 5.3)."""
    return ", ".join(value.strip(" \t") for value in values).strip(" \t")


def _normalised(name: str, value: str) -> str:
    """Bring a value into its one form, where there is one."""
    read, ordered = _GRAMMARS.get(name, (None, False))
    if read is None:
        return value
    weighted = []
    for member in tokens(value):
        body, weight = _weighed(member)
        form = read(body)
        if form is None:
            return value
        weighted.append((form, weight))
    if not ordered:
        weighted = sorted(set(weighted))
        if len({form for form, _ in weighted}) < len(weighted):
            # Of two weights of one thing nobody knows which counts.
            return value
    weighted.sort(key=lambda pair: -pair[1])
    return ", ".join(form if weight == 1 else f"{form};q={weight:.3f}" for form, weight in weighted)


def _weighed(member: str) -> tuple[str, float]:
    """Take the weight off a member of a list (RFC 9110 section 12.4.2)."""
    body, _, last = member.rpartition(";")
    found = _WEIGHT.fullmatch(last) if body else None
    return (body.rstrip(" \t"), float(found[1])) if found else (member, 1.0)


def _coding(body: str) -> str | None:
    """Codings and charsets ignore case (RFC 9110 sections 8.3.2 and 8.4.1)."""
    return body.lower() if is_token(body) else None


def _language(body: str) -> str | None:
    """Ranges of languages ignore case (RFC 4647 section 2)."""
    return body.lower() if _LANGUAGE.fullmatch(body) else None


def _media(body: str) -> str | None:
    """Types and names of parameters ignore case, values of parameters may not (section 8.3.1)."""
    found = _MEDIA.fullmatch(body)
    if found is None:
        return None
    parts, rest, position = [found[1].lower()], found[2], 0
    while position < len(rest):
        parameter = _PARAMETER.match(rest, position)
        if parameter is None or parameter[1].lower() == "q":
            return None
        parts.append(f"{parameter[1].lower()}={parameter[2]}")
        position = parameter.end()
    return ";".join(parts)


# How a member is read, None where it does not follow the grammar; and whether the order of members
# of equal weight can make a difference. It does not for codings and charsets (RFC 9110 sections
# 12.5.2 and 12.5.3); some recipients take the first of several languages (section 12.5.4), and of
# several types.
_GRAMMARS: dict[str, tuple[Callable[[str], str | None], bool]] = {
    "accept": (_media, True),
    "accept-charset": (_coding, False),
    "accept-encoding": (_coding, False),
    "accept-language": (_language, True),
}
