"""
A body that passes through although it is known what it must be.

There is no draft to be verified, so its digest is computed as it passes; as with a fill, its end is
not handed out before the digest is right.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from osproxy.model import BodyBroken

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.model import PassingBody
    from osproxy.repo.digests import Digest

#: Octets at the end of a file with an expected digest that nobody gets before it is verified.
HELD_BACK = 64 << 10


class Verified:
    """A whole body of which the last block waits for the digest."""

    def __init__(self, body: PassingBody, digest: Digest) -> None:
        self._body = body
        self._digest = digest

    @property
    def length(self) -> int | None:
        """See `osproxy.model.PassingBody`."""
        return self._body.length

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """See `osproxy.model.PassingBody`."""
        digest = hashlib.new(self._digest.algorithm, usedforsecurity=False)
        held = bytearray()

        def take(data: bytes) -> None:
            digest.update(data)
            held.extend(data)
            ready = len(held) - HELD_BACK
            if ready > 0:
                block = bytes(held[:ready])
                del held[:ready]
                sink(block)

        await self._body.deliver(take)
        if digest.hexdigest() != self._digest.hex:
            raise BodyBroken("the file has a wrong digest")
        if held:
            sink(bytes(held))

    def pause(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._body.pause()

    def resume(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._body.resume()

    def close(self) -> None:
        """See `osproxy.model.PassingBody`."""
        self._body.close()
