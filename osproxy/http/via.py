"""
Whose hands a message has gone through (RFC 9110 section 7.6.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from osproxy.http.fields import every

if TYPE_CHECKING:
    from osproxy.http.fields import Fields

_MARK = re.compile(r"\\.|[()]", re.DOTALL)


def add(fields: Fields, protocol: str, pseudonym: str) -> str:
    """
    Give the Via of a message that is sent on.

    :param protocol: by which it came, ``1.1`` for instance; the name of HTTP is left out.
    """
    return ", ".join([*_values(fields), f"{protocol} {pseudonym}"])


def seen(fields: Fields, pseudonym: str) -> bool:
    """Say whether a message has gone through somebody of this name before."""
    for value in _values(fields):
        for member in _without_comments(value).split(","):
            words = member.split()
            if len(words) > 1 and words[1] == pseudonym:
                return True
    return False


def _values(fields: Fields) -> list[str]:
    return [stripped for value in every(fields, "via") if (stripped := value.strip(" \t"))]


def _without_comments(value: str) -> str:
    """
    Leave out comments, which may be nested and have commas (RFC 9110 section 5.6.5).

    One that is never closed is none: nobody can hide behind it.
    """
    kept, begun, depth = [], 0, 0
    position = 0
    for mark in _MARK.finditer(value):
        if mark[0] == "(":
            if not depth:
                kept.append(value[position : mark.start()])
                begun = mark.start()
            depth += 1
        elif mark[0] == ")" and depth:
            depth -= 1
            position = mark.end()
    kept.append(value[begun if depth else position :])
    return " ".join(kept)
