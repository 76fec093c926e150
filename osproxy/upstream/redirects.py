"""
Where a redirect may lead us, and what it says of a file's name.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from pathlib import PurePosixPath
from socket import inet_aton
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from osproxy.http.paths import BadTarget, canonical_path
from osproxy.repo.kinds import is_alias

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Redirects that are followed for one request.
MOST = 8
STATUSES = frozenset({301, 302, 303, 307, 308})

# RFC 6761, 6762, 8375, and what ICANN keeps for private use; names without a dot are private too.
_PRIVATE_NAMES = (".localhost", ".local", ".home.arpa", ".internal")


class Redirect(Enum):
    """What to do about a redirect."""

    FOLLOW = "go on there"
    RELAY = "it only adds a slash: the client should know that this is a folder"
    REFUSE = "it leads where we do not go"


def judge(first: str, current: str, location: str, *, https_only: bool) -> tuple[Redirect, str]:
    """
    Decide about a redirect; return what to do, and where it leads or why it is refused.

    :param first: the URL that was asked for at the beginning.
    :param current: the URL that answered with the redirect.
    :param location: the Location field, absolute or relative (RFC 9110 section 10.2.2).
    :param https_only: whether a transfer begun with TLS must stay with it.
    """
    try:
        url = urljoin(current, location).partition("#")[0]
        here, there, origin = urlsplit(current), urlsplit(url), urlsplit(first)
        same = _place(here) == _place(there)
    except ValueError:
        return Redirect.REFUSE, f"{location!r} is no URL"
    if there.scheme not in ("http", "https") or not there.hostname:
        return Redirect.REFUSE, f"{location!r} is no place on the web"
    if there.username is not None or there.password is not None:
        return Redirect.REFUSE, "it carries a password"
    if same and there.path == here.path + "/":
        return Redirect.RELAY, there.path
    if https_only and here.scheme == "https" and there.scheme == "http":
        return Redirect.REFUSE, "it gives up TLS"
    # A redirect must not make us fetch from inside for somebody outside.
    if _inside(there.hostname) and not _inside(origin.hostname or ""):
        return Redirect.REFUSE, f"it leads into a private network, to {there.hostname}"
    return Redirect.FOLLOW, url


def alias_of(way: Sequence[str]) -> str | None:
    """
    Name the file that was asked for by an alias, in canonical form; None where it was not.

    That is said by the first redirect to another name in the same folder, if it comes from the host
    that was asked at first: what a mirror has by what name says nothing of the authority's names.
    A folder on another host is the same where its path ends with the whole path of the first.

    :param way: the URLs that were asked, each after the first being where a redirect has led.
    """
    first, *others = (urlsplit(url) for url in way)
    try:
        folder, name = _folder_and_name(first)
        for here, there in pairwise((first, *others)):
            led, real = _folder_and_name(there)
            if real == name:
                continue
            near = led == folder if _place(there) == _place(first) else _ends_alike(led, folder)
            ours = here.hostname == first.hostname
            return real if ours and near and _stands_for(name, real) else None
    except BadTarget:
        pass
    return None


def _folder_and_name(url: SplitResult) -> tuple[str, str]:
    if url.query:
        raise BadTarget("a query is no part of a name")
    folder, _, name = canonical_path(url.path or "/").rpartition("/")
    return folder, name


def _ends_alike(led: str, folder: str) -> bool:
    return folder != "" and led.endswith(folder)


def _stands_for(name: str, real: str) -> bool:
    extensions = {PurePosixPath(it).suffix for it in (name, real)}
    separated = "%2F" in real or "%5C" in real
    return real != "" and len(extensions) == 1 and not separated and not is_alias(real)


def _place(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _inside(host: str) -> bool:
    """Tell whether a host is, by its address or its name, in a private network."""
    host = host.rstrip(".")
    address = _address(host)
    if address is None:
        return "." not in host or host.endswith(_PRIVATE_NAMES)
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        pass
    # A resolver takes 127.1, 2130706433 and 0x7f.1 for addresses as well.
    try:
        return IPv4Address(inet_aton(host))
    except (OSError, ValueError):
        return None
