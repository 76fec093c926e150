"""Tests of `osproxy.config.settings`."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.given import ConfigError
from osproxy.config.listeners import Passed
from osproxy.config.options import OPTIONS
from osproxy.config.settings import Settings, load
from osproxy.config.values import Share
from tests.config.pems import make_key, pem_of_certificate, pem_of_key
from tests.journals import Listening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXAMPLE = Path(__file__).parents[2] / "etc" / "osproxy.toml"


class LoadTests(SynchronousTestCase):
    """All settings are read and checked at once."""

    def setUp(self) -> None:
        """Make a home."""
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()

    def load(
        self,
        arguments: Mapping[str, str | Sequence[str]] | None = None,
        **environ: str,
    ) -> Settings:
        """Load settings with this command line and environment."""
        environ.setdefault("HOME", str(self.home))
        return load(arguments or {}, environ, home=lambda: None, ipv6=lambda: True)

    def complaint(
        self,
        arguments: Mapping[str, str | Sequence[str]] | None = None,
        **environ: str,
    ) -> str:
        """Load settings, and give the complaint."""
        error = self.assertRaises(ConfigError, lambda: self.load(arguments, **environ))
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    def file(self, name: str, content: str | bytes) -> str:
        """Make a file at home."""
        path = self.home / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def test_defaults(self) -> None:
        """Nothing has to be set."""
        settings = self.load()
        self.assertEqual(
            [place.source for place in settings.listeners], ["--bind-address (default)"]
        )
        self.assertEqual((settings.tls, settings.acme_challenge_dir), (None, None))
        self.assertEqual(settings.cache.path, self.home / ".cache" / "osproxy")
        self.assertEqual(settings.cache_size, 16 * 2**30)
        self.assertEqual(settings.free_space, Share(percent=5))
        self.assertEqual(settings.durability, "fast")
        self.assertEqual(settings.image_space, Share(percent=50))
        self.assertEqual((settings.eviction, settings.pins), ("clock", ()))
        self.assertEqual([backend.prefix for backend in settings.backends], ["/"])
        self.assertEqual(len(settings.clients), 8)
        self.assertEqual((settings.connections, settings.client_connections), (None, 4096))
        self.assertEqual((settings.requests, settings.client_requests), (None, None))
        self.assertEqual((settings.bandwidth, settings.client_bandwidth), (0, 0))
        self.assertEqual(settings.upstream_requests, 128)
        self.assertIsNone(settings.upstream_ca)
        self.assertEqual(
            (settings.connect_timeout, settings.head_timeout, settings.stall_timeout),
            (10, 15, 30),
        )
        self.assertEqual((settings.scrub_rate, settings.scrub_interval), (10**7, 30 * 86_400))
        self.assertIsNone(settings.control_socket)
        self.assertEqual((settings.client_timeout, settings.drain_timeout), (120, 30))
        self.assertEqual((settings.access_log, settings.log_level), ("-", "info"))
        self.assertEqual(settings.warnings, ())

    def test_places(self) -> None:
        """The command line, variables and the file each add what the one before leaves open."""
        config = self.file("x.toml", 'cache_size = "1GiB"\nhead-timeout = 5\nclients = ["::1"]')
        settings = self.load(
            {"config": config, "cache-size": "2GiB"}, OSPROXY_HEAD_TIMEOUT="6s", VERBOSE="1"
        )
        self.assertEqual(settings.cache_size, 2 * 2**30)
        self.assertEqual(settings.head_timeout, 6)
        self.assertEqual([str(network) for network in settings.clients], ["::1/128"])
        self.assertEqual(settings.log_level, "debug")

    def test_environment_of_existing_proxy(self) -> None:
        """The environment of the existing proxy's container is taken over as it is."""
        key = make_key()
        settings = self.load(
            BIND_ADDRESS="[::]:8080",
            TLS_BIND_ADDRESS="[::]:8443",
            TLS_PEM_KEY=self.file("key", pem_of_key(key)),
            TLS_PEM_CHAIN=self.file("chain", pem_of_certificate(key)),
            ACME_CHALLENGE_DIR=str(self.home),
            CACHE_PATH=str(self.home / "cache"),
            CACHE_SIZE="17179869184",
            CACHE_LARGE_OBJECTS="true",
            MIRROR_CHAIN="https://proxy.example",
            CONTENT_CONFIG_PATH=self.file(
                "c", '[prefix."/pub"]\nurl = "http://h"\ndaily_quota = 1'
            ),
            WONDER_GUARD="true",
            DURABLE_FS="true",
            VERBOSE="false",
        )
        self.assertEqual([place.tls for place in settings.listeners], [False, True])
        assert settings.tls is not None
        self.assertEqual(settings.tls.key, self.home / "key")
        self.assertEqual(settings.tls.chain, self.home / "chain")
        self.assertEqual(settings.acme_challenge_dir, self.home)
        self.assertEqual(settings.cache.path, self.home / "cache")
        self.assertEqual(
            [(backend.authority, backend.large_objects) for backend in settings.backends],
            [("http://h", True), ("https://proxy.example", True)],
        )
        self.assertEqual([bool(backend.guarded) for backend in settings.backends], [False, True])
        self.assertEqual(
            [warning.split(" has no meaning")[0] for warning in settings.warnings],
            ["variable DURABLE_FS", f"key daily_quota in {self.home}/c"],
        )

    def test_complaint_about_each_option(self) -> None:
        """A bad value is told of under its option, with its place and what would be right."""
        bad = {
            "config": "/proc/missing",
            "bind-address": "8080",
            "tls-bind-address": "localhost:8443",
            "listen": "ssl:1",
            "tls-listen": "ssl:1",
            "tls-pem-key": "/proc/missing",
            "tls-pem-chain": "/proc/missing",
            "acme-challenge-dir": "  ",
            "cache-path": "/proc/missing/cache",
            "cache-size": "16Q",
            "free-space": "101%",
            "durability": "some",
            "cache-large-objects": "maybe",
            "image-space": "101%",
            "wonder-guard": "rpm",
            "wonder-guard-window": "0",
            "eviction": "fifo",
            "pin": "oss/",
            "scrub-rate": "fast",
            "scrub-interval": "0",
            "mirror-chain": "ftp://h",
            "upstream-ca": "/proc/missing",
            "clients": "lan",
            "deny": "lan",
            "trusted-proxies": "unix:/x",
            "proxy-protocol": "lan",
            "connections": "0",
            "client-connections": "0",
            "requests": "many",
            "client-requests": "20/s",
            "bandwidth": "-1",
            "client-bandwidth": "fast",
            "upstream-requests": "0",
            "client-body-size": "some",
            "control-socket": "/proc/missing/control",
            "connect-timeout": "0",
            "head-timeout": "soon",
            "stall-timeout": "-1",
            "client-timeout": "1y",
            "drain-timeout": "inf",
            "access-log": "/proc/missing/log",
            "access-log-format": "xml",
            "error-log": "off",
            "log-level": "loud",
            "verbose": "very",
        }
        self.assertEqual(list(bad), [option.name for option in OPTIONS])
        for option in OPTIONS:
            value = bad[option.name]
            places = {"command line": self.complaint({option.name: value})}
            for name in (option.variable, *option.variables):
                places[f"variable {name}"] = self.complaint(None, **{name: value})
            if option.name != "config":
                config = self.file("x.toml", f'{option.name} = "{value}"')
                places[f"{config}: {option.name}"] = self.complaint({"config": config})
            for place, complaint in places.items():
                self.assertTrue(complaint.startswith(f"--{option.name} ({place}): "), complaint)
                self.assertIn("give", complaint)

    def test_unknown_key(self) -> None:
        """A key of the file that is no option is an error."""
        config = self.file("x.toml", "mirrors = []")
        self.assertIn(
            f"mirrors ({config}): there is no such key", self.complaint({"config": config})
        )

    def test_missing_file_of_existing_proxy(self) -> None:
        """The existing proxy's file must be there if it is named."""
        self.assertIn(
            "(variable CONTENT_CONFIG_PATH): /proc/missing cannot be read",
            self.complaint(CONTENT_CONFIG_PATH="/proc/missing"),
        )

    def test_chain_and_table(self) -> None:
        """One authority for everything and a table for everything are an error naming both."""
        config = self.file("x.toml", '[backend."/"]\nauthority = "http://h"')
        complaint = self.complaint({"config": config}, MIRROR_CHAIN="http://parent")
        self.assertIn("--mirror-chain (variable MIRROR_CHAIN): ", complaint)
        self.assertIn(f'backend."/" ({config})', complaint)

    def test_no_home(self) -> None:
        """Without any home, and no directory given, there is nowhere to keep files."""
        self.assertIn("--cache-path (default): no home is known", self.complaint(HOME=""))

    def test_nobody(self) -> None:
        """A list of networks without any would let nobody connect, and is an error."""
        self.assertIn("lets nobody connect", self.complaint({"clients": ","}))

    def test_access(self) -> None:
        """Who may not ask, and who is believed, is nobody unless it is said, in as many lists."""
        settings = self.load()
        none = (settings.deny, settings.trusted_proxies, settings.proxy_protocol)
        self.assertEqual(none, ((), (), ()))
        settings = self.load(
            {"deny": ["192.0.2.1", "::1"]},
            OSPROXY_TRUSTED_PROXIES="10.0.0.1,unix",
            OSPROXY_PROXY_PROTOCOL="10.0.0.2 10.0.0.3",
        )
        for found, expected in (
            (settings.deny, ["192.0.2.1/32", "::1/128"]),
            (settings.trusted_proxies, ["10.0.0.1/32", "unix"]),
            (settings.proxy_protocol, ["10.0.0.2/32", "10.0.0.3/32"]),
        ):
            self.assertEqual([str(one) for one in found], expected)

    def test_clients_in_variable(self) -> None:
        """Networks in a variable may have commas, blanks or both between them."""
        settings = self.load(OSPROXY_CLIENTS="10.0.0.0/8, ::1 , 192.0.2.0/24")
        self.assertEqual(len(settings.clients), 3)

    def test_challenges(self) -> None:
        """A directory for challenges that is not there yet is a warning: it may come and go."""
        missing = self.home / "challenges"
        settings = self.load({"acme-challenge-dir": str(missing)})
        self.assertEqual(settings.acme_challenge_dir, missing)
        self.assertEqual(
            settings.warnings,
            (
                f"--acme-challenge-dir (command line): {missing} is no directory;"
                " nothing is served from it until it is",
            ),
        )
        missing.mkdir()
        self.assertEqual(self.load({"acme-challenge-dir": str(missing)}).warnings, ())

    def test_passed(self) -> None:
        """Sockets that were passed are listened on, with a certificate where TLS is wanted."""
        http = Passed(3, socket.AF_INET, "http", "127.0.0.1:80", tls=False)
        settings = load({}, {"HOME": str(self.home)}, passed=[http])
        self.assertEqual([place.passed for place in settings.listeners], [http])
        https = evolve(http, name="https", tls=True)
        error = self.assertRaises(
            ConfigError, load, {}, {"HOME": str(self.home)}, passed=[http, https]
        )
        self.assertTrue(str(error).startswith("socket https: cannot be without a certificate"))

    def test_journal(self) -> None:
        """Logs go to the journal where there is one."""
        listening = Listening(self)
        for option in ("access-log", "error-log"):
            settings = load({option: "journald"}, {"HOME": str(self.home)}, journal=listening.path)
            self.assertEqual(getattr(settings, option.replace("-", "_")), "journald")
            error = self.assertRaises(
                ConfigError,
                load,
                {option: "journald"},
                {"HOME": str(self.home)},
                journal=self.home / "missing",
            )
            self.assertEqual(
                str(error),
                f"--{option} (command line): journald does not listen at {self.home}/missing"
                " (No such file or directory); give a file or -",
            )

    def test_access_log(self) -> None:
        """The access log is a file in a directory that is there, and is not made by loading."""
        log = self.home / "access.log"
        self.assertEqual(self.load({"access-log": str(log)}).access_log, str(log))
        self.assertFalse(log.exists())
        self.assertEqual(self.load({"access-log": "off"}).access_log, "off")
        log.touch()
        pipe = self.home / "pipe"
        os.mkfifo(pipe)
        for existing in (log, pipe):
            self.load({"access-log": str(existing)})

    def test_unwritable_access_log(self) -> None:
        """
        An access log that cannot be written to is refused.

        The places are such that not even root can: a directory, one below a file, the kernel's.
        """
        file = self.file("file", "")
        for log in (str(self.home), f"{file}/log", f"{self.home}/a/log", "/sys/kernel/log"):
            complaint = self.complaint({"access-log": log})
            self.assertIn(f"{log} cannot be written to (", complaint)
            self.assertIn("give a file or -", complaint)

    def test_nothing_is_made_for_wrong_settings(self) -> None:
        """The cache directory is made when everything else is right."""
        self.complaint({"cache-size": "x"})
        self.assertEqual(list(self.home.iterdir()), [])

    def test_running(self) -> None:
        """For a server that runs, its directories are neither made nor tried."""
        for arguments in (
            {"cache-path": "/proc/osproxy/cache", "control-socket": "/proc/osproxy/control"},
            {"cache-path": str(self.home / "cache")},
        ):
            settings = load(arguments, {"HOME": str(self.home)}, running=True)
            self.assertEqual(str(settings.cache.path), arguments["cache-path"])
        self.assertEqual(settings.cache, self.load(arguments).cache)
        self.assertEqual([path.name for path in self.home.iterdir()], [settings.cache.path.name])
        found = load({}, {"RUNTIME_DIRECTORY": "/run/a", "HOME": str(self.home)}, running=True)
        self.assertEqual(found.control_socket, Path("/run/a/control"))


