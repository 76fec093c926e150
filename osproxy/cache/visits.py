"""
Which snapshot a client is being shown.

A client takes the index files of a repository one after the other: zypper media.1/media,
repomd.xml.asc, repomd.xml.key, repomd.xml; dnf repomd.xml first. When a new snapshot takes over
between two of these, the client goes on being shown the one it has begun with. A file asked for
again begins anew, and so does media.1/media on a new connection.

HTTP knows no visits, so they are told apart by the connection, which zypper keeps, and for
clients that open one for each file, as dnf does, by the address. A proxy in front of us has the
requests of many share a connection, so that the address counts there, too.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, evolve, field

#: Seconds for which a visit may last; the snapshot before is kept for as long.
LASTS = 30.0
#: So many visits are remembered; the oldest are forgotten.
LIMIT = 20_000
_ZYPPER_BEGINS_WITH = "media.1/media"

# A repository, an address, and a connection or any.
_Key = tuple[str, str, int | None]


@define
class _Visit:
    snapshot: str
    since: float
    seen: set[str] = field(factory=set)


class Visits:
    """Remembers for a short while what each client was shown of each repository."""

    def __init__(self) -> None:
        self._visits: OrderedDict[_Key, _Visit] = OrderedDict()

    def show(
        self,
        repository: str,
        client: str,
        connection: int,
        member: str,
        snapshots: tuple[str, ...],
        now: float,
    ) -> str:
        """
        Say which of ``snapshots``, the current one first, the client is to see, and remember it.

        :param member: the file it asks for.
        """
        current = snapshots[0]
        visit = self._find((repository, client, connection), now)
        if visit is None and member != _ZYPPER_BEGINS_WITH:
            # Perhaps somebody else behind the same address: go on from there, but apart.
            other = self._find((repository, client, None), now)
            visit = None if other is None else evolve(other, seen=set(other.seen))
        if visit is None or member in visit.seen or visit.snapshot not in snapshots:
            visit = _Visit(current, now)
        visit.seen.add(member)
        for key in ((repository, client, connection), (repository, client, None)):
            self._visits[key] = visit
            self._visits.move_to_end(key)
        while len(self._visits) > LIMIT:
            self._visits.popitem(last=False)
        return visit.snapshot

    def _find(self, key: _Key, now: float) -> _Visit | None:
        visit = self._visits.get(key)
        if visit is None or not 0 <= now - visit.since < LASTS:
            return None
        return visit
