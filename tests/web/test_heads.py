"""Tests of `osproxy.web.heads`; what heads say is tested with those who say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.messages import parse_response_head
from osproxy.model import Notice, Relayed, Representation
from osproxy.web.heads import MOST, Heads, headers_of, octets_of
from tests.web.doubles import HEAD_OF_FILE, NOW, answer_of

if TYPE_CHECKING:
    from osproxy.model import Answer

ANSWER = answer_of(b"body", 4)


class OctetsTests(SynchronousTestCase):
    """How a head is written."""

    def test_read_again(self) -> None:
        """What is written is read as it was meant, several fields of a name included."""
        fields = (("x-a", "1"), ("X-A", "2\xe9"), ("Etag", '"e"'))
        headers = headers_of(fields, ANSWER, NOW - 100, NOW, "osproxy-1")
        read = parse_response_head(octets_of(404, headers))
        self.assertEqual((read.status, read.reason, read.version), (404, "Not Found", (1, 1)))
        self.assertEqual(
            read.fields,
            (
                ("X-A", "1"),
                ("X-A", "2\xe9"),
                ("ETag", '"e"'),
                ("Date", "Thu, 01 Jan 1970 09:58:20 GMT"),
                ("Age", "100"),
                ("Server", "osproxy"),
                ("Via", "1.1 osproxy-1"),
                ("Cache-Status", "osproxy; hit; ttl=30"),
            ),
        )

    def test_of_now(self) -> None:
        """What is of now has no age."""
        read = parse_response_head(octets_of(200, headers_of((), ANSWER, None, NOW, "osproxy-1")))
        self.assertIn(("Date", "Thu, 01 Jan 1970 10:00:00 GMT"), read.fields)
        self.assertNotIn("Age", dict(read.fields))

    def test_way(self) -> None:
        """It is told by which version of HTTP a response has come (RFC 9110 section 7.6.3)."""
        passed = Relayed(200, (), None, protocol="1.0")
        kept = Representation(evolve(HEAD_OF_FILE, protocol="1.0"), b"body", 4)
        for content, way in ((passed, "1.0"), (kept, "1.0"), (Notice(404), "1.1")):
            headers = headers_of((), evolve(ANSWER, content=content), None, NOW, "osproxy-1")
            self.assertEqual(headers.getRawHeaders("Via"), [f"{way} osproxy-1"])


class HeadsTests(SynchronousTestCase):
    """Heads that are kept."""

    def setUp(self) -> None:
        """Make heads that are numbered."""
        self.made: list[Answer] = []
        self.heads = Heads(self.make)

    def make(self, answer: Answer) -> bytes:
        """Make a head."""
        self.made.append(answer)
        return b"%d" % len(self.made)

    def test_kept(self) -> None:
        """A head is made once for answers that are alike."""
        for _ in range(2):
            self.assertEqual(self.heads.of(answer_of(b"body", 4), HEAD_OF_FILE, 4), b"1")

    def test_made_anew(self) -> None:
        """Whatever differs in an answer or its file makes it another one."""
        status = evolve(ANSWER.cache_status, ttl=29)
        others = [
            (ANSWER, evolve(HEAD_OF_FILE), 4),
            (ANSWER, HEAD_OF_FILE, 5),
            (evolve(ANSWER, age=101), HEAD_OF_FILE, 4),
            (evolve(ANSWER, cache_status=status), HEAD_OF_FILE, 4),
        ]
        self.heads.of(ANSWER, HEAD_OF_FILE, 4)
        for number, (answer, head, length) in enumerate(others):
            self.assertEqual(self.heads.of(answer, head, length), b"%d" % (number + 2))

    def test_so_many(self) -> None:
        """Those go that were made first."""
        files = [evolve(HEAD_OF_FILE, date=float(number)) for number in range(MOST + 1)]
        for head in files:
            self.heads.of(ANSWER, head, 4)
        self.heads.of(ANSWER, files[1], 4)
        self.assertEqual(len(self.made), MOST + 1)
        self.heads.of(ANSWER, files[0], 4)
        self.assertEqual(len(self.made), MOST + 2)
