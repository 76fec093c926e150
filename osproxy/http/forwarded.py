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
    said = [value.strip(" \t") for value in every(fields, "forwarded")]
    element = f"for={_value(_node(client))}"
    if host is not None and not _UNPRINTABLE.search(host):
        element += f";host={_value(host)}"
    element += f";proto={_value(proto)}"
    return ", ".join([*(value for value in said if value and _LIST.fullmatch(value)), element])


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
