"""
All settings, checked: what the rest of osproxy is made from.

`load` reads whatever there is to read and raises `ConfigError` at the first thing wrong. Options
and their defaults are in `osproxy.config.options`, the order of places in
`osproxy.config.sources`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from osproxy.config import options
from osproxy.config.backends import backends_elsewhere, complete, own_backends, warnings_of_keys
from osproxy.config.certificates import tls_pair, trusted
from osproxy.config.control import checked_socket, control_socket
from osproxy.config.directory import cache_directory, home_of_user, place_named, try_file
from osproxy.config.files import options_in, read_file
from osproxy.config.given import Given
from osproxy.config.listeners import has_ipv6, listeners
from osproxy.config.sources import Sources, read_all, read_one, warnings_of_variables
from osproxy.config.values import path
from osproxy.journal import SOCKET as JOURNAL
from osproxy.journal import listens
from osproxy.repo.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from osproxy.config.backends import Declared
    from osproxy.config.certificates import Pair
    from osproxy.config.clients import Network, Peer
    from osproxy.config.directory import Place
    from osproxy.config.files import Table
    from osproxy.config.listeners import Listener, Passed
    from osproxy.config.options import Option
    from osproxy.config.values import Rate, Share
    from osproxy.model import Backend

_T = TypeVar("_T")


@frozen
class Settings:
    """
    What osproxy is to do.

    :ivar tls: the key and the certificate of listeners with TLS.
    :ivar acme_challenge_dir: where the answers to challenges of ACME lie.
    :ivar cache: where files are kept.
    :ivar cache_size: in octets.
    :ivar free_space: what to leave of the disk.
    :ivar durability: ``fast`` or ``full``.
    :ivar image_space: what images may take of the cache.
    :ivar wonder_guard_window: seconds within which a second request counts as one.
    :ivar eviction: the name of a policy.
    :ivar pins: paths that are never evicted, with a slash at the end for all below.
    :ivar backends: the longest prefix first; the last is that of ``/``.
    :ivar clients: networks that may ask.
    :ivar deny: networks that may not, though they are among those.
    :ivar trusted_proxies: those who are believed when they say for whom they ask.
    :ivar proxy_protocol: those whose connections begin with a PROXY header.
    :ivar connections: how many all clients may have; None for as many as there is room for.
    :ivar client_connections: how many one client may have.
    :ivar requests: how often all clients may ask, ``client_requests`` how often one may.
    :ivar bandwidth: octets a second to all clients, ``client_bandwidth`` to one; 0 for no limit.
    :ivar upstream_requests: questions to one upstream that may wait for an answer.
    :ivar client_body_size: octets that one request to a generic backend may bring.
    :ivar upstream_ca: certificates to trust instead of the system's.
    :ivar connect_timeout: seconds, as the other time-outs.
    :ivar control_socket: where osproxy is told to do something, None for nowhere.
    :ivar scrub_rate: octets a second to verify at most; 0 for none.
    :ivar scrub_interval: seconds until what is kept is verified again.
    :ivar access_log: an absolute path, ``-`` for standard output, ``journald``, or ``off``.
    :ivar access_log_format: ``combined`` or ``json``.
    :ivar error_log: an absolute path, ``-`` for standard error, ``journald``, or None for where
        twistd has its log.
    :ivar log_level: a name of Twisted's.
    :ivar warnings: what the operator ought to know, a line each.
    """

    listeners: tuple[Listener, ...]
    tls: Pair | None
    acme_challenge_dir: Path | None
    cache_size: int
    free_space: Share
    durability: str
    image_space: Share
    wonder_guard_window: float
    eviction: str
    pins: tuple[str, ...]
    backends: tuple[Backend, ...]
    clients: tuple[Network, ...]
    deny: tuple[Network, ...]
    trusted_proxies: tuple[Peer, ...]
    proxy_protocol: tuple[Peer, ...]
    connections: int | None
    client_connections: int
    requests: Rate | None
    client_requests: Rate | None
    bandwidth: int
    client_bandwidth: int
    upstream_requests: int
    client_body_size: int
    control_socket: Path | None
    scrub_rate: int
    scrub_interval: float
    upstream_ca: Path | None
    connect_timeout: float
    head_timeout: float
    stall_timeout: float
    client_timeout: float
    drain_timeout: float
    access_log: str
    access_log_format: str
    error_log: str | None
    log_level: str
    warnings: tuple[str, ...]
    cache: Place


def load(
    arguments: Mapping[str, str | Sequence[str]],
    environ: Mapping[str, str],
    *,
    home: Callable[[], str | None] = home_of_user,
    ipv6: Callable[[], bool] = has_ipv6,
    passed: Sequence[Passed] = (),
    journal: Path = JOURNAL,
    error_log: str | None = None,
    running: bool = False,
) -> Settings:
    """
    Read and check all settings, and make the cache directory if it is due.

    :param arguments: what the command line has, by the names of options; a flag's is ``yes``.
    :param passed: sockets that listen already.
    :param journal: where journald listens.
    :param error_log: where what osproxy says of itself goes unless a setting says so.
    :param running: whether they are for a server that runs. That goes on without its directories,
        so that these are neither made nor tried.
    :raises ConfigError: when something is wrong; its text names the option and its source.
    """
    file, elsewhere = _files(Sources(arguments, environ, {}), environ)
    sources = Sources(arguments, environ, {} if file is None else options_in(file))
    places = listeners(sources, ipv6=ipv6(), passed=passed)
    for log in (options.ACCESS_LOG, options.ERROR_LOG):
        _check_log(sources, log, journal)
    return Settings(
        listeners=places,
        tls=tls_pair(sources, places),
        acme_challenge_dir=sources.optional(options.ACME_CHALLENGE_DIR),
        cache_size=sources.value(options.CACHE_SIZE),
        free_space=sources.value(options.FREE_SPACE),
        durability=sources.value(options.DURABILITY),
        image_space=sources.value(options.IMAGE_SPACE),
        wonder_guard_window=sources.value(options.WONDER_GUARD_WINDOW),
        eviction=sources.value(options.EVICTION),
        pins=tuple(sources.values(options.PIN)),
        backends=_backends(sources, file, elsewhere),
        clients=_clients(sources),
        deny=_joined(sources, options.DENY),
        trusted_proxies=_joined(sources, options.TRUSTED_PROXIES),
        proxy_protocol=_joined(sources, options.PROXY_PROTOCOL),
        connections=sources.optional(options.CONNECTIONS),
        client_connections=sources.value(options.CLIENT_CONNECTIONS),
        requests=sources.value(options.REQUESTS),
        client_requests=sources.value(options.CLIENT_REQUESTS),
        bandwidth=sources.value(options.BANDWIDTH),
        client_bandwidth=sources.value(options.CLIENT_BANDWIDTH),
        upstream_requests=sources.value(options.UPSTREAM_REQUESTS),
        client_body_size=sources.value(options.CLIENT_BODY_SIZE),
        control_socket=(
            control_socket(sources, environ)[0] if running else checked_socket(sources, environ)
        ),
        scrub_rate=sources.value(options.SCRUB_RATE),
        scrub_interval=sources.value(options.SCRUB_INTERVAL),
        upstream_ca=trusted(sources),
        connect_timeout=sources.value(options.CONNECT_TIMEOUT),
        head_timeout=sources.value(options.HEAD_TIMEOUT),
        stall_timeout=sources.value(options.STALL_TIMEOUT),
        client_timeout=sources.value(options.CLIENT_TIMEOUT),
        drain_timeout=sources.value(options.DRAIN_TIMEOUT),
        access_log=sources.value(options.ACCESS_LOG),
        access_log_format=sources.value(options.ACCESS_LOG_FORMAT),
        error_log=sources.optional(options.ERROR_LOG) or error_log,
        log_level=_log_level(sources),
        warnings=(
            *warnings_of_variables(environ),
            *_warnings_of_challenges(sources),
            *(() if elsewhere is None else warnings_of_keys(elsewhere)),
        ),
        # The last, so that nothing is made for settings that are wrong.
        cache=(place_named if running else cache_directory)(
            sources.given(options.CACHE_PATH), environ, home
        ),
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
    kept = sources.value(options.CACHE_LARGE_OBJECTS)
    given = sources.given(options.WONDER_GUARD)
    texts = [] if given is None else read_all(options.WONDER_GUARD.parse, given)
    guarded = frozenset[Kind]().union(*texts)
    declared: list[Declared] = []
    if file is not None:
        declared += own_backends(file, large_objects=kept, guarded=guarded)
    if elsewhere is not None:
        declared += backends_elsewhere(elsewhere, large_objects=kept, guarded=guarded)
    chain = sources.given(options.MIRROR_CHAIN)
    return complete(declared, chain, large_objects=kept, guarded=guarded)


def _clients(sources: Sources) -> tuple[Network, ...]:
    found = _joined(sources, options.CLIENTS)
    given = sources.given(options.CLIENTS)
    if given is not None and not found:
        raise given.wrong("lets nobody connect; give networks such as 192.168.0.0/16, or all")
    return found


def _joined(sources: Sources, option: Option[tuple[_T, ...]]) -> tuple[_T, ...]:
    return tuple(one for some in sources.values(option) for one in some)


def _check_log(sources: Sources, option: Option[str], journal: Path) -> None:
    found = sources.found(option)
    if found is None:
        return
    name, given = found
    try:
        if name == "journald":
            listens(journal)
        elif name not in ("-", "off"):
            try_file(Path(name))
    except OSError as error:
        trouble = "cannot be written to" if name != "journald" else f"does not listen at {journal}"
        raise given.wrong(f"{name} {trouble} ({error.strerror}); give a file or -") from None


def _warnings_of_challenges(sources: Sources) -> Iterator[str]:
    # Some clients make the directory when they need it, and remove it afterwards.
    found = sources.found(options.ACME_CHALLENGE_DIR)
    if found is not None and not os.path.isdir(found[0]):
        yield f"{found[1]}: {found[0]} is no directory; nothing is served from it until it is"


def _log_level(sources: Sources) -> str:
    level = sources.value(options.LOG_LEVEL)
    return "debug" if sources.value(options.VERBOSE) else level
