"""
The drafts that nobody writes: put aside until somebody asks for their targets again.

A target has one at most. Where room is wanted they go first, the oldest before the others: what
they save is a part of a transfer, and nobody is served from them until they are complete (RFC 9111
section 3.3).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from osproxy.store.accounts import BLOCK, Amount, blocks_of
from osproxy.store.drafts import WORTH_COMPLETING

if TYPE_CHECKING:
    from osproxy.model import Target
    from osproxy.store.drafts import Draft
    from osproxy.store.ledger import Ledger
    from osproxy.store.records import FoundDraft

#: Whoever wants the file comes back within this, or does not come back.
KEPT_FOR = 24 * 3600.0


@define(eq=False)
class Kept:
    """Finds them by target, and lets go of those that are too old or in the way."""

    _ledger: Ledger
    # In the order in which they were put aside.
    _drafts: dict[Target, tuple[Draft, float]] = field(init=False, factory=dict)
    # By what all variants of a URL have in common.
    _variants: dict[Target, list[Target]] = field(init=False, factory=dict)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._drafts)

    def find(self, target: Target) -> Draft | None:
        """Return the draft of a target."""
        found = self._drafts.get(target)
        return None if found is None else found[0]

    def variants(self, target: Target) -> list[Draft]:
        """Return the drafts of a target's URL, whatever the variant; the latest last."""
        return [self._drafts[variant][0] for variant in self._variants.get(target.url, ())]

    def put(self, draft: Draft, since: float) -> None:
        """Keep a draft, in place of an older one of its target."""
        target = draft.target
        self.drop(target)
        self._drafts[target] = (draft, since)
        self._variants.setdefault(target.url, []).append(target)

    def take(self, target: Target) -> Draft | None:
        """Hand the draft of a target over to whoever completes it."""
        found = self._drafts.pop(target, None)
        if found is None:
            return None
        variants = self._variants[target.url]
        variants.remove(target)
        if not variants:
            del self._variants[target.url]
        return found[0]

    def drop(self, target: Target) -> None:
        """Give the draft of a target up, if there is one."""
        draft = self.take(target)
        if draft is not None:
            draft.give_up()

    def drop_all(self) -> None:
        """Give all of them up."""
        for target in list(self._drafts):
            self.drop(target)

    def expire(self, now: float) -> None:
        """Give up those that have waited too long."""
        for target, (_, since) in list(self._drafts.items()):
            if now - since > KEPT_FOR:
                self.drop(target)

    @property
    def idle(self) -> Amount:
        """What becomes free when all of them go: what is still read does not count."""
        idle = self._idle()
        return Amount(octets=sum(map(_octets, idle)), files=len(idle))

    def give_way(self, octets: int, files: int) -> bool:
        """Give up as many as it takes to free so much, and say whether there was one."""
        given_way = False
        for draft in self._idle():
            if octets <= 0 and files <= 0:
                break
            octets -= _octets(draft)
            files -= 1
            self.drop(draft.target)
            given_way = True
        return given_way

    def _idle(self) -> list[Draft]:
        drafts = (draft for draft, _ in self._drafts.values())
        return [draft for draft in drafts if not self._ledger.leased(draft.blob.id)]


def _octets(draft: Draft) -> int:
    return blocks_of(draft.size) * BLOCK


def trusted(found: FoundDraft, boot: str, now: float) -> bool:
    """
    Whether a draft that an earlier run has left is worth completing.

    After a power loss a file can be as long as it was and yet have lost its end; then there must be
    a digest for the whole. What has only lost its writer is as it was written.

    :param boot: the boot of the machine that this run belongs to, empty where that is not known.
    """
    provenance = found.record.provenance
    if provenance is None or not provenance.certain:
        return False
    as_written = bool(boot) and found.record.boot == boot
    return (
        (as_written or provenance.digest is not None)
        and found.written >= WORTH_COMPLETING
        and now - found.touched <= KEPT_FOR
    )


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Name this boot of the machine; empty where there is no telling."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
