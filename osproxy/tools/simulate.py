"""
``osproxy-simulate``: what would another size, or another policy, have kept?
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from attrs import frozen

from osproxy.config.directory import try_file
from osproxy.config.values import BadValue, count, duration, part
from osproxy.tools import plot
from osproxy.tools.amounts import size_text
from osproxy.tools.files import STDIN, read
from osproxy.tools.progress import Counting
from osproxy.tools.replay import NAMES, Rules, cache_of, replay
from osproxy.tools.report import Row, table
from osproxy.tools.trace import BadTrace, NothingAsked, Trace, write
from osproxy.tools.traffic import profiles, traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from osproxy.tools.trace import Event

_T = TypeVar("_T")

_NAME = "osproxy-simulate"
_WRONG = 2
_INTERRUPTED = 130
_MOST_SEEDS = 1000
_SIZES = "1%,4%,16%,64%"
_DESCRIPTION = """\
Replays what clients have asked for against eviction policies and sizes of the
cache, and tells which part of the requests, and which part of their octets,
would have had to be fetched from upstream.
"""
_EPILOG = """\
FILE is an access log of osproxy or of another server that writes the combined
format, or a trace; it may be compressed (.gz, .xz), and - is standard input.
Several are taken together. A trace has a line a request: seconds, name,
octets, and perhaps the kind of file (package, image, ...); - in place of the
octets says that no index names the file any more. Each file takes whole blocks
of 4 KiB, as on the disk.

What would 64 GiB give me?
    osproxy-simulate --size 64GiB /var/log/osproxy/access.log*
Which policy is best for a house like this, whatever the chance?
    osproxy-simulate --traffic lan --seeds 1-10

