"""
osproxy as its operator runs it: a process with options, and what it says and leaves behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

import osproxy
from tests.integration.ports import Port
from tests.integration.tools import DEADLINE, Finished, find, until
from tests.integration.wire import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.integration.certificates import Certificates
    from tests.integration.wire import Answer

CHECKOUT = Path(osproxy.__file__).parent.parent
BLOCK = 4096
MEBIBYTE = 1 << 20

TWIST = (sys.executable, "-m", "twisted", "--log-format=text", "osproxy")
_TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
TWISTD = (sys.executable, "-c", _TWISTD)

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_CRASHING = Path(__file__).with_name("crashing.py")

# Variables of the machine that runs the tests must not reach the server.
_FOREIGN = (
    "OSPROXY_", "ACME_", "BIND_ADDRESS", "TLS_", "CACHE_", "MIRROR_CHAIN", "XDG_",
    "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_",
)  # fmt: skip


@frozen
class Status:
    """The figures of the status page; ``stored`` and ``capacity`` in octets."""

    stored: int
    capacity: int
    entries: int
    drafts: int


def environment_of(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make an environment with nothing in it that concerns the server but these."""
    clean = {name: it for name, it in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**clean, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", **(changes or {})}


def run_briefly(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path,
    deadline: float = DEADLINE,
) -> Finished:
    """
    Run a server that is to end by itself, for a complaint about its options.

    :raises subprocess.TimeoutExpired: when it runs on.
    """
    done = subprocess.run(
        [str(argument) for argument in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd=directory,
        env=environment_of(environment),
        text=True,
        timeout=deadline,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


class Osproxy:
    """
    One cache directory and the servers that are started on it, one after the other.

    :ivar port: where it listens, after each start.
    :ivar tls_port: where it listens with TLS, if certificates were given.
    :ivar cache_path: what it is told to keep its files below.
    """

    def __init__(
        self,
        directory: Path,
        authority: str | None,
        *options: str,
        hosts: Sequence[str] = (),
        freshness: Mapping[str, float] | None = None,
        backends: str = "",
        certificates: Certificates | None = None,
        cache_path: Path | None = None,
        host: str = "127.0.0.1",
        command: Sequence[str] = TWIST,
    ) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = Port(host)
        self.cache_path = self.directory / "cache" if cache_path is None else cache_path
        self.cache_path.mkdir(parents=True, exist_ok=True)
        self.access_log = self.directory / "access.log"
        self.output = self.directory / "output"
        self.configuration = self.directory / "osproxy.toml"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._unbooted = command
        self._ports = [self.port]
        self.configuration.write_text(_toml_of(authority, hosts, freshness or {}) + backends)
        self.options = [
            f"--bind-address={self.port}",
            f"--cache-path={self.cache_path}",
            f"--access-log={self.access_log}",
            f"--config={self.configuration}",
            *options,
        ]
        if certificates is not None:
            self.tls_port = Port(host)
            self._ports.append(self.tls_port)
            self.options += [
                f"--tls-bind-address={self.tls_port}",
                f"--tls-pem-key={certificates.key.absolute()}",
                f"--tls-pem-chain={certificates.chain.absolute()}",
            ]

    @property
    def url(self) -> str:
        """The address for clients, without a slash at the end."""
        return f"http://{self.port}"

    @property
    def tls_url(self) -> str:
        """The address for clients over TLS, without a slash at the end."""
        return f"https://{self.tls_port}"

    @property
    def store(self) -> Path:
        """The one directory that holds everything."""
        return self.cache_path / "osproxy"

    def start(self, *, crash_at: str = "", **environment: str) -> None:
        """
        Return once it says that it is ready.

        :param crash_at: a step of a commit at which it is to kill itself.
        """
        crashing = (sys.executable, _CRASHING, crash_at)
        self.launch(crashing if crash_at else (), **environment)
        process = self.process

        def ready() -> bool:
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"osproxy has stopped: {self.said()}")
            try:
                return fetch(self.port, "/-/ready", deadline=5).status == 200
            except OSError:
                return False

        until(ready, "osproxy is ready")

    def reload(self) -> None:
        """Ask it to take up what was written anew; it does that when it comes to it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def without_privilege(self) -> None:
        """Have it stopped by permissions, as another user than root is."""
        capabilities = "-dac_override,-dac_read_search,-fowner,-chown"
        self._command = (
            find("setpriv"),
            f"--bounding-set={capabilities}",
            f"--inh-caps={capabilities}",
            *self._command,
        )

    def in_boot(self, name: str) -> None:
        """Have it believe from the next start on that the machine was booted anew."""
        boot = self.directory / f"boot-{name}"
        boot.write_text(f"{name}\n")
        script = f'mount --bind "$0" {_BOOT_ID} && exec "$@"'
        self._command = (find("unshare"), "--mount", "sh", "-c", script, str(boot), *self._unbooted)

    def move(self, cache_path: Path) -> None:
        """Move its directory while it does not run; the next start is told."""
        self.cache_path.rename(cache_path)
        self.options.remove(f"--cache-path={self.cache_path}")
        self.options.append(f"--cache-path={cache_path}")
        self.cache_path = cache_path

    def launch(self, command: Sequence[str | Path] = (), **environment: str) -> None:
        """Start it and do not wait."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*(command or self._command), *self.options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=environment_of(environment),
            )

    def stop(self, *, deadline: float = DEADLINE) -> int:
        """Ask it to stop, and return its exit status."""
        return self._end(signal.SIGTERM, deadline)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._end(signal.SIGKILL, DEADLINE)

    def wait(self, *, deadline: float = DEADLINE) -> int:
        """Wait for it to end by itself, and return its exit status."""
        return self._end(None, deadline)

    def _end(self, number: signal.Signals | None, deadline: float) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if number is not None:
            process.send_signal(number)
        try:
            return process.wait(deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self) -> None:
        """End it for good."""
        self.kill()
        for port in self._ports:
            port.close()

    def said(self) -> str:
        """Everything that it wrote to its standard streams since the first start."""
        return self.output.read_text(errors="replace")

    def fetch(
        self,
        target: str,
        fields: Mapping[str, str] | None = None,
        method: str = "GET",
        *,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Ask it one question."""
        return fetch(self.port, target, fields, method, deadline=deadline)

    def logged(self) -> list[str]:
        """Read the access log."""
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []

    def status(self) -> Status:
        """Read the status page."""
        answer = self.fetch("/-/status")
        pairs = [line.split(":", 1) for line in answer.body.decode().splitlines() if ":" in line]
        figures = {name.strip(): value.split() for name, value in pairs}
        return Status(
            *(int(figures[name][0]) for name in ("stored", "capacity", "entries", "drafts"))
        )

    def metric(self, name: str) -> int:
        """Read a figure without labels from the metrics."""
        lines = self.fetch("/-/metrics").body.decode().splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith(f"osproxy_{name} "))
        return int(float(value))

    def settle(self) -> None:
        """
        Wait until nothing is being written.

        A client has the last octet of a new file a moment before the file is an entry.
        """
        until(lambda: self.status().drafts == 0, "nothing is being written")

    def resident(self) -> int:
        """Octets of memory that it uses."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ValueError("no VmRSS")

    def entry_files(self) -> list[Path]:
        """List what lies among the entries; of a file with two links, the one named as an entry."""
        found: dict[int, Path] = {}
        for path in sorted((self.store / "entries").rglob("*")):
            # Files that the server takes away meanwhile are not there.
            with suppress(FileNotFoundError):
                if path.is_file():
                    found.setdefault(path.stat().st_ino, path)
        return list(found.values())

    def draft_files(self) -> list[Path]:
        """List what lies among the drafts."""
        return [path for path in (self.store / "drafts").rglob("*") if path.is_file()]

    def catalogue_octets(self) -> int:
        """Add up the blocks of the catalogue's files, damaged ones too."""
        return sum(blocks_of(path) for path in self.store.glob("catalogue.*"))

    def draft_octets(self) -> int:
        """Add up the blocks of the drafts' files."""
        return sum(blocks_of(path) for path in self.draft_files())

    def entry_octets(self) -> int:
        """Add up the blocks of the entries' files."""
        return sum(blocks_of(path) for path in self.entry_files())


def blocks_of(path: Path) -> int:
    """Say how many octets a file takes, in whole blocks; none if it has just gone."""
    try:
        return -(-path.stat().st_size // BLOCK) * BLOCK
    except FileNotFoundError:
        return 0


def _toml_of(authority: str | None, hosts: Sequence[str], freshness: Mapping[str, float]) -> str:
    if authority is None:
        return ""
    lines = ['[backend."/"]', f'authority = "{authority}"']
    if hosts:
        lines.append("hosts = [" + ", ".join(f'"{host}"' for host in hosts) + "]")
    if freshness:
        pairs = ", ".join(f"{kind} = {seconds}" for kind, seconds in freshness.items())
        lines.append(f"freshness = {{ {pairs} }}")
    return "\n".join([*lines, ""])
