"""
The index files of one repository as the authority had them at one time.

They are small, and belong together: repomd.xml, what signs it, and media.1/*. They are fetched
together, judged together and replaced together.
"""

from __future__ import annotations

import hashlib
import os
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from osproxy.cache.heads import head_of
from osproxy.http.fields import first
from osproxy.model import Expectation
from osproxy.repo.layout import CORE
from osproxy.upstream.origin import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from twisted.python.failure import Failure

    from osproxy.cache.source import Source
    from osproxy.model import Head
    from osproxy.store.entries import Entry
    from osproxy.threads import InThread

_log = Logger()

REPOMD, SIGNATURE, _KEY, MEDIA = CORE
#: Octets that an index file may have: the largest `content` files have a few hundred kB.
LARGEST = 8 << 20
# Statuses by which an authority says that a repository has no such file. 403 is what object
# stores answer for a missing name.
_ABSENT = frozenset({401, 403, 404, 410})


@frozen
class Document:
    """An index file in memory: on its way to the store, or of a snapshot that leaves it."""

    head: Head
    content: bytes
    digest: str


@define(eq=False)
class Snapshot:
    """
    One state of a repository's index files.

    :ivar token: names it.
    :ivar members: what is known, by name within the repository: stored, in memory when it could
        not be stored, or None when the authority has none.
    :ivar checked_at: when the authority last confirmed it, seconds since the epoch.
    """

    token: str
    checked_at: float
    members: dict[str, Entry | Document | None] = field(factory=dict)

    @property
    def has_index(self) -> bool:
        """Whether there is a repomd.xml."""
        return self.members.get(REPOMD) is not None

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 of a member in hexadecimal, None when there is none."""
        member = self.members.get(name)
        return None if member is None else member.digest


class Change(Enum):
    """What a look at the authority's repomd.xml and media.1/media says."""

    NONE = "as it was"
    NEW = "a new snapshot"
    IN_FLUX = "a publication is under way: files of two snapshots"
    GONE = "there is no repomd.xml any more"


def compare(
    snapshot: Snapshot, fetched: Mapping[str, Document | None], suspect: str | None
) -> tuple[Change, str | None]:
    """
    Judge a fresh repomd.xml and media.1/media against the snapshot that is being served.

    A new media.1/media beside an old repomd.xml is what a publication looks like while it is
    under way; seen twice, it is what the authority means.

    :param suspect: the second value that was returned the last time.
    :returns: the verdict, and what to hand in the next time.
    """
    repomd = fetched[REPOMD]
    if repomd is None:
        return (Change.GONE if snapshot.has_index else Change.NONE), None
    if repomd.digest != snapshot.digest(REPOMD):
        return Change.NEW, None
    media = fetched[MEDIA]
    digest = None if media is None else media.digest
    if digest == snapshot.digest(MEDIA):
        return Change.NONE, None
    seen = digest or "absent"
    return (Change.NEW if seen == suspect else Change.IN_FLUX), seen


def belongs_together(before: Snapshot | None, fetched: Mapping[str, Document | None]) -> bool:
    """
    Whether the signature can be that of the repomd.xml beside it.

    A signature that is the one of the last snapshot cannot fit a repomd.xml that is not.
    """
    if before is None:
        return True
    repomd, signature = fetched[REPOMD], fetched[SIGNATURE]
    if repomd is None or signature is None or not before.has_index:
        return True
    same_index = repomd.digest == before.digest(REPOMD)
    same_signature = signature.digest == before.digest(SIGNATURE)
    return same_index or not same_signature


async def fetch(source: Source, now: float) -> Document | None:
    """
    Get one index file whole; None when the authority has none.

    Never conditional: a redirector's 304 may come from a stale database.

    :raises UpstreamError: when there is no answer, or one that says neither.
    """
    reply = await source()
    if reply.status in _ABSENT:
        reply.abandon()
        return None
    if reply.status != 200:
        reply.abandon()
        raise Unreachable(reply.host, "status", f"{reply.host} answered {reply.status}")
    content = await reply.read(LARGEST)
    digest = hashlib.sha256(content).hexdigest()
    return Document(head_of(reply, Expectation(), now), content, digest)


async def fetch_all(
    source_of: Callable[[str], Source], names: Iterable[str], now: float
) -> dict[str, Document | None]:
    """
    Get several index files at once.

    :raises UpstreamError: when any of them cannot be had.
    """
    wanted = list(names)
    documents = await gatherResults(
        [Deferred.fromCoroutine(fetch(source_of(name), now)) for name in wanted],
        consumeErrors=True,
    ).addErrback(_cause)
    return dict(zip(wanted, documents, strict=True))


def _cause(failure: Failure) -> Failure:
    error = failure.value
    return error.subFailure if isinstance(error, FirstError) else failure


async def still_the_same(source: Source, document: Document) -> bool:
    """
    Ask by HEAD whether the authority has published again meanwhile.

    :raises UpstreamError: when there is no answer.
    """
    reply = await source(head=True)
    reply.abandon()
    if reply.status != 200:
        return False
    for name, before in (
        ("etag", document.head.upstream_etag),
        ("last-modified", document.head.last_modified),
    ):
        value = first(reply.fields, name)
        if value is not None and before is not None and value != before:
            return False
    return reply.length in (None, len(document.content))


async def in_memory(snapshot: Snapshot, in_thread: InThread) -> Snapshot:
    """Copy a snapshot that is about to be replaced; its files are small and soon gone."""
    copy = Snapshot(snapshot.token, snapshot.checked_at)
    for name, member in snapshot.members.items():
        if member is None or isinstance(member, Document):
            copy.members[name] = member
            continue
        try:
            lease = await member.open()
            try:
                content = await in_thread(os.pread, lease.fileno(), member.length, lease.offset)
            finally:
                lease.close()
        except OSError as error:
            _log.warn("{target}: {error}", target=member.target, error=error)
        else:
            copy.members[name] = Document(member.head, content, member.digest)
    return copy
