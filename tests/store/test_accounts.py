"""Tests of `osproxy.store.accounts`."""

from __future__ import annotations

from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.store.accounts import (
    BLOCK,
    KEPT,
    TRANSITIONS,
    Account,
    Accounts,
    Amount,
    State,
    blocks_of,
)


class AccountTests(SynchronousTestCase):
    """What a file takes, and where it goes."""

    def test_blocks(self) -> None:
        """A file takes whole blocks, an empty one none."""
        for octets, blocks in ((0, 0), (1, 1), (BLOCK, 1), (BLOCK + 1, 2)):
            self.assertEqual(blocks_of(octets), blocks)

    def test_every_way_ends(self) -> None:
        """From every state there is a way to the end, and none back to what somebody wants."""
        self.assertEqual(set(TRANSITIONS), set(State))
        for state in {*State} - KEPT:
            self.assertFalse(TRANSITIONS[state] & KEPT)
        ends = {State.GONE}
        while more := {state for state in State if TRANSITIONS[state] & ends} - ends:
            ends |= more
        self.assertEqual(ends, set(State))


class AmountTests(SynchronousTestCase):
    """What files take."""

    def test_any(self) -> None:
        """There is something of it if there is of any part; what is left over makes up for none."""
        for amount, some in (
            (Amount(), False),
            (Amount(octets=-1, images=-1, files=-1), False),
            (Amount(octets=1, images=-1, files=-1), True),
            (Amount(octets=-1, images=1, files=-1), True),
            (Amount(octets=-1, images=-1, files=1), True),
        ):
            self.assertIs(bool(amount), some, amount)

    def test_sums(self) -> None:
        """One is added to another, or taken from it, part by part."""
        self.assertEqual(Amount(9, 8, 7) + Amount(1, 3, 9), Amount(10, 11, 16))
        self.assertEqual(Amount(9, 8, 7) - Amount(1, 3, 9), Amount(8, 5, -2))


_files = st.integers(0, 3)
_states = st.sampled_from([State.RESERVED, State.STORED, State.DOOMED])
_accounts = st.builds(
    Account, _states, st.integers(0, 1 << 40), st.booleans(), st.booleans(), st.integers(0, 2)
)


class AccountsTests(SynchronousTestCase):
    """All accounts together."""

    @given(st.lists(st.tuples(_files, st.none() | _accounts, st.booleans()), max_size=60))
    def test_as_a_dictionary(self, steps: list[tuple[int, Account | None, bool]]) -> None:
        """Whatever is opened, changed and closed, each account says what was last said of it."""
        accounts = Accounts()
        expected: dict[int, Account] = {}
        for key, account, change in steps:
            if account is not None and change and key in expected:
                for name, value in asdict(account).items():
                    setattr(accounts[key], name, value)
                expected[key] = account
            elif account is not None:
                accounts[key] = Account(**asdict(account))
                expected[key] = account
            elif key in expected:
                del accounts[key]
                del expected[key]
            self.assertEqual(sorted(accounts), sorted(expected))
            self.assertEqual(len(accounts), len(expected))
            for number in range(4):
                found = accounts.get(number)
                self.assertEqual(number in accounts, number in expected)
                self.assertEqual(
                    found and asdict(found), asdict(expected[number]) if found else None
                )
        missing = next(number for number in range(9) if number not in expected)
        with self.assertRaises(KeyError):
            accounts[missing]

    def test_small(self) -> None:
        """What is stored and nobody reads is not kept as an account."""
        accounts = Accounts()
        accounts[1] = Account(State.STORED, 5, False, True)
        accounts[2] = Account(State.STORED, 5, False, True, leases=1)
        accounts[3] = Account(State.RESERVED, 5, False)
        accounts.get(1)
        accounts.get(3)
        kept = {key for key in accounts if isinstance(accounts._all[key], Account)}
        self.assertEqual(kept, {2, 3})
