"""Tests of `osproxy.tools.trace`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store.ledger import BLOCK
from osproxy.tools.trace import BadTrace, Event, NothingAsked, Trace, parse, write

_names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1)


class ParseTests(SynchronousTestCase):
    """Tests of `parse` and `write`."""

    def test_lines(self) -> None:
        """A line has time, name, octets and perhaps a kind; without one the name decides."""
        for line, event in (
            ("0 /a.rpm 5", Event(0.0, "/a.rpm", 5, Kind.PACKAGE)),
            ("1.5\t/a.iso\t5\n", Event(1.5, "/a.iso", 5, Kind.IMAGE)),
            ("1e3 k1 5 image", Event(1000.0, "k1", 5, Kind.IMAGE)),
            ("-1 k1 0", Event(-1.0, "k1", 0, Kind.UNKNOWN)),
            ("9 /a.rpm -", Event(9.0, "/a.rpm", None, Kind.PACKAGE)),
            ("", None),
            (" \n", None),
            ("# 0 /a.rpm 5", None),
        ):
            self.assertEqual(parse(line), event, line)

    def test_refused(self) -> None:
        """What is no line says what is wrong with it."""
        for line, complaint in (
            ("0 /a.rpm", "2 words"),
            ("0 /a.rpm 5 package more", "5 words"),
            ("now /a.rpm 5", "'now' is no time"),
            ("nan /a.rpm 5", "'nan' is no time"),
            ("inf /a.rpm 5", "'inf' is no time"),
            ("0 /a.rpm five", "'five' is no size"),
            ("0 /a.rpm -5", "'-5' is no size"),
            ("0 /a.rpm 5.5", "'5.5' is no size"),
            ("0 /a.rpm \u0665", "is no size"),
            ("0 /a.rpm 9223372036854775808", "is too large"),
            (f"0 /a.rpm {'9' * 5000}", "is no size"),
            ("0 /a.rpm 5 rpm", "'rpm' is no kind; give one of index, "),
        ):
            self.assertIn(complaint, str(self.assertRaises(BadTrace, parse, line)))

    @given(st.text())
    def test_anything(self, line: str) -> None:
        """Whatever a file has, a line of it is an event, nothing, or refused."""
        try:
            event = parse(line)
        except BadTrace:
            return
        self.assertIsInstance(event, Event | None)

    @given(
        st.integers(0, 10**12),
        _names,
        st.one_of(st.none(), st.integers(0, 2**63 - 1)),
        st.sampled_from(Kind),
    )
    def test_round(self, at: int, name: str, octets: int | None, kind: Kind) -> None:
        """What is written is read as it was, to the millisecond."""
        event = Event(at / 1000, name, octets, kind)
        self.assertEqual(parse(write(event)), event)


class TraceTests(SynchronousTestCase):
    """A trace in memory."""

    def test_columns(self) -> None:
        """Names become numbers; what is counted are requests, not the ends of files."""
        trace = Trace.of(
            [
                Event(0.0, "/a", 5),
                Event(1.0, "/b.iso", 7, Kind.IMAGE),
                Event(2.0, "/a", 5),
                Event(3.0, "/a", None),
            ]
        )
        self.assertEqual(
            list(trace.events()), [(0.0, 0, 5), (1.0, 1, 7), (2.0, 0, 5), (3.0, 0, -1)]
        )
        self.assertEqual((trace.requests, trace.asked, trace.working_set), (3, 17, 2 * BLOCK))
        self.assertEqual((len(trace), list(trace.images)), (4, [0, 1]))

    def test_partial(self) -> None:
        """A request that was answered in part counts as one for the largest that was seen."""
        trace = Trace.of(
            [
                Event(0.0, "/a", 2, whole=False),
                Event(1.0, "/a", 9),
                Event(2.0, "/a", 3, whole=False),
                Event(3.0, "/b", 4, whole=False),
            ]
        )
        self.assertEqual(list(trace.octets), [9, 9, 9, 4])
        self.assertEqual(trace.working_set, 2 * BLOCK)

    def test_order(self) -> None:
        """Events of several files are put in the order of time; those of one moment stay."""
        trace = Trace.of([Event(2.0, "/a", 1), Event(0.0, "/b", 2), Event(2.0, "/c", 3)])
        self.assertEqual(list(trace.events()), [(0.0, 1, 2), (2.0, 0, 1), (2.0, 2, 3)])

    def test_empty(self) -> None:
        """Without a request there is nothing to replay."""
        for events in ([], [Event(0.0, "/a", None)]):
            self.assertRaises(NothingAsked, Trace.of, events)
