"""
The idle I/O class: what a thread reads then waits for what everybody else wants of the disk.

Neither the C library nor Python has a function for ioprio_set(2), so that it is called by its
number. Which schedulers heed the class is the kernel's affair; where it cannot be set, nothing is
lost but this politeness.
"""

from __future__ import annotations

import ctypes
import os
import sys

# From the kernel's tables of system calls (arch/*/…/syscall*.tbl, asm-generic/unistd.h).
_NUMBERS = {
    "x86_64": 251, "aarch64": 30, "riscv64": 30, "loongarch64": 30, "ppc64": 273, "ppc64le": 273,
    "s390x": 282,
}  # fmt: skip
# linux/ioprio.h: of a thread, 0 being the one that calls; and the class in the upper bits.
_WHO_PROCESS = 1
_IDLE = 3 << 13


def be_idle() -> bool:
    """Put the thread that calls into the idle class, and say whether that could be done."""
    number = _NUMBERS.get(os.uname().machine)
    if number is None or sys.maxsize < 2**32:
        return False
    answer: int = ctypes.CDLL(None).syscall(
        ctypes.c_long(number), ctypes.c_int(_WHO_PROCESS), ctypes.c_int(0), ctypes.c_int(_IDLE)
    )
    return answer == 0
