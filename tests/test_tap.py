"""Tests of `osproxy.tap`."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.application.twist._options import TwistOptions
from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import OPTIONS
from osproxy.config.settings import load
from osproxy.tap import _on_standard_output
from tests.config.pems import make_weak_key, pem_of_certificate, pem_of_key
from tests.service.running import WholeTestCase, parsed

if TYPE_CHECKING:
    from typing import TextIO


def _closed(file: TextIO) -> None:
    if file is not sys.stdout:
        file.close()


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def refusal(self, *arguments: str) -> str:
        """Parse a command line that is wrong; give the one line that is printed."""
        with self.assertRaises(SystemExit) as raised:
            parsed(*arguments)
        line = str(raised.exception.code)
        self.assertEqual(len(line.splitlines()), 1)
        self.assertTrue(line.startswith("osproxy: "), line)
        return line

    def test_nothing(self) -> None:
        """What was not given is not handed on: other places have their say."""
        self.assertEqual(parsed().given, {})

    def test_every_option(self) -> None:
        """Every option of the table is known, in the form that the table says."""
        for option in OPTIONS:
            if option.flag:
                expected: object = "yes"
                given = parsed(f"--{option.name}").given
            else:
                expected = ["value"] if option.repeatable else "value"
                given = parsed(f"--{option.name}", "value").given
            self.assertEqual(given, {option.name: expected})

    def test_help(self) -> None:
        """The help names each option, and its default where it has one."""
        text = str(parsed())
        for option in OPTIONS:
            self.assertIn(f"--{option.name}", text)
        self.assertIn("16GiB", text)

    def test_repeated(self) -> None:
        """Options of which there may be several keep all that were given, in order."""
        given = parsed(
            "--listen=tcp:1", "--clients", "::1", "--tls-listen=tcp:2", "--listen", "tcp:3",
            "--clients=10.0.0.0/8,127.0.0.1", "--pin=/a/", "--pin", "/b",
        ).given  # fmt: skip
        self.assertEqual(
            given,
            {
                "listen": ["tcp:1", "tcp:3"],
                "tls-listen": ["tcp:2"],
                "clients": ["::1", "10.0.0.0/8,127.0.0.1"],
                "pin": ["/a/", "/b"],
            },
        )

    def test_error_log(self) -> None:
        """Errors keep apart from the access log, unless the runner was told where they go."""
        twistd, twist = ServerOptions, TwistOptions
        for kind, arguments, apart in (
            (twistd, ["-n"], True),
            (twistd, [], False),
            (twistd, ["-n", "--logfile=-"], False),
            (twistd, ["-n", "--logfile=log"], False),
            (twistd, ["-n", "--syslog"], False),
            (twistd, ["-n", "--logger=twisted.logger.textFileLogObserver"], False),
            (twist, ["--log-format=text"], True),
            (twist, ["--log-format=json"], False),
            (twist, ["--log-format=text", "--log-file=/dev/null"], False),
            (twist, ["--log-format=text", "--log-file=-"], True),
        ):
            runner = kind()
            runner.parseOptions([*arguments, "osproxy"])
            if kind is twist:
                self.addCleanup(_closed, runner["logFile"])
            self.assertIs(_on_standard_output(runner.subOptions.parent), apart, arguments)
        self.assertFalse(_on_standard_output(None))

    def test_settings(self) -> None:
        """The settings are made of what was given."""
        cache = Path(self.mktemp()).absolute()
        options = parsed(
            "--cache-path", str(cache), "--cache-size=2GiB", "--listen=tcp:1", "--listen=tcp:2",
            "--clients=10.0.0.0/8", "--clients=::1", "--verbose", "--drain-timeout=5s",
            "--pin=/a/", "--eviction=gdsf", "--image-space=1GiB",
        )  # fmt: skip
        settings = load(options.given, {})
        self.assertEqual((settings.cache.path, settings.cache_size), (cache, 2 << 30))
        places = [place.description for place in settings.listeners]
        self.assertEqual(places, ["tcp:1", "tcp:2"])
        self.assertEqual([str(network) for network in settings.clients], ["10.0.0.0/8", "::1/128"])
        self.assertEqual((settings.log_level, settings.drain_timeout), ("debug", 5.0))
        self.assertEqual((settings.eviction, settings.pins), ("gdsf", ("/a/",)))
        self.assertEqual(settings.image_space.octets(1 << 40), 1 << 30)

    def test_unknown(self) -> None:
        """An option that does not exist is named."""
        self.assertIn("--nonsense", self.refusal("--nonsense=1").replace("option ", "option --"))

    def test_without_value(self) -> None:
        """So is one that lacks its value."""
        self.assertIn("cache-size", self.refusal("--cache-size"))

    def test_superfluous(self) -> None:
        """What is no option has no place on the command line."""
        self.refusal("start")

    def test_no_usage_error(self) -> None:
        """None of these is left to Twisted, which would print all of the help."""
        for wrong in ("--nonsense", "--cache-size", "start"):
            try:
                parsed(wrong)
            except UsageError:
                self.fail(f"{wrong} ends in a usage error")
            except SystemExit:
                continue


class MakeServiceTests(WholeTestCase):
    """What is wrong is said in one line before anything starts."""

    def refusal(self, *more: str) -> str:
        """Make a server of which something is wrong; give the one line that is printed."""
        with self.assertRaises(SystemExit) as raised:
            self.make(*more)
        line = raised.exception.code
        assert isinstance(line, str)
        self.assertEqual(len(line.splitlines()), 1)
        self.assertTrue(line.startswith("osproxy: "), line)
        return line

    def test_bad_values(self) -> None:
        """A value that cannot be used is named with its option and with what would be right."""
        for wrong in (
            "--cache-size=much", "--clients=somebody", "--client-connections=0",
            "--eviction=fifo", "--pin=x", "--image-space=half",
            "--connect-timeout=0", "--log-level=loud", "--free-space=200%", "--listen=ssl:443",
            "--listen=nonsense:1", "--bind-address=nowhere", "--tls-listen=tcp:0",
            f"--upstream-ca={self.folder}/missing", f"--config={self.folder}/missing.toml",
            f"--cache-path={self.folder}/missing/cache",
        ):  # fmt: skip
            name = wrong.partition("=")[0]
            line = self.refusal(wrong)
            self.assertTrue(line.startswith(f"osproxy: {name}"), line)
            self.assertIn("command line", line)

    def test_port_in_use(self) -> None:
        """So is a port that another program has."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            line = self.refusal(f"--listen=tcp:{port}:interface=127.0.0.1")
        self.assertIn("--listen", line)
        self.assertIn("something listens there already", line)

    async def test_port_taken_since(self) -> None:
        """A port that is taken between then and the start is one line as well."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = self.make(f"--listen=tcp:{port}:interface=127.0.0.1")
        with (
            socket.create_server(("127.0.0.1", port)),
            self.assertRaises(SystemExit) as raised,
        ):
            server.privilegedStartService()
        line = str(raised.exception.code)
        self.assertEqual(len(line.splitlines()), 1)
        self.assertIn(f"tcp:{port}", line)
        server.startService()
        await server.stopService()

    def test_activation(self) -> None:
        """What tells of passed sockets is no longer in the environment of what may be started."""
        names = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
        self.patch(os, "environ", {**os.environ, **dict.fromkeys(names, "1")})
        self.refusal("--cache-size=much")
        self.assertEqual([name for name in names if name in os.environ], [])

    def test_certificate(self) -> None:
        """A certificate that OpenSSL finds too weak is a line as well."""
        key = make_weak_key()
        (self.folder / "key").write_bytes(pem_of_key(key))
        (self.folder / "chain").write_bytes(pem_of_certificate(key))
        line = self.refusal(
            f"--tls-pem-key={self.folder}/key",
            f"--tls-pem-chain={self.folder}/chain",
            "--tls-listen=tcp:0:interface=127.0.0.1",
        )
        self.assertIn("TLS cannot be spoken with this key and certificate", line)

    async def test_directory_in_use(self) -> None:
        """A cache directory has one server at a time, and is free after its end."""
        server = self.start()
        self.assertIn("--cache-path", self.refusal())
        await server.stopService()
        again = self.start()
        await again.stopService()
