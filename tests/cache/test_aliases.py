"""Tests of `osproxy.cache.aliases`: one file, found under the alias and under its real name."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, cast

from attrs import evolve

from osproxy.cache.aliases import real_target, same_file
from osproxy.cache.fillstate import Order
from osproxy.cache.source import FileSource
from osproxy.model import Expectation, Relayed, Representation, Target
from osproxy.repo.digests import digest_in_name
from osproxy.repo.kinds import Kind, classify
from osproxy.repo.policies import policy_of
from tests.cache.doubles import DATE, MODIFIED, CacheTestCase, body_of, close, octets, passed, read
from tests.cache.origin import BACKEND, Told, unreachable, whole
from tests.store.doubles import MIB, Failing, WhenTold, at_once, run

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from osproxy.model import Answer
    from osproxy.upstream.origin import Reply

IMAGES = evolve(BACKEND, large_objects=True)
ALIAS = "/iso/dvd-Current.iso"
FIRST, SECOND = "/iso/dvd-Build1.iso", "/iso/dvd-Build2.iso"
BODY, NEW = b"an image " * 2000, b"a new one" * 2000
HOUR = 3600


def name_of(path: str) -> str:
    """Name the file of a path."""
    return path.rpartition("/")[2]


def tagged(body: bytes, real: str | None = None) -> Told:
    """Make a reply with a strong tag, whose body is still to come."""
    tag = ("ETag", f'"{hash(body):x}"')
    return Told(200, (tag, DATE), len(body), alias_of=None if real is None else name_of(real))


class AliasTestCase(CacheTestCase):
    """Images are kept, and the origin redirects."""

    def ask(self, path: str, *fields: tuple[str, str]) -> Deferred[Answer]:
        """Ask for a file."""
        return self.bench.get(path, *fields, backend=IMAGES)

    def fetch(self, path: str, body: bytes, told: Told) -> Answer:
        """Have a file fetched, whole."""
        asked = self.ask(path)
        self.origin.next().answer(told)
        answer = self.successResultOf(asked)
        reading = read(answer)
        told.send(body)
        told.finish()
        self.assertEqual(self.successResultOf(reading), body)
        return answer

    def hit(self, path: str, body: bytes) -> None:
        """See that a file is served without a question."""
        answer = self.successResultOf(self.ask(path))
        self.assertTrue(answer.cache_status.hit, answer)
        self.assertEqual(octets(answer), body)
        self.assertEqual(self.origin.asked, [])

    def given_up(self, path: str, body: bytes, told: Told) -> Answer:
        """See that a file is asked for, and served without an octet of the reply."""
        asked = self.ask(path)
        self.origin.next().answer(told)
        answer = self.successResultOf(asked)
        self.assertTrue(told.abandoned)
        self.assertEqual(octets(answer), body)
        return answer

    def assert_bodies(self, count: int, *paths: str) -> None:
        """See how many bodies these have."""
        self.assertEqual(len({self.entry_of(path).body.id for path in paths}), count)


class ColdTests(AliasTestCase):
    """What is fetched by the alias has its real name, too."""

    def test_real_name_is_a_hit(self) -> None:
        """The body comes once, and is there under both names, and after a restart."""
        self.fetch(ALIAS, BODY, tagged(BODY, FIRST))
        for _ in range(2):
            for path in (FIRST, ALIAS):
                self.hit(path, BODY)
            self.assert_bodies(1, ALIAS, FIRST)
            self.bench.stop()
            self.bench.start()
        self.assertEqual(self.origin.log, [f"GET {ALIAS}"])
        self.assertEqual(self.entry_of(FIRST).head, self.entry_of(ALIAS).head)

    def test_real_name_is_there(self) -> None:
        """What is stored under the real name already stays what it is."""
        self.fetch(FIRST, NEW, tagged(NEW))
        self.fetch(ALIAS, BODY, tagged(BODY, FIRST))
        self.hit(FIRST, NEW)
        self.hit(ALIAS, BODY)

    def test_real_name_was_begun(self) -> None:
        """What was put aside under the real name is not needed any more."""
        large = BODY * 100
        asked = self.ask(FIRST)
        self.origin.next().answer(told := tagged(large))
        reading = read(self.successResultOf(asked))
        told.send(large[: 1 << 20])
        told.fail(unreachable())
        for seconds in (1, 2, 4):
            self.bench.advance(seconds)
            self.origin.next().fail()
        self.failureResultOf(reading)
        self.assertEqual(len(self.bench.store.kept), 1)
        self.fetch(ALIAS, large, tagged(large, FIRST))
        self.assertEqual(len(self.bench.store.kept), 0)
        self.hit(FIRST, large)

    def test_no_alias(self) -> None:
        """Without such a redirect there is one name."""
        self.fetch(ALIAS, BODY, tagged(BODY))
        self.assertEqual(self.bench.store.entries, 1)

    def test_not_kept(self) -> None:
        """Where images are not kept nothing is stored of them."""
        asked = self.bench.get(ALIAS)
        self.origin.next().answer(told := tagged(BODY, FIRST))
        answer = self.successResultOf(asked)
        self.assertIsInstance(answer.content, Relayed)
        taking = passed(answer)
        told.send(BODY)
        told.finish()
        self.assertEqual(self.successResultOf(taking), BODY)
        self.assertEqual(self.bench.store.entries, 0)

    def test_no_second_name(self) -> None:
        """Where there can be none, the alias is stored as it is, and the client has it."""
        for in_thread, in_database in (
            (Failing({"link_body": PermissionError(1, "not permitted")}), at_once),
            (at_once, Failing({"rows": sqlite3.OperationalError("locked")})),
        ):
            place = self.bench.place
            place.in_thread, place.in_database = in_thread, in_database
            self.fetch(ALIAS, BODY, tagged(BODY, FIRST))
            place.in_thread = place.in_database = at_once
            self.hit(ALIAS, BODY)
            if in_database is at_once:
                self.assertIsNone(self.stored(FIRST))
            self.bench.store.doom_all(Target("/", ALIAS))
            self.bench.store.doom_all(Target("/", FIRST))

    def test_row_of_second_name(self) -> None:
        """Where the catalogue fails just then, it is counted, and the alias is stored."""
        asked = self.ask(ALIAS)
        self.origin.next().answer(told := tagged(BODY, FIRST))
        reading = read(self.successResultOf(asked))
        told.send(BODY)
        self.bench.place.checkpoint = self._break_after_commit
        told.finish()
        self.assertEqual(self.successResultOf(reading), BODY)
        self.bench.place.checkpoint = lambda name: None
        self.bench.place.in_database = at_once
        self.hit(ALIAS, BODY)
        self.assertIsNone(self.stored(FIRST))
        registry = self.bench.place.metrics.registry
        labels = {"work": "catalogue"}
        # To write the row, and to take it back, which is tried again.
        self.assertEqual(registry.get_sample_value("osproxy_disk_troubles_total", labels), 2.0)
        self.bench.advance(60)

    def _break_after_commit(self, name: str) -> None:
        if name == "after-visible":
            trouble = sqlite3.OperationalError("disk I/O error")
            self.bench.place.in_database = Failing({"_swap": trouble})


class StoredTests(AliasTestCase):
    """What is stored under the real name need not come by the alias."""

    def test_given_up(self) -> None:
        """The reply is given up, who asked is served from the store; then both are hits."""
        self.fetch(FIRST, BODY, tagged(BODY))
        tag = self.entry_of(FIRST).head.etag
        answer = self.given_up(ALIAS, BODY, tagged(BODY, FIRST))
        said = answer.cache_status.serialise()
        for part in ("fwd=uri-miss", "fwd-status=200", "stored"):
            self.assertIn(part, said)
        for _ in range(2):
            for path in (FIRST, ALIAS):
                self.hit(path, BODY)
            self.assert_bodies(1, ALIAS, FIRST)
            self.assertEqual(self.entry_of(FIRST).head.etag, tag)
            self.bench.stop()
            self.bench.start()
        fills = self.bench.place.metrics.registry.get_sample_value
        self.assertEqual(fills("osproxy_fills_running"), 0.0)

    def test_link_removed(self) -> None:
        """Where somebody has removed the first link, the other name is served in that request."""
        self.fetch(FIRST, BODY, tagged(BODY))
        close(self.given_up(ALIAS, BODY, tagged(BODY, FIRST)))
        self.entry_of(ALIAS).body.path.unlink()
        self.hit(ALIAS, BODY)
        self.assertIsNone(self.stored(FIRST))

    def test_file_removed(self) -> None:
        """Where the whole file is gone, it is fetched in the same request, by whatever name."""
        for path in (FIRST, ALIAS):
            self.fetch(FIRST, BODY, tagged(BODY))
            close(self.given_up(ALIAS, BODY, tagged(BODY, FIRST)))
            for link in self.entry_of(FIRST).body.links:
                link.unlink()
            self.fetch(path, BODY, tagged(BODY))
            for name in (FIRST, ALIAS):
                self.bench.store.doom_all(Target("/", name))

    def test_waiting(self) -> None:
        """All who waited are served, each with what it asked for."""
        self.fetch(FIRST, BODY, tagged(BODY))
        waiting = [self.ask(ALIAS) for _ in range(3)]
        (question,) = self.origin.asked
        self.origin.next()
        leaving = waiting.pop()
        leaving.cancel()
        self.failureResultOf(leaving)
        question.answer(tagged(BODY, FIRST))
        for asked in waiting:
            self.assertEqual(octets(self.successResultOf(asked)), BODY)

    def test_by_date(self) -> None:
        """A date that was settled when it was stored tells, whatever the mirrors' tags are."""
        first = Told(200, (MODIFIED, DATE, ("ETag", '"a"')), len(BODY), host="a.example")
        self.fetch(FIRST, BODY, first)
        told = evolve(first, host="b.example", alias_of=name_of(FIRST), fields=(MODIFIED, DATE))
        self.given_up(ALIAS, BODY, told)

    def test_other_version(self) -> None:
        """What is another version under the real name by now comes, and what is stored stays."""
        self.fetch(FIRST, BODY, tagged(BODY))
        self.fetch(ALIAS, NEW, tagged(NEW, FIRST))
        self.hit(FIRST, BODY)
        self.assert_bodies(2, ALIAS, FIRST)

    def test_no_name(self) -> None:
        """Where there can be no second name, the body comes as if nothing were there."""
        self.fetch(FIRST, BODY, tagged(BODY))
        self.bench.place.in_thread = Failing({"link_body": PermissionError(1, "not permitted")})
        answer = self.fetch(ALIAS, BODY, tagged(BODY, FIRST))
        self.bench.place.in_thread = at_once
        self.assertFalse(answer.cache_status.hit)
        self.assert_bodies(2, ALIAS, FIRST)

    def test_stopped_meanwhile(self) -> None:
        """A stop while it is given its name leaves no reply behind."""
        self.fetch(FIRST, BODY, tagged(BODY))
        place = self.bench.place
        asked = self.ask(ALIAS)
        place.in_thread = place.in_database = threads = WhenTold()
        self.origin.next().answer(told := tagged(BODY, FIRST))
        self.assertNoResult(asked)
        stopping = run(self.bench.cache.stop())
        threads.run_all()
        self.successResultOf(stopping)
        place.in_thread = place.in_database = at_once
        self.assertTrue(told.abandoned)
        self.assertEqual(self.status_of(self.successResultOf(asked)), 502)

    def test_small_mutable(self) -> None:
        """A file that tells the checksum of an alias's file is given its real name, too."""
        alias, real = f"{ALIAS}.sha256", f"{FIRST}.sha256"
        self.fetch(alias, b"abc", tagged(b"abc", real))
        self.hit(real, b"abc")
        self.bench.store.doom_all(Target("/", alias))
        self.given_up(alias, b"abc", tagged(b"abc", real))


