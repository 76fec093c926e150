"""Tests of `osproxy.cache.refetch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from osproxy.cache import fillstate
from osproxy.cache.refetch import Refetch, question_of
from osproxy.model import Asked, Backend, Target
from tests.cache.doubles import CacheTestCase, octets
from tests.cache.origin import BACKEND, Told, unreachable, whole
from tests.cache.repositories import MEDIA, REPOMD, GenerationsTestCase
from tests.store.doubles import find, run

if TYPE_CHECKING:
    from osproxy.store.entries import Entry

HOUR = ("Cache-Control", "max-age=3600")
PLACE = Backend("/api", "https://authority.example/api", generic=True)


class RefetchTestCase(CacheTestCase):
    """A cache that loses what it has stored."""

    def setUp(self) -> None:
        """Make what fetches it again."""
        super().setUp()
        self.refetch = Refetch(self.bench.cache, lambda: [BACKEND, PLACE], "us")

    def lose(self, target: Target) -> Entry:
        """Let an entry be lost."""
        entry = find(self.bench.store, target)
        assert entry is not None
        self.bench.store.doom(entry)
        return entry

    def lose_files(self, *paths: str) -> list[Entry]:
        """Store files, and let them be lost."""
        for path in paths:
            self.store(path, b"x" * 5000)
        return [self.lose(Target("/", path)) for path in paths]


class FilesTests(RefetchTestCase):
    """Files of repositories."""

    def test_fetched_again(self) -> None:
        """What was lost is asked for, and stored."""
        self.assertTrue(self.refetch(*self.lose_files("/a.rpm")))
        self.origin.next().answer(whole(b"x" * 5000))
        self.assertEqual(self.stored("/a.rpm"), b"x" * 5000)
        self.assertEqual(self.origin.asked, [])

    def test_clients_join(self) -> None:
        """A client that asks meanwhile is served by the same fill."""
        self.refetch(*self.lose_files("/a.rpm"))
        asked = self.bench.get("/a.rpm")
        self.origin.next().answer(told := Told(200, (), 5000))
        answer = self.successResultOf(asked)
        told.send(b"y" * 5000)
        told.finish()
        self.assertEqual(octets(answer), b"y" * 5000)
        self.assertEqual(self.origin.asked, [])

    def test_large(self) -> None:
        """A file that is too large to be finished for nobody is finished for this."""
        self.refetch(*self.lose_files("/a.rpm"))
        self.patch(fillstate, "WORTH_FINISHING", 0)
        piece = b"z" * (1 << 20)
        told = self.origin.next().answer(Told(200, (), 3 * len(piece)))
        for _ in range(3):
            told.send(piece)
        self.assertFalse(told.abandoned)
        told.finish()
        self.assertEqual(self.stored("/a.rpm"), piece * 3)

    def test_two_at_once(self) -> None:
        """However many are lost, the upstream is not flooded."""
        paths = [f"/{number}.rpm" for number in range(5)]
        for entry in self.lose_files(*paths):
            self.refetch(entry)
        served = []
        while self.origin.asked:
            self.assertLessEqual(len(self.origin.asked), 2)
            question = self.origin.next()
            served.append(question.path)
            question.answer(whole(b"again"))
        self.assertEqual(served, paths)
        self.assertEqual(self.bench.store.entries, 5)

    def test_in_vain(self) -> None:
        """When it cannot be had, nothing further happens, and the next has its turn."""
        for entry in self.lose_files("/a.rpm", "/b.rpm", "/c.rpm", "/d.rpm"):
            self.refetch(entry)
        self.origin.next().fail(unreachable())
        self.origin.next().answer(Told(404))
        told = self.origin.next().answer(Told(200, (), 5000))
        told.send(b"x")
        told.fail(unreachable())
        self.origin.next().answer(whole(b"d"))
        self.assertEqual(self.stored("/d.rpm"), b"d")
        self.assertEqual(self.bench.store.entries, 1)

    def test_no_backend(self) -> None:
        """Of a backend that is not there any more nothing is fetched."""
        (entry,) = self.lose_files("/a.rpm")
        self.assertFalse(Refetch(self.bench.cache, lambda: [PLACE], "us")(entry))
        self.assertEqual(self.origin.asked, [])

    def test_stop(self) -> None:
        """At the end nothing more is begun, and what has begun is nobody's any more."""
        self.patch(fillstate, "WORTH_FINISHING", 0)
        first, second, third, fourth = self.lose_files("/a.rpm", "/b.rpm", "/c.rpm", "/d.rpm")
        for entry in (first, second, third):
            self.refetch(entry)
        told = self.origin.next().answer(Told(200, (), 1 << 20))
        self.refetch.stop()
        self.assertTrue(told.abandoned)
        self.assertFalse(self.refetch(fourth))
        self.assertEqual([question.path for question in self.origin.asked], ["/b.rpm"])


