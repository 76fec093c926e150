"""
How far something has come: on a terminal as a bar that moves, elsewhere as a line now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.tools.amounts import size_text, time_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

_WIDTH = 24
_REDRAW_EVERY = 0.1
# Of what there is to do, for each line where there is no terminal.
_PARTS = 10
# To the beginning of the line, and clear it (ECMA-48).
_CLEAR = "\r\x1b[K"


def state_text(done: int, of: int, took: float) -> str:
    """Write how far it is, how fast it goes, and how long it will take."""
    share = 100 * done // of if of else 100
    rate = done / took if took > 0 else 0.0
    text = f"{share:3d} %  {size_text(done)} of {size_text(of)}"
    if rate:
        text += f"  {size_text(rate)}/s  {time_text((of - done) / rate)} left"
    return text


def bar_text(done: int, of: int) -> str:
    """Draw a bar."""
    full = _WIDTH * done // of if of else _WIDTH
    return f"[{'#' * full}{' ' * (_WIDTH - full)}]"


@define(eq=False)
class _Bar:
    """
    A bar with a text beside it, drawn over itself.

    :ivar drawn: whether it is there.
    """

    out: TextIO
    drawn: bool = field(init=False, default=False)

    def draw(self, done: int, of: int, text: str) -> None:
        """Draw it."""
        self.drawn = True
        self._write(f"{_CLEAR}{bar_text(done, of)} {text}")

    def clear(self) -> None:
        """Take it away."""
        if self.drawn:
            self.drawn = False
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


@define(eq=False)
class Progress:
    """Shows how many octets of how many are done, how fast that goes, and how long it will take."""

    out: TextIO
    seconds: Callable[[], float]
    _bar: _Bar = field(init=False)
    _began: float = field(init=False)
    _drawn_at: float = field(init=False, default=0.0)
    _part: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self._bar = _Bar(self.out)
        self._began = self.seconds()

    def show(self, done: int, of: int) -> None:
        """Say that so many octets of all are done."""
        now = self.seconds()
        if self.out.isatty():
            if not self._bar.drawn or done >= of or now - self._drawn_at >= _REDRAW_EVERY:
                self._drawn_at = now
                self._bar.draw(done, of, state_text(done, of, now - self._began))
            return
        part = _PARTS * done // of if of else _PARTS
        if part > self._part:
            self._part = part
            self.out.write(f"{state_text(done, of, now - self._began).strip()}\n")
            self.out.flush()

    def clear(self) -> None:
        """Make room for a line of text, or for the end."""
        self._bar.clear()


@define(eq=False)
class Counting:
    """
    Shows which part is done of something that has a name; nothing where there is no terminal.

    :param total: what there is to do, 0 where that is not known.
    """

    _out: TextIO
    _label: str
    _total: int
    _bar: _Bar = field(init=False)
    _done: int = field(init=False, default=0)
    _shown: int = field(init=False, default=-1)

    def __enter__(self) -> Counting:
        """Show the empty bar."""
        self._bar = _Bar(self._out)
        self.advance(0)
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away, however it ended."""
        self._bar.clear()

    def advance(self, count: int) -> None:
        """Note that so much more is done."""
        self._done += count
        percent = min(100 * self._done // self._total, 100) if self._total else 0
        if percent != self._shown and self._out.isatty():
            self._shown = percent
            self._bar.draw(percent, 100, f"{percent:3} % {self._label}")
