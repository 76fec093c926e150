"""
What the metrics say of a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osproxy.metrics import Metrics
    from osproxy.store.catalogue import Catalogue
    from osproxy.store.drafting import Drafting
    from osproxy.store.inventory import Inventory
    from osproxy.store.kept import Kept
    from osproxy.store.ledger import Ledger
    from osproxy.store.room import Room


def show(
    metrics: Metrics,
    ledger: Ledger,
    catalogue: Catalogue,
    room: Room,
    inventory: Inventory,
    drafting: Drafting,
    kept: Kept,
) -> None:
    """Have gauges say what there is whenever they are asked."""
    for gauge, figure in (
        (metrics.stored, lambda: ledger.used),
        (metrics.capacity, lambda: ledger.capacity),
        (metrics.reserved, lambda: ledger.reserved),
        (metrics.awaiting, lambda: ledger.awaiting),
        (metrics.catalogue, lambda: catalogue.octets),
        (metrics.pinned, lambda: ledger.pinned),
        (metrics.images, lambda: ledger.images),
        (metrics.image_capacity, lambda: ledger.image_capacity),
        (metrics.disk_free, lambda: room.free),
        (metrics.disk_free_files, lambda: room.free_files),
        (metrics.entries, lambda: len(inventory)),
        (metrics.drafts, lambda: len(drafting)),
        (metrics.kept, lambda: len(kept)),
    ):
        gauge.set_function(figure)
