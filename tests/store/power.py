"""
A power loss, played on real files: of what was not synced anything may be lost, or nothing.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from attrs import define, field

from tests.store.doubles import Place, at_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred

    # Takes one of so many.
    Choose = Callable[[int], int]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_CATALOGUE = ("catalogue.sqlite", "catalogue.sqlite-wal")


@define(eq=False)
class Remembering:
    """An `osproxy.store.syncing.Syncing` that knows what the disk has, octets and names."""

    contents: dict[int, bytes] = field(init=False, factory=dict)
    names: dict[Path, dict[str, int]] = field(init=False, factory=dict)
    _held: list[int] = field(init=False, factory=list)

    def file(self, descriptor: int) -> None:
        """See `Syncing`."""
        found = os.fstat(descriptor)
        # Held open, so that its number is not another file's later.
        self._held.append(os.dup(descriptor))
        self.contents[found.st_ino] = os.pread(descriptor, found.st_size, 0)

    def folder(self, path: Path) -> None:
        """See `Syncing`."""
        self.names[path] = _names_in(path)

    def close(self) -> None:
        """Let go of the files."""
        while self._held:
            os.close(self._held.pop())


@define(eq=False)
class Machine:
    """
    A store on a machine whose power fails.

    The catalogue is taken to lose its last transactions, any number of them, unless it syncs each.
    """

    path: Path
    durable: bool
    place: Place = field(init=False)
    disk: Remembering = field(init=False, factory=Remembering)
    _catalogues: list[dict[str, bytes]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Have a place on a machine that runs."""
        self.place = Place(
            self.path,
            in_database=self._in_database,
            durable=self.durable,
            syncing=self.disk,
            boot="this boot",
        )

    def _in_database(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        result = at_once(function, *args, **kwargs)
        root = self.path / "osproxy"
        files = [root / name for name in _CATALOGUE if (root / name).exists()]
        self._catalogues.append({file.name: file.read_bytes() for file in files})
        return result

    def fail(self, choose: Choose, lost: int | None = None) -> Place:
        """
        Lose the power; return the place as it is found after the next boot.

        :param lost: how many transactions are lost, for `choose` if it is not given.
        """
        root, after = self.path / "osproxy", self.path.with_name("after")
        target = after / "osproxy"
        target.mkdir(parents=True)
        for name in ("osproxy-cache", "run"):
            shutil.copy(root / name, target / name)
        if lost is None:
            lost = 0 if self.durable else choose(len(self._catalogues))
        for name, content in self._catalogues[len(self._catalogues) - 1 - lost].items():
            (target / name).write_bytes(content)
        for name in ("drafts", "entries"):
            self._lose(root / name, target / name, choose)
        self.place.kill()
        self.disk.close()
        return Place(after, durable=self.durable, boot="the next boot", clock=self.place.clock)

    def _lose(self, folder: Path, target: Path, choose: Choose) -> None:
        target.mkdir()
        now, synced = _names_in(folder), self.disk.names.get(folder, {})
        for name in sorted(now.keys() | synced.keys()):
            found: list[int | None] = [synced.get(name), now.get(name)]
            number = found[0] if found[0] == found[1] else found[choose(2)]
            if number is None:
                continue
            path = folder / name
            if path.is_dir():
                self._lose(path, target / name, choose)
            else:
                there = now.get(name) == number
                (target / name).write_bytes(self._content(path, number, choose, there=there))

    def _content(self, path: Path, number: int, choose: Choose, *, there: bool) -> bytes:
        synced = self.disk.contents.get(number)
        if not there:
            return synced or b""
        content = path.read_bytes()
        if synced == content:
            return content
        half = len(content) // 2
        ways = [
            content,
            b"",
            bytes(len(content)),
            content[:half],
            content[:half] + bytes(len(content) - half),
            content[:4096] + bytes(max(0, len(content) - 4096)),
        ]
        return ways[choose(len(ways))]


def worst(count: int) -> int:
    """Choose so that what was not synced is lost."""
    return 1 if count > 2 else 0


def zeros(count: int) -> int:
    """Choose so that all names and lengths are there, and zeros in the place of the octets."""
    return 2 if count > 2 else 1


def _names_in(path: Path) -> dict[str, int]:
    with os.scandir(path) as found:
        return {item.name: item.inode() for item in found}
