"""Tests of `docs.extensions.reference`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from docs.extensions import reference
from docs.extensions.reference import TABLES, change_of, option_text, value_of
from osproxy.config import backends, options, values
from osproxy.config.clients import networks, peers
from osproxy.config.kinds import TIMED, guarded_kinds
from osproxy.config.options import OPTIONS, Option
from osproxy.repo.kinds import Kind

CONFIGURE = (Path(__file__).parents[2] / "docs" / "configure.rst").read_text()

# Who reads the values that `configure.rst` explains.
PARSERS = {
    "yes|no": values.boolean,
    "SIZE": values.size,
    "SHARE": values.share,
    "TIME": values.duration,
    "NUMBER": values.count,
    "RATE": values.rate,
    "PATH": values.path,
    "URL": values.url,
    "ADDRESS:PORT": values.bind_address,
    "NETWORKS": networks,
    "PROXIES": peers,
    "KINDS": guarded_kinds,
    "ENDPOINT": options.LISTEN.parse,
}


def entries() -> dict[str, str]:
    """Take what is said of the options apart, by their names."""
    _, *texts = TABLES["options"]().split(".. option:: --")
    return {re.split(r"\s", text)[0]: text for text in texts}


def rows(name: str) -> dict[str, list[str]]:
    """Read a table: the cells behind each row's first."""
    _, *lines = TABLES[name]().split("\n   * - ")
    parts = ([cell.strip() for cell in re.split(r"\n     -", line)] for line in lines)
    return {first.strip("`"): others for first, *others in parts}


class OptionsTests(SynchronousTestCase):
    """What is said of the options."""

    def test_each(self) -> None:
        """Each option has its entry, in the order of the table, with its help."""
        self.assertEqual(list(entries()), [option.name for option in OPTIONS])
        for option in OPTIONS:
            beginning = option.help.partition("--")[0].split("*")[0]
            self.assertIn(beginning, entries()[option.name].replace("\\", ""))

    def test_names(self) -> None:
        """An entry has every variable that sets the option, and its key in a file."""
        for option in OPTIONS:
            entry = entries()[option.name]
            for variable in (option.variable, *option.variables):
                self.assertIn(f"``{variable}``", entry)
            key = f":key: ``{option.name.replace('-', '_')}"
            self.assertEqual(key in entry, option.name != "config", option.name)

    def test_defaults(self) -> None:
        """It has the default: as it is written, or in words, or that there is none."""
        for name, default in (
            ("cache-size", "``16GiB``"),
            ("upstream-ca", "the system's"),
            ("pin", "none"),
        ):
            self.assertIn(f"   :default: {default}\n", entries()[name])

    def test_values(self) -> None:
        """It says what kind of value is taken; of a choice the words, of a flag nothing."""
        for name, signature in (
            ("cache-size", "--cache-size SIZE"),
            ("eviction", "--eviction clock|gdsf|lru"),
            ("access-log", "--access-log PATH|-|journald|off"),
            ("verbose", "--verbose"),
        ):
            self.assertEqual("--" + entries()[name].partition("\n")[0], signature)
        self.assertIn("``verbose = true|false``", entries()["verbose"])
        self.assertEqual(value_of(Option("x", str, "an option of whoever comes next")), "VALUE")

    def test_repeatable(self) -> None:
        """It says whether the option may be repeated."""
        repeatable = {name for name, text in entries().items() if "; may be repeated\n" in text}
        self.assertEqual(repeatable, {option.name for option in OPTIONS if option.repeatable})

    def test_changes(self) -> None:
        """It says whether a change takes a restart, as a reload sees it."""
        for option, change in (
            (options.CLIENTS, "on SIGHUP"),
            (options.MIRROR_CHAIN, "on SIGHUP"),
            (options.VERBOSE, "on SIGHUP"),
            (options.PIN, "by a restart"),
            (options.LISTEN, "by a restart"),
            (options.TLS_PEM_KEY, "on SIGHUP, if there was HTTPS before"),
        ):
            self.assertEqual(change_of(option), change)
        self.assertIn("read again", change_of(options.CONFIG))

    def test_markup(self) -> None:
        """Nothing in a help is taken for markup but the names of options."""
        odd = evolve(options.CACHE_SIZE, help="of *all* `x` in |y| a_ \\ see --cache-path, a--b")
        self.assertIn(
            r"of \*all\* \`x\` in \|y\| a\_ \\ see :option:`--cache-path`, a--b", option_text(odd)
        )


