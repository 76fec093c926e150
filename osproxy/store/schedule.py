"""
Which entries are to be verified again, and at what pace.

Nothing is read here, and no clock is asked. Entries are verified in the order in which they were
verified last, each once in an interval; when the server was down for longer than that, or has just
stored a lot, the pace is what keeps the disk free for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# However long nothing is due: clocks are set, and entries come and go meanwhile.
_LONGEST_REST = 3600.0
# Those that are due within a minute are looked for together.
_SHORTEST_REST = 60.0


@frozen
class Candidate:
    """
    An entry, as far as it matters when to verify it.

    :ivar size: octets of its file.
    :ivar verified_at: when it was written, or last found to be as it was written.
    """

    id: int
    size: int
    verified_at: float


@frozen
class Schedule:
    """
    What the operator allows.

    :ivar interval: seconds after which an entry is verified again.
    :ivar rate: octets a second that are read for it at most; 0 where nothing is to be read.
    """

    interval: float
    rate: int

    def due(self, candidates: Iterable[Candidate], now: float) -> list[Candidate]:
        """Choose those to verify now, in their order."""
        return [one for one in candidates if self._wait(one, now) <= 0]

    def rest(self, candidates: Sequence[Candidate], now: float) -> float:
        """Say for how many seconds to look no further, when none of these is due."""
        until_due = min((self._wait(one, now) for one in candidates), default=_LONGEST_REST)
        return min(max(until_due, _SHORTEST_REST), _LONGEST_REST, self.interval)

    def _wait(self, candidate: Candidate, now: float) -> float:
        since = now - candidate.verified_at
        # What was verified in the future was so before the clock was set back.
        return self.interval - since if since >= 0 else 0.0


def pause(octets: int, took: float, rate: int | None) -> float:
    """
    Say how long to wait after so many octets, the reading of which took so long.

    :param rate: octets a second at most; None for as fast as can be.
    """
    if rate is None:
        return 0.0
    due = octets / rate
    # A clock that was set back must not make it wait for longer than if it had taken no time.
    return min(max(due - took, 0.0), due)
