"""
The machine's clock was wrong, or is: a year back, a year ahead, and right again.
"""

from __future__ import annotations

from collections import Counter
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from osproxy.repo.layout import CORE
from tests.integration.packages import OSS, snapshots
from tests.integration.tools import DEADLINE, lacking, threaded, until
from tests.integration.troubles import TroubleCase
from tests.integration.wire import fetch

if TYPE_CHECKING:
    from tests.integration.server import Osproxy
    from tests.integration.wire import Answer

REPOMD = CORE[0]
_YEAR = 365 * 86400
_LIBRARIES = "*/faketime/libfaketimeMT.so.1"


def clock_of(offset: str) -> dict[str, str]:
    """Give the environment of a process whose clock goes wrong by so much."""
    found = sorted(Path("/usr/lib").glob(_LIBRARIES))
    if not found:
        raise lacking("libfaketime is not installed (Debian package libfaketime)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def date_of(answer: Answer) -> float:
    """Say what the clock of a server says."""
    return parsedate_to_datetime(answer.field("Date") or "").timestamp()


class ClockTests(TroubleCase):
    """Whatever the clock says, nothing is lost, and nothing is called fresh that is not."""

    @threaded
    def test_restarts(self) -> None:
        """After each start with another clock what is stored is there, and is confirmed first."""
        files = self.publish(3)
        nginx = self.file_server()
        server = self.osproxy(nginx.url)
        self.hits(server, files)
        self.assertEqual(server.stop(), 0)
        for offset in ("-1y", "+1y", "+0", "-1y", "+0"):
            server.start(**clock_of(offset))
            nginx.forget()
            ahead = date_of(server.fetch("/-/status")) - date_of(fetch(nginx.port, "/"))
            self.assertEqual(round(ahead / _YEAR), {"-1y": -1, "+1y": 1, "+0": 0}[offset])
            nginx.forget()
            for path, digest in files.items():
                answer = server.fetch(path)
                self.assert_whole(answer, digest)
                # Not taken for fresh, and not fetched again: it is still there.
                self.assertIn("fwd=stale; fwd-status=304", answer.cache_status, offset)
                self.assertLess(answer.age, 60, offset)
            self.assertEqual({it.status for it in nginx.logged()}, {304})
            self.assertEqual(self.hits(server, files), 3, offset)
            self.assert_ledger_is_right(server)
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.complaints(server), [])

    def shown_before(self, server: Osproxy, digest: str) -> set[str]:
        """Ask for an index until this one shows, and say which others did before."""
        seen = set()

        def shows() -> bool:
            answer = server.fetch(f"{OSS}/{REPOMD}")
            self.assertEqual(answer.status, 200)
            seen.add(answer.digest)
            return answer.digest == digest

        until(shows, "it shows")
        return seen - {digest}

    @threaded
    def test_index(self) -> None:
        """An index that was published meanwhile is seen, though it was stored by a wrong clock."""
        first, second = snapshots()
        nginx = self.file_server()
        patience = [f"--{what}-timeout={DEADLINE}" for what in ("connect", "head")]
        server = self.osproxy(nginx.url, *patience, freshness={"index": 3600})
        self.assertEqual(server.stop(), 0)
        former: set[str] = set()
        for snapshot, offset in ((first, "+1y"), (second, "+0"), (first, "-1y"), (second, "+0")):
            self.site.publish(snapshot)
            server.start(**clock_of(offset))
            nginx.forget()
            digest = snapshot.digests()[REPOMD]
            # Where the look at the authority takes over 3 s, the former one is served, whole.
            self.assertLessEqual(self.shown_before(server, digest), former, offset)
            server.settle()
            # All that was asked for was one look, and anew what that has shown to have changed.
            asked = Counter(line.path for line in nginx.logged() if line.method == "GET")
            times = 2 if former else 1
            self.assertEqual(asked, {f"{OSS}/{name}": times for name in CORE}, offset)
            former = {digest}
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.complaints(server), [])
