"""
What is asked of generic backends, and kept of what they say (RFC 9111).

`AsSaid` is the rule of fills beside `osproxy.cache.heads.ByKind`, `Travelling` the source that
takes a client's fields along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from osproxy.cache.heads import Take, conditions_of
from osproxy.http import forwarded, freshness, methods, storing, vary
from osproxy.http.fields import (
    end_to_end,
    every,
    first,
    format_date,
    only,
    taken_for,
    without,
)
from osproxy.http.paths import BadTarget, equivalent_path
from osproxy.model import Head, Relayed, Representation, Target
from osproxy.upstream.turns import OURS, Asker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osproxy.http.fields import Fields
    from osproxy.model import Answer, Asked, Backend, Expectation, PassingBody
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.upstream.origin import Reply, Upstream

#: So many variants of a URL are stored. Each is looked at by whoever asks for it, and there is one
#: for each client where a response varies by what tells clients apart.
VARIANTS_AT_MOST = 100

# Said anew for each hop: whom it is for, how its content is framed, that it may wait for a 100
# (RFC 9110 section 10.1.1), and by whom it came.
_OF_THIS_HOP = ("host", "content-length", "expect", "via", "forwarded")
# What the client has, and the part it wants: a matter between it and us.
_OF_THIS_CLIENT = (
    "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
)  # fmt: skip
# What an origin that takes ``_`` for ``-`` would mistake for our own word, which conditions are.
_MISTAKABLE = frozenset((*_OF_THIS_HOP, *_OF_THIS_CLIENT, "transfer-encoding", "x-forwarded-for"))
# Fields that may name the authority.
_POINTING = frozenset({"location", "content-location"})


@frozen
class Travelling:
    """
    A source to which the client's fields go along (RFC 9110 section 7.6).

    :ivar target: with the query.
    """

    upstream: Upstream
    backend: Backend
    target: Target
    asked: Asked
    asker: Asker = field()

    @asker.default
    def _client(self) -> Asker:
        return Asker.at(self.asked.client)

    @property
    def url(self) -> str:
        """Where the authority has it."""
        return self.backend.url_of(self.target.path)

    async def __call__(self, *, method: str = "GET", fields: Fields = ()) -> Reply:
        """Ask for ourselves: neither the client's conditions go along nor its range."""
        kept = without(self._travelling(), *_OF_THIS_CLIENT)
        return await self._ask(method, (*kept, *fields), None)

    async def as_asked(self) -> Reply:
        """Ask what the client asks, its content included."""
        return await self._ask(self.asked.method, self._travelling(), self.asked.body)

    async def _ask(self, method: str, fields: Fields, body: PassingBody | None) -> Reply:
        return await self.upstream.ask(
            self.url, method=method, fields=fields, body=body, verbatim=True, asker=self.asker
        )

    def on_behalf_of(self, asker: Asker) -> Travelling:
        """Give the same source, fields included, as another asks it."""
        return evolve(self, asker=asker)

    def for_all(self) -> Travelling:
        """Give the same source as we ask it, whatever a client puts up with or wants kept."""
        fields = without(self.asked.fields, "cache-control", "pragma")
        return evolve(self, asked=evolve(self.asked, fields=fields), asker=OURS)

    def _travelling(self) -> Fields:
        asked = self.asked
        client, sender = asked.client, asked.sender
        given = tuple(
            (name, value)
            for name, value in asked.fields
            if "_" not in name or taken_for(name) not in _MISTAKABLE
        )
        if asked.method in methods.READING:
            chain = forwarded.clients(given, client, sender)
        else:
            chain = forwarded.add(given, client, sender, first(given, "host"), asked.scheme)
        fields = forwarded.sent_on(without(end_to_end(given), *_OF_THIS_HOP), sender)
        hops = _hops(fields) if asked.method == "OPTIONS" else None
        if hops is not None:
            fields = (*without(fields, "max-forwards"), ("Max-Forwards", str(max(0, hops - 1))))
        return (*fields, ("Via", asked.via), ("Forwarded", chain))


