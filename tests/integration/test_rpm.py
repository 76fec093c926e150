"""
The RPM for openSUSE, as far as it can be built and installed elsewhere.

rpmbuild is Debian's, with ``macros.suse`` for the macros that it lacks. Dependencies are openSUSE's
names, which nobody provides here; the environment of the container has what they stand for.
"""

from __future__ import annotations

import atexit
import pickle
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.integration.artefacts import PIP, ROOT, artefacts
from tests.integration.cases import IntegrationCase
from tests.integration.containers import image
from tests.integration.packages import temporary_directory
from tests.integration.roots import Root
from tests.integration.tools import require, threaded

_PREFIX = "/opt/python"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_PLUGINS = f"{_PREFIX}/lib/python{_VERSION}/site-packages/twisted/plugins"
_BUILD = (
    "rpmbuild -bb --nodeps --nocheck --load=/build/macros.suse --define '_topdir /build'"
    " --define '_sourcedir /build' --define '_rpmdir /build' --define '_rpmfilename osproxy.rpm'"
    f" --define 'python3_prefix {_PREFIX}' --define 'python3_version {_VERSION}'"
    " /build/osproxy.spec"
)
_WANTED = "/etc/systemd/system/multi-user.target.wants/osproxy.service"
# What systemd's programs tell of what they have done.
_NEWS = ("Created ", "Creating ", "Removed ", "Running in chroot, ignoring command")


@cache
def system() -> Root:
    """Make a system that has Twisted and no osproxy; its package is in ``/build``."""
    root = Root(temporary_directory("system"))
    atexit.register(root.close)
    environment = root.path / _PREFIX.lstrip("/")
    shutil.copytree(image().path / "opt" / "osproxy", environment, symlinks=True)
    root.run(f"python3 -m pip --python {_PREFIX} uninstall --quiet --yes osproxy", PIP)
    build = root.path / "build"
    build.mkdir()
    shutil.copy(artefacts().sdist, build)
    shutil.copy(ROOT / "etc" / "osproxy.spec", build)
    shutil.copy(Path(__file__).with_name("macros.suse"), build)
    root.run(_BUILD, {**PIP, "HOME": "/build"})
    return root


class RpmTests(IntegrationCase):
    """The package does what it is to do to a system, and undoes it."""

    def setUp(self) -> None:
        """Skip unless there is all that it takes."""
        super().setUp()
        require("rpmbuild", "rpm", "systemd-sysusers", "systemd-tmpfiles", "systemctl", "setpriv")

    def left(self) -> list[str]:
        """List what the system has of osproxy, and did not have when it was made."""
        changes = system().changes
        found = [path.relative_to(changes) for path in changes.rglob("*osproxy*")]
        return [str(path) for path in found if path.parts[0] != "build"]

    @property
    def list_of_plugins(self) -> Path:
        """Where Twisted keeps it."""
        return system().path / _PLUGINS.lstrip("/") / "dropin.cache"

    def plugins(self) -> Any:
        """Read it."""
        return pickle.loads(self.list_of_plugins.read_bytes())

    def rpm(self, arguments: str) -> None:
        """Change the system by its package; no scriptlet may complain of anything."""
        # systemctl is not to look for the systemd of this machine.
        done = system().run(f"rpm --force-debian {arguments}", {"SYSTEMD_OFFLINE": "1"})
        self.assertEqual(
            [it for it in done.all.splitlines()[1:] if it and not it.startswith(_NEWS)], []
        )

    @threaded
    def test_life(self) -> None:
        """
        Installed, it has a user, a directory of that user's for the cache, and its plugin in
        Twisted's list, even where that is newer and wrong; the same after an update. Once removed,
        it leaves nothing but the user.
        """
        self.assertEqual(self.left(), [])
        for arguments in ("--install", "--upgrade --force"):
            self.list_of_plugins.write_bytes(pickle.dumps({"osproxy_plugin": None}))
            self.rpm(f"{arguments} --nodeps /build/osproxy.rpm")
            self.assertEqual(self.plugins()["osproxy_plugin"].plugins[0].name, "osproxy")
            system().run(f"test -L {_WANTED}")
            system().run(
                "setpriv --reuid=osproxy --regid=osproxy --clear-groups sh -ec '"
                "test -w /var/cache/osproxy; test -r /etc/osproxy/osproxy.toml;"
                f" {_PREFIX}/bin/python3 -P -m twisted osproxy --help >/dev/null'"
            )
        self.rpm("--erase osproxy")
        self.assertEqual(self.left(), [])
        self.assertIn("twisted_web", self.plugins())
        self.assertNotIn("osproxy_plugin", self.plugins())
        system().run(f"{_PREFIX}/bin/python3 -m twisted --help; getent passwd osproxy")

    @threaded
    def test_files(self) -> None:
        """Its files are where openSUSE has them, owned by root but for the cache."""
        query = "rpm --query --package /build/osproxy.rpm"
        listed = (
            system()
            .run(
                f"{query} --queryformat '[%{{FILEMODES:perms}} %{{FILEUSERNAME}} %{{FILEGROUPNAME}}"
                " %{FILENAMES}\n]'"
            )
            .out.splitlines()
        )
        code = [line for line in listed if line.split()[3].startswith(_PREFIX)]
        self.assertEqual({tuple(line.split()[1:3]) for line in code}, {("root", "root")})
        self.assertEqual(
            [line for line in listed if line not in code],
            [
                "drwxr-xr-x root root /etc/logrotate.d",
                "-rw-r--r-- root root /etc/logrotate.d/osproxy",
                "drwxr-x--- root osproxy /etc/osproxy",
                "-rw-r----- root osproxy /etc/osproxy/osproxy.toml",
                "-rw-r--r-- root root /usr/lib/systemd/system/osproxy-tls.socket",
                "-rw-r--r-- root root /usr/lib/systemd/system/osproxy.service",
                "drwxr-xr-x root root /usr/lib/systemd/system/osproxy.service.d",
                "-rw-r--r-- root root /usr/lib/systemd/system/osproxy.service.d/package.conf",
                "-rw-r--r-- root root /usr/lib/systemd/system/osproxy.socket",
                "-rw-r--r-- root root /usr/lib/sysusers.d/osproxy.conf",
                "-rw-r--r-- root root /usr/lib/tmpfiles.d/osproxy.conf",
                "drwxr-xr-x root root /usr/share/doc/packages/osproxy",
                "-rw-r--r-- root root /usr/share/doc/packages/osproxy/NEWS.rst",
                "-rw-r--r-- root root /usr/share/doc/packages/osproxy/README.rst",
                "drwxr-xr-x root root /usr/share/licenses/osproxy",
                "-rw-r--r-- root root /usr/share/licenses/osproxy/LICENSE",
                "drwxr-xr-x root root /usr/share/osproxy",
                "-rw-r--r-- root root /usr/share/osproxy/grafana.json",
                "-rw-r--r-- root root /usr/share/osproxy/osproxy.rules.yml",
                "drwxr-x--- osproxy osproxy /var/cache/osproxy",
            ],
        )
