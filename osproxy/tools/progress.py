"""
A bar on a terminal that tells how far something has come; nothing where there is no terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from typing import TextIO

_WIDTH = 30
_CLEAR = "\r\x1b[K"


@define(eq=False)
class Progress:
    """
    A bar.

    :param total: what there is to do, 0 where that is not known.
    """

    _stream: TextIO
    _label: str
    _total: int
    _done: int = field(init=False, default=0)
    _shown: int = field(init=False, default=-1)

    def __enter__(self) -> Progress:
        """Show the empty bar."""
        self.advance(0)
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away, however it ended."""
        if self._stream.isatty():
            self._stream.write(_CLEAR)
            self._stream.flush()

    def advance(self, count: int) -> None:
        """Note that so much more is done."""
        self._done += count
        percent = min(100 * self._done // self._total, 100) if self._total else 0
        if percent == self._shown or not self._stream.isatty():
            return
        self._shown = percent
        bar = "#" * (percent * _WIDTH // 100)
        self._stream.write(f"{_CLEAR}[{bar:.<{_WIDTH}}] {percent:3} % {self._label}")
        self._stream.flush()
