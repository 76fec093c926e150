"""
Many clients want one large file that nobody has yet.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.scripted import pausing, response
from tests.integration.tools import DEADLINE, threaded
from tests.integration.wire import download

if TYPE_CHECKING:
    import socket

    from tests.integration.scripted import Question
    from tests.integration.server import Osproxy
    from tests.integration.wire import Download

_LENGTH = 200_000_000
_TARGET = "/tumbleweed/repo/oss/x86_64/large-1.0-1.1.x86_64.rpm"
_CLIENTS = 16
_LEAVER, _DAWDLER = 5, 9


class CollapsingTests(IntegrationCase):
    """One fill serves all."""

    @threaded
    def test_sixteen_cold_clients(self) -> None:
        """
        Sixteen clients that ask for one file while it comes cost upstream one request; a slow one
        and one that leaves change nothing for the others.
        """
        content, goes_on = pattern(_LENGTH), threading.Event()
        self.addCleanup(goes_on.set)
        mirror = self.scripted(pausing(content, _LENGTH // 2, goes_on))

        def redirect(question: Question, connection: socket.socket) -> None:
            connection.sendall(response("302 Found", Location=f"{mirror.url}{question.target}"))

        redirector = self.scripted(redirect)
        server = self.osproxy(redirector.url, f"--stall-timeout={DEADLINE}")
        starts = random.Random(4)
        begun: list[int] = []
        served: list[int] = []

        def begins(number: int) -> None:
            begun.append(number)
            if len(begun) == _CLIENTS:
                # The second half does not come before each has some of the first.
                goes_on.set()

        def pace(number: int, seconds: float) -> int | None:
            if number == _DAWDLER and len(served) < _CLIENTS - 1:
                # Were one of the others to wait for it, none would come to an end.
                return int(1_000_000 * min(1 + seconds, 15))
            return None

        def one(server: Osproxy, number: int) -> Download:
            # The scenario: clients come when they like.
            time.sleep(starts.uniform(0.0, 5))
            result = download(
                server.port,
                _TARGET,
                leave_at=_LENGTH // 2 if number == _LEAVER else None,
                pace=partial(pace, number),
                begins=partial(begins, number),
            )
            served.append(number)
            return result

        results = self.at_once(*(partial(one, server, number) for number in range(_CLIENTS)))
        self.assertTrue(goes_on.is_set())
        digest = hashlib.sha256(content).hexdigest()
        for number, result in enumerate(results):
            self.assertEqual(result.head.status, 200)
            if number == _LEAVER:
                self.assertEqual(result.got, _LENGTH // 2)
            else:
                self.assertEqual((result.got, result.digest), (_LENGTH, digest), f"client {number}")
        statuses = [result.head.cache_status for result in results]
        self.assertEqual(sum("collapsed" in status for status in statuses), 15, statuses)
        for upstream in (redirector, mirror):
            self.assertEqual([(it.method, it.target) for it in upstream.asked], [("GET", _TARGET)])
        server.settle()
        again = server.fetch(_TARGET)
        self.assertTrue(again.cache_status.startswith("osproxy; hit"), again.cache_status)
        self.assertEqual(again.digest, digest)
