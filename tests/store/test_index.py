"""Tests of `osproxy.store.index`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Target
from osproxy.store.index import Index, key_of, key_of_url

_steps = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3)))


class KeyTests(SynchronousTestCase):
    """What a URL is known by."""

    def test_keys(self) -> None:
        """Variants share a key; backends and paths do not, wherever one ends and one begins."""
        self.assertEqual(key_of(Target("/", "/a", "v")), key_of(Target("/", "/a")))
        keys = {key_of_url(*url) for url in (("/", "/a"), ("/", "/b"), ("/x", "/a"), ("/x/a", ""))}
        self.assertEqual(len(keys), 4)

    def test_stays(self) -> None:
        """Keys are written down, so that they must never change."""
        self.assertEqual(key_of_url("/", "/a.rpm"), -5358412238819619756)

    @given(st.text(), st.text())
    def test_fits(self, backend: str, path: str) -> None:
        """Any text has a key, and SQLite an integer for it."""
        self.assertTrue(-(2**63) <= key_of_url(backend, path) < 2**63)


class IndexTests(SynchronousTestCase):
    """Numbers by key."""

    @given(_steps)
    def test_sequences(self, steps: list[tuple[bool, int, int]]) -> None:
        """Whatever comes and goes, what is there is found by its key, in order."""
        index = Index()
        expected: dict[int, int] = {}
        for adds, number, key in steps:
            if adds and number not in expected:
                index.add(number, key)
                expected[number] = key
            elif not adds and number in expected:
                index.remove(number)
                del expected[number]
            self.assertEqual(len(index), len(expected))
            self.assertEqual(index.all(), list(expected))
            for each in range(4):
                found = tuple(it for it, its_key in expected.items() if its_key == each)
                self.assertEqual(index.of(each), found)
            self.assertEqual({it for it in range(10) if it in index}, set(expected))

    def test_misuse(self) -> None:
        """A file is added once, and removed only if it is there."""
        index = Index()
        index.add(1, 7)
        self.assertRaises(ValueError, index.add, 1, 8)
        self.assertRaises(KeyError, index.remove, 2)
        self.assertEqual(index.of(7), (1,))
