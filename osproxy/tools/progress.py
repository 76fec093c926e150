"""
How far something has come, on a terminal as a bar that moves, elsewhere as a line now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

_WIDTH = 24
_REDRAW_EVERY = 0.1
# Of what there is to do, for each line where there is no terminal.
_PARTS = 10
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
# To the beginning of the line, and clear it (ECMA-48).
_CLEAR = "\r\x1b[K"


def size_text(octets: float) -> str:
    """Write a number of octets for people."""
    for unit in _UNITS[:-1]:
        if octets < 1024:
            return (
                f"{octets:.0f} {unit}" if unit == "B" or octets >= 100 else f"{octets:.1f} {unit}"
            )
        octets /= 1024
    return f"{octets:.1f} {_UNITS[-1]}"


def count_text(count: int, one: str, many: str) -> str:
    """Write how many there are of something."""
    return f"{count} {one if count == 1 else many}"


def time_text(seconds: float) -> str:
    """Write a time for people: minutes and seconds, hours too where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


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
class Progress:
    """
    Shows it.

    :ivar terminal: whether ``out`` is one.
    """

    out: TextIO
    seconds: Callable[[], float]
    terminal: bool
    _began: float = field(init=False)
    _drawn_at: float | None = field(init=False, default=None)
    _drawn: bool = field(init=False, default=False)
    _part: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self._began = self.seconds()

    def show(self, done: int, of: int) -> None:
        """Say that so many octets of all are done."""
        now = self.seconds()
        if self.terminal:
            due = self._drawn_at is None or done >= of or now - self._drawn_at >= _REDRAW_EVERY
            if due:
                self._drawn_at, self._drawn = now, True
                state = state_text(done, of, now - self._began)
                self._write(f"{_CLEAR}{bar_text(done, of)} {state}")
            return
        part = _PARTS * done // of if of else _PARTS
        if part > self._part:
            self._part = part
            self._write(f"{state_text(done, of, now - self._began).strip()}\n")

    def clear(self) -> None:
        """Make room for a line of text, or for the end."""
        if self._drawn:
            self._drawn, self._drawn_at = False, None
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
