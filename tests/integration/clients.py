"""
zypper and dnf, each with nothing but what it was told.

An `Installation` is an empty root directory with one repository, all signature checks on. Packages
stay in the client's cache, so that what came over the wire can be compared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tests.integration.packages import PROGRAM, sha256_of
from tests.integration.tools import CommandFailed, Finished, require, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.certificates import Certificates

_DNF = """
[main]
reposdir=/nonexistent
plugins=0
keepcache=1
gpgcheck=1
install_weak_deps=0
retries=2
{trust}
[demo]
name=demo
baseurl={url}
enabled=1
repo_gpgcheck=1
gpgkey={url}repodata/repomd.xml.key
metadata_expire=0
"""


class Installation(ABC):
    """What zypper and dnf have in common: a root directory and what is found there afterwards."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True)

    def installed(self) -> dict[str, str]:
        """Map the files of the demo packages, by path, to their SHA-256."""
        return {
            str(path.relative_to(self.root)): sha256_of(path)
            for path in (self.root / "opt" / "demo").glob("*")
        }

    def kept(self) -> dict[str, str]:
        """Map the packages in the client's own cache, by name, to their SHA-256."""
        return {path.name: sha256_of(path) for path in (self.root / "var").rglob("*.rpm")}

    @abstractmethod
    def refresh(self) -> Finished:
        """Fetch the repository's metadata, verified."""

    @abstractmethod
    def install(self, *names: str) -> Finished:
        """Install packages and what they need."""


class Zypper(Installation):
    """
    zypper with a root of its own.

    :param certificates: whose authority to trust, and no other.
    """

    def __init__(self, root: Path, url: str, *, certificates: Certificates | None = None) -> None:
        require("zypper")
        super().__init__(root)
        if certificates is not None:
            url += f"?ssl_verify=host,peer&ssl_capath={certificates.directory.absolute()}"
        self.run("addrepo", "--gpgcheck-strict", "--keep-packages", "--refresh", url, "demo")

    def run(self, *arguments: str) -> Finished:
        """Run zypper to its end; a failure of it is one of the test."""
        # zypper's informational statuses are 100 and above.
        options = ["--non-interactive", "--gpg-auto-import-keys"]
        finished = run(
            ["zypper", "--root", self.root, *options, *arguments],
            environment={"HOME": str(self.root), "ZYPP_LOGFILE": str(self.root / "zypper.log")},
            check=False,
        )
        if 0 < finished.code < 100:
            raise CommandFailed(f"zypper {' '.join(arguments)}: {finished.all}")
        return finished

    def refresh(self) -> Finished:
        """Fetch the repository's metadata, verified."""
        return self.run("refresh", "--force")

    def install(self, *names: str) -> Finished:
        """Install packages and what they need."""
        return self.run("install", "--no-recommends", *(names or (PROGRAM,)))


class Dnf(Installation):
    """
    dnf with a root of its own.

    :param certificates: whose authority to trust, and no other.
    """

    def __init__(self, root: Path, url: str, *, certificates: Certificates | None = None) -> None:
        require("dnf")
        super().__init__(root)
        trust = "" if certificates is None else f"sslcacert={certificates.authority.absolute()}"
        self._configuration = self.root / "dnf.conf"
        self._configuration.write_text(_DNF.format(url=url, trust=trust))

    def run(self, *arguments: str) -> Finished:
        """Run dnf to its end; a failure of it is one of the test."""
        options = ["--releasever", "1", "--assumeyes"]
        place: list[str | Path] = ["--config", self._configuration, "--installroot", self.root]
        home = {"HOME": str(self.root)}
        return run(["dnf", *place, *options, *arguments], environment=home)

    def refresh(self) -> Finished:
        """Fetch the repository's metadata, verified."""
        return self.run("makecache", "--refresh")

    def install(self, *names: str) -> Finished:
        """Install packages and what they need."""
        return self.run("install", *(names or (PROGRAM,)))
