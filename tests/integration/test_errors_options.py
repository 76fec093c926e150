"""
Every option that is wrong is told in one line before anything starts, and every right one works.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.cases import IntegrationCase
from tests.integration.ports import Port
from tests.integration.server import TWIST, TWISTD, run_briefly
from tests.integration.tools import require, require_root, run, threaded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.integration.tools import Finished


class RefusalTests(IntegrationCase):
    """
    One line on standard error that names the option, where its value came from and what would be
    right; exit status 1; with ``twistd -n``, daemonised ``twistd`` and ``python -m twisted``.
    """

    def setUp(self) -> None:
        """Provide a port that nobody listens on."""
        super().setUp()
        self.port = Port()
        self.addCleanup(self.port.close)

    def commands(self) -> dict[str, list[str | Path]]:
        """Give the three ways to start it, each with a directory of its own."""
        single, daemon = self.place("twistd"), self.place("daemon")
        for place in (single, daemon):
            place.mkdir()
        return {
            "python -m twisted": [*TWIST],
            "twistd -n": [*TWISTD, "-n", f"--pidfile={single}/pid", "osproxy"],
            "twistd": [*TWISTD, f"--pidfile={daemon}/pid", f"--logfile={daemon}/log", "osproxy"],
        }

    def assert_one_line(self, how: str, finished: Finished, words: Sequence[str]) -> None:
        """Check that the complaint is as promised."""
        self.assertEqual(finished.code, 1, f"{how}: {finished.all}")
        lines = finished.err.strip().splitlines()
        self.assertEqual(len(lines), 1, f"{how}: {finished.all}")
        for word in ("Traceback", "Usage"):
            self.assertNotIn(word, finished.all, f"{how}: {finished.all}")
        for word in words:
            self.assertIn(word, lines[0], f"{how}: {word} is to be in {lines[0]}")

    def assert_refused(
        self,
        *options: str,
        names: Sequence[str],
        toml: str | None = None,
        environment: Mapping[str, str] | None = None,
        place: bool = True,
    ) -> None:
        """Start it all three ways, in vain, and check the complaints."""
        given = list(options)
        if toml is not None:
            file = self.place("osproxy.toml")
            file.write_text(toml)
            given.append(f"--config={file}")
            names = [*names, str(file)]
        if place:
            cache = self.place("cache")
            cache.mkdir()
            given.append(f"--cache-path={cache}")
        if not any(option.startswith("--bind-address") for option in given):
            given.append(f"--bind-address={self.port}")
        commands = self.commands()
        starts = [
            partial(
                run_briefly,
                [*command, *given],
                environment=environment,
                directory=self.directory,
            )
            for command in commands.values()
        ]
        for how, finished in zip(commands, self.at_once(*starts), strict=True):
            self.assert_one_line(how, finished, names)

    @threaded
    def test_bad_size(self) -> None:
        """A size that is none is refused, naming the option."""
        self.assert_refused("--cache-size=lots", names=["--cache-size", "lots"])

    @threaded
    def test_bad_size_in_the_environment(self) -> None:
        """The same from the environment is refused, naming the variable."""
        self.assert_refused(
            names=["OSPROXY_CACHE_SIZE", "lots"], environment={"OSPROXY_CACHE_SIZE": "lots"}
        )

    @threaded
    def test_bad_size_in_a_file(self) -> None:
        """The same from a file is refused, naming file and key."""
        self.assert_refused(toml='cache-size = "lots"\n', names=["cache-size", "lots"])

    @threaded
    def test_bad_size_in_a_foreign_variable(self) -> None:
        """The same from a variable of the existing proxy is refused, naming that."""
        self.assert_refused(names=["CACHE_SIZE", "lots"], environment={"CACHE_SIZE": "lots"})

    @threaded
    def test_bad_durations_and_numbers(self) -> None:
        """Durations, shares and levels that are none are refused."""
        for option, value in (
            ("--client-timeout", "soon"),
            ("--connect-timeout", "-1"),
            ("--free-space", "110%"),
            ("--log-level", "loud"),
            ("--durability", "some"),
        ):
            self.assert_refused(f"{option}={value}", names=[option, value])

    @threaded
    def test_bad_addresses(self) -> None:
        """Addresses and networks that are none are refused."""
        self.assert_refused("--bind-address=nowhere", names=["--bind-address", "nowhere"])
        self.assert_refused("--bind-address=127.0.0.1:99999", names=["--bind-address", "99999"])
        self.assert_refused("--clients=10.0.0.0/8,us", names=["--clients", "us"])

    @threaded
    def test_bad_mirror_chain(self) -> None:
        """An authority that is no http or https URL is refused."""
        self.assert_refused("--mirror-chain=ftp://host/", names=["--mirror-chain", "ftp://host/"])

    @threaded
    def test_two_authorities(self) -> None:
        """--mirror-chain together with a backend for / is refused, naming both."""
        self.assert_refused(
            "--mirror-chain=http://one.invalid",
            toml='[backend."/"]\nauthority = "http://two.invalid"\n',
            names=["--mirror-chain", 'backend."/"'],
        )

    @threaded
    def test_unknown_option(self) -> None:
        """An option that is none is refused."""
        self.assert_refused("--cache-sise=1", names=["cache-sise"])

    @threaded
    def test_unknown_keys(self) -> None:
        """A key that is none is refused, at the top and in a table."""
        self.assert_refused(toml="cache-sise = 1\n", names=["cache-sise"])
        self.assert_refused(
            toml='[backend."/x"]\nauthority = "http://x.invalid"\nhots = []\n', names=["hots"]
        )
        self.assert_refused(
            toml='[backend."/x"]\nauthority = "http://x.invalid"\nfreshness = { rpm = 1 }\n',
            names=["rpm"],
        )

    @threaded
    def test_bad_backends(self) -> None:
        """A backend without an authority, or with one that is no plain URL, is refused."""
        self.assert_refused(toml='[backend."/x"]\nhosts = []\n', names=["authority"])
        for url in ("http://x.invalid/?a=b", "http://x.invalid/#a", "x.invalid"):
            self.assert_refused(toml=f'[backend."/x"]\nauthority = "{url}"\n', names=[url])

    @threaded
    def test_password(self) -> None:
        """An authority with a user's name and password is refused, and neither is repeated."""
        url = "http://user:secret@x.invalid/"
        self.assert_refused(toml=f'[backend."/x"]\nauthority = "{url}"\n', names=["x.invalid"])
        finished = run_briefly([*TWIST, f"--mirror-chain={url}"], directory=self.directory)
        self.assertEqual(finished.code, 1)
        self.assertNotIn("secret", finished.all)

    @threaded
    def test_bad_files(self) -> None:
        """A missing file, and one that is no TOML, are refused."""
        self.assert_refused("--config=/nonexistent/a.toml", names=["/nonexistent/a.toml"])
        self.assert_refused(toml="= what\n", names=[])
        self.assert_refused(
            "--upstream-ca=/nonexistent/ca.pem", names=["--upstream-ca", "/nonexistent/ca.pem"]
        )
        self.assert_refused(
            "--access-log=/nonexistent/log", names=["--access-log", "/nonexistent/log"]
        )

    @threaded
    def test_pipe_without_reader(self) -> None:
        """A log that is a pipe which nobody reads is refused; the start does not wait for one."""
        pipe = self.place("pipe")
        os.mkfifo(pipe)
        for log in ("--access-log", "--error-log"):
            finished = run_briefly(
                [*TWIST, f"{log}={pipe}", f"--bind-address={self.port}"], directory=self.directory
            )
            self.assert_one_line(log, finished, [log, str(pipe), "nobody reads it"])

    @threaded
    def test_bad_certificates(self) -> None:
        """Half a pair, a missing or strange file, a key of another certificate: refused."""
        good, tls = self.certificates, "--tls-bind-address=127.0.0.1:0"
        key, chain = f"--tls-pem-key={good.key}", f"--tls-pem-chain={good.chain}"
        strange = self.place("strange")
        strange.write_text("no key\n")
        self.assert_refused(tls, names=["--tls-pem-key"])
        self.assert_refused(tls, key, names=["--tls-pem-chain"])
        self.assert_refused(tls, chain, names=["--tls-pem-key"])
        self.assert_refused(
            tls, chain, "--tls-pem-key=/nonexistent/k", names=["--tls-pem-key", "/nonexistent/k"]
        )
        self.assert_refused(
            tls, chain, f"--tls-pem-key={strange}", names=["--tls-pem-key", str(strange)]
        )
        self.assert_refused(
            tls, chain, f"--tls-pem-key={good.stray_key}", names=[str(good.stray_key)]
        )

    @threaded
    def test_bad_endpoints(self) -> None:
        """``ssl:`` is refused with the hint to --tls-listen; what is no endpoint, too."""
        self.assert_refused("--listen=ssl:8443", names=["--listen", "--tls-listen"])
        self.assert_refused("--listen=what:8080", names=["--listen", "what"])
        self.assert_refused("--listen=tcp:no", names=["--listen", "tcp:no"])

    @threaded
    def test_parent_is_missing(self) -> None:
        """A cache path whose parent is missing is refused."""
        self.assert_refused(
            "--cache-path=/nonexistent/a", names=["--cache-path", "/nonexistent"], place=False
        )

    @threaded
    def test_cache_path_is_a_file(self) -> None:
        """A cache path that is a file is refused."""
        file = self.place("file")
        file.write_text("")
        self.assert_refused(f"--cache-path={file}", names=["--cache-path", str(file)], place=False)

    @threaded
    def test_cache_path_is_not_writable(self) -> None:
        """A cache directory that cannot be written to is refused."""
        place = self.place("read-only")
        place.mkdir()
        if os.geteuid() == 0:
            # Root may write wherever the file system lets anybody.
            run(["mount", "-t", "tmpfs", "-o", "ro", "osproxy-test", place])
            self.addCleanup(run, ["umount", "--lazy", place])
        else:
            place.chmod(0o500)
        self.assert_refused(
            f"--cache-path={place}", names=["--cache-path", str(place)], place=False
        )

    @threaded
    def test_no_home(self) -> None:
        """With no home, no XDG_CACHE_HOME and no path given, it says what to give."""
        require("setpriv")
        require_root("start programs as a user without a home")
        # A user that is in no list, but may read the checkout wherever it lies.
        nobody = ["setpriv", "--reuid=54321", "--clear-groups"]
        capable = [f"--{kind}-caps=+dac_override" for kind in ("inh", "ambient")]
        finished = run_briefly(
            ["env", "--unset=HOME", *nobody, *capable, *TWIST, f"--bind-address={self.port}"],
            directory=self.directory,
        )
        self.assert_one_line("setpriv", finished, ["home", "--cache-path"])

    @threaded
    def test_port_in_use(self) -> None:
        """A port that another has is refused, naming option and address."""
        other = self.osproxy("http://127.0.0.1:9", certificates=self.certificates)
        self.assert_refused(
            f"--bind-address={other.port}", names=["--bind-address", str(other.port)]
        )
        self.assert_refused(
            f"--tls-bind-address={other.port}",
            f"--tls-pem-key={self.certificates.key}",
            f"--tls-pem-chain={self.certificates.chain}",
            names=["--tls-bind-address", str(other.port)],
        )
        self.assert_refused(
            f"--listen=tcp:{other.port.number}:interface=127.0.0.1",
            names=["--listen", str(other.port.number)],
        )

    @threaded
    def test_directory_in_use(self) -> None:
        """A cache directory that another process has is refused."""
        other = self.osproxy("http://127.0.0.1:9")
        self.assert_refused(
            f"--cache-path={other.cache_path}",
            names=["--cache-path", str(other.cache_path), "in use"],
            place=False,
        )

    @threaded
    def test_directory_of_somebody_else(self) -> None:
        """A directory named osproxy with files that are not ours is refused, and left alone."""
        place = self.place("cache")
        treasure = place / "osproxy" / "drafts" / "treasure"
        treasure.parent.mkdir(parents=True)
        treasure.write_text("gold")
        self.assert_refused(
            f"--cache-path={place}", names=["--cache-path", str(place)], place=False
        )
        self.assertEqual(treasure.read_text(), "gold")
