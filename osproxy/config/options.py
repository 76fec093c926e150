"""
The options: a row for each, with its default, its parser and its words of help.

An option is also the variable ``OSPROXY_<OPTION>`` and a key of the file. Where the existing proxy
has a variable for the same thing, that counts too, after our own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from osproxy.config.clients import NEAR, Network, Peer, networks, peers
from osproxy.config.kinds import guarded_kinds
from osproxy.config.values import (
    FALSE,
    BadValue,
    bind_address,
    boolean,
    count,
    duration,
    one_of,
    part,
    path,
    rate,
    share,
    size,
    size_of_at_least,
    timeout,
    url,
)
from osproxy.http.paths import BadTarget, canonical_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osproxy.config.values import Rate

_T = TypeVar("_T")

# unix(7): sun_path has 108, of which the last ends it.
_LONGEST_SOCKET = 107


@frozen
class Option(Generic[_T]):
    """
    One thing that can be set.

    :ivar name: as on the command line, without the dashes in front.
    :ivar parse: makes its value of a text; of each text, where the option is repeatable.
    :ivar help: one line, without a full stop.
    :ivar default: what counts when nothing is given, as a text; None where that is nothing.
    :ivar otherwise: what that means to the reader of the help, where the text does not say.
    :ivar variables: the existing proxy's names for it.
    :ivar flag: whether it stands alone on the command line, without a value.
    :ivar repeatable: whether it may be given more than once, or as a list.
    """

    name: str
    parse: Callable[[str], _T]
    help: str
    default: str | None = None
    otherwise: str = ""
    variables: tuple[str, ...] = ()
    flag: bool = False
    repeatable: bool = False

    @property
    def default_text(self) -> str:
        """The default as the help shows it; empty where there is none."""
        return self.otherwise or self.default or ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "OSPROXY_" + self.name.replace("-", "_").upper()


def _endpoint(text: str) -> str:
    description = text.strip()
    kind, _, rest = description.partition(":")
    if not (kind and rest):
        raise BadValue("is no endpoint; give one such as tcp:8080 or unix:/run/osproxy/http")
    if kind == "systemd":
        raise BadValue(
            "is not needed: sockets that systemd passes are listened on; name those with TLS https"
            " by FileDescriptorName="
        )
    if kind == "ssl":
        raise BadValue(
            "would bring TLS of its own; give --tls-listen tcp:... with --tls-pem-key and"
            " --tls-pem-chain"
        )
    if kind == "haproxy":
        raise BadValue("would have everybody say who he is; give --listen and --proxy-protocol")
    return description


def _pin(text: str) -> str:
    try:
        pinned = canonical_path(text.strip())
    except BadTarget as error:
        raise BadValue(f"is no path ({error}); give one such as /iso/a.iso or /oss/") from None
    if pinned == "/":
        raise BadValue("is everything there is; give a file, or a folder such as /oss/")
    return pinned


def _access_log(text: str) -> str:
    word = text.strip().lower()
    # A file has true and false for yes and no; nobody means a file of that name.
    if word in FALSE:
        return "off"
    return word if word in ("-", "journald") else str(path(text))


def _error_log(text: str) -> str:
    word = text.strip().lower()
    if word in FALSE:
        raise BadValue("would lose what goes wrong; give a file, -, or a higher --log-level")
    return word if word in ("-", "journald") else str(path(text))


def _socket(text: str) -> Path | None:
    if text.strip().lower() in FALSE:
        return None
    place = path(text)
    if len(os.fsencode(place)) > _LONGEST_SOCKET:
        raise BadValue(f"is too long for a socket; give one of at most {_LONGEST_SOCKET} octets")
    return place


CONFIG = Option("config", path, "file of settings (TOML)")
BIND_ADDRESS = Option(
    "bind-address",
    bind_address,
    "where to listen for HTTP",
    otherwise="[::]:8080, or 0.0.0.0:8080 without IPv6; none with --listen or passed sockets",
    variables=("BIND_ADDRESS",),
)
TLS_BIND_ADDRESS = Option(
    "tls-bind-address", bind_address, "where to listen for HTTPS", variables=("TLS_BIND_ADDRESS",)
)
LISTEN = Option(
    "listen", _endpoint, "endpoint to listen on for HTTP, such as tcp:8080", repeatable=True
)
TLS_LISTEN = Option(
    "tls-listen", _endpoint, "endpoint to listen on for HTTPS, such as tcp:8443", repeatable=True
)
TLS_PEM_KEY = Option("tls-pem-key", path, "private key for HTTPS (PEM)", variables=("TLS_PEM_KEY",))
TLS_PEM_CHAIN = Option(
    "tls-pem-chain",
    path,
    "certificate for HTTPS and those that vouch for it (PEM)",
    variables=("TLS_PEM_CHAIN",),
)
ACME_CHALLENGE_DIR = Option(
    "acme-challenge-dir",
    path,
    "directory with answers to challenges of ACME (HTTP-01)",
    variables=("ACME_CHALLENGE_DIR",),
)
CACHE_PATH = Option(
    "cache-path",
    path,
    "directory to keep files in",
    otherwise="$CACHE_DIRECTORY, or osproxy in the user's cache directory",
    variables=("CACHE_PATH",),
)
CACHE_SIZE = Option(
    "cache-size",
    size_of_at_least(2**20, "1MiB"),
    "how much to keep",
    "16GiB",
    variables=("CACHE_SIZE",),
)
FREE_SPACE = Option("free-space", share, "how much of the disk to leave free", "5%")
DURABILITY = Option(
    "durability",
    one_of("fast", "full"),
    "whether each file is safe from power loss before it is kept",
    "fast",
)
CACHE_LARGE_OBJECTS = Option(
    "cache-large-objects",
    boolean,
    "keep images (iso, qcow2 and the like) too",
    "no",
    variables=("CACHE_LARGE_OBJECTS",),
    flag=True,
)
IMAGE_SPACE = Option("image-space", part, "how much of the cache images may take", "50%")
WONDER_GUARD = Option(
    "wonder-guard",
    guarded_kinds,
    "keep files only when they are asked for a second time",
    "no",
    variables=("WONDER_GUARD",),
    flag=True,
)
WONDER_GUARD_WINDOW = Option(
    "wonder-guard-window", timeout, "within which time a second request counts as one", "7d"
)
EVICTION = Option(
    "eviction",
    one_of("clock", "gdsf", "lru"),
    "by which rule files go when space is short",
    "clock",
)
PIN = Option(
    "pin", _pin, "file that is never evicted, or folder with a slash at its end", repeatable=True
)
SCRUB_RATE = Option(
    "scrub-rate", size, "octets a second to read back, to verify what is kept; 0 is off", "10MB"
)
SCRUB_INTERVAL = Option(
    "scrub-interval", timeout, "how long until what is kept is verified again", "30d"
)
MIRROR_CHAIN = Option(
    "mirror-chain",
    url,
    "where the files of / come from",
    otherwise="https://cdn.opensuse.org",
    variables=("MIRROR_CHAIN",),
)
UPSTREAM_CA = Option(
    "upstream-ca",
    path,
    "certificates to trust in upstream servers (PEM)",
    otherwise="the system's",
)
CLIENTS: Option[tuple[Network, ...]] = Option(
    "clients",
    networks,
    "networks that may ask, with commas between; or all",
    NEAR,
    repeatable=True,
)
DENY: Option[tuple[Network, ...]] = Option(
    "deny", networks, "networks that may not in any case, with commas between", repeatable=True
)
TRUSTED_PROXIES: Option[tuple[Peer, ...]] = Option(
    "trusted-proxies",
    peers,
    "networks, or unix, of proxies that are believed who asks them",
    repeatable=True,
)
PROXY_PROTOCOL: Option[tuple[Peer, ...]] = Option(
    "proxy-protocol",
    peers,
    "networks, or unix, of proxies that begin with a PROXY header",
    repeatable=True,
)
CONNECTIONS = Option(
    "connections",
    count,
    "connections that all clients may have",
    otherwise="a third of the file descriptors, 16384 at most",
)
CLIENT_CONNECTIONS = Option(
    "client-connections", count, "connections that one client may have", "4096"
)
REQUESTS: Option[Rate | None] = Option(
    "requests", rate, "requests a second of all clients, such as 500 burst=2000; 0 is no limit", "0"
)
CLIENT_REQUESTS: Option[Rate | None] = Option(
    "client-requests", rate, "requests a second of one client; 0 is no limit", "0"
)
BANDWIDTH = Option("bandwidth", size, "octets a second of files to all clients; 0 is no limit", "0")
CLIENT_BANDWIDTH = Option(
    "client-bandwidth", size, "octets a second of files to one client; 0 is no limit", "0"
)
UPSTREAM_REQUESTS = Option(
    "upstream-requests", count, "requests to one upstream that may wait for an answer", "128"
)
CLIENT_BODY_SIZE = Option(
    "client-body-size",
    size,
    "how much a client may send with a request to a generic backend",
    "1GiB",
)
CONTROL_SOCKET = Option(
    "control-socket",
    _socket,
    "Unix socket for what changes something; off is none",
    otherwise="control in $RUNTIME_DIRECTORY, where that is set",
)
CONNECT_TIMEOUT = Option(
    "connect-timeout", timeout, "how long an upstream may take to connect", "10s"
)
HEAD_TIMEOUT = Option("head-timeout", timeout, "how long an upstream may take to answer", "15s")
STALL_TIMEOUT = Option(
    "stall-timeout", timeout, "how long an upstream may pause within a file", "30s"
)
CLIENT_TIMEOUT = Option(
    "client-timeout", timeout, "how long a client may take nothing, or send nothing", "120s"
)
DRAIN_TIMEOUT = Option(
    "drain-timeout", duration, "how long a stop waits for answers under way", "30s"
)
ACCESS_LOG = Option(
    "access-log",
    _access_log,
    "file for a line a request, - (standard output), journald, or off",
    "-",
)
ACCESS_LOG_FORMAT = Option(
    "access-log-format",
    one_of("combined", "json"),
    "how a line of the access log is written",
    "combined",
)
ERROR_LOG = Option(
    "error-log",
    _error_log,
    "file for what osproxy says of itself, - (standard error), or journald",
    otherwise="- in the foreground, else as twistd's options say",
)
LOG_LEVEL = Option(
    "log-level",
    one_of("debug", "info", "warn", "error", "critical"),
    "least level of what is logged",
    "info",
)
VERBOSE = Option(
    "verbose", boolean, "the same as --log-level debug", "no", variables=("VERBOSE",), flag=True
)

OPTIONS: tuple[Option[Any], ...] = (
    CONFIG,
    BIND_ADDRESS,
    TLS_BIND_ADDRESS,
    LISTEN,
    TLS_LISTEN,
    TLS_PEM_KEY,
    TLS_PEM_CHAIN,
    ACME_CHALLENGE_DIR,
    CACHE_PATH,
    CACHE_SIZE,
    FREE_SPACE,
    DURABILITY,
    CACHE_LARGE_OBJECTS,
    IMAGE_SPACE,
    WONDER_GUARD,
    WONDER_GUARD_WINDOW,
    EVICTION,
    PIN,
    SCRUB_RATE,
    SCRUB_INTERVAL,
    MIRROR_CHAIN,
    UPSTREAM_CA,
    CLIENTS,
    DENY,
    TRUSTED_PROXIES,
    PROXY_PROTOCOL,
    CONNECTIONS,
    CLIENT_CONNECTIONS,
    REQUESTS,
    CLIENT_REQUESTS,
    BANDWIDTH,
    CLIENT_BANDWIDTH,
    UPSTREAM_REQUESTS,
    CLIENT_BODY_SIZE,
    CONTROL_SOCKET,
    CONNECT_TIMEOUT,
    HEAD_TIMEOUT,
    STALL_TIMEOUT,
    CLIENT_TIMEOUT,
    DRAIN_TIMEOUT,
    ACCESS_LOG,
    ACCESS_LOG_FORMAT,
    ERROR_LOG,
    LOG_LEVEL,
    VERBOSE,
)

# Variables of the existing proxy that mean nothing here.
WITHOUT_MEANING = (
    "BOOT_SERVICES",
    "BOOT_ORIGIN",
    "DURABLE_FS",
    "OAUTH2_CLIENT_ID",
    "OAUTH2_CLIENT_SECRET",
    "OAUTH2_CLIENT_URL",
    "OAUTH2_SERVER_URL",
)
FILE_ELSEWHERE = "CONTENT_CONFIG_PATH"
