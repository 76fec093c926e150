"""Tests of `osproxy.web.sharing`."""

from __future__ import annotations

from collections import Counter

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.values import Rate
from osproxy.web.sharing import MOST_AT_ONCE, Request, Shares, rate_of

TICK = 1 / 64
TOTAL = Rate(64_000, 16_000)


@define
class Sender:
    """
    A client with some connections, each of which asks again once it was granted something.

    :ivar wanted: octets that it asks for each time.
    :ivar pause: ticks until it asks again.
    """

    name: str
    wanted: int
    connections: int = 1
    pause: int = 0


@define
class Run:
    """
    A bandwidth in use, from tick to tick.

    :ivar log: each grant: when, to whom, how many octets.
    """

    shares: Shares
    senders: list[Sender]
    log: list[tuple[float, str, int]] = field(factory=list)
    now: float = 1_000.0
    _due: list[tuple[int, Sender]] = field(factory=list)
    _of: dict[Request, Sender] = field(factory=dict)

    def go(self, ticks: int) -> Counter[str]:
        """Let time pass, and say who got how much."""
        self._due += [(0, sender) for sender in self.senders for _ in range(sender.connections)]
        begin = len(self.log)
        for tick in range(ticks):
            due, self._due = self._due, []
            for at, sender in due:
                self._ask_at(tick, at, sender)
            for request, octets in self.shares.grants(self.now):
                sender = self._of.pop(request)
                self.log.append((self.now, sender.name, octets))
                self._ask_at(tick, tick + sender.pause, sender)
            self.now += TICK
        got: Counter[str] = Counter()
        for _, name, octets in self.log[begin:]:
            got[name] += octets
        return got

    def _ask_at(self, tick: int, at: int, sender: Sender) -> None:
        if at > tick:
            self._due.append((at, sender))
        else:
            self._of[self.shares.ask(sender.name, sender.wanted, self.now)] = sender


