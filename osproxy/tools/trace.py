"""
Traces: what was asked for, when, and how large it was.

A trace file has a line a request: time in seconds, name, octets, and, if one likes, the kind of
file as `osproxy.repo.kinds` calls it. ``-`` in place of the octets says that from then on no
current index names the file. Blank lines and those that begin with ``#`` mean nothing::

    # time  name                                      octets   kind
    0.0     /oss/x86_64/vim-9.1-1.x86_64.rpm          1903772  package
    3.5     /iso/openSUSE-Tumbleweed-DVD-x86_64.iso   4479516672
    86400   /oss/x86_64/vim-9.1-1.x86_64.rpm          -

A name that is asked for with another size than before is another file. Without a kind, the name
decides.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, NamedTuple

from attrs import define, field

from osproxy.repo.kinds import Kind, classify
from osproxy.store.ledger import BLOCK, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_KINDS = {kind.value: kind for kind in Kind}
_MOST_OCTETS = 2**63 - 1
_SUPERSEDED = -1


class BadTrace(Exception):
    """What is to be replayed cannot be; says why, in a line."""


class NothingAsked(BadTrace):
    """There is no request in what was read."""


class Event(NamedTuple):
    """
    A request, or the end of a file's time.

    :ivar at: in seconds, from whatever beginning.
    :ivar octets: how large the file is, None when no current index names it any more.
    :ivar whole: whether it is known to be that large; else, it is so large at least.
    """

    at: float
    key: str
    octets: int | None
    kind: Kind = Kind.UNKNOWN
    whole: bool = True


def parse(line: str) -> Event | None:
    """
    Read a line of a trace file.

    :raises BadTrace: when it is none.
    """
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    if not 3 <= len(words) <= 4:
        raise BadTrace(f"{len(words)} words; a line has time, name, octets and perhaps a kind")
    at, key, octets, *kinds = words
    try:
        seconds = float(at)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise BadTrace(f"{at!r} is no time; give seconds")
    if octets != "-" and not (octets.isascii() and octets.isdecimal() and len(octets) < 20):
        raise BadTrace(f"{octets!r} is no size; give octets")
    if octets != "-" and int(octets) > _MOST_OCTETS:
        raise BadTrace(f"{octets!r} is too large")
    if kinds and kinds[0] not in _KINDS:
        raise BadTrace(f"{kinds[0]!r} is no kind; give one of {', '.join(_KINDS)}")
    kind = _KINDS[kinds[0]] if kinds else classify(key)
    return Event(seconds, key, None if octets == "-" else int(octets), kind)


def write(event: Event) -> str:
    """Write a line of a trace file."""
    octets = "-" if event.octets is None else event.octets
    return f"{event.at:.3f} {event.key} {octets} {event.kind.value}\n"


@define(eq=False)
class Trace:
    """
    A trace in memory, in columns.

    :ivar times: when, by place in the trace.
    :ivar keys: a number that stands for the name, by place.
    :ivar octets: how large; negative where the file is superseded.
    :ivar images: whether the file of a number is an image.
    """

    times: array[float] = field(init=False, factory=lambda: array("d"))
    keys: array[int] = field(init=False, factory=lambda: array("L"))
    octets: array[int] = field(init=False, factory=lambda: array("q"))
    images: bytearray = field(init=False, factory=bytearray)
    _largest: array[int] = field(init=False, factory=lambda: array("q"))

    @classmethod
    def of(cls, events: Iterable[Event]) -> Trace:
        """
        Take events, in any order.

        :raises NothingAsked: when there is no request among them.
        """
        trace = cls()
        trace._take(events)
        if not trace.requests:
            raise NothingAsked("no file is asked for")
        if any(one > other for one, other in zip(trace.times, trace.times[1:], strict=False)):
            trace._sort()
        return trace

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return sum(octets >= 0 for octets in self.octets)

    @property
    def asked(self) -> int:
        """Octets of all requests."""
        return sum(octets for octets in self.octets if octets >= 0)

    @property
    def working_set(self) -> int:
        """Octets that all files take, each counted once, in whole blocks as in a cache."""
        return sum(map(blocks_of, self._largest)) * BLOCK

    def __len__(self) -> int:
        """How many events there are."""
        return len(self.times)

    def events(self) -> Iterator[tuple[float, int, int]]:
        """Give time, number and octets of each event."""
        return zip(self.times, self.keys, self.octets, strict=True)

    def _take(self, events: Iterable[Event]) -> None:
        numbers: dict[str, int] = {}
        partial: list[int] = []
        for at, key, octets, kind, whole in events:
            number = numbers.setdefault(key, len(numbers))
            if number == len(self._largest):
                self._largest.append(0)
                self.images.append(kind is Kind.IMAGE)
            if not whole:
                partial.append(len(self.times))
            self.times.append(at)
            self.keys.append(number)
            self.octets.append(_SUPERSEDED if octets is None else octets)
            self._largest[number] = max(self._largest[number], octets or 0)
        for place in partial:
            self.octets[place] = self._largest[self.keys[place]]

    def _sort(self) -> None:
        order = sorted(range(len(self.times)), key=self.times.__getitem__)
        self.times = array("d", (self.times[place] for place in order))
        self.keys = array("L", (self.keys[place] for place in order))
        self.octets = array("q", (self.octets[place] for place in order))
