"""
Keeping what stays out of the garbage collector's sight.
"""

from __future__ import annotations

import gc


def leave_alone() -> None:
    """
    Let the collector never look again at what there is now, but for what is garbage already.

    A full collection looks at every object, in the reactor's thread: with a million entries that is
    a pause of a good part of a second, again and again, to find nothing. Called after each bite of
    a start, it looks at that bite only. What is left alone is still freed when nobody refers to it;
    only a cycle that is alive now and becomes garbage later stays for good.
    """
    gc.collect()
    gc.freeze()
