"""Tests of `osproxy.config.sources`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.given import ConfigError, Given
from osproxy.config.options import CACHE_SIZE, CLIENTS, LISTEN, MIRROR_CHAIN, VERBOSE
from osproxy.config.sources import Sources, warnings_of_variables

FILE = {"cache-size": Given("--cache-size", "x.toml: cache_size", ("5MiB",))}


class SourcesTests(SynchronousTestCase):
    """Of the places that set an option, the nearest to the command line counts."""

    def test_precedence(self) -> None:
        """The command line goes first, then our variable, the existing proxy's, and the file."""
        environ = {"OSPROXY_CACHE_SIZE": "3MiB", "CACHE_SIZE": "4194304"}
        sizes = [
            Sources({"cache-size": "2MiB"}, environ, FILE),
            Sources({}, environ, FILE),
            Sources({}, {"CACHE_SIZE": "4194304"}, FILE),
            Sources({}, {}, FILE),
            Sources({}, {}, {}),
        ]
        self.assertEqual(
            [sources.value(CACHE_SIZE) >> 20 for sources in sizes], [2, 3, 4, 5, 16 * 1024]
        )
        self.assertEqual(
            [str(sources.given(CACHE_SIZE)) for sources in sizes],
            [
                "--cache-size (command line)",
                "--cache-size (variable OSPROXY_CACHE_SIZE)",
                "--cache-size (variable CACHE_SIZE)",
                "--cache-size (x.toml: cache_size)",
                "None",
            ],
        )

    def test_empty_variable(self) -> None:
        """An empty variable is none, as in containers that name all variables there are."""
        sources = Sources({}, {"OSPROXY_CACHE_SIZE": ""}, FILE)
        self.assertEqual(sources.value(CACHE_SIZE), 5 * 2**20)

    def test_empty_argument(self) -> None:
        """An empty value on the command line is a mistake."""
        error = self.assertRaises(
            ConfigError, Sources({"cache-size": ""}, {}, {}).value, CACHE_SIZE
        )
        self.assertIn("--cache-size (command line): '' is not a size; give", str(error))

    def test_flag(self) -> None:
        """A flag on the command line is a yes; a variable may say no."""
        self.assertTrue(Sources({"verbose": "yes"}, {"VERBOSE": "false"}, {}).value(VERBOSE))
        self.assertFalse(Sources({}, {"VERBOSE": "false"}, {}).value(VERBOSE))

    def test_repeatable(self) -> None:
        """An option may be repeated on the command line, and has blanks between in a variable."""
        sources = Sources({"listen": ["tcp:1", "unix:/a b"]}, {"OSPROXY_LISTEN": "tcp:3"}, {})
        self.assertEqual(sources.values(LISTEN), ["tcp:1", "unix:/a b"])
        sources = Sources({}, {"OSPROXY_LISTEN": " tcp:3 tcp:4 "}, {})
        self.assertEqual(sources.values(LISTEN), ["tcp:3", "tcp:4"])
        self.assertEqual(Sources({}, {}, {}).values(LISTEN), [])
        self.assertEqual(len(Sources({}, {}, {}).values(CLIENTS)), 1)

    def test_password(self) -> None:
        """A password is not shown in the complaint about it."""
        sources = Sources({"mirror-chain": "https://me:secret@mirror.example"}, {}, {})
        error = self.assertRaises(ConfigError, sources.optional, MIRROR_CHAIN)
        self.assertIn("'https://...@mirror.example' must have no", str(error))
        self.assertNotIn("secret", str(error))

    def test_one_value(self) -> None:
        """A list where one value belongs is a mistake."""
        file = {"mirror-chain": Given("--mirror-chain", "x.toml: mirror-chain", ("a", "b"))}
        error = self.assertRaises(ConfigError, Sources({}, {}, file).optional, MIRROR_CHAIN)
        self.assertIn("takes one value and has 2", str(error))


class WarningsTests(SynchronousTestCase):
    """Variables that do nothing are told of, once each."""

    def test_existing_proxy(self) -> None:
        """What the existing proxy has and osproxy has not gives a warning, unless it is off."""
        environ = {"BOOT_ORIGIN": "true", "DURABLE_FS": "false", "BOOT_SERVICES": "", "HOME": "/"}
        self.assertEqual(
            list(warnings_of_variables(environ)),
            ["variable BOOT_ORIGIN has no meaning to osproxy and is ignored"],
        )

    def test_misspelled(self) -> None:
        """A variable that looks like an option's and is none gives a warning."""
        environ = {"OSPROXY_CACHESIZE": "1", "OSPROXY_CACHE_SIZE": "1MiB"}
        (warning,) = warnings_of_variables(environ)
        self.assertIn("OSPROXY_CACHESIZE", warning)
