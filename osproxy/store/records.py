"""
What is written down about an entry: in front of its body, and as a row of the catalogue.

Both say the same, so that the catalogue can be made anew from the files. The file begins with a
header of one block or more: magic and format version, the length of the JSON text, the text, zeros
up to where the body begins. A file never changes once it is an entry; what a later confirmation by
the source changed (head, time) is in the catalogue only.

What is equal under several targets is stored once. The body lies in the file of the first; that of
each further one, a name, is a header alone, with a magic of its own, and says which file has the
body. Such a body has a second link, by the suffix ``.body``: that is what stays of it when the
first entry goes and a name does not.

A draft has a header, too, with a magic of its own: it can never be taken for an entry. It says what
must be known to complete the body (RFC 9111 section 3.3); the entry's header replaces it.
"""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import asdict, evolve, frozen

from osproxy.http.versions import Version
from osproxy.model import Head, Target
from osproxy.repo.digests import Digest
from osproxy.repo.kinds import Kind
from osproxy.store.entries import NOT_ITS_FAULT
from osproxy.store.layout import BODY_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path


BLOCK = 4096
MAGIC = b"osproxy\n"
NAME_MAGIC = b"osnamed\n"
DRAFT_MAGIC = b"osdraft\n"
FORMAT = 1
_PREAMBLE = struct.Struct("!8sII")
# A longer header than this is not one of ours.
_MOST = 1024 * BLOCK
# Two times take 24 digits each at most, the offset fewer than the rest.
_SLACK = 64


class BadHeader(Exception):
    """A file does not begin as an entry does, or as a draft does."""


@frozen
class Record:
    """
    All that outlives the process about one entry.

    :ivar id: the number of the file.
    :ivar offset: where in the file that has it the body begins; so long is a header, too, that has
        its body elsewhere.
    :ivar digest: SHA-256 of the body, in hex.
    :ivar checked_at: when the source last confirmed it.
    :ivar generation: which snapshot of its repository it belongs to, if that is known.
    :ivar hotness: how it stood among others at its last use, if there was one; not in the file.
    :ivar body: the file that has the body, None where that is its own. If it is the number of the
        file itself, the entry is gone, and only its body stays, for others.
    """

    id: int
    target: Target
    kind: Kind
    head: Head
    offset: int
    length: int
    digest: str
    stored_at: float
    checked_at: float
    generation: str = ""
    hotness: int | None = None
    body: int | None = None

    @property
    def is_name(self) -> bool:
        """Whether its body lies in the file of another."""
        return self.body not in (None, self.id)

    @property
    def nameless(self) -> bool:
        """Whether it is a body that only others name."""
        return self.body == self.id

    @property
    def size(self) -> int:
        """Octets of the whole file."""
        return self.offset if self.is_name else self.offset + self.length


@frozen
class Provenance:
    """
    What a body that has begun to come is part of, so that its rest can be told from another's.

    :ivar version: of the file, as the response said.
    :ivar redirected: whether a redirect led to it: the next may lead to another host.
    :ivar digest: what the whole must come to, where that is known.
    """

    version: Version
    redirected: bool = False
    digest: Digest | None = None

    @property
    def certain(self) -> bool:
        """Whether a rest can be told from that of another version."""
        return self.digest is not None or self.version.certain


@frozen
class DraftRecord:
    """
    What is known of an entry while its body is still coming.

    :ivar id: the number of the file.
    :ivar offset: where in the file the body begins; 0 while that is not known.
    :ivar length: octets that the body will have, None while that is unknown.
    :ivar generation: which snapshot of its repository it belongs to, if that is known.
    :ivar provenance: None where the body is never completed once it was interrupted.
    :ivar boot: the boot of the machine since which it is written.
    """

    id: int
    target: Target
    kind: Kind
    head: Head
    offset: int
    length: int | None
    generation: str = ""
    provenance: Provenance | None = None
    boot: str = ""


@frozen
class FoundDraft:
    """
    A draft that an earlier run has left.

    :ivar written: octets of the body that are in the file.
    :ivar touched: when the last of them were written.
    """

    record: DraftRecord
    written: int
    touched: float


