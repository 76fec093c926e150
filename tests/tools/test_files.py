"""Tests of `osproxy.tools.files`."""

from __future__ import annotations

import gzip
import io
import lzma
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.files import read
from osproxy.tools.trace import BadTrace, Event

TRACE = "# made by hand\n\n0 /a.rpm 5\n1 /b.rpm 7\n"
LOG = "".join(
    f'::1 - - [21/Sep/2026:14:13:2{second} +0000] "GET /{name}.rpm HTTP/1.1" 200 5 "-" "-"\n'
    for second, name in enumerate("ab")
)


class ReadTests(SynchronousTestCase):
    """Tests of `read`."""

    def setUp(self) -> None:
        """Have a directory."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.terminal = io.StringIO()

    def file(self, name: str, content: str | bytes) -> str:
        """Make a file."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def events(self, *names: str) -> list[Event]:
        """Read files."""
        return list(read(names, self.terminal))

    def keys(self, *names: str) -> list[str]:
        """Read files, and tell what was asked for."""
        return [event.key for event in self.events(*names)]

    def complaint(self, name: str) -> str:
        """Read a file, and give the complaint."""
        complaint = str(self.assertRaises(BadTrace, lambda: self.events(name)))
        self.assertTrue(complaint.startswith(name), complaint)
        return complaint.removeprefix(name)

    def test_either(self) -> None:
        """A trace and a log are told from each other by what is in them, and read in turn."""
        names = self.file("a", TRACE), self.file("b", LOG), self.file("c", TRACE)
        self.assertEqual(self.keys(*names), ["/a.rpm", "/b.rpm"] * 3)
        self.assertEqual(self.terminal.getvalue(), "")

    def test_json(self) -> None:
        """A log in JSON is a log."""
        line = (
            '{"time":"2026-09-21T14:13:20.900Z","client":"::1","method":"GET","target":"/a.rpm",'
            '"protocol":"HTTP/1.1","status":200,"bytes":5,"user_agent":"a b c","cut":false}\n'
        )
        names = self.file("a", line), self.file("b", LOG)
        self.assertEqual(self.keys(*names), ["/a.rpm", "/a.rpm", "/b.rpm"])

    def test_compressed(self) -> None:
        """Logs that were rotated may be compressed."""
        names = (
            self.file("a.gz", gzip.compress(LOG.encode())),
            self.file("b.xz", lzma.compress(LOG.encode())),
        )
        self.assertEqual(self.keys(*names), ["/a.rpm", "/b.rpm"] * 2)

    def test_standard_input(self) -> None:
        """A dash is standard input, which is left open."""
        stdin = io.TextIOWrapper(io.BytesIO(TRACE.encode()))
        self.patch(sys, "stdin", stdin)
        self.assertEqual(self.keys("-"), ["/a.rpm", "/b.rpm"])
        self.assertFalse(stdin.buffer.closed)

    def test_noise(self) -> None:
        """Lines in a log that are none are skipped, and counted aloud."""
        name = self.file("a", "Log opened.\n" + LOG + "\xff\n" + LOG[:50])
        self.assertEqual(self.keys(name), ["/a.rpm", "/b.rpm"])
        self.assertEqual(
            self.terminal.getvalue(),
            f"{name}: 3 lines are not those of an access log, and are skipped\n",
        )

    def test_empty(self) -> None:
        """There may be nothing in a file."""
        self.assertEqual(self.events(self.file("a", "")), [])
        self.assertEqual(self.events(self.file("b", "# nothing\n\n")), [])

    def test_bad_line(self) -> None:
        """In a trace every line counts, and the one that is wrong is named."""
        self.assertIn(
            ", line 5: 'x' is no size", self.complaint(self.file("a", TRACE + "2 /c x\n"))
        )

    def test_neither(self) -> None:
        """What is neither is refused as a trace, with its first line that counts."""
        text = "#\nnot a trace\nnor a log\n"
        self.assertIn(", line 2: 'not' is no time", self.complaint(self.file("a", text)))
        self.assertIn(", line 1: ", self.complaint(self.file("b", bytes(range(256)) * 99)))

    def test_unreadable(self) -> None:
        """What cannot be read is named with the reason."""
        self.assertEqual(
            self.complaint(str(self.folder / "missing")), ": No such file or directory"
        )
        self.assertEqual(self.complaint(str(self.folder)), ": Is a directory")
        packed = gzip.compress(LOG.encode() * 99)
        self.assertIn("Not a gzipped file", self.complaint(self.file("a.gz", LOG)))
        self.assertIn("ended before", self.complaint(self.file("b.gz", packed[: len(packed) // 2])))
        self.assertIn("not supported", self.complaint(self.file("c.xz", LOG)))
        damaged = packed[:20] + b"\xff" * 50 + packed[20:]
        self.assertIn("Error -3", self.complaint(self.file("d.gz", damaged)))

    def test_progress(self) -> None:
        """On a terminal a bar tells how much of the file has been read, and is taken away."""

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        self.terminal = Terminal()
        name = self.file("a", LOG * 5000)
        self.assertEqual(len(self.events(name)), 10_000)
        shown = self.terminal.getvalue()
        self.assertIn(f"reading {name}", shown)
        self.assertRegex(shown, r"[1-9][0-9] %")
        self.assertTrue(shown.endswith("\x1b[K"))
