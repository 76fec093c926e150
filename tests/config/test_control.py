"""
Tests of `osproxy.config.control`.

As for the cache directory, what cannot be written to is something that not even root can.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.control import checked_socket, control_socket
from osproxy.config.given import ConfigError
from osproxy.config.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping


class ControlSocketTests(SynchronousTestCase):
    """Where the control socket is."""

    def socket(self, given: str | None = None, **environ: str) -> Path | None:
        """Say which socket it is with this option and environment."""
        return control_socket(self.sources(given, environ), environ)[0]

    def sources(self, given: str | None, environ: Mapping[str, str]) -> Sources:
        """Give the option on the command line."""
        return Sources({} if given is None else {"control-socket": given}, environ, {})

    def complaint(self, given: str | None = None, **environ: str) -> str:
        """Ask for a socket that cannot be made, and give the complaint."""
        sources = self.sources(given, environ)
        return str(self.assertRaises(ConfigError, checked_socket, sources, environ))

    def test_table(self) -> None:
        """What is given counts, then what systemd has made for the service; else there is none."""
        by_service = {"RUNTIME_DIRECTORY": "/run/a:/run/b"}
        for given, environ, expected in (
            (None, {}, None),
            (None, {"RUNTIME_DIRECTORY": ""}, None),
            (None, by_service, "/run/a/control"),
            ("/x/y", by_service, "/x/y"),
            ("off", by_service, None),
            (None, {**by_service, "OSPROXY_CONTROL_SOCKET": "/z"}, "/z"),
        ):
            found = self.socket(given, **environ)
            self.assertEqual(found, None if expected is None else Path(expected))

    def test_checked(self) -> None:
        """Its directory can be written to, and nothing is left there by finding that out."""
        folder = tempfile.mkdtemp(prefix="osproxy-")
        self.addCleanup(Path(folder).rmdir)
        for given, environ in ((f"{folder}/s", {}), (None, {"RUNTIME_DIRECTORY": folder})):
            checked_socket(self.sources(given, environ), environ)
        self.assertEqual(list(Path(folder).iterdir()), [])
        self.assertIsNone(checked_socket(self.sources(None, {}), {}))

    def test_complaints(self) -> None:
        """Whoever named the directory is told that it cannot be written to."""
        self.assertTrue(
            self.complaint("/proc/missing/control").startswith(
                "--control-socket (command line): /proc/missing cannot be written to ("
            )
        )
        self.assertTrue(
            self.complaint(RUNTIME_DIRECTORY="/proc/missing").startswith(
                "--control-socket (variable RUNTIME_DIRECTORY): /proc/missing cannot be"
            )
        )

    def test_too_long(self) -> None:
        """A path that no socket can have is refused; octets are counted, not letters."""
        self.assertEqual(self.socket("/" + "x" * 106), Path("/" + "x" * 106))
        for name in ("x" * 107, "ä" * 54):
            self.assertIn("is too long for a socket", self.complaint(f"/{name}"))
