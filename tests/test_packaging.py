"""
What is packaged fits what it is packaged from: the container file, and the RPM's spec file.

What they make is tried in ``tests/integration``.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import DRAIN_TIMEOUT
from tests.containerfile import health, stages

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SPEC = (ROOT / "etc" / "osproxy.spec").read_text()
UNIT = (ROOT / "etc" / "osproxy.service").read_text()
README = (ROOT / "README.rst").read_text()

# openSUSE's names for what goes by another one in Python's index, its python3 prefix apart.
NAMES = {
    "prometheus-client": "prometheus_client",
    "pyopenssl": "pyOpenSSL",
    "service-identity": "service_identity",
    "twisted[tls]": "Twisted-tls",
}


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

    def test_health_of_an_address(self) -> None:
        """It is asked where the variable has it listen; whoever is refused is answered, too."""
        _, _, code = shlex.split(health(self.image).command)
        for address, heard, status, ended in (
            ("127.0.0.9:{port}", "127.0.0.9", 200, 0),
            ("127.0.0.9:{port}", "127.0.0.9", 403, 0),
            ("127.0.0.9:{port}", "127.0.0.9", 500, 1),
            ("0.0.0.0:{port}", "127.0.0.1", 200, 0),
            ("[::]:{port}", "127.0.0.1", 200, 0),
        ):
            with socket.create_server((heard, 0)) as server:
                variable = address.format(port=server.getsockname()[1])
                asking = subprocess.Popen(
                    [sys.executable, "-Ic", code], env={"BIND_ADDRESS": variable}
                )
                server.settimeout(60)
                with server.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
                self.assertEqual(asking.wait(60), ended, address)

    def test_stop(self) -> None:
        """README.rst has an engine wait longer for the end than transfers under way have."""
        (limit,) = re.findall(r"--stop-timeout (\d+)", README)
        self.assertGreater(float(limit), DRAIN_TIMEOUT.parse(str(DRAIN_TIMEOUT.default)))
        self.assertIn(f"--stop-timeout {limit}", (ROOT / "etc" / "Containerfile").read_text())

    def test_told(self) -> None:
        """README.rst has the volume and the user."""
        self.assertIn(f":{self.image.text('VOLUME')} ", README)
        self.assertIn(f"``{self.image.text('USER')}``", README)


class SpecTests(SynchronousTestCase):
    """The spec file says what ``pyproject.toml`` says, and installs what lies in ``etc/``."""

    def tags(self, name: str) -> list[str]:
        """Give the values of a tag."""
        return re.findall(rf"^{re.escape(name)}: +(.*)$", SPEC, re.MULTILINE)

    def test_version(self) -> None:
        """The version is that of the project."""
        self.assertEqual(self.tags("Version"), [PROJECT["project"]["version"]])
        self.assertEqual(self.tags("License"), [PROJECT["project"]["license"]])

    def test_requirements(self) -> None:
        """It requires what the project requires, no older; to be built it requires that, too."""
        project = PROJECT["project"]
        required = {f"python3-base {project['requires-python'].replace('>=', '>= ')}"}
        for dependency in project["dependencies"]:
            name, version = dependency.split(">=")
            required.add(f"python3-{NAMES.get(name, name)} >= {version}")
        self.assertEqual(set(self.tags("Requires")), required)
        self.assertEqual(required - set(self.tags("BuildRequires")), set())
        (setuptools,) = PROJECT["build-system"]["requires"]
        self.assertIn(f"python3-{setuptools.replace('>=', ' >= ')}", self.tags("BuildRequires"))

    def test_installed(self) -> None:
        """All that lies in ``etc/`` is installed, but for the recipes themselves."""
        installed = set(re.findall(r"^install -D -m \d+ etc/(\S+) ", SPEC, re.MULTILINE))
        there = {path.name for path in (ROOT / "etc").iterdir()}
        self.assertEqual(installed, there - {"Containerfile", "osproxy.spec"})

    def test_commands(self) -> None:
        """Each command that is installed is in the package."""
        (listed,) = re.findall(r"^%\{_bindir\}/(\S+)$", SPEC, re.MULTILINE)
        commands = PROJECT["project"]["scripts"]
        self.assertEqual([name for name in commands if not fnmatchcase(name, listed)], [])

    def test_units(self) -> None:
        """Each unit is told of to systemd by all four of openSUSE's macros."""
        units = sorted(
            path.name
            for kind in ("service", "socket", "timer")
            for path in (ROOT / "etc").glob(f"*.{kind}")
        )
        for macro in ("add_pre", "add_post", "del_preun", "del_postun"):
            (told,) = re.findall(rf"^%service_{macro} (.*)$", SPEC, re.MULTILINE)
            self.assertEqual(sorted(told.split()), units, macro)

    def test_user(self) -> None:
        """The user that the unit runs as is made, and the cache's directory is that user's."""
        unit = (ROOT / "etc" / "osproxy-package.conf").read_text()
        (user,) = re.findall(r"^User=(.*)$", unit, re.MULTILINE)
        directory = "/var/cache/osproxy"
        lines = (ROOT / "etc" / "osproxy.sysusers").read_text().splitlines()
        self.assertRegex(lines[-1], rf'^u {user} - "[^"]+" {directory}$')
        lines = (ROOT / "etc" / "osproxy.tmpfiles").read_text().splitlines()
        mode = re.findall(r"^CacheDirectoryMode=(.*)$", UNIT, re.MULTILINE)
        self.assertEqual(lines[-1].split(), ["d", directory, *mode, user, user])
