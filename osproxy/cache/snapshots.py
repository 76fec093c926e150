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

from attrs import frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from osproxy.cache.heads import head_of
from osproxy.http.fields import first
from osproxy.model import Expectation
from osproxy.repo.layout import CORE
from osproxy.store.blobs import State
from osproxy.upstream.origin import Unreachable, Useless

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
# Statuses by which an authority says that a repository has no such file.
_ABSENT = frozenset({404, 410})
# Object stores answer 403 for a missing name. Of a file that a repository may do without it is
# believed; of repomd.xml it would mean that the repository is gone.
_REFUSED = frozenset({401, 403})
_DISPENSABLE = frozenset(CORE) - {REPOMD}
_ATTEMPTS = 3


@frozen
class Document:
    """An index file in memory: on its way to the store, or of a snapshot that leaves it."""

    head: Head
    content: bytes
    digest: str


@frozen(eq=False)
class Snapshot:
    """
    One state of a repository's index files.

    :ivar token: names it.
    :ivar checked_at: when the authority last confirmed it, seconds since the epoch.
    :ivar members: what is known, by name within the repository: stored, in memory when it could
        not be stored, or None when the authority has none.
    :ivar presumed: names of which nothing was stored after a restart: absent, as far as is known.
    """

    token: str
    checked_at: float
    members: Mapping[str, Entry | Document | None]
    presumed: frozenset[str] = frozenset()

    @property
    def has_index(self) -> bool:
        """Whether there is a repomd.xml, though it may be lost."""
        if REPOMD in self.presumed:
            return False
        return REPOMD not in self.members or self.members[REPOMD] is not None

    @property
    def whole(self) -> bool:
        """Whether all that clients ask for at each refresh is known, and nothing is lost."""
        return all(name in self.members for name in CORE) and all(map(self.has, self.members))

    def has(self, name: str) -> bool:
        """Whether it is known what a member is, and it was not evicted or lost meanwhile."""
        if name not in self.members:
            return False
        member = self.members[name]
        return member is None or isinstance(member, Document) or member.state is State.LIVE

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 of a member in hexadecimal, None when there is none."""
        member = self.members.get(name)
        return None if member is None else member.digest


class Change(Enum):
    """What a look at the authority's index files says."""

    NONE = "as it was"
    NEW = "a new snapshot"
    IN_FLUX = "a publication is under way: files of two snapshots"
    GONE = "there is no repomd.xml any more"


def compare(
    snapshot: Snapshot, fetched: Mapping[str, Document | None], suspect: str | None
) -> tuple[Change, str | None]:
    """
    Judge fresh index files against the snapshot that is being served.

    Another signature, key or media.1/media beside an old repomd.xml is what a publication looks
    like while it is under way; seen twice, it is what the authority means. What the snapshot says
    nothing of is not compared.

    :param suspect: the second value that was returned the last time.
    :returns: the verdict, and what to hand in the next time.
    """
    repomd = fetched[REPOMD]
    bare = not any(fetched.values())
    if repomd is None and (snapshot.has_index or (bare and any(snapshot.members.values()))):
        return Change.GONE, None
    digests = {name: None if one is None else one.digest for name, one in fetched.items()}
    if digests[REPOMD] != snapshot.digest(REPOMD):
        return Change.NEW, None
    if all(digests[name] == snapshot.digest(name) for name in fetched if name in snapshot.members):
        return Change.NONE, None
    if repomd is None:
        # Nothing is signed here that could be half published.
        return Change.NEW, None
    seen = " ".join(f"{name}={digests[name]}" for name in sorted(digests))
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


async def fetch(source: Source, name: str, now: float) -> Document | None:
    """
    Get one index file whole; None when the authority has none.

    Never conditional: a redirector's 304 may come from a stale database.

    :raises UpstreamError: when there is no answer, or one that says neither.
    """
    reply = await source()
    absent = _ABSENT | _REFUSED if name in _DISPENSABLE else _ABSENT
    if reply.status in absent:
        reply.abandon()
        return None
    if reply.status != 200:
        reply.abandon()
        raise Useless(reply.host, reply.status)
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
        [Deferred.fromCoroutine(fetch(source_of(name), name, now)) for name in wanted],
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
    reply = await source(method="HEAD")
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


async def fetch_first(
    source_of: Callable[[str], Source], names: Iterable[str], now: float
) -> dict[str, Document | None]:
    """
    Get a set of which nothing is known, each file once unless it changes meanwhile.

    :raises UpstreamError: when it cannot be had, or the authority changes too fast.
    """
    wanted = tuple(names)
    for _ in range(_ATTEMPTS):
        documents = await fetch_all(source_of, wanted, now)
        index = documents[REPOMD]
        if index is None or await still_the_same(source_of(REPOMD), index):
            return documents
    raise _publishing()


async def fetch_next(
    source_of: Callable[[str], Source],
    before: Snapshot,
    looked: Mapping[str, Document | None],
    now: float,
) -> dict[str, Document | None]:
    """
    Get the set of which one look has shown that it is another than before.

    Of the look only repomd.xml is kept: the others may have been fetched before it was published.
    That it has not changed since is seen by its digest, since its date and length can agree.

    :raises UpstreamError: when it cannot be had, or the authority changes too fast.
    """
    index = looked[REPOMD]
    if index is None:
        return dict(looked)
    siblings = [name for name in looked if name != REPOMD]
    for _ in range(_ATTEMPTS):
        documents = {**await fetch_all(source_of, siblings, now), REPOMD: index}
        again = await fetch(source_of(REPOMD), REPOMD, now)
        if again is None:
            break
        if again.digest == index.digest and belongs_together(before, documents):
            return documents
        index = again
    raise _publishing()


def _publishing() -> Unreachable:
    return Unreachable("", "in flux", "the authority is publishing a new snapshot")


async def in_memory(snapshot: Snapshot, in_thread: InThread) -> Snapshot:
    """Copy a snapshot that is about to be replaced; its files are small and soon gone."""
    members: dict[str, Entry | Document | None] = {}
    for name, member in snapshot.members.items():
        if not snapshot.has(name):
            continue
        if member is None or isinstance(member, Document):
            members[name] = member
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
            members[name] = Document(member.head, content, member.digest)
    return Snapshot(snapshot.token, snapshot.checked_at, members)
