"""
What README, documents, unit and samples tell is so: names exist, tables are whole, commands work.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import DRAIN_TIMEOUT, FILE_ELSEWHERE, OPTIONS
from osproxy.config.settings import load
from osproxy.service import assembly
from osproxy.tools import fsck
from osproxy.tools.simulate import command_line
from osproxy.web.record import entry
from tests.config.pems import make_key, pem_of_certificate, pem_of_key
from tests.records import RECORD

if TYPE_CHECKING:
    from osproxy.config.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.rst").read_text()

GUIDES = [ROOT / "docs" / f"{name}.rst" for name in ("install", "configure", "migrate")]

# Everything that a user reads.
TOLD = [
    ROOT / "README.rst",
    *sorted((ROOT / "docs").glob("*.rst")),
    *sorted((ROOT / "etc").iterdir()),
]

# Fields of the journal, which `tests/test_operations.py` knows.
JOURNAL = ("CLIENT", "KIND", "STATUS", "TARGET")

# Options of twistd and twist themselves, of systemctl, container engines and ACME clients, of what
# builds and installs packages, of curl and firewalld; and the variable of `.ci/run`.
NOT_OURS = {
    *("help", "log-format", "now", "webroot", "webroot-path", "deploy-hook"),
    *("format", "read-only", "stop-timeout", "user", "name", "force", "signal"),
    *("query", "buildrequires", "define", "non-interactive", "allow-unsigned-rpm", "sdist"),
    *("cacert", "permanent", "add-port", "reload"),
    *("logfile", "syslog", "logger", "log-file", "since", "output-fields"),
}
NOT_AN_OPTION = {"OSPROXY_CI", *(f"OSPROXY_{it}" for it in JOURNAL)}

# Full of the options of other programs; `tests/test_packaging.py` has what they say of osproxy.
RECIPES = {"Containerfile", "osproxy.spec"}

# Options of the commands beside the server.
COMMANDS = {
    option
    for parser in (command_line(), fsck.parser())
    for option in re.findall(r"--([a-z-]+)", parser.format_help())
}


def rows(text: str, name: str) -> dict[str, str]:
    """Read the rows of tables whose first cell is a literal of this form: its name, the rest."""
    return dict(re.findall(rf"^``({name})``  +(\S.*)$", text, re.MULTILINE))


def blocks(text: str) -> list[str]:
    """Take the literal blocks out of a document, in order, without their indentation."""
    found = re.findall(r"::\n\n((?:    .*\n|\n)+)", text)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() for block in found]


def samples(text: str, language: str) -> list[str]:
    """Take the samples of code in a language out of a document, in order."""
    found = re.findall(
        rf"\.\. code-block:: {language}\n(?:   :.*\n)*\n((?:   .*\n|\n)+)", text + "\n"
    )
    return [re.sub(r"(?m)^   ", "", sample).strip() + "\n" for sample in found]


def block(beginning: str) -> str:
    """Take the one literal block of README.rst that begins so."""
    (found,) = (text for text in blocks(README) if text.startswith(beginning))
    return found


class OptionTests(SynchronousTestCase):
    """The options that are told of are those that there are."""

    def test_table(self) -> None:
        """README.rst has a row for each option."""
        self.assertEqual(set(rows(README, "--[a-z-]+")), {f"--{option.name}" for option in OPTIONS})

    def test_defaults(self) -> None:
        """A row ends with the default, where that is one word."""
        told = rows(README, "--[a-z-]+")
        wrong = []
        for option in OPTIONS:
            ending = told[f"--{option.name}"].split("; ")[-1].replace("`", "").replace(" ", "")
            if option.default and "," not in option.default and option.default != ending:
                wrong.append(f"--{option.name}: {ending} for {option.default}")
        self.assertEqual(wrong, [])

    def test_sample(self) -> None:
        """The sample of the file has every option that a file can have, and no other key."""
        text = (ROOT / "etc" / "osproxy.toml").read_text()
        sample = tomllib.loads(re.sub(r"(?m)^#(?=[a-z\[])", "", text))
        self.assertEqual(
            set(sample) - {"backend"},
            {option.name.replace("-", "_") for option in OPTIONS if option.name != "config"},
        )

    def test_mentioned(self) -> None:
        """Wherever an option or its variable is mentioned, it exists."""
        names = {option.name for option in OPTIONS} | NOT_OURS | COMMANDS
        variables = {option.variable for option in OPTIONS} | NOT_AN_OPTION
        wrong = []
        for path in TOLD:
            text = path.read_text()
            mentioned = set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text)) - names
            if path.name in RECIPES:
                mentioned.clear()
            mentioned |= set(re.findall(r"\bOSPROXY_[A-Z_]*[A-Z]", text)) - variables
            wrong += [f"{path.name}: {name}" for name in sorted(mentioned)]
        self.assertEqual(wrong, [])


class CommandTests(SynchronousTestCase):
    """The two commands, and what else is to be typed, work as they stand."""

    def test_tests(self) -> None:
        """Continuous integration runs the command that README.rst gives for the tests."""
        command = block("python3 -m venv .venv && .venv/bin/pip install tox")
        self.assertIn(f"{{ {command}; }}", (ROOT / ".ci" / "run").read_text())

    def test_environments(self) -> None:
        """That command runs every environment that is to pass, and each is counted."""
        tox = ConfigParser(interpolation=None)
        tox.read(ROOT / "tox.ini")
        listed = tox["tox"]["env_list"].split(", ")
        self.assertEqual([name for name in listed if f"testenv:{name}" not in tox], [])
        self.assertEqual(listed[0], "tests")
        self.assertIn(f"({'|'.join(listed[1:])}): OK", (ROOT / ".ci" / "run").read_text())

    def test_clients(self) -> None:
        """
        The first line turns openSUSE's repositories, by whatever host and scheme, to the proxy.

        Repositories of others stay as they are, and the second line brings back what was.
        """
        repositories = {
            "oss.repo": "baseurl=https://download.opensuse.org/tumbleweed/repo/oss/\n"
            "gpgkey=http://cdn.opensuse.org/tumbleweed/repo/oss/repodata/repomd.xml.key\n",
            "home_me.repo": "baseurl=https://download.opensuse.org/repositories/home:/me/15.6/\n",
            "other.repo": "baseurl=https://download.example.org/x\n",
        }
        expected = {
            "oss.repo": "baseurl=http://PROXY:8080/tumbleweed/repo/oss/\n"
            "gpgkey=http://PROXY:8080/tumbleweed/repo/oss/repodata/repomd.xml.key\n",
            "home_me.repo": "baseurl=http://PROXY:8080/repositories/home:/me/15.6/\n",
            "other.repo": "baseurl=https://download.example.org/x\n",
        }
        directory = Path(self.mktemp())
        directory.mkdir()
        for name, text in repositories.items():
            (directory / name).write_text(text)

        def typed(beginning: str) -> dict[str, str]:
            command = block(beginning).replace("/etc/zypp/repos.d", str(directory))
            subprocess.run(["sh", "-c", command], check=True)
            return {path.name: path.read_text() for path in directory.glob("*.repo")}

        self.assertEqual(typed("sed -i.bak"), expected)
        self.assertEqual(typed("for old in"), repositories)
        self.assertEqual(len(list(directory.iterdir())), len(repositories))

    def test_simulator(self) -> None:
        """What is to be typed to size a cache is understood."""
        command = block(".venv/bin/osproxy-simulate").split()[1:]
        options = command_line().parse_args(command)
        self.assertEqual(len(options.sizes), 3)
        self.assertEqual(options.files, command[-1:])

    def test_check(self) -> None:
        """The commands that check the cache are understood as they stand."""
        for line in (block("osproxy-fsck --cache-path"), block("osproxy-fsck --control-socket")):
            name, *arguments = line.split()
            self.assertIn(
                name, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
            )
            fsck.parser().parse_args(arguments)

    def test_backends(self) -> None:
        """The examples of backends can be put into the file of settings."""
        directory = Path(self.mktemp())
        directory.mkdir()
        example = "\n".join(text for text in blocks(README) if text.startswith("[backend."))
        (directory / "osproxy.toml").write_text(example)
        settings = load(
            {"config": str(directory / "osproxy.toml"), "cache-path": str(directory)}, {}
        )
        tables = tomllib.loads(example)["backend"]
        self.assertEqual({table.get("policy") for table in tables.values()}, {None, "generic"})
        self.assertEqual(
            {it.prefix: (it.authority, it.generic) for it in settings.backends if it.prefix != "/"},
            {it: (table["authority"], "policy" in table) for it, table in tables.items()},
        )


class SampleTests(SynchronousTestCase):
    """The samples of settings in the guides can be used as they stand."""

    def setUp(self) -> None:
        """Make a root with what the samples take for granted."""
        self.root = Path(self.mktemp()).absolute()
        for name in ("etc/osproxy", "var/cache", "var/log/osproxy", "var/lib", "srv"):
            (self.root / name).mkdir(parents=True)
        key = make_key()
        (self.root / "etc/osproxy/tls.key").write_bytes(pem_of_key(key))
        (self.root / "etc/osproxy/tls.crt").write_bytes(pem_of_certificate(key))

    def load(self, sample: str) -> Settings:
        """Load the settings that such a file makes, below the root."""
        file = self.root / "file.toml"
        file.write_text(re.sub(r'"(/(?:etc|var|srv)/[^"]*)"', rf'"{self.root}\1"', sample))
        arguments: dict[str, str] = {}
        if "cache_path" not in sample:
            arguments["cache-path"] = str(self.root / "cache")
        if sample.lstrip().startswith("[prefix."):
            return load(arguments, {FILE_ELSEWHERE: str(file)})
        return load({**arguments, "config": str(file)}, {})

    def test_loaded(self) -> None:
        """Each can be loaded, and has nothing that is warned of but what it is to show."""
        counted = {}
        for path in GUIDES:
            found = samples(path.read_text(), "toml")
            counted[path.stem] = len(found)
            for sample in found:
                warnings = [it for it in self.load(sample).warnings if "challenge" not in it]
                self.assertEqual(warnings, [], sample)
        self.assertGreater(counted["configure"], 3)
        self.assertGreater(counted["migrate"], 2)
        self.assertGreater(counted["install"], 1)

    def test_containers(self) -> None:
        """The commands that run a container are README.rst's, with variables that there are."""
        limits, variables = set(), set()
        for path in TOLD:
            text = path.read_text()
            limits |= set(re.findall(r"--stop-timeout[ `]*\n? *([0-9]+)", text))
            variables |= set(re.findall(r" -e '?([A-Z_]+)=", text))
        self.assertEqual(len(limits), 1)
        known = {name for it in OPTIONS for name in (it.variable, *it.variables)}
        self.assertEqual(variables - known, set())
        self.assertIn("CACHE_SIZE", variables)

    def test_nginx(self) -> None:
        """What is told to be the same in nginx's words and in ours is the same."""
        text = (ROOT / "docs" / "migrate.rst").read_text()
        (theirs,) = samples(text, "nginx")
        (ours,) = (self.load(it) for it in samples(text, "toml") if "/srv/osproxy" in it)
        places = re.findall(r"location (\S+) \{ proxy_pass (\S+?)/?; \}", theirs)
        self.assertEqual(
            {it.prefix: it.authority for it in ours.backends},
            {prefix.rstrip("/") or "/": authority for prefix, authority in places},
        )
        self.assertEqual(re.findall(r"allow (.*);", theirs), list(map(str, ours.clients)))


