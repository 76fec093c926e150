"""
Answers for which nothing need be waited for: files that are fresh, small, open, and in memory.

`osproxy.cache.cache` gives the same answers, and all others; who gets none here asks there. What a
path comes to that does not depend on the time, or on what is stored, is found out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.cache.heads import freshness_of
from osproxy.cache.questions import answered_here, is_question
from osproxy.cache.serving import from_memory
from osproxy.http import freshness
from osproxy.http.cachestatus import CacheStatus
from osproxy.http.freshness import Verdict
from osproxy.repo.kinds import Kind, classify
from osproxy.repo.policies import policy_of

if TYPE_CHECKING:
    from osproxy.model import Answer, Backend, Target
    from osproxy.repo.policies import Policy
    from osproxy.store.store import Store

# What has more to it than a file and its age: a snapshot, a response's own word, a report.
_NOT_ALONE = frozenset((Kind.GENERIC, Kind.INDEX, Kind.REFUSED, Kind.UNKNOWN))


@frozen
class Way:
    """Where a file is to be looked for, and how it is kept."""

    backend: Backend
    target: Target
    policy: Policy


def policy_at(backend: Backend, target: Target, kind: Kind) -> Policy:
    """Say how a file of this kind is kept there."""
    return policy_of(
        kind,
        str(target),
        large_objects=backend.large_objects,
        freshness=backend.freshness,
        guarded=backend.guarded,
    )


def way_to(backend: Backend, target: Target) -> Way | None:
    """Say how a file is got at that is asked for without a query; None for what is no such file."""
    kind = Kind.GENERIC if backend.generic else classify(target.path)
    if kind in _NOT_ALONE or answered_here(target.path, None) or is_question(target.path, None):
        return None
    policy = policy_at(backend, target, kind)
    return Way(backend, target, policy) if policy.keep else None


def at_hand(store: Store, way: Way, now: float) -> Answer | None:
    """Answer a GET without conditions or range; None where that takes more than a look."""
    entry = store.at_hand(way.target)
    if entry is None or entry.head.status != 200:
        return None
    since, lifetimes = freshness_of(entry.head, entry.checked_at, way.policy)
    if freshness.decide(since, lifetimes, now) is not Verdict.SERVE:
        return None
    status = CacheStatus(hit=True, ttl=freshness.ttl(since, lifetimes, now))
    return from_memory(store, entry, status, now)
