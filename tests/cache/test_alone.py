"""Tests of `osproxy.cache.alone`."""

from __future__ import annotations

from osproxy.model import Notice, Target
from tests.cache.doubles import close
from tests.cache.generics import HOUR, PLACE, URL, GenericCase
from tests.cache.origin import unreachable
from tests.store.doubles import find


class RelayTests(GenericCase):
    """What is for one client is asked for as that client asks for it."""

    def test_ranges_of_what_passes(self) -> None:
        """A part of what is not kept is asked for as it was asked of us."""
        asking = self.ask("/x", ("Range", "bytes=1-2"))
        self.origin.next().answer(first_reply := self.told(b"0123", ("Cache-Control", "private")))
        self.assertTrue(first_reply.abandoned)
        question = self.origin.next()
        self.assertEqual(question.field("range"), "bytes=1-2")
        part = ("Content-Range", "bytes 1-2/4")
        question.answer(self.told(b"12", ("Cache-Control", "private"), part, status=206))
        self.assertEqual(
            self.outcome(self.successResultOf(asking)), "206 12 | fwd=uri-miss; fwd-status=206"
        )


class MethodTests(GenericCase):
    """Other methods are passed on, and take away what they may have changed."""

    def test_passed(self) -> None:
        """The answer goes to who asked, and is not stored."""
        self.assertEqual(
            self.send("POST", self.told(b"done", HOUR)), "200 done | fwd=method; fwd-status=200"
        )
        self.assertEqual(self.bench.store.entries, 0)

    def test_invalidates(self) -> None:
        """What was stored of the URL goes, unless the request has failed or is a safe one."""
        for number, (method, told, stays) in enumerate(
            (
                ("POST", self.told(b"", status=201), False),
                ("DELETE", self.told(b"", status=204), False),
                ("FROB", self.told(b"", status=303), False),
                ("PUT", self.told(b"", status=403), True),
                ("PUT", self.told(b"", status=500), True),
                ("PUT", None, False),
                ("OPTIONS", self.told(b"", status=200), True),
            )
        ):
            with self.subTest(method=method):
                path = f"/{number}"
                self.kept(path=path)
                self.send(method, told, path)
                found = find(self.bench.store, Target(PLACE.prefix, path))
                self.assertIs(found is not None, stays)

    def test_invalidates_all_variants(self) -> None:
        """No variant of what was changed is left."""
        for language in ("de", "en"):
            told = self.told(b"x", HOUR, ("Vary", "Accept-Language"))
            self.get(told, "/x", ("Accept-Language", language))
        self.send("POST", self.told(b""))
        self.assertEqual(self.bench.store.entries, 0)

    def test_invalidates_elsewhere(self) -> None:
        """What Location names goes, too, if it is the same origin's and ours."""
        for path in ("/y", "/z", "/w"):
            self.kept(path=path)
        self.send(
            "POST",
            self.told(b"", ("Location", "/base/y"), ("Content-Location", f"{URL}/z"), status=201),
        )
        self.assertEqual(
            [find(self.bench.store, Target("/api", path)) is None for path in ("/y", "/z", "/w")],
            [True, True, False],
        )

    def test_given_up(self) -> None:
        """A client that leaves does not undo what it has asked for."""
        self.kept()
        asking = self.ask(method="POST")
        asking.addErrback(lambda _: None)
        asking.cancel()
        self.assertEqual(self.bench.store.entries, 0)

    def test_last_hop(self) -> None:
        """OPTIONS goes no further than it is meant to."""
        answer = self.successResultOf(self.ask("/x", ("Max-Forwards", "0"), method="OPTIONS"))
        assert isinstance(answer.content, Notice)
        self.assertEqual(answer.content.status, 204)
        self.assertIn("OPTIONS", answer.content.allow or "")
        asking = self.ask("/x", ("Max-Forwards", "7"), method="OPTIONS")
        question = self.origin.next()
        self.assertEqual(question.field("max-forwards"), "6")
        question.answer(self.told(b""))
        close(self.successResultOf(asking))

    def test_unreachable(self) -> None:
        """Where nobody answers there is no answer."""
        asking = self.ask(method="POST")
        self.origin.next().fail(unreachable())
        self.assertEqual(self.status_of(self.successResultOf(asking)), 502)
