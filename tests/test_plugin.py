"""
What makes ``twistd osproxy`` work: a plugin that is found, and a package that carries it.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from twisted.application.service import IServiceMaker, ServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent


class PluginTests(SynchronousTestCase):
    """twistd and twist know osproxy."""

    def test_found(self) -> None:
        """There is one plugin of our name, and it leads to ``osproxy.tap``."""
        makers = [p for p in getPlugins(IServiceMaker) if isinstance(p, ServiceMaker)]
        ours = [maker.module for maker in makers if maker.tapname == "osproxy"]
        self.assertEqual(ours, ["osproxy.tap"])

    def test_imports_nothing(self) -> None:
        """Who lists the plugins, or starts another one, imports nothing of osproxy."""
        program = (
            "import sys\n"
            "from twisted.application.service import IServiceMaker\n"
            "from twisted.plugin import getPlugins\n"
            "print([p.tapname for p in getPlugins(IServiceMaker) if p.tapname == 'osproxy'])\n"
            "print([name for name in sys.modules if name.split('.')[0] == 'osproxy'])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.splitlines(), ["['osproxy']", "[]"])

    def test_no_package_of_twisted(self) -> None:
        """
        Nothing but our plugin lies in ``twisted/``.

        An ``__init__.py`` there would overwrite Twisted's own when osproxy is installed, and take
        it away when osproxy is removed.
        """
        sources = {str(path.relative_to(ROOT)) for path in (ROOT / "twisted").rglob("*.py")}
        self.assertEqual(sources, {"twisted/plugins/osproxy_plugin.py"})


class PackagesTests(SynchronousTestCase):
    """What is installed is all that there is."""

    def test_all_listed(self) -> None:
        """``pyproject.toml`` lists each package of osproxy, and the place of the plugin."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        there = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in (ROOT / "osproxy").rglob("__init__.py")
        }
        self.assertEqual(
            set(project["tool"]["setuptools"]["packages"]), there | {"twisted.plugins"}
        )

    def test_scripts(self) -> None:
        """Each command that is installed is there to be called."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        for place in project["project"]["scripts"].values():
            module, _, name = place.partition(":")
            self.assertTrue(callable(getattr(import_module(module), name)), place)
