"""
What is no longer true once something was changed (RFC 9111 section 4.4).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from osproxy.http.fields import every

if TYPE_CHECKING:
    from osproxy.http.fields import Fields

# Those of RFC 9110 section 9.2.1; of a method that we do not know we must think the worst.
_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_DEFAULT_PORTS = {"http": 80, "https": 443}
# The parser would drop some of them without a word.
_NO_URI = re.compile(r"[^!-~]|\\")


def invalidated(method: str, status: int, target_uri: str, response: Fields) -> tuple[str, ...]:
    """
    Give the URIs, without fragments, whose stored responses are not to be used any more.

    That is the target URI of an unsafe request that was no error, and what Location and
    Content-Location name on the same origin; others could be named to do harm.
    """
    if method in _SAFE or not 200 <= status <= 399:
        return ()
    target = target_uri.partition("#")[0]
    found = {target: None}
    for reference in (*every(response, "location"), *every(response, "content-location")):
        uri = _resolved(target, reference.strip(" \t"))
        if uri is not None:
            found[uri] = None
    return tuple(found)


def _resolved(target: str, reference: str) -> str | None:
    """Resolve a reference (RFC 3986 section 5.2); None where it leads away, or makes no sense."""
    if _NO_URI.search(reference):
        return None
    try:
        uri = urljoin(target, reference.partition("#")[0])
        return uri if _origin(uri) == _origin(target) else None
    except ValueError:
        return None


def _origin(uri: str) -> tuple[str, str | None, int | None]:
    """Give what is compared of two origins (RFC 9110 section 4.3.1)."""
    parts = urlsplit(uri)
    port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    return parts.scheme, parts.hostname, port
