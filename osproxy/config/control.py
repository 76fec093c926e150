"""
Where the Unix socket is over which osproxy is told to do something.

Who may use it, the permissions of its file say: the user that runs osproxy, and root.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from osproxy.config.directory import try_directory
from osproxy.config.given import Given
from osproxy.config.options import CONTROL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osproxy.config.sources import Sources

_NAME = "control"


def control_socket(sources: Sources, environ: Mapping[str, str]) -> tuple[Path | None, Given]:
    """
    Name the socket, None where there is to be none, and say who wants it so.

    :raises ConfigError: when the path cannot be one of a socket.
    """
    found = sources.found(CONTROL_SOCKET)
    if found is not None:
        return found
    # systemd names several directories with colons between them.
    by_service = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if not by_service:
        return None, Given(f"--{CONTROL_SOCKET.name}", "default", ())
    given = Given(f"--{CONTROL_SOCKET.name}", "variable RUNTIME_DIRECTORY", ())
    return Path(by_service).absolute() / _NAME, given


def checked_socket(sources: Sources, environ: Mapping[str, str]) -> Path | None:
    """
    Name the socket that is to be made.

    :raises ConfigError: when it cannot be made.
    """
    path, given = control_socket(sources, environ)
    if path is None:
        return None
    try:
        try_directory(path.parent)
    except OSError as error:
        raise given.wrong(
            f"{path.parent} cannot be written to ({error.strerror}); give a path in a directory"
            " that can, or off"
        ) from None
    return path
