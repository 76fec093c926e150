"""
Who comes in: everything, or with the wonder guard only what is asked for a second time.

Much of what is asked for is asked for once. Where that is so, keeping a file at its second request
saves half of what is written to the disk, and costs the octets of that request.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from osproxy.model import Target

# Names at most, so that a scan does not cost memory; they are the existing proxy's.
_MOST = 65_536


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
    # Those of them that are not written down.
    _unwritten: dict[int, float] = field(init=False, factory=dict)

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._asked)

    def asked_before(self, target: Target, now: float) -> bool:
        """Say whether a file was asked for within the window, and note that it is now."""
        self._age(now)
        key = _hash(target)
        before = key in self._asked
        self._unwritten[key] = self._asked[key] = now
        self._asked.move_to_end(key)
        if len(self._asked) > self._most:
            self._forget_oldest()
        return before

    def restore(self, asked: Iterable[tuple[int, float]]) -> None:
        """Remember what was written down, in any order: hashes, and seconds since the epoch."""
        self._asked = OrderedDict(sorted(asked, key=lambda one: one[1])[-self._most :])

    def unwritten(self) -> dict[int, float]:
        """Give what has been noted since the last time this was asked for."""
        unwritten, self._unwritten = self._unwritten, {}
        return unwritten

    def put_back(self, unwritten: Mapping[int, float]) -> None:
        """Have what could not be written down written the next time."""
        remembered = {key: at for key, at in unwritten.items() if self._asked.get(key) == at}
        self._unwritten = {**remembered, **self._unwritten}

    def horizon(self, now: float) -> float:
        """Say before which time everything is forgotten."""
        self._age(now)
        return next(iter(self._asked.values()), now)

    def _age(self, now: float) -> None:
        while self._asked and now - next(iter(self._asked.values())) > self._window:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        key, _ = self._asked.popitem(last=False)
        self._unwritten.pop(key, None)


def _hash(target: Target) -> int:
    name = f"{target.backend}\n{target.path}".encode("utf-8", "surrogatepass")
    # As SQLite has its numbers.
    return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)