class ExampleTests(SynchronousTestCase):
    """The example file says what is true."""

    def example(self) -> str:
        """Read the example with its settings in force, at home in a directory of the test."""
        place = Path(self.mktemp()).absolute()
        place.mkdir()
        key = make_key()
        certificate = pem_of_certificate(key)
        (place / "acme" / ".well-known" / "acme-challenge").mkdir(parents=True)
        (place / "tls.key").write_bytes(pem_of_key(key))
        (place / "tls.crt").write_bytes(certificate)
        (place / "upstream-ca.pem").write_bytes(certificate)
        text = re.sub(r"^#(?=[a-z\[])", "", EXAMPLE.read_text(), flags=re.MULTILINE)
        text = re.sub(r'"/(etc/osproxy|var/(?:cache|lib))/', f'"{place}/', text)
        # A socket's path has to be short.
        text = text.replace('"/run/osproxy/', f'"{gettempdir()}/')
        (place / "osproxy.toml").write_text(text)
        return str(place / "osproxy.toml")

    def test_in_force(self) -> None:
        """All settings of the example can be in force at once."""
        settings = load({"config": self.example()}, {})
        self.assertEqual([backend.prefix for backend in settings.backends], ["/packman", "/"])
        self.assertEqual([place.tls for place in settings.listeners], [False] * 3 + [True] * 2)
        self.assertEqual(settings.warnings, ())

    def test_as_it_is(self) -> None:
        """The example as it is changes nothing."""
        home = str(Path(self.mktemp()).absolute())
        self.assertEqual(load({"config": str(EXAMPLE)}, {"HOME": home}), load({}, {"HOME": home}))

    def test_complete(self) -> None:
        """Each option is in the example, but the one that names the file."""
        keys = set(re.findall(r"^#([a-z_]+) = ", EXAMPLE.read_text(), flags=re.MULTILINE))
        names = {option.name.replace("-", "_") for option in OPTIONS} - {"config"}
        self.assertEqual(names - keys, set())

    def test_defaults(self) -> None:
        """Defaults in the example are the defaults."""
        place = Path(self.example()).parent
        home = {"HOME": str(place)}
        default = load({}, home, ipv6=lambda: True)
        example = load({"config": str(place / "osproxy.toml")}, home)
        for name in (
            *(
                "durability",
                "cache_size",
                "free_space",
                "clients",
                "client_connections",
                "connect_timeout",
            ),
            *("head_timeout", "stall_timeout", "client_timeout", "drain_timeout", "access_log"),
            *("access_log_format",),
            *("log_level", "image_space", "eviction", "client_body_size"),
            *("scrub_rate", "scrub_interval", "requests", "client_requests"),
            *("bandwidth", "client_bandwidth", "upstream_requests"),
        ):
            self.assertEqual(getattr(example, name), getattr(default, name), name)
        self.assertEqual(example.backends[-1], default.backends[-1])
        self.assertEqual(example.listeners[0].description, default.listeners[0].description)
