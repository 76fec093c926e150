"""
What is published: the sdist, and the wheel that is built of it. Both are made once a test run.
"""

from __future__ import annotations

import fcntl
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from tests.integration.packages import temporary_directory
from tests.integration.tools import lacking, run

ROOT = Path(__file__).parents[2]

#: How pip reaches its index from this machine, for those who have another environment.
PIP = {name: it for name, it in os.environ.items() if name.startswith("PIP_")}


@frozen
class Artefacts:
    """The two files."""

    sdist: Path
    wheel: Path


@cache
def artefacts() -> Artefacts:
    """Build them, the wheel of the sdist."""
    if find_spec("build") is None:
        raise lacking("build is not installed (the extra named test brings it)")
    directory = temporary_directory("artefacts")
    # What builds leaves traces in the checkout, which another process of the tests must not find.
    with (ROOT / "pyproject.toml").open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        # Without an environment of its own: what builds is among what the tests need.
        run([sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT])
    (sdist,), (wheel,) = directory.glob("*.tar.gz"), directory.glob("*.whl")
    return Artefacts(sdist, wheel)