class TogetherTests(AliasTestCase):
    """Who asks by another name while the file comes reads what comes."""

    def streaming(self, path: str, told: Told) -> Answer:
        """Have a file asked for, and half of it come."""
        asked = self.ask(path)
        self.origin.next().answer(told)
        told.send(BODY[:9000])
        return self.successResultOf(asked)

    def following(self, path: str, told: Told, *fields: tuple[str, str]) -> Answer:
        """See that a file is asked for, and nothing of the reply is taken."""
        asked = self.ask(path, *fields)
        self.origin.next().answer(told)
        self.assertTrue(told.abandoned)
        return self.successResultOf(asked)

    def test_one_transfer(self) -> None:
        """Whichever name comes first, all have the file by one transfer, and both are hits then."""
        for first, second in ((FIRST, ALIAS), (ALIAS, FIRST)):
            named = {FIRST: None, ALIAS: FIRST}
            answers = [self.streaming(first, told := tagged(BODY, named[first]))]
            answers.append(self.following(second, tagged(BODY, named[second])))
            # While it comes nobody need be asked any more.
            answers += [self.successResultOf(self.ask(path)) for path in (first, second)]
            self.assertEqual(self.origin.asked, [])
            for answer in answers[1:]:
                self.assertIn("collapsed", answer.cache_status.serialise())
            reading = [read(answer) for answer in answers]
            told.send(BODY[9000:])
            told.finish()
            for one in reading:
                self.assertEqual(self.successResultOf(one), BODY)
            for answer, path in zip(answers, (first, second), strict=False):
                assert isinstance(answer.content, Representation)
                self.assertEqual(answer.content.head, self.entry_of(path).head)
            for path in (ALIAS, FIRST):
                self.hit(path, BODY)
            self.assert_bodies(1, ALIAS, FIRST)
            for path in (ALIAS, FIRST):
                self.bench.store.doom_all(Target("/", path))

    def test_another_alias(self) -> None:
        """Two aliases of one file have one transfer, too."""
        other = "/iso/net-Current.iso"
        answer = self.streaming(ALIAS, told := tagged(BODY, FIRST))
        reading = [read(answer), read(self.following(other, tagged(BODY, FIRST)))]
        told.send(BODY[9000:])
        told.finish()
        for one in reading:
            self.assertEqual(self.successResultOf(one), BODY)
        self.assert_bodies(1, ALIAS, FIRST, other)

    def test_other_version(self) -> None:
        """What is not the same for certain is transferred by itself."""
        for told in (tagged(NEW, FIRST), Told(200, (DATE,), len(BODY), alias_of=name_of(FIRST))):
            answer = self.streaming(FIRST, first := tagged(BODY))
            asked = self.ask(ALIAS)
            self.origin.next().answer(told)
            self.assertFalse(told.abandoned)
            close(self.successResultOf(asked))
            close(answer)
            first.send(BODY[9000:])
            first.finish()
            told.send(bytes(told.length or 0))
            told.finish()
            for path in (ALIAS, FIRST):
                self.bench.store.doom_all(Target("/", path))

    def test_first_leaves(self) -> None:
        """The transfer goes on for who came second."""
        self.bench.stop()
        self.bench.place.cache_size = 512 * MIB
        self.bench.start()
        large = BODY * 9000
        answers = [self.streaming(FIRST, told := tagged(large))]
        answers.append(self.following(ALIAS, tagged(large, FIRST)))
        for answer in answers:
            self.assertFalse(told.abandoned)
            close(answer)
        self.assertTrue(told.abandoned)
        # Both names are free for the next.
        self.fetch(ALIAS, BODY, tagged(BODY, FIRST))

    def test_fails(self) -> None:
        """When it breaks off for good, it does so for all, and is begun anew by either name."""
        answers = [self.streaming(FIRST, told := tagged(BODY))]
        answers.append(self.following(ALIAS, tagged(BODY, FIRST)))
        reading = [read(answer) for answer in answers]
        told.fail(unreachable())
        for seconds in (1, 2, 4):
            self.bench.advance(seconds)
            self.origin.next().fail()
        for one in reading:
            self.failureResultOf(one)
        for path in (ALIAS, FIRST):
            self.fetch(path, NEW, tagged(NEW))

    def test_no_name(self) -> None:
        """Where there can be no second name the second client has the file all the same."""
        answer = self.streaming(FIRST, told := tagged(BODY))
        reading = [read(answer), read(self.following(ALIAS, tagged(BODY, FIRST)))]
        self.bench.place.in_thread = Failing({"link_body": PermissionError(1, "not permitted")})
        told.send(BODY[9000:])
        told.finish()
        self.bench.place.in_thread = at_once
        for one in reading:
            self.assertEqual(self.successResultOf(one), BODY)
        self.assertIsNone(self.stored(ALIAS))

    def test_far_ahead(self) -> None:
        """A range that is far ahead is not waited for, by whatever name it is asked for."""
        large = BODY * 3000
        close_later = self.streaming(FIRST, tagged(large))
        asked = self.ask(ALIAS, ("Range", "bytes=40000000-40000001"))
        self.origin.next().answer(tagged(large, FIRST))
        part = ("Content-Range", f"bytes 40000000-40000001/{len(large)}")
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=40000000-40000001")
        tag = tagged(large).fields[0]
        question.answer(told := Told(206, (tag, part, DATE), 2))
        taking = passed(self.successResultOf(asked))
        told.send(b"ab")
        told.finish()
        self.assertEqual(self.successResultOf(taking), b"ab")
        close(close_later)

    def test_being_revalidated(self) -> None:
        """What may end in what was stored before is not followed."""
        self.fetch(ALIAS, NEW, tagged(NEW, SECOND))
        self.bench.advance(HOUR)
        answer = self.streaming(ALIAS, first := tagged(BODY, FIRST))
        self.fetch(FIRST, BODY, tagged(BODY))
        first.send(BODY[9000:])
        first.finish()
        self.assertEqual(octets(answer), BODY)

    def test_stopped_meanwhile(self) -> None:
        """A stop ends both."""
        answers = [self.streaming(FIRST, told := tagged(BODY))]
        answers.append(self.following(ALIAS, tagged(BODY, FIRST)))
        self.successResultOf(run(self.bench.cache.stop()))
        self.assertTrue(told.abandoned)
        for answer in answers:
            self.failureResultOf(read(answer))


