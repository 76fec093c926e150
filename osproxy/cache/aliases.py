"""
Files that are asked for by an alias: found under both names, fetched for the sake of one.

Who asks for ``...-Current.iso`` is redirected to the file that this is today. That is its real
name, and what comes is stored under both; when the real name is stored already, or comes by another
transfer, nothing need come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from attrs import evolve

from osproxy.cache.fillstate import FillState
from osproxy.http.fields import format_date
from osproxy.http.versions import Version
from osproxy.repo.kinds import Kind, classify, is_alias
from osproxy.store.trouble import DISK_ERRORS, Work
from osproxy.upstream.origin import Unreachable

if TYPE_CHECKING:
    from collections.abc import Collection

    from osproxy.cache.fillstate import Means, Order
    from osproxy.cache.growth import Growth
    from osproxy.model import Head, Target
    from osproxy.store.entries import Entry
    from osproxy.upstream.origin import Reply, UpstreamError


def may_be_alias(target: Target, kind: Kind) -> bool:
    """Whether a file may have another name: any image, and what is called as aliases are."""
    return kind is Kind.IMAGE or is_alias(target.path)


def real_target(order: Order, reply: Reply) -> Target | None:
    """
    Say what else a reply is the file of, by its real name; None where there is no other name.

    What has a digest in its name has no other, nor has what would be kept in another way under it.
    """
    target, kind, name = order.target, order.policy.kind, reply.alias_of
    if name is None or order.expectation.digest is not None:
        return None
    path = f"{target.path.rpartition('/')[0]}/{name}"
    aliased = may_be_alias(target, kind) and classify(path) is kind
    return evolve(target, path=path) if aliased else None


class Fetching(Protocol):
    """What is seen here of a `osproxy.cache.fill.Fill`."""

    order: Order
    names: set[Target]
    state: FillState
    head: Head | None
    growth: Growth
    failure: UpstreamError | None

    async def follow(self, leader: Self) -> None:
        """See there."""


_T = TypeVar("_T", bound=Fetching)


async def otherwise_named(
    fill: _T, others: Collection[_T], means: Means, reply: Reply
) -> Entry | None:
    """
    Make an entry of what a reply would bring, if it is there under another name for certain.

    Where another fill is bringing it, that is followed to its end. Then the reply is given up; else
    it is left as it is, and None returned.

    :raises UpstreamError: when what was followed has not become an entry.
    """
    order = fill.order
    real = real_target(order, reply)
    if real is not None:
        fill.names.add(real)
        entry = await _named(order, means, reply, real)
        if entry is not None:
            return entry
    leader = next((it for it in others if _brings(it, fill, reply)), None)
    if leader is None:
        return None
    reply.abandon()
    await fill.follow(leader)
    entry = await _stored(means, order.target, reply)
    if entry is None:
        stored = await _stored(means, leader.order.target, reply)
        if stored is not None:
            # What its readers were told of it.
            entry = await _name(order, means, stored, order.target, stored.head, stored.checked_at)
    if entry is None:
        raise leader.failure or Unreachable("", "name", "what came has got no other name")
    return entry


async def _stored(means: Means, target: Target, reply: Reply) -> Entry | None:
    """Find what a reply would bring under a name."""
    stored = await means.store.find(target)
    same = stored is not None and same_file(stored.head, stored.length, reply)
    return stored if same else None


async def _named(order: Order, means: Means, reply: Reply, real: Target) -> Entry | None:
    try:
        stored = await _stored(means, real, reply)
        if stored is None:
            return None
        now = means.clock.seconds()
        head = order.rule.head_of(reply, order.expectation, now)
        entry = await _name(order, means, stored, order.target, head, now)
    except BaseException:
        reply.abandon()
        raise
    if entry is not None:
        reply.abandon()
    return entry


def _brings(other: Fetching, fill: Fetching, reply: Reply) -> bool:
    """Whether another fill brings what a reply would bring."""
    if other.names.isdisjoint(fill.names) or other.state is not FillState.STREAMING:
        return False
    # What is being revalidated may end in what was stored before.
    cold = other.order.stored is None and other.order.expectation == fill.order.expectation
    return cold and other.head is not None and same_file(other.head, other.growth.length, reply)


async def name_too(order: Order, means: Means, reply: Reply, entry: Entry) -> None:
    """Have what was stored of a reply found by its real name too, unless something is there."""
    real = real_target(order, reply)
    if real is not None and await means.store.find(real) is None:
        await _name(order, means, entry, real, entry.head, entry.checked_at)


async def _name(
    order: Order, means: Means, stored: Entry, target: Target, head: Head, now: float
) -> Entry | None:
    try:
        entry = await means.store.name(stored, target, order.policy.kind, head, now)
    except DISK_ERRORS as error:
        means.store.trouble.met(Work.CATALOGUE, error, target)
        return None
    if entry is not None:
        # What was begun of it is not needed any more.
        means.store.kept.drop(target)
    return entry


def same_file(head: Head, length: int | None, reply: Reply) -> bool:
    """
    Whether a reply would bring what is known, as surely as its rest would complete a part of it.

    They must have a strong validator in common (RFC 9110 section 8.8.1), and the length.
    """
    if reply.length is None or reply.length != length:
        return False
    tag = head.upstream_etag
    said = (*head.fields, ("Date", format_date(head.date)))
    version = Version.of(said if tag is None else (*said, ("ETag", tag)))
    return version.same(Version.of(reply.fields), tags_compare=reply.host == head.source)
