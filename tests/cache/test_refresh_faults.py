"""Tests of `osproxy.cache.refresh`: authorities, stores and clocks that misbehave."""

from __future__ import annotations

import sqlite3
from typing import NoReturn

from osproxy.cache.refresh import REST
from osproxy.upstream.origin import Overloaded
from tests.cache.doubles import octets
from tests.cache.origin import Told, whole
from tests.cache.repositories import (
    KEY,
    LIFETIME,
    MEDIA,
    REPOMD,
    SIGNATURE,
    ZYPPER,
    GenerationsTestCase,
)
from tests.web.support import logged

PRODUCTS = "/oss/media.1/products"
CONTENT = "/oss/content"


class FaultTests(GenerationsTestCase):
    """What clients see when something goes wrong."""

    def setUp(self) -> None:
        """Begin with a first snapshot."""
        super().setUp()
        self.publish(1)

    def status(self, path: str, connection: int = 1) -> int:
        """Ask for a file that cannot be had."""
        answer = self.successResultOf(self.bench.get(path, connection=connection))
        return self.status_of(answer)

    def restart(self) -> None:
        """Stop and start again."""
        self.bench.stop()
        self.bench.start()

    def test_overloaded(self) -> None:
        """What was not asked, since too much is, is 503, and no line in the log for each."""
        events = logged(self)
        for number in range(20):
            asking = self.bench.get(f"/made-up-{number}/repodata/repomd.xml")
            while self.origin.asked:
                self.origin.next().fail(Overloaded("", "overloaded", "asked too much"))
            self.assertEqual(self.status_of(self.successResultOf(asking)), 503)
        self.assertEqual([event for event in events if "refreshed" in event["log_format"]], [])

    def test_no_rest_from_nothing(self) -> None:
        """After a refusal of ours who has nothing is not made to wait; who has something is."""
        self.origin.files.clear()
        asking = self.bench.get(REPOMD)
        while self.origin.asked:
            self.origin.next().fail(Overloaded("", "overloaded", "asked too much"))
        self.assertEqual(self.status_of(self.successResultOf(asking)), 503)
        self.publish(1)
        self.poll()
        self.origin.files.clear()
        self.bench.advance(LIFETIME)
        asking = self.bench.get(REPOMD)
        while self.origin.asked:
            self.origin.next().fail(Overloaded("", "overloaded", "asked too much"))
        for stale in (asking, self.bench.get(REPOMD)):
            self.assertEqual(octets(self.successResultOf(stale)), self.content(REPOMD, 1))
        self.assertEqual(self.origin.asked, [])

    def test_forbidden(self) -> None:
        """An authority that forbids repomd.xml has failed; the set is served stale for ever."""
        self.poll()
        del self.origin.files[REPOMD]
        for connection in range(2, 5):
            self.bench.advance(LIFETIME)
            asked = self.bench.get(REPOMD, connection=connection)
            self.origin.next().answer(Told(403, (), 0))
            self.assertEqual(octets(self.successResultOf(asked)), self.content(REPOMD, 1))

    def test_late_signature(self) -> None:
        """A signature that came later than repomd.xml is taken over when it is seen twice."""
        self.origin.files[SIGNATURE] = None
        self.poll((REPOMD,))
        self.publish(1)
        self.bench.advance(LIFETIME)
        self.assertEqual(self.status(SIGNATURE), 404)
        self.bench.advance(REST)
        self.assertEqual(self.poll(connection=2), self.snapshot(1))

    def test_signature_goes(self) -> None:
        """What the new snapshot has not is not stored any more."""
        self.poll()
        self.publish(2)
        self.origin.files[SIGNATURE] = None
        self.bench.advance(LIFETIME)
        self.poll((REPOMD,), connection=2)
        self.assertIsNone(self.stored(SIGNATURE))

    def test_without_repomd(self) -> None:
        """A repository without repomd.xml is confirmed and renewed, and survives a restart."""
        for path in ZYPPER:
            self.origin.files[path] = None
        self.origin.files.update({CONTENT: b"content 1", MEDIA: b"media 1"})
        order = (MEDIA, CONTENT)
        self.assertEqual(self.poll(order), [b"media 1", b"content 1"])
        self.origin.files.update({CONTENT: b"content 2", MEDIA: b"media 2"})
        self.bench.advance(60)
        self.assertEqual(self.poll(order, connection=2), [b"media 2", b"content 2"])
        self.restart()
        self.origin.down = True
        self.assertEqual(self.poll(order, connection=3), [b"media 2", b"content 2"])
        self.assertEqual(self.status(REPOMD), 404)

    def test_absent_after_restart(self) -> None:
        """What a repository has not is a 404 after a restart, too, while the authority is down."""
        self.origin.files[SIGNATURE] = self.origin.files[KEY] = None
        self.poll((REPOMD,))
        self.restart()
        self.origin.down = True
        self.assertEqual(self.status(SIGNATURE), 404)
        self.assertEqual(self.poll((MEDIA, REPOMD)), self.snapshot(1, (MEDIA, REPOMD)))

    def test_evicted_while_down(self) -> None:
        """While the authority is down only what was evicted is missing; then it is put in again."""
        self.poll()
        self.bench.store.doom(self.entry_of(SIGNATURE))
        self.origin.down = True
        self.assertEqual(self.status(SIGNATURE), 502)
        rest = (MEDIA, KEY, REPOMD)
        self.assertEqual(self.poll(rest), self.snapshot(1, rest))
        self.origin.down = False
        self.bench.advance(REST)
        self.assertEqual(self.poll(), self.snapshot(1))

    def test_rest_begins_at_the_end(self) -> None:
        """After a refresh that took long the authority has its rest."""
        self.poll()
        self.origin.files.clear()
        self.bench.advance(LIFETIME)
        asked = self.bench.get(REPOMD)
        self.bench.advance(20)
        for question in list(self.origin.asked):
            question.fail()
        self.origin.asked.clear()
        octets(self.successResultOf(asked))
        self.poll()
        self.assertEqual(self.origin.asked, [])

    def test_completed_together(self) -> None:
        """Eight who ask for a file that nobody asked for before cause one request for it."""
        self.poll()
        asked = [self.bench.get(PRODUCTS, connection=n) for n in range(8)]
        self.assertEqual(self.origin.log.count(f"GET {PRODUCTS}"), 1)
        self.origin.next().answer(whole(b"products"))
        for one in asked:
            self.assertEqual(octets(self.successResultOf(one)), b"products")

    def test_asked_during_a_refresh(self) -> None:
        """A file that a refresh under way knows nothing of is had from the next."""
        self.poll()
        del self.origin.files[KEY]
        self.origin.files[PRODUCTS] = b"products"
        self.bench.advance(LIFETIME)
        first = self.bench.get(REPOMD)
        second = self.bench.get(PRODUCTS, connection=2)
        self.origin.files[KEY] = self.content(KEY, 1)
        self.origin.next().answer(whole(self.content(KEY, 1)))
        octets(self.successResultOf(first))
        self.assertEqual(octets(self.successResultOf(second)), b"products")

    def test_published_during_the_look(self) -> None:
        """A sibling that was fetched before repomd.xml was published is fetched again."""
        self.poll()
        self.publish(2)
        self.origin.files[MEDIA] = self.content(MEDIA, 1)
        del self.origin.files[KEY]
        self.bench.advance(LIFETIME)
        asked = self.bench.get(REPOMD)
        self.publish(2)
        self.origin.next().answer(whole(self.content(KEY, 1)))
        octets(self.successResultOf(asked))
        self.assertEqual(self.poll(connection=2), self.snapshot(2))

    def test_store_fails(self) -> None:
        """Whatever the store fails with, the index is served from memory."""

        def fail(*args: object) -> NoReturn:
            raise sqlite3.OperationalError("database is locked")

        self.patch(self.bench.store, "commit", fail)
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertIsNone(self.stored(REPOMD))

    def test_clock_set_back(self) -> None:
        """A clock that is set back by an hour delays no refresh."""
        self.poll()
        self.origin.down = True
        self.bench.advance(LIFETIME)
        self.poll()
        self.origin.down = False
        self.publish(2)
        self.bench.advance(-3600)
        self.assertEqual(self.poll(connection=2), self.snapshot(2))

    def test_stopped(self) -> None:
        """A stop in the midst of a refresh is no fault that is logged with a traceback."""
        self.poll()
        self.publish(2)
        del self.origin.files[KEY]
        self.bench.advance(LIFETIME)
        asked = self.bench.get(REPOMD)
        self.restart()
        octets(self.successResultOf(asked))
        self.assertEqual(self.flushLoggedErrors(), [])
