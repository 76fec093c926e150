"""
Whether an upstream's response is kept, and what of it beside the body.

`ByKind` is the rule of repositories, whose files are kept by their kind.
"""

from __future__ import annotations

import secrets
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen

from osproxy.http.cachecontrol import CacheControl, RequestControl, may_be_stale
from osproxy.http.fields import first, only, parse_date, without
from osproxy.http.freshness import (
    Lifetimes,
    Stored,
    age_of,
    initial_age,
    may_serve_stale_on_error,
)
from osproxy.http.storing import kept_fields, may_store_for_all
from osproxy.model import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osproxy.http.fields import Fields
    from osproxy.model import Expectation, Target
    from osproxy.repo.policies import Policy
    from osproxy.store.drafts import Draft
    from osproxy.store.entries import Entry
    from osproxy.upstream.origin import Reply

# Fields that speak of one hop's copy, of one transfer, or of the client's account there.
_NOT_KEPT = (
    "accept-ranges", "age", "alt-svc", "cache-status", "content-length", "content-range", "date",
    "etag", "link", "proxy-status", "server", "set-cookie", "set-cookie2",
    "strict-transport-security", "vary",
)  # fmt: skip
# What is said of caching in a 304 holds for what is stored.
_RENEWED = frozenset({"cache-control", "expires", "last-modified"})


class Take(Enum):
    """What is done with an upstream's reply."""

    KEEP = "its body is stored"
    CONFIRMED = "what is stored is still right"
    NOTHING = "there is nothing to be kept"
    PASS = "it is passed on to whoever asked"


class Rule(Protocol):
    """What a fill asks for, and what it keeps."""

    def begun(self, target: Target, kept: Sequence[Draft]) -> Target:
        """Say under which target the beginning of a body may lie, given what is kept of its URL."""

    def conditions(self, stored: Entry | None) -> Fields:
        """Say what to ask upstream, so that what is stored need not be sent again."""

    def judge(self, reply: Reply, stored: Entry | None) -> Take:
        """Say what is done with a reply."""

    def head_of(self, reply: Reply, expectation: Expectation, now: float) -> Head:
        """Make the head that is kept of a reply."""

    def fields_of_asker(self, reply: Reply) -> Fields:
        """Give what is not kept of a reply, but is for whoever it was asked for."""

    def target_of(self, target: Target, head: Head) -> Target:
        """Say under which target it is kept."""

    def goes_with(self, head: Head, reply: Reply) -> bool:
        """Say whether a reply with the rest of a body may be stored with its beginning."""

    def updated(self, head: Head, reply: Reply, now: float) -> Head:
        """Bring a head up to date with a reply that has the rest of its body."""


@frozen
class ByKind:
    """The rule for files of repositories: what is kept, and for how long, is in the policy."""

    policy: Policy

    def begun(self, target: Target, kept: Sequence[Draft]) -> Target:
        """See `Rule`."""
        return target

    def conditions(self, stored: Entry | None) -> Fields:
        """See `Rule`."""
        return conditions_of(stored)

    def judge(self, reply: Reply, stored: Entry | None) -> Take:
        """See `Rule`."""
        if reply.status == 304 and stored is not None:
            return Take.CONFIRMED
        if reply.status != 200:
            return Take.NOTHING
        if stored is not None and unchanged(stored, reply):
            return Take.CONFIRMED
        return Take.KEEP if self._stores(reply) else Take.PASS

    def _stores(self, reply: Reply) -> bool:
        return not self.policy.heeds_response or may_store_for_all(200, reply.fields)

    def head_of(self, reply: Reply, expectation: Expectation, now: float) -> Head:
        """See `Rule`."""
        return self._heeded(head_of(reply, expectation, now), reply)

    def fields_of_asker(self, reply: Reply) -> Fields:
        """See `Rule`; who asks for a file of a repository does not matter."""
        return ()

    def target_of(self, target: Target, head: Head) -> Target:
        """See `Rule`."""
        return target

    def goes_with(self, head: Head, reply: Reply) -> bool:
        """See `Rule`."""
        return self._stores(reply)

    def updated(self, head: Head, reply: Reply, now: float) -> Head:
        """See `Rule`."""
        return self._heeded(confirmed(head, reply, now), reply)

    def _heeded(self, head: Head, reply: Reply) -> Head:
        """
        Have a head say how old it is, and no more than it may, where that is heeded.

        See RFC 9111 sections 3.1 and 4.2.3. Elsewhere a mirror whose clock is wrong would make its
        files look old.
        """
        if not self.policy.heeds_response:
            return head
        fields = (*without(head.fields, "date"), *only(reply.fields, "date"))
        age = initial_age(reply.fields, reply.requested_at, reply.received_at)
        return evolve(head, fields=kept_fields(fields), date=reply.received_at - age)


