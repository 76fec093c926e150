"""
Where logs go: files that logrotate moves away, standard streams, and a journald of the test's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from pathlib import Path

from osproxy.tools.logs import parse
from tests.integration.cases import IntegrationCase
from tests.integration.server import TWIST, TWISTD, Osproxy
from tests.integration.tools import find, require, require_root, run, state_of, threaded, until

ROOT = Path(__file__).parent.parent.parent
JOURNALD = "/lib/systemd/systemd-journald"
PACKAGE = "/x/a-1-1.noarch.rpm"

# A journal in a directory of the test instead of the machine's, and a program that it is for.
_IN_JOURNAL = f"""
mount --bind "$0" /run && mount -t tmpfs logs /var/log || exit
mkdir -p /run/systemd/journal /run/log/journal
{JOURNALD} & echo $! >/run/pid
until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ]; do sleep 0.05; done
exec "$@"
"""
# As systemd starts a service whose standard error is the journal's.
_AS_SERVICE = """
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) && export JOURNAL_STREAM && exec "$@"
"""


class FileTests(IntegrationCase):
    """Logs in files."""

    def paths(self, server: Osproxy) -> list[Path]:
        """Name the access log and the error log."""
        return [server.access_log, server.directory / "error.log"]

    @threaded
    def test_logrotate(self) -> None:
        """However often logrotate comes by, each request has its line in one of the files."""
        require("logrotate")
        self.site.write("/tree" + PACKAGE, b"content")
        server = self.osproxy(f"{self.file_server().url}/tree", start=False)
        access, errors = paths = self.paths(server)
        server.options += [f"--error-log={errors}", "--log-level=debug"]
        server.start()
        assert server.process is not None
        recipe = (ROOT / "etc" / "osproxy.logrotate").read_text()
        for old, new in (
            ("/var/log/osproxy", str(server.directory)),
            ("systemctl reload osproxy.service || :", f"kill -HUP {server.process.pid}"),
        ):
            self.assertIn(old, recipe)
            recipe = recipe.replace(old, new)
        configuration = self.place("logrotate.conf")
        configuration.write_text(recipe)
        configuration.chmod(0o644)
        state = self.place("state")
        done, asked = threading.Event(), 0

        def told() -> str:
            return run(["zcat", "-f", *server.directory.glob("error.log*")]).out

        def reloaded() -> int:
            return told().count("reloaded: no setting has changed")

        def ask() -> None:
            nonlocal asked
            while not done.is_set():
                self.assertEqual(server.fetch(f"{PACKAGE}?{asked}").status, 200)
                asked += 1

        def rotate() -> None:
            try:
                for number in range(4):
                    until(lambda: asked >= 50 * (number + 1), "there are requests")  # noqa: B023
                    # One signal that comes while another waits to be heard is none.
                    server.reload()
                    until(lambda: reloaded() == 2 * number + 1, "it has reloaded")  # noqa: B023
                    until(lambda: all(it.stat().st_size for it in paths), "there are lines")
                    run(["logrotate", "--force", "--state", state, configuration])
                    until(lambda: all(it.exists() for it in paths), "there are new files")
                    until(lambda: reloaded() == 2 * number + 2, "it has again")  # noqa: B023
            finally:
                done.set()

        self.at_once(ask, rotate)
        self.assertEqual(server.stop(), 0)
        for path in (access, errors):
            names = {it.name for it in server.directory.glob(f"{path.name}*")}
            there = [path.name, f"{path.name}.1", *(f"{path.name}.{it}.gz" for it in (2, 3, 4))]
            self.assertEqual(names, set(there))
        lines = run(["zcat", "-f", *server.directory.glob("access.log*")]).out.splitlines()
        numbers = [int(line.split(f"{PACKAGE}?")[1].split()[0]) for line in lines if "?" in line]
        self.assertEqual(sorted(numbers), list(range(asked)))
        self.assertEqual(reloaded(), 8)
        self.assertNotIn("Traceback", told())
        self.assertEqual(server.said(), "")

    @threaded
    def test_streams(self) -> None:
        """In the foreground requests are on standard output, and all else on standard error."""
        for runner in ([*TWISTD, "-n", f"--pidfile={self.place('pid')}", "osproxy"], TWIST):
            place = self.place("streams")
            server = Osproxy(
                place,
                "http://127.0.0.1:9",
                "--access-log=-",
                "--access-log-format=json",
                command=("sh", "-c", 'exec "$@" >"$0/out" 2>"$0/err"', str(place), *runner),
            )
            self.addCleanup(server.close)
            server.start()
            self.assertEqual(server.fetch("/-/healthy").status, 200)
            self.assertEqual(server.stop(), 0)
            lines = (place / "out").read_text().splitlines()
            self.assertEqual(json.loads(lines[-1])["target"], "/-/healthy")
            self.assertTrue(all("/-/" in json.loads(line)["target"] for line in lines), lines)
            self.assertIn("ready\n", (place / "err").read_text())


class PipeTests(IntegrationCase):
    """Logs in pipes that nobody reads."""

    def fill(self, server: Osproxy) -> None:
        """Ask for more than any pipe takes the lines of, and see that all is answered."""
        for number in range(400):
            fields = {"User-Agent": "x" * 3000}
            self.assertEqual(server.fetch(f"/-/healthy?{number}", fields).status, 200)

    @threaded
    def test_unread(self) -> None:
        """Requests are answered though nobody reads either log, and a stop comes to its end."""
        pipes = {log: self.place(log) for log in ("access-log", "error-log")}
        for pipe in pipes.values():
            os.mkfifo(pipe)
            self.addCleanup(os.close, os.open(pipe, os.O_RDWR))
        options = [f"--{log}={pipe}" for log, pipe in pipes.items()]
        server = self.osproxy("http://127.0.0.1:9", *options, "--log-level=debug")
        self.fill(server)
        server.reload()
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_standard_output(self) -> None:
        """The same holds for standard output, as of a container whose logs nobody reads."""
        place = self.place("streams")
        pipe = self.place("pipe")
        os.mkfifo(pipe)
        self.addCleanup(os.close, os.open(pipe, os.O_RDWR))
        runner = [*TWISTD, "-n", f"--pidfile={self.place('pid')}", "osproxy"]
        server = Osproxy(
            place,
            "http://127.0.0.1:9",
            "--access-log=-",
            command=("sh", "-c", 'exec "$@" >"$0" 2>&1', str(pipe), *runner),
        )
        self.addCleanup(server.close)
        server.start()
        self.fill(server)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_left(self) -> None:
        """Whoever reads it may go: a reload says that it cannot be had, and a stop ends."""
        pipe = self.place("pipe")
        os.mkfifo(pipe)
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        server = self.osproxy("http://127.0.0.1:9", f"--access-log={pipe}")
        os.close(reading)
        server.reload()
        until(lambda: "nobody reads it" in server.said(), "it is said")
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        self.assertEqual(server.stop(), 0)


class JournalTests(IntegrationCase):
    """Logs in a real journal."""

    def setUp(self) -> None:
        """Have a directory for a journal."""
        super().setUp()
        require_root("have a journal of its own")
        require(JOURNALD, "journalctl", "systemd-cat", "unshare")
        self.journal = self.place("run")
        self.journal.mkdir()

    def in_journal(self, *options: str, command: tuple[str, ...] = ()) -> Osproxy:
        """Start a server beside a journald."""
        self.site.write("/tree" + PACKAGE, b"content")
        inside = (find("unshare"), "--mount", "sh", "-c", _IN_JOURNAL, str(self.journal))
        server = Osproxy(
            self.place("osproxy"),
            f"{self.file_server().url}/tree",
            *options,
            command=(*inside, *command, *TWIST),
        )
        self.addCleanup(self.end_journal)
        self.addCleanup(server.close)
        server.start()
        return server

    def end_journal(self) -> None:
        """End the journald, which has written down by then what it has heard."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.journal / "pid").read_text()), signal.SIGTERM)

    def entries(self, *matches: str) -> list[dict[str, str]]:
        """Read what is in the journal."""
        journal = self.journal / "log" / "journal"
        found = run(["journalctl", "--directory", journal, "--output=json", *matches]).out
        return [json.loads(line) for line in found.splitlines()]

    @threaded
    def test_native(self) -> None:
        """An entry has a field for each value; its message is a line as a file has it."""
        who = "SYSLOG_IDENTIFIER=osproxy"
        server = self.in_journal("--access-log=journald", "--error-log=journald")
        for number in range(300):
            server.fetch(f"{PACKAGE}?{number}")
        server.configuration.write_text("nonsense")
        server.reload()
        refused = until(lambda: self.entries("PRIORITY=3", who), "the reload is refused")
        self.assertEqual(server.stop(), 0)
        kind = "OSPROXY_KIND=package"
        until(lambda: len(self.entries(kind)) >= 300, "journald has read all")
        asked = self.entries(kind)
        targets = [it["OSPROXY_TARGET"] for it in asked]
        self.assertEqual(targets, [f"{PACKAGE}?{number}" for number in range(300)])
        self.assertEqual(
            [asked[-1][f"OSPROXY_{name}"] for name in ("CLIENT", "STATUS", "BYTES", "TARGET")],
            ["127.0.0.1", "200", "7", f"{PACKAGE}?299"],
        )
        event = parse(asked[-1]["MESSAGE"])
        assert event is not None
        self.assertEqual(event.octets, 7)
        self.assertEqual(refused[0]["OSPROXY_MODULE"], "osproxy.service.reload")
        self.assertTrue(refused[0]["MESSAGE"].startswith("not reloaded: "), refused)
        self.assertEqual(self.entries(who, "MESSAGE=ready")[0]["PRIORITY"], "6")

    @threaded
    def test_streams(self) -> None:
        """On streams that are the journal's, each line of the error log has its priority."""
        who = "SYSLOG_IDENTIFIER=me"
        as_service = ("systemd-cat", "--identifier=me", "sh", "-c", _AS_SERVICE, "sh")
        server = self.in_journal("--access-log=-", command=as_service)
        self.assertEqual(server.fetch(PACKAGE).status, 200)
        server.configuration.write_text("nonsense")
        server.reload()
        refused = until(lambda: self.entries("PRIORITY=3", who), "the reload is refused")
        self.assertIn("not reloaded: ", refused[0]["MESSAGE"])
        self.assertFalse(refused[0]["MESSAGE"].startswith("<"))
        self.assertEqual(server.stop(), 0)

        def lines() -> list[dict[str, str]]:
            return [it for it in self.entries("PRIORITY=6", who) if PACKAGE in it["MESSAGE"]]

        (asked,) = until(lines, "journald has read it")
        self.assertIn('" 200 7 ', asked["MESSAGE"])

    @threaded
    def test_busy(self) -> None:
        """A journal that reads nothing stops nobody, and has it all when it reads again."""
        server = self.in_journal("--access-log=journald", "--error-log=journald")
        journald = int((self.journal / "pid").read_text())
        asked = "OSPROXY_KIND=package"
        until(lambda: self.entries("MESSAGE=ready"), "it reads")
        os.kill(journald, signal.SIGSTOP)
        try:
            until(lambda: state_of(journald) == "T", "it reads nothing")
            for number in range(1000):
                self.assertEqual(server.fetch(f"{PACKAGE}?{number}").status, 200)
            # All were answered while it was like this.
            self.assertEqual((state_of(journald), self.entries(asked)), ("T", []))
        finally:
            os.kill(journald, signal.SIGCONT)
        until(lambda: len(self.entries(asked)) >= 1000, "it has read all")
        # Each once, in order.
        targets = [it["OSPROXY_TARGET"] for it in self.entries(asked)]
        self.assertEqual(targets, [f"{PACKAGE}?{number}" for number in range(1000)])
        metrics = server.fetch("/-/metrics").body.decode()
        self.assertIn('osproxy_log_lost_total{log="access"} 0.0\n', metrics)
        self.assertEqual(server.stop(), 0)
