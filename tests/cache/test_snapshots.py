"""Tests of `osproxy.cache.snapshots`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.snapshots import (
    MEDIA,
    REPOMD,
    SIGNATURE,
    Change,
    Document,
    Snapshot,
    belongs_together,
    compare,
    fetch,
    fetch_all,
    still_the_same,
)
from osproxy.cache.source import FileSource
from osproxy.model import Head
from osproxy.upstream.origin import Unreachable
from tests.cache.doubles import MODIFIED
from tests.cache.origin import Origin, Told, whole

if TYPE_CHECKING:
    from osproxy.cache.source import Source
    from osproxy.upstream.origin import Upstream


def document(content: bytes) -> Document:
    """Make an index file."""
    head = Head('"x"', (), None, "mirror.example", 0.0)
    return Document(head, content, hashlib.sha256(content).hexdigest())


def snapshot(repomd: bytes | None, media: bytes | None, signature: bytes = b"") -> Snapshot:
    """Make a snapshot of two index files and perhaps a signature."""
    members: dict[str, Document | None] = {
        REPOMD: None if repomd is None else document(repomd),
        MEDIA: None if media is None else document(media),
    }
    if signature:
        members[SIGNATURE] = document(signature)
    return Snapshot("t", 0.0, dict(members))


class CompareTests(SynchronousTestCase):
    """One look at repomd.xml and media.1/media tells what has happened to a repository."""

    def test_table(self) -> None:
        """Each combination has its meaning."""
        for before, repomd, media, expected in (
            ((b"1", b"m1"), b"1", b"m1", Change.NONE),
            ((b"1", None), b"1", None, Change.NONE),
            ((b"1", b"m1"), b"2", b"m2", Change.NEW),
            ((b"1", b"m1"), b"2", b"m1", Change.NEW),
            ((None, None), b"1", None, Change.NEW),
            ((b"1", b"m1"), b"1", b"m2", Change.IN_FLUX),
            ((b"1", b"m1"), b"1", None, Change.IN_FLUX),
            ((b"1", b"m1"), None, None, Change.GONE),
            ((None, None), None, None, Change.NONE),
            ((None, b"m1"), None, b"m2", Change.NEW),
            ((None, b"m1"), None, None, Change.GONE),
        ):
            fetched = snapshot(repomd, media)
            looked = {name: fetched.members[name] for name in (REPOMD, MEDIA)}
            change, _ = compare(
                snapshot(*before),
                {n: d for n, d in looked.items() if d is None or isinstance(d, Document)},
                None,
            )
            self.assertIs(change, expected, (before, repomd, media))

    def test_new_media_twice(self) -> None:
        """A new media.1/media beside the old repomd.xml is believed when it is seen again."""
        before = snapshot(b"1", b"m1")
        looked = {REPOMD: document(b"1"), MEDIA: document(b"m2")}
        change, suspect = compare(before, looked, None)
        self.assertIs(change, Change.IN_FLUX)
        self.assertIs(compare(before, looked, suspect)[0], Change.NEW)
        other = {REPOMD: document(b"1"), MEDIA: document(b"m3")}
        self.assertIs(compare(before, other, suspect)[0], Change.IN_FLUX)

    def test_new_signature_twice(self) -> None:
        """So is another signature, or one where there was none."""
        for signature in (b"s1", b""):
            before = snapshot(b"1", b"m1", signature)
            if not signature:
                before = evolve(before, members={**before.members, SIGNATURE: None})
            looked = {
                REPOMD: document(b"1"),
                MEDIA: document(b"m1"),
                SIGNATURE: document(b"s2"),
            }
            change, suspect = compare(before, looked, None)
            self.assertIs(change, Change.IN_FLUX)
            self.assertIs(compare(before, looked, suspect)[0], Change.NEW)

    def test_unknown(self) -> None:
        """What is not known of the snapshot says nothing about a change."""
        looked = {REPOMD: document(b"1"), MEDIA: document(b"m1"), SIGNATURE: document(b"s")}
        self.assertIs(compare(snapshot(b"1", b"m1"), looked, None)[0], Change.NONE)


class BelongsTogetherTests(SynchronousTestCase):
    """A signature of the last snapshot does not fit a new repomd.xml."""

    def test_old_signature(self) -> None:
        """A new repomd.xml beside the old signature is half of a publication."""
        before = snapshot(b"1", None, b"s1")
        new, old_signature = document(b"2"), document(b"s1")
        self.assertFalse(belongs_together(before, {REPOMD: new, SIGNATURE: old_signature}))
        self.assertTrue(belongs_together(before, {REPOMD: new, SIGNATURE: document(b"s2")}))

    def test_nothing_to_compare(self) -> None:
        """An unsigned repository, and the first snapshot, are taken as they come."""
        pair = {REPOMD: document(b"2"), SIGNATURE: None}
        self.assertTrue(belongs_together(snapshot(b"1", None, b"s1"), pair))
        self.assertTrue(belongs_together(None, {REPOMD: document(b"2"), SIGNATURE: document(b"s")}))
        same = {REPOMD: document(b"1"), SIGNATURE: document(b"s1")}
        self.assertTrue(belongs_together(snapshot(b"1", None, b"s1"), same))


class FetchTests(SynchronousTestCase):
    """Index files are fetched whole, and together."""

    def setUp(self) -> None:
        """Have an upstream."""
        self.origin = Origin()

    def source_of(self, name: str) -> Source:
        """Name the source of a member."""
        return FileSource(cast("Upstream", self.origin), name, https_only=True)

    def fetched(self, told: Told, name: str = REPOMD) -> Deferred[Document | None]:
        """Fetch one file."""
        fetching = Deferred.fromCoroutine(fetch(self.source_of(name), name, 7.0))
        self.origin.next().answer(told)
        return fetching

    def test_whole(self) -> None:
        """A file comes with its digest, and is never asked for conditionally."""
        fetching = Deferred.fromCoroutine(fetch(self.source_of(REPOMD), REPOMD, 7.0))
        question = self.origin.next()
        self.assertEqual(question.fields, ())
        question.answer(whole(b"index"))
        found = self.successResultOf(fetching)
        assert found is not None
        self.assertEqual(found.content, b"index")
        self.assertEqual(found.digest, hashlib.sha256(b"index").hexdigest())
        self.assertEqual(found.head.date, 7.0)

    def test_absent(self) -> None:
        """Where there is none, object stores say 403 for 404; of repomd.xml that proves nothing."""
        for name in (SIGNATURE, MEDIA):
            for status in (401, 403, 404, 410):
                self.assertIsNone(self.successResultOf(self.fetched(Told(status, (), 0), name)))
        for status in (404, 410):
            self.assertIsNone(self.successResultOf(self.fetched(Told(status, (), 0))))
        for status in (401, 403):
            for name in (REPOMD, "content"):
                self.failureResultOf(self.fetched(Told(status, (), 0), name), Unreachable)

    def test_error(self) -> None:
        """Any other status says neither that there is one nor that there is none."""
        for status in (206, 304, 500, 503):
            told = Told(status, (), 9)
            self.failureResultOf(self.fetched(told), Unreachable)
            self.assertTrue(told.abandoned)

    def test_together(self) -> None:
        """Several are asked for at once; all come, or the reason why not."""
        self.origin.files["a"] = b"1"
        fetching = Deferred.fromCoroutine(fetch_all(self.source_of, ("a", "b", "c"), 0.0))
        self.assertEqual([question.url for question in self.origin.asked], ["b", "c"])
        self.origin.next().answer(whole(b"", status=404))
        self.origin.next().answer(whole(b"3"))
        found = self.successResultOf(fetching)
        contents = [one and one.content for one in found.values()]
        self.assertEqual(contents, [b"1", None, b"3"])
        fetching = Deferred.fromCoroutine(fetch_all(self.source_of, ("b", "c"), 0.0))
        self.origin.next().fail()
        self.failureResultOf(fetching, Unreachable)
        self.origin.next().fail()

    def test_still_the_same(self) -> None:
        """A look by HEAD tells whether there is another file by now."""
        head = Head('"x"', (MODIFIED,), '"1"', "mirror.example", 0.0)
        before = Document(head, b"index", "0")
        other = ("Last-Modified", "Thu, 01 Jan 1970 02:00:00 GMT")
        for told, same in (
            (Told(200, (("ETag", '"1"'), MODIFIED), 5), True),
            (Told(200, (), None), True),
            (Told(200, (("ETag", '"2"'), MODIFIED), 5), False),
            (Told(200, (("ETag", '"1"'), other), 5), False),
            (Told(200, (MODIFIED,), 6), False),
            (Told(404, (), 0), False),
        ):
            looking = Deferred.fromCoroutine(still_the_same(self.source_of(REPOMD), before))
            question = self.origin.next()
            self.assertTrue(question.head)
            question.answer(told)
            self.assertEqual(self.successResultOf(looking), same, told)
