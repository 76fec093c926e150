"""Tests of `osproxy.store.residents`."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, cast

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.residents import Residents

if TYPE_CHECKING:
    from osproxy.store.entries import Entry


@define(eq=False)
class Numbered:
    """An entry, of which only the number counts here."""

    id: int


def entry(number: int) -> Entry:
    """Make an entry."""
    return cast("Entry", Numbered(number))


class ResidentsTests(SynchronousTestCase):
    """What stays in memory, and for how long."""

    def known(self, residents: Residents) -> list[int]:
        """Name those that are in memory."""
        gc.collect()
        return [number for number in range(9) if residents.get(number) is not None]

    def test_held(self) -> None:
        """What somebody holds is there, and the only one; what nobody holds is not."""
        residents = Residents()
        held = residents.add(entry(1))
        residents.add(entry(2))
        self.assertEqual(self.known(residents), [1])
        self.assertIs(residents.get(1), held)

    def test_used(self) -> None:
        """The last that were used stay, held or not."""
        residents = Residents(2)
        for number in (1, 2, 3):
            residents.use(residents.add(entry(number)))
        again = residents.get(2)
        assert again is not None
        residents.use(again)
        residents.use(residents.add(entry(4)))
        del again
        self.assertEqual(self.known(residents), [2, 4])

    def test_let_go(self) -> None:
        """What is let go of stays while it is held; what is forgotten does not."""
        residents = Residents()
        held = [residents.use(residents.add(entry(number))) for number in (1, 2)]
        residents.let_go(1)
        self.assertIs(residents.forget(2), held[1])
        self.assertIsNone(residents.forget(3))
        self.assertEqual(self.known(residents), [1])
        del held
        self.assertEqual(self.known(residents), [])
