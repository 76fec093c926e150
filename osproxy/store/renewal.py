"""
A cache directory that is deleted while it is used.

What is open stays readable; the rest is gone. The directory is made anew, empty. If something else
is in its place by then, that is left alone, and nothing is kept until the next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.layout import StoreError
from osproxy.store.trouble import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.store.catalogue import Catalogue
    from osproxy.store.layout import Directory
    from osproxy.store.removal import Removal
    from osproxy.store.room import Room
    from osproxy.store.trouble import Trouble
    from osproxy.threads import InThread


@define(eq=False)
class Renewal:
    """
    Sees to it that the directory is ours.

    :param forget: dooms all that was stored in it.
    """

    _directory: Directory
    _catalogue: Catalogue
    _in_thread: InThread
    _room: Room
    _removal: Removal
    _trouble: Trouble
    _forget: Callable[[], None]
    _reopening: bool = field(init=False, default=False)

    async def see_to_it(self) -> None:
        """
        Make the directory anew if it was deleted.

        :raises OSError: when it cannot be made.
        """
        try:
            if not (self._room.closed or await self._in_thread(self._directory.mended)):
                await self._in_thread(self._directory.renew)
                self._reopening = True
                said = FileNotFoundError("it was deleted; the cache begins anew, empty")
                self._trouble.met(Work.DIRECTORY, said, self._directory.root)
                # Numbers are not given twice: nothing new is taken for what goes here.
                self._forget()
        except StoreError as error:
            # Nothing may be written there, nor deleted.
            self._room.closed = True
            self._removal.close()
            self._forget()
            self._trouble.met(Work.DIRECTORY, error, self._directory.root)
        if self._reopening:
            await self._reopen()

    async def _reopen(self) -> None:
        try:
            await self._catalogue.open()
            # What lay there is gone: no row is to be made anew.
            await self._catalogue.completed()
        except StoreError as error:
            self._trouble.met(Work.DIRECTORY, error, self._directory.root)
        else:
            self._reopening = False
