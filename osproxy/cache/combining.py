"""
The rest of a body that was interrupted: what is asked for it, and does the answer fit?

Octets of two responses make one body only if it is certain that they are of one version of the
file: if they share a strong validator (RFC 9110 section 15.3.7.3, RFC 9111 section 3.4), or if a
digest will decide in the end. Whatever is not certain is refused.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.http.fields import every, first
from osproxy.http.ranges import parse_content_range
from osproxy.http.versions import Version
from osproxy.store.records import Provenance

if TYPE_CHECKING:
    from osproxy.http.fields import Fields
    from osproxy.http.ranges import ContentRange
    from osproxy.model import Expectation, Head
    from osproxy.store.drafts import Draft
    from osproxy.upstream.origin import Reply


class Refusal(Enum):
    """Why an answer is no rest."""

    CHANGED = "the file is another one by now"
    MISFIT = "this is not what was asked for"
    SILENT = "this says nothing of the file"


@frozen
class Rest:
    """
    Which octets of a reply are missing.

    :ivar skip: octets at its beginning that are here already.
    :ivar count: octets that it has, None where that is not said.
    :ivar length: octets of the whole file, None where that is not said.
    :ivar open_ended: whether its end need not be the end of the file.
    """

    skip: int = 0
    count: int | None = None
    length: int | None = None
    open_ended: bool = False


@frozen
class Incomplete:
    """
    A body whose first octets are here (RFC 9111 section 3.3).

    :ivar written: how many.
    :ivar length: octets in all, None while unknown.
    :ivar head: what was said of it in the beginning.
    """

    written: int
    length: int | None
    head: Head
    provenance: Provenance

    @property
    def start(self) -> int:
        """
        The first octet that is asked for.

        It is one that is here already where nothing else may be left: of no octets there is no
        206, and so no word that the file is still the same (RFC 9110 section 15.5.17).
        """
        if self.length is not None and self.written < self.length:
            return self.written
        return max(0, self.written - 1)

    @property
    def question(self) -> Fields:
        """
        Say what to ask for (RFC 9110 section 14.2).

        With If-Range a changed file comes whole, without asking twice (section 13.1.5). It is left
        out where it would turn good answers away: a redirect may lead to another mirror, whose tags
        are its own, and where a digest decides no tag matters. Then the 206 itself is looked at.
        """
        asked = ("Range", f"bytes={self.start}-")
        named = self.provenance.version.if_range
        if named is None or self.provenance.redirected or self.provenance.digest is not None:
            return (asked,)
        return (asked, ("If-Range", named))

    def judge(self, reply: Reply) -> Rest | Refusal:
        """Say whether the answer fits, and how."""
        match reply.status:
            case 206:
                return self._part(reply)
            case 200:
                return self._whole(reply)
            case 416:
                return self._refused
        return Refusal.SILENT

    def _part(self, reply: Reply) -> Rest | Refusal:
        part = _content_range(reply)
        if part is None or part.start != self.start:
            return Refusal.MISFIT
        count = part.stop - part.start
        if reply.length not in (None, count) or (part.length is None and self.length is not None):
            return Refusal.MISFIT
        if not self._same(reply, part.length):
            return self._refused
        return Rest(self.written - part.start, count, part.length, part.length is None)

    def _whole(self, reply: Reply) -> Rest | Refusal:
        # A server may answer any Range with the whole file (RFC 9110 section 14.2).
        if not self._same(reply, reply.length):
            return self._refused
        length = reply.length if self.length is None else self.length
        return Rest(self.written, length, length)

    def _same(self, reply: Reply, length: int | None) -> bool:
        """Whether a reply is of the same version; it says that the file has so many octets."""
        if length is not None and (length < self.written or self.length not in (None, length)):
            return False
        if self.provenance.digest is not None:
            return True
        # A tag that clients were told, since it is the origin's, is more than a mirror's.
        told = self.head.etag == self.head.upstream_etag
        return self.provenance.version.same(
            Version.of(reply.fields), tags_compare=told or reply.host == self.head.source
        )

    @property
    def _refused(self) -> Refusal:
        # What a digest expects does not change; another mirror may have it.
        return Refusal.CHANGED if self.provenance.digest is None else Refusal.MISFIT


def incomplete(draft: Draft, length: int | None) -> Incomplete | None:
    """
    Look at a draft as the beginning of a body; None where its rest could not be told from another.

    :param length: octets of the body, where that is known by now.
    """
    provenance = draft.provenance
    if provenance is None or not provenance.certain:
        return None
    return Incomplete(draft.written, length, draft.head, provenance)


def provenance_of(reply: Reply, expectation: Expectation) -> Provenance | None:
    """
    Say what a body is part of, None where it cannot be completed once it was interrupted.

    Only of a 200 it is said what becomes of its parts (RFC 9111 section 3.3).
    """
    if reply.status != 200:
        return None
    return Provenance(Version.of(reply.fields), reply.hops > 0, expectation.digest)


def _content_range(reply: Reply) -> ContentRange | None:
    said = every(reply.fields, "content-range")
    kind = (first(reply.fields, "content-type") or "").lower()
    # Several parts are never asked for (RFC 9110 section 15.3.7.2).
    if len(said) != 1 or kind.startswith("multipart/byteranges"):
        return None
    return parse_content_range(said[0])
