"""
The command that checks a cache, as an operator runs it, and hands that damage one.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.integration.server import environment_of
from tests.integration.tools import DEADLINE, Finished

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.server import Osproxy

# A shell has what it starts in the background ignore SIGINT, and that is inherited.
_COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " from osproxy.tools.fsck import main; sys.exit(main())"
)


def begin_fsck(directory: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command, and do not wait."""
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=environment_of(),
        text=True,
    )


def fsck(directory: Path, *arguments: str | Path, deadline: float = DEADLINE) -> Finished:
    """Run the command to its end."""
    process = begin_fsck(directory, *arguments)
    try:
        out, err = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Finished(process.returncode, out, err)


def file_of(server: Osproxy, target: str) -> Path:
    """Find the file that an entry is kept in."""
    for path in server.entry_files():
        with path.open("rb") as file:
            if f'"{target}"'.encode() in file.read(4096):
                return path
    raise FileNotFoundError(target)


def alter(path: Path) -> None:
    """Flip a bit in the last octet of a file, in its place."""
    with path.open("r+b") as file:
        file.seek(-1, 2)
        octet = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([octet ^ 1]))
