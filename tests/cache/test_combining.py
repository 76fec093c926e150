"""Tests of `osproxy.cache.combining`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.combining import Incomplete, Refusal, Rest, incomplete, provenance_of
from osproxy.http.versions import Version
from osproxy.model import Expectation, Head
from osproxy.repo.digests import Digest
from osproxy.store.records import Provenance
from tests.cache.doubles import DATE, MODIFIED
from tests.cache.origin import Told
from tests.store.doubles import StoreTestCase, part_of, run

if TYPE_CHECKING:
    from osproxy.http.fields import Fields
    from osproxy.upstream.origin import Reply

TAG = ("ETag", '"v1"')
OTHER_TAG = ("ETag", '"v2"')
OTHER_DATE = ("Last-Modified", "Thu, 01 Jan 1970 02:00:00 GMT")
BYTERANGES = ("Content-Type", "multipart/byteranges; boundary=x")
DIGEST = Digest("sha256", "0" * 64)


def part(value: str) -> tuple[str, str]:
    """Write a Content-Range."""
    return ("Content-Range", value)


def begun(
    *fields: tuple[str, str],
    written: int = 40,
    length: int | None = 100,
    redirected: bool = False,
    digest: Digest | None = None,
    etag: str = '"ours"',
) -> Incomplete:
    """Have the beginning of a body that came with these fields, from one host."""
    version = Version.of(fields)
    head = Head(etag, fields, version.etag, "authority.example", 0.0)
    return Incomplete(written, length, head, Provenance(version, redirected, digest))


def judged(beginning: Incomplete, status: int, *fields: tuple[str, str]) -> Rest | Refusal:
    """Judge an answer whose length is not told."""
    return beginning.judge(cast("Reply", Told(status, fields)))


class QuestionTests(SynchronousTestCase):
    """What is asked for the rest."""

    def test_range(self) -> None:
        """It is asked from the first octet that is missing; one is repeated where none may be."""
        for written, length, start in (
            (40, 100, 40),
            (0, 100, 0),
            (99, 100, 99),
            (100, 100, 99),
            (40, None, 39),
            (0, None, 0),
            (0, 0, 0),
        ):
            question = begun(written=written, length=length).question
            self.assertEqual(question, (("Range", f"bytes={start}-"),), (written, length))

    def test_if_range(self) -> None:
        """
        If-Range names a strong validator (RFC 9110 section 13.1.5).

        It is left out where another mirror may answer, and where a digest decides.
        """
        for fields, named in (
            ((TAG,), TAG[1]),
            ((TAG, MODIFIED, DATE), TAG[1]),
            ((MODIFIED, DATE), MODIFIED[1]),
            ((MODIFIED,), None),
            ((("ETag", 'W/"v1"'), MODIFIED, DATE), None),
            ((), None),
        ):
            expected: Fields = (("Range", "bytes=40-"),)
            self.assertEqual(begun(*fields, redirected=True).question, expected)
            self.assertEqual(begun(*fields, digest=DIGEST).question, expected)
            if named is not None:
                expected = (*expected, ("If-Range", named))
            self.assertEqual(begun(*fields).question, expected, fields)


class PartTests(SynchronousTestCase):
    """Which 206 fits (RFC 9110 sections 15.3.7 and 14.4)."""

    def test_fits(self) -> None:
        """One that begins where it should, of the same version."""
        for fields, said, rest in (
            ((TAG,), (TAG, part("bytes 40-99/100")), Rest(0, 60, 100)),
            # A server may send less than it was asked for.
            ((TAG,), (TAG, part("bytes 40-49/100")), Rest(0, 10, 100)),
            ((MODIFIED, DATE), (MODIFIED, part("bytes 40-99/100")), Rest(0, 60, 100)),
            ((TAG, MODIFIED, DATE), (MODIFIED, part("bytes 40-99/100")), Rest(0, 60, 100)),
            ((TAG,), (TAG, part("BYTES 40-99/100")), Rest(0, 60, 100)),
        ):
            self.assertEqual(judged(begun(*fields), 206, *said), rest, said)

    def test_misfits(self) -> None:
        """Whatever is not exactly what was asked for is refused."""
        for said in (
            (TAG,),
            (TAG, part("")),
            (TAG, part("bytes 40-99")),
            (TAG, part("bytes */100")),
            (TAG, part("bytes 40-/100")),
            (TAG, part("bytes 99-40/100")),
            (TAG, part("bytes 40-100/100")),
            (TAG, part("bytes -40-99/100")),
            (TAG, part("bytes=40-99/100")),
            (TAG, part("octets 40-99/100")),
            (TAG, part("40-99/100")),
            (TAG, part("bytes 40-99/100, bytes 40-99/100")),
            (TAG, part("bytes 40-99/100"), part("bytes 40-99/100")),
            (TAG, part("bytes 0-99/100")),
            (TAG, part("bytes 0-39/100")),
            (TAG, part("bytes 39-99/100")),
            (TAG, part("bytes 41-99/100")),
            (TAG, part("bytes 40-99/*")),
            (TAG, BYTERANGES),
            (TAG, BYTERANGES, part("bytes 40-99/100")),
        ):
            self.assertIs(judged(begun(TAG), 206, *said), Refusal.MISFIT, said)
            self.assertIs(judged(begun(TAG, digest=DIGEST), 206, *said), Refusal.MISFIT, said)

    def test_changed(self) -> None:
        """A part of another version, or one of which that is not certain, is refused."""
        right = part("bytes 40-99/100")
        for fields, said in (
            ((TAG,), (TAG, part("bytes 40-100/101"))),
            ((TAG,), (TAG, part("bytes 40-89/90"))),
            ((TAG,), (OTHER_TAG, right)),
            ((TAG,), (("ETag", 'W/"v1"'), right)),
            ((TAG,), (("ETag", "v1"), right)),
            ((TAG,), (right,)),
            ((TAG, MODIFIED, DATE), (OTHER_TAG, MODIFIED, DATE, right)),
            ((MODIFIED, DATE), (OTHER_DATE, right)),
            ((MODIFIED, DATE), (right,)),
            ((MODIFIED, DATE), (MODIFIED, ("Content-Encoding", "gzip"), right)),
        ):
            self.assertIs(judged(begun(*fields), 206, *said), Refusal.CHANGED, (fields, said))

    def test_length_of_the_part(self) -> None:
        """A part whose Content-Length is not that of its range is refused."""
        fields = (TAG, part("bytes 40-99/100"))
        for length, fits in ((60, True), (59, False), (61, False), (100, False), (0, False)):
            found = begun(TAG).judge(cast("Reply", Told(206, fields, length)))
            self.assertEqual(found, Rest(0, 60, 100) if fits else Refusal.MISFIT, length)

    def test_unknown_length(self) -> None:
        """Where nobody knew the length, the part may say it, or not."""
        beginning = begun(TAG, length=None)
        for said, found in (
            ("bytes 39-99/100", Rest(1, 61, 100)),
            ("bytes 39-39/40", Rest(1, 1, 40)),
            ("bytes 39-99/*", Rest(1, 61, None, open_ended=True)),
            ("bytes 40-99/100", Refusal.MISFIT),
            ("bytes 38-99/100", Refusal.MISFIT),
        ):
            self.assertEqual(judged(beginning, 206, TAG, part(said)), found, said)

    def test_another_mirror(self) -> None:
        """
        Of another host the date decides; its tags are its own.

        Not where clients were told the origin's tag: that must stay the same.
        """
        fields = (OTHER_TAG, MODIFIED, DATE, part("bytes 40-99/100"))
        reply = cast("Reply", Told(206, fields, host="mirror.example"))
        beginning = begun(TAG, MODIFIED, DATE, redirected=True)
        self.assertEqual(beginning.judge(reply), Rest(0, 60, 100))
        self.assertIs(judged(beginning, 206, *fields), Refusal.CHANGED)
        told = begun(TAG, MODIFIED, DATE, redirected=True, etag=TAG[1])
        self.assertIs(told.judge(reply), Refusal.CHANGED)

    def test_digest(self) -> None:
        """Where a digest decides in the end, versions do not matter, but lengths do."""
        beginning = begun(TAG, digest=DIGEST)
        right = part("bytes 40-99/100")
        self.assertEqual(judged(beginning, 206, OTHER_TAG, right), Rest(0, 60, 100))
        self.assertEqual(judged(beginning, 206, right), Rest(0, 60, 100))
        # Another mirror may have what this one has not.
        found = judged(beginning, 206, TAG, part("bytes 40-100/101"))
        self.assertIs(found, Refusal.MISFIT)


class OtherAnswerTests(SynchronousTestCase):
    """What else may come of a Range."""

    def test_whole(self) -> None:
        """All of the same version: the beginning is left out (RFC 9110 section 14.2)."""
        for length, told, found in (
            (100, 100, Rest(40, 100, 100)),
            (100, None, Rest(40, 100, 100)),
            (None, 100, Rest(40, 100, 100)),
            (None, None, Rest(40, None, None)),
            (100, 101, Refusal.CHANGED),
            (None, 39, Refusal.CHANGED),
        ):
            beginning = begun(TAG, length=length)
            reply = cast("Reply", Told(200, (TAG,), told))
            self.assertEqual(beginning.judge(reply), found, (length, told))

    def test_another_whole(self) -> None:
        """All of another version is no rest, but for a digest to decide."""
        for fields in ((OTHER_TAG,), ()):
            reply = cast("Reply", Told(200, fields, 100))
            self.assertIs(begun(TAG).judge(reply), Refusal.CHANGED)
            self.assertEqual(begun(TAG, digest=DIGEST).judge(reply), Rest(40, 100, 100))
        reply = cast("Reply", Told(200, (TAG,), 99))
        self.assertIs(begun(TAG, digest=DIGEST).judge(reply), Refusal.MISFIT)

    def test_unsatisfiable(self) -> None:
        """A file that has no such octets is another one (RFC 9110 section 15.5.17)."""
        self.assertIs(judged(begun(TAG), 416, part("bytes */40")), Refusal.CHANGED)
        self.assertIs(judged(begun(TAG, digest=DIGEST), 416), Refusal.MISFIT)

    def test_silent(self) -> None:
        """Whatever else is answered says nothing of the octets that are here."""
        for status in (204, 301, 304, 400, 403, 404, 410, 412, 429, 500, 503):
            self.assertIs(judged(begun(TAG), status, TAG), Refusal.SILENT, status)


class ProvenanceTests(StoreTestCase):
    """Which bodies can be completed."""

    def test_of_a_reply(self) -> None:
        """Only a 200 has parts; whether a redirect led to it is noted (RFC 9111 section 3.3)."""
        told = Told(200, (TAG,), 9)
        expected = Provenance(Version('"v1"', None, settled=False))
        expectation = Expectation(DIGEST)
        self.assertEqual(provenance_of(cast("Reply", told), Expectation()), expected)
        self.assertEqual(
            provenance_of(cast("Reply", told), expectation), evolve(expected, digest=DIGEST)
        )
        told.hops = 1
        self.assertEqual(
            provenance_of(cast("Reply", told), Expectation()), evolve(expected, redirected=True)
        )
        for status in (203, 206, 301, 404):
            self.assertIsNone(provenance_of(cast("Reply", Told(status, (TAG,))), expectation))

    def test_of_a_draft(self) -> None:
        """A draft whose rest could not be told from another's has none."""
        store = self.started()
        weak = Provenance(Version('W/"v1"', None, settled=False))
        strong = Provenance(Version('"v1"', None, settled=False))
        for provenance, certain in ((None, False), (weak, False), (strong, True)):
            draft = self.successResultOf(run(part_of(store, "a", b"abc", 9, provenance)))
            found = incomplete(draft, 9)
            self.assertEqual(found is not None, certain)
            if found is not None:
                self.assertEqual((found.written, found.length), (3, 9))
            draft.discard()
