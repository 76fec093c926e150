"""
Signed repositories of small packages, as openSUSE publishes them.

Built once a test run, by rpmbuild, rpmsign, createrepo_c and gpg with a throw-away key: two
snapshots that share no file. `Site` is the tree that upstreams serve; publishing another snapshot
there replaces the one before in one step.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

from attrs import frozen

from tests.integration.tools import find, require, run

OSS = "/tumbleweed/repo/oss"
OBS = "/repositories/home:/demo/openSUSE_Tumbleweed"

# One of them has the characters that a naive proxy decodes or encodes once too often.
PROGRAM = "demo-tool"
LIBRARY = "libdemo++"
ODD_VERSION = "{}.5~rc1^git7"

_SPEC = """
%define _binary_payload w0.gzdio
%define _build_id_links none
%define debug_package %{{nil}}
Name: demo-tool
Version: {number}.0
Release: 1.1
Summary: A program
License: MIT
BuildArch: noarch
Requires: libdemo++ = {odd}
%description
A program.
%package -n libdemo++
Version: {odd}
Summary: A library
%description -n libdemo++
A library.
%package -n demo-data
Summary: Data
%description -n demo-data
Data.
%install
mkdir -p %{{buildroot}}/opt/demo
cp {payload}/* %{{buildroot}}/opt/demo/
%files
/opt/demo/tool
%files -n libdemo++
/opt/demo/library
%files -n demo-data
/opt/demo/data
"""


@frozen
class Snapshot:
    """
    One state of a repository.

    :ivar number: 1 or 2; the major version of its packages.
    :ivar directory: the repository's files.
    :ivar payload: path in the file system of those who install it -> SHA-256 of the file.
    """

    number: int
    directory: Path
    payload: dict[str, str]

    def digests(self) -> dict[str, str]:
        """Map each file of the repository, by its path there, to its SHA-256."""
        return {
            str(path.relative_to(self.directory)): sha256_of(path)
            for path in sorted(self.directory.rglob("*"))
            if path.is_file()
        }

    def expected(self, *names: str) -> dict[str, str]:
        """Pick what is installed with the program, or with these files of the payload."""
        chosen = names or ("tool", "library")
        return {f"opt/demo/{name}": self.payload[f"opt/demo/{name}"] for name in chosen}

    def without_media(self) -> Snapshot:
        """Make the same without ``media.1``, as update and OBS repositories are."""
        bare = self.directory.with_name(self.directory.name + "-bare")
        if not bare.exists():
            shutil.copytree(
                self.directory,
                bare,
                copy_function=os.link,
                ignore=shutil.ignore_patterns("media.1"),
            )
        return Snapshot(self.number, bare, self.payload)

    def packages(self) -> dict[str, str]:
        """Map each package, by its path in the repository, to its SHA-256."""
        return {path: it for path, it in self.digests().items() if path.endswith(".rpm")}


def sha256_of(path: Path) -> str:
    """Read a file and return its digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pattern(length: int, seed: int = 0) -> bytes:
    """Make octets that look random, differ from block to block, and come fast."""
    block = random.Random(seed).randbytes(1 << 20)
    parts = []
    for number in range(-(-length // len(block))):
        parts.append(number.to_bytes(8, "big") + block[8:])
    return b"".join(parts)[:length]


def temporary_directory(name: str) -> Path:
    """Make a directory that lasts as long as the test run."""
    # Not below the working directory: the socket of gpg's agent must have a short path.
    directory = Path(tempfile.mkdtemp(prefix=f"osproxy-{name}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@cache
def snapshots() -> tuple[Snapshot, Snapshot]:
    """Build the two snapshots, once."""
    require("rpmbuild", "rpmsign", "createrepo_c", "gpg")
    workshop = temporary_directory("packages")
    keys = workshop / "keys"
    keys.mkdir(mode=0o700)
    key = ["Demo <demo@example.invalid>", "rsa2048", "sign", "never"]
    quiet = ["--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
    run(["gpg", "--homedir", keys, *quiet, "--quick-generate-key", *key])
    try:
        return _build(workshop, keys, 1), _build(workshop, keys, 2)
    finally:
        run(["gpgconf", "--homedir", keys, "--kill", "gpg-agent"], check=False)


def _build(workshop: Path, keys: Path, number: int) -> Snapshot:
    payload = workshop / f"payload-{number}"
    payload.mkdir()
    for name, length in (("tool", 20_000), ("library", 300_000), ("data", 3_000_000)):
        (payload / name).write_bytes(pattern(length, seed=number * 1000 + length))
    build = workshop / f"build-{number}"
    spec = workshop / f"demo-{number}.spec"
    odd = ODD_VERSION.format(number)
    spec.write_text(_SPEC.format(number=number, odd=odd, payload=payload))
    # Debian's rpm keeps a database in the home directory.
    home = {"HOME": str(workshop)}
    topdir = f"_topdir {build}"
    run(["rpmbuild", "-bb", "--quiet", "--define", topdir, spec], environment=home)
    directory = workshop / f"snapshot-{number}"
    (directory / "noarch").mkdir(parents=True)
    packages = sorted((build / "RPMS" / "noarch").iterdir())
    macros = (f"_gpg_path {keys}", "_gpg_name demo@example.invalid", f"__gpg {find('gpg')}")
    defined = [f"--define={macro}" for macro in macros]
    run(["rpmsign", *defined, "--addsign", *packages], environment=home)
    for package in packages:
        shutil.move(package, directory / "noarch" / package.name)
    run(["createrepo_c", "--quiet", "--general-compress-type=gz", directory])
    index = directory / "repodata" / "repomd.xml"
    gpg: list[str | Path] = ["gpg", "--homedir", keys, "--batch", "--armor"]
    run([*gpg, "--detach-sign", index])
    (directory / "repodata" / "repomd.xml.key").write_text(run([*gpg, "--export"]).out)
    (directory / "media.1").mkdir()
    (directory / "media.1" / "media").write_text(f"openSUSE - demo\nbuild-{number}\n1\n")
    (directory / "media.1" / "products").write_text(f"/ openSUSE {number}\n")
    # Modification times an hour apart, so that validators tell the snapshots from one another.
    for path in directory.rglob("*"):
        if path.is_file():
            os.utime(path, (1_700_000_000 + 3600 * number,) * 2)
    return Snapshot(
        number,
        directory,
        {f"opt/demo/{path.name}": sha256_of(path) for path in payload.iterdir()},
    )


class Site:
    """A tree of files that upstreams serve."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)

    def publish(self, snapshot: Snapshot, path: str = OSS) -> None:
        """Put a snapshot where the one before was; files of that one are gone with the same."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        link = place.with_name(place.name + ".new")
        link.symlink_to(snapshot.directory)
        link.replace(place)

    def write(self, path: str, content: bytes) -> str:
        """Put one file there and return its SHA-256."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return hashlib.sha256(content).hexdigest()
