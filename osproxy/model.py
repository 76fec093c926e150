"""
The values that travel between floors.

Nothing here decides or does anything. A request comes down as a `Target` and an `Asked`, an
`Answer` goes up; what an upstream said about a file is a `Head`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import Factory, field, frozen

from osproxy.http.conditions import Validators
from osproxy.http.fields import first, parse_date

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from osproxy.http.cachestatus import CacheStatus
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
    :ivar generic: whether it holds no repository, but whatever a web server has: then the responses
        say how they are kept (RFC 9111), and clients' fields travel.
    :ivar guarded: kinds of which a file is kept only when it is asked for a second time.
    :ivar clients: networks that may ask for its files, None for those that may ask for any.
    :ivar deny: networks that may not, beside those that may ask for nothing.
    """

    prefix: str
    authority: str
    hosts: tuple[str, ...] = ()
    large_objects: bool = False
    freshness: Mapping[Kind, float] = field(factory=dict, hash=False)
    generic: bool = False
    guarded: frozenset[Kind] = frozenset()
    clients: tuple[IPv4Network | IPv6Network, ...] | None = None
    deny: tuple[IPv4Network | IPv6Network, ...] = ()

    def url_of(self, path: str, query: str | None = None) -> str:
        """Where the authority has the file of this canonical path below the prefix."""
        return self.authority + path + (f"?{query}" if query else "")


@frozen
class Target:
    """
    What is asked for: the key of an entry, and of a fill.

    :ivar backend: the prefix of the backend.
    :ivar path: canonical, percent-encoded, below the prefix, beginning with a slash; of a generic
        backend with the query behind it.
    :ivar variant: tells apart what one URL has for requests that differ in the fields that Vary
        names (RFC 9111 section 4.1).
    """

    backend: str
    path: str
    variant: str = ""

    @property
    def url(self) -> Target:
        """What all variants have in common."""
        return Target(self.backend, self.path)

    def __str__(self) -> str:
        """Give the path as a client writes it."""
        return self.path if self.backend == "/" else self.backend + self.path


@frozen
class Asked:
    """
    What of a request matters to the cache.

    :ivar method: as it was sent, case included (RFC 9110 section 9.1).
    :ivar query: the query string, without the question mark; None where there is none.
    :ivar fields: the request's fields.
    :ivar client: the client's address.
    :ivar connection: a number that the requests of one connection share.
    :ivar body: the request's content that is still to come, None where there is none.
    :ivar scheme: ``http`` or ``https``, by which it came to us.
    :ivar absolute: whether the target named its host, as to a proxy (RFC 9112 section 3.2.2).
    :ivar via: the Via field that goes upstream (RFC 9110 section 7.6.3).
    :ivar sender: the address of who has handed it to us: the client, or the last proxy before us.
    """

    method: str = "GET"
    query: str | None = None
    fields: Fields = ()
    client: str = ""
    connection: int = 0
    body: PassingBody | None = None
    scheme: str = "http"
    absolute: bool = False
    via: str = ""
    sender: str = Factory(lambda self: self.client, takes_self=True)

    @property
    def head(self) -> bool:
        """Whether only the head of the answer is wanted."""
        return self.method == "HEAD"


@frozen
class Expectation:
    """What is known of a file before it is fetched."""

    digest: Digest | None = None


@frozen
class Head:
    """
    What is kept of an upstream's response.

    :ivar etag: the entity tag that clients are told, quoted (RFC 9110 section 8.8.3), fixed when
        the fill began: our own; of a generic backend the origin's, None where it gives none.
    :ivar fields: the end-to-end fields that are replayed (Content-Type, Last-Modified, ...).
    :ivar upstream_etag: the entity tag that the source gave, for revalidation.
    :ivar source: host (and port) that the body came from.
    :ivar date: when the authority made or last confirmed it, in seconds since the epoch; the
        Date and Age that clients see count from here (RFC 9111 section 4.2.3).
    :ivar status: of the response.
    :ivar protocol: the version of HTTP by which it came (RFC 9110 section 7.6.3).
    """

    etag: str | None
    fields: Fields
    upstream_etag: str | None
    source: str
    date: float
    status: int = 200
    protocol: str = "1.1"

    @property
    def tag(self) -> Fields:
        """The ETag field, if there is one."""
        return () if self.etag is None else (("ETag", self.etag),)

    @property
    def last_modified(self) -> str | None:
        """The Last-Modified field as the source sent it."""
        return first(self.fields, "last-modified")

    @property
    def validators(self) -> Validators:
        """What a client's conditions are compared with."""
        modified = parse_date(self.last_modified or "")
        # Generic backends' Date is handed on as it is.
        told = parse_date(first(self.fields, "date") or "")
        return Validators(self.etag, modified, self.date if told is None else told)


