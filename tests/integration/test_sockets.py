"""
Sockets that systemd opens, as osproxy is passed them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.ports import Port
from tests.integration.server import TWIST, environment_of
from tests.integration.tools import DEADLINE, find, require, threaded, until
from tests.integration.wire import Connection, fetch

if TYPE_CHECKING:
    from tests.integration.server import Osproxy

PACKAGE = "/x/a-1-1.noarch.rpm"


class SocketTests(IntegrationCase):
    """Sockets that listen before the server does."""

    def activated(
        self, server: Osproxy, *options: str, names: str = "", **environment: str
    ) -> subprocess.Popen[bytes]:
        """Have systemd-socket-activate listen, and start the server when somebody comes."""
        command = [find("systemd-socket-activate"), *options]
        command += [f"--fdname={names}"] if names else []
        for name in environment_of(environment):
            command.append(f"--setenv={name}")
        with server.output.open("ab") as output:
            process = subprocess.Popen(
                [*command, *TWIST, *server.options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=server.directory,
                env=environment_of(environment),
            )
        server.process = process
        return process

    @threaded
    def test_activated(self) -> None:
        """HTTP and TLS on passed sockets, told apart by their names alone; no other is opened."""
        self.site.write(PACKAGE, b"content")
        server = self.osproxy(self.file_server().url, start=False, certificates=self.certificates)
        server.options = [it for it in server.options if "bind-address" not in it]
        self.activated(server, f"--listen={server.port}", f"--listen={server.tls_port}",
                       names="http:https")  # fmt: skip
        until(server.port.answers, "systemd listens")
        self.assertEqual(server.fetch(PACKAGE).body, b"content")
        answer = fetch(server.tls_port, PACKAGE, tls=self.client_context())
        self.assertEqual(answer.body, b"content")
        assert server.process is not None
        self.assertEqual(
            listening_of(server.process.pid), {server.port.number, server.tls_port.number}
        )
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_unnamed(self) -> None:
        """A socket without a name is HTTP; one that an option asks for is opened besides."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        other = Port()
        self.addCleanup(other.close)
        self.activated(server, f"--listen={other}")
        until(other.answers, "systemd listens")
        for port in (other, server.port):
            until(port.answers, "it listens")
            self.assertEqual(fetch(port, "/-/healthy").status, 200)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_unix(self) -> None:
        """A Unix socket is served, and its file survives the server."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        server.options = [it for it in server.options if "bind-address" not in it]
        path = self.socket_path()
        self.activated(server, f"--listen={path}", names="http")
        until(path.exists, "systemd listens")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(path))
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", client.recv(65536))
        self.assertEqual(server.stop(), 0)
        self.assertTrue(path.exists())

    @threaded
    def test_refused(self) -> None:
        """What cannot be used is one line and exit status 1."""
        require("systemd-socket-activate")
        server = self.osproxy("http://127.0.0.1:9", start=False)
        for options, names, words in (
            (["--datagram"], "http", "socket http (descriptor 3): is no stream socket"),
            ([], "web", "socket web (descriptor 3): has a name that says nothing"),
            ([], "https", "socket https: cannot be without a certificate"),
        ):
            port = Port()
            server.output.unlink(missing_ok=True)
            process = self.activated(server, *options, f"--listen={port}", names=names)
            if options:
                until(lambda: "Listening on" in server.said(), "systemd listens")
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.sendto(b"x", (port.host, port.number))
            else:
                until(port.answers, "systemd listens")
            self.assertEqual(process.wait(DEADLINE), 1, server.said())
            lines = [line for line in server.said().splitlines() if line.startswith("osproxy: ")]
            self.assertEqual(len(lines), 1, server.said())
            self.assertIn(words, lines[0])
            self.assertNotIn("Traceback", server.said())
            port.close()

    @threaded
    def test_restart(self) -> None:
        """While the server restarts nobody is refused: whoever comes waits for the next one."""
        self.site.write(PACKAGE, b"content")
        server = self.osproxy(self.file_server().url, start=False)
        server.options = [it for it in server.options if "bind-address" not in it]
        listening = socket.socket()
        self.addCleanup(listening.close)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = Port()
        self.addCleanup(port.close)
        port.number = listening.getsockname()[1]
        for _ in range(2):
            # Who is first waits in the socket's queue.
            with Connection(port) as early:
                early.ask(PACKAGE)
                process = self.passing(server, listening)
                self.assertEqual(early.answer().body, b"content")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(DEADLINE), 0)

    def passing(self, server: Osproxy, listening: socket.socket) -> subprocess.Popen[bytes]:
        """Start the server with a socket, as systemd does."""
        # The variable has to have the number of the process that the server will be.
        program = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3, True);"
            " os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
            " os.execv(sys.argv[2], sys.argv[2:])"
        )
        with server.output.open("ab") as output:
            server.process = subprocess.Popen(
                [sys.executable, "-c", program, str(listening.fileno()), *TWIST, *server.options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=server.directory,
                env=environment_of(),
                pass_fds=[listening.fileno()],
            )
        return server.process


def listening_of(pid: int) -> set[int]:
    """Tell on which TCP ports of IPv4 and IPv6 a process listens."""
    sockets = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # It may be closed by now.
        with contextlib.suppress(FileNotFoundError):
            sockets.add(os.readlink(path))
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports
