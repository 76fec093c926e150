"""
All parts of the server, made and joined from the lowest floor up.
"""

from __future__ import annotations

import os
import secrets
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXServerEndpoint

from osproxy.cache.cache import Cache
from osproxy.cache.fills import Fills
from osproxy.cache.generations import Generations
from osproxy.cache.refetch import Refetch
from osproxy.config.options import ACCESS_LOG, CONTROL_SOCKET, ERROR_LOG
from osproxy.descriptors import connections_within, open_within, raise_limit, reserve_within
from osproxy.metrics import Metrics
from osproxy.service.clockwatch import ClockWatch
from osproxy.service.collector import leave_alone
from osproxy.service.errorlog import ErrorLog, open_errors, take_over
from osproxy.service.lag import Lag
from osproxy.service.live import Live, authorities, trouble_with_connections
from osproxy.service.logs import Logs, open_first
from osproxy.service.reload import Reload
from osproxy.service.renewal import Renewal
from osproxy.service.server import Server
from osproxy.service.shutdown import Step
from osproxy.service.systemd import ServiceManager
from osproxy.shedding import Shedding
from osproxy.store.admission import WonderGuard
from osproxy.store.catalogue import Catalogue
from osproxy.store.eviction import POLICIES, Eviction
from osproxy.store.kept import boot_id
from osproxy.store.ledger import Ledger
from osproxy.store.pins import Pins
from osproxy.store.schedule import Schedule
from osproxy.store.scrub import Scrub
from osproxy.store.store import Store
from osproxy.threads import Threads
from osproxy.upstream.agent import ExactAgent
from osproxy.upstream.origin import Upstream
from osproxy.upstream.trust import policy
from osproxy.upstream.turns import Turns
from osproxy.waiting import detached
from osproxy.web.access import Access
from osproxy.web.accesslog import AccessLog, open_log
from osproxy.web.accounting import Accounting
from osproxy.web.bandwidth import Bandwidth
from osproxy.web.challenges import Challenges
from osproxy.web.connections import Connections
from osproxy.web.gate import Gate
from osproxy.web.lane import Lane
from osproxy.web.limits import Limits
from osproxy.web.listeners import Listeners, Listening, PassedEndpoint, endpoint_of
from osproxy.web.pages.control import Control
from osproxy.web.pages.own import OwnPages, Status
from osproxy.web.proxied import Proxies
from osproxy.web.resource import Root
from osproxy.web.respond import Responder
from osproxy.web.routing import Routes
from osproxy.web.site import ClientSite
from osproxy.web.tls import wrap
from osproxy.web.unixsockets import Unlocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.interfaces import IProtocolFactory

    from osproxy.config.listeners import Listener
    from osproxy.config.settings import Settings
    from osproxy.store.layout import Directory
    from osproxy.web.tls import Renewable

# Enough that a slow disk does not stop the others, few enough that threads cost nothing.
_DISK_THREADS = 16
# Seconds for connections upstream to close: over TLS the other side has its say.
_CLOSE_WITHIN = 5.0
# Whoever may use the control socket needs no more.
_CONTROL_CONNECTIONS = 16
# What a client has just been sent whole may still have to be verified; a disk may take its time.
_END_WITHIN = 10.0
# Beyond all that has a limit of its own: what the other steps of a stop may take.
_TO_SPARE = 15.0


def assemble(
    reactor: Any,
    settings: Settings,
    directory: Directory,
    checkpoint: Callable[[str], None],
    reading: Callable[[], Settings],
    served: Renewable | None,
) -> Server:
    """
    Make all parts, from the lowest floor up, and the service that starts and stops them.

    :param reading: reads the settings again.
    :param served: the certificate of listeners with TLS.
    :raises ConfigError: when a log cannot be opened.
    """
    metrics = Metrics(CollectorRegistry())
    metrics.info.info({"version": version("osproxy")})
    descriptors = raise_limit()
    shedding = Shedding(reactor, metrics.refused)
    in_thread = Threads(reactor, _DISK_THREADS, "osproxy-disk")
    in_catalogue = Threads(reactor, 1, "osproxy-catalogue")
    in_scrub = Threads(reactor, 1, "osproxy-scrub")
    pools = {"disk": in_thread, "catalogue": in_catalogue, "scrub": in_scrub}
    for name, pool in pools.items():
        metrics.thread_calls.labels(name).set_function(partial(getattr, pool, "calls"))
    durable = settings.durability == "full"
    ledger = Ledger(
        settings.cache_size,
        eviction=Eviction(POLICIES[settings.eviction]),
        image_space=settings.image_space.octets,
    )
    catalogue = Catalogue(directory.catalogue, in_catalogue, durable=durable)
    store = Store(
        directory,
        ledger,
        catalogue,
        in_thread,
        reactor,
        metrics,
        cache_size=settings.cache_size,
        free_space=settings.free_space.octets,
        durable=durable,
        boot=boot_id(),
        pins=Pins(settings.pins),
        guard=WonderGuard(settings.wonder_guard_window),
        checkpoint=checkpoint,
        settled=leave_alone,
        open_files=open_within(descriptors),
    )
    agent = ExactAgent(
        reactor,
        policy(settings.upstream_ca),
        connect_timeout=settings.connect_timeout,
        head_timeout=settings.head_timeout,
    )
    metrics.upstream_connections.set_function(lambda: agent.connections)
    turns, uploads = (Turns(reactor, shedding, settings.upstream_requests) for _ in range(2))
    upstream = Upstream(agent, reactor, settings.stall_timeout, metrics, turns, uploads)
    upstream.authorities = authorities(settings.backends)
    fills = Fills(store, in_thread, reactor, metrics)
    generations = Generations(store, in_thread, reactor, metrics)
    cache = Cache(store, upstream, fills, generations, reactor, metrics)
    # Of no other process, be it on the same host: two of us may well be in a row.
    pseudonym = f"osproxy-{secrets.token_hex(4)}"
    refetch = Refetch(cache, lambda: live.settings.backends, pseudonym)
    schedule = Schedule(settings.scrub_interval, settings.scrub_rate)
    scrub = Scrub(store, catalogue, in_scrub, reactor, metrics, schedule, refetch)

    most = connections_within(descriptors, settings.connections)
    connections = Connections(settings.client_connections, most, settings.trusted_proxies)
    # Whoever is let in may need further ones, and so may those that are served.
    gate = Gate(descriptors - reserve_within(descriptors))
    metrics.connections.set_function(lambda: len(connections))
    began = reactor.seconds()

    def status() -> Status:
        return Status(
            version=version("osproxy"),
            uptime=reactor.seconds() - began,
            entries=store.entries,
            stored=ledger.used,
            capacity=ledger.capacity,
            drafts=store.drafts,
            connections=len(connections),
        )

    pages = OwnPages(lambda: cache.ready, status, metrics)
    lost = metrics.log_lost.labels
    entries = open_first(
        ACCESS_LOG, partial(open_log, settings.access_log, settings.access_log_format)
    )
    access_log = AccessLog(entries, reactor, lost("access").inc)
    events = open_first(ERROR_LOG, partial(open_errors, settings.error_log))
    errors = ErrorLog(events, reactor, reactor.callFromThread, lost("error").inc)
    responder = Responder(in_thread, reactor.seconds, pseudonym)
    accounting = Accounting(access_log, metrics)
    root = Root(
        cache,
        Routes(settings.backends),
        Access(settings.clients, settings.deny, settings.trusted_proxies),
        pages,
        Challenges(settings.acme_challenge_dir, in_thread),
        Limits(
            reactor,
            shedding,
            Bandwidth(reactor, settings.bandwidth, settings.client_bandwidth),
            settings.requests,
            settings.client_requests,
        ),
        responder,
        accounting,
        reactor,
        pseudonym=pseudonym,
        body_size=settings.client_body_size,
    )
    site = ClientSite(
        root,
        connections,
        reactor,
        gate,
        shedding,
        lane=Lane(root, cache, responder, accounting, reactor),
        client_timeout=settings.client_timeout,
    )
    control = ClientSite(
        Control(scrub, pages, lambda: cache.ready, reactor),
        Connections(_CONTROL_CONNECTIONS, 2 * _CONTROL_CONNECTIONS),
        reactor,
        # Not to be shut out by clients.
        Gate(descriptors),
        shedding,
    )
    proxies = Proxies(settings.proxy_protocol, site, shedding)
    listeners = Listeners(
        [
            *(_listening(reactor, place, site, served, proxies) for place in settings.listeners),
            *_controlling(reactor, settings, control),
        ]
    )

    set_log_level = take_over(errors, settings.log_level)
    live = Live(settings, root, site, proxies, agent, upstream, set_log_level, descriptors)
    manager = ServiceManager(
        os.environ,
        reactor,
        lambda: status().line,
        lambda: live.settings.drain_timeout + 2 * _END_WITHIN + _CLOSE_WITHIN + _TO_SPARE,
    )
    renewal = None
    if settings.tls is not None and served is not None:
        renewal = Renewal(settings.tls, served, in_thread, reactor)
        metrics.certificate_end.set_function(lambda: served.certificate.ends_at)
    lag = Lag(reactor, lambda seconds: metrics.lag.add((), seconds))
    clock_watch = ClockWatch(reactor, reactor.callFromThread)

    async def open_store() -> None:
        await cache.start()
        scrub.start()

    async def idle() -> None:
        for one in (site, control):
            await one.when_idle()

    async def drain() -> None:
        for one in (site, control):
            one.drain()
        await Deferred.fromCoroutine(idle()).addTimeout(live.settings.drain_timeout, reactor)

    def cut() -> None:
        for one in (site, control):
            one.cut()

    async def end_fills() -> None:
        refetch.stop()
        await cache.stop()

    def close_upstream() -> Deferred[None]:
        # Cancelling the close itself would cancel that of each connection, with an error each.
        return detached(agent.close(), store.log)

    def end_threads() -> None:
        for pool in pools.values():
            pool.stop()

    return Server(
        reactor,
        listeners,
        manager,
        begin=(
            *(pool.start for pool in pools.values()),
            clock_watch.start,
            lag.start,
            *([] if renewal is None else [renewal.start]),
        ),
        open_store=open_store,
        reload=Reload(
            reading,
            live,
            renewal,
            Logs(access_log, errors, in_thread),
            manager,
            in_thread,
            metrics,
            reactor,
        ),
        announcements=_announcements(settings, most),
        warnings=(
            *settings.warnings,
            *trouble_with_connections(settings, most),
        ),
        steps=(
            Step("look for no lateness", lag.stop),
            *([] if renewal is None else [Step("look for no certificate", renewal.stop)]),
            Step("take no further connection", listeners.stopService),
            Step("end the scrub", scrub.stop, _END_WITHIN),
            Step("let bodies under way finish", drain),
            Step("cut the others", cut),
            Step("end fills", end_fills, _END_WITHIN),
            Step("close connections upstream", close_upstream, _CLOSE_WITHIN),
            Step("close the store", store.stop),
            Step("write the access log", access_log.end),
            Step("write the error log", errors.end),
            Step("look at the clock no more", clock_watch.stop),
            Step("end the threads", end_threads),
        ),
    )