def room_for(draft: DraftRecord) -> int:
    """Say where the body can begin, whatever length, digest and times the entry will have."""
    longest = Record(
        id=draft.id,
        target=draft.target,
        kind=draft.kind,
        head=draft.head,
        offset=0,
        length=2**63,
        digest="0" * 64,
        stored_at=0.0,
        checked_at=0.0,
        generation=draft.generation,
    )
    text = max(len(_text(longest)), len(_draft_text(draft)))
    return -(-(_PREAMBLE.size + text + _SLACK) // BLOCK) * BLOCK


def header_of(record: Record) -> bytes:
    """
    Give the octets in front of the body of an entry, or those that stand for a name.

    :raises ValueError: when they do not fit there.
    """
    return _header(NAME_MAGIC if record.is_name else MAGIC, _text(record), record.offset)


def draft_header_of(record: DraftRecord) -> bytes:
    """Give the octets in front of the body of a draft."""
    return _header(DRAFT_MAGIC, _draft_text(record), record.offset)


def _header(magic: bytes, text: bytes, offset: int) -> bytes:
    header = _PREAMBLE.pack(magic, FORMAT, len(text)) + text
    if len(header) > offset:
        raise ValueError("the header has grown beyond its room")
    return header.ljust(offset, b"\0")


def read_header(path: Path) -> Record:
    """
    Read what an entry, a name or a body says of itself; blocks.

    :raises BadHeader: when it is none.
    """
    with path.open("rb") as file:
        magic, said = _read(file, (MAGIC, NAME_MAGIC), path)
    try:
        record = Record(**_common(said, path), **said)
        # A link that is named as a body is one without a name, whatever else there is.
        nameless = record.id if path.suffix == BODY_SUFFIX else None
        record = evolve(record, body=record.body or nameless)
        if record.is_name is not (magic == NAME_MAGIC):
            raise BadHeader(f"{path} is no {magic!r}")
        return record
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadHeader(f"{path} has a header that cannot be read: {error}") from error


def read_entries(paths: list[Path]) -> list[Record]:
    """
    Read what files say of themselves, but for those that are no entries, or cut; blocks.

    :raises OSError: when that cannot be told now, through no fault of the files.
    """
    records = []
    for path in paths:
        try:
            record = read_header(path)
            if path.lstat().st_size == record.size:
                records.append(record)
        except BadHeader:
            continue
        except OSError as error:
            if error.errno in NOT_ITS_FAULT:
                raise
    return records


def read_draft(path: Path) -> FoundDraft:
    """
    Read what a draft says of itself; blocks.

    :raises BadHeader: when it is no draft, or not so far that there can be a body.
    :raises OSError: as the disk has it.
    """
    with path.open("rb") as file:
        _, said = _read(file, (DRAFT_MAGIC,), path)
        found = os.fstat(file.fileno())
    try:
        provenance = _provenance_from(said.pop("provenance"))
        record = DraftRecord(**_common(said, path), provenance=provenance, **said)
        written = found.st_size - record.offset
        most = written if record.length is None else record.length
        if record.offset < BLOCK or not 0 <= written <= most:
            raise BadHeader(f"{path} has not the size of a draft")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadHeader(f"{path} has a header that cannot be read: {error}") from error
    return FoundDraft(record, written, found.st_mtime)


def _read(file: BinaryIO, magics: tuple[bytes, ...], path: Path) -> tuple[bytes, dict[str, Any]]:
    preamble = file.read(_PREAMBLE.size)
    if len(preamble) < _PREAMBLE.size:
        raise BadHeader(f"{path} is too short")
    found, version, length = _PREAMBLE.unpack(preamble)
    if found not in magics or version != FORMAT or length > _MOST:
        raise BadHeader(f"{path} does not begin as {magics[0]!r} of format {FORMAT}")
    try:
        said = json.loads(file.read(length))
    except ValueError as error:
        raise BadHeader(f"{path} has a header that cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise BadHeader(f"{path} has a header that says nothing")
    return found, said


def _common(said: dict[str, Any], path: Path) -> dict[str, Any]:
    """Take out what entries and drafts say alike, but for what JSON has as it is."""
    return {
        "id": int(path.stem, 16),
        "target": Target(*said.pop("target")),
        "kind": Kind(said.pop("kind")),
        "head": head_from(said.pop("head")),
    }


def _provenance_from(said: dict[str, Any] | None) -> Provenance | None:
    if said is None:
        return None
    digest = said.pop("digest")
    return Provenance(
        version=Version(**said.pop("version")),
        digest=None if digest is None else Digest(**digest),
        **said,
    )


def head_to(head: Head) -> dict[str, Any]:
    """Give a head as JSON has it."""
    return asdict(head)


def head_from(said: dict[str, Any]) -> Head:
    """Read a head from what JSON has of it."""
    # What an earlier version did not write down has its default.
    fields = tuple((name, value) for name, value in said.pop("fields"))
    return Head(fields=fields, **said)


def _text(record: Record) -> bytes:
    said = {
        **_said_of(record),
        "digest": record.digest,
        "stored_at": record.stored_at,
        "checked_at": record.checked_at,
        **({"body": record.body} if record.is_name else {}),
    }
    return json.dumps(said).encode("ascii")


def _draft_text(record: DraftRecord) -> bytes:
    provenance = record.provenance
    said = {
        **_said_of(record),
        "provenance": None if provenance is None else asdict(provenance),
        "boot": record.boot,
    }
    return json.dumps(said).encode("ascii")


def _said_of(record: Record | DraftRecord) -> dict[str, Any]:
    return {
        "target": [record.target.backend, record.target.path, record.target.variant],
        "kind": record.kind.value,
        "head": head_to(record.head),
        "offset": record.offset,
        "length": record.length,
        "generation": record.generation,
    }
