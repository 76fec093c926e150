"""
What package managers tell of the machine that they run on.

zypper sends ``X-ZYpp-AnonymousId``, by which download.opensuse.org counts machines, and
``X-ZYpp-DistributionFlavor`` beside it. Whoever asks through a cache does not ask openSUSE, let
alone an artifact store. Its User-Agent has versions and the distribution, and nothing that tells
two machines apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osproxy.http.fields import Fields


def anonymous(fields: Fields) -> Fields:
    """
    Leave out of a request what identifies its machine.

    Gateways make the same variable of ``-`` and ``_`` (RFC 3875 section 4.1.18).
    """
    return tuple(
        (name, value)
        for name, value in fields
        if not name.lower().replace("_", "-").startswith("x-zypp-")
    )
