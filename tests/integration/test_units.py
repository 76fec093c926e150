"""
The units: systemd understands them, they are hardened, and osproxy lives under them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.certificates import make_certificates
from tests.integration.confined import read_unit
from tests.integration.notified import Manager
from tests.integration.server import CHECKOUT, run_briefly
from tests.integration.tools import require, require_root, run, threaded, until
from tests.integration.wire import fetch

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

ETC = Path(__file__).parents[2] / "etc"
UNIT = ETC / "osproxy.service"
CONFINED = Path(__file__).with_name("confined.py")
PACKAGE = "/x/a-1-1.noarch.rpm"
USER = 54321

# What a service should not be able to do, and a little that it should, each with what to find out.
ATTEMPTS = """
import ctypes, json, os, socket, sys

libc = ctypes.CDLL(None, use_errno=True)

def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "no")

def be_idle():
    from osproxy.store.ioclass import be_idle
    if not be_idle():
        raise OSError("no")

attempts = {
    "yield the disk": be_idle,
    "write": lambda: open(sys.argv[1] + "/x", "w").close(),
    "write outside": lambda: open("/var/x", "w").close(),
    "write here": lambda: open(sys.argv[2] + "/x", "w").close(),
    "other processes": lambda: os.stat("/proc/1"),
    "memory of the machine": lambda: os.stat("/proc/meminfo"),
    "devices": lambda: os.stat("/dev/kmsg"),
    "internet": lambda: socket.socket().close(),
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "namespace": lambda: call(libc.unshare, 0x10000000),
    "owner": lambda: os.chown(sys.argv[1] + "/x", 0, 0),
    "set-user-ID": lambda: os.chmod(sys.argv[1] + "/x", 0o4755),
    "root": lambda: os.setuid(0),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "mount": lambda: call(libc.mount, b"x", b"/tmp", b"tmpfs", 0, b""),
    "trace": lambda: call(libc.ptrace, 0, 0, 0, 0),
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""

_UNITS = {".service", ".socket"}


class UnitTests(IntegrationCase):
    """What systemd makes of the units."""

    @threaded
    def test_verified(self) -> None:
        """It knows every setting, those of the examples too, and finds every program."""
        require("systemd-analyze")
        place = self.place("system")
        place.mkdir()
        units = [place / path.name for path in ETC.glob("osproxy*.*") if path.suffix in _UNITS]
        self.assertEqual(len(units), 3)
        for unit in units:
            text = (ETC / unit.name).read_text()
            unit.write_text(text)
            # What is to be typed into "systemctl edit".
            examples = re.findall(r"(?m)^#   (.*)$", text)
            changes = place / f"{unit.name}.d"
            changes.mkdir()
            (changes / "override.conf").write_text("\n".join([*examples, ""]))
        self.assertIn("LoadCredential=", (place / "osproxy.service.d/override.conf").read_text())
        path = {"SYSTEMD_UNIT_PATH": f"{place}:"}
        verified = run(["systemd-analyze", "verify", "--man=no", *units], environment=path)
        self.assertEqual(verified.out + verified.err, "")

    @threaded
    def test_hardened(self) -> None:
        """What is left for an attacker is 2.0 of 10 at most."""
        found = run(["systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT])
        exposure = re.findall(r"Overall exposure level for osproxy.service: ([0-9.]+)", found.out)
        self.assertLessEqual(float(exposure[0]), 2.0, found.out)


class ConfinedTests(IntegrationCase):
    """The restrictions of the unit, without systemd, as far as they can be had so."""

    def setUp(self) -> None:
        """Need root and the means."""
        super().setUp()
        require("systemd-analyze")
        require_root("confine a process as systemd does")

    def confining(self, *places: str) -> list[str]:
        """Give the command that confines the one behind it."""
        needed = [sys.prefix, sys.base_prefix, str(CHECKOUT), *places]
        return [sys.executable, str(CONFINED), str(UNIT), str(USER), ":".join(needed)]

    def owned(self, name: str) -> Path:
        """Make a directory for the service's user."""
        place = self.place(name)
        place.mkdir()
        os.chown(place, USER, USER)
        return place

    @threaded
    def test_cage(self) -> None:
        """What the unit is to prevent is prevented here as well, and what is needed is not."""
        writable, readable = self.owned("writable"), self.owned("readable")
        command = self.confining(f"+{writable}", str(readable))
        program = [sys.executable, "-c", ATTEMPTS, str(writable), str(readable)]
        done = run_briefly([*command, *program], directory=self.directory)
        self.assertEqual(done.code, 0, done.all)
        found = json.loads(done.out)
        allowed = {name for name, could in found.items() if could}
        self.assertEqual(allowed, {"write", "internet", "yield the disk"})
        # It is the cage, and not the machine, that prevents it.
        free = json.loads(run_briefly(program, directory=self.directory).out)
        self.assertGreater(sum(free.values()), len(allowed) + 5, free)

    def confined(self) -> tuple[Osproxy, Manager]:
        """Start the server by the unit's command, with TLS to both sides and a manager to tell."""
        manager = Manager()
        self.addCleanup(manager.close)
        server = self.osproxy(
            f"https://localhost:{self.tls_upstream()}",
            f"--upstream-ca={self.certificates.authority}",
            certificates=self.certificates,
            start=False,
        )
        place = str(server.directory)
        for path in (server.directory, server.cache_path):
            os.chown(path, USER, USER)
        for path in (self.certificates.key, self.certificates.chain):
            os.chown(path, USER, USER)
            path.chmod(0o400)
        (start,) = read_unit(UNIT)["ExecStart"]
        python, *arguments = shlex.split(start)
        self.assertEqual(python, "/usr/bin/python3")
        confining = self.confining(f"+{place}", str(self.certificates.key.parent))
        server.launch([*confining, sys.executable, *arguments], NOTIFY_SOCKET=manager.address)
        manager.until(lambda it: "READY=1" in it.lines, "it is ready")
        return server, manager

    def tls_upstream(self) -> int:
        """Have an upstream with TLS; give its port."""
        self.site.write(PACKAGE, b"content")
        return self.file_server(certificates=self.certificates).port.number

    @threaded
    def test_tls(self) -> None:
        """TLS upstream and downstream, the cache, a reload and a stop work under all of it."""
        server, manager = self.confined()
        assert server.process is not None
        pid = server.process.pid
        status = dict(
            line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(int(status["CapBnd"], 16) | int(status["CapPrm"], 16), 0)
        self.assertEqual(status["Uid"].split(), [str(USER)] * 4)
        root = next(
            line
            for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
            if line.split()[4] == "/"
        )
        self.assertIn("ro", root.split()[5].split(","))
        context = self.client_context()
        for outcome in ("fwd=uri-miss", "hit"):
            answer = fetch(server.tls_port, PACKAGE, tls=context)
            self.assertEqual((answer.status, answer.body), (200, b"content"))
            self.assertIn(outcome, answer.cache_status)
            server.settle()
        other = make_certificates(self.place("renewed"))
        for new, old in (
            (other.key, self.certificates.key),
            (other.chain, self.certificates.chain),
        ):
            old.write_bytes(new.read_bytes())
        server.reload()
        until(lambda: len(manager.heard("READY")) == 2, "it has reloaded")
        self.assertIn("new connections get the certificate", server.said())
        self.assertEqual(server.stop(), 0)
        self.assertEqual(len(manager.heard("STOPPING")), 1)
        self.assertNotIn("Traceback", server.said())
        self.assertTrue(server.logged())
