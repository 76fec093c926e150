"""
A start with a hundred thousand entries, and with a million: how long, how heavy, how it serves.

There are rows and no files; the store is wired as the server wires it, but without the sweep, which
would take all of them for lost. Run it from the checkout, on a quiet machine::

    python benchmarks/catalogue.py [ENTRIES...]
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import LoopingCall, react

from osproxy.metrics import Metrics
from osproxy.model import Head, Target
from osproxy.repo.kinds import Kind
from osproxy.service.collector import leave_alone
from osproxy.store.admission import WonderGuard
from osproxy.store.blobs import Shelf
from osproxy.store.catalogue import Catalogue
from osproxy.store.creditclock import CreditClock
from osproxy.store.eviction import Eviction
from osproxy.store.index import Index, key_of
from osproxy.store.inventory import Inventory
from osproxy.store.kept import Kept
from osproxy.store.layout import Directory, open_directory
from osproxy.store.ledger import Ledger
from osproxy.store.loading import Loading
from osproxy.store.notes import Notes
from osproxy.store.pins import Pins
from osproxy.store.rebuild import Rebuild
from osproxy.store.records import Record
from osproxy.store.removal import Removal
from osproxy.store.residents import Residents
from osproxy.store.room import Room
from osproxy.store.sharing import Sharing
from osproxy.store.stock import Stock
from osproxy.store.sweep import Sweep
from osproxy.store.syncing import Disk
from osproxy.store.trouble import Trouble
from osproxy.store.unsynced import Unsynced
from osproxy.threads import Threads
from osproxy.waiting import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_P = ParamSpec("_P")
_T = TypeVar("_T")
_CHUNK = 10_000
_ROUNDS = 20_000
_COLD = 2_000


def target(number: int) -> Target:
    """Name a package as repositories do."""
    name = f"package-with-a-name-{number}-1.{number % 97}.{number % 13}-150400.{number % 7}.1"
    return Target("/", f"/repositories/project:{number // 500}/oss/x86_64/{name}.x86_64.rpm")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def record(number: int) -> Record:
    """Describe an entry as they are."""
    head = Head(
        etag=f'"{number:032x}"',
        fields=(
            ("Content-Type", "application/x-redhat-package-manager"),
            ("Last-Modified", "Wed, 25 Nov 2026 22:00:00 GMT"),
            ("Cache-Control", "max-age=900"),
        ),
        upstream_etag=f'"{number:016x}"',
        source="mirror.example.org",
        date=1.8e9 + number,
    )
    digest = f"{number:064x}"
    return Record(
        number, target(number), Kind.PACKAGE, head, 4096, 40_000, digest, 1.8e9, 1.8e9, "0" * 16
    )


async def fill(catalogue: Catalogue, count: int) -> None:
    """Write so many rows, nine in ten of them used."""
    await catalogue.open()
    dice = random.Random(6)
    for start in range(0, count, _CHUNK):
        numbers = range(start + 1, min(start + _CHUNK, count) + 1)
        await catalogue.swap([record(number) for number in numbers], ())
        uses = {
            number: (1.8e9 + dice.random() * 1e6, dice.randint(0, 7))
            for number in numbers
            if dice.random() < 0.9
        }
        await catalogue.note(uses, {})
    await catalogue.completed()
    await catalogue.close()


def resident() -> int:
    """Octets of memory that this process has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmRSS")


class NoSweep(Sweep):
    """Leaves all as it is."""

    async def run(self) -> None:
        """Do nothing."""


class Bench:
    """The part of a store that brings entries back and finds them."""

    def __init__(self, reactor: Any, directory: Directory) -> None:
        self.threads = [Threads(reactor, 8, "disk"), Threads(reactor, 1, "catalogue")]
        for pool in self.threads:
            pool.start()
        disk, database = self.threads
        ledger = Ledger(1 << 50, eviction=Eviction(CreditClock))
        self.catalogue = Catalogue(directory.catalogue, database)
        tasks = Tasks(Rebuild.log)
        trouble = Trouble(reactor, Metrics(CollectorRegistry()).troubles)
        removal = Removal(ledger, self.catalogue, disk, tasks, trouble)
        kept = Kept(ledger)
        room = Room(
            ledger,
            removal,
            self.catalogue,
            Pins(),
            disk,
            reactor,
            lambda number: None,
            kept,
            1 << 50,
            lambda _: 0,
        )
        shelf = Shelf(directory, ledger, disk, removal)
        unsynced = Unsynced(
            directory, self.catalogue, disk, tasks, trouble, "", durable=False, syncing=Disk()
        )
        notes = Notes(self.catalogue, ledger.hotness, WonderGuard(0.0))
        stock = Stock(shelf, Residents(), Sharing(ledger), notes, unsynced, removal, trouble)
        self.inventory = Inventory(shelf, self.catalogue, stock, room, Pins(), trouble)
        sweep = NoSweep(directory, ledger, disk, self.catalogue, stock, lambda found: False)
        rebuild = Rebuild(directory, ledger, self.catalogue, disk, stock, self.inventory, unsynced)
        self.loading = Loading(
            self.catalogue, self.inventory, room, rebuild, sweep, disk, leave_alone
        )

    async def close(self) -> None:
        """End the threads."""
        await self.catalogue.close()
        for pool in self.threads:
            pool.stop()


