"""
Backends: from the tables of files to what the server works with.

Our own file has ``[backend."/prefix"]`` tables, the file of the existing proxy has
``[prefix."/prefix"]`` ones. Where neither has ``/``, it is what ``--mirror-chain`` names, else
openSUSE's content delivery network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from osproxy.config.clients import networks
from osproxy.config.given import ConfigError, Given
from osproxy.config.kinds import TIMED, guarded_kinds
from osproxy.config.sources import read_all, read_one
from osproxy.config.values import BadValue, boolean, duration, host, one_of, url
from osproxy.http.paths import BadTarget, below, canonical_path
from osproxy.model import Backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from osproxy.config.clients import Network
    from osproxy.config.files import Table
    from osproxy.repo.kinds import Kind

_T = TypeVar("_T")

_AUTHORITY = "https://cdn.opensuse.org"
_HOSTS = ("cdn.opensuse.org", "download.opensuse.org")
KEYS = {
    "authority": "URL that the files come from, its path included; has to be given",
    "hosts": "host names that clients with osproxy as their HTTP proxy may use for it",
    "large-objects": "whether images are kept; the default is what --cache-large-objects says",
    "wonder-guard": "as --wonder-guard, which is the default, or a list of kinds",
    "freshness": "table: how long files of a kind are fresh",
    "policy": "what is there, repository or generic; the default is repository",
    "clients": "networks that may ask for its files; the default is what --clients says",
    "deny": "networks that may not, besides those of --deny",
}
"""The keys of a ``[backend."/prefix"]`` table, each with its help."""
KEYS_ELSEWHERE = {
    "url": "authority",
    "cache-large-objects": "large-objects",
    "wonder-guard": "wonder-guard",
}
"""Those of the existing proxy's tables that mean something, and ours for the same."""
WITHOUT_MEANING = ("check-upstream", "allowed-countries", "daily-quota")
_POLICY = one_of("repository", "generic")


@frozen
class Declared:
    """A backend, and the place that it was declared in as complaints name it."""

    backend: Backend
    place: str


def own_backends(
    file: Table, *, large_objects: bool, guarded: frozenset[Kind]
) -> Iterator[Declared]:
    """
    Read the ``[backend."/prefix"]`` tables.

    :param large_objects: whether images are kept where a table does not say.
    :param guarded: the kinds that are kept only at a second request where it does not.

    :raises ConfigError: when there is something wrong in one.
    """
    for prefix, table in file.tables("backend"):
        keys = table.keys(KEYS)
        yield Declared(
            Backend(
                _prefix(table, prefix),
                _required(table, keys, "authority", url),
                tuple(read_all(host, table.given(keys["hosts"]))) if "hosts" in keys else (),
                _optional(table, keys, "large-objects", boolean, large_objects),
                _freshness(table.table("freshness")) if "freshness" in keys else {},
                _generic(table, keys),
                _guarded(table, keys, guarded),
                _clients(table, keys),
                _networks(table, keys, "deny"),
            ),
            f"{table.name} ({table.file})",
        )


def backends_elsewhere(
    file: Table, *, large_objects: bool, guarded: frozenset[Kind]
) -> Iterator[Declared]:
    """
    Read the ``[prefix."/prefix"]`` tables of the existing proxy's file.

    The parameters are as in `own_backends`, but what is kept only at a second request is so for
    ``/`` alone where a table does not say, as that proxy has it.

    :raises ConfigError: when there is something wrong in one.
    """
    file.keys(("prefix",))
    for prefix, table in file.tables("prefix"):
        keys = table.keys((*KEYS_ELSEWHERE, *WITHOUT_MEANING))
        yield Declared(
            Backend(
                _prefix(table, "/" + prefix),
                _required(table, keys, "url", url),
                _HOSTS if prefix in ("", "/") else (),
                _optional(table, keys, "cache-large-objects", boolean, large_objects),
                guarded=_guarded(table, keys, guarded if prefix in ("", "/") else frozenset()),
            ),
            f"{table.name} ({table.file})",
        )