class GuardedTests(AliasTestCase):
    """Images are kept when they are asked for a second time, aliases of what is stored at once."""

    def ask(self, path: str, *fields: tuple[str, str]) -> Deferred[Answer]:
        """Ask for a file."""
        guarded = evolve(IMAGES, guarded=frozenset({Kind.IMAGE, Kind.MUTABLE}))
        return self.bench.get(path, *fields, backend=guarded)

    def passed(self, path: str, body: bytes, told: Told, *fields: tuple[str, str]) -> Told:
        """Have a file asked for, passed on, and not kept."""
        asked = self.ask(path, *fields)
        self.origin.next().answer(told)
        if fields:
            self.assertTrue(told.abandoned)
            told = self.origin.next().answer(whole(body[:9], status=206))
            body = body[:9]
        answer = self.successResultOf(asked)
        self.assertIsInstance(answer.content, Relayed)
        taking = passed(answer)
        told.send(body)
        told.finish()
        self.assertEqual(self.successResultOf(taking), body)
        self.assertIsNone(self.stored(path))
        return told

    def test_stored_under_its_real_name(self) -> None:
        """The alias is served from the store at its first request, a range of it, too."""
        for fields, part in (((), BODY), ((("Range", "bytes=0-9"),), BODY)):
            self.passed(FIRST, BODY, tagged(BODY))
            self.fetch(FIRST, BODY, tagged(BODY))
            asked = self.ask(ALIAS, *fields)
            self.origin.next().answer(told := tagged(BODY, FIRST))
            self.assertEqual(octets(self.successResultOf(asked)), part)
            self.assertTrue(told.abandoned)
            self.hit(ALIAS, BODY)
            self.assert_bodies(1, ALIAS, FIRST)
            for path in (ALIAS, FIRST):
                self.bench.store.doom_all(Target("/", path))
            self.bench.advance(2 * HOUR)

    def test_not_stored(self) -> None:
        """What is stored under no name, or as another version, is kept at the second request."""
        self.passed(ALIAS, BODY, tagged(BODY, FIRST), ("Range", "bytes=0-8"))
        self.fetch(ALIAS, BODY, tagged(BODY, FIRST))
        self.bench.store.doom_all(Target("/", ALIAS))
        self.bench.advance(2 * HOUR)
        self.passed(ALIAS, NEW, tagged(NEW, FIRST))
        self.assertEqual(self.bench.store.drafts, 0)
        self.assertEqual(self.stored(FIRST), BODY)

    def test_at_the_same_time(self) -> None:
        """Who asks before there is an answer asks for a second time, but not by HEAD."""
        for again in (False, True):
            asked = self.ask(ALIAS)
            looked = self.bench.get(ALIAS, head=True, backend=IMAGES)
            if again:
                leaving = self.ask(ALIAS)
                leaving.cancel()
                self.failureResultOf(leaving)
            self.origin.next().answer(told := tagged(BODY, FIRST))
            if not again:
                self.origin.next().answer(Told(200, (), len(BODY)))
            close(self.successResultOf(looked))
            answer = self.successResultOf(asked)
            taking = read(answer) if again else passed(answer)
            told.send(BODY)
            told.finish()
            self.assertEqual(self.successResultOf(taking), BODY)
            self.assertEqual(self.stored(ALIAS), BODY if again else None)
            self.bench.advance(2 * HOUR)

    def test_missing(self) -> None:
        """What the authority denies is remembered as with any file."""
        asked = self.ask(ALIAS)
        self.origin.next().answer(Told(404, (), None))
        self.assertEqual(self.status_of(self.successResultOf(asked)), 404)
        self.assertEqual(self.status_of(self.successResultOf(self.ask(ALIAS))), 404)

    def test_no_alias(self) -> None:
        """What cannot have another name is not asked for as if it were to be kept."""
        asked = self.ask("/iso/a.iso.sha256", ("Range", "bytes=0-1"))
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=0-1")
        question.answer(whole(b"ab", status=206))
        self.assertEqual(self.successResultOf(passed(self.successResultOf(asked))), b"ab")