class PageTests(SynchronousTestCase):
    """The own pages that are told of are those that there are."""

    def test_table(self) -> None:
        """README.rst has a row for each page below ``/-/``."""
        sources = (ROOT / "osproxy" / "web" / "pages").glob("*.py")
        pages = {
            page for path in sources for page in re.findall(r'"(/-/[a-z]+)"', path.read_text())
        }
        self.assertEqual(set(rows(README, "/-/[a-z]+")), pages)


class FileTests(SynchronousTestCase):
    """A newcomer finds each module in the architecture, and each file of the text in the tree."""

    def test_table(self) -> None:
        """The file table of architecture.rst lists exactly the modules that there are."""
        there = {
            str(path.relative_to(ROOT / "osproxy").with_suffix(""))
            for path in (ROOT / "osproxy").rglob("*.py")
            if path.name != "__init__.py"
        }
        self.assertEqual(set(rows(ARCHITECTURE, "[a-z0-9_/]+")), there)

    def test_mentioned(self) -> None:
        """Files of ours that the documents name exist."""
        pattern = r"``((?:docs|etc|tests|osproxy|twisted|\.ci)/[\w./-]*)``"
        wrong = [
            f"{path.name}: {name}"
            for path in TOLD
            for name in re.findall(pattern, path.read_text())
            if not (ROOT / name).exists()
        ]
        self.assertEqual(wrong, [])


