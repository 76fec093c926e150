"""Tests of `osproxy.web.record`."""

from __future__ import annotations

import json
import re

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.web.record import Record, as_json, combined, entry
from tests.journals import fields
from tests.records import RECORD

LINE = re.compile(
    r'[!-~]+ - - \[[^\]]+\] "[ -~]*" \d{3} \d+ "[^"]*" "[^"]*" "[^"]*" \S+ \S+ \S+', re.ASCII
)

ANYTHING = st.text(st.characters())
MAYBE = st.none() | ANYTHING
SECONDS = st.floats(0, 1e6)
RECORDS = st.builds(
    Record,
    client=ANYTHING,
    at=st.floats(0, 2**33),
    method=ANYTHING,
    target=ANYTHING,
    protocol=ANYTHING,
    status=st.integers(100, 999),
    sent=st.integers(0, 2**63),
    referrer=MAYBE,
    agent=MAYBE,
    cache_status=MAYBE,
    source=MAYBE,
    first=st.none() | SECONDS,
    total=SECONDS,
    cut=st.booleans(),
    kind=st.sampled_from([None, "index", "package"]),
)


class CombinedTests(SynchronousTestCase):
    """Tests of `combined`."""

    def test_all_fields(self) -> None:
        """A line is in the combined format, with cache status, source and times behind."""
        self.assertEqual(
            combined(RECORD),
            "192.0.2.1 - - [21/Sep/2026:14:13:20 +0000]"
            ' "GET /repositories/home:/x/repomd.xml?y HTTP/1.1" 200 1234'
            ' "-" "ZYpp 17.31" "osproxy; hit; ttl=30" mirror.example:8080 0.000 1.500',
        )

    def test_nothing_known(self) -> None:
        """What is not known is a dash."""
        bare = evolve(RECORD, agent=None, cache_status=None, source=None, first=None)
        self.assertTrue(combined(bare).endswith(' 200 1234 "-" "-" "-" - - 1.500'))

    def test_cut(self) -> None:
        """A response that we broke off says so behind how the cache answered, inside its quotes."""
        cut = combined(evolve(RECORD, cache_status="hit", cut=True))
        self.assertIn(' 200 1234 "-" "ZYpp 17.31" "hit; cut" ', cut)
        self.assertRegex(cut, LINE)

    def test_forged(self) -> None:
        """Quotes, backslashes, control octets and what is not ASCII are written in hexadecimal."""
        hostile = evolve(RECORD, agent='a"b\\c\nd\x7fe\xe9')
        self.assertIn('"a\\x22b\\x5cc\\x0ad\\x7fe\\xe9"', combined(hostile))

    def test_cache_status_with_detail(self) -> None:
        """The quoted string in a cache status does not end its field."""
        with_detail = evolve(RECORD, cache_status='osproxy; detail="x"')
        self.assertIn(' "osproxy; detail=\\x22x\\x22" ', combined(with_detail))

    @given(ANYTHING, ANYTHING)
    def test_cannot_be_broken(self, target: str, agent: str) -> None:
        """Whatever a client sends, its line is one line of printable ASCII with all its fields."""
        written = combined(evolve(RECORD, target=target, agent=agent))
        self.assertRegex(written, LINE)
        self.assertNotIn("\n", written)


class JsonTests(SynchronousTestCase):
    """Tests of `as_json`."""

    def test_all_fields(self) -> None:
        """An object has all there is, times with milliseconds."""
        self.assertEqual(
            as_json(RECORD),
            '{"time":"2026-09-21T14:13:20.900Z","client":"192.0.2.1","method":"GET",'
            '"target":"/repositories/home:/x/repomd.xml?y","protocol":"HTTP/1.1","status":200,'
            '"bytes":1234,"referer":null,"user_agent":"ZYpp 17.31",'
            '"cache_status":"osproxy; hit; ttl=30","kind":"index","source":"mirror.example:8080",'
            '"ttfb":0.0004,"duration":1.5,"cut":false}',
        )

    def test_octets(self) -> None:
        """UTF-8 is read as such, octets that are none of it are told in hexadecimal."""
        for sent, said in (
            (b"caf\xc3\xa9", "café"),
            (b"caf\xe9", "caf\\xe9"),
            (b'"\\\n\x7f\0', '"\\\n\x7f\0'),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        ):
            written = as_json(evolve(RECORD, agent=sent.decode("latin-1")))
            self.assertEqual(json.loads(written)["user_agent"], said)

    @given(RECORDS)
    def test_any_record(self, record: Record) -> None:
        """Whatever a client sends, there is one line of ASCII that strict readers read back."""
        written = as_json(record)
        self.assertTrue(written.isascii() and written.isprintable(), written)
        read = json.loads(written, parse_constant=self.fail)
        # No half of a pair, which is no character.
        json.dumps(read, ensure_ascii=False).encode("utf-8")
        self.assertEqual(
            (read["status"], read["bytes"], read["cut"], read["kind"]),
            (record.status, record.sent, record.cut, record.kind),
        )


class EntryTests(SynchronousTestCase):
    """Tests of `entry`."""

    def test_fields(self) -> None:
        """An entry of the journal has the line as message, and the values that are known."""
        found = fields(entry(RECORD))
        self.assertEqual(found["MESSAGE"], combined(RECORD).encode())
        self.assertEqual((found["PRIORITY"], found["SYSLOG_IDENTIFIER"]), (b"6", b"osproxy"))
        self.assertEqual(
            {name: value for name, value in found.items() if name.startswith("OSPROXY_")},
            {
                "OSPROXY_TIME": b"2026-09-21T14:13:20.900Z",
                "OSPROXY_CLIENT": b"192.0.2.1",
                "OSPROXY_METHOD": b"GET",
                "OSPROXY_TARGET": b"/repositories/home:/x/repomd.xml?y",
                "OSPROXY_PROTOCOL": b"HTTP/1.1",
                "OSPROXY_STATUS": b"200",
                "OSPROXY_BYTES": b"1234",
                "OSPROXY_USER_AGENT": b"ZYpp 17.31",
                "OSPROXY_CACHE_STATUS": b"osproxy; hit; ttl=30",
                "OSPROXY_KIND": b"index",
                "OSPROXY_SOURCE": b"mirror.example:8080",
                "OSPROXY_TTFB": b"0.000400",
                "OSPROXY_DURATION": b"1.500000",
                "OSPROXY_CUT": b"no",
            },
        )

    @given(RECORDS)
    def test_any_record(self, record: Record) -> None:
        """Whatever a client sends, it adds no field."""
        known = set(fields(entry(RECORD))) | {"OSPROXY_REFERER"}
        self.assertLessEqual(set(fields(entry(record))), known)
