"""
What does a request ask for, and what is its one name?

One file must have one name, or it is stored twice and its freshness told twice. Here a request
target is taken apart (RFC 9112 section 3.2) and its path brought into the one form that the rest of
the program ever sees (RFC 3986 section 6.2.2), which is also the form that upstreams are asked for.
"""

from __future__ import annotations

import re

from attrs import frozen

_DEFAULT_PORTS = {"http": "80", "https": "443"}

_VISIBLE = re.compile(rb"[!-~]*+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_ABSOLUTE = re.compile(r"(https?)://([^/?]*+)(.*+)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"([A-Za-z0-9._~-]++|\[[0-9A-Fa-f:.]++\])(?::([0-9]*+))?")

# "+" is not among them: a server may take it for a blank, its escape never.
_PLAIN = r"A-Za-z0-9._~:@!$&'()*,;=-"
_PLAIN_CHARACTER = re.compile(f"[{_PLAIN}]")
_ODD = re.compile(f"%(..)?|[^/{_PLAIN}]", re.DOTALL)
# What an origin may tell from its escape stays as it was sent (RFC 3986 section 2.2).
_UNRESERVED_CHARACTER = re.compile("[A-Za-z0-9._~-]")
_ODD_TO_ANYBODY = re.compile(f"%(..)?|[^/+{_PLAIN}]", re.DOTALL)
# Origins that undo these escapes before they resolve dot segments, as nginx does, or that leave
# parameters out, would be led out of the folder that is to be handed out.
_LED_OUT = re.compile(r"(?:\A|%2F|%5C)\.\.(?:\Z|%2F|%5C|;)")
_HEX = re.compile("[0-9A-Fa-f]{2}")


class BadTarget(ValueError):
    """A request target that names no file: 400."""


@frozen
class RequestTarget:
    """
    A request target, taken apart.

    :ivar host: lower-case ``host`` or ``host:port`` of an absolute-form target, the default port
        left out; None in origin form.
    :ivar path: as it was sent, see `canonical_path`.
    :ivar query: without the question mark; None where there is none, which is not an empty one (RFC
        3986 section 6.2.3).
    """

    host: str | None
    path: str
    query: str | None


def parse_target(raw: bytes) -> RequestTarget:
    """
    Take a target in origin or absolute form apart (RFC 9112 sections 3.2.1 and 3.2.2).

    A fragment, which no client should send, is dropped.

    :raises BadTarget: for other forms, other schemes, octets that are no visible character, user
        names in the authority (RFC 9110 section 4.2.4).
    """
    if not _VISIBLE.fullmatch(raw):
        raise BadTarget("an octet in the request target that is no visible character")
    text = raw.decode("ascii").partition("#")[0]
    host = None
    if not text.startswith("/"):
        found = _ABSOLUTE.fullmatch(text)
        if found is None:
            raise BadTarget("neither a path nor an http URL")
        host = _host(found[1].lower(), found[2])
        text = found[3]
    path, mark, query = text.partition("?")
    return RequestTarget(host, path or "/", query if mark else None)


def canonical_path(raw: str) -> str:
    """
    Give the one form of a path.

    Escapes are undone where they are not needed and made where they are, in upper case; an escaped
    slash or backslash stays escaped, since it separates nothing. Runs of slashes are one slash, dot
    segments are resolved, escaped or not (RFC 3986 section 5.2.4); a slash at the end stays.
    Canonical paths stay as they are.

    :raises BadTarget: for a path that leads above the root, or does for who undoes all escapes; a
        malformed escape, an escaped control octet.
    """
    segments = _segments(raw, _ODD, _PLAIN_CHARACTER)
    resolved = _resolved([segment for segment in segments if segment])
    path = "/" + "/".join(resolved)
    return path + "/" if resolved and segments[-1] in ("", ".", "..") else path


def equivalent_path(raw: str) -> str:
    """
    Give the one form of a path that any origin takes for the same (RFC 3986 section 6.2.2).

    Dot segments are resolved, and unreserved characters are not escaped; but runs of slashes, and
    the escapes of reserved characters, may mean something to an origin and stay.

    :raises BadTarget: as `canonical_path` does.
    """
    segments = _segments(raw, _ODD_TO_ANYBODY, _UNRESERVED_CHARACTER)
    if segments[-1] in (".", ".."):
        segments.append("")
    return "/" + "/".join(_resolved(segments))


def below(prefix: str, path: str) -> str | None:
    """
    Give the path below a prefix, None where it lies elsewhere; whole segments are compared.
    """
    if prefix == "/":
        return path
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(prefix + "/") else None


def _segments(raw: str, odd: re.Pattern[str], plain: re.Pattern[str]) -> list[str]:
    if not raw.startswith("/"):
        raise BadTarget("the path does not begin with a slash")
    return odd.sub(lambda found: _rewritten(found, plain), raw).split("/")[1:]


def _resolved(segments: list[str]) -> list[str]:
    """Resolve dot segments (RFC 3986 section 5.2.4)."""
    resolved: list[str] = []
    for segment in segments:
        if segment == "..":
            if not resolved:
                raise BadTarget("the path leads above the root")
            resolved.pop()
        elif _LED_OUT.search(segment):
            raise BadTarget("the path leads upwards behind an escape or before a parameter")
        elif segment != ".":
            resolved.append(segment)
    return resolved


def _host(scheme: str, authority: str) -> str:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise BadTarget("the URL has no proper host")
    host, port = found[1].lower(), found[2]
    return f"{host}:{port}" if port and port != _DEFAULT_PORTS[scheme] else host


def _rewritten(odd: re.Match[str], plain_character: re.Pattern[str]) -> str:
    if odd[0][0] != "%":
        try:
            octets = odd[0].encode()
        except UnicodeEncodeError:
            raise BadTarget("a character that has no octets") from None
    elif odd[1] is None or not _HEX.fullmatch(odd[1]):
        raise BadTarget("a malformed escape in the path")
    else:
        octets = bytes.fromhex(odd[1])
        if plain_character.fullmatch(plain := octets.decode("latin-1")):
            return plain
    if _CONTROL.search(octets):
        raise BadTarget("a control octet in the path")
    return "".join(f"%{octet:02X}" for octet in octets)
