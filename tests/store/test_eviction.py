"""Tests of `osproxy.store.eviction`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import EVICTION
from osproxy.store.eviction import POLICIES, Eviction
from tests.store.naive import NAIVE

if TYPE_CHECKING:
    from osproxy.store.eviction import Policy

_sizes = st.one_of(st.integers(0, 2**40), st.sampled_from([4**n for n in range(20)]))


class PolicyMachine(RuleBasedStateMachine):
    """Any sequence of steps, with a plain model of the policy beside it."""

    name: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.policy: Policy = POLICIES[self.name]()
        self.model = NAIVE[self.name]()
        self.keys: list[int] = []
        self.next = 0

    def pick(self, data: Any) -> int:
        """Choose a file."""
        return int(data.draw(st.sampled_from(self.keys)))

    def new(self) -> int:
        """Give a key that was never used."""
        self.next += 1
        self.keys.append(self.next)
        return self.next

    @rule(octets=_sizes)
    def insert(self, octets: int) -> None:
        """A file comes."""
        key = self.new()
        self.policy.insert(key, octets)
        self.model.insert(key, octets)

    @rule(octets=_sizes, hotness=st.integers(-1, 25))
    def restore(self, octets: int, hotness: int) -> None:
        """A file comes back, with whatever the catalogue says of it."""
        key = self.new()
        self.policy.restore(key, octets, hotness)
        self.model.restore(key, octets, hotness)

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), count=st.integers(1, 5))
    def hit(self, data: Any, count: int) -> None:
        """A file is used."""
        key = self.pick(data)
        for _ in range(count):
            self.policy.hit(key)
            self.model.hit(key)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def remove(self, data: Any) -> None:
        """A file is removed, for whatever reason."""
        self.forget(self.pick(data))

    def forget(self, key: int) -> None:
        """Remove a file from both."""
        self.policy.remove(key)
        self.model.remove(key)
        self.keys.remove(key)

    @rule(count=st.integers(0, 6), keep=st.integers(0, 3))
    def evict(self, count: int, keep: int) -> None:
        """Some are named, and most of them go."""
        named = list(islice(self.policy.victims(), count))
        assert named == list(islice(self.model.victims(), count))
        assert len(named) == min(count, len(self.keys))
        for key in named[keep:]:
            self.forget(key)

    @rule()
    def name_all(self) -> None:
        """All are named, each once; hardly any of them go."""
        named = list(self.policy.victims())
        assert named == list(self.model.victims())
        assert sorted(named) == sorted(self.keys)

    @invariant()
    def same_hotness(self) -> None:
        """What is to be kept of each file is the same."""
        for key in self.keys:
            assert self.policy.hotness(key) == self.model.hotness(key)

    def teardown(self) -> None:
        """In the end, all go in the same order."""
        self.name_all()


class PolicyTests(SynchronousTestCase):
    """What all policies have in common."""

    def test_sequences(self) -> None:
        """Whatever happens, each policy names the same files as its plain model."""
        for name in POLICIES:
            machine = type(f"{name}Machine", (PolicyMachine,), {"name": name})
            run_state_machine_as_test(
                machine, settings=settings(max_examples=60, stateful_step_count=40)
            )

    def test_unknown(self) -> None:
        """A key that was never entered is a bug."""
        for make in POLICIES.values():
            for step in (make().hotness, make().remove):
                if not (make is POLICIES["lru"] and step.__name__ == "hotness"):
                    self.assertRaises(KeyError, step, 1)

    def test_option(self) -> None:
        """The option chooses from the policies that there are."""
        self.assertEqual([EVICTION.parse(name) for name in POLICIES], list(POLICIES))
        self.assertEqual(EVICTION.default, "clock")


class EvictionTests(SynchronousTestCase):
    """The order of all files."""

    def setUp(self) -> None:
        """Have three files, two of them images, of which the first was not used for longest."""
        self.eviction = Eviction(POLICIES["lru"])
        for key, image in ((1, True), (2, False), (3, True)):
            self.eviction.insert(key, 5000, image=image)

    def test_images(self) -> None:
        """Images have an order of their own beside that of all files, and hits count in both."""
        self.assertEqual(list(self.eviction.victims(0.0)), [1, 2, 3])
        self.assertEqual(list(self.eviction.images()), [1, 3])
        self.eviction.hit(1, image=True)
        self.eviction.hit(2, image=False)
        self.assertEqual(list(self.eviction.victims(0.0)), [3, 1, 2])
        self.assertEqual(list(self.eviction.images()), [3, 1])
        self.eviction.remove(3, image=True)
        self.assertEqual(list(self.eviction.victims(0.0)), [1, 2])
        self.assertEqual(list(self.eviction.images()), [1])

    def test_superseded(self) -> None:
        """What is superseded goes first, but not before its time."""
        self.eviction.supersede(3, 10.0)
        self.assertEqual(next(self.eviction.victims(9.9)), 1)
        self.assertEqual(next(self.eviction.victims(10.0)), 3)
        self.eviction.unsupersede(3)
        self.assertEqual(list(self.eviction.victims(10.0)), [1, 2, 3])

    def test_superseded_and_gone(self) -> None:
        """What is gone is not named because it once was superseded."""
        self.eviction.supersede(3, 10.0)
        self.eviction.remove(3, image=True)
        self.assertEqual(list(self.eviction.victims(99.0)), [1, 2])

    def test_restored(self) -> None:
        """What stood well before a restart stands well after it, among images too."""
        eviction = Eviction(POLICIES["clock"])
        eviction.restore(1, 10**9, 7, image=True)
        eviction.restore(2, 10**9, 0, image=True)
        self.assertEqual(list(eviction.victims(0.0)), [2, 1])
        self.assertEqual(list(eviction.images()), [2, 1])
        self.assertEqual(Eviction(POLICIES["lru"]).hotness(1), 0)
