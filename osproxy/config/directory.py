"""
The directory to keep files in: which one it is, made where that is due, and found writable.

What is written there is told by `osproxy.store`, which also finds out whether another process
has the directory.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.config.given import Given
from osproxy.config.options import CACHE_PATH
from osproxy.config.regular import open_at_once
from osproxy.config.sources import read_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INSTEAD = f"give --{CACHE_PATH.name} a directory that can be written to"


@frozen
class Place:
    """
    A directory that can be written to.

    :ivar source: the option and its source, as complaints begin.
    """

    path: Path
    source: str


def cache_directory(
    given: Given | None, environ: Mapping[str, str], home: Callable[[], str | None]
) -> Place:
    """
    Make sure of the directory, and give it.

    One that was given is made if its parent is there: a longer path that is missing is rather a
    slip of the pen. The default is made with all its parents.

    :param home: what the user's entry in the password database says.
    :raises ConfigError: when there is no such directory, or it cannot be written to.
    """
    found, path = named_directory(given, environ, home)
    # Unlike Path.is_dir this is also False for what may not be looked at.
    if given is not None and not os.path.isdir(path.parent):
        raise given.wrong(f"{path.parent} is no directory; make it, or give another path")
    try:
        path.mkdir(parents=given is None, exist_ok=True)
        try_directory(path)
    except OSError as error:
        raise found.wrong(f"{path} cannot be written to ({error.strerror}); {_INSTEAD}") from None
    return Place(path, str(found))


def place_named(
    given: Given | None, environ: Mapping[str, str], home: Callable[[], str | None]
) -> Place:
    """
    Give the directory as `cache_directory` does, but neither make nor try it.

    :raises ConfigError: when there is no default.
    """
    found, path = named_directory(given, environ, home)
    return Place(path, str(found))


def named_directory(
    given: Given | None, environ: Mapping[str, str], home: Callable[[], str | None]
) -> tuple[Given, Path]:
    """
    Say which directory it is, there or not, and who says so.

    :raises ConfigError: when there is no default.
    """
    if given is None:
        return _default(environ, home)
    return given, read_one(CACHE_PATH.parse, given)


def home_of_user(uid: int | None = None) -> str | None:
    """Look up the home of a user, by default of the one that runs this process."""
    try:
        return pwd.getpwuid(os.getuid() if uid is None else uid).pw_dir or None
    except KeyError:
        return None


def try_file(path: Path) -> None:
    """
    Make sure that a file can be appended to, without making it.

    It will be made by whom it is to belong to: twistd may change to another user.

    :raises OSError: when it cannot.
    """
    if not path.exists():
        try_directory(path.parent)
    elif not path.is_fifo():
        with open(path, "ab", opener=open_at_once):
            pass


def try_directory(path: Path) -> None:
    """
    Make sure that files can be made in a directory.

    :raises OSError: when they cannot.
    """
    # The one sure test: permissions alone do not tell of read-only file systems.
    with tempfile.TemporaryFile(dir=path):
        pass


def _default(environ: Mapping[str, str], home: Callable[[], str | None]) -> tuple[Given, Path]:
    name = f"--{CACHE_PATH.name}"
    # systemd names several directories with colons between them.
    by_service = environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if by_service:
        return Given(name, "variable CACHE_DIRECTORY", ()), Path(by_service).absolute()
    by_user = Path(environ.get("XDG_CACHE_HOME", ""))
    # XDG Base Directory Specification: a relative path is to be ignored.
    if by_user.is_absolute():
        return Given(name, "variable XDG_CACHE_HOME", ()), by_user / "osproxy"
    given = Given(name, "default", ())
    directory = environ.get("HOME") or home()
    if not directory:
        raise given.wrong(f"no home is known, neither from HOME nor from passwd; {_INSTEAD}")
    return given, Path(directory).absolute() / ".cache" / "osproxy"