@frozen
class AsSaid:
    """The rule for what generic backends have: the response says whether it is kept."""

    request: Fields

    def begun(self, target: Target, kept: Sequence[Draft]) -> Target:
        """See `osproxy.cache.heads.Rule`; what it varied by was said when it began."""
        fitting = [
            draft.target
            for draft in kept
            if variant_of(self.request, draft.head.fields) == draft.target.variant
        ]
        return fitting[-1] if fitting else target

    def conditions(self, stored: Entry | None) -> Fields:
        """See `osproxy.cache.heads.Rule`."""
        return conditions_of(stored)

    def judge(self, reply: Reply, stored: Entry | None) -> Take:
        """See `osproxy.cache.heads.Rule`."""
        if reply.status == 304 and stored is not None:
            # One that speaks of another response cannot confirm this one (RFC 9111 section 4.3.4).
            confirms = storing.matches_stored(reply.fields, [_with_tag(stored.head)])
            return Take.CONFIRMED if confirms else Take.NOTHING
        return Take.KEEP if self._stores(reply.status, reply.fields) else Take.PASS

    def _stores(self, status: int, fields: Fields) -> bool:
        personal = storing.may_be_personal(self.request, fields)
        return not personal and storing.may_store(status, self.request, fields)

    def head_of(self, reply: Reply, expectation: Expectation, now: float) -> Head:
        """See `osproxy.cache.heads.Rule`."""
        etag = first(reply.fields, "etag")
        fields = without(storing.kept_fields(reply.fields), "etag", "cache-status")
        if first(fields, "date") is None:
            # RFC 9110 section 6.6.1: whoever stores it says when it came.
            fields = (*fields, ("Date", format_date(reply.received_at)))
        return Head(
            etag=etag,
            fields=fields,
            upstream_etag=etag,
            source=reply.host,
            date=_born(reply),
            status=reply.status,
            protocol=reply.protocol,
        )

    def fields_of_asker(self, reply: Reply) -> Fields:
        """See `osproxy.cache.heads.Rule`."""
        return storing.fields_of_asker(reply.fields)

    def target_of(self, target: Target, head: Head) -> Target:
        """See `osproxy.cache.heads.Rule`."""
        return evolve(target, variant=variant_of(self.request, head.fields))

    def goes_with(self, head: Head, reply: Reply) -> bool:
        """See `osproxy.cache.heads.Rule`; it must be for the same requests, too."""
        variants = {
            variant_of(self.request, it.fields) for it in (head, renewed(self.request, head, reply))
        }
        return len(variants) == 1 and self._stores(200, reply.fields)

    def updated(self, head: Head, reply: Reply, now: float) -> Head:
        """See `osproxy.cache.heads.Rule`."""
        return renewed(self.request, head, reply)


def variant_of(request: Fields, fields: Fields) -> str:
    """
    Name the variant of a response that is for a request (RFC 9111 section 4.1).

    Only the name is written down: what it is made of may be somebody's cookie.
    """
    return vary.variant_key(vary.selecting(request, fields) or ())


def selected(stored: Sequence[Entry], asked: Asked) -> Entry | None:
    """Choose among what is stored of a URL (RFC 9111 section 4.1)."""
    # As a rule all vary by the same, which is looked at once.
    variants: dict[tuple[str, ...], str] = {}

    def fits(entry: Entry) -> bool:
        varies = tuple(every(entry.head.fields, "vary"))
        if varies not in variants:
            variants[varies] = variant_of(asked.fields, entry.head.fields)
        return variants[varies] == entry.target.variant

    return max(filter(fits, stored), key=lambda entry: entry.head.date, default=None)


def outnumbered(stored: Sequence[Entry]) -> list[Entry]:
    """Give those that go before another variant is stored, so that they do not become too many."""
    excess = max(0, len(stored) - VARIANTS_AT_MOST + 1)
    return sorted(stored, key=lambda entry: entry.head.date)[:excess]


