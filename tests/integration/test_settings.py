"""
Options that are right, from wherever they come, do what they say.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.ports import Port
from tests.integration.server import CHECKOUT, TWISTD, Osproxy, run_briefly
from tests.integration.tools import DEADLINE, run, threaded, until
from tests.integration.wire import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping


class OptionTests(IntegrationCase):
    """Options that are right."""

    def start_bare(self, *options: str, environment: Mapping[str, str]) -> Osproxy:
        """Start a server with nothing but an address, some options and an environment."""
        server = Osproxy(self.place("osproxy"), None)
        self.addCleanup(server.close)
        server.options = [f"--bind-address={server.port}", *options]
        server.start(**environment)
        return server

    @threaded
    def test_default_cache_path(self) -> None:
        """The default directory is made with its parents: the home's, XDG's, systemd's."""
        for variable, below in (
            ("HOME", ".cache/osproxy/osproxy"),
            ("XDG_CACHE_HOME", "osproxy/osproxy"),
            ("CACHE_DIRECTORY", "osproxy"),
        ):
            home = self.place("home")
            if variable == "CACHE_DIRECTORY":
                home.mkdir()
            server = self.start_bare(environment={variable: str(home)})
            self.assertTrue((home / below / "entries").is_dir(), variable)
            server.close()

    @threaded
    def test_precedence(self) -> None:
        """The command line goes over the environment, and that over the file."""
        home = str(self.place("home"))
        toml = self.place("osproxy.toml")
        toml.write_text('cache_size = "10MiB"\n')
        file, size = f"--config={toml}", "--cache-size=30MiB"
        mebibyte = 1 << 20
        for options, environment, expected in (
            ([file], {}, 10),
            ([file], {"OSPROXY_CACHE_SIZE": "20MiB"}, 20),
            ([file, size], {"OSPROXY_CACHE_SIZE": "20MiB"}, 30),
            ([], {"OSPROXY_CONFIG": str(toml)}, 10),
            ([], {"CACHE_SIZE": str(40 * mebibyte)}, 40),
            ([], {"CACHE_SIZE": "40MiB", "OSPROXY_CACHE_SIZE": "20MiB"}, 20),
        ):
            server = self.start_bare(*options, environment={"HOME": home, **environment})
            self.assertEqual(server.status().capacity, expected * mebibyte)
            server.close()

    @threaded
    def test_backends(self) -> None:
        """The longest prefix wins; an authority keeps its path; hosts lead to their backend."""
        for path in ("/tree/a.rpm", "/deep/tree/a.rpm", "/deep/tree/foobar/b.rpm"):
            self.site.write(path, path.encode())
        nginx = self.file_server()
        backends = (
            f'[backend."/foo"]\nauthority = "{nginx.url}/deep"\nhosts = ["foo.example"]\n'
            f'[backend."/foo/tree"]\nauthority = "{nginx.url}/tree/"\n'
        )
        server = self.osproxy(f"{nginx.url}/deep/tree/", backends=backends)
        for target, body in (
            ("/a.rpm", b"/deep/tree/a.rpm"),
            ("/foo/tree/a.rpm", b"/tree/a.rpm"),
            ("/foobar/b.rpm", b"/deep/tree/foobar/b.rpm"),
            ("http://foo.example/tree/a.rpm", b"/deep/tree/a.rpm"),
        ):
            answer = server.fetch(target)
            self.assertEqual((answer.status, answer.body), (200, body), target)

    @threaded
    def test_upstream_over_tls(self) -> None:
        """An authority that a private one vouches for works with --upstream-ca, only then."""
        self.site.write("/x/a-1-1.noarch.rpm", b"content")
        nginx = self.file_server(certificates=self.certificates)
        url = f"https://localhost:{nginx.port.number}"
        server = self.osproxy(url, f"--upstream-ca={self.certificates.authority}")
        self.assertEqual(server.fetch("/x/a-1-1.noarch.rpm").body, b"content")
        strict = self.osproxy(url)
        self.assertEqual(strict.fetch("/x/a-1-1.noarch.rpm").status, 502)

    @threaded
    def test_mirror_chain(self) -> None:
        """--mirror-chain, and the existing proxy's variable, replace the default authority."""
        self.site.write("/x/a-1-1.noarch.rpm", b"content")
        url = self.file_server().url
        home = {"HOME": str(self.place("home"))}
        for options, environment in (
            ([f"--mirror-chain={url}"], {}),
            ([], {"OSPROXY_MIRROR_CHAIN": url}),
            ([], {"MIRROR_CHAIN": url}),
        ):
            server = self.start_bare(*options, environment={**home, **environment})
            self.assertEqual(server.fetch("/x/a-1-1.noarch.rpm").body, b"content")
            server.close()

    @threaded
    def test_existing_proxys_container_environment(self) -> None:
        """Its variables are taken over as they are; one that means nothing gives one warning."""
        self.site.write("/x/a-1-1.noarch.rpm", b"content")
        content = self.place("content.toml")
        content.write_text(f'[prefix."/y"]\nurl = "{self.file_server().url}/x/"\n')
        cache = self.place("cache")
        cache.mkdir()
        port = Port()
        self.addCleanup(port.close)
        server = Osproxy(self.place("osproxy"), None)
        self.addCleanup(server.close)
        server.port, server.options = port, []
        server.start(
            BIND_ADDRESS=str(port),
            CACHE_PATH=str(cache),
            CACHE_SIZE="1073741824",
            CACHE_LARGE_OBJECTS="false",
            CONTENT_CONFIG_PATH=str(content),
            BOOT_ORIGIN="http://127.0.0.1",
            WONDER_GUARD="false",
            VERBOSE="false",
        )
        self.assertEqual(server.fetch("/y/a-1-1.noarch.rpm").body, b"content")
        self.assertTrue((cache / "osproxy").is_dir())
        self.assertEqual(server.said().count("BOOT_ORIGIN"), 1, server.said())

    @threaded
    def test_listeners(self) -> None:
        """IPv4 and IPv6, plain and TLS, several at once."""
        self.site.write("/x/a-1-1.noarch.rpm", b"content")
        six, plain, tls = Port("::1"), Port(), Port()
        for port in (six, plain, tls):
            self.addCleanup(port.close)
        server = self.osproxy(
            self.file_server().url,
            f"--listen=tcp6:{six.number}:interface=\\:\\:1",
            f"--listen=tcp:{plain.number}:interface=127.0.0.1",
            f"--tls-listen=tcp:{tls.number}:interface=127.0.0.1",
            certificates=self.certificates,
        )
        target = "/x/a-1-1.noarch.rpm"
        context = self.client_context()
        for port in (server.port, six, plain):
            self.assertEqual(fetch(port, target).body, b"content")
        for port in (server.tls_port, tls):
            self.assertEqual(fetch(port, target, tls=context).body, b"content")

    @threaded
    def test_bind_address_of_ipv6(self) -> None:
        """--bind-address takes [address]:port."""
        port = Port("::1")
        self.addCleanup(port.close)
        server = self.osproxy(None, start=False)
        server.options[0] = f"--bind-address={port}"
        server.port = port
        server.start()
        self.assertEqual(server.fetch("/-/healthy").status, 200)

    @threaded
    def test_tls_versions(self) -> None:
        """TLS 1.2 and 1.3 are spoken, a session of either is resumed, and 1.1 is refused."""
        server = self.osproxy("http://127.0.0.1:9", certificates=self.certificates)
        arguments = ["openssl", "s_client", "-connect", str(server.tls_port)]
        for version in ("-tls1_2", "-tls1_3"):
            session = self.place("session")
            asking = [*arguments, version, "-ign_eof", "-CAfile", self.certificates.authority]
            for options in (["-sess_out", session], ["-sess_in", session]):
                done = subprocess.run(
                    list(map(str, [*asking, *options])),
                    input="GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                    capture_output=True,
                    check=False,
                    text=True,
                    timeout=DEADLINE,
                )
                self.assertIn("Verification: OK", done.stdout, version)
            self.assertIn("Reused, ", done.stdout, version)
        old = run([*arguments, "-tls1_1", "-cipher", "ALL@SECLEVEL=0"], check=False)
        self.assertIn("Cipher is (NONE)", old.out)

    @threaded
    def test_daemon(self) -> None:
        """Daemonised twistd serves, and ends when told."""
        place = self.place("daemon")
        place.mkdir()
        server = Osproxy(self.place("osproxy"), "http://127.0.0.1:9")
        self.addCleanup(server.close)
        pid = place / "pid"
        command = [*TWISTD, f"--pidfile={pid}", f"--logfile={place}/log", "osproxy"]
        started = run_briefly([*command, *server.options], directory=place)
        self.assertEqual(started.code, 0, started.all)
        number = int(until(lambda: pid.exists() and pid.read_text(), "the pid file is there"))
        try:
            until(server.port.answers, "it listens")
            self.assertEqual(server.fetch("/-/healthy").status, 200)
        finally:
            os.kill(number, 15)
        until(lambda: not Path(f"/proc/{number}").exists(), "it has ended")
        self.assertFalse(pid.exists())

    @threaded
    def test_plugin_is_listed(self) -> None:
        """The command is among those that twistd lists."""
        done = run_briefly([*TWISTD, "--help"], directory=CHECKOUT)
        self.assertRegex(done.out, r"(?m)^\s+osproxy\s")
