"""
The digests of a file that grows, computed by a thread that follows it.

The thread reads the draft back from the page cache rather than being handed the octets, so that
nothing queues in memory however far it falls behind.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from twisted.logger import Logger

from osproxy.waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twisted.python.failure import Failure

    from osproxy.store.drafts import DraftLease
    from osproxy.threads import InThread

_BLOCK = 1 << 20
# A thread is sent off for this much at a time: often enough to end soon after the last octet,
# seldom enough that handing over costs nothing beside the hashing.
_BITE = 4 << 20


class Hashing:
    """
    Follows one draft and knows its digests when it is complete.

    Whoever made one calls `close`; the lease given is then ended, as soon as no thread reads.
    """

    _log = Logger()

    def __init__(
        self, lease: DraftLease, offset: int, in_thread: InThread, algorithms: Iterable[str]
    ) -> None:
        self._lease = lease
        self._offset = offset
        self._in_thread = in_thread
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
        self._done = 0
        self._busy = False
        self._closed = False
        self._failure: Failure | None = None
        self._idle = Waiters()

    def grew(self, available: int) -> None:
        """Say that so many octets of the body are in the file."""
        if available - self._done >= _BITE:
            self._follow(available)

    async def finish(self, length: int) -> Mapping[str, str]:
        """
        Return the digest of all ``length`` octets in hexadecimal, by algorithm.

        :raises OSError: when the file cannot be read back.
        """
        if self._busy:
            await self._idle.wait()
        while self._done < length:
            # Whatever went wrong on the way may be over by now.
            self._failure = None
            self._follow(length)
            if self._busy:
                await self._idle.wait()
            if self._failure is not None:
                self._failure.raiseException()
        return {name: digest.hexdigest() for name, digest in self._digests.items()}

    def close(self) -> None:
        """Give the file up."""
        self._closed = True
        if not self._busy:
            self._lease.close()

    def _follow(self, available: int) -> None:
        if self._busy or self._closed:
            return
        self._busy = True
        self._in_thread(self._read, available).addCallbacks(
            self._followed, self._failed
        ).addErrback(lambda failure: self._log.failure("hashing", failure=failure))

    def _read(self, stop: int) -> None:
        while self._done < stop:
            count = min(_BLOCK, stop - self._done)
            block = os.pread(self._lease.fileno(), count, self._offset + self._done)
            if not block:
                raise OSError("the draft is shorter than what was written to it")
            for digest in self._digests.values():
                digest.update(block)
            # Block by block: after a failure it goes on where the digests are.
            self._done += len(block)

    def _followed(self, _: None) -> None:
        self._ended()

    def _failed(self, failure: Failure) -> None:
        self._failure = failure
        self._ended()

    def _ended(self) -> None:
        self._busy = False
        if self._closed:
            self._lease.close()
        self._idle.wake()
