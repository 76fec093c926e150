"""
Kinds of files, as the operator names them.
"""

from __future__ import annotations

from osproxy.config.values import BadValue, boolean
from osproxy.repo.kinds import Kind

# What is never fetched, or is named by its content, is not fresh for a time.
_UNTIMED = (Kind.REFUSED, Kind.ADDRESSED, Kind.GENERIC)
#: Kinds whose files are fresh for a time, by their names.
TIMED = {kind.value: kind for kind in Kind if kind not in _UNTIMED}

# An index is kept whole or not at all, and of a generic backend the responses say what is kept.
_UNGUARDED = (Kind.REFUSED, Kind.INDEX, Kind.GENERIC)
_GUARDED = {kind.value: kind for kind in Kind if kind not in _UNGUARDED}
_NAMES = ", ".join(_GUARDED)


def guarded_kinds(text: str) -> frozenset[Kind]:
    """
    Read which kinds are kept only at a second request: ``yes``, ``no``, or names with commas.

    :raises BadValue: for a name that is none of these.
    """
    try:
        return frozenset(_GUARDED.values() if boolean(text) else ())
    except BadValue:
        names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in _GUARDED:
            raise BadValue(f"names no kind that can be guarded; give yes, no, or some of {_NAMES}")
    return frozenset(_GUARDED[name] for name in names)
