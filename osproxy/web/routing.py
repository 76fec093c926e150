"""
Which backend's file is asked for, and whether it may be asked for in this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from osproxy.http.methods import allow, answered
from osproxy.http.paths import BadTarget, below, canonical_path, equivalent_path, parse_target
from osproxy.model import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osproxy.model import Backend


class Refused(Exception):
    """
    A request that is answered without the cache, with a status and a line that says why.

    :ivar allowed: the methods that are answered, where this one is not.
    :ivar retry_after: seconds after which it may be answered, where that is a matter of time.
    """

    def __init__(
        self,
        status: int,
        text: str,
        allowed: str | None = None,
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.allowed = allowed
        self.retry_after = retry_after


@frozen
class Place:
    """
    A request target, taken apart.

    :ivar host: of an absolute-form target, None in origin form.
    :ivar path: in its one form.
    :ivar equivalent: in the form that any origin takes for the same, for generic backends.
    :ivar query: without the question mark, None where there is none.
    """

    host: str | None
    path: str
    equivalent: str
    query: str | None


def place_of(raw: bytes) -> Place:
    """
    Take a request target apart.

    :raises Refused: with 400, when it names no file.
    """
    try:
        asked = parse_target(raw)
        path = canonical_path(asked.path)
        return Place(asked.host, path, equivalent_path(asked.path), asked.query)
    except BadTarget as error:
        raise Refused(400, f"{error}.") from error


def _longest_first(backends: Sequence[Backend]) -> tuple[Backend, ...]:
    return tuple(sorted(backends, key=lambda backend: len(backend.prefix), reverse=True))


@frozen
class Routes:
    """The backends, of which the one with the longest prefix that fits counts."""

    backends: Sequence[Backend] = field(converter=_longest_first)

    def find(self, place: Place) -> tuple[Backend, Target]:
        """
        Find whose file it is.

        :raises Refused: when nobody's.
        """
        for backend in self.backends:
            path = place.equivalent if backend.generic else place.path
            if place.host is not None:
                if place.host in backend.hosts:
                    return backend, Target(backend.prefix, path)
                continue
            rest = below(backend.prefix, path)
            if rest is not None:
                return backend, Target(backend.prefix, rest)
        if place.host is not None:
            raise Refused(403, f"{place.host} is not served by this proxy.")
        raise Refused(404, "No backend serves this path.")


def permit(method: str, backend: Backend | None) -> None:
    """
    Let a method through that the backend knows; of our own pages there is none.

    :raises Refused: with 405 for others.
    """
    reading = backend is None or not backend.generic
    if answered(method, reading=reading):
        return
    text = "Only GET, HEAD are answered." if reading else f"{method} is not answered."
    if method == "CONNECT":
        text = "No tunnels here: use http:// URLs with this proxy, or name it in baseurl."
    raise Refused(405, text, allow(reading=reading))
