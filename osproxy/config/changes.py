"""
Which settings differ from those in use, and which of them can change while the server runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, fields, frozen

from osproxy.model import Backend

if TYPE_CHECKING:
    from osproxy.config.settings import Settings

LIVE = frozenset(
    {
        "tls",
        "acme_challenge_dir",
        "backends",
        "clients",
        "deny",
        "trusted_proxies",
        "proxy_protocol",
        "connections",
        "client_connections",
        "requests",
        "client_requests",
        "bandwidth",
        "client_bandwidth",
        "upstream_requests",
        "client_body_size",
        "connect_timeout",
        "head_timeout",
        "stall_timeout",
        "client_timeout",
        "drain_timeout",
        "access_log",
        "access_log_format",
        "error_log",
        "log_level",
    }
)
"""The settings that can change while the server runs, as attributes of `Settings`."""

# What is not called as the option that it comes from.
_NAMES = {
    "listeners": "where to listen",
    "tls": "--tls-pem-key and --tls-pem-chain",
    "backends": "the backends",
    "cache": "--cache-path",
    "pins": "--pin",
}
# And the other way round, from options.
_ATTRIBUTES = {
    "bind-address": "listeners",
    "tls-bind-address": "listeners",
    "listen": "listeners",
    "tls-listen": "listeners",
    "tls-pem-key": "tls",
    "tls-pem-chain": "tls",
    "cache-path": "cache",
    "cache-large-objects": "backends",
    "wonder-guard": "backends",
    "pin": "pins",
    "mirror-chain": "backends",
    "verbose": "log_level",
}


def attribute_of(option: str) -> str:
    """Name the attribute of `Settings` that an option comes to; ``config`` comes to none."""
    return _ATTRIBUTES.get(option, option.replace("-", "_"))


@frozen
class Change:
    """
    A setting that is not what it was.

    :ivar name: how the operator knows it.
    :ivar live: whether it changes while the server runs.
    """

    name: str
    old: str
    new: str
    live: bool

    def __str__(self) -> str:
        """Say what comes of it, in a line."""
        if not self.live:
            return f"{self.name}: changed, which takes a restart"
        if self.new == self.old:
            return f"{self.name}: as written now"
        return f"{self.name}: {self.new} from now on, no longer {self.old}"


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """List what differs; warnings are no settings."""
    return tuple(
        Change(_NAMES.get(name, f"--{name.replace('_', '-')}"), _text(was), _text(now), live)
        for name, was, now, live in _differences(old, new)
    )


def adopt(old: Settings, new: Settings) -> Settings:
    """Give the settings in use once those that can have changed."""
    adopted: dict[str, Any] = {name: now for name, _, now, live in _differences(old, new) if live}
    return evolve(old, **adopted)


def _differences(old: Settings, new: Settings) -> list[tuple[str, object, object, bool]]:
    names = [it.name for it in fields(type(old)) if it.name != "warnings"]
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in names]
    return [
        # A certificate is of use where a listener has TLS already, and needed for as long.
        (name, was, now, name in LIVE and (name != "tls" or None not in (was, now)))
        for name, was, now in pairs
        if was != now
    ]


def _text(value: object) -> str:
    match value:
        case None:
            return "the default"
        case ():
            return "none"
        case tuple():
            return ", ".join(map(_text, value))
        case Backend():
            return f"{value.prefix} from {value.authority}"
        case _:
            return str(value)
