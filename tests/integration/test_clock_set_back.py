"""
A clock that is set back under a server that runs, as by the first look at a time server.
"""

from __future__ import annotations

from tests.integration.cases import IntegrationCase
from tests.integration.notified import Manager
from tests.integration.test_trouble_clock import clock_of
from tests.integration.tools import threaded, until


class SetBackTests(IntegrationCase):
    """Nothing waits for the time to come again."""

    @threaded
    def test_goes_on(self) -> None:
        """The watchdog hears of it, and the log is written, as if nothing had happened."""
        manager = Manager()
        self.addCleanup(manager.close)
        offset = self.place("offset")
        offset.write_text("+0\n")
        clock = {**clock_of("+0"), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1"}
        del clock["FAKETIME"]
        server = self.osproxy("http://127.0.0.1:9", start=False)
        server.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="2000000", **clock)
        until(lambda: manager.heard("WATCHDOG"), "it is alive")
        offset.write_text("-1h\n")
        self.assertEqual(server.fetch("/-/healthy").status, 200)
        until(lambda: "the clock was set back by 3600 s" in server.said(), "it has noticed")
        count = len(manager.heard("WATCHDOG"))
        until(lambda: len(manager.heard("WATCHDOG")) > count + 2, "it is alive all the while")
        until(lambda: "/-/healthy" in "".join(server.logged()), "the log is written")
        self.assertEqual(server.stop(), 0)
