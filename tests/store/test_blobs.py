"""Tests of `osproxy.store.blobs`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from osproxy.model import BodyBroken
from osproxy.store.blobs import State
from osproxy.store.openfiles import LARGEST
from tests.store.doubles import (
    StoreTestCase,
    WhenTold,
    at_once,
    body_named,
    draft_of,
    run,
    sha256,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.store.entries import Entry


def write(path: Path) -> None:
    """Write to a file as if nothing had happened."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def let_time_pass(path: Path) -> None:
    """See that what is done to a file from now on is done later, as file systems count."""
    other = path.with_name("other clock")
    while not other.exists() or other.stat().st_ctime_ns <= path.stat().st_ctime_ns:
        other.touch()
    other.unlink()


_CHANGES: tuple[Callable[[Path], object], ...] = (
    write,
    Path.unlink,
    lambda path: os.truncate(path, 1),
    lambda path: path.chmod(0o400),
    lambda path: path.rename(path.with_suffix(".other")),
    lambda path: os.link(path, path.with_suffix(".further")),
)


class SharedTests(StoreTestCase):
    """One descriptor for all who read a file."""

    def test_readers_share_a_descriptor(self) -> None:
        """However many read a file, it is open once, and closed after the last."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        first = self.successResultOf(run(entry.open()))
        second = self.successResultOf(run(entry.open()))
        descriptor = first.fileno()
        self.assertEqual(second.fileno(), descriptor)
        first.close()
        self.assertEqual(self.read(second), body_named("a"))
        second.close()
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertRaises(ValueError, second.fileno)

    def test_open_while_dooming(self) -> None:
        """B5: a reader whose file is being opened keeps it, though it is doomed meanwhile."""
        store = self.started()
        self.put(store, "a", b"abc")
        entry = self.entry_of(store)
        self.place.in_thread = threads = WhenTold()
        opening = run(entry.open())
        store.doom(entry)
        threads.run_all()
        lease = self.successResultOf(opening)
        self.assertEqual(self.read(lease), b"abc")
        lease.close()
        threads.run_all()
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_cancelled_open(self) -> None:
        """A reader that leaves while its file is opened leaves no lease and no descriptor."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        self.place.in_thread = threads = WhenTold()
        before = self.place.descriptors()
        leaving = run(entry.open())
        staying = run(entry.open())
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        threads.run_all()
        self.successResultOf(staying).close()
        again = run(entry.open())
        again.cancel()
        self.failureResultOf(again, CancelledError)
        store.doom(entry)
        threads.run_all()
        self.assertEqual(self.place.descriptors(), before)
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_altered_files_take_few_threads(self) -> None:
        """What must be read as a whole before it is served leaves threads for the others."""
        store = self.started()
        for name in "abcd":
            self.put(store, name)
            os.utime(self.entry_of(store, name).body.path, ns=(1, 1))
        self.place.in_thread = threads = WhenTold()
        opening = [run(self.entry_of(store, name).open()) for name in "abcd"]
        threads.run(4)
        self.assertEqual(len(threads.waiting), 2)
        threads.run_all()
        for one in opening:
            self.successResultOf(one).close()


class StayingOpenTests(StoreTestCase):
    """Files that stay open for whoever comes next."""

    def setUp(self) -> None:
        """Have a store of which one file stays open, with an entry that was read."""
        super().setUp()
        self.place.stay_open = 1
        self.store = self.started()
        self.put(self.store, "a")
        self.entry = self.found("a")
        self.read_once(self.entry)
        self.place.in_thread = self.threads = WhenTold()

    def found(self, name: str) -> Entry:
        """Look an entry up that is there."""
        return self.entry_of(self.store, name)

    def read_once(self, entry: Entry) -> bytes:
        """Read an entry, for which nothing need be waited for, and give it up."""
        lease = self.successResultOf(run(entry.open()))
        try:
            return self.read(lease)
        finally:
            lease.close()

    def test_without_a_thread(self) -> None:
        """Who comes next has it at once, and leaves it open for the next."""
        for _ in range(2):
            self.assertEqual(self.read_once(self.entry), body_named("a"))
        self.assertEqual(len(self.place.open_files()), 1)
        self.assertFalse(self.place.ledger.leased(self.entry.id))
        descriptor = self.entry.body.at_hand()
        assert descriptor is not None
        self.assertEqual(os.pread(descriptor, 5000, self.entry.offset), body_named("a"))

    def test_what_was_done_to_it(self) -> None:
        """Whatever was done to its file, it is closed, and opened in a thread that finds out."""
        for number, change in enumerate(_CHANGES):
            for ask in (False, True):
                self.place.in_thread = at_once
                self.put(self.store, f"{number}{ask}")
                entry = self.found(f"{number}{ask}")
                self.read_once(entry)
                self.place.in_thread = self.threads = WhenTold()
                let_time_pass(entry.body.path)
                change(entry.body.path)
                if ask:
                    opening = run(entry.open())
                    self.assertEqual(len(self.threads.waiting), 1, number)
                    opening.cancel()
                    self.failureResultOf(opening, CancelledError)
                else:
                    self.assertIsNone(entry.body.at_hand(), number)
                self.assertEqual(self.place.open_files(), [], number)
                self.threads.run_all()

    def test_the_last_ones(self) -> None:
        """No more stay open than may."""
        self.place.in_thread = at_once
        self.put(self.store, "b")
        self.read_once(self.found("b"))
        (path,) = self.place.open_files()
        self.assertEqual(Path(path).name, self.found("b").body.path.name)

    def test_large(self) -> None:
        """A large file is closed after its last reader."""
        self.place.in_thread = at_once
        self.put(self.store, "large", bytes(LARGEST))
        before = self.place.open_files()
        self.read_once(self.found("large"))
        self.assertEqual(self.place.open_files(), before)

    def test_doomed(self) -> None:
        """What is taken out of sight is closed before it is unlinked."""
        self.store.doom(self.entry)
        self.threads.run_all()
        self.assertEqual(self.place.open_files(), [])
        self.assertEqual(self.place.files(), {})
        self.assert_agrees()

    def test_held_since_it_was_a_draft(self) -> None:
        """Who follows a file that is an entry by now has it, whatever others read meanwhile."""
        self.place.in_thread = at_once
        draft = self.successResultOf(run(draft_of(self.store, "b", b"abc")))
        self.successResultOf(run(self.store.commit([(draft, sha256(b"abc"))], 1.0)))
        self.read_once(self.found("b"))
        for _ in range(2):
            follower = draft.lease()
            self.read_once(self.entry)
            self.assertEqual(os.pread(follower.fileno(), 3, draft.offset), b"abc")
            follower.close()
        (path,) = self.place.open_files()
        self.assertEqual(Path(path).name, self.found("b").body.path.name)

    def test_spoilt(self) -> None:
        """A file that is found damaged is at nobody's hand."""
        self.entry.blob.spoilt = True
        self.assertIsNone(self.entry.body.at_hand())
        self.failureResultOf(run(self.entry.open()), OSError)

    def test_at_the_end(self) -> None:
        """A stop closes what is open."""
        stopping = run(self.store.stop())
        self.threads.run_all()
        self.successResultOf(stopping)
        self.assertEqual(self.place.open_files(), [])


