"""Tests of `osproxy.service.logs`."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.given import ConfigError
from osproxy.config.options import ACCESS_LOG
from osproxy.service.errorlog import open_errors
from osproxy.service.logs import Logs, open_first
from osproxy.web.accesslog import AccessLog, open_log
from tests.records import RECORD
from tests.service.lives import errors_in, settings_with
from tests.store.doubles import Failing
from tests.web.support import logged


class LogsTests(SynchronousTestCase):
    """Tests of `Logs`."""

    def setUp(self) -> None:
        """Have two logs in files."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.files = [self.directory / name for name in ("access", "error")]
        access, error = self.files
        self.settings = settings_with(
            str(self.directory), access_log=str(access), error_log=str(error)
        )
        self.in_thread = Failing()
        lost: list[int] = []
        self.logs = Logs(
            AccessLog(open_log(str(access), "combined"), Clock(), lost.append),
            errors_in(open_errors(str(error)), Clock(), lost.append),
            self.in_thread,
        )
        self.addCleanup(self.logs.access.change, None)
        self.addCleanup(self.logs.errors.change, None)
        self.events = logged(self)

    def write(self) -> None:
        """Have a line in each."""
        self.logs.access.add(RECORD)
        self.logs.access.flush()
        self.logs.errors({"log_format": "so", "log_time": 0.0})

    def move(self) -> list[Path]:
        """Move both files away, as logrotate does."""
        return [path.rename(path.with_suffix(".1")) for path in self.files]

    def reopen(self) -> None:
        """Open both anew."""
        self.successResultOf(Deferred.fromCoroutine(self.logs.reopen(self.settings)))

    def lines(self, *paths: Path) -> list[int]:
        """Count lines."""
        return [len(path.read_text().splitlines()) for path in paths]

    def test_rotated(self) -> None:
        """Until they are opened anew both are written where they were moved to; no line is lost."""
        self.write()
        moved = self.move()
        self.write()
        self.reopen()
        self.write()
        self.assertEqual(self.lines(*moved, *self.files), [2, 2, 1, 1])

    def test_first(self) -> None:
        """At the start one line says which log cannot be opened, and why."""
        for opening, place, why in (
            (lambda: open_log("/proc/missing/log", "json"), "/proc/missing/log", "No such file"),
            (lambda: open_errors(str(self.directory)), str(self.directory), "Is a directory"),
        ):
            error = self.assertRaises(ConfigError, open_first, ACCESS_LOG, opening)
            self.assertTrue(str(error).startswith(f"--access-log: {place} cannot"), error)
            self.assertIn(why, str(error))

    def test_one_cannot_be_opened(self) -> None:
        """What cannot be opened stays, and that is said; the other is opened anew."""
        for number, function in enumerate(("open_log", "open_errors")):
            moved = self.move()
            before = self.lines(*moved)
            self.in_thread.trouble[function] = PermissionError(13, "Permission denied")
            self.reopen()
            self.write()
            before[number] += 1
            self.assertEqual(self.lines(*moved), before)
            self.assertFalse(self.files[number].exists())
            self.assertEqual(self.lines(self.files[1 - number]), [1])
            self.in_thread.trouble.clear()
            self.reopen()
            for path in moved:
                path.unlink()
        texts = [event["log_format"] for event in self.events if "error" in event]
        self.assertEqual(
            texts,
            [
                "the access log cannot be opened again: {error}",
                "the error log cannot be opened again: {error}",
            ],
        )
