"""
What is said to a client when there is no file to hand out, and how a file came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from osproxy.http.cachecontrol import RequestControl
from osproxy.http.cachestatus import CacheStatus, Fwd
from osproxy.http.fields import first
from osproxy.http.methods import READING
from osproxy.model import Answer, Notice
from osproxy.shedding import RETRY_AFTER
from osproxy.upstream.origin import Overloaded, TimedOut, Useless

if TYPE_CHECKING:
    from osproxy.model import Asked, Target
    from osproxy.repo.kinds import Kind
    from osproxy.repo.policies import Policy
    from osproxy.upstream.origin import Reply, UpstreamError

#: Statuses by which an authority says that it has no such file.
MISSING = frozenset({404, 410})
# Errors of an upstream that mean the same to whoever asks us: to come again, that something took
# too long, that the request goes round in a loop (RFC 5842 section 7.2).
_TOLD = frozenset({503, 504, 508})


class Unanswered(Exception):
    """
    There is no answer to a question about what is stored, nor may that be served without one.

    :ivar why: the question was asked.
    """

    def __init__(self, error: UpstreamError, why: Fwd) -> None:
        super().__init__(str(error))
        self.error = error
        self.why = why


def line(status: int, text: str) -> Notice:
    """Make an answer of one line."""
    return Notice(status, f"{text}\n".encode())


def plain(asked: Asked) -> bool:
    """Whether the answer to a GET without further fields will do."""
    return not asked.head and not conditional(asked) and first(asked.fields, "range") is None


def conditional(asked: Asked) -> bool:
    """Whether the client has a copy that it asks to compare."""
    return any(
        name.lower().startswith("if-") and name.lower() != "if-range" for name, _ in asked.fields
    )


def insists(asked: Asked, checked_at: float, policy: Policy, now: float) -> bool:
    """
    Whether the client wants a look at the source now (RFC 9111 section 5.2.1.4).

    One that was just taken will do for all who ask: dnf says no-cache with every repomd.xml.
    """
    if not RequestControl.parse(asked.fields).no_cache:
        return False
    return not 0 <= now - checked_at < policy.checks_after


def stale(why: str) -> CacheStatus:
    """Say that a file is served although it could not be revalidated."""
    return CacheStatus(fwd="stale", detail=f"stale: {why}", stale=True)


def missing_file(status: int, kind: Kind, cache_status: CacheStatus) -> Answer:
    """Say that the authority has no such file."""
    return Answer(line(status, "No such file."), cache_status, kind)


def unavailable(reply: Reply, target: Target, kind: Kind, status: CacheStatus) -> Answer:
    """Say what an upstream's refusal means to a client."""
    status = evolve(status, fwd_status=reply.status, detail=reply.host)
    if reply.redirect is not None:
        # Relative: whatever host and prefix the client has asked by stay as they are.
        notice = evolve(
            line(reply.status, "It is a folder."), location=f"./{target.path.rpartition('/')[2]}/"
        )
        return Answer(notice, status, kind)
    source = "" if reply.status in MISSING else reply.host
    return Answer(notice_of(reply), status, kind, source=source)


def notice_of(reply: Reply) -> Notice:
    """Say in a line of ours what an upstream has said instead of giving a file."""
    if reply.status in MISSING:
        return line(reply.status, "No such file.")
    # Else it is an error of the upstream's, or an answer that makes no sense to this question.
    told = reply.status if 400 <= reply.status < 500 else _told(reply.status)
    return line(told, f"{reply.host} answered {reply.status}.")


def failed(error: UpstreamError, kind: Kind, asked: Asked, why: Fwd | None = None) -> Answer:
    """
    Say that there is no answer from upstream, or none of any use: 502 as a rule.

    Where it did not come in time it is 504. Where it was not asked, since there is too much to do,
    it is 503, and when to come again.

    :param why: the upstream was asked, where something is stored.
    """
    match error:
        case Overloaded():
            notice = evolve(line(503, f"{error}."), retry_after=RETRY_AFTER)
        case Useless():
            notice = line(_told(error.status), f"{error}.")
        case TimedOut():
            notice = line(504, f"{error}.")
        case _:
            notice = line(502, f"{error}.")
    if why is None:
        why = Fwd.URI_MISS if asked.method in READING else Fwd.METHOD
    return Answer(notice, CacheStatus(fwd=why, detail=str(error)), kind)


def _told(status: int) -> int:
    return status if status in _TOLD else 502
