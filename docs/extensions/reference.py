"""
The parts of the guides that are written by the code: options, keys, kinds, variables.

Each function of `TABLES` gives reStructuredText, for Sphinx or for anybody else; what Sphinx makes
of it is told by `docs.extensions.generated`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from osproxy.config import backends, options, values
from osproxy.config.changes import LIVE, attribute_of
from osproxy.config.clients import networks, peers
from osproxy.config.kinds import TIMED
from osproxy.repo.kinds import Kind
from osproxy.repo.policies import BUILT_OFTEN, Gone, Policy, policy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from osproxy.config.options import Option

# What stands for a value, by who reads it.
_VALUES: dict[Callable[[str], object], str] = {
    values.boolean: "yes|no",
    values.size: "SIZE",
    options.CACHE_SIZE.parse: "SIZE",
    values.share: "SHARE",
    values.part: "SHARE",
    values.duration: "TIME",
    values.timeout: "TIME",
    values.count: "NUMBER",
    values.rate: "RATE",
    values.path: "PATH",
    values.url: "URL",
    values.bind_address: "ADDRESS:PORT",
    networks: "NETWORKS",
    peers: "PROXIES",
    options.WONDER_GUARD.parse: "yes|no|KINDS",
    options.LISTEN.parse: "ENDPOINT",
    options.PIN.parse: "PATH",
    options.CONTROL_SOCKET.parse: "PATH|off",
    options.ACCESS_LOG.parse: "PATH|-|journald|off",
    options.ERROR_LOG.parse: "PATH|-|journald",
}
_SOME_VALUE = "VALUE"

_LIVE = "on SIGHUP"
_FIXED = "by a restart"
# What needs more words.
_CHANGES = {
    "config": "the file is read again on SIGHUP, its name is not",
    **dict.fromkeys(("tls-pem-key", "tls-pem-chain"), f"{_LIVE}, if there was HTTPS before"),
}

_DURATIONS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def value_of(option: Option[Any]) -> str:
    """Say what stands for an option's value; the words themselves where there are only some."""
    if isinstance(option.parse, values.OneOf):
        return "|".join(option.parse.words)
    return _VALUES.get(option.parse, _SOME_VALUE)


def change_of(option: Option[Any]) -> str:
    """Say when a change of an option counts."""
    known = _LIVE if attribute_of(option.name) in LIVE else _FIXED
    return _CHANGES.get(option.name, known)


def options_text() -> str:
    """Describe each option in a paragraph of its own, with all of its names."""
    return "\n".join(map(option_text, options.OPTIONS))


def option_text(option: Option[Any]) -> str:
    """Describe one option."""
    return "\n".join([*_option(option), ""])


def keys_text() -> str:
    """Tabulate the keys of a backend's table."""
    rows = ((_literal(name.replace("-", "_")), _prose(it)) for name, it in backends.KEYS.items())
    return _table(("key", "meaning"), rows)


def kinds_text() -> str:
    """Tabulate the kinds of files, and how each is kept."""
    head = ("kind", "what it is", "fresh for", "kept", "after a 404 or 410 of the authority")
    told = dict(re.findall(r":cvar (\w+): ((?:.|\n +(?! *:))+)", Kind.__doc__ or ""))
    rows = (
        (
            _literal(kind.value),
            _prose(" ".join(told[kind.name].split()).removesuffix(".")),
            _freshness(kind),
            _keeping(policy_of(kind, "/", freshness={})),
            _absence(policy_of(kind, "/", freshness={})),
        )
        for kind in Kind
    )
    return _table(head, rows)


def freshness_text() -> str:
    """List the kinds whose freshness can be set."""
    *most, last = (_literal(name) for name in TIMED)
    return f"{', '.join(most)} and {last}"


def variables_text() -> str:
    """Tabulate the existing proxy's variables, with what each is here."""
    taken = (
        (_literal(name), f":option:`--{option.name}`")
        for option in options.OPTIONS
        for name in option.variables
    )
    file = (_literal(options.FILE_ELSEWHERE), "the file is read, see below")
    ignored = ((_literal(name), "no meaning here; a warning") for name in options.WITHOUT_MEANING)
    return _table(("variable there", "here"), (*taken, file, *ignored))


