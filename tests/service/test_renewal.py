"""Tests of `osproxy.service.renewal`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.certificates import Pair
from osproxy.config.given import ConfigError, Given
from osproxy.service.renewal import LOOK_EVERY, Renewal, read
from osproxy.web.tls import Renewable
from tests.config.pems import make_weak_key, pem_of_certificate, pem_of_key
from tests.store.doubles import Failing, WhenTold, at_once
from tests.web.certificates import certificate_files
from tests.web.support import logged

if TYPE_CHECKING:
    from osproxy.threads import InThread
    from tests.web.certificates import Files


class RenewalTests(SynchronousTestCase):
    """Tests of `Renewal`."""

    def setUp(self) -> None:
        """Serve a certificate, and have another."""
        self.clock = Clock()
        self.events = logged(self)
        self.files = certificate_files(self.mktemp())
        self.others = certificate_files(self.mktemp())
        self.pair = Pair(
            self.files.key,
            self.files.chain,
            Given("--tls-pem-key", "command line", ()),
            Given("--tls-pem-chain", "command line", ()),
        )
        self.served = Renewable(read(self.pair))
        self.first = self.served.certificate
        self.clock.rightNow = self.first.ends_at - 3600

    def start(self, in_thread: InThread = at_once) -> Renewal:
        """Begin to look."""
        renewal = Renewal(self.pair, self.served, in_thread, self.clock)
        renewal.start()
        self.addCleanup(renewal.stop)
        return renewal

    def write(self, files: Files, *, key: bool = True, chain: bool = True) -> None:
        """Write what others have over ours, as ACME clients do."""
        for source, target in (
            *([(files.key, self.files.key)] if key else []),
            *([(files.chain, self.files.chain)] if chain else []),
        ):
            new = target.with_suffix(".new")
            new.write_bytes(source.read_bytes())
            new.replace(target)

    def look(self) -> None:
        """Let the time pass until the files are looked at."""
        self.clock.advance(LOOK_EVERY)

    def said(self) -> list[str]:
        """Tell what was logged, by level."""
        return [
            event["log_level"].name
            for event in self.events
            if event["log_namespace"] == "osproxy.service.renewal"
        ]

    def test_same(self) -> None:
        """A certificate that stays is left alone, and nothing is said."""
        self.start()
        self.look()
        os.utime(self.files.chain)
        self.look()
        self.assertIs(self.served.certificate, self.first)
        self.assertEqual(self.said(), [])

    def test_renewed(self) -> None:
        """One that is written anew is taken within a minute, and that is said once."""
        self.start()
        self.write(self.others)
        self.clock.advance(LOOK_EVERY - 1)
        self.assertIs(self.served.certificate, self.first)
        self.clock.advance(1)
        self.assertEqual(self.served.certificate.pems, self.others.pems)
        self.look()
        self.assertEqual(self.said(), ["info"])

    def test_again(self) -> None:
        """It may be renewed any number of times."""
        self.start()
        for files in (self.others, certificate_files(self.mktemp())):
            self.write(files)
            self.look()
            self.assertEqual(self.served.certificate.pems, files.pems)

    def test_half(self) -> None:
        """A key whose certificate comes a moment later is not complained of."""
        self.start()
        self.write(self.others, chain=False)
        self.look()
        self.assertIs(self.served.certificate, self.first)
        self.write(self.others, key=False)
        self.look()
        self.assertEqual(self.served.certificate.pems, self.others.pems)
        self.assertEqual(self.said(), ["info"])

    def test_broken(self) -> None:
        """A pair that stays broken is complained of once; the certificate of before stays."""
        self.start()
        self.write(self.others, chain=False)
        for _ in range(4):
            self.look()
        self.assertIs(self.served.certificate, self.first)
        self.assertEqual(self.said(), ["error"])
        self.assertIn("does not fit", str(self.events[-1]["error"]))
        self.files.key.write_bytes(b"nonsense")
        for _ in range(4):
            self.look()
        self.assertEqual(self.said(), ["error"] * 2)
        self.write(self.others)
        self.look()
        self.assertEqual(self.served.certificate.pems, self.others.pems)

    def test_for_now(self) -> None:
        """What cannot be read for now is complained of once, and taken when it can."""
        failing = Failing({"read": ConfigError("Too many open files")})
        self.start(failing)
        self.write(self.others)
        for _ in range(4):
            self.look()
        self.assertIs(self.served.certificate, self.first)
        self.assertEqual(self.said(), ["error"])
        failing.trouble.clear()
        self.look()
        self.assertEqual(self.served.certificate.pems, self.others.pems)
        self.assertEqual(self.said(), ["error", "info"])

    def test_missing(self) -> None:
        """Files that are away for a moment are no reason to do anything."""
        self.start()
        self.files.chain.rename(self.files.chain.with_suffix(".away"))
        self.look()
        self.files.chain.with_suffix(".away").rename(self.files.chain)
        self.look()
        self.look()
        self.assertIs(self.served.certificate, self.first)
        self.assertEqual(self.said(), [])

    def test_refused_by_openssl(self) -> None:
        """What OpenSSL finds too weak is complained of as well."""
        self.start()
        key = make_weak_key()
        self.files.key.write_bytes(pem_of_key(key))
        self.files.chain.write_bytes(pem_of_certificate(key))
        self.look()
        self.look()
        self.assertIs(self.served.certificate, self.first)
        self.assertEqual(self.said(), ["error"])
        self.assertIn("too small", str(self.events[-1]["error"]))

    def test_ended(self) -> None:
        """One that ends, and that nobody has renewed, is warned of once."""
        self.start()
        self.clock.advance(3600)
        self.assertEqual(self.said(), [])
        for _ in range(3):
            self.look()
        self.assertEqual(self.said(), ["warn"])
        self.assertEqual(
            formatEvent(self.events[-1]),
            f"the certificate in {self.files.chain} has ended at {self.first.until};"
            " clients refuse it",
        )

    def test_not_yet(self) -> None:
        """One that counts later only is served all the same, since the clock may be wrong."""
        self.clock.rightNow -= 48 * 3600
        self.start()
        self.write(self.others)
        self.look()
        self.assertEqual(self.served.certificate.pems, self.others.pems)
        self.assertEqual(self.said(), ["warn", "info", "warn"])
        self.assertIn("on only", str(self.events[-1]["trouble"]))

    def test_of_the_past(self) -> None:
        """One that had ended before the start is warned of at the start."""
        self.clock.advance(7200)
        self.start()
        self.assertEqual(self.said(), ["warn"])

    def test_thread(self) -> None:
        """The files are read elsewhere; the next look waits for the one before."""
        told = WhenTold()
        self.start(told)
        self.write(self.others)
        self.look()
        self.look()
        self.assertEqual(len(told.waiting), 1)
        told.run_all()
        self.assertEqual(self.served.certificate.pems, self.others.pems)

    def test_other_files(self) -> None:
        """Once other files are to be used, what is found in those of before is of no interest."""
        told = WhenTold()
        renewal = self.start(told)
        newest = certificate_files(self.mktemp())
        self.write(self.others)
        self.look()
        pair = evolve(self.pair, key=newest.key, chain=newest.chain)
        renewal.take(pair, read(pair))
        told.run_all()
        self.assertEqual(self.served.certificate.pems, newest.pems)
        self.assertEqual(renewal.pair, pair)

    def test_fault(self) -> None:
        """A fault of ours is logged, and the files are looked at again."""
        failing = Failing({"_state_of": ZeroDivisionError()})
        self.start(failing)
        self.write(self.others)
        self.look()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        failing.trouble.clear()
        self.look()
        self.assertEqual(self.served.certificate.pems, self.others.pems)

    def test_stop(self) -> None:
        """After the end nothing is looked at."""
        renewal = self.start()
        renewal.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        renewal.stop()


class ReadTests(SynchronousTestCase):
    """Tests of `read`."""

    def test_complaint(self) -> None:
        """What is wrong with the files is said under the option's name."""
        given = Given("--tls-pem-key", "command line", ())
        missing = Path("/proc/missing")
        error = self.assertRaises(ConfigError, read, Pair(missing, missing, given, given))
        self.assertTrue(str(error).startswith("--tls-pem-key (command line): "))
