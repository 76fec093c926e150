"""Tests of what is written down about an entry."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.store.records import BLOCK, BadHeader, Record, header_of, read_header, room_for
from tests.store.doubles import HEAD

_latin = st.text(st.characters(max_codepoint=255), max_size=40)
_times = st.floats(0, 1e11)
_heads = st.builds(
    Head,
    etag=_latin,
    fields=st.lists(st.tuples(_latin, _latin), max_size=60).map(tuple),
    upstream_etag=st.none() | _latin,
    source=_latin,
    date=_times,
)
_records = st.builds(
    Record,
    id=st.just(0x2A),
    target=st.builds(Target, backend=_latin, path=_latin),
    kind=st.sampled_from(Kind),
    head=_heads,
    offset=st.just(0),
    length=st.integers(0, 2**62),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    stored_at=_times,
    checked_at=_times,
    generation=_latin,
)


class HeaderTests(SynchronousTestCase):
    """The octets in front of a body."""

    def setUp(self) -> None:
        """Have a file that is named as an entry."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "000000000000002a"

    @given(_records)
    def test_round_trip(self, record: Record) -> None:
        """Whatever an upstream said is read back as it was, and fits in the room left for it."""
        begun = evolve(record, length=0, digest="", stored_at=0.0, checked_at=0.0)
        record = evolve(record, offset=room_for(begun))
        header = header_of(record)
        self.assertEqual((len(header), len(header) % BLOCK), (record.offset, 0))
        self.path.write_bytes(header + b"body")
        self.assertEqual(read_header(self.path), record)

    def test_room_is_not_exceeded(self) -> None:
        """A header never runs into the body."""
        record = Record(1, Target("/", "/a"), Kind.PACKAGE, HEAD, 16, 0, "", 0.0, 0.0)
        self.assertRaises(ValueError, header_of, record)

    def test_not_an_entry(self) -> None:
        """A file that does not begin as an entry is told from one."""
        record = Record(1, Target("/", "/a"), Kind.PACKAGE, HEAD, BLOCK, 0, "", 0.0, 0.0)
        header = header_of(record)
        for octets in (
            b"",
            b"short",
            b"x" * BLOCK,
            header.replace(b"osproxy\n\0\0\0\1", b"osproxy\n\0\0\0\2"),
            header.replace(b'"kind"', b'"kine"'),
            header.replace(b'"package"', b'"pockage"'),
            header.replace(b'"target"', b'"tarrrr"'),
            header.replace(b"{", b"["),
            header[:60],
        ):
            self.path.write_bytes(octets)
            self.assertRaises(BadHeader, read_header, self.path)