class PassingBody(Protocol):
    """
    A body on its way through, which is not kept.

    Whoever got one calls `close` exactly once, whatever happens.
    """

    @property
    def length(self) -> int | None:
        """Octets that will come, None while that is unknown."""

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """
        Hand every octet to ``sink`` in order and return after the last.

        :raises BodyBroken: when the rest will not come.
        """

    def pause(self) -> None:
        """Let nothing come for now."""

    def resume(self) -> None:
        """Go on after `pause`."""

    def close(self) -> None:
        """Give the source up."""


class FileBody(Protocol):
    """
    A body that lies, or grows, in a file. Octet 0 of the body is at ``offset`` in the file.

    Whoever got one calls `close` exactly once, whatever happens.
    """

    @property
    def offset(self) -> int:
        """Where in the file the body begins."""

    @property
    def length(self) -> int | None:
        """Octets in all, None while that is unknown."""

    @property
    def available(self) -> int:
        """Octets from the start that may be read now."""

    def fileno(self) -> int:
        """
        The descriptor to read from, for `os.pread` and `os.sendfile`; to be asked for each time.

        :raises BodyBroken: when the octets have turned out to be wrong.
        """

    async def wait(self, position: int) -> bool:
        """
        Return True once ``available`` is beyond ``position``, False when the body ends there.

        :raises BodyBroken: when the rest will not come.
        :raises BodyDiverted: when the rest must be had from elsewhere.
        """

    def unreadable(self, error: OSError) -> None:
        """Be told that octets which are there cannot be read."""

    def close(self) -> None:
        """Give the file up."""


@frozen
class Representation:
    """
    A file that we hold or are about to: whoever answers judges conditions and ranges.

    :ivar body: None for HEAD.
    :ivar length: octets, None while unknown.
    """

    head: Head
    body: FileBody | bytes | None
    length: int | None


@frozen
class Relayed:
    """
    An upstream's response, passed on as it is; conditions and ranges were its business.

    :ivar protocol: the version of HTTP by which it came.
    """

    status: int
    fields: Fields
    body: PassingBody | None
    protocol: str = "1.1"


@frozen
class Notice:
    """
    A short answer of our own.

    :ivar location: where to go instead, for a redirect.
    :ivar allow: the methods that are answered, where one is not.
    :ivar passing: whether nobody is to keep it (RFC 9111 section 5.2.2.5).
    :ivar retry_after: seconds after which to ask again (RFC 9110 section 10.2.3).
    """

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    location: str | None = None
    allow: str | None = None
    passing: bool = False
    retry_after: int | None = None


@frozen
class Answer:
    """
    What the cache says to a request.

    :ivar cache_status: how it came about (RFC 9211).
    :ivar kind: the kind of the file, None for what is no file.
    :ivar age: seconds since the source made or confirmed it; None where that has no meaning.
    :ivar source: host that the octets came from, empty if it is ourselves.
    """

    content: Representation | Relayed | Notice
    cache_status: CacheStatus
    kind: Kind | None
    age: int | None = None
    source: str = ""

    @property
    def protocol(self) -> str:
        """The version of HTTP by which it came to us; ours, if it is our own."""
        match self.content:
            case Representation(head=head):
                return head.protocol
            case Relayed(protocol=protocol):
                return protocol
        return "1.1"


class BodyBroken(Exception):
    """A body ended before its end: its readers must not be told that it was complete."""


class BodyDiverted(Exception):
    """
    The file will grow no further, though nothing is wrong: the rest comes through a passage.

    :ivar onward: gets the octets from the first argument on, up to the second or the end; raises
        `BodyBroken` when they cannot be had, or would be of another version of the file.
    """

    def __init__(self, onward: Callable[[int, int | None], Awaitable[PassingBody]]) -> None:
        super().__init__("the file will grow no further")
        self.onward = onward
