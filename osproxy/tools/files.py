"""
Reading traces and access logs, each told from the other by its lines.

In a trace every line counts. In a log, those that are no lines of one are skipped, and the reader
is told how many: logs are cut off by crashes, and mixed with what else a process has to say.
"""

from __future__ import annotations

import gzip
import lzma
import os
import sys
import zlib
from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, cast

from osproxy.tools import logs, trace
from osproxy.tools.progress import Counting
from osproxy.tools.trace import BadTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TextIO

    from osproxy.tools.trace import Event

STDIN = "-"
_STRIDE = 1 << 12
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


def read(names: Sequence[str], terminal: TextIO) -> Iterator[Event]:
    """
    Read files one after the other, ``-`` being standard input.

    :param terminal: for progress and for what was skipped.
    :raises BadTrace: when one cannot be read or makes no sense; names it.
    """
    for name in names:
        try:
            yield from _read_one(name, terminal)
        except _BROKEN as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise BadTrace(f"{name}: {reason}") from None
        except BadTrace as error:
            raise BadTrace(f"{name}, {error}") from None


def _read_one(name: str, terminal: TextIO) -> Iterator[Event]:
    with _opened(name) as raw:
        total = 0 if name == STDIN else os.fstat(raw.fileno()).st_size
        with Counting(terminal, f"reading {name}", total) as progress:
            lines = _followed(_unpacked(name, raw), raw, progress)
            yield from _events(name, lines, terminal)


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == STDIN else open(name, "rb")


def _unpacked(name: str, raw: BinaryIO) -> BinaryIO:
    if name.endswith(".gz"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    return cast("BinaryIO", lzma.LZMAFile(raw)) if name.endswith(".xz") else raw


def _followed(lines: BinaryIO, raw: BinaryIO, progress: Counting) -> Iterator[str]:
    place = 0
    for number, line in enumerate(lines):
        yield line.decode("utf-8", "surrogateescape")
        if raw.seekable() and not number % _STRIDE:
            progress.advance(raw.tell() - place)
            place = raw.tell()


def _events(name: str, lines: Iterator[str], terminal: TextIO) -> Iterator[Event]:
    numbered = enumerate(lines, 1)
    beginning = next((pair for pair in numbered if _counts(pair[1])), None)
    if beginning is None:
        return
    number, line = beginning
    rest = chain([beginning], numbered)
    try:
        trace.parse(line)
    except BadTrace as error:
        yield from _of_log(name, rest, terminal, BadTrace(f"line {number}: {error}"))
    else:
        yield from _of_trace(rest)


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _of_trace(numbered: Iterable[tuple[int, str]]) -> Iterator[Event]:
    for number, line in numbered:
        try:
            event = trace.parse(line)
        except BadTrace as error:
            raise BadTrace(f"line {number}: {error}") from None
        if event is not None:
            yield event


def _of_log(
    name: str, numbered: Iterable[tuple[int, str]], terminal: TextIO, complaint: BadTrace
) -> Iterator[Event]:
    understood = skipped = 0
    for _, line in numbered:
        try:
            event = logs.parse(line)
        except BadTrace:
            skipped += 1
            continue
        understood += 1
        if event is not None:
            yield event
    if not understood:
        # It was meant as a trace, then.
        raise complaint
    if skipped:
        terminal.write(f"{name}: {skipped} lines are not those of an access log, and are skipped\n")
