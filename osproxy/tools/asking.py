"""
Asking a running osproxy over its control socket.
"""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# It tells how far it is once a second.
_PATIENCE = 60.0


class NoAnswer(Exception):
    """The server has not done what it was asked for; the text is one line that says why."""


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@frozen
class Found:
    """An entry that was damaged, and is dropped."""

    target: str
    fault: str


@frozen
class Stage:
    """How far it has come, in octets."""

    files: int
    octets: int
    octets_done: int


def verify_everything(path: Path, rate: int | None) -> Iterator[Found | Stage]:
    """
    Have everything verified, and give what the server tells meanwhile.

    :param path: of the socket.
    :param rate: octets a second at most.
    :raises NoAnswer: when it does not come to its end.
    """
    query = "" if rate is None else "?" + urlencode({"rate": rate})
    connection = _Connection(path)
    try:
        connection.request("POST", f"/-/scrub{query}")
        response = connection.getresponse()
        if response.status != 200:
            raise NoAnswer(f"the server says: {response.read().decode('utf-8', 'replace').strip()}")
        while line := response.readline():
            said = json.loads(line)
            if "damaged" in said:
                yield Found(said["damaged"], said["fault"])
            elif "end" not in said:
                yield Stage(said["files"], said["octets"], said["octets_done"])
            elif said["end"] == "done":
                return
            else:
                raise NoAnswer(f"the server has {said['end']}")
        raise NoAnswer("the server has broken off")
    except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise NoAnswer(f"{path}: {reason or repr(error)}") from error
    finally:
        connection.close()
