"""
What deciding who goes costs: time a decision, and memory an entry, under each policy.

A ledger is filled with files of the sizes of a distribution's packages and then kept full: files
are used, as many new ones come as there were, and others go for them. Time is the processor's. A
decision is what `Ledger.victims` takes for one newcomer, whoever goes for it. Memory is what the
process is larger by for each entry that is there: by the order alone, by the ledger with it when
it was filled, and when all has changed. Each figure has a process of its own, or nearly; run it
from the checkout::

    python benchmarks/eviction.py
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path
from random import Random

from osproxy.store.eviction import POLICIES, Eviction
from osproxy.store.ledger import Ledger
from osproxy.tools.traffic import package_sizes

_ENTRIES = (100_000, 1_000_000)
_USES = 4


def resident() -> int:
    """Tell how much memory this process has, in octets."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def order_alone(policy: str, entries: int) -> str:
    """Fill an order, let all of it change, and tell what memory an entry takes."""
    size_of = cycle(package_sizes()).__next__
    gc.collect()
    before = resident()
    eviction = Eviction(POLICIES[policy])
    for key in range(entries):
        eviction.insert(key, size_of(), image=False)
    for key in range(entries, 2 * entries):
        gone = next(eviction.victims(0.0))
        eviction.remove(gone, image=False)
        eviction.insert(key, size_of(), image=False)
    gc.collect()
    return f"{(resident() - before) / entries:>12.0f}"


def measure(policy: str, entries: int) -> str:
    """Fill a ledger, keep it full, and tell what that cost."""
    random = Random(1)
    sizes = package_sizes()
    random.shuffle(sizes)
    size_of = cycle(sizes).__next__
    # Places to use files from; a newcomer has that of a file which may have gone.
    places = list(range(entries))
    ledger = Ledger(1 << 62, eviction=Eviction(POLICIES[policy]))
    gc.collect()
    before = resident()
    for key in range(entries):
        ledger.adopt(key, size_of())
    filled = (resident() - before) / entries
    ledger.set_capacity(ledger.used)
    there = entries
    deciding = using = slowest = 0
    for key in range(entries, 2 * entries):
        for _ in range(_USES):
            used = places[int(entries * random.random() ** 2)]
            if used in ledger:
                start = time.thread_time_ns()
                ledger.touch(used)
                using += time.thread_time_ns() - start
        size = size_of()
        start = time.thread_time_ns()
        going = ledger.victims(ledger.missing(size), 0.0)
        spent = time.thread_time_ns() - start
        deciding += spent
        slowest = max(slowest, spent)
        for gone in going:
            ledger.doom(gone)
            ledger.removed(gone)
        ledger.reserve(key, size)
        ledger.settle(key, size)
        places[key - entries] = key
        there += 1 - len(going)
    gc.collect()
    in_the_end = (resident() - before) / there
    return (
        f"{policy:6}{entries:>10,}{deciding / entries / 1e3:>14.2f}{slowest / 1e6:>13.2f}"
        f"{using / entries / _USES / 1e3:>9.2f}{filled:>12.0f}{in_the_end:>12.0f}"
    )


def main() -> None:
    """Measure each policy with each number of entries."""
    sys.stdout.write(
        f"{'policy':6}{'entries':>10}{'µs a decision':>14}{'slowest (ms)':>13}{'µs a use':>9}"
        f"{'B an entry':>12}{'in the end':>12}{'order alone':>12}\n"
    )
    for entries in _ENTRIES:
        for policy in POLICIES:
            for what in _FIGURES:
                command = [sys.executable, __file__, what, policy, str(entries)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                sys.stdout.write(done.stdout)
                sys.stdout.flush()
            sys.stdout.write("\n")


_FIGURES = {"ledger": measure, "order": order_alone}

if __name__ == "__main__":
    if len(sys.argv) == 4:
        sys.stdout.write(_FIGURES[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
    else:
        main()
