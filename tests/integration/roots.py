"""
Root file systems that can be changed at will: layers above this machine's own.

The variable ``OSPROXY_TEST_BASE`` may name the root of another Debian instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.tools import require, require_root, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.integration.tools import Finished

_BASE = Path(os.environ.get("OSPROXY_TEST_BASE", "/"))
_OURS = _BASE.samefile("/")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEVICES = {"null": 3, "zero": 5, "random": 8, "urandom": 9}


class Mounts:
    """What was mounted, to be unmounted in the end."""

    def __init__(self) -> None:
        require("mount", "umount")
        require_root("mount file systems")
        self._places: list[Path] = []

    def mount(self, what: str | Path, place: Path, *options: str) -> None:
        """Mount something at a place, which is made if need be."""
        place.mkdir(parents=True, exist_ok=True)
        run(["mount", *options, what, place])
        self._places.append(place)

    def close(self) -> None:
        """Unmount everything, the last first."""
        while self._places:
            run(["umount", "--lazy", self._places.pop()])


class Root:
    """
    A root file system that begins as this machine's, which is not changed by what happens to it.

    :ivar path: where it is mounted.
    :ivar changes: the layer that has what is new in it.
    """

    def __init__(self, directory: Path) -> None:
        require("unshare")
        self.path = directory / "root"
        self._mounts = Mounts()
        # In memory, since a layer must not lie within the one below it.
        self._mounts.mount("tmpfs", directory, "-t", "tmpfs")
        self.changes = directory / "changes"
        self.changes.mkdir()
        work = directory / "work"
        work.mkdir()
        layers = f"lowerdir={_BASE},upperdir={self.changes},workdir={work}"
        self._mounts.mount("overlay", self.path, "-t", "overlay", "-o", layers)
        for name, minor in _DEVICES.items():
            device = self.path / "dev" / name
            device.unlink(missing_ok=True)
            os.mknod(device, 0o020666, os.makedev(1, minor))
            device.chmod(0o666)
        if _OURS:
            # The tests' Python may lie in a home that only its owner may look into.
            for above in Path(sys.base_prefix).parents:
                (self.path / above.relative_to("/")).chmod(0o755)

    def close(self) -> None:
        """Unmount it; all that was changed is gone."""
        self._mounts.close()

    def run(
        self,
        command: str,
        environment: Mapping[str, str] | None = None,
        *,
        place: str = "/",
    ) -> Finished:
        """Run a command of the shell in it, as root, with processes of its own."""
        alone = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc=/proc"]
        inside = ["unshare", *alone, f"--root={self.path}", f"--wd={place}"]
        return run([*inside, *env(environment or {}), "sh", "-ec", command], deadline=200)


def env(environment: Mapping[str, str]) -> list[str]:
    """Begin a command that is to have this environment, and the path of programs that is usual."""
    path = f"{sys.base_prefix}/bin:{_PATH}" if _OURS else _PATH
    return ["env", "-i", *(f"{name}={it}" for name, it in {"PATH": path, **environment}.items())]
