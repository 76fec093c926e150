"""
What is written down about an entry: in front of its body, and as a row of the catalogue.

Both say the same, so that the catalogue can be made anew from the files. The file begins with a
header of one block or more: magic and format version, the length of the JSON text, the text, zeros
up to where the body begins. A file never changes once it is an entry; what a later confirmation by
the source changed (head, time) is in the catalogue only.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, frozen

from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096
MAGIC = b"osproxy\n"
FORMAT = 1
_PREAMBLE = struct.Struct("!8sII")
# A longer header than this is not one of ours.
_MOST = 1024 * BLOCK
# Two times take 24 digits each at most, the offset fewer than the rest.
_SLACK = 64


class BadHeader(Exception):
    """A file does not begin as an entry does."""


@frozen
class Record:
    """
    All that outlives the process about one entry.

    :ivar id: the number of the file.
    :ivar offset: where in the file the body begins.
    :ivar digest: SHA-256 of the body, in hex.
    :ivar checked_at: when the source last confirmed it.
    :ivar generation: which snapshot of its repository it belongs to, if that is known.
    :ivar hotness: how it stood among others at its last use, if there was one; not in the file.
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

    @property
    def size(self) -> int:
        """Octets of the whole file."""
        return self.offset + self.length


def room_for(record: Record) -> int:
    """Say where the body can begin, whatever length, digest and times the entry will have."""
    longest = evolve(record, length=2**63, digest="0" * 64)
    octets = _PREAMBLE.size + len(_text(longest)) + _SLACK
    return -(-octets // BLOCK) * BLOCK


def header_of(record: Record) -> bytes:
    """Give the octets in front of the body."""
    text = _text(record)
    header = _PREAMBLE.pack(MAGIC, FORMAT, len(text)) + text
    if len(header) > record.offset:
        raise ValueError("the header has grown beyond its room")
    return header.ljust(record.offset, b"\0")


def read_header(path: Path) -> Record:
    """
    Read what an entry says of itself; blocks.

    :raises BadHeader: when it is no entry.
    """
    with path.open("rb") as file:
        preamble = file.read(_PREAMBLE.size)
        if len(preamble) < _PREAMBLE.size:
            raise BadHeader(f"{path} is too short")
        magic, version, length = _PREAMBLE.unpack(preamble)
        if magic != MAGIC or version != FORMAT or length > _MOST:
            raise BadHeader(f"{path} does not begin as an entry of format {FORMAT}")
        text = file.read(length)
    try:
        said = json.loads(text)
        return Record(
            id=int(path.name, 16),
            target=Target(*said.pop("target")),
            kind=Kind(said.pop("kind")),
            head=head_from(said.pop("head")),
            **said,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadHeader(f"{path} has a header that cannot be read: {error}") from error


def head_to(head: Head) -> dict[str, Any]:
    """Give a head as JSON has it."""
    return asdict(head)


def head_from(said: dict[str, Any]) -> Head:
    """Read a head from what JSON has of it."""
    fields = tuple((name, value) for name, value in said.pop("fields"))
    return Head(fields=fields, **said)


def _text(record: Record) -> bytes:
    said = {
        "target": [record.target.backend, record.target.path],
        "kind": record.kind.value,
        "head": head_to(record.head),
        "offset": record.offset,
        "length": record.length,
        "digest": record.digest,
        "stored_at": record.stored_at,
        "checked_at": record.checked_at,
        "generation": record.generation,
    }
    return json.dumps(said).encode("ascii")
