"""
How each kind of file is kept.

A table, to be read beside the one in `osproxy.repo.kinds`. What the policies say is acted upon by
`osproxy.cache`.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from osproxy.http.freshness import Lifetimes
from osproxy.repo.kinds import Kind, is_boot_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MINUTE = 60.0
_HOUR = 60 * _MINUTE

BUILT_OFTEN = "/repositories/"
"""Where OBS publishes, within minutes of a build."""


class Gone(Enum):
    """
    What becomes of a stored file when the authority says that there is none.

    :cvar CONFIRM: it goes, once a second ask at least 60 s later confirms it.
    :cvar GRACE: it stays for 48 h more, for clients with an older index.
    """

    CONFIRM = "confirm"
    GRACE = "grace"


@frozen
class Policy:
    """
    How a file is kept.

    :ivar keep: whether it is stored at all.
    :ivar https_only: whether a redirect from https to http is refused.
    :ivar heeds_response: whether what the response says about caching is heeded.
    :ivar gone: what an upstream's 404 or 410 comes to.
    :ivar checks_after: seconds after a check by which a client's ``no-cache`` brings another
        (RFC 9111 section 5.2.1.4); infinite where it is ignored.
    :ivar guarded: whether it is stored only when it is asked for a second time.
    """

    kind: Kind
    lifetimes: Lifetimes
    keep: bool
    https_only: bool
    heeds_response: bool
    gone: Gone
    checks_after: float
    guarded: bool


_LIFETIMES = {
    Kind.INDEX: Lifetimes(10 * _MINUTE),
    Kind.ADDRESSED: Lifetimes(math.inf),
    Kind.PACKAGE: Lifetimes(15 * _MINUTE),
    Kind.IMAGE: Lifetimes(15 * _MINUTE),
    Kind.MUTABLE: Lifetimes(15 * _MINUTE, stale_while_revalidate=24 * _HOUR),
    Kind.LISTING: Lifetimes(5 * _MINUTE, stale_while_revalidate=1 * _HOUR),
    Kind.REFUSED: Lifetimes(0.0),
    Kind.UNKNOWN: Lifetimes(0.0),
    Kind.GENERIC: Lifetimes(0.0),
}
# dnf sends no-cache with every repomd.xml. What can be gone or changed is looked at again, but not
# for each client of a fleet that wakes up at once.
_CHECKS_AFTER = 10.0
# What is named by its content cannot be another by now.
_NEVER_CHECKED = frozenset((Kind.ADDRESSED, Kind.REFUSED))
_GRACED = frozenset((Kind.ADDRESSED, Kind.PACKAGE, Kind.IMAGE))


def policy_of(
    kind: Kind,
    path: str,
    *,
    large_objects: bool = False,
    freshness: Mapping[Kind, float],
    guarded: Collection[Kind] = (),
) -> Policy:
    """
    Say how a file is kept.

    :param path: canonical, the backend's prefix included.
    :param large_objects: whether images are kept.
    :param freshness: seconds that files of a kind stay fresh, where the operator changed them.
    :param guarded: kinds that are stored only when they are asked for a second time.
    """
    lifetimes = _LIFETIMES[kind]
    if kind in freshness:
        lifetimes = evolve(lifetimes, fresh_for=freshness[kind])
    elif kind is Kind.INDEX and BUILT_OFTEN in path:
        lifetimes = evolve(lifetimes, fresh_for=1 * _MINUTE)
    return Policy(
        kind=kind,
        lifetimes=lifetimes,
        keep=large_objects if kind is Kind.IMAGE else kind is not Kind.REFUSED,
        https_only=kind is Kind.INDEX or is_boot_file(path),
        heeds_response=kind in (Kind.UNKNOWN, Kind.GENERIC),
        gone=Gone.GRACE if kind in _GRACED else Gone.CONFIRM,
        checks_after=math.inf if kind in _NEVER_CHECKED else _CHECKS_AFTER,
        guarded=kind in guarded,
    )
