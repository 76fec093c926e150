"""Tests of `osproxy.store.ioclass`."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor

from twisted.trial.unittest import SynchronousTestCase

from osproxy.store import ioclass
from osproxy.store.ioclass import be_idle


def class_of_thread() -> int:
    """Ask the kernel for the I/O class of the calling thread, by the call next to the other."""
    number = ioclass._NUMBERS[os.uname().machine] + 1
    answer: int = ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_int(1), ctypes.c_int(0))
    return answer >> 13


class IdleTests(SynchronousTestCase):
    """The thread that reads in the background yields to all others."""

    def test_of_the_thread(self) -> None:
        """It is in the idle class, as often as it asks; other threads are not."""
        before = class_of_thread()
        with ThreadPoolExecutor(1) as thread:
            answers = [thread.submit(be_idle).result() for _ in range(2)]
            found = thread.submit(class_of_thread).result()
        self.assertEqual((answers, found), ([True, True], 3))
        self.assertEqual(class_of_thread(), before)

    def test_unknown_machine(self) -> None:
        """Where the call is not known, nothing is called."""
        self.patch(ioclass, "_NUMBERS", {})
        self.assertFalse(be_idle())

    def test_refused(self) -> None:
        """Where the kernel refuses, that is said and harms nobody."""
        # A number that no kernel has.
        self.patch(ioclass, "_NUMBERS", {os.uname().machine: 100_000})
        self.assertFalse(be_idle())
