"""Tests of `osproxy.tools.traffic`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind, classify
from osproxy.tools.traffic import package_sizes, profiles, traffic

if TYPE_CHECKING:
    from osproxy.tools.trace import Event


def small(name: str, days: int, **changes: dict[str, Any]) -> dict[str, Any]:
    """Take a profile, for some days, with some parameters changed."""
    profile = profiles()[name]
    for table, values in changes.items():
        profile[table].update(values)
    return {**profile, "days": days}


LAN = small("lan", 40, hosts={"count": 15})
CI = small("ci", 10, jobs={"daily": 20})


class TrafficTests(SynchronousTestCase):
    """What all traffic has in common."""

    def test_seeds(self) -> None:
        """The same seed gives the same traffic, another seed other traffic."""
        for profile in (LAN, CI):
            events = list(traffic(profile, 1))
            self.assertEqual(events, list(traffic(profile, 1)))
            self.assertNotEqual(events, list(traffic(profile, 2)))

    def test_order(self) -> None:
        """Events come in the order of time, from the first day to the last."""
        for profile in (LAN, CI):
            times = [event.at for event in traffic(profile, 3)]
            self.assertEqual(times, sorted(times))
            self.assertLess(times[0], 2 * 86400)
            self.assertEqual(times[-1] // 86400, profile["days"] - 1)

    def test_superseded(self) -> None:
        """What is superseded was asked for before, and never is again."""
        for profile in (LAN, CI):
            asked: set[str] = set()
            ended: set[str] = set()
            for event in traffic(profile, 4):
                self.assertNotIn(event.key, ended)
                if event.octets is None:
                    self.assertIn(event.key, asked)
                    ended.add(event.key)
                asked.add(event.key)
            self.assertGreater(len(ended), 100)

    def test_kinds(self) -> None:
        """A file has one size and one kind, and where its name tells a kind it is that one."""
        files: dict[str, Event] = {}
        for event in traffic(LAN, 5):
            if event.octets is not None:
                known = files.setdefault(event.key, event)
                self.assertEqual(event[2:], known[2:])
        for event in files.values():
            if event.kind is not Kind.ADDRESSED:
                self.assertIs(classify(event.key), event.kind)

    def test_parameters(self) -> None:
        """A parameter that does not exist is not overlooked."""
        profile = small("lan", 1, hosts={"colour": "green"})
        self.assertRaises(TypeError, list, traffic(profile, 1))


class LanTests(SynchronousTestCase):
    """A house."""

    def test_updates(self) -> None:
        """Files are asked for by several hosts, images and much of the rest by one only."""
        requests = Counter(event.key for event in traffic(LAN, 6) if event.octets is not None)
        images = [key for key in requests if key.endswith(".iso")]
        self.assertTrue(5 <= len(images) <= 20, len(images))
        self.assertEqual({requests[key] for key in images}, {1})
        self.assertGreater(max(requests.values()), 15)
        once = sum(count == 1 for count in requests.values())
        self.assertTrue(0.2 < once / len(requests) < 0.9)

    def test_popularity(self) -> None:
        """Some packages are wanted by every new host, most by few."""
        profile = small("lan", 200, hosts={"count": 1, "new": 1}, repository={"snapshots": 0})
        requests = Counter(event.key for event in traffic(profile, 7) if event.kind is Kind.PACKAGE)
        self.assertEqual(sum(count == 200 for count in requests.values()), 700)
        self.assertLess(sorted(requests.values())[len(requests) // 2], 20)


class CiTests(SynchronousTestCase):
    """A build farm."""

    def test_jobs(self) -> None:
        """Each job installs a template that others install too, and something of its own."""
        events = [event for event in traffic(CI, 8) if event.octets is not None]
        packages = [event for event in events if event.kind is Kind.PACKAGE]
        self.assertTrue(20 * 10 * 250 < len(packages) < 20 * 10 * 450)
        # A job begins with the files that list the packages.
        self.assertEqual(len(events) - len(packages), 20 * 10 * 5)


class SizeTests(SynchronousTestCase):
    """The sizes of packages."""

    def test_distribution(self) -> None:
        """Most packages are small, most octets are in large ones."""
        sizes = sorted(package_sizes())
        self.assertEqual(len(sizes), 63_664)
        self.assertTrue(50_000 < sizes[len(sizes) // 2] < 70_000)
        self.assertGreater(sum(sizes[-len(sizes) // 100 :]), sum(sizes) / 3)
