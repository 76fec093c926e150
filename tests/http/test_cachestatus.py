"""Tests for `osproxy.http.cachestatus`."""

from __future__ import annotations

import re

from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachestatus import CacheStatus, Fwd

# The grammar of a member of a list (RFC 8941 sections 3.1 to 3.3), written down once more.
TOKEN = r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
INTEGER = r"-?[0-9]{1,15}"
STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
PARAMETER = re.compile(rf";[ ]*([a-z*][a-z0-9_.*-]*)(?:=({TOKEN}|{INTEGER}|{STRING}))?")

statuses = st.builds(
    CacheStatus,
    hit=st.booleans(),
    fwd=st.none() | st.sampled_from(Fwd),
    fwd_status=st.none() | st.integers(100, 599),
    stored=st.booleans(),
    collapsed=st.booleans(),
    ttl=st.none() | st.integers(1 - 10**15, 10**15 - 1),
    detail=st.none() | st.text(alphabet=[chr(code) for code in range(32, 127)]),
)


def read(value: str) -> tuple[str, dict[str, object]]:
    """Read a member of a structured list as a stranger would."""
    found = re.match(TOKEN, value)
    assert found is not None
    position, parameters = found.end(), dict[str, object]()
    while position < len(value):
        parameter = PARAMETER.match(value, position)
        assert parameter is not None, value[position:]
        name, written = parameter.groups()
        assert name not in parameters
        if written is None:
            parameters[name] = True
        elif re.fullmatch(INTEGER, written):
            parameters[name] = int(written)
        elif written.startswith('"'):
            parameters[name] = re.sub(r"\\(.)", r"\1", written[1:-1])
        else:
            parameters[name] = written
        position = parameter.end()
    return found[0], parameters


class CacheStatusTests(SynchronousTestCase):
    """Each answer says how it came about (RFC 9211)."""

    def test_serialise(self) -> None:
        """The parameters come in the order of the RFC."""
        for status, expected in (
            (CacheStatus(), "osproxy"),
            (CacheStatus(hit=True, ttl=30), "osproxy; hit; ttl=30"),
            (CacheStatus(hit=True, ttl=-412), "osproxy; hit; ttl=-412"),
            (CacheStatus(fwd="uri-miss", collapsed=True), "osproxy; fwd=uri-miss; collapsed"),
            (
                CacheStatus(
                    fwd="uri-miss",
                    fwd_status=200,
                    stored=True,
                    collapsed=True,
                    detail="mirror.example",
                ),
                'osproxy; fwd=uri-miss; fwd-status=200; stored; collapsed; detail="mirror.example"',
            ),
            (CacheStatus(detail='a"b\\c\r\nd'), r'osproxy; detail="a\"b\\c??d"'),
        ):
            with self.subTest(status=status):
                self.assertEqual(status.serialise(), expected)

    def test_outcome(self) -> None:
        """Requests are counted by whether they were hits, else by why an upstream was asked."""
        self.assertEqual(CacheStatus(hit=True).outcome, "hit")
        self.assertEqual(CacheStatus(fwd="stale").outcome, "stale")
        self.assertEqual(CacheStatus().outcome, "none")

    def test_fwd(self) -> None:
        """Why an upstream was asked is one of the words of RFC 9211 section 2.2, and no other."""
        words = "bypass method uri-miss vary-miss miss request stale partial"
        self.assertEqual([str(fwd) for fwd in Fwd], words.split())
        self.assertIs(CacheStatus(fwd="vary-miss").fwd, Fwd.VARY_MISS)
        self.assertEqual(CacheStatus(fwd=Fwd.PARTIAL).serialise(), "osproxy; fwd=partial")
        self.assertRaises(ValueError, CacheStatus, fwd="x; y")

    def test_numbers(self) -> None:
        """A number beyond what a structured field can hold is the greatest that it can."""
        self.assertEqual(CacheStatus(ttl=10**15).serialise(), f"osproxy; ttl={'9' * 15}")
        self.assertEqual(CacheStatus(ttl=-(10**99)).serialise(), f"osproxy; ttl=-{'9' * 15}")

    @given(statuses)
    def test_round_trip(self, status: CacheStatus) -> None:
        """What is written is read by whoever knows structured fields only."""
        said = {
            name.replace("_", "-"): value
            for name, value in asdict(status).items()
            if value is not None and value is not False
        }
        self.assertEqual(read(status.serialise()), ("osproxy", said))

    @given(st.text())
    def test_detail_is_contained(self, detail: str) -> None:
        """No detail breaks out of its quotes."""
        written = CacheStatus(detail=detail).serialise()
        self.assertTrue(re.fullmatch(r'osproxy; detail="(?:[ !#-\[\]-~]|\\["\\])*"', written))