class StaleTests(AliasTestCase):
    """An alias is asked about as any entry is, and moves on."""

    def setUp(self) -> None:
        """Have an alias that was fetched an hour ago."""
        super().setUp()
        self.fetch(ALIAS, BODY, tagged(BODY, FIRST))
        self.bench.advance(HOUR)

    def test_confirmed(self) -> None:
        """A 304 confirms it; the real name is asked about by itself."""
        asked = self.ask(ALIAS)
        question = self.origin.next()
        self.assertEqual(question.field("if-none-match"), self.entry_of(ALIAS).head.upstream_etag)
        question.answer(Told(304, (), None))
        self.assertEqual(octets(self.successResultOf(asked)), BODY)
        self.hit(ALIAS, BODY)
        close(self.given_up(FIRST, BODY, Told(304, (), None)))

    def test_moves_on(self) -> None:
        """The new file comes, and is both; the old one stays under its own name."""
        self.fetch(ALIAS, NEW, tagged(NEW, SECOND))
        for path, body in ((ALIAS, NEW), (SECOND, NEW), (FIRST, BODY)):
            self.assertEqual(self.stored(path), body)
        self.assert_bodies(1, ALIAS, SECOND)
        self.hit(SECOND, NEW)

    def test_moves_on_to_what_is_there(self) -> None:
        """Where the new file is stored, nothing comes."""
        self.fetch(SECOND, NEW, tagged(NEW))
        reading = self.entry_of(ALIAS)
        answer = self.given_up(ALIAS, NEW, tagged(NEW, SECOND))
        self.assertIn("fwd=stale", answer.cache_status.serialise())
        self.assertIsNot(self.entry_of(ALIAS), reading)
        self.assert_bodies(1, ALIAS, SECOND)
        self.assertEqual(self.stored(FIRST), BODY)
        self.hit(ALIAS, NEW)

    def test_denied_before(self) -> None:
        """An alias that was denied and is there again starts with a clean slate."""
        self.fetch(SECOND, NEW, tagged(NEW))
        self.given_up(ALIAS, BODY, Told(404, (), None))
        self.bench.advance(61)
        self.given_up(ALIAS, NEW, tagged(NEW, SECOND))
        self.bench.advance(48 * HOUR)
        self.given_up(ALIAS, NEW, Told(404, (), None))
        self.assertEqual(self.stored(ALIAS), NEW)

    def test_authority_away(self) -> None:
        """Both are served stale."""
        for path in (ALIAS, FIRST):
            asked = self.ask(path)
            self.origin.next().fail(unreachable())
            answer = self.successResultOf(asked)
            self.assertTrue(answer.cache_status.stale)
            self.assertEqual(octets(answer), BODY)

    def test_reader_of_the_old(self) -> None:
        """Who reads the old file reads it to its end."""
        asked = self.ask(ALIAS)
        self.origin.next().answer(Told(304, (), None))
        answer = self.successResultOf(asked)
        self.bench.advance(HOUR)
        self.fetch(ALIAS, NEW, tagged(NEW, SECOND))
        self.bench.store.doom_all(Target("/", FIRST))
        self.assertEqual(body_of(answer).available, len(BODY))
        self.assertEqual(octets(answer), BODY)


