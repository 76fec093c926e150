"""Tests of `osproxy.journal`."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.journal import LONGEST, Journal, datagram, listens
from tests.journals import Listening, fields


class DatagramTests(SynchronousTestCase):
    """Tests of `datagram`."""

    def test_forms(self) -> None:
        """A value on one line stands behind its name; another has its length in front."""
        self.assertEqual(
            datagram([("MESSAGE", "a=b"), ("X_Y", "c\nd"), ("Z", "")]),
            b"MESSAGE=a=b\nX_Y\n\x03\0\0\0\0\0\0\0c\nd\nZ=\n",
        )

    def test_long(self) -> None:
        """A value that is too long is cut off."""
        self.assertEqual(datagram([("A", "b" * 10**6)]), b"A=" + b"b" * LONGEST + b"\n")

    @given(st.lists(st.text(st.characters()), max_size=9))
    def test_any_value(self, values: list[str]) -> None:
        """Whatever is in a value, there are as many fields as were given, each with its own."""
        given = {f"F{number}": value for number, value in enumerate(values)}
        self.assertEqual(
            fields(datagram(given.items())),
            {name: it.encode("utf-8", "backslashreplace") for name, it in given.items()},
        )


class JournalTests(SynchronousTestCase):
    """Tests of `Journal`."""

    def setUp(self) -> None:
        """Have somebody listen."""
        self.listening = Listening(self)
        self.journal = Journal(self.listening.path)
        self.addCleanup(self.journal.close)

    def test_taken(self) -> None:
        """An entry arrives."""
        listens(self.listening.path)
        self.assertTrue(self.journal.send(datagram([("MESSAGE", "here")])))
        self.assertEqual(self.listening.heard(), [{"MESSAGE": b"here"}])

    def test_largest(self) -> None:
        """A dozen values of the greatest length are no more than a socket takes."""
        entry = datagram([(f"F{number}", "x" * 10**6) for number in range(12)])
        self.assertTrue(self.journal.send(entry))
        self.assertEqual(len(self.listening.heard()[0]), 12)

    def test_full(self) -> None:
        """A journal that does not keep up is not waited for, and takes more once it has read."""
        sent = 0
        while self.journal.send(b"MESSAGE=x\n"):
            sent += 1
        self.assertEqual(len(self.listening.heard()), sent)
        self.assertTrue(self.journal.send(b"MESSAGE=y\n"))

    def test_several(self) -> None:
        """Of several entries it is said how many were taken, and the first that was not is next."""
        entries = [b"MESSAGE=%d\n" % number for number in range(600)]
        heard = 0
        while heard < len(entries):
            taken = self.journal.write(entries[heard:])
            self.assertEqual(len(self.listening.heard()), taken)
            heard += taken

    def test_gone_between(self) -> None:
        """Where nobody takes the second one any more, the first counts, and the next is told."""
        entries = [b"MESSAGE=x\n", b"MESSAGE=%b\n" % (b"y" * (1 << 20)), b"MESSAGE=z\n"]
        self.assertEqual(self.journal.write(entries), 1)
        self.assertRaises(OSError, self.journal.write, entries[1:])
        self.assertEqual(self.listening.heard(), [{"MESSAGE": b"x"}])

    def test_gone(self) -> None:
        """Where nobody listens that is an error, until somebody does."""
        self.listening.socket.close()
        self.assertRaises(ConnectionRefusedError, self.journal.send, b"MESSAGE=x\n")
        self.assertRaises(ConnectionRefusedError, listens, self.listening.path)
        self.listening.path.unlink()
        self.assertRaises(FileNotFoundError, listens, self.listening.path)
        again = Listening(self)
        Path(again.path).rename(self.listening.path)
        self.assertTrue(self.journal.send(b"MESSAGE=x\n"))
