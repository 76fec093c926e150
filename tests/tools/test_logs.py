"""Tests of `osproxy.tools.logs`."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.tools.logs import parse
from osproxy.tools.trace import BadTrace, Event
from osproxy.web.record import as_json, combined
from tests import records

RECORD = evolve(records.RECORD, target="/repositories/home:/x/a.rpm", kind=None)
EVENT = Event(1790000000.0, "/repositories/home:/x/a.rpm", 1234, Kind.PACKAGE)


class OwnLogTests(SynchronousTestCase):
    """Lines as `osproxy.web.record` writes them."""

    def test_sent(self) -> None:
        """A file that was sent is one that was asked for, whole or in part."""
        for changes, event in (
            ({}, EVENT),
            ({"agent": None, "cache_status": None, "source": None, "first": None}, EVENT),
            ({"status": 206}, EVENT._replace(whole=False)),
            ({"status": 499}, EVENT._replace(whole=False)),
            ({"cut": True}, EVENT._replace(whole=False)),
            ({"cut": True, "cache_status": None}, EVENT._replace(whole=False)),
            ({"target": "/a.iso"}, EVENT._replace(key="/a.iso", kind=Kind.IMAGE)),
        ):
            self.assertEqual(parse(combined(evolve(RECORD, **changes))), event, changes)

    def test_not_sent(self) -> None:
        """What sent no file is no request for one."""
        for changes in (
            {"status": 304, "sent": 0},
            {"status": 404},
            {"status": 499, "sent": 0},
            {"method": "HEAD", "sent": 0},
            {"method": "POST"},
            {"target": "/-/metrics"},
            {"target": "/_status"},
            {"target": "/../a"},
            {"target": "*"},
        ):
            self.assertIsNone(parse(combined(evolve(RECORD, **changes))), changes)

    def test_one_name(self) -> None:
        """All spellings of a path are one file; another host or query is another."""
        for target, key in (
            ("/repositories//home%3A/x/./a.rpm", EVENT.key),
            ("http://Mirror.example:80/a.rpm", "//mirror.example/a.rpm"),
            ("/a.rpm?b=c", "/a.rpm?b=c"),
        ):
            event = parse(combined(evolve(RECORD, target=target)))
            assert event is not None
            self.assertEqual(event.key, key)

    @given(st.text(), st.text(), st.integers(0, 10**18 - 1), st.integers(100, 599), st.booleans())
    def test_any_record(self, target: str, agent: str, sent: int, status: int, cut: bool) -> None:
        """Whatever clients send, each line that is written can be read, and says what was sent."""
        record = evolve(
            RECORD,
            target=target,
            agent=agent,
            sent=sent,
            status=status,
            cut=cut,
            at=float(sent % 10**10),
        )
        event = parse(combined(record))
        other = parse(as_json(record))
        if event is not None and target.isascii():
            self.assertEqual(other, event)
        if event is not None:
            self.assertEqual((event.octets, event.at), (sent, record.at))
            self.assertIn(status, (200, 206, 499))
            self.assertEqual(event.whole, status == 200 and not cut)


class JsonTests(SynchronousTestCase):
    """Lines in JSON."""

    def test_as_combined(self) -> None:
        """They say the same as combined ones, the time more exactly."""
        self.assertEqual(parse(as_json(RECORD) + "\n"), EVENT._replace(at=1790000000.9))
        self.assertIsNone(parse(as_json(evolve(RECORD, status=304))))
        cut = parse(as_json(evolve(RECORD, cut=True)))
        self.assertEqual(cut, EVENT._replace(at=1790000000.9, whole=False))

    def test_refused(self) -> None:
        """Other objects are refused, whatever they are meant to do."""
        good = as_json(RECORD)
        for old, new in (
            (good, "{}"),
            (good, "{"),
            (good, '{"a":' * 100_000),
            (good, good[:-1]),
            ('"GET"', "null"),
            ('"status":200', '"status":"200"'),
            ('"bytes":1234', '"bytes":1.5'),
            ('"bytes":1234', '"bytes":' + "9" * 10_000),
            ('"2026-09-21T14:13:20.900Z"', '"yesterday"'),
            ('"2026-09-21T14:13:20.900Z"', "NaN"),
            ('"cut":false', '"cut":0'),
        ):
            self.assertIn(old, good)
            self.assertRaises(BadTrace, parse, good.replace(old, new))

    def test_immense(self) -> None:
        """Files that are larger than any are none."""
        line = as_json(RECORD).replace('"bytes":1234', f'"bytes":{2**63}')
        self.assertIsNone(parse(line))


class OtherLogTests(SynchronousTestCase):
    """Lines that others write."""

    def test_combined(self) -> None:
        """The combined format and the common one will do, in any zone of time."""
        for text in (
            '::1 - - [21/Sep/2026:14:13:20 +0000] "GET {} HTTP/1.1" 200 1234 "-" "dnf"',
            '::1 - joe [21/Sep/2026:16:13:20 +0200] "GET {} HTTP/1.1" 200 1234',
            '::1 - joe [21/Sep/2026:09:43:20 -0430] "GET {} HTTP/1.0" 200 1234 "x" "y" "z" - 1\r\n',
        ):
            self.assertEqual(parse(text.format(EVENT.key)), EVENT)

    def test_refused(self) -> None:
        """Other lines are refused."""
        good = combined(RECORD)
        for text in (
            "",
            "2026-09-21T14:13:20+0000 [twisted] Log opened.",
            good.replace("/Sep/", "/Sex/"),
            good.replace("21/Sep/2026", "21/Sep/0000"),
            good.replace("21/Sep/2026", "1/9/26"),
            good[:60],
            good.replace(" 200 1234", " 200 many"),
        ):
            self.assertRaises(BadTrace, parse, text)

    def test_garbled_request(self) -> None:
        """What was no HTTP is no request for a file."""
        self.assertIsNone(parse('::1 - - [21/Sep/2026:14:13:20 +0000] "\\x16\\x03" 400 0 "-" "-"'))
        self.assertIsNone(parse('::1 - - [21/Sep/2026:14:13:20 +0000] "" 400 0 "-" "-"'))

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Whatever a file has, a line of it is an event, nothing, or refused."""
        try:
            parse(text)
        except BadTrace:
            return

    def test_hostile(self) -> None:
        """A line that is made to be looked at over and over costs no more than its length."""
        for piece in ('"', "a ", " ", "[", '" "', "\\"):
            self.assertRaises(BadTrace, parse, piece * 200_000)
