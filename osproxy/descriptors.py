"""
File descriptors: how many there may be, and what for.

A client that is served takes three at most: its connection, the draft of what it asks for, and the
connection upstream that this comes by. What is stored takes two. Some more are for files that stay
open because they were just used.
"""

from __future__ import annotations

import errno
import os
import resource

#: There is no descriptor left, to the process or to the machine.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})

_EACH = 3
# What one turn of a listener may take on top, see `osproxy.web.gate`.
_A_TURN = 48
# What is not for clients: listeners, catalogue, logs, kept connections, fills that nobody reads.
_OURS = 64
# A file that stays open saves a thread's work, for which a sixteenth is a fair price.
_STAY_OPEN = 16
_STAY_OPEN_AT_MOST = 4096
# Beyond this a process in one thread has no use for more connections.
_CONNECTIONS_AT_MOST = 16_384
# What the kernel allows where nobody has told it otherwise (fs.nr_open).
_DESCRIPTORS_AT_MOST = 1 << 20


def raise_limit() -> int:
    """Have as many descriptors as may be had without privilege, and say how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS_AT_MOST if hard == resource.RLIM_INFINITY else hard
    wanted = min(most, _DESCRIPTORS_AT_MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # A sandbox may forbid the call; what there is will do.
        return soft
    return wanted


def connections_within(descriptors: int, wanted: int | None) -> int:
    """
    Say how many clients may be connected with so many descriptors.

    :param wanted: how many there may be at most; None for as many as are of use.
    """
    left = descriptors - _OURS - open_within(descriptors)
    return max(1, min(wanted or _CONNECTIONS_AT_MOST, left // _EACH))


def open_within(descriptors: int) -> int:
    """Say how many of so many descriptors are for files that nobody reads at the moment."""
    return min(_STAY_OPEN_AT_MOST, descriptors // _STAY_OPEN)


def reserve_within(descriptors: int) -> int:
    """Say how many of so many descriptors no new connection may take."""
    return min(512, max(descriptors // 8, min(_A_TURN, descriptors // 2)))


def lowest_free() -> int | None:
    """Give the number of the next descriptor (POSIX.1-2017, XSH 2.14); None if there is none."""
    try:
        # Of all that has a descriptor it needs least: no file, and no privilege.
        descriptor = os.eventfd(0)
    except OSError:
        return None
    os.close(descriptor)
    return descriptor
