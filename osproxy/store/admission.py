"""
Who comes in: everything, or with the wonder guard only what is asked for a second time.

Much of what is asked for is asked for once. Where that is so, keeping a file at its second request
saves half of what is written to the disk, and costs the octets of that request.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from osproxy.model import Target
    from osproxy.repo.kinds import Kind

_MAGIC = b"osproxy wonder guard 1\n"
_PLACE = struct.Struct("!Qd")
# Names at most, so that a scan does not cost memory; they are the existing proxy's.
_MOST = 65_536


class BadState(Exception):
    """What is to be restored is not what a guard has written."""


@define(eq=False)
class WonderGuard:
    """
    What was asked for lately, by a hash of its name.

    Two names with one hash, of which there are hardly any, only mean that a file is kept at once.

    :param window: seconds within which a second request counts as one.
    :param most: names that are remembered.
    """

    _window: float
    _most: int = _MOST
    # The last request for each, the oldest first.
    _asked: OrderedDict[int, float] = field(init=False, factory=OrderedDict)

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._asked)

    def asked_before(self, target: Target, *, head: bool, now: float) -> bool:
        """
        Say whether a file was asked for within the window, and note that it is now.

        :param head: whether this is a HEAD, which is no request for the file and does not count.
        """
        while self._asked and now - next(iter(self._asked.values())) > self._window:
            self._asked.popitem(last=False)
        key = _hash(target)
        before = key in self._asked
        if not head:
            self._asked[key] = now
            self._asked.move_to_end(key)
            if len(self._asked) > self._most:
                self._asked.popitem(last=False)
        return before

    def state(self) -> bytes:
        """Write down what is to outlive the process."""
        return _MAGIC + b"".join(_PLACE.pack(key, at) for key, at in self._asked.items())

    def restore(self, state: bytes) -> None:
        """
        Remember what was written down.

        :raises BadState: when it was not written by a guard; nothing has changed then.
        """
        places = state.removeprefix(_MAGIC)
        if not state.startswith(_MAGIC) or len(places) % _PLACE.size:
            raise BadState("is no state of a wonder guard")
        found = sorted(_PLACE.iter_unpack(places), key=lambda place: place[1])
        # What is no number is not sorted among those that are.
        if any(at != at for _, at in found):
            raise BadState("has a time that is none")
        self._asked = OrderedDict(found[-self._most :])


@frozen
class Admission:
    """
    Which files are kept.

    :ivar guarded: the kinds that have to be asked for twice, by the prefix of their backend.
    """

    _guard: WonderGuard
    _guarded: Mapping[str, Collection[Kind]] = field(factory=dict)

    def admits(self, target: Target, kind: Kind, *, head: bool, now: float) -> bool:
        """Say whether a file that is not stored is to be kept, and note that it was asked for."""
        if kind not in self._guarded.get(target.backend, ()):
            return True
        return self._guard.asked_before(target, head=head, now=now)


def _hash(target: Target) -> int:
    name = f"{target.backend}\n{target.path}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest())
