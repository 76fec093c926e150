"""Tests of `osproxy.cache.visits`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.cache.visits import LASTS, LIMIT, Visits

ZYPPER = ("media.1/media", "repomd.xml.asc", "repomd.xml.key", "repomd.xml")
DNF = ("repomd.xml", "repomd.xml.asc", "repomd.xml.key")


class VisitsTests(SynchronousTestCase):
    """A client is shown one snapshot from the first index file to the last."""

    def setUp(self) -> None:
        """Begin without any visit."""
        self.visits = Visits()

    def show(
        self,
        member: str,
        snapshots: tuple[str, ...],
        now: float = 0.0,
        client: str = "192.0.2.1",
        connection: int = 1,
    ) -> str:
        """Ask for a file of the repository."""
        return self.visits.show("/oss", client, connection, member, snapshots, now)

    @given(order=st.sampled_from([ZYPPER, DNF]), swap=st.integers(0, 4), kept=st.booleans())
    def test_one_snapshot(self, order: tuple[str, ...], swap: int, kept: bool) -> None:
        """Wherever a swap falls, over one connection or one each, no visit sees two snapshots."""
        self.visits = Visits()
        shown = {
            self.show(
                member,
                ("old",) if number < swap else ("new", "old"),
                connection=1 if kept else number,
            )
            for number, member in enumerate(order)
        }
        self.assertEqual(len(shown), 1)

    def test_shared_connections(self) -> None:
        """Who shares connections with others, behind a proxy, is shown one snapshot, too."""
        for number, member in enumerate(ZYPPER):
            for client in ("a", "b"):
                snapshots = ("old",) if client == "a" or number < 2 else ("new", "old")
                shown = self.show(member, snapshots, client=client, connection=number % 2)
                self.assertEqual(shown, "old", (client, member))
        self.assertEqual(self.show("repomd.xml", ("new", "old"), client="c", connection=1), "new")

    def test_look_before(self) -> None:
        """A lone look at repomd.xml does not divide the visits of the next client."""
        self.show("repomd.xml", ("old",), connection=1)
        for connection in (2, 3):
            for member in ZYPPER[:-1]:
                self.show(member, ("old",), connection=connection)
            self.assertEqual(self.show("repomd.xml", ("new", "old"), connection=connection), "old")

    def test_next_visit(self) -> None:
        """A file asked for again begins a visit to what is current."""
        for member in ZYPPER:
            self.show(member, ("old",))
        self.assertEqual(self.show("media.1/media", ("new", "old")), "new")
        self.assertEqual(self.show("repomd.xml", ("new", "old")), "new")

    def test_neighbours(self) -> None:
        """Two clients behind one address, each with a connection, do not mix their visits."""
        self.show("media.1/media", ("old",), connection=1)
        self.assertEqual(self.show("media.1/media", ("new", "old"), connection=2), "new")
        self.assertEqual(self.show("repomd.xml.asc", ("new", "old"), connection=1), "old")
        self.assertEqual(self.show("repomd.xml.asc", ("new", "old"), connection=2), "new")
        self.assertEqual(self.show("repomd.xml", ("new", "old"), connection=1), "old")

    def test_end_of_visit(self) -> None:
        """A visit does not last: later the current snapshot is shown."""
        self.show("media.1/media", ("old",))
        self.assertEqual(self.show("repomd.xml", ("new", "old"), now=LASTS), "new")

    def test_retired(self) -> None:
        """A snapshot that is gone cannot be shown."""
        self.show("media.1/media", ("oldest",))
        self.assertEqual(self.show("repomd.xml", ("new", "old")), "new")

    def test_bounded(self) -> None:
        """A flood of clients is forgotten, oldest first."""
        for number in range(LIMIT):
            self.show("media.1/media", ("old",), client=str(number), connection=number)
        self.assertEqual(self.show("repomd.xml", ("new", "old"), client="0", connection=0), "new")
