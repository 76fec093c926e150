"""
A Debian repository of one package, and apt with nothing but what it was told.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from attrs import frozen

from tests.integration.packages import pattern
from tests.integration.tools import Finished, require, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.packages import Site

PACKAGE = "demo-tool"
SUITE = "stable"

#: When all files of the repository were last changed.
MODIFIED = 1_700_000_000

_CONTROL = """\
Package: demo-tool
Version: 1.0
Architecture: all
Maintainer: Demo <demo@example.invalid>
Description: A program
"""

_RELEASE = """\
Suite: stable
Codename: stable
Date: Tue, 14 Nov 2023 22:13:20 UTC
Architectures: amd64
Components: main
SHA256:
 {digest} {length} main/binary-amd64/Packages
"""

_CONFIGURATION = """
Dir "{root}/";
Dir::State::status "{root}/status";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::http::Proxy "DIRECT";
"""


@frozen
class Package:
    """
    The package of a repository.

    :ivar path: where it lies there.
    """

    path: str
    length: int
    digest: str


def publish(site: Site, prefix: str, workshop: Path) -> Package:
    """Build a package of some megabytes and put a repository of it there."""
    require("dpkg-deb")
    tree = workshop / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(_CONTROL)
    (tree / "opt").mkdir()
    (tree / "opt" / "demo").write_bytes(pattern(4_000_000))
    file = workshop / f"{PACKAGE}_1.0_all.deb"
    run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, file])
    content = file.read_bytes()
    pool = f"pool/main/d/{PACKAGE}/{file.name}"
    digest = site.write(f"{prefix}/{pool}", content)
    index = f"{_CONTROL}Filename: {pool}\nSize: {len(content)}\nSHA256: {digest}\n\n".encode()
    indexes = f"{prefix}/dists/{SUITE}"
    site.write(f"{indexes}/main/binary-amd64/Packages", index)
    digest_of_index = hashlib.sha256(index).hexdigest()
    release = _RELEASE.format(digest=digest_of_index, length=len(index))
    site.write(f"{indexes}/Release", release.encode())
    for path in (site.root / prefix.lstrip("/")).rglob("*"):
        os.utime(path, (MODIFIED, MODIFIED))
    return Package(f"{prefix}/{pool}", len(content), digest)


class Apt:
    """apt-get with a root of its own, and one repository whose word it takes unsigned."""

    def __init__(self, root: Path, url: str) -> None:
        require("apt-get")
        self.root = root.absolute()
        for place in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial"):
            (self.root / place).mkdir(parents=True)
        (self.archives / "partial").mkdir(parents=True)
        (self.root / "status").touch()
        (self.root / "apt.conf").write_text(_CONFIGURATION.format(root=self.root))
        source = f"deb [trusted=yes] {url} {SUITE} main\n"
        (self.root / "etc" / "apt" / "sources.list").write_text(source)

    @property
    def archives(self) -> Path:
        """Where packages are that were downloaded."""
        return self.root / "var" / "cache" / "apt" / "archives"

    def run(self, *arguments: str) -> Finished:
        """Run apt-get to its end."""
        # Read before all else, so that nothing of the machine's own settings is.
        return run(["apt-get", *arguments], environment={"APT_CONFIG": f"{self.root}/apt.conf"})

    def update(self) -> Finished:
        """Fetch the repository's indexes."""
        return self.run("update")

    def download(self) -> Finished:
        """Fetch the package, without installing it."""
        return self.run("install", "--assume-yes", "--download-only", PACKAGE)
