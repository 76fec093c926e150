"""
Hits of a file of 4 kB: requests a second, and what one costs the processor, beside other checkouts.

Each checkout that is named has a server of its own, the first is what the others are compared with;
with none named it is this one alone. All have one origin (nginx), rounds alternate, and the medians
count. Where others use the machine too, rely on the processor's time: it hardly heeds them. An own
page is asked for as well, which needs neither store nor file, a part of the file, which is not
answered at once, and as many files as there may be in a repository's update. It needs nginx and
wrk; run it from the checkout::

    python -m benchmarks.hits [CHECKOUT...]
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from benchmarks.against_nginx import download, free_port, nginx, start, write

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROUNDS = int(os.environ.get("ROUNDS", "5"))
_SECONDS = int(os.environ.get("SECONDS_EACH", "3"))
_CONNECTIONS = (1, 32, 256)
_FILES = 1000
# Asks for one after the other.
_IN_TURN = """
local asked = 0
request = function()
    asked = asked % %d + 1
    return wrk.format("GET", "/small-" .. asked .. "-1.noarch.rpm")
end
"""
_TICK = os.sysconf("SC_CLK_TCK")
# What comes with a request of zypper's, or of dnf's.
_FIELDS = (
    "Host: 127.0.0.1",
    "User-Agent: ZYpp 17.37.17 (curl 8.14.1) openSUSE-Leap-16.0-x86_64",
    "Accept: */*",
    "X-ZYpp-DistributionFlavor: appliance-kvm",
)


@frozen
class Measured:
    """
    What one run came to.

    :ivar rate: requests a second.
    :ivar cost: microseconds of the processor's time a request.
    """

    rate: float
    cost: float


@define
class Contestant:
    """A server of one checkout."""

    checkout: Path
    port: int
    process: subprocess.Popen[bytes]
    results: dict[str, list[Measured]] = field(factory=dict)

    def ask(self, what: str, path: str, connections: int, *more: str) -> None:
        """Let wrk ask for a path for some seconds."""
        before = self._spent()
        said = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{_SECONDS}s",
             *(word for line in _FIELDS for word in ("-H", line)), *more,
             f"http://127.0.0.1:{self.port}{path}"],
            capture_output=True, check=True, text=True,
        ).stdout  # fmt: skip
        rate = re.search(r"Requests/sec:\s*([0-9.]+)", said)
        count = re.search(r"([0-9]+) requests in", said)
        # On a machine that stalls some answers come later than wrk waits.
        broken = re.search(r"Socket errors: (?!connect 0, read 0, write 0,)", said)
        if rate is None or count is None or "Non-2xx" in said or broken:
            raise SystemExit(said)
        cost = (self._spent() - before) / int(count[1]) * 1e6
        self.results.setdefault(what, []).append(Measured(float(rate[1]), cost))

    def _spent(self) -> float:
        """Return the seconds of the processor's time that the server has had."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICK


def contestant(place: Path, number: int, checkout: Path, origin: int) -> Contestant:
    """Start the server of a checkout."""
    port, cache = free_port(), place / f"cache-{number}"
    cache.mkdir()
    arguments = [
        f"--bind-address=127.0.0.1:{port}", f"--cache-path={cache}",
        f"--mirror-chain=http://127.0.0.1:{origin}", f"--access-log={cache}/access.log",
        "--client-connections=2000",
    ]  # fmt: skip
    # Whatever is installed, the checkout's own code comes first.
    command = [
        "env", f"PYTHONPATH={checkout}", sys.executable, "-P", "-m", "twisted", "osproxy",
        *arguments,
    ]  # fmt: skip
    return Contestant(checkout, port, start(place, f"osproxy-{number}", command, port))


def compare(place: Path, checkouts: Iterable[Path]) -> None:
    """Start the servers, let them be asked in turn, print."""
    site = place / "site"
    site.mkdir()
    origin = free_port()
    small, *others = [
        write(site, f"small-{number + 1}-1.noarch.rpm", 4096) for number in range(_FILES)
    ]
    script = place / "in-turn.lua"
    script.write_text(_IN_TURN.replace("%d", str(_FILES)))
    running = [nginx(place, "origin", origin, f"root {site};")]
    try:
        contestants = [
            contestant(place, number, checkout, origin) for number, checkout in enumerate(checkouts)
        ]
        running += [one.process for one in contestants]
        cases: dict[str, tuple[str, int, *tuple[str, ...]]] = {
            **{f"4 kB, {count} connections": (small, count) for count in _CONNECTIONS},
            "own page, 32 connections": ("/-/healthy", 32),
            "2 kB of it, 32 connections": (small, 32, "-H", "Range: bytes=2048-"),
        }
        cases[f"{_FILES} of 4 kB, 32 connections"] = (small, 32, "-s", str(script))
        for one in contestants:
            for path in (small, *others):
                download(one.port, path, 4096)
        for number in range(_ROUNDS):
            for what, case in cases.items():
                for one in contestants[:: -1 if number % 2 else 1]:
                    one.ask(what, *case)
    finally:
        for process in running:
            process.terminate()
            process.wait()
    for what in cases:
        for one in contestants:
            report(what, one, contestants[0])


def report(what: str, one: Contestant, other: Contestant) -> None:
    """Print what a contestant has come to, and how that is to another's."""
    ours, theirs = one.results[what], other.results[what]
    rate, cost = (statistics.median(getattr(it, name) for it in ours) for name in ("rate", "cost"))
    faster = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    dearer = statistics.median(a.cost / b.cost for a, b in zip(ours, theirs, strict=True))
    sys.stdout.write(
        f"{what:28}{one.checkout.name:>12}{rate:9.0f}/s{faster:7.2f}{cost:9.1f} us{dearer:7.2f}\n"
    )


if __name__ == "__main__":
    named = [Path(name).resolve() for name in sys.argv[1:]] or [Path.cwd()]
    with tempfile.TemporaryDirectory() as directory:
        compare(Path(directory), named)
