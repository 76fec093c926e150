"""
What came of replays, as a table or as a picture.
"""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from osproxy.tools.amounts import size_text
from osproxy.tools.replay import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HEAD: tuple[str, ...] = ("size", "", "policy", "object misses", "byte misses", "fetched")


@define(eq=False)
class Row:
    """
    One policy at one size, in however many traces.

    :ivar shown: the size as it was asked for.
    :ivar capacities: what that was in each trace.
    """

    policy: str
    shown: str
    capacities: list[int] = field(factory=list)
    tallies: list[Tally] = field(factory=list)

    @property
    def capacity(self) -> float:
        """The mean of the sizes."""
        return mean(self.capacities)

    def figure(self, of: Callable[[Tally], float]) -> Figure:
        """Gather something of all traces."""
        values = [of(tally) for tally in self.tallies]
        return Figure(mean(values), stdev(values) if len(values) > 1 else 0.0)


@frozen
class Figure:
    """
    A mean and its spread.

    :ivar spread: the standard deviation; 0 for a single trace.
    """

    mean: float
    spread: float


def table(rows: Sequence[Row]) -> str:
    """Write rows under each other; several traces give a mean and its spread."""
    several = any(len(row.tallies) > 1 for row in rows)
    cells = [_HEAD, *(_cells(row, several=several) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = list(_lines(cells, widths))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def _cells(row: Row, *, several: bool) -> tuple[str, ...]:
    return (
        size_text(row.capacity),
        row.shown if row.shown.endswith("%") else "",
        row.policy,
        _percent(row.figure(Tally.object_misses), several=several),
        _percent(row.figure(Tally.byte_misses), several=several),
        size_text(row.figure(lambda tally: tally.missed_octets).mean),
    )


def _percent(figure: Figure, *, several: bool) -> str:
    spread = f" ± {100 * figure.spread:.3f}" if several else ""
    return f"{100 * figure.mean:.3f} %{spread}"


def _lines(cells: Sequence[tuple[str, ...]], widths: Sequence[int]) -> Iterator[str]:
    for line in cells:
        words = [
            word.ljust(width) if column == 2 else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(words).rstrip()
