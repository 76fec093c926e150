"""
Tests of `osproxy.config.directory`.

Root may write where permissions say that nobody may. So the directories that cannot be written to
are some that nobody can: below a regular file, and in the kernel's own file systems.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.directory import cache_directory, home_of_user
from osproxy.config.given import ConfigError, Given


class CacheDirectoryTests(SynchronousTestCase):
    """The directory is there and can be written to, or there is a complaint."""

    def setUp(self) -> None:
        """Make a place for directories, with a regular file in it."""
        self.place = Path(self.mktemp()).absolute()
        self.place.mkdir()
        self.file = self.place / "file"
        self.file.touch()

    def given(self, path: Path) -> Path:
        """Give a path for the option."""
        given = Given("--cache-path", "x.toml: cache-path", (str(path),))
        return cache_directory(given, {}, lambda: None).path

    def default(self, home: str | None = None, **environ: Path | str) -> Path:
        """Give nothing for the option."""
        return cache_directory(None, {n: str(v) for n, v in environ.items()}, lambda: home).path

    def test_given(self) -> None:
        """A directory that was given is made if its parent is there, and may be there already."""
        for _ in range(2):
            self.assertEqual(self.given(self.place / "a"), self.place / "a")
            self.assertTrue((self.place / "a").is_dir())
            self.assertEqual(list((self.place / "a").iterdir()), [])

    def test_parent_missing(self) -> None:
        """A directory whose parent is missing is not made: the path may be a slip of the pen."""
        error = self.assertRaises(ConfigError, self.given, self.place / "a" / "b")
        self.assertEqual(
            str(error),
            f"--cache-path (x.toml: cache-path): {self.place}/a is no directory;"
            " make it, or give another path",
        )
        self.assertRaises(ConfigError, self.given, self.file / "b")
        self.assertRaises(ConfigError, self.given, self.place / ("a" * 300) / "b")
        self.assertEqual(list(self.place.iterdir()), [self.file])

    def test_unwritable(self) -> None:
        """A directory that cannot be written to, or is none, is refused."""
        for path in (self.file, Path("/proc/osproxy"), Path("/proc/self")):
            error = self.assertRaises(ConfigError, self.given, path)
            self.assertIn(
                f"--cache-path (x.toml: cache-path): {path} cannot be written to (", str(error)
            )
            self.assertIn("give --cache-path a directory", str(error))

    def test_default_of_service(self) -> None:
        """A service keeps files in the directory that systemd made for it, the first if many."""
        self.assertEqual(
            self.default(CACHE_DIRECTORY=f"{self.place}/a:{self.place}/b", HOME="/"),
            self.place / "a",
        )

    def test_default_of_user(self) -> None:
        """A user's files are kept in the user's cache directory, made with all its parents."""
        cache, home = self.place / "x" / "cache", self.place / "y" / "home"
        self.assertEqual(self.default(XDG_CACHE_HOME=cache, HOME=home), cache / "osproxy")
        self.assertEqual(
            self.default(XDG_CACHE_HOME="relative", HOME=home), home / ".cache" / "osproxy"
        )
        self.assertTrue((home / ".cache" / "osproxy").is_dir())

    def test_default_of_home_from_password_database(self) -> None:
        """Where HOME is not set, the user's home is looked up."""
        self.assertEqual(self.default(str(self.place), HOME=""), self.place / ".cache" / "osproxy")

    def test_no_home(self) -> None:
        """Without any home there is no default, and a directory is to be given."""
        error = self.assertRaises(ConfigError, self.default)
        self.assertIn("--cache-path (default): no home is known", str(error))
        self.assertIn("give --cache-path", str(error))

    def test_default_unwritable(self) -> None:
        """A default that cannot be written to is refused with the variable that led there."""
        for variable, source in (
            ("CACHE_DIRECTORY", "variable CACHE_DIRECTORY"),
            ("XDG_CACHE_HOME", "variable XDG_CACHE_HOME"),
            ("HOME", "default"),
        ):
            error = self.assertRaises(ConfigError, self.default, **{variable: self.file / "x"})
            self.assertIn(f"--cache-path ({source}): {self.file}/x", str(error))

    def test_home_of_user(self) -> None:
        """The password database knows the user that runs this, or does not."""
        home = home_of_user(0)
        self.assertTrue(home is not None and Path(home).is_absolute())
        self.assertIsNone(home_of_user(2**31))
        self.assertIn(home_of_user(), (home_of_user(os.getuid()), None))