The policies are those of --eviction (clock, gdsf, lru), with all that the
store does beside; plain-lru and arc (Megiddo and Modha) as they are in
textbooks; and belady, which knows the future and cannot be had.
"""


@frozen
class _Source:
    """Something to be replayed, once it is read."""

    name: str
    events: Iterable[Event]


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """End with the complaint."""
        self.exit(_WRONG, f"{_NAME}: {message}; see --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit status."""
    options = command_line().parse_args(arguments)
    try:
        _check(options)
        if options.write:
            _write(options)
        else:
            _simulate(options)
    except BadTrace as error:
        return _complain(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read the output has seen enough; nothing is to be flushed at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        return _complain(f"{error.filename or 'output'}: {error.strerror}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _complain(message: str) -> int:
    sys.stderr.write(f"{_NAME}: {message}\n")
    return _WRONG


def command_line() -> argparse.ArgumentParser:
    """Say which options there are."""
    parser = _Parser(
        prog=_NAME,
        usage="%(prog)s [options] FILE...\n       %(prog)s [options] --traffic {lan,ci}",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help=argparse.SUPPRESS)
    add(
        *("--size", "-s"),
        dest="sizes",
        action="extend",
        type=_several(_size),
        metavar="SIZE",
        help="sizes of the cache, such as 64GiB, or 16%% of all files together, with commas"
        f" between [{_SIZES.replace('%', '%%')}]",
    )
    add(
        *("--policy", "-p"),
        dest="policies",
        action="extend",
        type=_several(_policy),
        metavar="POLICY",
        help=f"policies, with commas between [{','.join(NAMES)}]",
    )
    add(
        "--image-space",
        type=_value(part),
        default=part("50%"),
        metavar="SIZE",
        help="how much of the cache the store lets images take [50%%]",
    )
    add(
        "--grace",
        type=_value(duration),
        default=duration("48h"),
        metavar="TIME",
        help="how long a file that no index names any more is spared [48h]",
    )
    add("--traffic", choices=sorted(profiles()), help="make traffic up instead of reading it")
    add(
        *("--seeds", "--seed"),
        type=_seeds,
        metavar="SEEDS",
        help="for different traffic of that kind, such as 3 or 1-10; several give a mean and its"
        " standard deviation [1]",
    )
    add("--days", type=_value(count), help="how many days of it [180 for lan, 60 for ci]")
    add("--plot", type=Path, metavar="FILE", help="draw a picture (PNG) as well")
    add("--write", metavar="FILE", help="write a trace instead of replaying it; - is output")
    return parser


def _value(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    def parsed(text: str) -> _T:
        try:
            return parse(text)
        except BadValue as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from None

    return parsed


def _several(parse: Callable[[str], _T]) -> Callable[[str], list[_T]]:
    one = _value(parse)
    return lambda text: [one(word.strip()) for word in text.split(",")]


def _size(text: str) -> tuple[str, Callable[[int], int]]:
    found = part(text)
    if not found.percent and not found.size:
        raise BadValue("is nothing; give a size such as 64GiB, or a percentage")
    return text.replace(" ", ""), found.octets


def _policy(text: str) -> str:
    if text not in NAMES:
        raise BadValue(f"is no policy; give one of {', '.join(NAMES)}")
    return text


def _seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    try:
        seeds = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        seeds = range(0)
    if not 0 < len(seeds) <= _MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} are no seeds; give a number, or two as in 1-10")
    return seeds


def _check(options: argparse.Namespace) -> None:
    """See that what was asked for goes together, before anything takes long."""
    if bool(options.files) is bool(options.traffic):
        raise BadTrace("give files to replay, or --traffic; see --help")
    for name in ("seeds", "days"):
        if getattr(options, name) and not options.traffic:
            raise BadTrace(f"--{name} is for --traffic")
    if options.write and options.seeds and len(options.seeds) > 1:
        raise BadTrace("--write takes one seed")
    if options.plot:
        try:
            plot.check()
        except plot.NoPlot as error:
            raise BadTrace(f"--plot {error}") from None
        _try(options.plot)
    if options.write and options.write != STDIN:
        _try(Path(options.write))


def _try(path: Path) -> None:
    try:
        try_file(path)
    except OSError as error:
        raise BadTrace(f"{path}: {error.strerror}") from None


def _sources(options: argparse.Namespace) -> Iterator[_Source]:
    if options.files:
        yield _Source(", ".join(options.files), read(options.files, sys.stderr))
        return
    profile = profiles()[options.traffic]
    if options.days:
        profile["days"] = options.days
    for seed in options.seeds or range(1, 2):
        made_up = traffic(profile, seed)
        yield _Source(f"{options.traffic}, seed {seed}", made_up)


def _write(options: argparse.Namespace) -> None:
    (source,) = _sources(options)
    if options.write == STDIN:
        sys.stdout.writelines(map(write, source.events))
        return
    with open(options.write, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(map(write, source.events))


def _simulate(options: argparse.Namespace) -> None:
    rows = [
        (Row(policy, shown), octets)
        for shown, octets in options.sizes or _several(_size)(_SIZES)
        for policy in options.policies or NAMES
    ]
    rules = Rules(options.image_space.octets, options.grace)
    traces = []
    for source in _sources(options):
        trace = _read(source)
        traces.append(_summary(source, trace))
        for row, octets in rows:
            capacity = octets(trace.working_set)
            label = f"{source.name}: {row.policy}, {row.shown}"
            with Counting(sys.stderr, label, len(trace)) as progress:
                cache = cache_of(row.policy, capacity, trace, rules)
                row.capacities.append(capacity)
                row.tallies.append(replay(trace, cache, progress.advance))
    only_rows = [row for row, _ in rows]
    sys.stdout.write("".join(traces) + "\n" + table(only_rows))
    if options.plot:
        title = traces[0].strip() if len(traces) == 1 else f"{options.traffic}, {len(traces)} seeds"
        plot.draw(only_rows, options.plot, title)


def _read(source: _Source) -> Trace:
    try:
        return Trace.of(source.events)
    except NothingAsked as error:
        raise BadTrace(f"{source.name}: {error}") from None


def _summary(source: _Source, trace: Trace) -> str:
    return (
        f"{source.name}: {trace.requests} requests for {size_text(trace.asked)},"
        f" {size_text(trace.working_set)} of files\n"
    )


if __name__ == "__main__":
    sys.exit(main())