def warnings_of_keys(file: Table) -> Iterator[str]:
    """Tell of keys in the existing proxy's file that do nothing here, once each."""
    written = {key for _, table in file.tables("prefix") for key, on in table.content.items() if on}
    for key in sorted(written):
        if key.replace("_", "-") in WITHOUT_MEANING:
            yield f"key {key} in {file.file} has no meaning to osproxy and is ignored"


def complete(
    declared: Iterable[Declared],
    chain: Given | None,
    *,
    large_objects: bool,
    guarded: frozenset[Kind],
) -> tuple[Backend, ...]:
    """
    Add the backend of ``/`` unless it was declared, and put the longest prefix first.

    :param chain: what was given for ``--mirror-chain``.
    :raises ConfigError: when a prefix has two backends.
    """
    found: dict[str, Declared] = {}
    for one in declared:
        prefix = one.backend.prefix
        if prefix in found:
            raise ConfigError(
                f"{one.place}: {prefix} is declared as {found[prefix].place} too; give one of them"
            )
        found[prefix] = one
    if "/" not in found:
        authority = _AUTHORITY if chain is None else read_one(url, chain)
        found["/"] = Declared(Backend("/", authority, _HOSTS, large_objects, guarded=guarded), "")
    elif chain is not None:
        raise chain.wrong(f"the authority of / is set by {found['/'].place} too; give one of them")
    backends = [one.backend for one in found.values()]
    return tuple(sorted(backends, key=lambda backend: len(backend.prefix), reverse=True))


def _prefix(table: Table, prefix: str) -> str:
    return read_one(_parse_prefix, Given(table.name, table.file, (prefix,)))


def _parse_prefix(text: str) -> str:
    if not text.startswith("/"):
        raise BadValue(f'does not begin with a slash; write "/{text}"')
    try:
        path = canonical_path(text).rstrip("/") or "/"
    except BadTarget as error:
        raise BadValue(f'is no path ({error}); give one such as "/packman"') from None
    if below("/-", path) is not None:
        raise BadValue('is where the pages of osproxy itself are; give one such as "/packman"')
    return path


def _required(table: Table, keys: dict[str, str], name: str, parse: Callable[[str], _T]) -> _T:
    if name not in keys:
        raise ConfigError(f"{table.named(name)} ({table.file}): is missing; every backend needs it")
    return read_one(parse, table.given(keys[name]))


def _optional(
    table: Table, keys: dict[str, str], name: str, parse: Callable[[str], _T], default: _T
) -> _T:
    return read_one(parse, table.given(keys[name])) if name in keys else default


def _generic(table: Table, keys: dict[str, str]) -> bool:
    generic = _optional(table, keys, "policy", _POLICY, "repository") == "generic"
    for name in ("large-objects", "wonder-guard", "freshness"):
        if generic and name in keys:
            raise ConfigError(
                f"{table.named(keys[name])} ({table.file}): has no meaning with policy generic,"
                " where the responses say what is kept; give one of them"
            )
    return generic


def _clients(table: Table, keys: dict[str, str]) -> tuple[Network, ...] | None:
    if "clients" not in keys:
        return None
    found = _networks(table, keys, "clients")
    if not found:
        raise table.given(keys["clients"]).wrong(
            "lets nobody ask; give networks such as 192.168.0.0/16, or all"
        )
    return found


def _networks(table: Table, keys: dict[str, str], name: str) -> tuple[Network, ...]:
    given = read_all(networks, table.given(keys[name])) if name in keys else ()
    return tuple(network for some in given for network in some)


def _guarded(table: Table, keys: dict[str, str], default: frozenset[Kind]) -> frozenset[Kind]:
    if "wonder-guard" not in keys:
        return default
    return frozenset().union(*read_all(guarded_kinds, table.given(keys["wonder-guard"])))


def _freshness(table: Table) -> dict[Kind, float]:
    keys = table.keys(TIMED)
    return {TIMED[name]: read_one(duration, table.given(key)) for name, key in keys.items()}
