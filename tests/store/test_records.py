"""Tests of what is written down about an entry, and about a draft."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from tempfile import TemporaryFile

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.versions import Version
from osproxy.model import Head, Target
from osproxy.repo.digests import Digest
from osproxy.repo.kinds import Kind
from osproxy.store.records import (
    BLOCK,
    BadHeader,
    DraftRecord,
    FoundDraft,
    Provenance,
    Record,
    draft_header_of,
    header_of,
    read_draft,
    read_entries,
    read_header,
    room_for,
)
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
_digits = st.text("0123456789abcdef", max_size=128)
_provenances = st.builds(
    Provenance,
    version=st.builds(
        Version,
        etag=st.none() | _latin,
        modified=st.none() | _latin,
        settled=st.booleans(),
        encoding=_latin,
    ),
    redirected=st.booleans(),
    digest=st.none() | st.builds(Digest, st.sampled_from(["md5", "sha512"]), _digits),
)
_drafts = st.builds(
    DraftRecord,
    id=st.just(0x2A),
    target=st.builds(Target, backend=_latin, path=_latin, variant=_latin),
    kind=st.sampled_from(Kind),
    head=_heads,
    offset=st.just(0),
    length=st.none() | st.integers(4, 2**62),
    generation=_latin,
    provenance=st.none() | _provenances,
    boot=_latin,
)


def begun(record: Record) -> DraftRecord:
    """Say what was known of an entry when it was begun."""
    return DraftRecord(
        record.id, record.target, record.kind, record.head, 0, None, record.generation
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
        record = evolve(record, offset=room_for(begun(record)))
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


class EntriesTests(SynchronousTestCase):
    """Many headers at once."""

    def test_what_is_none_is_left_out(self) -> None:
        """A file that is none, cut, or missing costs none of the others."""
        folder = Path(self.mktemp())
        folder.mkdir()
        record = Record(7, Target("/", "/a"), Kind.PACKAGE, HEAD, BLOCK, 3, "", 1.0, 2.0)
        paths = [folder / f"{number:016x}" for number in range(4)]
        for path in paths[:3]:
            path.write_bytes(header_of(record) + b"abc")
        paths[0].write_bytes(b"none")
        os.truncate(paths[1], BLOCK)
        self.assertEqual([it.id for it in read_entries(paths)], [2])

    def test_not_their_fault(self) -> None:
        """Too many open files say nothing about any."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with TemporaryFile() as file:
            resource.setrlimit(resource.RLIMIT_NOFILE, (file.fileno(), limits[1]))
            try:
                error = self.assertRaises(OSError, read_entries, [Path("/dev/null")])
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertEqual(error.errno, errno.EMFILE)


class DraftHeaderTests(SynchronousTestCase):
    """The octets in front of a body that is still coming."""

    def setUp(self) -> None:
        """Have a file that is named as a draft."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "000000000000002a"

    @given(_drafts)
    def test_round_trip(self, record: DraftRecord) -> None:
        """All that is needed to complete it is read back, beside how far it has come."""
        record = evolve(record, offset=room_for(record))
        self.path.write_bytes(draft_header_of(record) + b"body")
        os.utime(self.path, (5, 5))
        self.assertEqual(read_draft(self.path), FoundDraft(record, 4, 5.0))

    @given(_drafts)
    def test_no_entry(self, record: DraftRecord) -> None:
        """A draft is never taken for an entry, however long it is, nor an entry for a draft."""
        record = evolve(record, offset=room_for(record))
        self.path.write_bytes(draft_header_of(record) + b"body")
        self.assertRaises(BadHeader, read_header, self.path)
        entry = Record(
            record.id,
            record.target,
            record.kind,
            record.head,
            record.offset,
            4,
            "0" * 64,
            0.0,
            0.0,
            record.generation,
        )
        self.path.write_bytes(header_of(entry) + b"body")
        self.assertRaises(BadHeader, read_draft, self.path)

    def test_cut(self) -> None:
        """A file that ends within the header, or is longer than its body, is no draft."""
        record = DraftRecord(0x2A, Target("/", "/a"), Kind.PACKAGE, HEAD, BLOCK, 4)
        header = draft_header_of(record)
        for octets in (
            b"",
            b"short",
            header[:60],
            header[:-1],
            header + b"body!",
            header.replace(b'"offset": 4096', b'"offset": 0000'),
            header.replace(b'"offset": 4096', b'"offset":    9'),
            header.replace(b'"provenance"', b'"providence"'),
            header.replace(b"null", b"[{}]"),
            header.replace(b'{"target', b'["target'),
        ):
            self.path.write_bytes(octets)
            self.assertRaises(BadHeader, read_draft, self.path)
        self.path.write_bytes(header)
        self.assertEqual(read_draft(self.path).written, 0)

    def test_certain(self) -> None:
        """A rest is known by a strong validator, or by a digest."""
        tag, date = Version('"a"', None, settled=False), Version(None, "then", settled=True)
        nothing = Version('W/"a"', "then", settled=False)
        self.assertTrue(Provenance(tag).certain)
        self.assertTrue(Provenance(date).certain)
        self.assertFalse(Provenance(nothing).certain)
        self.assertTrue(Provenance(nothing, digest=Digest("md5", "0" * 32)).certain)
