"""
osproxy as a service: what systemd is told, what SIGHUP brings, and who is answered a challenge.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import ssl
import threading
import time

from tests.integration.cases import IntegrationCase
from tests.integration.certificates import make_certificates
from tests.integration.notified import Manager
from tests.integration.scripted import pausing
from tests.integration.server import TWISTD, Osproxy
from tests.integration.tools import state_of, threaded, until
from tests.integration.wire import Connection, fetch

PACKAGE = "/x/a-1-1.noarch.rpm"


class NotifyTests(IntegrationCase):
    """What the service manager hears."""

    def setUp(self) -> None:
        """Be one."""
        super().setUp()
        self.manager = Manager()
        self.addCleanup(self.manager.close)

    def told(self) -> list[str]:
        """Tell what was heard but for the status, in short."""
        return self.manager.heard("READY", "RELOADING", "STOPPING")

    @threaded
    def test_life(self) -> None:
        """It is ready when it answers, reloads when asked to, stops before it ends."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        server.launch(NOTIFY_SOCKET=self.manager.address)
        self.manager.until(lambda it: "READY=1" in it.lines, "it is ready")
        self.assertEqual(server.fetch("/-/ready").status, 200)
        self.assertEqual(self.manager.heard("STATUS")[0], "STATUS=opening the cache")
        self.assertRegex(self.manager.heard("STATUS")[1], r"^STATUS=0 connections, ")
        before = time.monotonic_ns() // 1000
        server.reload()
        until(lambda: self.told() == ["READY=1", "RELOADING=1", "READY=1"], "it has reloaded")
        reloading = self.manager.until(lambda it: it.value("RELOADING"), "it reloads")
        began = int(reloading.value("MONOTONIC_USEC") or 0)
        self.assertTrue(before <= began <= time.monotonic_ns() // 1000)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.told()[3:], ["STOPPING=1"])
        self.assertEqual(self.manager.messages[-1].value("STATUS"), "stopping")
        self.assertEqual(self.manager.messages[-1].value("EXTEND_TIMEOUT_USEC"), "70000000")

    @threaded
    def test_ready_when_open(self) -> None:
        """While the catalogue is being opened it listens, and is not ready."""
        server = self.osproxy("http://127.0.0.1:9")
        self.assertEqual(server.stop(), 0)
        catalogue = sqlite3.connect(server.store / "catalogue.sqlite", isolation_level=None)
        catalogue.execute("PRAGMA locking_mode=EXCLUSIVE")
        catalogue.execute("BEGIN EXCLUSIVE")
        server.launch(NOTIFY_SOCKET=self.manager.address)
        until(server.port.answers, "it listens")
        # It answers from when its reactor runs, and signals are heard.
        self.assertEqual(server.fetch("/-/ready").status, 503)
        server.reload()
        self.assertEqual(server.fetch("/-/ready").status, 503)
        self.assertEqual(self.told(), [])
        catalogue.close()
        until(lambda: len(self.told()) == 3, "it is ready and has reloaded")
        self.assertEqual(self.told(), ["READY=1", "RELOADING=1", "READY=1"])
        self.assertEqual(server.fetch("/-/ready").status, 200)

    @threaded
    def test_watchdog(self) -> None:
        """It shows that it is alive twice in the time of the watchdog, and not when it hangs."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        server.start(NOTIFY_SOCKET=self.manager.address, WATCHDOG_USEC="2000000")

        def steady() -> bool:
            times = [it.at for it in self.manager.read() if it.value("WATCHDOG")]
            # Each second: of those that a machine's stall delays, another begins five.
            return any(last - first < 5 for first, last in zip(times, times[4:], strict=False))

        until(steady, "it is alive")
        assert server.process is not None
        pid = server.process.pid
        server.process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", "it hangs")
        count = len(self.manager.read())
        # The time in which nothing is to come.
        time.sleep(2.5)
        self.assertEqual(len(self.manager.read()), count)
        server.process.send_signal(signal.SIGCONT)
        until(lambda: len(self.manager.read()) > count, "it is alive again")

    @threaded
    def test_alive_while_stopping(self) -> None:
        """A stop that takes its time, for a download under way, is no reason to end it."""
        content, goes_on = os.urandom(1_000_000), threading.Event()
        self.addCleanup(goes_on.set)
        server = self.osproxy(self.scripted(pausing(content, 500_000, goes_on)).url, start=False)
        server.start(NOTIFY_SOCKET=self.manager.address, WATCHDOG_USEC="1000000")
        with Connection(server.port) as connection:
            connection.ask("/x/image.iso")
            connection.head()
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            self.manager.until(lambda it: it.value("STOPPING"), "it stops")
            count = len(self.manager.heard("WATCHDOG"))
            until(lambda: len(self.manager.heard("WATCHDOG")) >= count + 3, "it is still alive")
            self.assertEqual(self.manager.heard("READY", "STOPPING"), ["READY=1", "STOPPING=1"])
            goes_on.set()
            self.assertEqual(connection.read(len(content)), content)
        self.assertEqual(server.wait(), 0)

    @threaded
    def test_unusable(self) -> None:
        """Why there will be no readiness is told."""
        server = self.osproxy("http://127.0.0.1:9")
        server.stop()
        (server.store / "catalogue.sqlite").unlink()
        (server.store / "catalogue.sqlite").mkdir()
        server.launch(NOTIFY_SOCKET=self.manager.address)
        self.assertEqual(server.wait(), 1)
        self.assertIn(
            "STATUS=the cache cannot be opened: ", "\n".join(self.manager.heard("STATUS"))
        )
        self.assertEqual(self.told(), ["STOPPING=1"])

    @threaded
    def test_nobody_listens(self) -> None:
        """A manager that is not there is complained of once, and all goes on."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        server.start(NOTIFY_SOCKET="/proc/missing", WATCHDOG_USEC="100000")
        # The time of five beats, none of which anybody hears.
        time.sleep(0.5)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.said().count("/proc/missing"), 1, server.said())


