"""
Who is meant: networks as the operator writes them, whether an address is in one, and as whom it
counts.

It takes addresses as text. Peers on Unix sockets have none: they go by one name, and are meant
where that is written.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from osproxy.config.values import BadValue

if TYPE_CHECKING:
    from collections.abc import Collection

Network = IPv4Network | IPv6Network
Peer = Network | str
"""A network, or `UNIX`."""

UNIX = "unix"
"""The name of all peers on Unix sockets: who may use one, its file's permissions say."""

NEAR = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fe80::/10,fc00::/7"
_ALL = (ip_network("0.0.0.0/0"), ip_network("::/0"))
# Where one network is one house, and not what a provider gives to one customer.
_LOCAL = (IPv6Network("fc00::/7"), IPv6Network("fe80::/10"), IPv6Network("::1/128"))
_MAPPED = IPv6Network("::ffff:0:0/96")


def networks(text: str) -> tuple[Network, ...]:
    """Read networks and addresses with commas between them; ``all`` is every network."""
    return tuple(found for name in _names(text) for found in _named(name))


def peers(text: str) -> tuple[Peer, ...]:
    """Read networks and addresses as `networks` does; ``unix`` is whoever is on a Unix socket."""
    return tuple(
        found
        for name in _names(text)
        for found in ((UNIX,) if name.lower() == UNIX else _named(name, "unix, or all"))
    )


def allows(allowed: Collection[Peer], address: str) -> bool:
    """
    Say whether an address is in one of the networks.

    An IPv4 address may be written as its IPv6 mapping, as sockets for both do; a zone after ``%``
    does not matter. What is no address is in no network; `UNIX` is meant by its name alone.
    """
    if address == UNIX:
        return UNIX in allowed
    found = _read(address)
    if found is None:
        return False
    return any(found in network for network in allowed if not isinstance(network, str))


@lru_cache(maxsize=4096)
def _read(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped


def client_of(address: str) -> str:
    """
    Name the client that an address counts as.

    Who has one public IPv6 address has 2**64 of them (RFC 6177, RFC 7934), so that its network
    counts. Local addresses, IPv4 ones and names that are no addresses stand for themselves.
    """
    if ":" not in address:
        return address
    try:
        literal = ip_address(address)
    except ValueError:
        return address
    if literal.version == 4 or any(literal in network for network in _LOCAL):
        return address
    return str(IPv6Network((int(literal) >> 64 << 64, 64)))


def _names(text: str) -> list[str]:
    return [name for piece in text.split(",") if (name := piece.strip())]


def _named(name: str, words: str = "or all") -> tuple[Network, ...]:
    if name.lower() == "all":
        return _ALL
    if "%" in name:
        raise BadValue(f"has {name!r}; addresses are looked up without their zone, so give none")
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        raise BadValue(
            f"has {name!r}, which is no network; give some such as 192.168.0.0/16,::1, {words}"
        ) from None
    if "/" in name and ip_address(name.partition("/")[0]) != network.network_address:
        raise BadValue(f"has {name!r}, which begins within its network; give {network}?")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Addresses of it are looked up as what they are, see `allows`.
        return (_beneath(network),)
    return (network,)


def _beneath(network: IPv6Network) -> IPv4Network:
    """Give the network whose IPv6 mapping this is."""
    address = int(network.network_address) & 0xFFFF_FFFF
    return IPv4Network((address, network.prefixlen - _MAPPED.prefixlen))
