"""Tests of `osproxy.config.certificates`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.certificates import Pair, Pems, tls_pair, trusted
from osproxy.config.given import ConfigError
from osproxy.config.listeners import Listener
from osproxy.config.sources import Sources
from tests.config.pems import make_key, pem_of_certificate, pem_of_key


class CertificatesTests(SynchronousTestCase):
    """Keys and certificates that cannot be used are found out before anything listens."""

    def setUp(self) -> None:
        """Make two keys and a certificate of each."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        key, other = make_key(), make_key()
        self.key = self.file("key", pem_of_key(key))
        self.locked = self.file("locked", pem_of_key(key, b"password"))
        self.other = self.file("other", pem_of_key(other))
        self.chain = self.file("chain", pem_of_certificate(key) + pem_of_certificate(other))
        self.missing = str(self.directory / "missing")

    def file(self, name: str, content: bytes) -> str:
        """Make a file."""
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def pair(self, **files: str) -> Pair | None:
        """Find the pair with these options, where TLS is to be spoken."""
        arguments = {f"tls-pem-{name}": file for name, file in files.items()}
        return tls_pair(
            Sources(arguments, {}, {}), [Listener("tcp:1", True, "--tls-listen (x)", "tcp:1")]
        )

    def found(self, **files: str) -> Pair:
        """Find the pair, which is there."""
        pair = self.pair(**files)
        assert pair is not None
        return pair

    def complaint(self, **files: str) -> str:
        """Find what is wrong with these options."""
        return str(self.assertRaises(ConfigError, self.pair, **files))

    def test_pair(self) -> None:
        """A key goes with the first certificate of its chain."""
        pair = self.found(key=self.key, chain=self.chain)
        self.assertEqual((pair.key, pair.chain), (Path(self.key), Path(self.chain)))
        self.assertEqual(str(pair), f"{self.key} and {self.chain}")
        content = [Path(file).read_bytes() for file in (self.key, self.chain)]
        self.assertEqual(pair.read(), Pems(*content))

    def test_secret(self) -> None:
        """What is shown of a pair has nothing of the key."""
        pems = self.found(key=self.key, chain=self.chain).read()
        self.assertNotIn("PRIVATE", repr(pems))

    def test_written_anew(self) -> None:
        """A pair is read as it is now, and complained of in the same words."""
        pair = self.found(key=self.key, chain=self.chain)
        self.file("key", Path(self.other).read_bytes())
        complaint = str(self.assertRaises(ConfigError, pair.read))
        self.assertIn("--tls-pem-key (command line): ", complaint)
        self.assertIn("does not fit the first certificate", complaint)

    def test_one_file(self) -> None:
        """Key and certificate may stand in one file."""
        both = self.file("both", Path(self.key).read_bytes() + Path(self.chain).read_bytes())
        self.assertEqual(self.found(key=both, chain=both).chain, Path(both))

    def test_no_fit(self) -> None:
        """A key of another certificate is refused, with both options named."""
        complaint = self.complaint(key=self.other, chain=self.chain)
        self.assertIn("--tls-pem-key (command line): ", complaint)
        self.assertIn("does not fit the first certificate", complaint)
        self.assertIn("--tls-pem-chain (command line)", complaint)

    def test_missing(self) -> None:
        """A file that cannot be read is refused under its option's name."""
        self.assertIn(
            f"--tls-pem-key (command line): {self.missing} cannot be read (No such file",
            self.complaint(key=self.missing, chain=self.chain),
        )
        self.assertIn(
            f"--tls-pem-chain (command line): {self.missing} cannot be read (No such file",
            self.complaint(key=self.key, chain=self.missing),
        )

    def test_pipe(self) -> None:
        """A pipe that nobody writes to is refused, and not waited for."""
        pipe = str(self.directory / "pipe")
        os.mkfifo(pipe)
        for files in ({"key": pipe, "chain": self.chain}, {"key": self.key, "chain": pipe}):
            self.assertIn(f"{pipe} cannot be read (it is no regular file)", self.complaint(**files))
        self.assertRaises(ConfigError, trusted, Sources({"upstream-ca": pipe}, {}, {}))

    def test_not_pem(self) -> None:
        """A file that holds something else is refused, and so is a key with a password."""
        self.assertIn("holds no private key", self.complaint(key=self.chain, chain=self.chain))
        self.assertIn("without a password", self.complaint(key=self.locked, chain=self.chain))
        self.assertIn("holds no certificate", self.complaint(key=self.key, chain=self.key))

    def test_alone(self) -> None:
        """A key is of no use without its certificate, nor the other way round."""
        self.assertIn("alone; give --tls-pem-chain too", self.complaint(key=self.key))
        self.assertIn("alone; give --tls-pem-key too", self.complaint(chain=self.chain))

    def test_needed(self) -> None:
        """TLS cannot be spoken without a key and a certificate; HTTP can."""
        complaint = self.complaint()
        self.assertIn("--tls-listen (x): ", complaint)
        self.assertIn("give --tls-pem-key and --tls-pem-chain", complaint)
        self.assertIsNone(tls_pair(Sources({}, {}, {}), [Listener("tcp:1", False, "", "tcp:1")]))

    def test_trusted(self) -> None:
        """Certificates to trust stand in a file that holds at least one."""
        self.assertIsNone(trusted(Sources({}, {}, {})))
        self.assertEqual(trusted(Sources({"upstream-ca": self.chain}, {}, {})), Path(self.chain))
        for file in (self.missing, self.key):
            sources = Sources({}, {"OSPROXY_UPSTREAM_CA": file}, {})
            error = self.assertRaises(ConfigError, trusted, sources)
            self.assertIn("--upstream-ca (variable OSPROXY_UPSTREAM_CA): ", str(error))