def keys_elsewhere_text() -> str:
    """Tabulate the keys of the existing proxy's file, with what each is here."""
    taken = (
        (_literal(there.replace("-", "_")), _literal(here.replace("-", "_")))
        for there, here in backends.KEYS_ELSEWHERE.items()
    )
    ignored = (
        (_literal(name.replace("-", "_")), "no meaning here; a warning")
        for name in backends.WITHOUT_MEANING
    )
    return _table(("key there", "here"), (*taken, *ignored))


TABLES: dict[str, Callable[[], str]] = {
    "options": options_text,
    "keys": keys_text,
    "kinds": kinds_text,
    "freshness": freshness_text,
    "variables": variables_text,
    "keys-elsewhere": keys_elsewhere_text,
}
"""What can be asked for, by name."""


def _option(option: Option[Any]) -> Iterator[str]:
    signature = f"--{option.name}" if option.flag else f"--{option.name} {value_of(option)}"
    notes = "; may be repeated" if option.repeatable else ""
    yield f".. option:: {signature}"
    yield ""
    yield f"   {_prose(option.help)}{notes}"
    yield ""
    yield f"   :default: {_default(option)}"
    yield f"   :variable: {' or '.join(map(_literal, (option.variable, *option.variables)))}"
    if option is not options.CONFIG:
        flag = f" = {value_of(option)}".replace("yes|no", "true|false") if option.flag else ""
        yield f"   :key: {_literal(option.name.replace('-', '_') + flag)}"
    yield f"   :change: {change_of(option)}"


def _default(option: Option[Any]) -> str:
    if option.otherwise:
        # A dash in front would begin a list.
        return re.sub(r"^-(?= )", "``-``", _prose(option.otherwise))
    return "none" if option.default is None else _literal(option.default)


def _freshness(kind: Kind) -> str:
    if kind is Kind.REFUSED:
        return "never fetched"
    policy = policy_of(kind, "/", freshness={})
    if policy.heeds_response:
        return "as the response says"
    text = _time(policy.lifetimes.fresh_for)
    often = policy_of(kind, BUILT_OFTEN, freshness={}).lifetimes.fresh_for
    if often != policy.lifetimes.fresh_for:
        text += f"; {_time(often)} below {_literal(BUILT_OFTEN)}"
    if policy.lifetimes.stale_while_revalidate:
        text += (
            f"; for {_time(policy.lifetimes.stale_while_revalidate)} more it is served and"
            " asked about behind the answer"
        )
    return text


def _keeping(policy: Policy) -> str:
    if policy.kind is Kind.REFUSED:
        return "no; 404"
    if policy.kind is Kind.IMAGE:
        return "with ``large_objects``"
    return "if the response lets it" if policy.heeds_response else "yes"


def _absence(policy: Policy) -> str:
    if policy.kind is Kind.REFUSED:
        return ""
    if policy.kind is Kind.GENERIC:
        return "as the response says"
    return {
        Gone.CONFIRM: "goes, once a second look a minute later confirms it",
        Gone.GRACE: "is served for 48 h more",
    }[policy.gone]


def _time(seconds: float) -> str:
    if math.isinf(seconds):
        return "ever"
    length, unit = next((it for it in _DURATIONS if seconds % it[0] == 0), _DURATIONS[-1])
    return f"{seconds / length:g} {unit}"


def _literal(text: str) -> str:
    return f"``{text}``"


def _prose(text: str) -> str:
    """Make help into text: names of options lead to them, and nothing else means anything."""
    plain = re.sub(r"([\\*`|_])", r"\\\1", text)
    return re.sub(r"(?<!\S)--([a-z][a-z-]*[a-z])", r":option:`--\1`", plain)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        first, *others = row
        lines += [f"   * - {first}", *(f"     - {cell}".rstrip() for cell in others)]
    return "\n".join([*lines, ""])
