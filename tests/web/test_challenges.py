"""Tests of `osproxy.web.challenges`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.model import Notice
from osproxy.web.challenges import Challenges
from tests.store.doubles import Failing, at_once
from tests.web.support import logged

PREFIX = "/.well-known/acme-challenge/"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
ANSWER = TOKEN.encode() + b".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"


class ChallengesTests(SynchronousTestCase):
    """Tests of `Challenges`."""

    def setUp(self) -> None:
        """Write an answer."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        (self.directory / TOKEN).write_bytes(ANSWER)
        self.challenges = Challenges(self.directory, at_once)

    def answer(self, name: str) -> Notice:
        """Ask for a file."""
        target = f"{PREFIX}{name}".encode()
        self.assertTrue(self.challenges.are_at(target))
        return self.successResultOf(Deferred.fromCoroutine(self.challenges.answer(target)))

    def test_answer(self) -> None:
        """What the operator's client has written is served as it is, and kept by nobody."""
        self.assertEqual(
            self.answer(TOKEN), Notice(200, ANSWER, "application/octet-stream", passing=True)
        )
        self.assertEqual(self.answer(f"{TOKEN}?x=y").status, 200)

    def test_written_later(self) -> None:
        """A file is there as soon as it is written, and gone when it is removed."""
        self.assertEqual(self.answer("later").status, 404)
        (self.directory / "later").write_bytes(b"x")
        self.assertEqual(self.answer("later").body, b"x")
        (self.directory / "later").unlink()
        self.assertEqual(self.answer("later").status, 404)

    def test_whose(self) -> None:
        """Other paths are not ours, nor is any without a directory."""
        for target in (b"/", b"/.well-known/acme-challenge", b"/.well-known/other/x", b"*"):
            self.assertFalse(self.challenges.are_at(target))
        none = Challenges(None, at_once)
        self.assertFalse(none.are_at(f"{PREFIX}{TOKEN}".encode()))
        answered = Deferred.fromCoroutine(none.answer(f"{PREFIX}{TOKEN}".encode()))
        self.assertEqual(self.successResultOf(answered).status, 404)

    def test_nothing_else(self) -> None:
        """No listing, no other directory, no name with a dot, nothing that is no file."""
        inside = self.directory / "inside"
        inside.mkdir()
        (inside / "file").write_bytes(b"secret")
        (self.directory / "key.pem").write_bytes(b"secret")
        (self.directory.parent / "outside").write_bytes(b"secret")
        (self.directory / "link").symlink_to(self.directory.parent / "outside")
        (self.directory / "near").symlink_to(TOKEN)
        os.mkfifo(self.directory / "pipe")
        with socket.socket(socket.AF_UNIX) as it:
            it.bind(os.path.relpath(self.directory / "socket"))
        for name in (
            "", "inside", "inside/", "inside/file", "../outside", "..%2foutside", "%2e%2e/outside",
            "//etc/passwd", "key.pem", "link", "near", "pipe", "socket", "a" * 256, "a" * 255,
            f"{TOKEN}/", f"./{TOKEN}", f"%65{TOKEN[1:]}", f"{TOKEN}\0", "\xe9",
        ):  # fmt: skip
            answer = self.answer(name)
            self.assertEqual((answer.status, answer.passing), (404, True), name)
            self.assertNotIn(b"secret", answer.body)

    def test_size(self) -> None:
        """What is too long for an answer is none."""
        (self.directory / "small").write_bytes(b"x" * 1024)
        (self.directory / "large").write_bytes(b"x" * 1025)
        self.assertEqual((self.answer("small").status, self.answer("large").status), (200, 404))

    def test_trouble(self) -> None:
        """A file that cannot be read is not there to others; the operator is told once."""
        events = logged(self)
        failing = Failing({"_read": PermissionError(13, "Permission denied")})
        self.challenges = Challenges(self.directory, failing)
        self.assertEqual([self.answer(TOKEN).status for _ in range(3)], [404] * 3)
        self.assertEqual(len([event for event in events if "error" in event]), 1)
        failing.trouble.clear()
        self.assertEqual(self.answer(TOKEN).status, 200)
        failing.trouble["_read"] = PermissionError(13, "Permission denied")
        self.assertEqual(self.answer(TOKEN).status, 404)
        self.assertEqual(len([event for event in events if "error" in event]), 2)

    @given(st.text())
    def test_whatever(self, name: str) -> None:
        """Whatever is asked for, it is the one file or nothing."""
        target = PREFIX.encode() + name.encode("utf-8", "surrogatepass")
        answer = self.successResultOf(Deferred.fromCoroutine(self.challenges.answer(target)))
        self.assertEqual(answer.status, 200 if name.partition("?")[0] == TOKEN else 404)