class RealTargetTests(AliasTestCase):
    """Which replies have a file of another name."""

    def real(self, path: str, name: str | None) -> str | None:
        """Give the path of the real name."""
        policy = policy_of(classify(path), path, large_objects=True, freshness={})
        source = FileSource(self.bench.upstream, BACKEND.url_of(path), https_only=False)
        expectation = Expectation(digest_in_name(path))
        order = Order(Target("/a", path), source, policy, expectation)
        real = real_target(order, cast("Reply", Told(alias_of=name)))
        if real is not None:
            self.assertEqual((real.backend, real.variant), ("/a", ""))
        return None if real is None else real.path

    def test_images(self) -> None:
        """Any image may be an alias."""
        for path in ("/iso/dvd-Current.iso", "/iso/dvd.iso"):
            self.assertEqual(self.real(path, "dvd-1.iso"), "/iso/dvd-1.iso")
            self.assertIsNone(self.real(path, None))
        self.assertEqual(self.real("/dvd.iso", "dvd-1.iso"), "/dvd-1.iso")

    def test_others(self) -> None:
        """Other files may be if they are called as aliases are, and would be kept alike."""
        digest = "ab" * 32
        for path, name, real in (
            ("/x/a-Current.iso.sha256", "a-1.iso.sha256", "/x/a-1.iso.sha256"),
            ("/x/a-Current.odd", "a-1.odd", "/x/a-1.odd"),
            ("/x/a.iso.sha256", "a-1.iso.sha256", None),
            ("/x-Current/a.sha256", "a-1.sha256", None),
            ("/x/a-1.noarch.rpm", "b-1.noarch.rpm", None),
            ("/repodata/repomd.xml", "other.xml", None),
            ("/x/a-Current.xml", "repomd.php", None),
            (f"/repodata/{digest}-Current.xml", f"{digest}-1.xml", None),
            ("/repodata/a-Current.xml", f"{digest}-a.xml", None),
            ("/x/a-Current.img", "boot.img", None),
        ):
            with self.subTest(path):
                self.assertEqual(self.real(path, name), real)


