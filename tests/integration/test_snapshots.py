"""
A new snapshot is published behind the server's back, and clients see one or the other.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.clients import Dnf, Zypper
from tests.integration.packages import OSS, snapshots
from tests.integration.tools import threaded, until
from tests.integration.wire import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.packages import Snapshot
    from tests.integration.server import Osproxy

# In the order in which zypper asks.
_POLLED = (
    "media.1/media",
    "repodata/repomd.xml.asc",
    "repodata/repomd.xml.key",
    "repodata/repomd.xml",
)
# The key is the same in both snapshots.
_TELLING = [path for path in _POLLED if not path.endswith(".key")]


class SnapshotTests(IntegrationCase):
    """What clients see while a repository changes."""

    def poll(self, server: Osproxy, *, connections: int) -> list[int]:
        """Ask for the four small files in order; tell which snapshot each is from."""
        numbers = {
            snapshot.digests()[path]: snapshot.number
            for snapshot in snapshots()
            for path in _TELLING
        }
        seen = []
        held = [Connection(server.port) for _ in range(connections)]
        try:
            for place, path in enumerate(_POLLED):
                connection = held[place % connections]
                connection.ask(f"{OSS}/{path}")
                answer = connection.answer()
                self.assertEqual(answer.status, 200, path)
                if path in _TELLING:
                    seen.append(numbers[answer.digest])
        finally:
            for connection in held:
                connection.close()
        return seen

    def assert_installs(self, server: Osproxy, snapshot: Snapshot) -> None:
        """Refresh and install with empty roots, both clients."""
        for kind in (Zypper, Dnf):
            client = kind(self.place("root"), f"{server.url}{OSS}/")
            client.refresh()
            client.install()
            self.assertEqual(client.installed(), snapshot.expected())

    @threaded
    def test_new_snapshot(self) -> None:
        """
        Soon after a snapshot is published clients install it; no poll ever sees two, and what
        was stored of the old one is still served.
        """
        first, second = snapshots()
        self.site.publish(first)
        upstreams = self.upstreams()
        server = self.osproxy(upstreams.url, freshness={"index": 2})
        self.assert_installs(server, first)
        polls: list[Sequence[int]] = []
        spread: list[Sequence[int]] = []
        done = threading.Event()

        def keep_polling() -> None:
            while not done.is_set():
                polls.append(self.poll(server, connections=1))
                spread.append(self.poll(server, connections=2))

        def publish() -> None:
            try:
                until(lambda: len(polls) > 5, "polls have begun")
                self.site.publish(second)
                until(lambda: polls[-1] == [2, 2, 2], "the second snapshot shows")
                until(lambda: spread[-1] == [2, 2, 2], "and on other connections")
                self.assert_installs(server, second)
            finally:
                done.set()

        self.at_once(publish, keep_polling)
        self.assertEqual([seen for seen in polls if len(set(seen)) != 1], [])
        # With more than one connection a poll may begin before the change and end after it; but
        # nothing old follows anything new.
        self.assertEqual([seen for seen in spread if list(seen) != sorted(seen)], [])
        for path, digest in first.digests().items():
            if path.endswith(("primary.xml.gz", "filelists.xml.gz")) or "tool" in path:
                self.assert_whole(server.fetch(f"{OSS}/{path}"), digest)

    @threaded
    def test_refreshes_across_the_change(self) -> None:
        """
        No refresh by zypper, which asks for signature and index on one connection, fails while the
        snapshots change back and forth.
        """
        first, second = snapshots()
        server = self.osproxy(self.upstreams().url, freshness={"index": 1})
        for snapshot in (second, first):
            # The data files of both are stored, as upstream has only those of one at a time.
            self.site.publish(snapshot)
            until(partial(self.shows, server, snapshot), "the snapshot shows")
            Zypper(self.place("root"), f"{server.url}{OSS}/").refresh()
        done = threading.Event()

        def keep_changing() -> None:
            number = 0
            while not done.is_set():
                number += 1
                self.site.publish((first, second)[number % 2])
                # The scenario: a change about as often as the index becomes stale.
                done.wait(1.3)

        def keep_refreshing() -> None:
            try:
                for _ in range(16):
                    Zypper(self.place("root"), f"{server.url}{OSS}/").refresh()
            finally:
                done.set()

        self.at_once(keep_refreshing, keep_changing)

    @threaded
    def test_change_shows_in_time(self) -> None:
        """A change shows after the freshness of the index, not before upstream is asked."""
        first, second = snapshots()
        self.site.publish(first)
        server = self.osproxy(self.upstreams().url, freshness={"index": 3600})
        self.assertEqual(self.poll(server, connections=1), [1, 1, 1])
        self.site.publish(second)
        self.assertEqual(self.poll(server, connections=1), [1, 1, 1])
