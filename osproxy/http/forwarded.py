"""
For whom a request is made: what a proxy says that asks us, and what we tell an upstream.

`asker` reads Forwarded (RFC 7239) and X-Forwarded-For, which is older and has no specification;
`add` and `clients` write the former, `sent_on` the latter where a request has it already.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from osproxy.http.fields import every, is_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from osproxy.http.fields import Fields

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_PAIR = rf"{_TOKEN}=(?:{_TOKEN}|{_QUOTED})"
_ELEMENT = rf"(?:{_PAIR})?+(?:;(?:{_PAIR})?+)*+"
_LIST = re.compile(rf"[ \t]*+{_ELEMENT}[ \t]*+(?:,[ \t]*+{_ELEMENT}[ \t]*+)*+")
_PAIRS = re.compile(_PAIR)
_UNPRINTABLE = re.compile("[^ -~]")
_ESCAPED = re.compile(r'(["\\])')

# An element read from its end: what a client has begun in front of it, a quote for one, is no part
# of it. In a text that is turned round, a backslash behind a quote says that it is not the end.
_TURNED = re.compile(r'((?:[^",]|"(?:[^"]|"\\)*+")*+)(?:,|\Z)', re.DOTALL)
# As it is written in practice: with blanks, and addresses of IPv6 without their quotes.
_LOOSE_PAIR = rf'[ \t]*+(?:{_TOKEN}=(?:[^\s",;]++|{_QUOTED}))?+[ \t]*+'
_LOOSE_ELEMENT = re.compile(rf"(?:{_LOOSE_PAIR};)*+{_LOOSE_PAIR}")
_LOOSE_VALUES = re.compile(rf'({_TOKEN})=([^\s",;]++|{_QUOTED})')
_QUOTED_PAIR = re.compile(r"\\(.)")
# With the zone of a link-local one, though RFC 7239 has no place for it.
_SIX = r"[0-9A-Fa-f:.]{2,45}(?:%[\w.-]+)?"
_NODE = re.compile(
    rf"(?:\[(?P<six>{_SIX})\]|(?P<four>[0-9.]{{7,15}}))(?::(?:[0-9]{{1,5}}|_[\w.-]+))?"
    rf"|(?P<bare>{_SIX})",
    re.ASCII,
)


def asker(fields: Fields, sender: str, trusted: Callable[[str], bool]) -> str | None:
    """
    Say who asks: the sender of a request, or for whom a sender that is trusted says it asks.

    Each proxy writes behind what it was sent who has sent it. So this is read from the end, and
    only as far as those who have written it are trusted: the first who is not is the client. Where
    a proxy cannot or will not say who asked it, that proxy counts as the client.

    None where both fields say so, and name different clients: one of them is what a client has
    written, and a proxy that does not know that field has let through.

    :param sender: its address.
    :param trusted: tells whether an address is that of a proxy to believe.
    """
    if not trusted(sender):
        return sender
    found = {
        _first_strange(nodes(values), sender, trusted)
        for name, nodes in (("forwarded", _nodes), ("x-forwarded-for", _nodes_without_names))
        if (values := [value for value in every(fields, name) if value.strip(" \t")])
    }
    if not found:
        return sender
    return found.pop() if len(found) == 1 else None


def add(fields: Fields, client: str, sender: str, host: str | None, proto: str) -> str:
    """
    Give the Forwarded of a request that is sent on, what it had before in front.

    What does not follow the grammar is dropped: behind a quote that is never closed our own word
    would not be read.

    :param client: who asks, see `asker`.
    :param sender: its address; what is none, such as the name of a socket, is ``unknown``.
    :param host: the Host that was asked for.
    """
    element = f"for={_value(_node(sender))}"
    if host is not None and not _UNPRINTABLE.search(host):
        element += f";host={_value(host)}"
    element += f";proto={_value(proto)}"
    return ", ".join([*_before(fields, client, sender), element])


def clients(fields: Fields, client: str, sender: str) -> str:
    """
    Give the Forwarded of a request whose response may be for others, too: only who asks for it.

    By which name and scheme each asks for the same is its own choice, and there are origins that
    write that into what they answer.
    """
    said = _before(fields, client, sender)
    pairs = [pair for value in said for pair in _PAIRS.findall(value)]
    before = [pair for pair in pairs if pair.lower().startswith("for=")]
    return ", ".join([*before, f"for={_value(_node(sender))}"])


def sent_on(fields: Fields, sender: str) -> Fields:
    """
    Have X-Forwarded-For, where a request has it, end with who has sent it to us.

    Else an upstream that believes us would take a client's word for ours.
    """
    values = [value.strip(" \t") for value in every(fields, "x-forwarded-for")]
    if not values:
        return fields
    chain = ", ".join([*filter(None, values), _node(sender).strip("[]")])
    others = [(name, value) for name, value in fields if name.lower() != "x-forwarded-for"]
    return (*others, ("X-Forwarded-For", chain))


def _first_strange(nodes: Iterator[str | None], sender: str, trusted: Callable[[str], bool]) -> str:
    nearest = sender
    for node in nodes:
        if node is None:
            break
        nearest = node
        if not trusted(node):
            break
    return nearest


def _nodes(values: list[str]) -> Iterator[str | None]:
    """Read the addresses of Forwarded from the end, None for what is no address."""
    for value in reversed(values):
        turned, position = value[::-1], 0
        while position <= len(turned):
            found = _TURNED.match(turned, position)
            if found is None:
                yield None
                return
            yield _node_of(found[1][::-1])
            # Behind a comma there is one more, be it empty; behind the end there is none.
            position = found.end() + (found.end() == found.end(1))


def _nodes_without_names(values: list[str]) -> Iterator[str | None]:
    """Read the addresses of X-Forwarded-For from the end, None for what is no address."""
    for value in reversed(values):
        for node in reversed(value.split(",")):
            yield _address(node.strip(" \t"))


def _node_of(element: str) -> str | None:
    if not _LOOSE_ELEMENT.fullmatch(element):
        return None
    named = [value for name, value in _LOOSE_VALUES.findall(element) if name.lower() == "for"]
    # RFC 7239 section 4: each parameter at most once.
    if len(named) != 1:
        return None
    (value,) = named
    return _address(_QUOTED_PAIR.sub(r"\1", value[1:-1]) if value[0] == '"' else value)


def _address(node: str) -> str | None:
    """Read the address of a node as section 6 has it; the port does not matter."""
    found = _NODE.fullmatch(node)
    if found is None:
        return None
    written = _node(found["six"] or found["four"] or found["bare"])
    return None if written == "unknown" else written.strip("[]")


def _before(fields: Fields, client: str, sender: str) -> list[str]:
    """Give what the Forwarded of a request says, so far as it can be read."""
    said = [stripped for value in every(fields, "forwarded") if (stripped := value.strip(" \t"))]
    readable = [value for value in said if _LIST.fullmatch(value)]
    if client != sender and (not said or len(readable) < len(said)):
        # What is known is from what is dropped here, or from the older field.
        return [f"for={_value(_node(client))}"]
    return readable


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
