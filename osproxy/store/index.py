"""
Which files there are of a URL: two numbers an entry, and nothing else in memory.

A URL is known by 64 bits of a digest. Two URLs of one key share its files; who reads the rows sees
whose they are, so that a collision costs a look and nothing is mistaken for anything else.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from osproxy.model import Target


def key_of(target: Target) -> int:
    """Give the key of a target's URL, whatever its variant, as SQLite has integers: signed."""
    return key_of_url(target.backend, target.path)


def key_of_url(backend: str, path: str) -> int:
    """Give the key of what lies at a path of a backend."""
    # No backend and no path has a zero octet.
    text = f"{backend}\0{path}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


@define(eq=False)
class Index:
    """The numbers of files by key, and back."""

    # One number stands alone: the tuple around it would take more than all the rest.
    _numbers: dict[int, int | tuple[int, ...]] = field(init=False, factory=dict)
    _keys: dict[int, int] = field(init=False, factory=dict)

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._keys)

    def __contains__(self, number: int) -> bool:
        """Whether there is the file of this number."""
        return number in self._keys

    def of(self, key: int) -> tuple[int, ...]:
        """Name the files of a key, in the order in which they were added."""
        found = self._numbers.get(key, ())
        return found if isinstance(found, tuple) else (found,)

    def all(self) -> list[int]:
        """Name all files."""
        return list(self._keys)

    def add(self, number: int, key: int) -> None:
        """Add a file."""
        if number in self._keys:
            raise ValueError(f"file {number} is there already")
        if self._numbers.setdefault(key, number) is not number:
            self._numbers[key] = (*self.of(key), number)
        self._keys[number] = key

    def remove(self, number: int) -> None:
        """Take a file out."""
        key = self._keys.pop(number)
        left = tuple(other for other in self.of(key) if other != number)
        if not left:
            del self._numbers[key]
        else:
            self._numbers[key] = left if len(left) > 1 else left[0]
