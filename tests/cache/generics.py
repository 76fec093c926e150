"""A generic backend in front of an origin that is played."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from osproxy.http.fields import format_date
from osproxy.model import Answer, Asked, Backend, Notice, Relayed, Target
from tests.cache.doubles import CacheTestCase, octets, passed
from tests.cache.origin import Told, whole

PLACE = Backend("/api", "https://origin.example/base", generic=True)
URL = "https://origin.example/base"
HOUR = ("Cache-Control", "max-age=3600")


class GenericCase(CacheTestCase):
    """A generic backend in front of an origin that is played."""

    def ask(
        self,
        path: str = "/x",
        *fields: tuple[str, str],
        method: str = "GET",
        query: str | None = None,
    ) -> Deferred[Answer]:
        """Ask for something."""
        asked = Asked(method, query, fields, "192.0.2.1", via="1.1 osproxy-1")
        target = Target(PLACE.prefix, path)
        return Deferred.fromCoroutine(self.bench.cache.obtain(PLACE, target, asked))

    def now(self) -> str:
        """Give the time as a field has it."""
        return format_date(self.bench.place.clock.seconds())

    def told(self, body: bytes, *fields: tuple[str, str], status: int = 200) -> Told:
        """Make a whole reply with a Date."""
        return whole(body, ("Date", self.now()), *fields, status=status)

    def get(self, told: Told | None, path: str = "/x", *fields: tuple[str, str]) -> str:
        """Ask, answer upstream's question if there should be one, and tell what came of it."""
        asking = self.ask(path, *fields)
        if told is None:
            self.assertEqual(self.origin.asked, [], "the upstream was asked")
        else:
            self.origin.next().answer(told)
        return self.outcome(self.successResultOf(asking))

    def outcome(self, answer: Answer) -> str:
        """Tell status, body and cache status of an answer."""
        content = answer.content
        said = answer.cache_status.serialise().removeprefix("osproxy; ")
        said = said.replace('; detail="authority.example"', "")
        if isinstance(content, Notice):
            return f"{content.status} | {said}"
        if isinstance(content, Relayed):
            body = b"" if content.body is None else self.successResultOf(passed(answer))
            return f"{content.status} {body.decode()} | {said}"
        return f"{content.head.status} {octets(answer).decode()} | {said}"

    def send(self, method: str, told: Told | None, path: str = "/x") -> str:
        """Send a request of this method."""
        asking = self.ask(path, method=method)
        question = self.origin.next()
        self.assertEqual(question.method, method)
        if told is None:
            question.fail()
        else:
            question.answer(told)
        return self.outcome(self.successResultOf(asking))

    def kept(self, *fields: tuple[str, str], body: bytes = b"one", path: str = "/x") -> None:
        """Have something stored that may be used for an hour, unless the fields say more."""
        self.get(self.told(body, *(fields or (HOUR,))), path)
