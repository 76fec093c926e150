"""
The journal's native protocol: a datagram an entry, in it the fields of the entry.

It is that of systemd's ``JOURNAL_NATIVE_PROTOCOL``. Values are cut off where they would make a
datagram too large for a socket; the protocol's way around that, a file in memory, costs too much
for lines that a stranger can make as long as he likes.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SOCKET = Path("/run/systemd/journal/socket")
"""Where journald listens."""

#: Octets of a value at most: a dozen of them fit into what Linux lets a socket send at once.
LONGEST = 12 << 10

# Each is sent by itself, and no reactor turn is to take long.
_IN_A_TURN = 256

_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})


def datagram(fields: Iterable[tuple[str, str]]) -> bytes:
    """Write an entry; whatever is in a value, it adds no field and ends none."""
    return b"".join(_field(name, value) for name, value in fields)


def _field(name: str, value: str) -> bytes:
    octets = value.encode("utf-8", "backslashreplace")
    if len(octets) > LONGEST:
        octets = octets[:LONGEST]
    if b"\n" in octets:
        return b"%b\n%b%b\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
    return b"%b=%b\n" % (name.encode(), octets)


def listens(path: Path = SOCKET) -> None:
    """
    Make sure that somebody takes entries.

    :raises OSError: when nobody does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.connect(str(path))


@define(eq=False)
class Journal:
    """A way to the journal, found anew for each entry: journald may have been restarted."""

    _path: Path = SOCKET
    _socket: socket.socket = field(init=False)

    @_socket.default
    def _make_socket(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.setblocking(False)
        return made

    def send(self, entry: bytes) -> bool:
        """
        Hand over an entry; say whether it was taken, which it is not while the journal is busy.

        :raises OSError: when it cannot be taken at all.
        """
        try:
            self._socket.sendto(entry, str(self._path))
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise
        return True

    def write(self, entries: Sequence[bytes]) -> int:
        """
        Hand over what is taken now, from the first on, and say how many that are.

        :raises OSError: when the first one cannot be taken at all.
        """
        taken = 0
        try:
            for entry in entries[:_IN_A_TURN]:
                if not self.send(entry):
                    break
                taken += 1
        except OSError:
            # Those before have been; the next time begins with this one.
            if not taken:
                raise
        return taken

    def close(self) -> None:
        """Hand over no more."""
        self._socket.close()