class UnitTests(SynchronousTestCase):
    """The systemd unit gives osproxy what it needs."""

    unit = (ROOT / "etc" / "osproxy.service").read_text()

    def setting(self, name: str) -> str:
        """Give the one value of a setting."""
        (value,) = re.findall(rf"^{name}=(.*)$", self.unit, re.MULTILINE)
        return str(value)

    def test_stop(self) -> None:
        """A stop is given longer than all that is waited for in it."""
        waits = DRAIN_TIMEOUT.parse(str(DRAIN_TIMEOUT.default)) + assembly._END_WITHIN
        waits += assembly._CLOSE_WITHIN
        self.assertGreater(float(self.setting("TimeoutStopSec")), waits)

    def test_told(self) -> None:
        """The manager waits until osproxy is ready, watches it, and can have it reload."""
        self.assertEqual(self.setting("Type"), "notify")
        self.assertGreater(float(self.setting("WatchdogSec")), 10)
        self.assertIn("-HUP $MAINPID", self.setting("ExecReload"))

    def test_identifier(self) -> None:
        """In the journal, lines of a stream go by the name that osproxy sends others with."""
        told = f"\nSYSLOG_IDENTIFIER={self.setting('SyslogIdentifier')}\n"
        self.assertIn(told.encode(), entry(RECORD))

    def test_sockets(self) -> None:
        """Each socket unit has the service's ports, and a name by which osproxy knows TLS."""
        names = {}
        for path in sorted((ROOT / "etc").glob("*.socket")):
            text = path.read_text()
            (names[path.name],) = re.findall(r"^FileDescriptorName=(.*)$", text, re.MULTILINE)
            if path.stem != "osproxy":
                self.assertIn("\nService=osproxy.service\n", text)
        self.assertEqual(names, {"osproxy.socket": "http", "osproxy-tls.socket": "https"})

    def test_log_level(self) -> None:
        """How much is logged is for osproxy to say, which twist would cut short."""
        self.assertIn("--log-level=debug osproxy", self.setting("ExecStart"))

    def test_cache(self) -> None:
        """The cache directory is made by systemd, for a user that is made with it."""
        self.assertEqual(self.setting("CacheDirectory"), "osproxy")
        self.assertEqual(self.setting("DynamicUser"), "yes")

    def test_control(self) -> None:
        """So is the directory of the control socket, which is where the sample has it."""
        self.assertEqual(self.setting("RuntimeDirectory"), "osproxy")
        self.assertIn('"/run/osproxy/control"', (ROOT / "etc" / "osproxy.toml").read_text())

    def test_memory(self) -> None:
        """Memory that is written and executed is not denied, since the TLS library needs it."""
        self.assertNotRegex(self.unit, r"(?m)^MemoryDenyWriteExecute")
