"""
ARC (Megiddo and Modha, FAST 2003) for files of any size: what we are compared with.

Two queues of files, those asked for once and those asked for more often, and the names of those
that went from either; a request for such a name moves the border between the queues.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field


@define(eq=False)
class _Queue:
    """Files with their sizes, the least recently used first."""

    sizes: OrderedDict[int, int] = field(init=False, factory=OrderedDict)
    total: int = field(init=False, default=0)

    def __contains__(self, key: int) -> bool:
        return key in self.sizes

    def push(self, key: int, size: int) -> None:
        self.sizes[key] = size
        self.total += size

    def pull(self, key: int) -> int:
        size = self.sizes.pop(key)
        self.total -= size
        return size

    def pop(self) -> tuple[int, int]:
        key, size = self.sizes.popitem(last=False)
        self.total -= size
        return key, size


@define(eq=False)
class Arc:
    """
    A cache that is ruled by ARC.

    :param capacity: in whatever sizes are given in.
    """

    _capacity: int
    _once: _Queue = field(init=False, factory=_Queue)
    _often: _Queue = field(init=False, factory=_Queue)
    _gone_once: _Queue = field(init=False, factory=_Queue)
    _gone_often: _Queue = field(init=False, factory=_Queue)
    # What those that were asked for once may have.
    _target: float = field(init=False, default=0.0)

    def use(self, key: int, size: int) -> bool:
        """Ask for a file, and say whether it was there."""
        for queue in (self._once, self._often):
            if key in queue:
                if queue.sizes[key] == size:
                    queue.pull(key)
                    self._often.push(key, size)
                    return True
                # Another file of the same name.
                queue.pull(key)
        if size > self._capacity:
            return False
        if key in self._gone_once:
            step = size * max(1.0, self._gone_often.total / max(self._gone_once.total, 1))
            self._gone_once.pull(key)
            self._target = min(self._target + step, self._capacity)
            self._make_room(size, often=False)
            self._often.push(key, size)
        elif key in self._gone_often:
            step = size * max(1.0, self._gone_once.total / max(self._gone_often.total, 1))
            self._gone_often.pull(key)
            self._target = max(self._target - step, 0.0)
            self._make_room(size, often=True)
            self._often.push(key, size)
        else:
            self._make_room(size, often=False)
            self._once.push(key, size)
        self._forget()
        return False

    def _make_room(self, size: int, *, often: bool) -> None:
        while self._once.total + self._often.total + size > self._capacity:
            once = self._once.total
            from_once = once > self._target or (often and once == self._target)
            if self._once.sizes and (from_once or not self._often.sizes):
                self._gone_once.push(*self._once.pop())
            else:
                self._gone_often.push(*self._often.pop())

    def _forget(self) -> None:
        """Remember no more names than the published bounds allow."""
        once, often = self._once.total, self._often.total
        while self._gone_once.sizes and once + self._gone_once.total > self._capacity:
            self._gone_once.pop()
        while self._gone_often.sizes and (
            once + often + self._gone_once.total + self._gone_often.total > 2 * self._capacity
        ):
            self._gone_often.pop()
