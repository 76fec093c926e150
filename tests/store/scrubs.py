"""A store of which some is damaged, and a scrub over it on a clock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from osproxy.store.inspection import BITE
from osproxy.store.schedule import Schedule
from osproxy.store.scrub import Scrub
from tests.store.doubles import StoreTestCase, at_once, run
from tests.test_metrics import told

if TYPE_CHECKING:
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store
    from osproxy.threads import InThread

DAY = 86_400.0
# A bite a second.
RATE = BITE


class ScrubTestCase(StoreTestCase):
    """A store, and a scrub over it that reads a bite a second."""

    def setUp(self) -> None:
        """Begin on some day, not at the beginning of time."""
        super().setUp()
        self.place.clock.advance(1000 * DAY)
        self.refetched: list[str] = []
        self.scrubs: list[Scrub] = []

    def tearDown(self) -> None:
        """Stop, and find that nothing is held and nothing is due any more."""
        for scrub in self.scrubs:
            self.successResultOf(run(scrub.stop()))
        for number in list(self.place.ledger._accounts):
            self.assertFalse(self.place.ledger.leased(number))

    def scrub(self, store: Store, *, rate: int = RATE, in_thread: InThread = at_once) -> Scrub:
        """Make a scrub."""
        scrub = Scrub(
            store,
            self.place.catalogue,
            in_thread,
            self.place.clock,
            self.place.metrics,
            Schedule(30 * DAY, rate),
            self.refetch,
        )
        self.scrubs.append(scrub)
        return scrub

    def refetch(self, entry: Entry) -> bool:
        """Have an entry fetched again, as far as anybody can tell."""
        self.refetched.append(entry.target.path)
        return True

    def damage(self, store: Store, name: str) -> None:
        """Alter an octet of a stored body."""
        with self.entry_of(store, name).blob.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            octet = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([octet[0] ^ 1]))

    def age(self, store: Store, name: str) -> float:
        """Say how long ago it was verified, as the next start would know."""
        return self.age_of(self.entry_of(store, name).id)

    def age_of(self, number: int) -> float:
        """Say it of the entry of this number."""
        now = self.place.clock.seconds()
        found = self.successResultOf(run(self.place.catalogue.least_verified(now)))
        return now - next(one.verified_at for one in found if one.id == number)

    def counted(self, name: str) -> float:
        """Read a counter."""
        return told(self.place.metrics)[f"osproxy_{name}_total"]

    def troubles(self, work: str) -> float:
        """Read how often the disk refused something."""
        value = self.place.metrics.registry.get_sample_value(
            "osproxy_disk_troubles_total", {"work": work}
        )
        assert value is not None
        return value

    def pass_time(self, seconds: float, step: float = 60.0) -> None:
        """Let time pass, in steps."""
        while seconds > 0:
            self.place.clock.advance(min(step, seconds))
            seconds -= step
