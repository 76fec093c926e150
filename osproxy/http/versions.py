"""
Which version of a file is it, and is it the same as that one?

Parts of a file may be put together only if they are of one version for certain: if they share a
strong validator (RFC 9110 section 8.8.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.http.conditions import dated_strongly
from osproxy.http.fields import first, parse_date

if TYPE_CHECKING:
    from osproxy.http.fields import Fields

# MirrorCache gives tags without quotes, which are none.
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')


@frozen
class Version:
    """
    What a response said of the version of its file.

    :ivar etag: the entity tag, weak ones too; None where there is none that is well-formed.
    :ivar modified: Last-Modified as it was sent.
    :ivar settled: whether that date is a strong validator (RFC 9110 section 8.8.2.2).
    :ivar encoding: Content-Encoding, empty where there is none; each has octets of its own, and
        other than tags (section 8.8.3) dates do not tell them apart.
    """

    etag: str | None
    modified: str | None
    settled: bool
    encoding: str = ""

    @classmethod
    def of(cls, fields: Fields) -> Version:
        """Read it from the fields of a response."""
        etag, modified = first(fields, "etag"), first(fields, "last-modified")
        since, sent = parse_date(modified or ""), parse_date(first(fields, "date") or "")
        return cls(
            etag=etag if etag is not None and _TAG.fullmatch(etag) else None,
            modified=modified,
            settled=dated_strongly(since, sent),
            encoding=(first(fields, "content-encoding") or "").lower(),
        )

    @property
    def certain(self) -> bool:
        """Whether there is a strong validator."""
        return self._tagged or self.settled

    @property
    def if_range(self) -> str | None:
        """
        Give what an If-Range may say of it, None where it may say nothing.

        A weak tag may not be sent, nor a date where there is any tag (RFC 9110 section 13.1.5).
        """
        if self.etag is not None:
            return self.etag if self._tagged else None
        return self.modified if self.settled else None

    def same(self, later: Version, *, tags_compare: bool) -> bool:
        """
        Whether a response that came later is for certain of this version.

        :param tags_compare: whether one host made the tags of both, so that others mean another
            version; else the date decides, which the copies of a file have in common.
        """
        if self._tagged and later.etag == self.etag:
            return True
        if tags_compare and self.etag is not None and later.etag is not None:
            # Two weak tags that are equal leave it to the date (RFC 9110 section 8.8.3.2).
            return self.etag == later.etag and self._same_date(later)
        return self._same_date(later)

    @property
    def _tagged(self) -> bool:
        return self.etag is not None and not self.etag.startswith("W/")

    def _same_date(self, later: Version) -> bool:
        same = self.modified == later.modified and self.encoding == later.encoding
        return self.settled and same
