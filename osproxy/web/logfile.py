"""
A file, or a standard stream of the process, to which lines are added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from io import FileIO

STDOUT, STDERR = 1, 2


def open_file(where: str, stream: int) -> LogFile:
    """
    Open a file to add to, ``-`` being a standard stream.

    That is the process's own, not `sys.stdout`, which twistd turns into its own log. It stays open
    for others.

    :raises OSError: when the file cannot be had.
    """
    if where == "-":
        return LogFile(open(stream, "wb", buffering=0, closefd=False))
    return LogFile(open(where, "ab", buffering=0))


@define(eq=False)
class LogFile:
    """Writes at once: nothing is kept back that a crash could take."""

    _file: FileIO
    _torn: bool = field(default=False, init=False)

    def write(self, octets: bytes) -> None:
        """
        Write whole lines.

        If only a part can be written, the rest is lost, and later lines begin with an end of line.

        :raises OSError: when not all was written.
        """
        rest = memoryview(b"\n" + octets if self._torn else octets)
        while rest:
            written = self._file.write(rest)
            if written is None:
                raise BlockingIOError("nobody reads it")
            self._torn = rest[written - 1] != ord("\n") if written else self._torn
            rest = rest[written:]

    def close(self) -> None:
        """
        Let go of the file.

        :raises OSError: when what was written is lost after all.
        """
        self._file.close()
