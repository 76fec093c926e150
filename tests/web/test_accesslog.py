"""Tests of `osproxy.web.accesslog`."""

from __future__ import annotations

import re
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.accesslog import AccessLog, Record, line, open_log
from tests.web.support import logged

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORD = Record(
    client="192.0.2.1",
    at=1790000000.9,
    method="GET",
    target="/repositories/home:/x/repomd.xml?y",
    protocol="HTTP/1.1",
    status=200,
    sent=1234,
    referrer=None,
    agent="ZYpp 17.31",
    cache_status="osproxy; hit; ttl=30",
    source="mirror.example:8080",
    first=0.0004,
    total=1.5,
)

LINE = re.compile(
    r'[!-~]+ - - \[[^\]]+\] "[ -~]*" \d{3} \d+ "[^"]*" "[^"]*" "[^"]*" \S+ \S+ \S+\n', re.ASCII
)


class LineTests(SynchronousTestCase):
    """Tests of `line`."""

    def test_all_fields(self) -> None:
        """A line is in the combined format, with cache status, source and times behind."""
        self.assertEqual(
            line(RECORD),
            "192.0.2.1 - - [21/Sep/2026:14:13:20 +0000]"
            ' "GET /repositories/home:/x/repomd.xml?y HTTP/1.1" 200 1234'
            ' "-" "ZYpp 17.31" "osproxy; hit; ttl=30" mirror.example:8080 0.000 1.500\n',
        )

    def test_nothing_known(self) -> None:
        """What is not known is a dash."""
        bare = evolve(RECORD, agent=None, cache_status=None, source=None, first=None)
        self.assertTrue(line(bare).endswith(' 200 1234 "-" "-" "-" - - 1.500\n'))

    def test_cut(self) -> None:
        """A response that we broke off says so behind how the cache answered, inside its quotes."""
        cut = line(evolve(RECORD, cache_status="hit", cut=True))
        self.assertIn(' 200 1234 "-" "ZYpp 17.31" "hit; cut" ', cut)
        self.assertRegex(cut, LINE)

    def test_forged(self) -> None:
        """Quotes, backslashes, control octets and what is not ASCII are written in hexadecimal."""
        hostile = evolve(RECORD, agent='a"b\\c\nd\x7fe\xe9')
        self.assertIn('"a\\x22b\\x5cc\\x0ad\\x7fe\\xe9"', line(hostile))

    def test_cache_status_with_detail(self) -> None:
        """The quoted string in a cache status does not end its field."""
        with_detail = evolve(RECORD, cache_status='osproxy; detail="x"')
        self.assertIn(' "osproxy; detail=\\x22x\\x22" ', line(with_detail))

    @given(st.text(), st.text())
    def test_cannot_be_broken(self, target: str, agent: str) -> None:
        """Whatever a client sends, its line is one line of printable ASCII with all its fields."""
        written = line(evolve(RECORD, target=target, agent=agent))
        self.assertRegex(written, LINE)
        self.assertEqual(written.count("\n"), 1)


class Written(StringIO):
    """
    A file that is a list.

    :ivar troubles: what comes of each time that it is written to, None for nothing bad.
    """

    def __init__(self, texts: list[str], troubles: Sequence[OSError | None] = ()) -> None:
        super().__init__()
        self.texts = texts
        self.troubles = list(troubles)

    def write(self, text: str) -> int:
        """Add to the list."""
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble
        self.texts.append(text)
        return len(text)


class AccessLogTests(SynchronousTestCase):
    """Tests of `AccessLog`."""

    def setUp(self) -> None:
        """Make a log that is kept in memory."""
        self.clock = Clock()
        self.written: list[str] = []
        self.log = AccessLog(Written(self.written), self.clock)

    def test_gathered(self) -> None:
        """The lines of a second are written in one go."""
        self.log.add(RECORD)
        self.log.add(RECORD)
        self.assertEqual(self.written, [])
        self.clock.advance(1)
        self.assertEqual(self.written, [line(RECORD) * 2])

    def test_again(self) -> None:
        """Later lines are written a second later."""
        self.log.add(RECORD)
        self.clock.advance(1)
        self.log.add(RECORD)
        self.clock.advance(1)
        self.assertEqual(self.written, [line(RECORD)] * 2)

    def test_quiet(self) -> None:
        """Without requests nothing is written, and nothing waits to be."""
        self.log.flush()
        self.assertEqual((self.written, self.clock.getDelayedCalls()), ([], []))

    def test_at_the_end(self) -> None:
        """At the end the lines that are left can be written at once."""
        self.log.add(RECORD)
        self.log.flush()
        self.assertEqual(self.written, [line(RECORD)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disk_full(self) -> None:
        """A log that cannot be written is said once, until it can be written again."""
        events = logged(self)
        full = OSError(28, "full")
        log = AccessLog(Written(self.written, (full, full, None, full)), self.clock)
        for _ in range(4):
            log.add(RECORD)
            self.clock.advance(1)
        self.assertEqual(len([event for event in events if "error" in event]), 2)

    def test_none(self) -> None:
        """Without a file no line is kept."""
        log = AccessLog(None, self.clock)
        log.add(RECORD)
        self.clock.advance(1)
        log.flush()

    def test_rotated(self) -> None:
        """Up to a change requests are in the old file, which is closed, and then in the new one."""
        path = Path(self.mktemp())
        before, after = open_log(str(path)), Written(self.written)
        assert before is not None
        log = AccessLog(before, self.clock)
        log.add(RECORD)
        log.change(after)
        log.add(RECORD)
        self.clock.advance(1)
        self.assertEqual((path.read_text(), self.written), (line(RECORD), [line(RECORD)]))
        self.assertTrue(before.closed)

    def test_rotated_on_a_full_disk(self) -> None:
        """A file whose last lines could not be written does not stand in the way of the next."""
        events = logged(self)
        before = open_log("/dev/full")
        log = AccessLog(before, self.clock)
        log.add(RECORD)
        log.change(Written(self.written))
        log.add(RECORD)
        log.flush()
        self.assertEqual(len([event for event in events if "error" in event]), 1)
        self.assertEqual(self.written, [line(RECORD)])

    def test_standard_output_stays(self) -> None:
        """The standard output is not closed for it, and may be changed for itself."""
        log = AccessLog(sys.__stdout__, self.clock)
        log.change(sys.__stdout__)
        log.change(None)
        assert sys.__stdout__ is not None
        self.assertFalse(sys.__stdout__.closed)


class OpenLogTests(SynchronousTestCase):
    """Tests of `open_log`."""

    def test_file(self) -> None:
        """A file is appended to."""
        path = Path(self.mktemp())
        path.write_text("before\n")
        opened = open_log(str(path))
        assert opened is not None
        with opened:
            opened.write("after\n")
        self.assertEqual(path.read_text(), "before\nafter\n")

    def test_standard_output(self) -> None:
        """A dash is the standard output of the process, whatever has been put in its place."""
        self.assertIs(open_log("-"), sys.__stdout__)

    def test_off(self) -> None:
        """There may be no access log."""
        self.assertIsNone(open_log("off"))
