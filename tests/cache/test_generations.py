"""Tests of `osproxy.cache.generations`."""

from __future__ import annotations

from osproxy.model import Representation
from osproxy.repo.layout import CORE
from tests.cache.doubles import octets
from tests.cache.origin import whole
from tests.cache.repositories import (
    LIFETIME,
    MEDIA,
    REPOMD,
    SIGNATURE,
    ZYPPER,
    GenerationsTestCase,
)


class GenerationsTests(GenerationsTestCase):
    """The index files of a repository share one clock and change hands together."""

    def setUp(self) -> None:
        """Begin with a first snapshot."""
        super().setUp()
        self.publish(1)

    def test_cold(self) -> None:
        """The first question for any of them fetches the four; the others are hits."""
        answer = self.successResultOf(self.bench.get(MEDIA))
        self.assertEqual(octets(answer), self.content(MEDIA, 1))
        self.assertEqual(answer.cache_status.serialise(), "osproxy; fwd=uri-miss; stored")
        asked = sorted(self.origin.log)
        self.assertEqual(asked, sorted([f"GET {path}" for path in ZYPPER] + [f"HEAD {REPOMD}"]))
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertEqual(sorted(self.origin.log), asked)
        answer = self.successResultOf(self.bench.get(REPOMD))
        self.assertTrue(answer.cache_status.hit)
        octets(answer)

    def test_cold_together(self) -> None:
        """Many who ask for different files of it at once cause one fetch."""
        self.origin.files.clear()
        asked = [self.bench.get(path, connection=n) for n, path in enumerate(ZYPPER)]
        self.assertEqual(len(self.origin.asked), 4)
        self.publish(1)
        while self.origin.asked:
            question = self.origin.next()
            question.answer(whole(self.content(question.path, 1)))
        got = [octets(self.successResultOf(one)) for one in asked]
        self.assertEqual(got, self.snapshot(1))

    def test_no_cache(self) -> None:
        """Dnf's no-cache brings a look at the authority, but at most one in ten seconds."""
        wants = ("Cache-Control", "no-cache")
        self.poll()
        self.origin.log.clear()
        for seconds, said, looks in (
            (9, "osproxy; hit; ttl=591", 0),
            (1, "osproxy; fwd=request; fwd-status=200", 1),
            (9, "osproxy; hit; ttl=591", 1),
        ):
            self.bench.advance(seconds)
            answer = self.successResultOf(self.bench.get(REPOMD, wants))
            self.assertEqual(octets(answer), self.content(REPOMD, 1))
            self.assertEqual(answer.cache_status.serialise(), said)
            self.assertEqual(self.origin.log.count(f"GET {REPOMD}"), looks)

    def test_no_cache_finds_the_new(self) -> None:
        """What was published meanwhile is shown to who insists."""
        self.poll()
        self.publish(2)
        self.bench.advance(10)
        answer = self.successResultOf(self.bench.get(REPOMD, ("Pragma", "no-cache")))
        self.assertEqual(octets(answer), self.content(REPOMD, 2))

    def test_no_cache_authority_down(self) -> None:
        """What is fresh is a hit for who insists, too, when the authority is away."""
        wants = ("Cache-Control", "no-cache")
        self.poll()
        self.origin.down = True
        self.bench.advance(10)
        for _ in range(2):
            answer = self.successResultOf(self.bench.get(REPOMD, wants))
            self.assertEqual(octets(answer), self.content(REPOMD, 1))
            self.assertEqual(answer.cache_status.serialise(), "osproxy; hit; ttl=590")

    def test_obs(self) -> None:
        """Below /repositories/ the clock runs for a minute only."""
        path = "/repositories/home:/x/repodata/repomd.xml"
        self.origin.files[path] = b"1"
        for name in CORE[1:]:
            self.origin.files[f"/repositories/home:/x/{name}"] = None
        octets(self.successResultOf(self.bench.get(path)))
        for seconds, looks in ((59, 0), (1, 1)):
            self.origin.log.clear()
            self.bench.advance(seconds)
            octets(self.successResultOf(self.bench.get(path)))
            self.assertEqual(self.origin.log.count(f"GET {path}"), looks)

    def test_unsigned(self) -> None:
        """A file that the repository has not is a 404 for as long as the snapshot."""
        self.origin.files[SIGNATURE] = None
        octets(self.successResultOf(self.bench.get(REPOMD)))
        self.origin.log.clear()
        for _ in range(2):
            answer = self.successResultOf(self.bench.get(SIGNATURE))
            self.assertEqual(self.status_of(answer), 404)
        self.assertEqual(self.origin.log, [])

    def test_no_repository(self) -> None:
        """Where there is no repository, that is remembered for a minute."""
        for path in ZYPPER:
            self.origin.files[path] = None
        for path in ZYPPER:
            self.assertEqual(self.status_of(self.successResultOf(self.bench.get(path))), 404)
        self.assertEqual(len(self.origin.log), 4)
        self.publish(1)
        self.bench.advance(60)
        self.assertEqual(self.poll(), self.snapshot(1))

    def test_restart(self) -> None:
        """After a restart the set is there, with its freshness."""
        self.poll()
        self.bench.advance(LIFETIME - 1)
        self.bench.stop()
        self.bench.start()
        self.origin.log.clear()
        self.assertEqual(self.poll(), self.snapshot(1))
        self.assertEqual(self.origin.log, [])
        self.bench.advance(1)
        self.publish(2)
        self.assertEqual(self.poll(connection=2), self.snapshot(2))

    def test_restart_of_a_part(self) -> None:
        """A set of which not all is stored is looked at after a restart, before it is completed."""
        self.poll()
        entry = self.entry_of(SIGNATURE)
        self.bench.store.doom(entry)
        self.bench.stop()
        self.bench.start()
        self.publish(2)
        self.assertEqual(self.poll(), self.snapshot(2))

    def test_restart_while_down(self) -> None:
        """Of an unsigned repository what is stored is served after a restart, though stale."""
        self.origin.files[SIGNATURE] = None
        octets(self.successResultOf(self.bench.get(REPOMD)))
        self.bench.stop()
        self.bench.start()
        self.origin.down = True
        self.assertEqual(self.poll((MEDIA, REPOMD)), self.snapshot(1, (MEDIA, REPOMD)))

    def test_evicted(self) -> None:
        """When one of them is evicted, the whole set is fetched anew."""
        self.poll()
        self.publish(2)
        entry = self.entry_of(SIGNATURE)
        self.bench.store.doom(entry)
        self.assertEqual(self.poll(), self.snapshot(2))

    def test_lost(self) -> None:
        """When one of them is lost from the disk, the set is fetched anew in the same request."""
        self.poll()
        self.publish(2)
        entry = self.entry_of(SIGNATURE)
        entry.blob.path.unlink()
        answer = self.successResultOf(self.bench.get(SIGNATURE, connection=2))
        self.assertEqual(octets(answer), self.content(SIGNATURE, 2))

    def test_seldom_asked(self) -> None:
        """A file beside the four is fetched when it is asked for, and then kept with them."""
        products = "/oss/media.1/products"
        self.origin.files[products] = b"products 1"
        self.poll()
        self.assertEqual(self.poll((products,)), [b"products 1"])
        self.origin.log.clear()
        self.assertEqual(self.poll((products,), connection=2), [b"products 1"])
        self.assertEqual(self.origin.log, [])
        self.publish(2)
        self.origin.files[products] = b"products 2"
        self.bench.advance(LIFETIME)
        self.assertEqual(self.poll((products,), connection=3), [b"products 2"])

    def test_seldom_asked_of_one_that_is_down(self) -> None:
        """A file that was never asked for cannot be had while the authority is down."""
        self.poll()
        self.origin.down = True
        products = "/oss/media.1/products"
        for _ in range(2):
            answer = self.successResultOf(self.bench.get(products))
            self.assertEqual(self.status_of(answer), 502)
        self.assertEqual(self.poll(connection=2), self.snapshot(1))

    def test_head(self) -> None:
        """HEAD is a look: it fetches the set but is no part of a visit."""
        answer = self.successResultOf(self.bench.get(REPOMD, head=True))
        assert isinstance(answer.content, Representation)
        self.assertEqual(answer.content.length, len(self.content(REPOMD, 1)))
        self.assertIsNone(answer.content.body)
        self.assertEqual(self.stored(REPOMD), self.content(REPOMD, 1))

    def test_https_only(self) -> None:
        """Index files are asked for without leave to be redirected to plain http."""
        self.origin.files.clear()
        asked = self.bench.get(REPOMD)
        self.assertTrue(all(question.https_only for question in self.origin.asked))
        for question in list(self.origin.asked):
            question.fail()
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)
