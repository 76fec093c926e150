"""
The programs that the tests need, and how they are run and waited for.

What is missing makes a test skip, and a test of continuous integration (``OSPROXY_CI=1``) fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from unittest import SkipTest

from attrs import frozen
from twisted.internet.threads import deferToThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.defer import Deferred

#: Seconds after which what is waited for is given up: far more than a machine that stalls needs.
DEADLINE = 60.0

T = TypeVar("T")
S = TypeVar("S")

# Which Debian package has the program, where its name is another.
_PACKAGES = {
    "apt-get": "apt",
    "aria2c": "aria2",
    "btrfs": "btrfs-progs",
    "createrepo_c": "createrepo-c",
    "dpkg-deb": "dpkg",
    "gpg": "gnupg",
    "ip": "iproute2",
    "journalctl": "systemd",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "rpmbuild": "rpm",
    "rpmsign": "rpm",
    "/lib/systemd/systemd-journald": "systemd",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "systemd-cat": "systemd",
    "systemd-socket-activate": "systemd",
    "systemd-sysusers": "systemd",
    "systemd-tmpfiles": "systemd",
    "umount": "mount",
    "zck": "zchunk",
    "zckdl": "zchunk",
}


class ToolMissing(Exception):
    """A program that continuous integration must have is not there."""


class CommandFailed(Exception):
    """A program that had to succeed did not."""


@frozen
class Finished:
    """How a program ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Everything that it wrote."""
        return f"exit status {self.code}\n{self.out}\n{self.err}"


def lacking(message: str) -> Exception:
    """Make what to raise when the machine cannot run a test: a failure where all must run."""
    if os.environ.get("OSPROXY_CI") == "1":
        return ToolMissing(message)
    return SkipTest(message)


def find(name: str) -> str:
    """Say where a program is; administrators' directories are looked through as well."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise lacking(f"{name} is not installed (Debian package {_PACKAGES.get(name, name)})")
    return found


def require(*names: str) -> None:
    """Skip, or fail, unless all these programs are there."""
    for name in names:
        find(name)


def require_root(purpose: str) -> None:
    """Skip, or fail, unless the tests run as root."""
    if os.geteuid() != 0:
        raise lacking(f"only root can {purpose}")


def run(
    arguments: Sequence[str | Path],
    *,
    deadline: float = 3 * DEADLINE,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    check: bool = True,
) -> Finished:
    """
    Run a program to its end.

    :raises CommandFailed: when it does not succeed, unless ``check`` is off.
    :raises subprocess.TimeoutExpired: when it takes longer than the deadline.
    """
    done = subprocess.run(
        [find(str(arguments[0])), *(str(argument) for argument in arguments[1:])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        errors="replace",
        text=True,
        timeout=deadline,
    )
    finished = Finished(done.returncode, done.stdout, done.stderr)
    if check and finished.code != 0:
        raise CommandFailed(f"{' '.join(map(str, arguments))}: {finished.all}")
    return finished


def until(
    condition: Callable[[], T], what: str, *, deadline: float = DEADLINE, every: float = 0.02
) -> T:
    """
    Ask again and again until the answer is true, and return it.

    :raises TimeoutError: when it is not within the deadline.
    """
    end = time.monotonic() + deadline
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline} s: {what} (last answer: {answer!r})")
        time.sleep(every)


def state_of(pid: int) -> str:
    """Say in a letter how a process is (proc(5)): ``T`` while it is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def threaded(test: Callable[[S], None]) -> Callable[[S], Deferred[None]]:
    """Run a test's body in a thread, so that it may wait while the reactor lives."""

    @wraps(test)
    def run_in_thread(case: S) -> Deferred[None]:
        return deferToThread(test, case)

    return run_in_thread
