"""Tests of `osproxy.cache.answers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.answers import (
    conditional,
    failed,
    line,
    missing_file,
    plain,
    stale,
    unavailable,
)
from osproxy.http.cachestatus import CacheStatus, Fwd
from osproxy.model import Asked, Notice, Target
from osproxy.repo.kinds import Kind
from osproxy.upstream.origin import Overloaded, TimedOut, Useless
from tests.cache.origin import Told, unreachable

if TYPE_CHECKING:
    from osproxy.upstream.origin import Reply

FORWARDED = CacheStatus(fwd="uri-miss")


class QuestionTests(SynchronousTestCase):
    """Some questions are simpler than others."""

    def test_plain(self) -> None:
        """The answer to a plain GET will not do for HEAD, a range or a condition."""
        self.assertTrue(plain(Asked(fields=(("Accept", "*/*"),))))
        for asked in (
            Asked("HEAD"),
            Asked(fields=(("range", "bytes=0-"),)),
            Asked(fields=(("if-none-match", "*"),)),
        ):
            self.assertFalse(plain(asked), asked)

    def test_conditional(self) -> None:
        """If-Range alone is no condition: it is about the range."""
        self.assertTrue(conditional(Asked(fields=(("If-Modified-Since", "x"),))))
        self.assertFalse(conditional(Asked(fields=(("If-Range", "x"),))))


class AnswerTests(SynchronousTestCase):
    """A short answer says what happened, in a line."""

    def test_line(self) -> None:
        """It ends with a line feed."""
        self.assertEqual(line(404, "No."), Notice(404, b"No.\n"))

    def test_missing(self) -> None:
        """An absent file is told in the words of the authority: 404 or 410."""
        for status in (404, 410):
            answer = missing_file(status, Kind.PACKAGE, FORWARDED)
            assert isinstance(answer.content, Notice)
            self.assertEqual(answer.content.status, status)

    def test_failed(self) -> None:
        """No answer in time is 504, no answer at all 502; the text says who and why."""
        late = TimedOut("a.example", "timeout", "a.example was too slow")
        for method, why, error, status in (
            ("GET", "uri-miss", late, 504),
            ("HEAD", "uri-miss", unreachable(), 502),
            ("PUT", "method", unreachable(), 502),
        ):
            answer = failed(error, Kind.PACKAGE, Asked(method))
            self.assertEqual(answer.cache_status.fwd, why)
            assert isinstance(answer.content, Notice)
            self.assertEqual(answer.content.status, status)
            self.assertEqual(answer.content.body, f"{error}.\n".encode())

    def test_told(self) -> None:
        """Errors of an upstream that mean the same to a client are told it, a loop for one."""
        for status, told in ((503, 503), (504, 504), (508, 508), (500, 502), (206, 502)):
            reply = cast("Reply", Told(status, (), 0, "a.example"))
            for answer in (
                failed(Useless("a.example", status), Kind.INDEX, Asked()),
                unavailable(reply, Target("/", "/a"), Kind.PACKAGE, FORWARDED),
            ):
                assert isinstance(answer.content, Notice)
                self.assertEqual(answer.content.status, told)
                self.assertEqual(answer.content.body, f"a.example answered {status}.\n".encode())

    def test_why(self) -> None:
        """Where something is stored it is told why that would not do."""
        answer = failed(unreachable(), Kind.PACKAGE, Asked(), Fwd.STALE)
        self.assertEqual(answer.cache_status, CacheStatus(fwd=Fwd.STALE, detail=str(unreachable())))

    def test_overloaded(self) -> None:
        """What was not asked, since too much is, is 503, and may be asked for again soon."""
        error = Overloaded("", "overloaded", "a.example is asked too much at once")
        answer = failed(error, Kind.PACKAGE, Asked())
        assert isinstance(answer.content, Notice)
        self.assertEqual((answer.content.status, answer.content.retry_after), (503, 5))

    def test_unavailable(self) -> None:
        """An upstream's refusal names the upstream and its status."""
        told = Told(500, (), 0, "mirror.example")
        answer = unavailable(cast("Reply", told), Target("/", "/a"), Kind.PACKAGE, FORWARDED)
        assert isinstance(answer.content, Notice)
        self.assertEqual(answer.content.status, 502)
        self.assertIn(b"mirror.example answered 500", answer.content.body)
        self.assertEqual(
            answer.cache_status.serialise(),
            'osproxy; fwd=uri-miss; fwd-status=500; detail="mirror.example"',
        )

    def test_folder(self) -> None:
        """A redirect that adds a slash leads below the backend's prefix."""
        told = Told(301, (), 0, redirect="/theirs/a/")
        answer = unavailable(cast("Reply", told), Target("/obs", "/a"), Kind.PACKAGE, FORWARDED)
        assert isinstance(answer.content, Notice)
        self.assertEqual((answer.content.status, answer.content.location), (301, "./a/"))

    def test_stale(self) -> None:
        """That a file is stale, and why, is in its cache status."""
        self.assertIn("too slow", stale("too slow").serialise())
