"""Tests of `osproxy.config.files`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.files import Table, options_in, read_file
from osproxy.config.given import ConfigError, Given


class FileTests(SynchronousTestCase):
    """A file of settings is TOML, and its complaints name file and key."""

    def read(self, content: bytes) -> Table:
        """Read a file of this content."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        return read_file(Given("--config", "command line", (str(path),)), path)

    def complaint(self, content: bytes) -> str:
        """Read a file of this content, and give the complaint without its name."""
        error = self.assertRaises(ConfigError, lambda: options_in(self.read(content)))
        return str(error).replace(str(Path(self.mktemp()).parent), "")

    def test_no_file(self) -> None:
        """A pipe is refused in a line, and so is a directory."""
        for make, reason in ((os.mkfifo, "it is no regular file"), (os.mkdir, "Is a directory")):
            path = Path(self.mktemp())
            make(path)
            given = Given("--config", "command line", (str(path),))
            error = self.assertRaises(ConfigError, read_file, given, path)
            self.assertEqual(
                str(error),
                f"--config (command line): {path} cannot be read ({reason}); give a file",
            )

    def test_keys(self) -> None:
        """A key is the name of an option, with dashes or underscores."""
        found = options_in(self.read(b'cache_size = "1GiB"\nfree-space = "5%"\nverbose = true'))
        self.assertEqual(
            {name: given.texts for name, given in found.items()},
            {"cache-size": ("1GiB",), "free-space": ("5%",), "verbose": ("yes",)},
        )
        self.assertTrue(found["cache-size"].source.endswith(": cache_size"))
        self.assertEqual(found["cache-size"].name, "--cache-size")

    def test_plain_values(self) -> None:
        """Numbers and lists are what their texts would be."""
        found = options_in(
            self.read(b'cache-size = 17179869184\nhead-timeout = 1.5\nlisten = ["tcp:1", "tcp:2"]')
        )
        self.assertEqual(
            [given.texts for given in found.values()],
            [("17179869184",), ("1.5",), ("tcp:1", "tcp:2")],
        )

    def test_tables_are_no_options(self) -> None:
        """Tables of backends are left to those who know them."""
        file = self.read(b'[backend."/x"]\nauthority = "http://h"')
        self.assertEqual(options_in(file), {})
        ((name, table),) = file.tables("backend")
        self.assertEqual((name, table.name), ("/x", 'backend."/x"'))
        self.assertEqual(list(file.tables("prefix")), [])

    def test_unknown_key(self) -> None:
        """A key that is no option is refused, and the one that was meant is proposed."""
        self.assertIn(
            "there is no such key here; give cache-size", self.complaint(b"cache_sise = 1")
        )
        self.assertIn("give access-log or", self.complaint(b"qqqqq = 1"))

    def test_file_in_file(self) -> None:
        """A file cannot name another."""
        self.assertIn("config (", self.complaint(b'config = "other.toml"'))

    def test_both_spellings(self) -> None:
        """A key that is there in both spellings is refused."""
        self.assertIn(
            "is the same as cache_size", self.complaint(b"cache_size = 1\ncache-size = 2")
        )

    def test_not_plain(self) -> None:
        """A date or a table is no value of an option."""
        for text in (b"cache-size = 2024-01-01", b"[cache-size]\na = 1", b"listen = [{}]"):
            self.assertIn("is no plain value; give", self.complaint(text))

    def test_no_table(self) -> None:
        """A value where a table belongs is refused, with how a table is written."""
        file = self.read(b'backend."/x" = "http://h"')
        error = self.assertRaises(ConfigError, list, file.tables("backend"))
        self.assertIn('write [backend."/x"] above its keys', str(error))

    def test_not_toml(self) -> None:
        """A file that is not TOML, or not UTF-8, is refused with the place of the mistake."""
        self.assertIn("is not TOML", self.complaint(b"cache-size: 1"))
        self.assertIn("line 2", self.complaint(b"verbose = true\ncache-size = 1GiB"))
        self.assertIn("is not TOML", self.complaint(b"\xff"))
        self.assertIn("is not TOML", self.complaint(b"pin = " + b"[" * 10_000))

    def test_unreadable(self) -> None:
        """A file that is not there, or is a directory, is refused under its option's name."""
        given = Given("--config", "variable OSPROXY_CONFIG", ())
        for path in (Path(self.mktemp()), Path.cwd()):
            error = self.assertRaises(ConfigError, read_file, given, path)
            self.assertIn("--config (variable OSPROXY_CONFIG): ", str(error))
            self.assertIn("cannot be read", str(error))