class SameFileTests(AliasTestCase):
    """What is stored and what would come must be the same for certain."""

    def same(self, stored: Told, told: Told) -> bool:
        """Compare a stored file with a reply that comes a little later."""
        path = f"/iso/{id(stored)}.iso"
        self.fetch(path, BODY, evolve(stored))
        entry = self.entry_of(path)
        return same_file(entry.head, entry.length, cast("Reply", told))

    def reply(
        self, *fields: tuple[str, str], length: int | None = len(BODY), host: str = "a"
    ) -> Told:
        """Make a reply."""
        return Told(200, (*fields, DATE), length, host=host)

    def test_table(self) -> None:
        """A strong tag that is equal, or else a settled date; and always the length."""
        tag, other, weak = ("ETag", '"t"'), ("ETag", '"u"'), ("ETag", 'W/"t"')
        fresh = ("Last-Modified", "Thu, 01 Jan 1970 09:59:30 GMT")
        coded = ("Content-Encoding", "gzip")
        reply = self.reply
        for stored, told, same in (
            (reply(tag), reply(tag), True),
            (reply(tag), reply(tag, host="b"), True),
            (reply(tag), reply(other), False),
            (reply(tag), reply(tag, length=len(BODY) + 1), False),
            (reply(tag), reply(tag, length=None), False),
            (reply(tag, MODIFIED), reply(other, MODIFIED), False),
            (reply(tag, MODIFIED), reply(other, MODIFIED, host="b"), True),
            (reply(tag, fresh), reply(other, fresh, host="b"), False),
            (reply(weak), reply(weak), False),
            (reply(weak, MODIFIED), reply(weak, MODIFIED), True),
            (reply(MODIFIED), reply(MODIFIED), True),
            (reply(MODIFIED), reply(MODIFIED, length=len(BODY) - 1), False),
            (reply(MODIFIED), reply(MODIFIED, coded), False),
            (reply(MODIFIED), reply(fresh), False),
            (reply(fresh), reply(fresh), False),
            (reply(), reply(), False),
        ):
            with self.subTest(stored=stored.fields, told=told.fields):
                self.assertIs(self.same(stored, told), same)
