"""
Containers without a container engine.

The steps of our container file are performed, and what they make is run as an engine would run it:
read-only, as another user, with processes and a network of its own. This machine's root is in the
place of the base image. So what is not shown is that image, and how engines read the file.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.containerfile import health, stages
from tests.integration.artefacts import PIP, ROOT
from tests.integration.packages import temporary_directory
from tests.integration.roots import Mounts, Root, env
from tests.integration.tools import DEADLINE, find, require, run, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.containerfile import Stage
    from tests.integration.tools import Finished


@cache
def image() -> Root:
    """
    Perform the steps of the container file, once a test run, and give what they make.

    :raises CommandFailed: when one of them fails.
    """
    directory = temporary_directory("image")
    made: dict[str | None, Root] = {}
    for number, stage in enumerate(stages()):
        root = made[stage.name] = Root(directory / str(number))
        atexit.register(root.close)
        _perform(stage, root, made)
    return made[None]


def _perform(stage: Stage, root: Root, made: Mapping[str | None, Root]) -> None:
    place = "/"
    for name, text in stage.steps:
        if name == "WORKDIR":
            place = text
            _inside(root, place).mkdir(parents=True)
        elif name == "COPY":
            *sources, target = text.split()
            origin = ROOT
            if sources[0].startswith("--from="):
                origin = made[sources.pop(0).removeprefix("--from=")].path
            for source in sources:
                _copy(origin / source.lstrip("/"), _inside(root, os.path.join(place, target)))
        elif name == "RUN":
            root.run(text, {**PIP, **stage.environment}, place=place)


def _inside(root: Root, path: str) -> Path:
    return root.path / path.lstrip("/")


def _copy(source: Path, target: Path) -> None:
    """Copy a file into a directory, or what a directory has; times lose their fractions."""
    if source.is_file():
        shutil.copy2(source, target)
        return
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    # An image's layers are archives that have whole seconds.
    for path in [target, *target.rglob("*")]:
        seconds = int(path.lstat().st_mtime)
        os.utime(path, (seconds, seconds), follow_symlinks=False)


class Network:
    """A network that has nothing but a loopback interface."""

    def __init__(self, name: str) -> None:
        require("ip")
        self.path = Path("/run/netns") / name
        run(["ip", "netns", "add", name])
        run(["ip", "-n", name, "link", "set", "lo", "up"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make it the network of this thread, and of the threads and processes that this starts."""
        with open("/proc/thread-self/ns/net") as before, self.path.open() as ours:
            _enter(ours.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def close(self) -> None:
        """Remove it, once nobody is in it."""
        run(["ip", "netns", "delete", self.path.name])


def _enter(namespace: int) -> None:
    # os.setns() comes with Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Container:
    """
    One container of our image.

    :ivar stage: what its image says.
    """

    def __init__(
        self,
        directory: Path,
        network: Network,
        volumes: Mapping[str, Path],
        environment: Mapping[str, str],
        *,
        user: str | None = None,
    ) -> None:
        self.stage = stages()[-1]
        self.output = directory / "output"
        self._network = network
        self._root = directory / "root"
        self._environment = {**self.stage.environment, **environment}
        number, group = (user or self.stage.text("USER")).split(":")
        self._who = [f"--setgid={group}", f"--setuid={number}"]
        self._process: subprocess.Popen[bytes] | None = None
        self._mounts = Mounts()
        for place in volumes:
            _inside(image(), place).mkdir(parents=True, exist_ok=True)
        self._mounts.mount(image().path, self._root, "--bind")
        run(["mount", "-o", "remount,bind,ro", self._root])
        for place, volume in volumes.items():
            self._mounts.mount(volume, self._root / place.lstrip("/"), "--bind")

    @property
    def pid(self) -> int:
        """
        Its first process.

        :raises RuntimeError: when it has ended.
        """
        assert self._process is not None
        process = self._process
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

        def first() -> list[str]:
            if process.poll() is not None:
                raise RuntimeError(f"the container has ended: {self.said()}")
            return children.read_text().split()

        return int(until(first, "its first process is there")[0])

    def start(self, *options: str) -> None:
        """Start what the image is to run, and do not wait."""
        entry = json.loads(self.stage.text("ENTRYPOINT"))
        alone = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc=/proc"]
        inside = [find("nsenter"), f"--net={self._network.path}"]
        inside += [find("unshare"), *alone, f"--root={self._root}", *self._who]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*inside, *env(self._environment), *entry, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def execute(self, command: str) -> Finished:
        """Run a command of the shell inside, beside what runs there."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd"]
        command_line = [*inside, *self._who, *env(self._environment), "sh", "-c", command]
        return run(command_line, check=False)

    def is_well(self) -> bool:
        """Ask as the image says that one is to ask."""
        return self.execute(health(self.stage).command).code == 0

    def kill(self, number: signal.Signals | None = None) -> None:
        """Send its first process a signal, by default the one by which the image is stopped."""
        os.kill(self.pid, number or signal.Signals[self.stage.text("STOPSIGNAL")])

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for its end, and return its exit status."""
        assert self._process is not None
        return self._process.wait(deadline)

    def said(self) -> str:
        """What it has written so far."""
        return self.output.read_text(errors="replace")

    def mounts(self) -> dict[str, str]:
        """Map what is mounted in it, as it sees that, to ``ro`` or ``rw``."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return {line.split()[4]: line.split()[5].split(",")[0] for line in lines}

    def close(self) -> None:
        """End it, and take it apart."""
        if self._process is not None and self._process.poll() is None:
            self.kill(signal.SIGKILL)
            self._process.wait()
        self._mounts.close()
