"""
How many questions may wait for their answers at once, and whose turn is next.

A flood of names that nobody has would make as many questions upstream, and a host that is slow to
answer would hold them all. So many are asked at once of one host, and four times as many of all;
as many again wait for their turn, a short while; the rest is refused at once. What is asked without
need, since somebody asks it already or it is stored, never comes here.

Nobody has all of it: one client has half of the places at most, of those that wait as well, and a
quarter is kept for what we ask for ourselves. Clients that wait have their turns one after another,
however much each of them wants.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from osproxy.config.clients import client_of
from osproxy.shedding import Reason
from osproxy.upstream.reply import Overloaded

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from osproxy.shedding import Shedding

PATIENCE = 5.0
"""Seconds to wait for a turn: dnf gives up after 30 without an octet."""

_HOSTS = 4
_T = TypeVar("_T")


@frozen(eq=False)
class Asker:
    """
    Who a question is asked for.

    :ivar client: what counts as one client; None for ourselves.
    :ivar together: whether its questions are a few that are of use only all together: where one of
        them may wait all may, for as long as one of them is being asked.
    """

    client: str | None = None
    together: bool = False

    @classmethod
    def at(cls, address: str, *, together: bool = False) -> Asker:
        """Name the client at an address; where there is none we ask for ourselves."""
        return cls(client_of(address) if address else None, together)


OURS = Asker()
"""Whoever keeps fresh what is stored: it is no client's business."""


class Turns:
    """Gives each question its turn."""

    def __init__(self, clock: IReactorTime, shedding: Shedding, each: int) -> None:
        """
        Make them.

        :param each: see `each`.
        """
        self._clock = clock
        self._shedding = shedding
        self._each = each
        self._asking = _Crowd()
        self._queued = _Crowd()
        self._asking_together: Counter[Asker] = Counter()
        # Who has had a turn goes to the end.
        self._lines: dict[tuple[str, str | None], deque[_Waiter]] = {}
        self._waking = False

    @property
    def each(self) -> int:
        """How many questions to one host there may be."""
        return self._each

    @each.setter
    def each(self, each: int) -> None:
        self._each = each
        self._wake()

    async def take(self, host: str, asker: Asker = OURS) -> None:
        """
        Return when a host may be asked; whoever returns from here calls `give`.

        :raises Overloaded: when it will not be soon.
        """
        client = asker.client
        if self._asking.has_room(host, client, self._each):
            # Nobody is overtaken who could have gone.
            self._begin(host, asker)
            return
        line = self._lines.get((host, client), deque())
        joins = asker.together and (
            bool(self._asking_together[asker]) or any(asker is other.asker for other in line)
        )
        if not joins and not self._queued.has_room(host, client, self._each):
            raise self._refused(host)
        waiter = _Waiter(host, asker, Deferred(lambda _: self._leave(waiter)))
        self._lines.setdefault((host, client), line).append(waiter)
        self._queued.add(host, client)
        self._await(waiter)
        await waiter.turn

    def give(self, host: str, asker: Asker = OURS) -> None:
        """Give a turn back, to whoever is next."""
        self._asking.remove(host, asker.client)
        if asker.together:
            _decrease(self._asking_together, asker)
        self._wake()

    def _wake(self) -> None:
        # Who has its turn may give it back at once; the round that goes on sees to it.
        if self._waking:
            return
        self._waking = True
        try:
            while (waiter := self._next()) is not None:
                self._leave(waiter)
                line = self._lines.pop((waiter.host, waiter.asker.client), None)
                if line is not None:
                    self._lines[waiter.host, waiter.asker.client] = line
                self._begin(waiter.host, waiter.asker)
                waiter.turn.callback(None)
        finally:
            self._waking = False

    def _next(self) -> _Waiter | None:
        for (host, client), line in self._lines.items():
            if self._asking.has_room(host, client, self._each):
                return line[0]
        return None

    def _begin(self, host: str, asker: Asker) -> None:
        self._asking.add(host, asker.client)
        if asker.together:
            self._asking_together[asker] += 1

    def _await(self, waiter: _Waiter) -> None:
        waiter.timer = self._clock.callLater(PATIENCE, self._tire, waiter)

    def _tire(self, waiter: _Waiter) -> None:
        waiter.timer = None
        if self._asking_together[waiter.asker]:
            self._await(waiter)
            return
        self._leave(waiter)
        waiter.turn.errback(self._refused(waiter.host))

    def _leave(self, waiter: _Waiter) -> None:
        if waiter.timer is not None:
            waiter.timer.cancel()
        key = waiter.host, waiter.asker.client
        self._lines[key].remove(waiter)
        if not self._lines[key]:
            del self._lines[key]
        self._queued.remove(*key)

    def _refused(self, host: str) -> Overloaded:
        self._shedding.shed(Reason.UPSTREAM, host)
        return Overloaded("", "overloaded", f"{host} is asked too much at once")


@define(eq=False)
class _Waiter:
    """A question that waits for its turn."""

    host: str
    asker: Asker
    turn: Deferred[None]
    timer: IDelayedCall | None = None


@define
class _Places:
    """How many places are taken, and by whom."""

    total: int = 0
    of: Counter[str | None] = field(factory=Counter)

    def has_room(self, client: str | None, places: int) -> bool:
        """Whether of so many places a client may have one more."""
        if self.total >= places or self.of[client] >= max(1, places // 2):
            return False
        kept = min(max(1, places // 4), places - 1)
        return client is None or self.total - self.of[None] < places - kept


_NONE = _Places()


@define
class _Crowd:
    """Those who ask, or those who wait: by host and in all."""

    _in_all: _Places = field(factory=_Places)
    _by_host: dict[str, _Places] = field(factory=dict)

    def has_room(self, host: str, client: str | None, each: int) -> bool:
        """Whether there is one more place, where a host has so many."""
        at_host = self._by_host.get(host, _NONE)
        return at_host.has_room(client, each) and self._in_all.has_room(client, _HOSTS * each)

    def add(self, host: str, client: str | None) -> None:
        """Take a place."""
        for places in (self._in_all, self._by_host.setdefault(host, _Places())):
            places.total += 1
            places.of[client] += 1

    def remove(self, host: str, client: str | None) -> None:
        """Give a place back."""
        for places in (self._in_all, self._by_host[host]):
            places.total -= 1
            _decrease(places.of, client)
        if not self._by_host[host].total:
            del self._by_host[host]


def _decrease(counter: Counter[_T], one: _T) -> None:
    """Count one less, and keep no zero: names are made up without end."""
    counter[one] -= 1
    if not counter[one]:
        del counter[one]
