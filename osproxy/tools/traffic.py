"""
Package traffic made up from few parameters, for want of logs: a house, a build farm.

What makes it unlike the traffic of other caches: a package is asked for by many within days, and
never again once the next version of it is out. The parameters are in ``traffic.toml``, beside this
file. The same seed gives the same traffic.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from itertools import accumulate
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from osproxy.repo.kinds import Kind
from osproxy.tools.trace import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DAY = 86400.0
# A snapshot is out before the first host asks, and the last of them are done before midnight.
_MORNING = 3600.0
_EVENING = 22 * 3600.0
# Seconds between two requests of one client.
_PAUSE = 0.05
# A new version of a package has about the size of the one before.
_DRIFT = (0.95, 1.06)


def profiles() -> dict[str, dict[str, Any]]:
    """Read the parameters of each kind of traffic, by name."""
    return tomllib.loads((files(__package__) / "traffic.toml").read_text(encoding="utf-8"))


def package_sizes() -> list[int]:
    """Read the sizes of the packages of a distribution."""
    return [int(line) for line in (files(__package__) / "package-sizes.txt").read_text().split()]


def traffic(profile: dict[str, Any], seed: int) -> Iterator[Event]:
    """Make up traffic, in the order of time."""
    random = Random(seed)
    repository = _Repository(random, **profile["repository"])
    clients: list[_Clients] = [
        make(random, repository, **profile[name])
        for name, make in (("hosts", _Hosts), ("jobs", _Jobs), ("images", _Images))
        if name in profile
    ]
    for day in range(profile["days"]):
        events = list(repository.events(day))
        for some in clients:
            events.extend(some.events(day))
        events.sort(key=itemgetter(0))
        yield from events


class _Clients(Protocol):
    def events(self, day: int) -> Iterator[Event]: ...


class _Repository:
    """Packages in their current versions, and the files that list them."""

    def __init__(
        self,
        random: Random,
        *,
        packages: int,
        popularity: float,
        snapshots: float,
        changed: float,
        rebuilds: float,
        rebuilt: float,
        metadata: list[int],
    ) -> None:
        self._random = random
        self._snapshots = snapshots
        self._changed = changed
        self._rebuilds = rebuilds
        self._rebuilt = rebuilt
        self._metadata_sizes = metadata
        self._sizes = random.choices(package_sizes(), k=packages)
        self._versions = [0] * packages
        self._names = [self._name(package) for package in range(packages)]
        self._asked: dict[str, Kind] = {}
        self._by_popularity = random.sample(range(packages), packages)
        self._weights = list(accumulate((rank + 1) ** -popularity for rank in range(packages)))
        self.snapshot = 0
        #: By package: the snapshot that changed it last.
        self.changes = [0] * packages

    def _name(self, package: int) -> str:
        return f"/oss/x86_64/p{package}-{self._versions[package]}.x86_64.rpm"

    def _metadata_name(self, number: int) -> str:
        return f"/oss/repodata/{self.snapshot}-{number}.xml.zst"

    def events(self, day: int) -> Iterator[Event]:
        """Publish a snapshot, if this is a day for one."""
        if self._random.random() >= self._snapshots:
            return
        at = day * _DAY + self._random.uniform(0, _MORNING)
        share = self._rebuilt if self._random.random() < self._rebuilds else self._changed
        old = [self._metadata_name(number) for number in range(len(self._metadata_sizes))]
        self.snapshot += 1
        for package in self._random.sample(range(len(self._sizes)), int(len(self._sizes) * share)):
            old.append(self._names[package])
            self._versions[package] += 1
            self._names[package] = self._name(package)
            self._sizes[package] = int(self._sizes[package] * self._random.uniform(*_DRIFT))
            self.changes[package] = self.snapshot
        for name in old:
            kind = self._asked.pop(name, None)
            # What nobody has is nobody's to throw away.
            if kind is not None:
                yield Event(at, name, None, kind)

    def metadata(self, at: float) -> Iterator[Event]:
        """Ask for the files that list the packages."""
        for number, octets in enumerate(self._metadata_sizes):
            name = self._metadata_name(number)
            self._asked[name] = Kind.ADDRESSED
            yield Event(at + number * _PAUSE, name, octets, Kind.ADDRESSED)

    def install(self, at: float, packages: Iterable[int]) -> Iterator[Event]:
        """Ask for what lists the packages, and for these."""
        yield from self.metadata(at)
        for number, package in enumerate(packages, len(self._metadata_sizes)):
            name = self._names[package]
            self._asked[name] = Kind.PACKAGE
            yield Event(at + number * _PAUSE, name, self._sizes[package], Kind.PACKAGE)

    def most_popular(self, count: int) -> list[int]:
        """Name the packages that are wanted most."""
        return self._by_popularity[:count]

    def choose(self, count: int, beside: Iterable[int] = ()) -> list[int]:
        """Choose packages by their popularity, and add them to others."""
        chosen = dict.fromkeys(beside)
        count += len(chosen)
        while len(chosen) < count:
            missing = count - len(chosen)
            drawn = self._random.choices(self._by_popularity, cum_weights=self._weights, k=missing)
            chosen.update(dict.fromkeys(drawn))
        return list(chosen)


class _Host:
    """A host: what is installed on it, and how often it is brought up to date."""

    def __init__(self, every: int, offset: int, packages: list[int], snapshot: int) -> None:
        self.every = every
        self.offset = offset
        self.packages = packages
        self.snapshot = snapshot


class _Hosts:
    """Hosts that update, and now and then one that is installed anew."""

    def __init__(
        self,
        random: Random,
        repository: _Repository,
        *,
        count: int,
        every: list[int],
        shares: list[float],
        common: int,
        installed: list[int],
        new: int,
    ) -> None:
        self._random = random
        self._repository = repository
        self._every = every
        self._shares = shares
        self._common = repository.most_popular(common)
        self._installed = installed
        self._new = new
        self._hosts = [self._host() for _ in range(count)]

    def _host(self) -> _Host:
        (every,) = self._random.choices(self._every, self._shares)
        count = self._random.randint(*self._installed) - len(self._common)
        packages = self._repository.choose(count, self._common)
        return _Host(every, self._random.randrange(every), packages, self._repository.snapshot)

    def events(self, day: int) -> Iterator[Event]:
        """Bring those up to date whose day it is."""
        for host in self._hosts:
            if (day + host.offset) % host.every == 0:
                changed = [
                    package
                    for package in host.packages
                    if self._repository.changes[package] > host.snapshot
                ]
                host.snapshot = self._repository.snapshot
                yield from self._repository.install(_moment(self._random, day), changed)
        if day % self._new == 0:
            host = self._hosts[self._random.randrange(len(self._hosts))] = self._host()
            yield from self._repository.install(_moment(self._random, day), host.packages)


class _Jobs:
    """Jobs that begin with nothing and install what they need."""

    def __init__(
        self,
        random: Random,
        repository: _Repository,
        *,
        daily: int,
        templates: int,
        common: int,
        installed: list[int],
        own: int,
    ) -> None:
        self._random = random
        self._repository = repository
        self._daily = daily
        self._own = own
        shared = repository.most_popular(common)
        self._templates = [
            repository.choose(random.randint(*installed) - common, shared) for _ in range(templates)
        ]

    def events(self, day: int) -> Iterator[Event]:
        """Run the jobs of a day."""
        for _ in range(self._daily):
            template = self._random.choice(self._templates)
            packages = self._repository.choose(self._own, template)
            yield from self._repository.install(_moment(self._random, day), packages)


class _Images:
    """Images that one client fetches, each a new one."""

    def __init__(
        self, random: Random, repository: _Repository, *, weekly: float, octets: list[int]
    ) -> None:
        self._random = random
        self._share = weekly / 7
        self._octets = octets
        self._count = 0

    def events(self, day: int) -> Iterator[Event]:
        """Fetch an image, if this is a day for one."""
        if self._random.random() < self._share:
            self._count += 1
            octets = self._random.randint(*self._octets)
            name = f"/iso/install-{self._count}.iso"
            yield Event(_moment(self._random, day), name, octets, Kind.IMAGE)


def _moment(random: Random, day: int) -> float:
    return day * _DAY + random.uniform(_MORNING, _EVENING)
