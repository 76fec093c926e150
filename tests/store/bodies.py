"""
A body under several names, to see what becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osproxy.store.ledger import BLOCK
from tests.store.doubles import StoreTestCase

if TYPE_CHECKING:
    from osproxy.store.store import Store

BODY = b"the same octets " * 1000


class SharedBodyCase(StoreTestCase):
    """A body under several names."""

    def shared(self, *names: str) -> Store:
        """Start a store that has one body under these names."""
        store = self.started()
        for name in names:
            self.put(store, name, BODY)
        return store

    def check(self, store: Store, *names: str) -> None:
        """See that the body is served under these names, and lies there once."""
        self.assertEqual([self.body_of(store, name) for name in names], [BODY] * len(names))
        self.assertEqual(len({self.entry_of(store, name).body.id for name in names}), 1)
        large = [size for size in self.place.files().values() if size > BLOCK]
        self.assertEqual(len(large), 1)
        self.assert_agrees()
