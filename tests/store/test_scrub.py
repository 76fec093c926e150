"""Tests of `osproxy.store.scrub`."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from twisted.logger import LogLevel

from osproxy.model import BodyBroken
from osproxy.store import inspection
from osproxy.store.inspection import Damaged, Fault
from osproxy.store.scrub import Busy, Order, Stopped
from tests.store.doubles import MIB, Failing, WhenTold, at_once, body_named, find, run, target
from tests.store.scrubs import DAY, ScrubTestCase
from tests.web.support import logged

if TYPE_CHECKING:
    from osproxy.store.entries import Entry
    from osproxy.store.store import Store


class BackgroundTests(ScrubTestCase):
    """Each entry is verified once in 30 days."""

    def starting(self) -> tuple[Store, WhenTold]:
        """Start a store that has not listed anything yet."""
        self.place.in_thread = threads = WhenTold()
        store = self.place.store()
        starting = run(store.start())
        # A look at the free space.
        threads.run()
        self.successResultOf(starting)
        return store, threads

    def test_when_due(self) -> None:
        """Nothing is read before its time, and what was verified has its time before it again."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(10 * DAY, DAY)
        self.put(store, "b")
        self.scrub(store).start()
        self.pass_time(20 * DAY - 3600, 3600)
        self.assertEqual(self.counted("verified_bytes"), 0)
        self.pass_time(2 * 3600, 600)
        self.assertEqual(self.counted("verified_bytes"), 5000)
        self.pass_time(9 * DAY, 3600)
        self.assertLess(self.age(store, "a"), 10 * DAY)
        self.assertGreater(self.age(store, "b"), 28 * DAY)
        self.pass_time(DAY, 3600)
        self.assertEqual(self.counted("verified_bytes"), 10_000)
        self.assertLess(self.age(store, "b"), DAY)

    def test_survives_restart(self) -> None:
        """What was verified before a restart is not due after it."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(31 * DAY, DAY)
        scrub = self.scrub(store)
        scrub.start()
        self.pass_time(1)
        self.assertEqual(self.counted("verified_bytes"), 5000)
        self.successResultOf(run(scrub.stop()))
        self.successResultOf(run(store.stop()))
        store = self.started()
        self.scrub(store).start()
        self.pass_time(DAY, 3600)
        self.assertEqual(self.counted("verified_bytes"), 0)

    def test_pace(self) -> None:
        """No more is read than the rate allows, over the ends of files too."""
        store = self.started()
        self.put(store, "a", bytes(3 * MIB))
        self.put(store, "b", bytes(MIB // 2))
        self.put(store, "c", bytes(MIB))
        self.pass_time(31 * DAY, DAY)
        self.scrub(store).start()
        read = [self.counted("verified_bytes") / MIB]
        for _ in range(10):
            self.pass_time(0.5)
            read.append(self.counted("verified_bytes") / MIB)
        self.assertEqual(read, [1, 1, 2, 2, 3, 3, 3.5, 4.5, 4.5, 4.5, 4.5])

    def test_off(self) -> None:
        """With a rate of nothing, nothing is read, however long ago it was stored."""
        store = self.started()
        self.put(store, "a")
        self.scrub(store, rate=0).start()
        self.pass_time(90 * DAY, DAY)
        self.assertEqual(self.counted("verified_bytes"), 0)

    def test_many(self) -> None:
        """More than are named at once are all verified, the longest unverified first."""
        store = self.started()
        for number in range(70):
            self.put(store, f"n{number:02d}", b"x" * number)
            self.pass_time(1)
        self.pass_time(31 * DAY, DAY)
        self.scrub(store).start()
        self.pass_time(100, 1)
        self.assertEqual(self.counted("verified_bytes"), sum(range(70)))
        self.successResultOf(run(self.scrubs[0].stop()))
        found = self.successResultOf(run(self.place.catalogue.least_verified(4e9)))
        entries = [self.successResultOf(run(store.entry(one.id))) for one in found]
        names = [entry.target.path for entry in entries if entry is not None]
        self.assertEqual(names, sorted(names))

    def test_row_without_entry(self) -> None:
        """A row that no entry has any more keeps nobody waiting."""
        store = self.started()
        self.put(store, "a")
        self.put(store, "b")
        self.pass_time(31 * DAY, DAY)
        # Rows are deleted in the background; this one's deletion has failed.
        number = self.entry_of(store, "a").id
        store._stock.index.remove(number)
        self.scrub(store).start()
        self.pass_time(1)
        self.assertEqual(self.counted("verified_bytes"), 5000)
        self.assertLess(self.age_of(number), DAY)

    def test_not_in_memory(self) -> None:
        """Entries that nobody uses are read for it; nothing that is in use makes way for them."""
        self.place.recent = 2
        store = self.started()
        for name in ("a", "b", "c", "d"):
            self.put(store, name)
        recent = list(store._stock.residents._recent)
        self.pass_time(31 * DAY, DAY)
        self.scrub(store).start()
        self.pass_time(10, 1)
        self.assertEqual(self.counted("verified_bytes"), 20_000)
        self.assertEqual(list(store._stock.residents._recent), recent)

    def test_not_listed(self) -> None:
        """Until all entries are listed none is taken for verified, or for gone."""
        store = self.started()
        self.put(store, "a")
        self.successResultOf(run(store.stop()))
        self.pass_time(31 * DAY, DAY)
        store, threads = self.starting()
        scrub = self.scrub(store)
        scrub.start()
        order = Order(None, lambda entry, damaged: None)
        going = scrub.everything(order)
        self.pass_time(10, 1)
        self.assertEqual((self.counted("verified_bytes"), order.files), (0, 0))
        self.assertNoResult(going)
        threads.run_all()
        self.place.in_thread = at_once
        self.pass_time(10, 1)
        self.successResultOf(going)
        self.assertEqual(order.files_done, 1)
        self.assertGreaterEqual(self.counted("verified_bytes"), 5000)
        self.assertLess(self.age(store, "a"), 20)

    def test_stopped_before_listed(self) -> None:
        """A stop does not wait until all entries are listed, nor does who gives up."""
        self.successResultOf(run(self.started().stop()))
        store, threads = self.starting()
        scrub = self.scrub(store)
        scrub.start()
        order = Order(None, lambda entry, damaged: None)
        going = scrub.everything(order)
        order.give_up()
        self.pass_time(1)
        self.failureResultOf(going, Stopped)
        self.successResultOf(run(scrub.stop()))
        threads.run_all()

    def test_no_fault_of_the_file(self) -> None:
        """When too many files are open that is counted, and tried again a minute later."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(31 * DAY, DAY)

        def fail(*_: object) -> bytes:
            raise OSError(24, "too many open files")

        read = inspection._read
        self.patch(inspection, "_read", fail)
        self.scrub(store).start()
        self.assertEqual(self.troubles("verify"), 1)
        self.patch(inspection, "_read", read)
        self.pass_time(59)
        self.assertEqual(self.counted("verified_bytes"), 0)
        self.pass_time(2)
        self.assertEqual(self.counted("verified_bytes"), 5000)

    def test_no_fault_of_ours(self) -> None:
        """A catalogue that can neither be read nor written is no bug; it is tried again."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(31 * DAY, DAY)
        error = sqlite3.OperationalError("disk I/O error")
        self.place.in_database = Failing({"_least_verified": error, "_note_verified": error})
        scrub = self.scrub(store)
        scrub.start()
        self.assertEqual(self.troubles("verify"), 1)
        self.place.in_database = Failing({"_note_verified": error})
        self.pass_time(61)
        self.assertEqual(self.counted("verified_bytes"), 5000)
        self.assertEqual(self.troubles("verify"), 2)
        self.successResultOf(run(scrub.stop()))
        self.assertEqual(self.troubles("catalogue"), 1)
        self.place.in_database = at_once
        self.successResultOf(run(scrub.stop()))
        self.assertLess(self.age(store, "a"), DAY)


class DamageTests(ScrubTestCase):
    """What is found wrong."""

    def found(self, store: Store) -> list[str]:
        """Let everything be verified, and give what is logged."""
        events = logged(self)
        self.scrub(store).start()
        self.pass_time(30, 1)
        return [
            event["log_format"].format(**event)
            for event in events
            if event["log_level"] is LogLevel.error
        ]

    def test_in_use(self) -> None:
        """It is dropped, counted, told of in one line, and fetched again."""
        store = self.started()
        self.put(store, "a")
        self.put(store, "b")
        self.pass_time(31 * DAY, DAY)
        store.touch(self.entry_of(store, "a"))
        self.pass_time(DAY - 60, 3600)
        self.damage(store, "a")
        lines = self.found(store)
        self.assertEqual(
            lines,
            [
                "/a is damaged: its body is not what was stored; it is dropped and fetched again",
            ],
        )
        self.assertIsNone(find(store, target("a")))
        self.assertEqual(self.refetched, ["/a"])
        self.assertEqual(self.counted("damaged_entries"), 1)
        self.assertEqual(len(self.place.files()), 1)
        self.assertEqual(self.body_of(store, "b"), body_named("b"))
        self.assert_agrees()

    def check_shared(self, names: str, *, doomed: bool) -> None:
        """Damage a body that these share, and find that all of them go."""
        store = self.started()
        for name in "abc":
            self.put(store, name, body_named("a"))
        self.put(store, "other")
        if doomed:
            store.doom(self.entry_of(store, "a"))
        self.pass_time(31 * DAY, DAY)
        for name in names:
            store.touch(self.entry_of(store, name))
        self.pass_time(60, 10)
        with self.entry_of(store, "b").body.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"y")
        lines = self.found(store)
        self.assertEqual([line.split()[0] for line in lines], [f"/{name}" for name in names])
        self.assertEqual(self.refetched, [f"/{name}" for name in names])
        # Once, and once more, since it was wrong.
        self.assertEqual(self.counted("verified_bytes"), 5000 + 2 * 5000)
        self.assertEqual(self.counted("damaged_entries"), len(names))
        self.assertEqual([find(store, target(name)) for name in "abc"], [None] * 3)
        self.assertEqual(len(self.place.files()), 1)
        self.assert_agrees()

    def test_shared(self) -> None:
        """A body that several entries share is read once, and all of them go with it."""
        self.check_shared("bca", doomed=False)

    def test_shared_without_the_first(self) -> None:
        """A body whose first entry is gone is verified all the same."""
        self.check_shared("bc", doomed=True)

    def test_name(self) -> None:
        """A name that is damaged goes alone."""
        store = self.started()
        for name in "ab":
            self.put(store, name, body_named("a"))
        self.pass_time(31 * DAY, DAY)
        self.entry_of(store, "b").blob.path.write_bytes(bytes(4096))
        (line,) = self.found(store)
        self.assertIn("/b is damaged: its file says something else", line)
        self.assertEqual(self.body_of(store, "a"), body_named("a"))
        self.assertIsNone(find(store, target("b")))
        self.assert_agrees()

    def test_not_in_use(self) -> None:
        """What nobody has used for a day is not fetched again."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(31 * DAY, DAY)
        self.damage(store, "a")
        (line,) = self.found(store)
        self.assertTrue(line.endswith("; it is dropped"), line)
        self.assertEqual((store.entries, self.refetched), (0, []))

    def test_readers_are_cut(self) -> None:
        """Whoever reads it comes to no end, and has it fetched again."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(31 * DAY, DAY)
        lease = self.successResultOf(run(self.entry_of(store, "a").open()))
        self.damage(store, "a")
        self.found(store)
        self.assertRaises(BodyBroken, lease.fileno)
        self.assertEqual(self.refetched, ["/a"])
        self.assertEqual(len(self.place.files()), 1)
        lease.close()
        self.assertEqual(self.place.files(), {})

    def test_each_fault(self) -> None:
        """A file that is missing, cut, or another's is dropped as well."""
        store = self.started()
        for name in ("missing", "cut", "other"):
            self.put(store, name)
        self.pass_time(31 * DAY, DAY)
        self.entry_of(store, "missing").blob.path.unlink()
        os.truncate(self.entry_of(store, "cut").blob.path, 5)
        self.entry_of(store, "other").blob.path.write_bytes(b"y" * (4096 + 5000))
        self.assertEqual(len(self.found(store)), 3)
        self.assertEqual((store.entries, self.place.files()), (0, {}))
        self.assert_agrees()

    def test_second_look(self) -> None:
        """What is right at the second look is kept."""
        store = self.started()
        self.put(store, "a")
        self.pass_time(31 * DAY, DAY)
        threads = WhenTold()
        self.scrub(store, in_thread=threads).start()
        right = self.entry_of(store, "a").blob.path.read_bytes()
        self.damage(store, "a")
        threads.run()
        self.pass_time(1)
        # The whole body is read; its digest is wrong.
        threads.run()
        self.entry_of(store, "a").blob.path.write_bytes(right)
        threads.run()
        self.pass_time(1)
        threads.run()
        self.assertEqual(self.counted("verified_bytes"), 10_000)
        self.assertEqual(self.counted("damaged_entries"), 0)
        self.assertIsNotNone(find(store, target("a")))

    def test_evicted_meanwhile(self) -> None:
        """An entry that is evicted while it is read is let go, and said nothing of."""
        store = self.started()
        self.put(store, "a", bytes(3 * MIB))
        self.pass_time(31 * DAY, DAY)
        self.damage(store, "a")
        self.scrub(store).start()
        store.doom(self.entry_of(store, "a"))
        self.assertEqual(len(self.place.files()), 1)
        self.pass_time(1)
        self.assertEqual(self.place.files(), {})
        self.assertEqual((self.counted("damaged_entries"), self.refetched), (0, []))
        self.assert_agrees()


