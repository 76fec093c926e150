"""
Many clients want one large file that nobody has yet.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.packages import pattern
from tests.integration.tools import threaded, until
from tests.integration.wire import download

if TYPE_CHECKING:
    from tests.integration.server import Osproxy
    from tests.integration.wire import Download

_LENGTH = 200_000_000
_TARGET = "/tumbleweed/repo/oss/x86_64/large-1.0-1.1.x86_64.rpm"
_CLIENTS = 16
_RATE = 20_000_000
_LEAVER, _DAWDLER = 5, 9


def _eager(seconds: float) -> int | None:
    """Pace a client as fast as it comes."""
    return None


class CollapsingTests(IntegrationCase):
    """One fill serves all."""

    @threaded
    def test_sixteen_cold_clients(self) -> None:
        """
        Sixteen clients that ask for one file within 5 s cost upstream one request; a slow one and
        one that leaves change nothing for the others.
        """
        digest = self.site.write(_TARGET, pattern(_LENGTH))
        upstreams = self.upstreams(limit_rate=str(_RATE))
        server = self.osproxy(upstreams.url)
        starts = random.Random(4)
        begins = [0.0, *(starts.uniform(0.05, 5) for _ in range(_CLIENTS - 1))]
        served: list[int] = []

        def dawdling(seconds: float) -> int | None:
            # Were one of the others to wait for it, none would come to an end.
            return None if len(served) == _CLIENTS - 1 else int(1_000_000 * min(seconds, 15))

        def one(server: Osproxy, number: int) -> Download:
            # The scenario: clients come when they like.
            time.sleep(begins[number])
            result = download(
                server.port,
                _TARGET,
                leave_at=_LENGTH // 2 if number == _LEAVER else None,
                pace=dawdling if number == _DAWDLER else _eager,
            )
            served.append(number)
            return result

        results = self.at_once(*(partial(one, server, number) for number in range(_CLIENTS)))
        for number, result in enumerate(results):
            self.assertEqual(result.head.status, 200)
            # It has not waited for the whole.
            self.assertLess(result.first_octet, _LENGTH / _RATE, f"client {number}")
            if number == _LEAVER:
                self.assertEqual(result.got, _LENGTH // 2)
            else:
                self.assertEqual((result.got, result.digest), (_LENGTH, digest), f"client {number}")
        statuses = [result.head.cache_status for result in results]
        self.assertEqual(sum("collapsed" in status for status in statuses), 15, statuses)
        until(lambda: upstreams.fetched()[_TARGET], "nginx has logged")
        self.assertEqual(upstreams.fetched(), {_TARGET: 1})
        asked = [line for line in upstreams.redirector.logged() if line.path == _TARGET]
        self.assertEqual(len(asked), 1)
        server.settle()
        again = server.fetch(_TARGET)
        self.assertTrue(again.cache_status.startswith("osproxy; hit"), again.cache_status)
        self.assertEqual(again.digest, digest)
