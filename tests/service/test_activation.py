"""Tests of `osproxy.service.activation`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.given import ConfigError
from osproxy.service.activation import first_environment, passed_sockets

if TYPE_CHECKING:
    from osproxy.config.listeners import Passed

PID = 4711


class EnvironmentTests(SynchronousTestCase):
    """Tests of `first_environment`."""

    def test_first(self) -> None:
        """It is that of the start, in whatever has become of it since."""
        self.patch(os, "environ", {**os.environ})
        for name in list(os.environ):
            del os.environ[name]
        self.assertIn("PATH", first_environment())

    def test_forms(self) -> None:
        """Values may have anything in them, and what is no variable is none."""
        source = Path(self.mktemp())
        source.write_bytes(b"A=b=c\nd\0\xff=\xfe\0nothing\0E=\0")
        self.assertEqual(first_environment(source), {"A": "b=c\nd", "\udcff": "\udcfe", "E": ""})

    def test_unknown(self) -> None:
        """Where nobody knows it is what is left."""
        self.assertEqual(first_environment(Path("/proc/missing")), dict(os.environ))


class PassedSocketsTests(SynchronousTestCase):
    """Tests of `passed_sockets`."""

    def setUp(self) -> None:
        """Close in the end what is passed."""
        self.passing: set[int] = set()
        self.addCleanup(lambda: list(map(os.close, self.passing)))

    def listening(self, family: socket.AddressFamily, address: object) -> socket.socket:
        """Make a socket that listens, and may be handed to other programs."""
        it = socket.socket(family)
        self.addCleanup(it.close)
        it.bind(address)  # type: ignore[arg-type]
        it.listen()
        it.set_inheritable(True)
        return it

    def tcp(self) -> socket.socket:
        """Make one of IPv4."""
        return self.listening(socket.AF_INET, ("127.0.0.1", 0))

    def passed(self, *sockets: socket.socket, names: str | None = None) -> tuple[Passed, ...]:
        """Pass sockets, on descriptors that follow each other."""
        environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": str(len(sockets))}
        if names is not None:
            environ["LISTEN_FDNAMES"] = names
        first = 200
        for number, it in enumerate(sockets, first):
            os.dup2(it.fileno(), number, inheritable=True)
            self.passing.add(number)
        return passed_sockets(environ, PID, first)

    def complaint(self, *sockets: socket.socket, names: str | None = None) -> str:
        """Pass sockets of which one cannot be used."""
        error = self.assertRaises(ConfigError, self.passed, *sockets, names=names)
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    def test_names(self) -> None:
        """Those called https are for TLS; others without a name of their own are not."""
        names = ("http", "https", "", "unknown", "osproxy.socket", "https")
        sockets = [self.tcp() for _ in names]
        found = self.passed(*sockets, names=":".join(names))
        self.assertEqual([it.tls for it in found], [name == "https" for name in names])
        self.assertEqual([it.fileno for it in found], list(range(200, 206)))
        self.assertEqual(
            [it.address for it in found],
            [f"127.0.0.1:{it.getsockname()[1]}" for it in sockets],
        )
        self.assertEqual(
            [it.name for it in found],
            ["http", "https", "http", "unknown", "osproxy.socket", "https"],
        )

    def test_without_names(self) -> None:
        """Where nothing is called anything all of it is HTTP."""
        for names in (None, ""):
            (found,) = self.passed(self.tcp(), names=names)
            self.assertEqual((found.name, found.tls), ("http", False))

    def test_families(self) -> None:
        """Sockets of IPv4, IPv6 and Unix, with files or without, can be listened on."""
        path = os.path.relpath(Path(self.mktemp()).absolute())
        abstract = f"\0osproxy-test-{os.getpid()}"
        six = self.listening(socket.AF_INET6, ("::1", 0))
        found = self.passed(
            self.tcp(), six, self.listening(socket.AF_UNIX, path),
            self.listening(socket.AF_UNIX, abstract),
        )  # fmt: skip
        self.assertEqual(
            [it.family for it in found],
            [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_UNIX],
        )
        self.assertEqual(
            [it.address for it in found[1:]],
            [f"[::1]:{six.getsockname()[1]}", path, "@" + abstract[1:]],
        )

    def test_for_us_alone(self) -> None:
        """Programs that we start do not get them."""
        self.passed(self.tcp())
        self.assertFalse(os.get_inheritable(200))

    def test_nothing(self) -> None:
        """Nothing is passed where no variable says so, or one means another process."""
        for environ in (
            {},
            {"LISTEN_FDS": "1"},
            {"LISTEN_PID": "4712", "LISTEN_FDS": "1"},
            {"LISTEN_PID": str(PID)},
            {"LISTEN_PID": str(PID), "LISTEN_FDS": "0"},
            {"LISTEN_PID": str(PID), "LISTEN_FDS": "some"},
            {"LISTEN_PID": str(PID), "LISTEN_FDS": "\u0663"},
        ):
            self.assertEqual(passed_sockets(environ, PID), (), environ)

    def test_strange_name(self) -> None:
        """A name of which it is not known whether it means TLS is refused."""
        complaint = self.complaint(self.tcp(), names="web")
        self.assertTrue(complaint.startswith("socket web (descriptor 200): has a name"), complaint)
        self.assertIn("FileDescriptorName= http, or https", complaint)

    def test_no_listening_stream(self) -> None:
        """What is no listening stream socket is refused with what it is."""
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        idle = socket.socket(socket.AF_INET)
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM)
        for it, problem in (
            (datagrams, "is no stream socket"),
            (idle, "does not listen (Accept=no is needed)"),
            (netlink, "is neither an internet nor a Unix socket"),
        ):
            self.addCleanup(it.close)
            self.assertIn(f"(descriptor 200): {problem}; pass", self.complaint(it, names="http"))

    def test_no_socket(self) -> None:
        """So is what is no socket, or is not there."""
        environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": "1"}
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        closed = max(map(int, os.listdir("/proc/self/fd"))) + 100
        for fileno, reason in ((reading, "Socket operation on non-socket"), (closed, "Bad file")):
            error = self.assertRaises(ConfigError, passed_sockets, environ, PID, fileno)
            self.assertIn(
                f"socket without a name (descriptor {fileno}): cannot be used ({reason}", str(error)
            )

    def test_counts(self) -> None:
        """Another number of names than of sockets, or far too many, is an error."""
        for count, names in (("1", "http:https"), ("2", "http"), ("9" * 20, "")):
            environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": count, "LISTEN_FDNAMES": names}
            error = self.assertRaises(ConfigError, passed_sockets, environ, PID, 300)
            self.assertIn("cannot have been passed", str(error))

    @given(st.text(max_size=9), st.text(max_size=9))
    def test_whatever(self, count: str, names: str) -> None:
        """Whatever the variables have, they are understood or complained of."""
        environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": count, "LISTEN_FDNAMES": names}
        try:
            self.assertEqual(passed_sockets(environ, PID, 300), ())
        except ConfigError as error:
            self.assertEqual(len(str(error).splitlines()), 1)