class Stalls:
    """Watches how long the reactor does not come round."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._last = time.perf_counter()
        self._loop = LoopingCall(self._look)

    def start(self) -> None:
        """Begin."""
        self._last = time.perf_counter()
        self._loop.start(0.001)

    def stop(self) -> None:
        """End."""
        self._loop.stop()

    def _look(self) -> None:
        now = time.perf_counter()
        self.worst = max(self.worst, now - self._last)
        self._last = now


def numbers(count: int, most: int) -> Iterator[int]:
    """Draw entries."""
    dice = random.Random(7)
    return (dice.randint(1, count) for _ in range(most))


async def measure(reactor: Any, path: Path, count: int) -> None:
    """Start on what lies there, and print the figures."""
    directory = open_directory(path)
    bench = Bench(reactor, directory)
    before = resident()
    stalls = Stalls()
    began = time.perf_counter()
    await bench.loading.prepare()
    prepared = time.perf_counter() - began
    stalls.start()
    loading = Deferred.fromCoroutine(bench.loading.run())
    assert await bench.inventory.find(target(count // 2)) is not None
    first = time.perf_counter() - began
    meanwhile = []
    for number in numbers(count, 10_000):
        if loading.called:
            break
        asked = time.perf_counter()
        assert await bench.inventory.find(target(number)) is not None
        meanwhile.append(time.perf_counter() - asked)
        pause: Deferred[None] = Deferred()
        reactor.callLater(0.05, pause.callback, None)
        await pause
    await loading
    loaded = time.perf_counter() - began
    stalls.stop()
    size = (resident() - before) / count
    assert len(bench.inventory) == count
    say(f"{count} entries: {directory.catalogue.stat().st_size >> 20} MiB on disk")
    say(f"  serves after {prepared:.3f} s, first find {first:.3f} s, loaded {loaded:.2f} s")
    say(
        f"  while loading: longest stall {stalls.worst * 1e3:.0f} ms,"
        f" slowest of {len(meanwhile)} finds {max(meanwhile, default=0) * 1e3:.1f} ms"
    )
    say(f"  resident: {size:.0f} octets an entry, the ledger included; {alone(count)}")
    await costs(bench, count)
    await bench.close()
    directory.close()


def alone(count: int) -> str:
    """Say what the index takes without the rest."""
    before = resident()
    index = Index()
    keys = [key_of(target(number)) for number in range(1, 1001)]
    for number in range(count):
        index.add(1 << 32 | number, keys[number % 1000] + number // 1000)
    return f"the index alone {(resident() - before) / count:.0f}"


async def costs(bench: Bench, count: int) -> None:
    """Time lookups of what is in memory, what is not there, and what must be read."""
    hit, absent = target(count // 2), Target("/", "/no/such.rpm")
    for name, wanted in (("hit", hit), ("miss", absent)):
        await bench.inventory.find(wanted)
        began = time.perf_counter()
        for _ in range(_ROUNDS):
            await bench.inventory.find(wanted)
        say(f"  find, {name}: {(time.perf_counter() - began) / _ROUNDS * 1e6:.1f} µs")
    began = time.perf_counter()
    for number in numbers(count, _COLD):
        await bench.inventory.find(target(number))
    say(f"  find, cold: {(time.perf_counter() - began) / _COLD * 1e6:.0f} µs")


def at_once(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
    """Run the function here and now."""
    return execute(function, *args, **kwargs)


def run_one(count: int) -> None:
    """Fill and measure, the latter in a process of its own so that its memory is its own."""
    with tempfile.TemporaryDirectory() as place:
        directory = open_directory(Path(place))
        Deferred.fromCoroutine(fill(Catalogue(directory.catalogue, at_once), count)).addErrback(
            lambda failure: failure.raiseException()
        )
        directory.close()
        subprocess.run([sys.executable, __file__, "--measure", place, str(count)], check=True)


def main(arguments: list[str]) -> None:
    """Measure each number of entries."""
    if arguments[:1] == ["--measure"]:
        place, count = Path(arguments[1]), int(arguments[2])
        react(lambda reactor: Deferred.fromCoroutine(measure(reactor, place, count)))
    for entries in arguments or ["100000", "1000000"]:
        run_one(int(entries))


if __name__ == "__main__":
    main(sys.argv[1:])
