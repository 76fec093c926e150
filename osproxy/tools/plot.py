"""
Curves of misses over sizes, drawn by matplotlib, which comes with the extra ``plot``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.tools.amounts import size_text
from osproxy.tools.replay import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osproxy.tools.report import Row

_INCHES = (11.0, 5.0)
_GIB = 1024**3
_CURVES = (("object misses", Tally.object_misses), ("byte misses", Tally.byte_misses))


class NoPlot(Exception):
    """There is nothing to draw with."""


def check() -> None:
    """
    See that there is something to draw with.

    :raises NoPlot: when there is not.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise NoPlot("needs matplotlib; install osproxy[plot]") from None


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """
    Draw a curve a policy, requests on the left and octets on the right.

    :raises OSError: when the file cannot be written.
    """
    # Not pyplot, which would look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    policies = list(dict.fromkeys(row.policy for row in rows))
    for place, (name, of) in enumerate(_CURVES, 1):
        axes = figure.add_subplot(1, 2, place)
        for policy in policies:
            own = [row for row in rows if row.policy == policy]
            own.sort(key=lambda row: row.capacity)
            found = [row.figure(of) for row in own]
            axes.errorbar(
                [row.capacity / _GIB for row in own],
                [100 * one.mean for one in found],
                yerr=[100 * one.spread for one in found],
                marker="o",
                capsize=3,
                label=policy,
            )
        axes.set_xscale("log")
        sizes = sorted({row.capacity for row in rows})
        axes.set_xticks([size / _GIB for size in sizes], [size_text(size) for size in sizes])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_title(name)
        axes.set_xlabel("size of the cache")
        axes.set_ylabel("%")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png")