SENDERS = st.lists(
    st.builds(
        Sender,
        st.sampled_from("abcde"),
        st.integers(1, 20_000),
        st.integers(1, 4),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=6,
)
LIMITS = st.builds(Rate, st.sampled_from([8_000.0, 64_000.0]), st.sampled_from([4_000.0, 16_000.0]))


def most(log: list[tuple[float, int]], rate: Rate) -> float:
    """Say by how much any stretch of time has more than a rate and its burst allow."""
    worst = -rate.burst
    for first, (begin, _) in enumerate(log):
        sent = 0
        for at, octets in log[first:]:
            sent += octets
            worst = max(worst, sent - rate.burst - (at - begin) * rate.per_second)
    return worst


class BoundTests(SynchronousTestCase):
    """What is never exceeded."""

    @given(SENDERS, LIMITS, st.none() | LIMITS)
    def test_bounds(self, senders: list[Sender], total: Rate, each: Rate | None) -> None:
        """In no stretch of time more is granted than the rate and its burst, in all or to one."""
        run = Run(Shares(total, each), senders)
        run.go(64)
        self.assertLessEqual(most([(at, octets) for at, _, octets in run.log], total), 1e-6)
        for name in {sender.name for sender in senders} if each is not None else ():
            own = [(at, octets) for at, who, octets in run.log if who == name]
            self.assertLessEqual(most(own, each or total), 1e-6)

    @given(SENDERS)
    def test_no_more_than_wanted(self, senders: list[Sender]) -> None:
        """Nobody is granted more than it asked for, or more than a part of the burst."""
        run = Run(Shares(TOTAL, None), senders)
        run.go(32)
        wanted = {sender.name: 0 for sender in senders}
        for sender in senders:
            wanted[sender.name] = max(wanted[sender.name], sender.wanted)
        for _, name, octets in run.log:
            self.assertLessEqual(octets, min(wanted[name], TOTAL.burst / 4))


class FairnessTests(SynchronousTestCase):
    """How it is divided."""

    @given(st.lists(st.integers(200, 20_000), min_size=2, max_size=6), st.data())
    def test_equal_among_clients(self, wanted: list[int], data: st.DataObject) -> None:
        """Clients that want all they can get have as much, however they ask, but for a grant."""
        senders = [
            Sender(str(number), octets, data.draw(st.integers(1, 4)))
            for number, octets in enumerate(wanted)
        ]
        run = Run(Shares(TOTAL, None), senders)
        got = run.go(128)
        self.assertLessEqual(max(got.values()) - min(got.values()), 2 * run.shares.quantum)
        # Nothing of what there is lies idle.
        self.assertGreater(sum(got.values()), 127 * TICK * TOTAL.per_second)

    def test_connections_do_not_count(self) -> None:
        """Who opens ten connections gets no more than who has one."""
        got = Run(Shares(TOTAL, None), [Sender("many", 8_000, 10), Sender("one", 8_000)]).go(640)
        self.assertLessEqual(abs(got["many"] - got["one"]), 8_000)

    def test_less_demand(self) -> None:
        """What a client does not want is divided among the others."""
        # It asks again four ticks after each grant, for which it waits a tick at most.
        modest, *greedy = Sender("modest", 1_000, pause=4), Sender("a", 9_999), Sender("b", 500)
        got = Run(Shares(TOTAL, None), [modest, *greedy]).go(640)
        self.assertGreater(got["modest"], 1_000 * 640 / 5)
        self.assertLessEqual(abs(got["a"] - got["b"]), 4_000)
        self.assertLessEqual(abs(sum(got.values()) - 640_000), 20_000)

    def test_limit_of_one(self) -> None:
        """What a client may not have goes to the others."""
        run = Run(
            Shares(Rate(64_000, 16_000), Rate(40_000, 16_000)),
            [Sender("a", 4_000), Sender("b", 4_000, pause=16)],
        )
        got = run.go(640)
        self.assertLessEqual(abs(got["a"] - 400_000), 20_000)
        self.assertLessEqual(abs(got["b"] - 160_000), 20_000)

    def test_no_credit(self) -> None:
        """Who was away for a while does not shut the others out when it comes back."""
        run = Run(Shares(TOTAL, None), [Sender("a", 4_000)])
        run.go(640)
        run.senders = [Sender("b", 4_000)]
        got = run.go(64)
        self.assertLessEqual(abs(got["a"] - got["b"]), 8_000)

    def test_nobody_starves(self) -> None:
        """Among a thousand clients, each has its turn within the time that one round takes."""
        senders = [Sender(str(number), 20_000) for number in range(1_000)]
        run = Run(Shares(TOTAL, None), senders)
        # A round is 1,000 grants of 4,000 octets at 64,000 a second.
        got = run.go(64 * 63)
        self.assertEqual(len(got), 1_000)
        self.assertLessEqual(max(got.values()) - min(got.values()), 4_000)


class SharesTests(SynchronousTestCase):
    """Tests of `Shares`, call by call."""

    def test_wait(self) -> None:
        """It is known when the next grant may be, and that there is none while nobody waits."""
        shares = Shares(TOTAL, None)
        self.assertIsNone(shares.wait(0))
        for _ in range(5):
            shares.ask("a", 4_000, 10)
        self.assertEqual([octets for _, octets in shares.grants(10)], [4_000] * 4)
        self.assertEqual(shares.wait(10), 0.0625)
        self.assertEqual([octets for _, octets in shares.grants(10.0625)], [4_000])
        self.assertIsNone(shares.wait(11))

    def test_wait_for_one_client(self) -> None:
        """A client that has had what it may have waits, although others need not."""
        shares = Shares(None, Rate(1_000, 4_000))
        for _ in range(5):
            shares.ask("a", 1_000, 0)
        self.assertEqual(len(list(shares.grants(0))), 4)
        self.assertEqual(shares.wait(0), 1)
        shares.ask("b", 1_000, 0)
        self.assertEqual([request.client for request, _ in shares.grants(0)], ["b"])
        self.assertEqual([request.client for request, _ in shares.grants(1)], ["a"])

    def test_withdraw(self) -> None:
        """Who waits no longer is granted nothing, and the next is."""
        shares = Shares(TOTAL, None)
        gone = shares.ask("a", 10, 5)
        stays = shares.ask("b", 20, 5)
        shares.withdraw(gone)
        self.assertEqual(list(shares.grants(5)), [(stays, 20)])
        self.assertIsNone(shares.wait(5))

    def test_give_back(self) -> None:
        """What was granted and not sent can be granted again at once, up to the burst."""
        shares = Shares(TOTAL, Rate(64_000, 16_000))
        for _ in range(4):
            shares.ask("a", 4_000, 0)
        self.assertEqual(len(list(shares.grants(0))), 4)
        shares.give_back("a", 3_000, 0)
        shares.ask("a", 3_000, 0)
        self.assertEqual([octets for _, octets in shares.grants(0)], [3_000])
        shares.give_back("a", 1 << 30, 0)
        for _ in range(9):
            shares.ask("a", 4_000, 0)
        self.assertEqual(len(list(shares.grants(0))), 4)

    def test_forgotten(self) -> None:
        """Clients that have had nothing for a while cost nothing."""
        shares = Shares(TOTAL, Rate(64_000, 16_000))
        for number in range(100):
            shares.ask(str(number), 16, 0)
        list(shares.grants(0))
        for _ in range(100):
            shares.ask("a", 16, 60)
            list(shares.grants(60))
        self.assertLess(len(shares), 3)

    def test_limit_taken_away(self) -> None:
        """Once there is no limit any more everybody is granted what it wants, in large pieces."""
        shares = Shares(TOTAL, None)
        for _ in range(9):
            shares.ask("a", 9 << 20, 0)
        list(shares.grants(0))
        shares.total = None
        self.assertEqual(list(shares.grants(0))[-1][1], MOST_AT_ONCE)
        self.assertIsNone(shares.wait(0))

    def test_rate(self) -> None:
        """A limit has a quarter of a second's burst, but one that a block fits into; 0 is none."""
        self.assertIsNone(rate_of(0))
        self.assertEqual(rate_of(1 << 20), Rate(1 << 20, 1 << 18))
        self.assertEqual(rate_of(1), Rate(1, 16384))