def key_of(source: Travelling, stored: Sequence[Entry]) -> Target:
    """
    Name the fill that would do for a request.

    What is stored of a URL tells which fields its responses vary by.
    """
    newest = max(stored, key=lambda entry: entry.head.date, default=None)
    said = () if newest is None else newest.head.fields
    return evolve(source.target, variant=variant_of(source.asked.fields, said))


def renewed(request: Fields, head: Head, reply: Reply) -> Head:
    """
    Bring a stored head up to date (RFC 9111 sections 3.2 and 3.4).

    :param reply: a 304 that confirms it, or one that has the rest of the body.
    """
    return _updated(
        head, storing.updated(_with_tag(head), _news(request, reply.fields)), _born(reply)
    )


def looked_at(request: Fields, head: Head, length: int, reply: Reply) -> Head | None:
    """
    Bring a stored head up to date with the answer to a HEAD (RFC 9111 section 4.3.5).

    None where it says that what is stored is not right any more.
    """
    fields = storing.after_head(_with_tag(head), length, _news(request, reply.fields))
    return None if fields is None else _updated(head, fields, _born(reply))


def _news(request: Fields, fields: Fields) -> Fields:
    """Leave out what may be meant for one client alone; what is compared stays."""
    if storing.may_be_personal(request, fields):
        return only(fields, "date", "etag", "last-modified", "content-length")
    return fields


def _with_tag(head: Head) -> Fields:
    return (*head.fields, *head.tag)


def _updated(head: Head, fields: Fields, born: float) -> Head:
    etag = first(fields, "etag")
    return evolve(head, fields=without(fields, "etag"), etag=etag, upstream_etag=etag, date=born)


def last_hop(fields: Fields) -> bool:
    """Whether a request is to go no further than to us (RFC 9110 section 7.6.2)."""
    return _hops(fields) == 0


def _hops(fields: Fields) -> int | None:
    said = first(fields, "max-forwards") or ""
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else None


def target_of(url: str, backend: Backend) -> Target | None:
    """Say which target an URL of the authority's has here, if it has one."""
    rest = url.removeprefix(backend.authority)
    if rest == url or not rest.startswith("/"):
        return None
    path, mark, query = rest.partition("?")
    try:
        return Target(backend.prefix, equivalent_path(path) + (mark and f"?{query}"))
    except BadTarget:
        return None


def _born(reply: Reply) -> float:
    """Say since when a response ages (RFC 9111 section 4.2.3)."""
    age = freshness.initial_age(reply.fields, reply.requested_at, reply.received_at)
    return reply.received_at - age


def localised(answer: Answer, backend: Backend) -> Answer:
    """
    Make what points to the authority point to us.

    A redirect that names the authority would lead clients past this proxy.
    """
    content = answer.content
    if isinstance(content, Relayed):
        fields = _pointing_here(content.fields, backend)
        return evolve(answer, content=evolve(content, fields=fields))
    if isinstance(content, Representation):
        fields = _pointing_here(content.head.fields, backend)
        return evolve(answer, content=evolve(content, head=evolve(content.head, fields=fields)))
    return answer


def with_fields(answer: Answer, fields: Fields) -> Answer:
    """Add to what is stored what was said to whoever asked, and is not stored."""
    content = answer.content
    if not fields or not isinstance(content, Representation):
        return answer
    head = evolve(content.head, fields=(*content.head.fields, *fields))
    return evolve(answer, content=evolve(content, head=head))


def _pointing_here(fields: Fields, backend: Backend) -> Fields:
    if all(first(fields, name) is None for name in _POINTING):
        return fields
    return tuple(
        (name, _local(value, backend) if name.lower() in _POINTING else value)
        for name, value in fields
    )


def _local(value: str, backend: Backend) -> str:
    place = backend.authority
    if value.startswith(place + "/") or value == place:
        rest = value[len(place) :]
    else:
        base = urlsplit(place).path
        if not value.startswith(base + "/") or value.startswith("//"):
            return value
        rest = value[len(base) :]
    prefix = "" if backend.prefix == "/" else backend.prefix
    return prefix + (rest or "/")