class SpoiltTests(StoreTestCase):
    """A file whose octets have turned out to be wrong."""

    def test_nobody_reads_on(self) -> None:
        """Whoever reads it, from an entry or since it was a draft, is told instead of served."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        follower = draft.lease()
        (entry,) = self.successResultOf(run(store.commit([(draft, sha256(b"abc"))], 1.0)))
        lease = self.successResultOf(run(entry.open()))
        self.assertEqual(self.read(lease), b"abc")
        entry.blob.spoilt = True
        for reader in (lease, follower):
            self.assertRaises(BodyBroken, reader.fileno)
            reader.close()
        self.assertFalse(self.place.ledger.leased(entry.id))

    def test_found_while_opening(self) -> None:
        """A reader whose file is being opened gets none, and holds none."""
        store = self.started()
        self.put(store, "a")
        entry = self.entry_of(store)
        self.place.in_thread = threads = WhenTold()
        before = self.place.descriptors()
        opening = run(entry.open())
        entry.blob.spoilt = True
        store.doom(entry)
        threads.run_all()
        self.failureResultOf(opening, OSError)
        threads.run_all()
        self.assertEqual(self.place.files(), {})
        self.assertEqual(self.place.descriptors(), before)
        self.assert_agrees()


class StateTests(StoreTestCase):
    """The life of a file."""

    def test_no_way_back(self) -> None:
        """A file goes from state to state as declared, and a step that was not is refused."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        blob = draft.blob
        for wrong in (State.DRAFT, State.LIVE, State.GONE):
            self.assertRaises(ValueError, blob.become, wrong)
        self.assertIs(blob.state, State.DRAFT)
        self.successResultOf(run(store.commit([(draft, sha256(b"abc"))], 1.0)))
        for wrong in (State.DRAFT, State.SEALED, State.GONE):
            self.assertRaises(ValueError, blob.become, wrong)
        self.assertIs(blob.state, State.LIVE)

    def test_path(self) -> None:
        """A file lies among the drafts until it is published, and then among the entries."""
        store = self.started()
        draft = self.successResultOf(run(draft_of(store, "a", b"abc")))
        before = draft.blob.path
        self.assertEqual((before.parent.name, before.exists()), ("drafts", True))
        self.successResultOf(run(store.commit([(draft, sha256(b"abc"))], 1.0)))
        self.assertEqual((before.exists(), draft.blob.path.exists()), (False, True))

    def test_trouble_for_all(self) -> None:
        """When a file cannot be opened, all who wait for it are told, and the next one tries."""
        store = self.started()
        self.put(store, "a", b"abc")
        entry = self.entry_of(store)
        self.place.in_thread = threads = WhenTold()
        first, second = run(entry.open()), run(entry.open())
        (failed, _) = threads.waiting.popleft()
        failed.errback(OSError(errno.EMFILE, "too many open files"))
        for opening in (first, second):
            self.assertEqual(self.failureResultOf(opening, OSError).value.errno, errno.EMFILE)
        again = run(entry.open())
        threads.run_all()
        lease = self.successResultOf(again)
        self.assertEqual(self.read(lease), b"abc")
        lease.close()