class StopTests(ScrubTestCase):
    """The end comes at once."""

    def test_while_resting(self) -> None:
        """Nothing is waited for."""
        store = self.started()
        self.put(store, "a")
        scrub = self.scrub(store)
        scrub.start()
        self.successResultOf(run(scrub.stop()))
        self.successResultOf(run(store.stop()))
        self.assertEqual(self.place.clock.getDelayedCalls(), [])

    def test_within_a_file(self) -> None:
        """A file of which a part was read is not taken for verified, and no other is begun."""
        store = self.started()
        self.put(store, "a", bytes(3 * MIB))
        self.put(store, "b")
        self.pass_time(31 * DAY, DAY)
        scrub = self.scrub(store)
        scrub.start()
        self.pass_time(1)
        self.successResultOf(run(scrub.stop()))
        self.assertEqual(self.counted("verified_bytes"), 2 * MIB)
        self.assertGreater(self.age(store, "a"), 30 * DAY)

    def test_within_a_bite(self) -> None:
        """What a thread is reading it finishes; then the file is closed and given up."""
        store = self.started()
        self.put(store, "a", bytes(3 * MIB))
        self.pass_time(31 * DAY, DAY)
        before = self.place.descriptors()
        threads = WhenTold()
        scrub = self.scrub(store, in_thread=threads)
        scrub.start()
        threads.run()
        self.pass_time(1)
        stopping = run(scrub.stop())
        self.assertNoResult(stopping)
        threads.run()
        self.successResultOf(stopping)
        self.assertEqual(self.place.descriptors(), before)