def _listening(
    reactor: Any, place: Listener, site: ClientSite, served: Renewable | None, proxies: Proxies
) -> Listening:
    factory: IProtocolFactory = site
    if place.tls:
        assert served is not None, "the settings have seen to it"
        factory = wrap(site, served, reactor)
    endpoint = (
        endpoint_of(reactor, place.description)
        if place.passed is None
        else PassedEndpoint(reactor, place.passed)
    )
    description = f"{place.source}: {place.value}"
    return Listening(endpoint, proxies.wrap(factory), description, site.gate)


def _controlling(reactor: Any, settings: Settings, site: ClientSite) -> Iterator[Listening]:
    path = settings.control_socket
    if path is not None:
        endpoint = UNIXServerEndpoint(Unlocked(reactor), str(path), mode=0o600)
        yield Listening(endpoint, site, f"--{CONTROL_SOCKET.name}: {path}", site.gate)


def _announcements(settings: Settings, most: int) -> tuple[str, ...]:
    return (
        f"{most} clients may be connected",
        *(
            f"listens on {place.value}{' with TLS' if place.tls else ''} ({place.source})"
            for place in settings.listeners
        ),
        "these may ask: " + ", ".join(map(str, settings.clients)),
        *(
            f"{what}: " + ", ".join(map(str, those))
            for what, those in (
                ("these may not", settings.deny),
                ("these are believed for whom they ask", settings.trusted_proxies),
                ("these begin with a PROXY header", settings.proxy_protocol),
            )
            if those
        ),
        *(f"{backend.prefix} comes from {backend.authority}" for backend in settings.backends),
    )
