"""
The floors of ``docs/architecture.rst``, enforced by reading the imports.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

FLOORS = {
    "http": 0,
    "repo": 1,
    "journal": 2,
    "model": 2,
    "seldom": 2,
    "tallies": 2,
    "config": 3,
    "metrics": 3,
    "descriptors": 3,
    "shedding": 3,
    "threads": 3,
    "waiting": 3,
    "store": 4,
    "upstream": 4,
    "cache": 5,
    "tools": 6,
    "web": 6,
    "service": 7,
    "tap": 7,
}

# What is on the same floor is strange to each other, but for the one that wires everything.
NEIGHBOURS = {("tap", "service")}

WITHOUT_TWISTED = {"http", "repo", "model", "config"}


def module_of(path: Path) -> str:
    """Name the module that a file below the root is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted((ROOT / "osproxy").rglob("*.py"))}


def room(module: str) -> str:
    """Name the part of osproxy that a module belongs to: ``http`` for ``osproxy.http.ranges``."""
    return module.split(".")[1]


def imports_of(source: str, modules: frozenset[str]) -> Iterator[str]:
    """
    Name what a source imports anywhere, in functions and for type checkers as well.

    ``from package import name`` counts as the module ``package.name`` where there is one.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in modules else origin


def imports() -> dict[str, set[str]]:
    """Read what each module of osproxy imports."""
    known = frozenset(MODULES)
    return {name: set(imports_of(path.read_text(), known)) for name, path in MODULES.items()}


def inner_imports() -> Iterator[tuple[str, str]]:
    """Pair each module below a floor with each module of osproxy that it imports."""
    for module, imported in imports().items():
        for name in sorted(imported):
            if module != "osproxy" and name.startswith("osproxy."):
                yield module, name


class ReadingTests(SynchronousTestCase):
    """The imports are read as Python reads them."""

    def test_forms(self) -> None:
        """All forms of import are seen, wherever they stand."""
        source = (
            "import a.b\nfrom osproxy.http import fields, nothing\nfrom . import near\n"
            "def f():\n    from c import d\n"
        )
        self.assertEqual(
            set(imports_of(source, frozenset({"osproxy.http.fields"}))),
            {"a.b", "osproxy.http.fields", "osproxy.http", ".", "c"},
        )


class FloorTests(SynchronousTestCase):
    """Imports point downwards."""

    def test_every_module_has_a_floor(self) -> None:
        """Nothing lies beside the floors."""
        rooms = {room(module) for module in MODULES if module != "osproxy"}
        self.assertEqual(rooms - set(FLOORS), set())

    def test_downwards(self) -> None:
        """A module imports from lower floors and from its own package."""
        wrong = [
            f"{module} imports {name}"
            for module, name in inner_imports()
            if room(module) != room(name)
            and FLOORS[room(module)] <= FLOORS[room(name)]
            and (room(module), room(name)) not in NEIGHBOURS
        ]
        self.assertEqual(wrong, [])

    def test_no_cycles(self) -> None:
        """No module needs, by whatever way, a module that needs it."""
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for module, name in inner_imports():
            sorter.add(module, name)
        try:
            sorter.prepare()
        except CycleError as error:
            self.fail(f"imports go round: {' imports '.join(reversed(error.args[1]))}")

    def test_web_and_upstream(self) -> None:
        """What talks to clients never talks to other hosts."""
        wrong = [
            f"{module} imports {name}"
            for module, name in inner_imports()
            if (room(module), room(name)) == ("web", "upstream")
        ]
        self.assertEqual(wrong, [])

    def test_absolute(self) -> None:
        """Imports say the whole name, so that one reads which floor they go to."""
        wrong = [
            f"{module} imports {name}"
            for module, imported in imports().items()
            for name in sorted(imported)
            if name.startswith(".")
        ]
        self.assertEqual(wrong, [])


class TwistedTests(SynchronousTestCase):
    """The lower floors and the settings can be read, tested and fuzzed without Twisted."""

    pure = tuple(m for m in MODULES if m != "osproxy" and room(m) in WITHOUT_TWISTED)

    def test_not_imported(self) -> None:
        """None of them names Twisted, not even for its types."""
        everything = imports()
        wrong = [
            f"{module} imports {name}"
            for module in self.pure
            for name in sorted(everything[module])
            if name.split(".")[0] in ("twisted", "treq", "zope")
        ]
        self.assertEqual(wrong, [])

    def test_not_needed(self) -> None:
        """They can be imported where there is no Twisted, whatever else they import."""
        program = (
            "import importlib, sys\n"
            "sys.modules.update(dict.fromkeys(('twisted', 'treq', 'zope.interface')))\n"
            "for name in sys.argv[1:]: importlib.import_module(name)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *self.pure],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)


class MirrorTests(SynchronousTestCase):
    """``tests/`` mirrors ``osproxy/``."""

    def test_every_module_has_its_tests(self) -> None:
        """The tests of a module are where its name says."""
        missing = []
        for path in MODULES.values():
            inside = path.relative_to(ROOT / "osproxy")
            tests = ROOT / "tests" / inside.parent / f"test_{inside.name}"
            if path.name != "__init__.py" and not tests.exists():
                missing.append(str(tests.relative_to(ROOT)))
        self.assertEqual(missing, [])

    def test_every_directory_of_tests_is_found(self) -> None:
        """Trial looks into packages only, so that each directory with tests is one."""
        missing = {
            str(path.parent.relative_to(ROOT))
            for path in (ROOT / "tests").rglob("test_*.py")
            if not (path.parent / "__init__.py").exists()
        }
        self.assertEqual(missing, set())
