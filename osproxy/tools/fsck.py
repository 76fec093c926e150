"""
``osproxy-fsck``: is everything in the cache as it was stored?

With the server stopped it looks for itself: at the catalogue, at each entry and its file, and for
files that belong to nothing. It deletes only with ``--repair``, and only what is still wrong at a
second look. A server that runs is asked over its control socket to verify everything; what it finds
damaged it drops at once, since it would serve it. Where the socket alone is given, it is asked in
any case; with a directory, if that is in use.

The exit status is 0 when all is well, 1 when something was found, 2 when nothing could be found
out.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from osproxy.config import options
from osproxy.config.control import control_socket
from osproxy.config.directory import home_of_user, named_directory
from osproxy.config.files import options_in, read_file
from osproxy.config.given import ConfigError
from osproxy.config.sources import Sources
from osproxy.config.values import BadValue, size
from osproxy.store.layout import DirectoryInUse, StoreError, find_directory
from osproxy.tools.amounts import count_text, size_text
from osproxy.tools.asking import Found, NoAnswer, Stage, verify_everything
from osproxy.tools.check import Check, Report
from osproxy.tools.progress import Progress

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CLEAN, _FOUND, _CANNOT = 0, 1, 2
# As a shell has it of what SIGINT ends.
_INTERRUPTED = 130


def parser() -> ArgumentParser:
    """Make the parser of the command line."""
    made = ArgumentParser(
        "osproxy-fsck",
        description="Check that everything in the cache of osproxy is as it was stored.",
        epilog="Exit status: 0 all is well, 1 something was found, 2 nothing could be found out.",
    )
    for option in (options.CACHE_PATH, options.CONTROL_SOCKET, options.CONFIG):
        made.add_argument(f"--{option.name}", metavar="PATH", help=option.help)
    made.add_argument("--rate", help="octets a second to read at most, such as 100MB")
    made.add_argument(
        "--repair",
        action="store_true",
        help="delete what is wrong at a second look (only when osproxy is stopped)",
    )
    return made


def run(given: Namespace, environ: Mapping[str, str], report: Report) -> int:
    """
    Do what the command line says, and say with which status to end.

    :raises ConfigError: when it does not say where to look.
    :raises StoreError: when nothing can be found out.
    :raises NoAnswer: when the server does not say.
    """
    arguments = {
        name.replace("_", "-"): value
        for name, value in vars(given).items()
        if isinstance(value, str) and name != "rate"
    }
    sources = _sources(arguments, environ)
    rate = _rate(given.rate)
    path, _ = control_socket(sources, environ)
    asked_for = given.control_socket is not None
    if asked_for and given.cache_path is None and path is not None:
        return _ask(path, rate, report, given)
    _, place = named_directory(sources.given(options.CACHE_PATH), environ, home_of_user)
    try:
        directory = find_directory(place)
    except DirectoryInUse as error:
        if path is None or not (asked_for or path.exists()):
            raise StoreError(f"{error}; stop osproxy, or give its --control-socket") from error
        return _ask(path, rate, report, given)
    try:
        return _CLEAN if Check(directory, rate, report).run(repair=given.repair) else _FOUND
    finally:
        directory.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the command."""
    given = parser().parse_args(arguments)
    progress = Progress(sys.stderr, time.monotonic)
    try:
        return run(given, os.environ, Report(sys.stdout, progress))
    except (ConfigError, StoreError, NoAnswer, OSError) as error:
        progress.clear()
        sys.stderr.write(f"osproxy-fsck: {error}\n")
        return _CANNOT
    except KeyboardInterrupt:
        progress.clear()
        sys.stderr.write("osproxy-fsck: interrupted\n")
        return _INTERRUPTED


def _ask(path: Path, rate: int | None, report: Report, given: Namespace) -> int:
    """Have a server that runs verify everything, and say with which status to end."""
    if given.repair:
        raise StoreError("--repair is for when osproxy is stopped; what runs drops what it finds")
    files = octets = damaged = 0
    for told in verify_everything(path, rate):
        match told:
            case Found():
                damaged += 1
                report.found(f"{told.target}: {told.fault}")
            case Stage():
                files, octets = told.files, told.octets
                report.progress.show(told.octets_done, octets)
    report.progress.clear()
    report.end_of_list()
    found = f"{damaged} damaged, and dropped" if damaged else "all as they were stored"
    report.say(f"{count_text(files, 'entry', 'entries')}, {size_text(octets)}: {found}")
    return _FOUND if damaged else _CLEAN


def _sources(arguments: Mapping[str, str], environ: Mapping[str, str]) -> Sources:
    sources = Sources(arguments, environ, {})
    found = sources.found(options.CONFIG)
    if found is None:
        return sources
    path, given = found
    return Sources(arguments, environ, options_in(read_file(given, path)))


def _rate(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return size(text) or None
    except BadValue as error:
        raise ConfigError(f"--rate: {text!r} {error}") from None
