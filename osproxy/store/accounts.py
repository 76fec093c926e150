"""
What is known of one file's space: where it is in its life, and how many blocks it takes.
"""

from __future__ import annotations

from enum import Enum

from attrs import define

BLOCK = 4096


class State(Enum):
    """Where a file is in its life, as far as its space is concerned."""

    RESERVED = "being written"
    STORED = "can be served"
    DOOMED = "out of sight, still leased"
    CONDEMNED = "to be unlinked now"
    GONE = "unlinked"


#: Where a file may go from each state; anything else is a bug.
TRANSITIONS = {
    State.RESERVED: {State.STORED, State.DOOMED, State.CONDEMNED},
    State.STORED: {State.DOOMED, State.CONDEMNED},
    State.DOOMED: {State.CONDEMNED},
    State.CONDEMNED: {State.GONE},
    State.GONE: set[State](),
}
#: States of files that somebody wants.
KEPT = frozenset((State.RESERVED, State.STORED))


def blocks_of(octets: int) -> int:
    """How many blocks a file of this size takes."""
    return -(-octets // BLOCK)


@define(eq=False, weakref_slot=False)
class Account:
    """
    What the ledger has on one file.

    :ivar blocks: how many it takes.
    :ivar image: whether it counts among images.
    :ivar evictable: whether it may be evicted; nothing that is not stored may.
    :ivar leases: how many readers it has.
    """

    state: State
    blocks: int
    image: bool
    evictable: bool = False
    leases: int = 0
