"""
What is published can be installed anywhere, works from anywhere, and can be taken away again.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from zipfile import ZipFile

from tests.integration.artefacts import ROOT, artefacts
from tests.integration.cases import IntegrationCase
from tests.integration.server import Osproxy
from tests.integration.tools import run, threaded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.tools import Finished

# The tests of this checkout are not to help what is installed elsewhere.
_NOTHING_OF_OURS = {"PYTHONPATH": ""}


class SdistTests(IntegrationCase):
    """The sdist has all that there is."""

    @threaded
    def test_whole(self) -> None:
        """Unpacked elsewhere it passes its own tests, those of the documents and samples too."""
        place = self.place("sdist")
        shutil.unpack_archive(artefacts().sdist, place)
        (tree,) = place.iterdir()
        trial = [sys.executable, "-m", "twisted.trial", "tests.test_docs", "tests.test_plugin"]
        run([*trial, "tests.test_packaging"], directory=tree, environment=_NOTHING_OF_OURS)

        def sources(top: Path) -> set[str]:
            there = [
                path.relative_to(top)
                for it in ("osproxy", "tests")
                for path in (top / it).rglob("*.py")
            ]
            return {str(path) for path in there}

        self.assertEqual(sources(tree), sources(ROOT))


class WheelTests(IntegrationCase):
    """The wheel has osproxy and its plugin, and nothing of Twisted's."""

    def twistd(self, environment: Path) -> Finished:
        """List the plugins, from a directory where nothing of ours is."""
        return run(
            [environment / "bin" / "twistd", "--help"],
            directory=self.elsewhere,
            environment=_NOTHING_OF_OURS,
        )

    @threaded
    def test_content(self) -> None:
        """All of our packages are there, with their data, and beside them plugin and metadata."""
        with ZipFile(artefacts().wheel) as archive:
            names = archive.namelist()
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / "osproxy").rglob("*.py")}
        self.assertEqual(
            {name for name in names if ".dist-info/" not in name},
            {
                *modules,
                "osproxy/py.typed",
                "osproxy/tools/package-sizes.txt",
                "osproxy/tools/traffic.toml",
                "twisted/plugins/osproxy_plugin.py",
            },
        )
        tops = {PurePosixPath(name).parts[0] for name in names if ".dist-info/" in name}
        self.assertEqual(len(tops), 1)

    @threaded
    def test_life(self) -> None:
        """
        Installed in an environment where nothing is, it is found by twistd and serves; once it is
        uninstalled, nothing of it is left, and Twisted is whole and works.
        """
        self.elsewhere = self.place("elsewhere")
        self.elsewhere.mkdir()
        environment = self.place("environment")
        run([sys.executable, "-m", "venv", "--without-pip", environment])
        pip = [sys.executable, "-m", "pip", "--python", str(environment)]
        # What it finds along the path it does not install.
        installing = [*pip, "install", "--quiet", str(artefacts().wheel)]
        run(installing, environment=_NOTHING_OF_OURS, deadline=200)
        self.assertRegex(self.twistd(environment).out, r"(?m)^    osproxy +A mirror-aware")

        python = str(environment / "bin" / "python")
        program = "import osproxy; print(osproxy.__file__)"
        where = run([python, "-c", program], directory=self.elsewhere, environment=_NOTHING_OF_OURS)
        self.assertTrue(where.out.startswith(str(environment)), where.all)
        command = [python, "-P", "-m", "twisted", "--log-format=text", "osproxy"]
        server = Osproxy(self.place("osproxy"), None, command=command)
        self.addCleanup(server.close)
        server.start(**_NOTHING_OF_OURS)
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        self.assertEqual(server.stop(), 0)

        run([*pip, "uninstall", "--quiet", "--yes", "osproxy"], environment=_NOTHING_OF_OURS)
        self.assertNotIn("osproxy", self.twistd(environment).out)
        self.assertEqual([path for path in environment.rglob("*") if "osproxy" in path.name], [])
        (cache,) = environment.rglob("dropin.cache")
        self.assertNotIn(b"osproxy", cache.read_bytes())
        (record,) = environment.rglob("[Tt]wisted-*.dist-info/RECORD")
        listed = [line.rsplit(",", 2)[0] for line in record.read_text().splitlines()]
        missing = [name for name in listed if not (record.parent.parent / name.strip('"')).exists()]
        self.assertEqual(missing, [])
