"""
The values that travel between floors.

Nothing here decides or does anything. A request comes down as a `Target` and an `Asked`, an
`Answer` goes up; what an upstream said about a file is a `Head`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from osproxy.http.conditions import Validators
from osproxy.http.fields import first, parse_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osproxy.http.fields import Fields
    from osproxy.repo.digests import Digest
    from osproxy.repo.kinds import Kind


@frozen
class Backend:
    """
    A path prefix and where its files come from.

    :ivar prefix: ``/`` or ``/name`` without a slash at the end.
    :ivar authority: absolute URL without a slash at the end; its path, if any, is kept.
    :ivar hosts: lower-case names (``host`` or ``host:port``) that absolute-form requests may use.
    :ivar large_objects: whether images are kept.
    :ivar freshness: seconds that files of a kind stay fresh, where the operator changed them.
    """

    prefix: str
    authority: str
    hosts: tuple[str, ...] = ()
    large_objects: bool = False
    freshness: Mapping[Kind, float] = field(factory=dict, hash=False)

    def url_of(self, path: str, query: str = "") -> str:
        """Where the authority has the file of this canonical path below the prefix."""
        return self.authority + path + (f"?{query}" if query else "")


@frozen
class Target:
    """
    What is asked for: the key of an entry, and of a fill.

    :ivar backend: the prefix of the backend.
    :ivar path: canonical, percent-encoded, below the prefix, beginning with a slash.
    """

    backend: str
    path: str

    def __str__(self) -> str:
        """Give the path as a client writes it."""
        return self.path if self.backend == "/" else self.backend + self.path


@frozen
class Asked:
    """
    What of a request matters to the cache.

    :ivar head: whether the method was HEAD.
    :ivar query: the query string, without the question mark.
    :ivar fields: the request's fields.
    :ivar client: the client's address.
    :ivar connection: a number that the requests of one connection share.
    """

    head: bool = False
    query: str = ""
    fields: Fields = ()
    client: str = ""
    connection: int = 0


@frozen
class Expectation:
    """What is known of a file before it is fetched; ``length`` in octets."""

    digest: Digest | None = None
    length: int | None = None


@frozen
class Head:
    """
    What is kept of an upstream's response.

    :ivar etag: our own entity tag, quoted (RFC 9110 section 8.8.3); fixed when the fill began.
    :ivar fields: the end-to-end fields that are replayed (Content-Type, Last-Modified, ...).
    :ivar upstream_etag: the entity tag that the source gave, for revalidation.
    :ivar source: host (and port) that the body came from.
    :ivar date: when the source made or last confirmed it, seconds since the epoch.
    """

    etag: str
    fields: Fields
    upstream_etag: str | None
    source: str
    date: float

    @property
    def last_modified(self) -> str | None:
        """The Last-Modified field as the source sent it."""
        return first(self.fields, "last-modified")

    @property
    def validators(self) -> Validators:
        """What a client's conditions are compared with."""
        sent = self.last_modified
        return Validators(self.etag, None if sent is None else parse_date(sent))


class FileBody(Protocol):
    """
    A body that lies, or grows, in a file. Octet 0 of the body is at ``offset`` in the file.

    Whoever got one calls `close` exactly once, whatever happens.
    """

    offset: int

    @property
    def length(self) -> int | None:
        """Octets in all, None while that is unknown."""

    @property
    def available(self) -> int:
        """Octets from the start that may be read now."""

    def fileno(self) -> int:
        """The descriptor to read from, for `os.pread` and `os.sendfile`."""

    async def wait(self, position: int) -> bool:
        """
        Return once ``available`` is beyond ``position``, or False when the body ends there.

        :raises BodyBroken: when the rest will not come.
        :raises BodyDiverted: when the rest must be had through a passage.
        """

    def close(self) -> None:
        """Give the file up."""


class BodyBroken(Exception):
    """A body ended before its end: its readers must not be told that it was complete."""


class BodyDiverted(Exception):
    """The file will grow no further, though nothing is wrong: go on from elsewhere."""
