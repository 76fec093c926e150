"""Run targets against the clock, and say what was found."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections import Counter
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from tests.fuzz.inputs import mangled, pieces
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fuzz.targets import Target

PATIENCE = 20
"""Seconds for one input, of which each needs milliseconds: parsers take linear time."""


def fuzz(
    targets: Sequence[Target],
    seed: int,
    going_on: Callable[[int], bool],
    say: Callable[[str], object],
) -> bool:
    """
    Try inputs as long as ``going_on``, asked with the number of those before, says so.

    :return: whether all was well.
    """
    random = Random(seed)
    tried: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    number = 0
    while going_on(number):
        target, seeds = targets[number % len(targets)]
        octets = mangled(random, seeds)
        cut = pieces(random, octets)
        number += 1
        signal.alarm(PATIENCE)
        try:
            taken[target.__name__] += target(octets, cut)
        except Exception:
            say(
                f"input {number} of seed {seed} fails {target.__name__}:\n"
                f"  {octets.hex()}\n  in pieces of {[len(piece) for piece in cut]}\n"
                f"{traceback.format_exc()}"
            )
            return False
        finally:
            signal.alarm(0)
        tried[target.__name__] += 1
    for name, count in tried.items():
        say(f"{name}: {count} inputs, {taken[name]} with something good in them\n")
    return True


def _too_long(*_: object) -> None:
    raise TimeoutError(f"not done within {PATIENCE} s")


def main(given: Sequence[str]) -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    options = parser.parse_args(given)
    signal.signal(signal.SIGALRM, _too_long)
    sys.stdout.write(f"seed {options.seed}, {options.seconds:g} s\n")
    end = time.monotonic() + options.seconds
    well = fuzz(TARGETS, options.seed, lambda _: time.monotonic() < end, sys.stdout.write)
    return 0 if well else 1
