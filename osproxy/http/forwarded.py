"""
Tell an upstream whom we ask for (RFC 7239).
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from osproxy.http.fields import every, is_token

if TYPE_CHECKING:
    from osproxy.http.fields import Fields

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PAIR = rf'{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*+")'
_ELEMENT = rf"(?:{_PAIR})?+(?:;(?:{_PAIR})?+)*+"
_LIST = re.compile(rf"[ \t]*+{_ELEMENT}[ \t]*+(?:,[ \t]*+{_ELEMENT}[ \t]*+)*+")
_PAIRS = re.compile(_PAIR)
_UNPRINTABLE = re.compile("[^ -~]")
_ESCAPED = re.compile(r'(["\\])')


def add(fields: Fields, client: str, host: str | None, proto: str) -> str:
    """
    Give the Forwarded of a request that is sent on, what it had before in front.

    What does not follow the grammar is dropped: behind a quote that is never closed our own word
    would not be read.

    :param client: its address; what is none, such as the name of a socket, is ``unknown``.
    :param host: the Host that was asked for.
    """
    element = f"for={_value(_node(client))}"
    if host is not None and not _UNPRINTABLE.search(host):
        element += f";host={_value(host)}"
    element += f";proto={_value(proto)}"
    return ", ".join([*_readable(fields), element])


def clients(fields: Fields, client: str) -> str:
    """
    Give the Forwarded of a request whose response may be for others, too: only who asks for it.

    By which name and scheme each asks for the same is its own choice, and there are origins that
    write that into what they answer.
    """
    pairs = [pair for value in _readable(fields) for pair in _PAIRS.findall(value)]
    before = [pair for pair in pairs if pair.lower().startswith("for=")]
    return ", ".join([*before, f"for={_value(_node(client))}"])


def _readable(fields: Fields) -> list[str]:
    said = [value.strip(" \t") for value in every(fields, "forwarded")]
    return [value for value in said if value and _LIST.fullmatch(value)]


def _node(client: str) -> str:
    """Write an address as section 6 wants it; one of IPv6 that stands for IPv4 as what it means."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return f"[{address}]" if mapped is None else str(mapped)
    return str(address)


def _value(text: str) -> str:
    return text if is_token(text) else '"' + _ESCAPED.sub(r"\\\1", text) + '"'