class ChallengeTests(IntegrationCase):
    """A certification authority that asks whose name it is."""

    @threaded
    def test_answered(self) -> None:
        """What a client of ACME has written is for everybody, and nothing else is."""
        path, directory = "/.well-known/acme-challenge/", self.place("challenges")
        server = self.osproxy("http://127.0.0.1:9", "--clients=192.0.2.0/24", start=False)
        server.launch(ACME_CHALLENGE_DIR=str(directory))
        until(server.port.answers, "it listens")
        self.assertEqual(server.fetch(f"{path}token").status, 404)
        directory.mkdir()
        (directory / "token").write_bytes(b"token.thumbprint")
        (directory / "key").symlink_to(self.certificates.key)
        answer = server.fetch(f"{path}token", {"Host": "www.example"})
        self.assertEqual((answer.status, answer.body), (200, b"token.thumbprint"))
        self.assertEqual(answer.field("Cache-Control"), "no-store")
        for target, status in ((path, 404), (f"{path}key", 404), ("/-/healthy", 403)):
            self.assertEqual(server.fetch(target).status, status)
        self.assertIn("is no directory; nothing is served from it until it is", server.said())


class ReloadTests(IntegrationCase):
    """What SIGHUP brings."""

    def logged_of(self, server: Osproxy, words: str) -> str:
        """Wait for a line with these words, and give it."""

        def found() -> list[str]:
            return [line for line in server.said().splitlines() if words in line]

        return until(found, f"{words!r} is said")[-1]

    @threaded
    def test_settings(self) -> None:
        """What can change changes, what takes a restart says so, what is wrong is refused."""
        server = self.osproxy("http://127.0.0.1:9")
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        text = server.configuration.read_text()
        server.configuration.write_text('clients = "192.0.2.0/24"\ncache_size = "1GiB"\n' + text)
        server.reload()
        self.assertIn("192.0.2.0/24 from now on", self.logged_of(server, "reloaded: --clients: "))
        self.assertIn("takes a restart", self.logged_of(server, "reloaded: --cache-size: "))
        self.assertEqual(server.fetch("/-/healthy").status, 403)
        server.configuration.write_text('clients = "lan"\n' + text)
        server.reload()
        line = self.logged_of(server, "not reloaded: ")
        self.assertIn(f"--clients ({server.configuration}: clients): 'lan' has 'lan'", line)
        self.assertEqual(server.fetch("/-/healthy").status, 403)
        server.configuration.write_text(text)
        server.reload()
        until(lambda: server.fetch("/-/healthy").status == 200, "the default counts again")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.said())

    @threaded
    def test_no_files(self) -> None:
        """A pipe where the settings or the key should be is refused, and waited for by nobody."""
        server = self.osproxy("http://127.0.0.1:9", certificates=self.certificates)
        for path in (server.configuration, self.certificates.key):
            kept = path.with_suffix(".kept")
            path.rename(kept)
            os.mkfifo(path)
            server.reload()
            self.logged_of(server, f"{path} cannot be read (it is no regular file)")
            kept.replace(path)
        server.reload()
        self.logged_of(server, "reloaded: no setting has changed")
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_disk_away(self) -> None:
        """Whatever the disk of the cache refuses, settings are read, and certificates are."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        server.without_privilege()
        server.start()
        text = server.configuration.read_text()
        server.configuration.write_text('clients = "192.0.2.0/24"\n' + text)
        server.cache_path.chmod(0o500)
        self.addCleanup(server.cache_path.chmod, 0o700)
        server.reload()
        self.assertIn("192.0.2.0/24 from now on", self.logged_of(server, "reloaded: "))
        self.assertEqual(server.fetch("/-/healthy").status, 403)

    @threaded
    def test_backends(self) -> None:
        """A backend that is added is served, one that is gone is not."""
        self.site.write("/tree" + PACKAGE, b"content")
        url = self.file_server().url
        server = self.osproxy(
            f"{url}/tree", backends=f'[backend."/old"]\nauthority = "{url}/tree"\n'
        )
        text = server.configuration.read_text()
        self.assertEqual(server.fetch(f"/old{PACKAGE}").body, b"content")
        self.assertEqual(server.fetch(f"/new{PACKAGE}").status, 404)
        server.configuration.write_text(text.replace("/old", "/new"))
        server.reload()
        self.logged_of(server, "reloaded: the backends: /new from ")
        self.assertEqual(server.fetch(f"/old{PACKAGE}").status, 404)
        self.assertEqual(server.fetch(f"/new{PACKAGE}").body, b"content")

    @threaded
    def test_log_rotation(self) -> None:
        """After a log was moved away and SIGHUP its lines are in a new file; none is lost."""
        server = self.osproxy("http://127.0.0.1:9")
        moved = server.access_log.with_suffix(".1")
        server.fetch("/-/healthy")
        server.access_log.rename(moved)
        server.fetch("/-/metrics")
        server.reload()
        until(server.access_log.exists, "there is a new log")
        server.fetch("/-/status")
        until(server.logged, "the new log has lines")
        self.assertIn("/-/metrics", moved.read_text())
        self.assertNotIn("/-/status", moved.read_text())
        self.assertIn("/-/status", server.logged()[0])

    @threaded
    def test_rotation_as_of_nginx(self) -> None:
        """SIGUSR1 opens the logs anew, too, and ends nothing."""
        server = self.osproxy("http://127.0.0.1:9")
        server.access_log.rename(server.access_log.with_suffix(".1"))
        assert server.process is not None
        server.process.send_signal(signal.SIGUSR1)
        until(server.access_log.exists, "there is a new log")
        self.assertEqual(server.fetch("/-/ready").status, 200)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_daemon(self) -> None:
        """Under twistd SIGHUP does the same."""
        server = Osproxy(
            self.place("osproxy"),
            "http://127.0.0.1:9",
            command=[*TWISTD, "-n", f"--pidfile={self.place('pid')}", "osproxy"],
        )
        self.addCleanup(server.close)
        server.start()
        server.reload()
        self.logged_of(server, "reloaded: no setting has changed")
        self.assertEqual(server.stop(), 0)


class RenewalTests(IntegrationCase):
    """Certificates that are renewed while a download goes on."""

    def renew(self) -> ssl.SSLContext:
        """Write another certificate over that of the server, as ACME clients do; trust its own."""
        other = make_certificates(self.place("renewed"))
        for new, old in (
            (other.key, self.certificates.key),
            (other.chain, self.certificates.chain),
        ):
            place = old.with_suffix(".renewed")
            place.write_bytes(new.read_bytes())
            place.replace(old)
        return ssl.create_default_context(cafile=str(other.authority))

    @threaded
    def test_renewed(self) -> None:
        """A download over TLS goes on while others get another certificate, and no broken one."""
        content = os.urandom(8 << 20)
        self.site.write("/x/large-1-1.noarch.rpm", content)
        server = self.osproxy(self.file_server(limit_rate="4m").url, certificates=self.certificates)
        first = self.client_context()
        with Connection(server.tls_port, tls=first, receive_buffer=65536) as download:
            download.ask("/x/large-1-1.noarch.rpm")
            download.head()
            body = download.read(100_000)
            second = self.renew()
            server.reload()
            until(lambda: "new connections get the certificate" in server.said(), "it is taken")
            self.assertEqual(fetch(server.tls_port, "/-/ready", tls=second).status, 200)
            with self.assertRaises(ssl.SSLCertVerificationError):
                fetch(server.tls_port, "/-/ready", tls=first)
            self.certificates.key.write_bytes(self.certificates.stray_key.read_bytes())
            server.reload()
            until(lambda: "not reloaded: --tls-pem-key" in server.said(), "it is refused")
            self.assertEqual(fetch(server.tls_port, "/-/ready", tls=second).status, 200)
            body += download.read(len(content) - len(body))
        self.assertEqual(body, content)
        self.assertEqual(server.said().count("does not fit the first certificate"), 1)
        self.assertEqual(server.stop(), 0)
