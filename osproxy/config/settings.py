"""
All settings, checked: what the rest of osproxy is made from.

`load` reads whatever there is to read and raises `ConfigError` at the first thing wrong. Options
and their defaults are in `osproxy.config.options`, the order of places in
`osproxy.config.sources`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.config import options
from osproxy.config.backends import backends_elsewhere, complete, own_backends, warnings_of_keys
from osproxy.config.certificates import tls_pair, trusted
from osproxy.config.directory import cache_directory, home_of_user, try_file
from osproxy.config.files import options_in, read_file
from osproxy.config.given import Given
from osproxy.config.listeners import Listener, has_ipv6, listeners
from osproxy.config.sources import Sources, read_one, warnings_of_variables
from osproxy.config.values import path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from osproxy.config.clients import Network
    from osproxy.config.directory import Place
    from osproxy.config.files import Table
    from osproxy.config.values import Share
    from osproxy.model import Backend


@frozen
class Settings:
    """
    What osproxy is to do.

    :ivar tls_pem_key: the key of the first certificate in ``tls_pem_chain``.
    :ivar cache: where files are kept.
    :ivar cache_size: in octets.
    :ivar free_space: what to leave of the disk.
    :ivar durability: ``fast`` or ``full``.
    :ivar backends: the longest prefix first; the last is that of ``/``.
    :ivar clients: networks that may connect.
    :ivar client_connections: how many one client may have.
    :ivar client_body_size: octets that one request to a generic backend may bring.
    :ivar upstream_ca: certificates to trust instead of the system's.
    :ivar connect_timeout: seconds, as the other time-outs.
    :ivar access_log: an absolute path, ``-`` for standard output, or ``off``.
    :ivar log_level: a name of Twisted's.
    :ivar warnings: what the operator ought to know, a line each.
    """

    listeners: tuple[Listener, ...]
    tls_pem_key: Path | None
    tls_pem_chain: Path | None
    cache_size: int
    free_space: Share
    durability: str
    backends: tuple[Backend, ...]
    clients: tuple[Network, ...]
    client_connections: int
    client_body_size: int
    upstream_ca: Path | None
    connect_timeout: float
    head_timeout: float
    stall_timeout: float
    client_timeout: float
    drain_timeout: float
    access_log: str
    log_level: str
    warnings: tuple[str, ...]
    cache: Place


def load(
    arguments: Mapping[str, str | Sequence[str]],
    environ: Mapping[str, str],
    *,
    home: Callable[[], str | None] = home_of_user,
    ipv6: Callable[[], bool] = has_ipv6,
) -> Settings:
    """
    Read and check all settings, and make the cache directory if it is due.

    :param arguments: what the command line has, by the names of options; a flag's is ``yes``.
    :raises ConfigError: when something is wrong; its text names the option and its source.
    """
    file, elsewhere = _files(Sources(arguments, environ, {}), environ)
    sources = Sources(arguments, environ, {} if file is None else options_in(file))
    places = listeners(sources, ipv6=ipv6())
    pair = tls_pair(sources, places)
    return Settings(
        listeners=places,
        tls_pem_key=pair and pair[0],
        tls_pem_chain=pair and pair[1],
        cache_size=sources.value(options.CACHE_SIZE),
        free_space=sources.value(options.FREE_SPACE),
        durability=sources.value(options.DURABILITY),
        backends=_backends(sources, file, elsewhere),
        clients=_clients(sources),
        client_connections=sources.value(options.CLIENT_CONNECTIONS),
        client_body_size=sources.value(options.CLIENT_BODY_SIZE),
        upstream_ca=trusted(sources),
        connect_timeout=sources.value(options.CONNECT_TIMEOUT),
        head_timeout=sources.value(options.HEAD_TIMEOUT),
        stall_timeout=sources.value(options.STALL_TIMEOUT),
        client_timeout=sources.value(options.CLIENT_TIMEOUT),
        drain_timeout=sources.value(options.DRAIN_TIMEOUT),
        access_log=_access_log(sources),
        log_level=_log_level(sources),
        warnings=(
            *warnings_of_variables(environ),
            *(() if elsewhere is None else warnings_of_keys(elsewhere)),
        ),
        # The last, so that nothing is made for settings that are wrong.
        cache=cache_directory(sources.given(options.CACHE_PATH), environ, home),
    )


def _files(sources: Sources, environ: Mapping[str, str]) -> tuple[Table | None, Table | None]:
    """Read our own file and that of the existing proxy, so far as they are given."""
    own = sources.found(options.CONFIG)
    other = environ.get(options.FILE_ELSEWHERE)
    given = Given("--config", f"variable {options.FILE_ELSEWHERE}", (other or "",))
    return (
        None if own is None else read_file(own[1], own[0]),
        None if not other else read_file(given, read_one(path, given)),
    )


def _backends(sources: Sources, file: Table | None, elsewhere: Table | None) -> tuple[Backend, ...]:
    large_objects = sources.value(options.CACHE_LARGE_OBJECTS)
    declared = [
        *(() if file is None else own_backends(file, large_objects=large_objects)),
        *(() if elsewhere is None else backends_elsewhere(elsewhere, large_objects=large_objects)),
    ]
    chain = sources.given(options.MIRROR_CHAIN)
    return complete(declared, chain, large_objects=large_objects)


def _clients(sources: Sources) -> tuple[Network, ...]:
    found = tuple(network for some in sources.values(options.CLIENTS) for network in some)
    given = sources.given(options.CLIENTS)
    if given is not None and not found:
        raise given.wrong("lets nobody connect; give networks such as 192.168.0.0/16, or all")
    return found


def _access_log(sources: Sources) -> str:
    found = sources.found(options.ACCESS_LOG)
    if found is None:
        return sources.value(options.ACCESS_LOG)
    name, given = found
    if name not in ("-", "off"):
        try:
            try_file(Path(name))
        except OSError as error:
            raise given.wrong(
                f"{name} cannot be written to ({error.strerror}); give a file, - or off"
            ) from None
    return name


def _log_level(sources: Sources) -> str:
    level = sources.value(options.LOG_LEVEL)
    return "debug" if sources.value(options.VERBOSE) else level
