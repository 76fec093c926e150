"""Tests of `osproxy.service.reload`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.certificates import Pair
from osproxy.config.given import ConfigError, Given
from osproxy.service.logs import Logs
from osproxy.service.reload import Reload
from osproxy.service.renewal import Renewal, read
from osproxy.service.systemd import ServiceManager
from osproxy.web.accesslog import AccessLog, open_log
from osproxy.web.tls import Renewable
from tests.records import RECORD
from tests.service.lives import Parts, errors_in, settings_with
from tests.service.managers import Manager
from tests.store.doubles import Failing, WhenTold
from tests.web.certificates import certificate_files
from tests.web.support import logged

if TYPE_CHECKING:
    from osproxy.config.settings import Settings
    from osproxy.threads import InThread
    from tests.web.certificates import Files


class ReloadTestCase(SynchronousTestCase):
    """A server whose settings have been written anew."""

    def setUp(self) -> None:
        """Have a server with an access log."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.log = self.directory / "access.log"
        self.new = self.settings = self.with_options()
        self.parts = Parts(self.settings)
        self.loads: list[Settings] = []
        self.lost: list[int] = []
        self.access_log = AccessLog(
            open_log(str(self.log), "combined"), self.parts.reactor, self.lost.append
        )
        self.metrics = self.parts.front.metrics
        self.addCleanup(self.access_log.change, None)
        self.listening = Manager(self)
        self.manager = ServiceManager(
            {"NOTIFY_SOCKET": self.listening.address},
            self.parts.reactor,
            lambda: "fine",
            lambda: 1.0,
            monotonic_ns=lambda: 1000,
        )
        self.in_thread = Failing()
        self.events = logged(self)

    def with_options(self, **options: str) -> Settings:
        """Load settings with these options."""
        log = {"access_log": str(self.log), **options}
        return settings_with(str(self.directory), **log)

    def load(self) -> Settings:
        """Give what the test wants to have been written."""
        self.loads.append(self.new)
        return self.new

    def reload(self, renewal: Renewal | None = None, in_thread: InThread | None = None) -> Reload:
        """Make a reload."""
        return Reload(
            self.load,
            self.parts.live,
            renewal,
            Logs(
                self.access_log,
                errors_in(None, self.parts.reactor, self.lost.append),
                in_thread or self.in_thread,
            ),
            self.manager,
            in_thread or self.in_thread,
            self.metrics,
            self.parts.reactor,
        )

    def done(self, reload: Reload) -> None:
        """Reload now."""
        self.successResultOf(Deferred.fromCoroutine(reload()))

    def said(self) -> list[str]:
        """Tell what was logged of it: level and text."""
        return [
            f"{event['log_level'].name}: "
            + event["log_format"].format(**{k: v for k, v in event.items() if k != "log_format"})
            for event in self.events
            if event["log_namespace"].startswith(("osproxy.service.reload", "osproxy.service.logs"))
        ]

    def counted(self, result: str) -> float | None:
        """Tell how many reloads ended so."""
        value = self.metrics.registry.get_sample_value
        return value("osproxy_reloads_total", {"result": result})

    def write(self) -> None:
        """Have a request logged."""
        self.access_log.add(RECORD)
        self.access_log.flush()