class EverythingTests(ScrubTestCase):
    """When somebody asks for everything to be verified now."""

    def order(self, rate: int | None = None) -> tuple[Order, list[tuple[str, Fault]]]:
        """Make an order, and the list of what it is told."""
        damages: list[tuple[str, Fault]] = []

        def found(entry: Entry, damaged: Damaged) -> None:
            damages.append((entry.target.path, damaged.fault))

        return Order(rate, found), damages

    def test_at_once(self) -> None:
        """Everything is verified as fast as can be, due or not, though the scrub is off."""
        store = self.started()
        for name in ("a", "b", "c"):
            self.put(store, name, name.encode() * MIB * 2)
        self.damage(store, "b")
        self.pass_time(10)
        order, damages = self.order()
        self.successResultOf(self.scrub(store, rate=0).everything(order))
        self.assertEqual(damages, [("/b", Fault.BODY)])
        self.assertEqual((order.files, order.files_done), (3, 3))
        self.assertEqual(order.octets, 3 * (2 * MIB + 4096))
        self.assertEqual(order.octets_done, order.octets)
        self.assertEqual((self.age(store, "a"), self.age(store, "c")), (0, 0))
        self.assertIsNone(find(store, target("b")))
        self.assertEqual(self.refetched, ["/b"])
        self.flushLoggedErrors()

    def test_at_a_rate(self) -> None:
        """Or as fast as is asked for; how far it has come shows within a file as well."""
        store = self.started()
        self.put(store, "a", bytes(4 * MIB))
        order, _ = self.order(2 * MIB)
        going = self.scrub(store).everything(order)
        progress = [order.octets_done / MIB]
        for _ in range(4):
            self.pass_time(0.5)
            progress.append(order.octets_done / MIB)
        self.assertEqual(progress[:4], [1, 2, 3, 4])
        self.successResultOf(going)
        self.assertEqual(order.octets_done, order.octets)

    def test_empty(self) -> None:
        """Where nothing is stored there is nothing to do."""
        order, _ = self.order()
        self.successResultOf(self.scrub(self.started()).everything(order))
        self.assertEqual((order.files, order.octets_done), (0, 0))

    def test_one_at_a_time(self) -> None:
        """A second order is refused until the first is done."""
        store = self.started()
        self.put(store, "a", bytes(2 * MIB))
        scrub = self.scrub(store)
        going = scrub.everything(self.order(MIB)[0])
        self.failureResultOf(scrub.everything(self.order()[0]), Busy)
        self.pass_time(2, 1)
        self.successResultOf(going)
        self.successResultOf(scrub.everything(self.order()[0]))

    def test_hastens_the_background(self) -> None:
        """A file that is being read at the usual pace is not waited for at that pace."""
        store = self.started()
        self.put(store, "a", bytes(60 * MIB))
        self.pass_time(31 * DAY, DAY)
        scrub = self.scrub(store)
        scrub.start()
        self.pass_time(1)
        order, _ = self.order()
        self.successResultOf(scrub.everything(order))
        self.assertEqual(order.octets_done, order.octets)

    def test_given_up(self) -> None:
        """When nobody waits any more it ends after the bite, and the file is not taken for read."""
        store = self.started()
        self.put(store, "a")
        self.put(store, "b", bytes(4 * MIB))
        self.put(store, "c")
        self.pass_time(10)
        scrub = self.scrub(store)
        order, _ = self.order(MIB)
        going = scrub.everything(order)
        self.pass_time(2)
        order.give_up()
        self.pass_time(1)
        self.failureResultOf(going, Stopped)
        self.assertEqual(self.age(store, "b"), 13)
        self.successResultOf(scrub.everything(self.order()[0]))

    def test_server_stops(self) -> None:
        """So it does when the server stops; what was verified is written down."""
        store = self.started()
        self.put(store, "a")
        self.put(store, "b", bytes(4 * MIB))
        self.pass_time(10)
        scrub = self.scrub(store)
        going = scrub.everything(self.order(MIB)[0])
        self.pass_time(1)
        self.successResultOf(run(scrub.stop()))
        self.failureResultOf(going, Stopped)
        self.assertLess(self.age(store, "a"), 2)
        self.assertGreater(self.age(store, "b"), 10)
        self.failureResultOf(scrub.everything(self.order()[0]), Stopped)

    def test_evicted_meanwhile(self) -> None:
        """What is evicted before its turn counts as done."""
        store = self.started()
        self.put(store, "a", bytes(2 * MIB))
        self.put(store, "b")
        order, _ = self.order(MIB)
        going = self.scrub(store).everything(order)
        store.doom(self.entry_of(store, "b"))
        self.pass_time(3, 1)
        self.successResultOf(going)
        self.assertEqual((order.files_done, order.octets_done), (2, order.octets))
