"""
The guides as they are read: Sphinx makes pages of them, and systemd takes their drop-ins.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from docs.extensions.reference import TABLES
from osproxy.config.backends import KEYS
from osproxy.config.options import OPTIONS
from osproxy.repo.kinds import Kind
from tests.integration.cases import IntegrationCase
from tests.integration.tools import lacking, require, run, threaded

if TYPE_CHECKING:
    from tests.integration.tools import Finished

ROOT = Path(__file__).parents[2]
_DROP_IN = re.compile(
    r"\.\. code-block:: ini\n   :caption: (\S+)\n\n((?:   .*\n|\n)+?)(?=\S)", re.MULTILINE
)


class PageTests(IntegrationCase):
    """Sphinx puts into the pages what the code says."""

    def setUp(self) -> None:
        """Skip unless there is Sphinx."""
        super().setUp()
        if find_spec("sphinx") is None:
            raise lacking("sphinx is not installed (the extra named test brings it)")

    def build(self, source: Path, *, check: bool = True) -> tuple[Path, Finished]:
        """Make the pages, every warning an error, and say where they are."""
        pages = self.place("pages")
        done = run(
            [sys.executable, "-m", "sphinx", "-nWq", "-b", "html", source, pages],
            environment={"PYTHONPATH": str(ROOT)},
            check=check,
        )
        return pages, done

    @threaded
    def test_guides(self) -> None:
        """The page of settings has each option, as a place to link to, each key, and each kind."""
        pages, _ = self.build(ROOT / "docs")
        page = (pages / "configure.html").read_text()
        for option in OPTIONS:
            self.assertIn(f'id="cmdoption-{option.name}"', page)
            self.assertIn(f'<span class="pre">{option.variable}</span>', page)
        cells = re.findall(r'<td><p><code[^>]*><span class="pre">(\w+)</span></code></p>', page)
        named = {*(key.replace("-", "_") for key in KEYS), *(kind.value for kind in Kind)}
        self.assertEqual(named - set(cells), set())

    @threaded
    def test_unknown(self) -> None:
        """What the code does not have is an error that says what there is."""
        source = self.place("source")
        source.mkdir()
        (source / "conf.py").write_text('extensions = ["docs.extensions.generated"]\n')
        (source / "index.rst").write_text("x\n=\n\n.. generated:: moods\n")
        _, done = self.build(source, check=False)
        self.assertNotEqual(done.code, 0)
        self.assertIn(f"there is no moods; give {', '.join(TABLES)}", done.err)


class DropInTests(IntegrationCase):
    """What is to be typed into ``systemctl edit`` is understood."""

    @threaded
    def test_verified(self) -> None:
        """Each drop-in is for one of our units, and systemd knows all of its settings."""
        require("systemd-analyze")
        found = _DROP_IN.findall((ROOT / "docs" / "install.rst").read_text())
        self.assertGreater(len(found), 3)
        for number, (unit, text) in enumerate(found):
            place = self.place(f"system{number}")
            place.mkdir()
            for name in ("osproxy.service", "osproxy.socket", "osproxy-tls.socket"):
                (place / name).write_text((ROOT / "etc" / name).read_text())
            drop_in = place / f"{unit}.d" / "override.conf"
            drop_in.parent.mkdir()
            # Where this machine has Python is of no matter here.
            drop_in.write_text(
                re.sub(r"(?m)^   ", "", text).replace("/opt/osproxy/bin/python", sys.executable)
            )
            self.assertTrue((place / unit).exists(), unit)
            verified = run(
                ["systemd-analyze", "verify", "--man=no", place / unit],
                environment={"SYSTEMD_UNIT_PATH": f"{place}:"},
            )
            self.assertEqual(verified.out + verified.err, "", text)
