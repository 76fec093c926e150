"""A repository that is published in snapshots, to test what clients see of it."""

from __future__ import annotations

from osproxy.repo.layout import CORE
from tests.cache.doubles import CacheTestCase, octets

REPOMD, SIGNATURE, KEY, MEDIA = (f"/oss/{name}" for name in CORE)
ZYPPER = (MEDIA, SIGNATURE, KEY, REPOMD)
DNF = (REPOMD, SIGNATURE, KEY)
LIFETIME = 600


class GenerationsTestCase(CacheTestCase):
    """A repository that is published in snapshots."""

    def publish(self, number: int) -> None:
        """Put a snapshot on the authority."""
        for path in (REPOMD, SIGNATURE, KEY, MEDIA):
            self.origin.files[path] = self.content(path, number)

    def content(self, path: str, number: int) -> bytes:
        """Return what a file of a snapshot has in it."""
        return f"{path} {number}".encode()

    def poll(self, order: tuple[str, ...] = ZYPPER, connection: int = 1) -> list[bytes]:
        """Take the index files one after the other."""
        return [
            octets(self.successResultOf(self.bench.get(path, connection=connection)))
            for path in order
        ]

    def snapshot(self, number: int, order: tuple[str, ...] = ZYPPER) -> list[bytes]:
        """Return what a client must see of a snapshot."""
        return [self.content(path, number) for path in order]
