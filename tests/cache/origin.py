"""An upstream whose every step the test performs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from osproxy.http.fields import first
from osproxy.model import Backend
from osproxy.upstream.origin import Unreachable
from osproxy.upstream.turns import OURS, Asker

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.http.fields import Fields
    from osproxy.model import PassingBody
    from osproxy.upstream.origin import Reply

BACKEND = Backend("/", "https://authority.example")


@define(eq=False)
class Told:
    """One reply of the upstream's; its body comes when the test sends it."""

    status: int = 200
    fields: Fields = ()
    length: int | None = None
    host: str = "authority.example"
    url: str = ""
    hops: int = 0
    protocol: str = "1.1"
    redirect: str | None = None
    alias_of: str | None = None
    requested_at: float = 0.0
    received_at: float = 0.0
    abandoned: bool = False
    paused: bool = False
    _sink: Callable[[bytes], None] | None = None
    _over: Deferred[None] | None = None
    _early: list[bytes] = field(factory=list)
    _ended: bool = False

    async def deliver(self, sink: Callable[[bytes], None]) -> None:
        """See `osproxy.upstream.origin.Reply.deliver`."""
        for data in self._early:
            try:
                sink(data)
            except Exception:
                self.abandoned = True
                raise
        if self._ended:
            return
        self._sink = sink
        self._over = Deferred(lambda _: self.abandon())
        await self._over

    async def read(self, limit: int) -> bytes:
        """See `osproxy.upstream.origin.Reply.read`."""
        content: list[bytes] = []
        await self.deliver(content.append)
        return b"".join(content)

    def send(self, data: bytes) -> None:
        """Let octets of the body come."""
        if self.abandoned:
            return
        if self._sink is None:
            self._early.append(data)
            return
        try:
            self._sink(data)
        except Exception as error:
            over, self._over = self._over, None
            self.abandoned = True
            if over is not None and not over.called:
                over.errback(error)

    def finish(self) -> None:
        """Let the body end well."""
        self._ended = True
        over, self._over = self._over, None
        if over is not None:
            over.callback(None)

    def fail(self, error: Exception) -> None:
        """Let the body end before its end."""
        over, self._over = self._over, None
        assert over is not None
        over.errback(error)

    def pause(self) -> None:
        """See `osproxy.upstream.origin.Reply.pause`."""
        self.paused = True

    def resume(self) -> None:
        """See `osproxy.upstream.origin.Reply.resume`."""
        self.paused = False

    def abandon(self) -> None:
        """See `osproxy.upstream.origin.Reply.abandon`."""
        self.abandoned = True


def whole(body: bytes, *fields: tuple[str, str], status: int = 200) -> Told:
    """Make a reply that is complete at once."""
    told = Told(status, fields, len(body))
    told.send(body)
    told.finish()
    return told


@define(eq=False)
class Question:
    """One request to the upstream, open until the test answers it."""

    url: str
    method: str
    fields: Fields
    https_only: bool
    body: PassingBody | None = None
    verbatim: bool = False
    asker: Asker = OURS
    _clock: Clock = field(factory=Clock)
    _answer: Deferred[Reply] = field(factory=Deferred)
    asked_at: float = field(init=False, default=0.0)

    @property
    def head(self) -> bool:
        """Whether it was asked by HEAD."""
        return self.method == "HEAD"

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return self.url.removeprefix(BACKEND.authority)

    def field(self, name: str) -> str | None:
        """Return a field of the request."""
        return first(self.fields, name)

    def __attrs_post_init__(self) -> None:
        """Note when it was asked."""
        self.asked_at = self._clock.seconds()

    def answer(self, told: Told) -> Told:
        """Let the reply's head come."""
        told.requested_at, told.received_at = self.asked_at, self._clock.seconds()
        self._answer.callback(cast("Reply", told))
        return told

    def fail(self, error: Exception | None = None) -> None:
        """Let there be no reply."""
        self._answer.errback(error or unreachable())


def unreachable() -> Unreachable:
    """Make the error of an upstream that refuses connections."""
    return Unreachable("authority.example", "refused", "authority.example refuses connections")


@define(eq=False)
class Origin:
    """
    The upstream.

    :ivar asked: requests that were not answered yet.
    :ivar files: what it answers at once, by path; None is a 404.
    :ivar log: all requests, method and path.
    """

    asked: list[Question] = field(factory=list)
    files: dict[str, bytes | None] = field(factory=dict)
    log: list[str] = field(factory=list)
    down: bool = False
    clock: Clock = field(factory=Clock)

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        fields: Fields = (),
        body: PassingBody | None = None,
        https_only: bool = False,
        verbatim: bool = False,
        asker: Asker = OURS,
    ) -> Reply:
        """See `osproxy.upstream.origin.Upstream.ask`."""
        question = Question(url, method, fields, https_only, body, verbatim, asker, self.clock)
        self.log.append(f"{method} {question.path}")
        if self.down:
            raise unreachable()
        if question.path in self.files:
            content = self.files[question.path]
            return cast("Reply", whole(b"", status=404) if content is None else whole(content))
        self.asked.append(question)
        return await question._answer

    def next(self) -> Question:
        """Return the oldest request that waits."""
        return self.asked.pop(0)
