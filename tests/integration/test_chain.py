"""
Two proxies in a row, and two that lead to each other.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.scripted import response, saying
from tests.integration.tools import threaded, until

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

_TARGET = "/oss/x86_64/a-1-1.x86_64.rpm"


class ChainTests(IntegrationCase):
    """What is said of a file stays right through two of us."""

    @threaded
    def test_age(self) -> None:
        """Age counts from the origin on, Via names both, Cache-Status has the nearer one last."""
        origin = self.scripted(saying(response("200 OK", b"package", Cache_Control="max-age=600")))
        for policy, prefix in (("repository", ""), ("generic", "/api")):
            with self.subTest(policy=policy):
                table = f'[backend."/api"]\nauthority = "{{}}"\npolicy = "{policy}"\n'
                near = self.osproxy(origin.url, backends=table.format(origin.url))
                far = self.osproxy(near.url, backends=table.format(near.url + prefix))
                target = prefix + _TARGET
                began = time.monotonic()
                self.assertLessEqual(near.fetch(target).age, time.monotonic() - began + 1)
                near.settle()
                # The scenario: it grows old, in whole seconds, at the near one and at the far one.
                time.sleep(2.2)
                first = far.fetch(target)
                self.assertEqual(first.body, b"package")
                self.assertGreaterEqual(first.age, 2)
                far.settle()
                time.sleep(1.1)
                second = far.fetch(target)
                self.assertIn("hit", second.cache_status)
                self.assertGreaterEqual(second.age, 3)
                self.assertLessEqual(second.age, time.monotonic() - began + 1)
                vias = (first.field("via") or "").split(", ")
                self.assertEqual(len(vias), 2)
                self.assertEqual(len(set(vias)), 2)
                members = first.cache_status.split(", ")
                self.assertIn("hit", members[0])
                self.assertIn("fwd=uri-miss", members[1])

    @threaded
    def test_loop(self) -> None:
        """Two that lead to each other notice, and nobody waits."""
        for policy, prefix in (("repository", ""), ("generic", "/api")):
            with self.subTest(policy=policy):
                first = self.osproxy("http://127.0.0.1:9", start=False)
                table = (
                    f'[backend."/api"]\nauthority = "{first.url}{prefix}"\npolicy = "{policy}"\n'
                )
                second = self.osproxy(first.url, backends=table)
                configuration = first.directory / "osproxy.toml"
                table = table.replace(first.url, second.url)
                configuration.write_text(
                    f'[backend."/"]\nauthority = "{second.url}"\n{table}', encoding="ascii"
                )
                first.start()
                answer = first.fetch(prefix + _TARGET)
                # Not 504: nobody has waited for anybody.
                self.assertIn(answer.status, (502, 508))
                until(partial(self.has_seen_a_loop, first), "the loop is logged")

    def has_seen_a_loop(self, server: Osproxy) -> bool:
        """Whether a request came by that had been there before."""
        return any('" 508 ' in line for line in server.logged())