class ReloadTests(ReloadTestCase):
    """Tests of `Reload`."""

    def test_changes(self) -> None:
        """What can change does; each change is a line, and one that takes a restart says so."""
        self.new = self.with_options(client_timeout="5", cache_size="1GiB")
        self.done(self.reload())
        self.assertEqual(self.parts.front.site.client_timeout, 5.0)
        self.assertEqual(
            self.said(),
            [
                "warn: reloaded: --cache-size: changed, which takes a restart",
                "info: reloaded: --client-timeout: 5.0 from now on, no longer 120.0",
            ],
        )

    def test_counted(self) -> None:
        """It is counted, and the moment kept of the last one that was taken."""
        moment = partial(
            self.metrics.registry.get_sample_value, "osproxy_reloaded_timestamp_seconds"
        )
        self.parts.reactor.advance(5)
        self.done(self.reload())
        self.assertEqual((self.counted("taken"), self.counted("refused"), moment()), (1, 0, 5))
        self.parts.reactor.advance(5)
        self.in_thread.trouble["_find"] = ConfigError("broken")
        self.done(self.reload())
        self.assertEqual((self.counted("taken"), self.counted("refused"), moment()), (1, 1, 5))

    def test_again(self) -> None:
        """What has been taken up is no change the next time; what was not still is one."""
        self.new = self.with_options(client_timeout="5", cache_size="1GiB")
        reload = self.reload()
        self.done(reload)
        del self.events._events[:]
        self.done(reload)
        self.assertEqual(
            self.said(), ["warn: reloaded: --cache-size: changed, which takes a restart"]
        )

    def test_nothing(self) -> None:
        """That nothing has changed is said, too: somebody has asked."""
        self.done(self.reload())
        self.assertEqual(self.said(), ["info: reloaded: no setting has changed"])

    def test_warnings(self) -> None:
        """A warning that is new is said; one that was said at the start is not."""
        self.parts.live.settings = evolve(self.settings, warnings=("old",))
        self.new = evolve(self.settings, warnings=("old", "new"))
        self.done(self.reload())
        self.assertEqual(
            self.said(), ["warn: reloaded: new", "info: reloaded: no setting has changed"]
        )

    def test_told(self) -> None:
        """The service manager knows when it begins and ends."""
        self.done(self.reload())
        self.assertEqual(
            self.listening.heard(),
            [
                ["RELOADING=1", "MONOTONIC_USEC=1", "STATUS=reloading"],
                ["READY=1", "STATUS=fine"],
            ],
        )

    def test_broken(self) -> None:
        """A file that cannot be used is refused in one line; nothing changes, all goes on."""
        self.in_thread.trouble["_find"] = ConfigError("--clients (x): 'lan' is no network")
        self.new = self.with_options(client_timeout="5")
        self.done(self.reload())
        self.assertEqual(self.parts.live.settings, self.settings)
        self.assertEqual(self.parts.levels, [])
        self.assertEqual(self.said(), ["error: not reloaded: --clients (x): 'lan' is no network"])
        self.assertEqual(self.listening.heard()[-1][0], "READY=1")

    def test_log_moved(self) -> None:
        """A log that was moved away is begun anew where it is to be, whatever the settings are."""
        for trouble in ({}, {"_find": ConfigError("broken")}):
            self.in_thread.trouble.clear()
            self.in_thread.trouble.update(trouble)
            moved = self.log.with_suffix(f".{len(trouble)}")
            self.write()
            self.log.rename(moved)
            self.write()
            self.done(self.reload())
            self.write()
            lines = [len(path.read_text().splitlines()) for path in (moved, self.log)]
            self.assertEqual(lines, [2 + len(trouble), 1])

    def test_log_elsewhere(self) -> None:
        """The log goes where the settings say from now on."""
        other = self.directory / "other.log"
        self.new = self.with_options(access_log=str(other))
        self.done(self.reload())
        self.write()
        self.assertEqual((self.log.read_text(), len(other.read_text().splitlines())), ("", 1))
        self.new = self.with_options(access_log="off")
        self.done(self.reload())
        self.write()
        self.assertEqual(len(other.read_text().splitlines()), 1)

    def test_log_cannot_be_opened(self) -> None:
        """A log that cannot be opened leaves the one of before; the rest is taken up."""
        self.in_thread.trouble["open_log"] = PermissionError(13, "Permission denied")
        self.new = self.with_options(client_timeout="5")
        self.done(self.reload())
        self.write()
        self.assertEqual(len(self.log.read_text().splitlines()), 1)
        self.assertEqual(self.parts.front.site.client_timeout, 5.0)
        self.assertIn("error: the access log cannot be opened again", self.said()[-1])
        self.assertEqual(self.listening.heard()[-1][0], "READY=1")

    def test_asked_twice(self) -> None:
        """Asked in the middle of it, it reads once more: what it had read may be old."""
        told = WhenTold()
        reload = self.reload(in_thread=told)
        first = Deferred.fromCoroutine(reload())
        self.assertEqual(len(told.waiting), 1)
        for _ in range(3):
            self.successResultOf(Deferred.fromCoroutine(reload()))
        told.run_all()
        self.successResultOf(first)
        self.assertEqual(len(self.loads), 2)
        again = Deferred.fromCoroutine(reload())
        told.run_all()
        self.successResultOf(again)
        self.assertEqual(len(self.loads), 3)

    def test_fault(self) -> None:
        """After a fault of ours it can be asked for again, and readiness is told."""
        self.in_thread.trouble["_find"] = ZeroDivisionError()
        reload = self.reload()
        self.failureResultOf(Deferred.fromCoroutine(reload()), ZeroDivisionError)
        self.assertEqual(self.listening.heard()[-1][0], "READY=1")
        self.in_thread.trouble.clear()
        self.done(reload)
        self.assertEqual(self.listening.heard()[-1][0], "READY=1")


class CertificateTests(ReloadTestCase):
    """What a reload does for certificates."""

    def setUp(self) -> None:
        """Speak TLS."""
        super().setUp()
        self.files, self.others = (certificate_files(self.mktemp()) for _ in range(2))
        self.settings = self.new = evolve(self.settings, tls=self.pair(self.files))
        self.parts.live.settings = self.settings
        self.served = Renewable(read(self.pair(self.files)))
        self.renewal = Renewal(
            self.pair(self.files), self.served, self.in_thread, self.parts.reactor
        )

    def pair(self, files: Files) -> Pair:
        """Name two files as options do."""
        given = Given("--tls-pem-key", "command line", ())
        return Pair(files.key, files.chain, given, given)

    def test_written_anew(self) -> None:
        """A certificate that was written anew is taken up at once."""
        for old, new in ((self.files.key, self.others.key), (self.files.chain, self.others.chain)):
            old.write_bytes(new.read_bytes())
        self.done(self.reload(self.renewal))
        self.assertEqual(self.served.certificate.pems, self.others.pems)

    def test_other_files(self) -> None:
        """Other files may have the certificate from now on."""
        self.new = evolve(self.settings, tls=self.pair(self.others))
        self.done(self.reload(self.renewal))
        self.assertEqual(self.served.certificate.pems, self.others.pems)
        self.assertEqual(self.renewal.pair, self.new.tls)

    def test_broken_certificate(self) -> None:
        """A pair that is broken is refused at once, in one line, and so is all the rest."""
        self.new = evolve(self.settings, client_timeout=5.0)
        self.files.key.write_bytes(self.others.key.read_bytes())
        before = self.served.certificate
        self.done(self.reload(self.renewal))
        self.assertIs(self.served.certificate, before)
        self.assertEqual(self.parts.live.settings, self.settings)
        (line,) = self.said()
        self.assertTrue(line.startswith("error: not reloaded: --tls-pem-key (command line): "))
        self.assertIn("does not fit the first certificate", line)

    def test_no_longer(self) -> None:
        """Settings without a certificate take a restart, as they are without its listeners."""
        self.new = evolve(self.settings, tls=None)
        before = self.served.certificate
        self.done(self.reload(self.renewal))
        self.assertIs(self.served.certificate, before)
        self.assertIn("takes a restart", self.said()[0])
