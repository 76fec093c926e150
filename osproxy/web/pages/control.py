"""
What is answered on the control socket alone: requests that make osproxy do something.

``POST /-/scrub`` has everything verified now. Its answer goes on until that is done: JSON, a line
once a second with how far it has come, a line for each damaged entry, and one at the end. Whoever
leaves before the end has it given up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.config.values import BadValue, size
from osproxy.store.scrub import Busy, Order, Stopped
from osproxy.web.routing import Refused, place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from osproxy.store.entries import Entry
    from osproxy.store.inspection import Damaged
    from osproxy.store.scrub import Scrub
    from osproxy.web.pages.own import OwnPages
    from osproxy.web.request import ClientRequest

_TEXT = "text/plain; charset=utf-8"
_LINES = "application/x-ndjson"
_TELL_EVERY = 1.0
# Its methods; all other pages only tell.
_ACTIONS = {"/-/scrub": "POST"}
_TELLS = "GET, HEAD"


class Control(Resource):
    """
    The resource of every path on the control socket, where the own pages are as well.

    :param ready: whether the store is open.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, scrub: Scrub, pages: OwnPages, ready: Callable[[], bool], clock: IReactorTime
    ) -> None:
        super().__init__()
        self._scrub = scrub
        self._pages = pages
        self._ready = ready
        self._clock = clock

    def render(self, request: ClientRequest) -> bytes | int:
        """Answer, or begin to."""
        request.setHeader("Server", "osproxy")
        try:
            return self._answer(request)
        except Refused as refused:
            if refused.allowed is not None:
                request.setHeader("Allow", refused.allowed)
            return _text(request, refused.status, f"{refused}\n")

    def _answer(self, request: ClientRequest) -> bytes | int:
        if request.refusal is not None:
            raise Refused(request.refusal.status, f"{request.refusal}.")
        place = place_of(request.head.target)
        allowed = _ACTIONS.get(place.path, _TELLS)
        if request.head.method not in allowed.split(", "):
            raise Refused(405, f"Only {allowed} here.", allowed)
        if place.path == "/-/scrub":
            return self._begin_scrub(request, place.query or "")
        page = self._pages.own_page(place.path)
        request.setResponseCode(page.status)
        request.setHeader("Content-Type", page.content_type)
        return page.body

    def _begin_scrub(self, request: ClientRequest, query: str) -> bytes | int:
        if not self._ready():
            raise Refused(503, "The store is not open yet.")
        given = parse_qs(query, keep_blank_values=True).get("rate")
        try:
            rate = None if given is None else size(given[0])
        except BadValue as error:
            raise Refused(400, f"The rate {error}.") from error
        # Nobody means that it is to last for ever.
        Deferred.fromCoroutine(self._run_scrub(request, rate or None)).addErrback(
            lambda failure: self._log.failure("verifying everything", failure)
        )
        return NOT_DONE_YET

    async def _run_scrub(self, request: ClientRequest, rate: int | None) -> None:
        def say(**line: object) -> None:
            if not request.gone:
                request.write(json.dumps(line).encode("ascii") + b"\n")

        def found(entry: Entry, damaged: Damaged) -> None:
            say(damaged=str(entry.target), fault=str(damaged))

        def tell() -> None:
            say(
                files=order.files,
                files_done=order.files_done,
                octets=order.octets,
                octets_done=order.octets_done,
            )

        self._log.info("everything is to be verified")
        order = Order(rate, found)
        request.notifyFinish().addErrback(lambda _: order.give_up())
        request.setHeader("Content-Type", _LINES)
        telling = LoopingCall(tell)
        telling.clock = self._clock
        telling.start(_TELL_EVERY, now=False).addErrback(
            lambda failure: self._log.failure("telling how far it has come", failure)
        )
        try:
            await self._scrub.everything(order)
        except Busy:
            request.write(_text(request, 409, "Everything is being verified already.\n"))
        except Stopped:
            say(end="stopped")
        except Exception as error:
            self._log.failure("verifying everything")
            say(end=f"failed: {error}")
        else:
            tell()
            say(end="done")
        finally:
            telling.stop()
        if not request.gone:
            request.finish()


def _text(request: ClientRequest, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", _TEXT)
    return text.encode()