def head_of(reply: Reply, expectation: Expectation, now: float) -> Head:
    """
    Make the head that is kept of a reply.

    The entity tag is ours: the expected digest, else minted for this fill, since a tag of the
    upstream could be of another mirror tomorrow.
    """
    digest = expectation.digest
    tag = digest.hex if digest is not None else secrets.token_hex(12)
    return Head(
        etag=f'"{tag}"',
        fields=without(reply.fields, *_NOT_KEPT),
        upstream_etag=first(reply.fields, "etag"),
        source=reply.host,
        date=now - age_of(reply.fields),
        protocol=reply.protocol,
    )


def confirmed(head: Head, reply: Reply, now: float) -> Head:
    """
    Bring a stored head up to date with a 304 or a 206 (RFC 9111 sections 3.2 and 3.4).

    The entity tag stays as it was (F7).
    """
    new = tuple(field for field in reply.fields if field[0].lower() in _RENEWED)
    etag = first(reply.fields, "etag")
    return evolve(
        head,
        fields=(*without(head.fields, *(name for name, _ in new)), *new),
        date=now - age_of(reply.fields),
        upstream_etag=etag or head.upstream_etag,
    )


def freshness_of(head: Head, checked_at: float, policy: Policy) -> tuple[float, Lifetimes]:
    """Say since when, and for how long, what is stored is fresh."""
    if not policy.heeds_response:
        return checked_at, policy.lifetimes
    # What a cache before us has had for a while is no fresher here (RFC 9111 section 4.2.3).
    said = CacheControl.of(head.fields)
    grace = said.stale_while_revalidate if may_be_stale(head.fields) else None
    return head.date, Lifetimes(stored_of(head).lifetime, grace or 0.0)


def serves_stale(entry: Entry, policy: Policy, now: float) -> bool:
    """Whether what is stored may be served when the upstream does not confirm it."""
    if not policy.heeds_response:
        return True
    # What requests say of it is not heeded, but for no-cache, which is about what is asked.
    return may_serve_stale_on_error(stored_of(entry.head), RequestControl(), now, None)


def stored_of(head: Head) -> Stored:
    """Give what freshness is judged by."""
    return Stored(head.status, head.fields, head.date)


def conditions_of(stored: Entry | None) -> Fields:
    """Say what to ask upstream, so that what is stored need not be sent again."""
    if stored is None:
        return ()
    fields: list[tuple[str, str]] = []
    if stored.head.upstream_etag is not None:
        fields.append(("If-None-Match", stored.head.upstream_etag))
    if stored.head.last_modified is not None:
        fields.append(("If-Modified-Since", stored.head.last_modified))
    return tuple(fields)


def unchanged(stored: Entry, reply: Reply) -> bool:
    """
    Whether a 200 says the same as a 304 would.

    Mirrors differ in their entity tags, so a redirector that sends us to another one makes it
    answer 200. A date that was a minute old when it was sent is a strong validator (RFC 9110
    section 8.8.2.2), and with the length it is enough.
    """
    if reply.length is None or reply.length != stored.length:
        return False
    modified = first(reply.fields, "last-modified")
    if modified is None or modified != stored.head.last_modified:
        return False
    since, sent = parse_date(modified), parse_date(first(reply.fields, "date") or "")
    return since is not None and sent is not None and sent - since >= 60
