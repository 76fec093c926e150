"""Tests of `osproxy.cache.refresh`."""

from __future__ import annotations

from osproxy.cache.refresh import PATIENCE, REST
from tests.cache.doubles import octets
from tests.cache.origin import whole
from tests.cache.repositories import (
    KEY,
    LIFETIME,
    MEDIA,
    REPOMD,
    SIGNATURE,
    ZYPPER,
    GenerationsTestCase,
)


class RefreshTests(GenerationsTestCase):
    """One look decides for all the index files of a repository."""

    def setUp(self) -> None:
        """Begin with a first snapshot."""
        super().setUp()
        self.publish(1)

    def test_askers(self) -> None:
        """A first fetch is for who asks, a refresh for all; each is asked for together."""
        for client in ("192.0.2.1", None):
            self.origin.files.clear()
            asking = self.bench.get(REPOMD)
            askers = {question.asker for question in self.origin.asked}
            self.publish(1)
            while self.origin.asked:
                question = self.origin.next()
                question.answer(whole(self.content(question.path, 1)))
            octets(self.successResultOf(asking))
            self.assertEqual([(it.client, it.together) for it in askers], [(client, True)])
            self.bench.advance(LIFETIME)

    def test_unchanged(self) -> None:
        """When the clock has run out, one look at the four confirms all of them."""
        self.poll()
        self.origin.log.clear()
        self.bench.advance(LIFETIME)
        answer = self.successResultOf(self.bench.get(MEDIA))
        octets(answer)
        self.assertEqual(answer.cache_status.serialise(), "osproxy; fwd=stale; fwd-status=200")
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertEqual(sorted(self.origin.log), sorted(f"GET {path}" for path in ZYPPER))
        answer = self.successResultOf(self.bench.get(SIGNATURE))
        octets(answer)
        self.assertEqual((answer.age, answer.cache_status.hit), (0, True))

    def test_changed(self) -> None:
        """A new repomd.xml brings all of its siblings with it."""
        self.poll()
        self.publish(2)
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(), self.snapshot(2))
        for path in ZYPPER:
            self.assertEqual(self.stored(path), self.content(path, 2))

    def test_counted(self) -> None:
        """Each look is counted by what came of it."""
        value = self.bench.place.metrics.registry.get_sample_value
        self.poll()
        self.assertEqual(value("osproxy_repositories"), 1)
        self.bench.advance(LIFETIME)
        self.poll()
        self.publish(2)
        self.bench.advance(LIFETIME)
        self.poll()
        self.origin.down = True
        self.bench.advance(LIFETIME)
        octets(self.successResultOf(self.bench.get(REPOMD)))
        counted = {
            result: value("osproxy_index_refreshes_total", {"result": result})
            for result in ("new", "none", "failed")
        }
        self.assertEqual(counted, {"new": 2, "none": 1, "failed": 1})

    def test_in_one_turn(self) -> None:
        """Until the last file of the new snapshot is here, all of the old one is served."""
        self.poll()
        self.publish(2)
        del self.origin.files[KEY]
        self.bench.advance(LIFETIME)
        asked = self.bench.get(MEDIA)
        self.assertNoResult(asked)
        for path in ZYPPER:
            self.assertEqual(self.stored(path), self.content(path, 1))
        # Once with the look, once after it had shown that there is a new snapshot.
        self.origin.next().answer(whole(self.content(KEY, 2)))
        self.assertNoResult(asked)
        self.origin.next().answer(whole(self.content(KEY, 2)))
        self.assertEqual(octets(self.successResultOf(asked)), self.content(MEDIA, 2))
        for path in ZYPPER:
            self.assertEqual(self.stored(path), self.content(path, 2))

    def test_old_signature(self) -> None:
        """A new repomd.xml beside the old signature leaves the old set in place."""
        self.poll()
        self.origin.files[REPOMD] = self.content(REPOMD, 2)
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(), self.snapshot(1))
        self.publish(2)
        self.bench.advance(REST)
        self.assertEqual(self.poll(connection=2), self.snapshot(2))

    def test_in_flux(self) -> None:
        """A new media.1/media beside the old repomd.xml is believed when it is seen again."""
        self.poll()
        self.origin.files[MEDIA] = self.content(MEDIA, 2)
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(), self.snapshot(1))
        self.bench.advance(REST)
        octets(self.successResultOf(self.bench.get(KEY, connection=2)))
        self.assertEqual(self.stored(MEDIA), self.content(MEDIA, 2))

    def test_published_meanwhile(self) -> None:
        """When repomd.xml changes while its siblings are fetched, they are fetched again."""
        self.poll()
        self.publish(2)
        del self.origin.files[KEY]
        self.bench.advance(LIFETIME)
        asked = self.bench.get(REPOMD)
        self.publish(30)
        self.origin.next().answer(whole(self.content(KEY, 2)))
        self.assertEqual(octets(self.successResultOf(asked)), self.content(REPOMD, 30))
        self.assertEqual(self.poll(connection=2), self.snapshot(30))

    def test_authority_down(self) -> None:
        """While the authority is down the set is served stale; it is asked every 5 s at most."""
        self.poll()
        self.origin.down = True
        self.bench.advance(LIFETIME + 100)
        self.origin.log.clear()
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertEqual(len(self.origin.log), 4)
        answer = self.successResultOf(self.bench.get(REPOMD))
        octets(answer)
        self.assertEqual(answer.age, LIFETIME + 100)
        self.assertIn("stale", answer.cache_status.serialise())
        self.bench.advance(REST)
        self.poll()
        self.assertEqual(len(self.origin.log), 8)

    def test_never_had(self) -> None:
        """What is not stored is a bad gateway while the authority is down, for 5 s unasked."""
        self.origin.down = True
        self.assertEqual(self.status_of(self.successResultOf(self.bench.get(REPOMD))), 502)
        self.origin.down = False
        self.assertEqual(self.status_of(self.successResultOf(self.bench.get(KEY))), 502)
        self.bench.advance(REST)
        self.assertEqual(self.poll(), self.snapshot(1))

    def test_patience(self) -> None:
        """Who has waited 3 s is served stale, and the refresh goes on."""
        self.poll()
        self.origin.files.clear()
        self.bench.advance(LIFETIME)
        asked = self.bench.get(MEDIA)
        self.bench.advance(PATIENCE - 0.1)
        self.assertNoResult(asked)
        self.bench.advance(0.1)
        self.assertEqual(octets(self.successResultOf(asked)), self.content(MEDIA, 1))
        self.assertEqual(len(self.origin.asked), 4)
        # It counts from the beginning of the refresh: the next does not wait at all.
        self.assertEqual(self.poll(connection=2), self.snapshot(1))
        self.publish(2)
        for question in [self.origin.next() for _ in ZYPPER]:
            question.answer(whole(self.content(question.path, 2)))
        self.assertEqual(self.stored(REPOMD), self.content(REPOMD, 2))

    def test_gone(self) -> None:
        """A repository is gone when a second look, a minute after the first, finds no index."""
        self.poll()
        for path in ZYPPER:
            self.origin.files[path] = None
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(), self.snapshot(1))
        self.bench.advance(59)
        self.assertEqual(self.poll(connection=2), self.snapshot(1))
        self.bench.advance(1)
        for path in ZYPPER:
            self.assertEqual(self.status_of(self.successResultOf(self.bench.get(path))), 404)
            self.assertIsNone(self.stored(path))
        # It may come back.
        self.publish(2)
        self.bench.advance(60)
        self.assertEqual(self.poll(connection=3), self.snapshot(2))

    def test_slip(self) -> None:
        """One 404 between two good answers changes nothing."""
        self.poll()
        self.origin.files[REPOMD] = None
        self.bench.advance(LIFETIME)
        self.poll()
        self.publish(1)
        self.bench.advance(60)
        self.assertEqual(self.poll(connection=2), self.snapshot(1))
        self.origin.files[REPOMD] = None
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll(connection=3), self.snapshot(1))