class ValuesTests(SynchronousTestCase):
    """The kinds of values are explained in configure.rst."""

    told: ClassVar = dict(re.findall(r"(?m)^``([^`]+)``  +(``.*?``)  ", CONFIGURE))

    def test_each(self) -> None:
        """Every kind that an option has is there, and no other."""
        kinds = {
            word
            for option in OPTIONS
            if not isinstance(option.parse, values.OneOf)
            for word in value_of(option).replace("yes|no", "yes/no").split("|")
            if word not in ("off", "-", "journald", "VALUE")
        }
        self.assertEqual(kinds, {it.replace("|", "/") for it in self.told if it in PARSERS})

    def test_examples(self) -> None:
        """Their examples are values of that kind."""
        self.assertEqual(set(PARSERS) - set(self.told), set())
        for kind, parse in PARSERS.items():
            for example in re.findall(r"``([^`]+)``", self.told[kind]):
                parse(example)


class TableTests(SynchronousTestCase):
    """The other tables."""

    def test_keys(self) -> None:
        """Each key of a backend's table has its row, as it is written in a file."""
        keys = [name.replace("-", "_") for name in backends.KEYS]
        self.assertEqual(list(rows("keys"))[1:], keys)

    def test_kinds(self) -> None:
        """Each kind has its row, filled with what its policy says."""
        table = rows("kinds")
        self.assertEqual(list(table)[1:], [kind.value for kind in Kind])
        self.assertEqual(
            table["index"][1:],
            [
                "10 min; 1 min below ``/repositories/``",
                "yes",
                "goes, once a second look a minute later confirms it",
            ],
        )
        self.assertEqual(table["addressed"][1:], ["ever", "yes", "is served for 48 h more"])
        self.assertIn("for 1 d more it is served", table["mutable"][1])
        self.assertEqual(table["image"][2], "with ``large_objects``")
        self.assertEqual(table["unknown"][1], "as the response says")
        self.assertEqual(table["refused"][1:], ["never fetched", "no; 404", ""])
        self.assertEqual({len(cells) for cells in table.values()}, {4})

    def test_freshness(self) -> None:
        """The kinds whose freshness can be set are listed."""
        listed = re.findall(r"``(\w+)``", reference.freshness_text())
        self.assertEqual(listed, list(TIMED))

    def test_variables(self) -> None:
        """Each variable of the existing proxy is there, with the option or a word on why not."""
        table = rows("variables")
        taken = {name: option.name for option in OPTIONS for name in option.variables}
        for variable, name in taken.items():
            self.assertEqual(table[variable], [f":option:`--{name}`"])
        for variable in options.WITHOUT_MEANING:
            self.assertIn("no meaning", table[variable][0])
        self.assertEqual(
            set(table),
            {*taken, *options.WITHOUT_MEANING, options.FILE_ELSEWHERE, "variable there"},
        )

    def test_keys_elsewhere(self) -> None:
        """So is each key of its file; those that mean something lead to keys of ours."""
        table = rows("keys-elsewhere")
        self.assertEqual(table["url"], ["``authority``"])
        keys = {*backends.KEYS_ELSEWHERE, *backends.WITHOUT_MEANING}
        self.assertEqual(set(table) - {"key there"}, {key.replace("-", "_") for key in keys})
        self.assertEqual(set(backends.KEYS_ELSEWHERE.values()) - set(backends.KEYS), set())
