"""
What is packaged fits what it is packaged from: the container file.

What it makes is tried in ``tests/integration``.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import DRAIN_TIMEOUT
from tests.containerfile import health, stages

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
UNIT = (ROOT / "etc" / "osproxy.service").read_text()
README = (ROOT / "README.rst").read_text()


class ContainerfileTests(SynchronousTestCase):
    """The image takes the place of the existing proxy's, and is a good container besides."""

    build, image = stages()

    def test_stages(self) -> None:
        """What builds is left behind: of the first stage, the second has the environment only."""
        self.assertEqual((self.build.name, self.image.name), ("build", None))
        self.assertEqual(self.build.base, self.image.base)
        self.assertRegex(self.image.base, r"^python:\S+-slim$")
        self.assertEqual(self.image.texts("COPY"), ["--from=build /opt/osproxy /opt/osproxy"])

    def test_sources(self) -> None:
        """What is copied for the build is there, and all packages are among it."""
        copied = {word.rstrip("/") for it in self.build.texts("COPY") for word in it.split()[:-1]}
        self.assertEqual([name for name in copied if not (ROOT / name).exists()], [])
        packages = PROJECT["tool"]["setuptools"]["packages"]
        files = {"pyproject.toml", "setup.py", "setup.cfg", PROJECT["project"]["readme"]}
        files |= set(PROJECT["project"]["license-files"])
        self.assertEqual(copied, {name.split(".")[0] for name in packages} | files)

    def test_as_the_existing_proxy(self) -> None:
        """Its ports, and the volume where its cache is, taken unless its variable is given."""
        self.assertEqual(self.image.text("EXPOSE").split(), ["8080", "8443"])
        self.assertEqual(self.image.text("VOLUME"), "/tmp/osuse_cache")
        self.assertEqual(self.image.environment, {"CACHE_DIRECTORY": "/tmp/osuse_cache"})

    def test_user(self) -> None:
        """It is not root, told by numbers; the volume is the user's."""
        user, group = self.image.text("USER").split(":")
        self.assertTrue(int(user) > 0 and int(group) > 0)
        self.assertEqual(
            self.image.texts("RUN"), [f"install -d -o {user} -g {group} /tmp/osuse_cache"]
        )

    def test_command(self) -> None:
        """It runs what the unit runs, as the first process: no shell between it and signals."""
        python, *command = json.loads(self.image.text("ENTRYPOINT"))
        self.assertEqual(python, "/opt/osproxy/bin/python3")
        (told,) = re.findall(r"^ExecStart=\S+ (.*)$", UNIT, re.MULTILINE)
        self.assertEqual(command, told.split())
        self.assertEqual(self.image.text("STOPSIGNAL"), "SIGINT")

    def test_health(self) -> None:
        """It is well while the own page for that answers, asked within the time that is given."""
        check = health(self.image)
        self.assertIn("'/-/healthy'", check.command)
        (limit,) = re.findall(r"timeout=(\d+)\)", check.command)
        self.assertLess(int(limit), int(check.options["timeout"].rstrip("s")))

    def test_stop(self) -> None:
        """README.rst has an engine wait longer for the end than transfers under way have."""
        (limit,) = re.findall(r"--stop-timeout (\d+)", README)
        self.assertGreater(float(limit), DRAIN_TIMEOUT.parse(str(DRAIN_TIMEOUT.default)))
        self.assertIn(f"--stop-timeout {limit}", (ROOT / "etc" / "Containerfile").read_text())

    def test_told(self) -> None:
        """README.rst has the volume and the user."""
        self.assertIn(f":{self.image.text('VOLUME')} ", README)
        self.assertIn(f"``{self.image.text('USER')}``", README)
