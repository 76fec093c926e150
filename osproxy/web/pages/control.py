"""
What is answered on the control socket alone: requests that make osproxy do something.

``POST /-/scrub`` has everything verified now. Its answer goes on until that is done: JSON, a line
once a second with how far it has come, a line for each damaged entry, and one at the end. Whoever
leaves before the end has it given up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from osproxy.config.values import BadValue, size
from osproxy.store.scrub import Busy, Order, Stopped

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
        path, method = request.path.decode("latin-1"), request.method.decode("latin-1")
        request.setHeader("Server", "osproxy")
        allowed = _ACTIONS.get(path, _TELLS)
        if method not in allowed.split(", "):
            request.setHeader("Allow", allowed)
            return _text(request, 405, f"Only {allowed} here.\n")
        if path == "/-/scrub":
            return self._begin_scrub(request)
        page = self._pages.own_page(path)
        if page is None:
            return _text(request, 404, "No such page.\n")
        request.setResponseCode(page.status)
        request.setHeader("Content-Type", page.content_type)
        return page.body

    def _begin_scrub(self, request: ClientRequest) -> bytes | int:
        if not self._ready():
            return _text(request, 503, "The store is not open yet.\n")
        given = request.args.get(b"rate")
        try:
            rate = None if given is None else size(given[0].decode("latin-1"))
        except BadValue as error:
            return _text(request, 400, f"The rate {error}.\n")
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
