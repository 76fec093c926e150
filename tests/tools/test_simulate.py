"""Tests of the command ``osproxy-simulate``."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from osproxy.tools.replay import NAMES
from osproxy.tools.simulate import main
from osproxy.tools.traffic import profiles

# Three files of a block each.
TRACE = "".join(f"{at} /{name}.rpm 4000\n" for at, name in enumerate("abcabcaabb"))
TABLE = """\
{}: 10 requests for 39.1 KiB, 12.0 KiB of files

   size       policy  object misses  byte misses   fetched
-------  ---  ------  -------------  -----------  --------
8.0 KiB       lru          80.000 %     80.000 %  31.2 KiB
8.0 KiB       belady       40.000 %     40.000 %  15.6 KiB
6.0 KiB  50%  lru          80.000 %     80.000 %  31.2 KiB
6.0 KiB  50%  belady       60.000 %     60.000 %  23.4 KiB
"""


class SimulateTests(SynchronousTestCase):
    """Tests of `main`."""

    def setUp(self) -> None:
        """Have a trace."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.trace = str(self.folder / "trace")
        Path(self.trace).write_text(TRACE)

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command: status, output, and what is said beside."""
        output, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(output), redirect_stderr(errors):
            try:
                status = main(arguments)
            except SystemExit as ended:
                assert isinstance(ended.code, int)
                status = ended.code
        return status, output.getvalue(), errors.getvalue()

    def output(self, *arguments: str) -> str:
        """Run the command, and give what it prints."""
        status, output, errors = self.run_main(*arguments)
        self.assertEqual((status, errors), (0, ""))
        return output

    def complaint(self, *arguments: str) -> str:
        """Run the command in vain, and give its one line of complaint."""
        status, output, errors = self.run_main(*arguments)
        self.assertEqual((status, output), (2, ""))
        self.assertEqual(len(errors.splitlines()), 1, errors)
        self.assertTrue(errors.startswith("osproxy-simulate: "), errors)
        return errors

    def test_table(self) -> None:
        """A file is replayed under each policy, at each size."""
        output = self.output("--size=8KiB,50%", "-p", "lru,belady", self.trace)
        self.assertEqual(output, TABLE.format(self.trace))

    def test_everything(self) -> None:
        """All that is asked for fits into as much as it takes, however small the files are."""
        Path(self.trace).write_text("0 /a 1\n1 /b 4097\n2 /a 1\n3 /b 4097\n")
        rows = self.output("--size=100%", self.trace).splitlines()[4:]
        for row in rows:
            self.assertIn(" 50.000 % ", row)
            self.assertTrue(row.startswith("12.0 KiB "), row)

    def test_defaults(self) -> None:
        """All policies are shown at four sizes unless others are named."""
        rows = self.output(self.trace).splitlines()[4:]
        words = [row.split() for row in rows]
        self.assertEqual(
            [row[3] for row in words[:6]],
            ["clock", "gdsf", "lru", "plain-lru", "arc", "belady"],
        )
        self.assertEqual([row[2] for row in words[::6]], ["1%", "4%", "16%", "64%"])

    def test_lists(self) -> None:
        """Sizes and policies may be given one by one, or with commas between."""
        output = self.output("-s", "4KiB, 8KiB", "-s12KiB", "-p", "lru", "--policy=arc", self.trace)
        rows = [row.split() for row in output.splitlines()[4:]]
        self.assertEqual(
            [(row[0], row[2]) for row in rows],
            [(size, policy) for size in ("4.0", "8.0", "12.0") for policy in ("lru", "arc")],
        )

    def test_write(self) -> None:
        """A trace can be written instead of replayed, and what was written can be replayed."""
        path = str(self.folder / "made-up")
        self.assertEqual(self.output("--write", path, self.trace), "")
        self.assertEqual(
            self.output("--write", "-", self.trace),
            Path(path).read_text(),
        )
        once, twice = (self.output("-p", "lru", "-s", "8KiB", name) for name in (self.trace, path))
        self.assertEqual(once.splitlines()[1:], twice.splitlines()[1:])

    def test_seeds(self) -> None:
        """Several seeds give a mean and its spread, and each its line above."""
        output = self.output("--traffic=lan", "--days=9", "--seeds=4-5", "-p", "lru", "-s", "4%")
        lines = output.splitlines()
        self.assertTrue(lines[0].startswith("lan, seed 4: "), lines[0])
        self.assertTrue(lines[1].startswith("lan, seed 5: "), lines[1])
        self.assertRegex(lines[-1], r" lru +[0-9.]+ % ± [0-9.]+ +[0-9.]+ % ± [0-9.]+ ")

    def test_bad_options(self) -> None:
        """An option that makes no sense is named, with what would."""
        for arguments, words in (
            (["--size=lots"], ["--size", "'lots'", "such as 5%"]),
            (["--size=0"], ["--size", "'0' is nothing"]),
            (["--size=1%,"], ["--size", "''"]),
            (["--size=101%"], ["--size", "'101%'"]),
            (["--policy=fifo"], ["--policy", "'fifo'", "clock, gdsf"]),
            (["--image-space=-1"], ["--image-space", "'-1'"]),
            (["--grace=soon"], ["--grace", "'soon'"]),
            (["--traffic=wan"], ["--traffic", "wan", "lan"]),
            (["--traffic=lan", "--seeds=few"], ["--seeds", "'few'"]),
            (["--traffic=lan", "--seeds=9-1"], ["--seeds", "'9-1'"]),
            (["--traffic=lan", "--seeds=0-99999999999"], ["--seeds"]),
            (["--nonsense"], ["--nonsense"]),
            (["--siz=1%"], ["--siz"]),
        ):
            complaint = self.complaint(
                *arguments, *(() if "lan" in str(arguments) else [self.trace])
            )
            for word in words:
                self.assertIn(word, complaint)

    def test_together(self) -> None:
        """What does not go together is refused."""
        self.assertIn("--traffic", self.complaint())
        self.assertIn("--traffic", self.complaint("--traffic=lan", self.trace))
        self.assertIn("--seeds", self.complaint("--seeds=3", self.trace))
        self.assertIn("--days", self.complaint("--days=3", self.trace))
        self.assertIn("--write", self.complaint("--traffic=lan", "--seeds=1-2", "--write=-"))

    def test_days(self) -> None:
        """Made-up traffic lasts as long as it usually does, or so many days."""
        lines = self.output("--traffic=lan", "--days=2", "--write=-").splitlines()
        self.assertEqual({float(line.split()[0]) // 86400 for line in lines}, {0.0, 1.0})
        for name, profile in profiles().items():
            self.assertIn(f"{profile['days']} for {name}", self.run_main("--help")[1])

    def test_bad_files(self) -> None:
        """A file that cannot be read, or makes no sense, or has nothing, is named."""
        (self.folder / "bad").write_text(TRACE + "x\n")
        (self.folder / "empty").write_text("")
        for name, words in (
            ("missing", "No such file"),
            ("bad", "line 11: 1 words"),
            ("empty", "no file is asked for"),
        ):
            path = str(self.folder / name)
            complaint = self.complaint(path)
            self.assertEqual(complaint.count(path), 1)
            self.assertIn(words, complaint)

    def test_bad_output(self) -> None:
        """So is a file that cannot be written, before anything takes long."""
        missing = str(self.folder / "missing" / "x.png")
        for option in ("--plot", "--write"):
            complaint = self.complaint(f"{option}={missing}", self.trace)
            self.assertIn(f"{missing}: No such file", complaint)

    def test_plot(self) -> None:
        """A picture can be had beside the table."""
        path = self.folder / "x.png"
        output = self.output("--plot", str(path), self.trace)
        self.assertIn("belady", output)
        self.assertTrue(path.read_bytes().startswith(b"\x89PNG"))

    def test_help(self) -> None:
        """The help has every option with its default, and what to type."""
        status, output, _ = self.run_main("--help")
        self.assertEqual(status, 0)
        for word in (
            "--size",
            "1%,4%,16%,64%",
            *NAMES,
            "[50%]",
            "[48h]",
            "osproxy-simulate --size 64GiB",
            "--traffic {ci,lan}",
            "--seeds",
        ):
            self.assertIn(word, output)

    def test_interrupted(self) -> None:
        """Control-C ends it without a word."""

        class Typing(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, _: object) -> int:
                raise KeyboardInterrupt

        self.patch(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Typing())))
        self.assertEqual(self.run_main("-"), (130, "", ""))

    def test_installed(self) -> None:
        """It is a command."""
        (script,) = entry_points(group="console_scripts", name="osproxy-simulate")
        self.assertIs(script.load(), main)

    def test_reader_leaves(self) -> None:
        """When nobody reads what is written, it ends without a word."""
        command = [sys.executable, "-m", "osproxy.tools.simulate", "--traffic=lan", "--write=-"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            self.assertIn(b"/oss/", process.stdout.readline())
            process.stdout.close()
            self.assertEqual((process.wait(), process.stderr.read()), (1, b""))