class IndexTests(GenerationsTestCase):
    """Index files, which are fetched with their siblings."""

    def test_member(self) -> None:
        """One that was lost comes back into the snapshot that is shown."""
        self.publish(1)
        self.assertEqual(self.poll(), self.snapshot(1))
        entry = self.entry_of(REPOMD)
        self.bench.store.doom(entry)
        Refetch(self.bench.cache, lambda: [BACKEND], "us")(entry)
        self.assertEqual(self.stored(REPOMD), self.content(REPOMD, 1))
        self.assertEqual(self.stored(MEDIA), self.content(MEDIA, 1))
        before = len(self.origin.log)
        self.assertEqual(self.poll(connection=2), self.snapshot(1))
        self.assertEqual(len(self.origin.log), before)


class GenericTests(RefetchTestCase):
    """What was stored of a generic backend."""

    def stored_anew(self, *fields: tuple[str, str]) -> list[Entry]:
        """Give what is stored of a response with these fields."""
        asked = Asked("GET", "a=1", (("Accept-Language", "de"),), "192.0.2.1")
        asking = Deferred.fromCoroutine(self.bench.cache.obtain(PLACE, Target("/api", "/x"), asked))
        self.origin.next().answer(whole(b"eins", HOUR, *fields))
        octets(self.successResultOf(asking))
        return self.all_stored()

    def all_stored(self) -> list[Entry]:
        """Give what is stored of it, whatever the variant."""
        return self.successResultOf(run(self.bench.store.all_of(Target("/api", "/x?a=1"))))

    def test_query(self) -> None:
        """It is asked for by its query."""
        (entry,) = self.stored_anew()
        self.bench.store.doom(entry)
        self.assertTrue(self.refetch(entry))
        question = self.origin.next()
        self.assertEqual(question.url, "https://authority.example/api/x?a=1")
        self.assertEqual(question.field("via"), "1.1 us")
        question.answer(whole(b"eins", HOUR))
        (again,) = self.all_stored()
        self.assertEqual((again.target, again.length), (entry.target, 4))

    def test_queries(self) -> None:
        """An empty query is one; what has none is asked for by its path."""
        for path, query in (("/x?", ""), ("/x", None), ("/x?a?b", "a?b")):
            question = Target("/api", "/x"), Asked(query=query, via="1.1 us")
            asking = Deferred.fromCoroutine(self.bench.cache.obtain(PLACE, *question))
            self.origin.next().answer(whole(b"eins", HOUR))
            octets(self.successResultOf(asking))
            entry = find(self.bench.store, Target("/api", path))
            assert entry is not None
            self.assertEqual(question_of(PLACE, entry, "1.1 us"), question)

    def test_variant(self) -> None:
        """Of what varies it is not known who gets the variant that was lost: it is left alone."""
        (entry,) = self.stored_anew(("Vary", "Accept-Language"))
        self.bench.store.doom(entry)
        self.assertFalse(self.refetch(entry))
        self.assertEqual(self.origin.asked, [])

    def test_question(self) -> None:
        """A question mark in the name of a repository's file is none."""
        (entry,) = self.lose_files("/a%3Fb.rpm")
        self.assertEqual(
            question_of(BACKEND, entry, "1.1 us"),
            (Target("/", "/a%3Fb.rpm"), Asked(query=None, via="1.1 us")),
        )
