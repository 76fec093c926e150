"""Tests of the store under any sequence of what may happen to it, threads in any order."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store.blobs import State
from osproxy.store.drafts import WORTH_COMPLETING
from osproxy.store.ledger import CacheFull
from tests.store.doubles import HEAD, MIB, TAGGED, Place, WhenTold, run, sha256, target

if TYPE_CHECKING:
    from osproxy.store.drafts import Draft, DraftLease
    from osproxy.store.entries import Entry, Lease

# Two packages, an image, and a package that is pinned.
_KINDS = {"a": Kind.PACKAGE, "b": Kind.PACKAGE, "c": Kind.IMAGE, "d": Kind.PACKAGE}
_NAMES = tuple(_KINDS)
_PINNED = "d"
_names = st.sampled_from(_NAMES)
# Five of these fill the cache; the longest are worth completing when they are interrupted.
_lengths = st.sampled_from([0, 1, 5000, 400_000, WORTH_COMPLETING + 1, WORTH_COMPLETING + 90_000])
_fills = st.sampled_from([b"x", b"y", b"z"])
_EXPECTED = (CacheFull, CancelledError, FileNotFoundError)


@define(eq=False)
class _Held:
    lease: Lease | DraftLease
    offset: int
    body: bytes


class StoreMachine(RuleBasedStateMachine):
    """
    A store of 4 MiB, half of it for images, bodies of a little over 1 MiB, and threads that work
    when told.
    """

    eviction: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=os.getcwd()))
        self.threads = WhenTold()
        self.database = WhenTold()
        self.restarts = 0
        # What was ever committed under a name, by digest.
        self.bodies: dict[str, bytes] = {}
        # What was ever to be written to a file.
        self.wanted: dict[int, bytes] = {}
        self.boot(self.root / "0")

    def boot(self, path: Path) -> None:
        """Start a store on what lies there."""
        self.threads.waiting.clear()
        self.database.waiting.clear()
        self.place = Place(
            path,
            4 * MIB,
            in_thread=self.threads,
            in_database=self.database,
            eviction=self.eviction,
            image_space=lambda capacity: capacity // 2,
            pins=(f"/{_PINNED}",),
            recent=2,
        )
        self.most = 4 * MIB
        self.most_images = 2 * MIB
        self.overhead = 0
        self.lowered = False
        self.has_pinned = False
        self.store = self.place.store()
        starting = run(self.store.start())
        self.settle()
        assert starting.called
        self.beginning: list[tuple[str, bytes, Deferred[Any]]] = []
        self.resuming: list[Deferred[Any]] = []
        self.drafts: list[tuple[Draft, bytes]] = []
        self.opening: list[tuple[bytes, Deferred[Any]]] = []
        self.held: list[_Held] = []
        self.committing: list[Deferred[Any]] = []
        self.committed = 0

    def settle(self) -> None:
        """Run all threads until none has work."""
        while self.threads.waiting or self.database.waiting:
            self.threads.run_all()
            self.database.run_all()

    def find(self, name: str) -> Entry | None:
        """Look up what is stored, the thread of the catalogue going on meanwhile."""
        finding = run(self.store.find(target(name)))
        results: list[Entry | None] = []
        finding.addCallbacks(results.append, lambda failure: failure.raiseException())
        while not results:
            self.database.run()
        return results[0]

    def collect(self) -> None:
        """Take what has come of what was asked."""
        for item in list(self.beginning):
            _name, body, work = item
            if work.called:
                self.beginning.remove(item)
                work.addCallback(self.has_begun, body)
                work.addErrback(lambda failure: failure.trap(*_EXPECTED))
        for work in list(self.resuming):
            if work.called:
                self.resuming.remove(work)
                work.addCallback(self.has_resumed)
                work.addErrback(lambda failure: failure.trap(*_EXPECTED))
        for pair in list(self.opening):
            body, opened = pair
            if opened.called:
                self.opening.remove(pair)
                opened.addCallback(self.has_opened, body)
                opened.addErrback(lambda failure: failure.trap(*_EXPECTED))
        for commit in list(self.committing):
            if commit.called:
                self.committing.remove(commit)
                commit.addErrback(lambda failure: failure.trap(*_EXPECTED))

    def has_begun(self, draft: Draft, body: bytes) -> None:
        """Take a draft."""
        self.wanted[draft.blob.id] = body
        self.drafts.append((draft, body))

    def has_resumed(self, draft: Draft | None) -> None:
        """Take a draft that was begun before."""
        if draft is not None:
            self.check_written(draft)
            self.drafts.append((draft, self.wanted[draft.blob.id]))

    def check_written(self, draft: Draft) -> None:
        """What is there of a draft is as it was written."""
        found = draft.blob.path.read_bytes()[draft.offset :]
        assert found == self.wanted[draft.blob.id][: draft.written]

    def has_opened(self, lease: Lease, body: bytes) -> None:
        """Take a lease."""
        self.held.append(_Held(lease, lease.offset, body))

    @rule(name=_names, length=_lengths, fill=_fills, rest=st.booleans())
    def begin(self, name: str, length: int, fill: bytes, rest: bool) -> None:
        """Somebody wants to write."""
        body = fill * length
        work = run(
            self.store.begin(target(name), HEAD, length, kind=_KINDS[name], provenance=TAGGED)
        )
        self.beginning.append((name, body, work))
        if rest:
            self.settle()

    @precondition(lambda self: self.beginning)
    @rule(data=st.data())
    def cancel_begin(self, data: Any) -> None:
        """Somebody changes his mind."""
        data.draw(st.sampled_from(self.beginning))[2].cancel()

    @precondition(lambda self: self.drafts)
    @rule(data=st.data(), read=st.booleans(), missing=st.integers(0, 2))
    def put_aside(self, data: Any, read: bool, missing: int) -> None:
        """A draft is interrupted shortly before its end, read or not."""
        draft, body = data.draw(st.sampled_from(self.drafts))
        self.drafts.remove((draft, body))
        part = body[: max(draft.written, len(body) - missing)]
        draft.write(part[draft.written :])
        if read:
            self.held.append(_Held(draft.lease(), draft.offset, part))
        draft.put_aside()
        kept = self.store.kept.find(draft.target)
        assert (kept is draft) is (len(part) >= WORTH_COMPLETING)

    @precondition(lambda self: bool(self.store.kept))
    @rule(name=_names, cancel=st.booleans(), rest=st.booleans())
    def resume(self, name: str, cancel: bool, rest: bool) -> None:
        """Somebody wants what was interrupted."""
        self.resuming.append(work := run(self.store.resume(target(name))))
        if cancel:
            work.cancel()
        if rest:
            self.settle()

    @precondition(lambda self: self.drafts)
    @rule(data=st.data(), count=st.integers(1, 2), cancel=st.booleans(), rest=st.booleans())
    def commit(self, data: Any, count: int, cancel: bool, rest: bool) -> None:
        """One or two drafts are whole."""
        pairs = []
        for _ in range(min(count, len(self.drafts))):
            draft, body = data.draw(st.sampled_from(self.drafts))
            self.drafts.remove((draft, body))
            draft.write(body[draft.written :])
            pairs.append((draft, sha256(body)))
            self.bodies[sha256(body)] = body
            if data.draw(st.booleans()):
                self.held.append(_Held(draft.lease(), draft.offset, body))
        self.committed += len(pairs)
        self.committing.append(work := run(self.store.commit(pairs, 1.0)))
        if cancel:
            work.cancel()
            for draft, _ in pairs:
                draft.discard()
        if rest:
            self.settle()

    @rule(name=_names, other=_names)
    def store_equal(self, name: str, other: str) -> None:
        """What is stored becomes another name's, too; it is stored once if the name has room."""
        self.settle()
        entry = self.find(name)
        if entry is None or name == other or entry.length <= 4096:
            return
        body = self.bodies[entry.digest]
        work = run(self.store.begin(target(other), HEAD, len(body), kind=_KINDS[other]))
        self.settle()
        self.collect()
        image = _KINDS[other] is Kind.IMAGE
        joins = entry.state is State.LIVE and self.place.ledger.fits(4096, image=image)
        results: list[Draft] = []
        work.addCallbacks(results.append, lambda failure: failure.trap(CacheFull))
        for draft in results:
            draft.write(body)
            commit = run(self.store.commit([(draft, entry.digest)], 3.0))
            self.settle()
            (named,) = self.success(commit)
            assert not joins or named.body is entry.body

    def success(self, work: Deferred[Any]) -> Any:
        """Give what has come of what has succeeded."""
        results: list[Any] = []
        work.addCallbacks(results.append, lambda failure: failure.raiseException())
        return results[0]

    @precondition(lambda self: self.drafts)
    @rule(data=st.data(), read=st.booleans())
    def discard(self, data: Any, read: bool) -> None:
        """A draft is given up, half written, read or not."""
        draft, body = data.draw(st.sampled_from(self.drafts))
        self.drafts.remove((draft, body))
        half = body[: max(draft.written, len(body) // 2)]
        draft.write(half[draft.written :])
        if read:
            self.held.append(_Held(draft.lease(), draft.offset, half))
        draft.discard()

    @rule(name=_names, cancel=st.booleans(), rest=st.booleans())
    def open(self, name: str, cancel: bool, rest: bool) -> None:
        """A reader comes."""
        entry = self.find(name)
        if entry is not None:
            self.store.touch(entry)
            self.store.freshen(entry, 2.0)
            work = run(entry.open())
            self.opening.append((self.bodies[entry.digest], work))
            if cancel:
                work.cancel()
            if rest:
                self.settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """A reader has read all, and goes."""
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        self.check(held)
        held.lease.close()

    @rule(name=_names)
    def doom(self, name: str) -> None:
        """An entry is let go."""
        entry = self.find(name)
        if entry is not None:
            self.store.doom(entry)
            self.has_pinned &= name != _PINNED

    @rule()
    def tick(self) -> None:
        """Time passes."""
        self.place.clock.advance(5)

    @rule(name=_names, grace=st.integers(0, 10), back=st.booleans())
    def supersede(self, name: str, grace: int, back: bool) -> None:
        """No index names an entry any more, or one names it again."""
        entry = self.find(name)
        if entry is not None and back:
            self.place.ledger.unsupersede(entry.id)
        elif entry is not None:
            self.place.ledger.supersede(entry.id, self.place.clock.seconds() + grace)

    @rule(free=st.sampled_from([None, -2 * MIB, -MIB, 0, MIB]))
    def others_use_the_disk(self, free: int | None) -> None:
        """The disk has less room, or more again; this is seen within ten seconds."""
        self.place.free = free
        self.settle()
        for _ in range(2):
            self.place.clock.advance(5)
            self.settle()
        self.collect()
        ledger = self.place.ledger
        leased = any(held.lease for held in self.held)
        if not (leased or self.drafts or self.beginning or self.opening or self.committing):
            # Only what is pinned may be left, and the catalogue.
            assert ledger.used <= max(ledger.capacity, ledger.pinned + ledger.overhead)
        self.lowered |= ledger.capacity < 4 * MIB
        self.note()

    def note(self) -> None:
        """Remember what may be used from here on."""
        ledger = self.place.ledger
        self.most = max(ledger.used, ledger.capacity)
        self.most_images = max(ledger.images, ledger.image_capacity)
        self.overhead = ledger.overhead

    @precondition(lambda self: self.threads.waiting)
    @rule(data=st.data())
    def run_thread(self, data: Any) -> None:
        """A thread of many gets its turn, in any order."""
        self.threads.waiting.rotate(data.draw(st.integers(0, len(self.threads.waiting) - 1)))
        self.threads.run()

    @precondition(lambda self: self.database.waiting)
    @rule()
    def run_database(self) -> None:
        """The one thread of the catalogue goes on."""
        self.database.run()

    @rule()
    def run_everything(self) -> None:
        """All threads come to rest."""
        self.settle()

    @precondition(lambda self: self.committed > 2)
    @rule()
    def kill(self) -> None:
        """The process is killed; the next one starts on what it left on the disk."""
        self.restarts += 1
        left = self.root / str(self.restarts)
        shutil.copytree(self.place.path, left)
        self.end()
        self.boot(left)
        self.settle()
        self.agree()
        for name in _NAMES:
            entry = self.find(name)
            if entry is not None:
                body = entry.body.path.read_bytes()[entry.offset :]
                assert body == self.bodies[entry.digest]

    @invariant()
    def never_too_much(self) -> None:
        """
        B6: neither in the book nor on the disk.

        Where others have taken the room, rows of what had begun before are written all the same.
        """
        self.collect()
        ledger = self.place.ledger
        rows = ledger.overhead - self.overhead if self.lowered else 0
        assert ledger.used <= self.most + max(0, rows), (ledger, self.most, self.overhead)
        self.note()
        on_disk = sum(-(-size // 4096) * 4096 for size in self.place.files().values())
        assert on_disk <= ledger.used - ledger.overhead

    @invariant()
    def images_within_bounds(self) -> None:
        """
        Images that are stored have their half, and no more.

        Where others have taken the room, one stays that has a pinned name.
        """
        ledger = self.place.ledger
        if not ledger.reserved:
            assert ledger.images <= self.most_images

    @invariant()
    def pinned_stays(self) -> None:
        """What is pinned goes only when it is let go."""
        entry = self.find(_PINNED)
        assert entry is not None or not self.has_pinned
        if entry is not None:
            self.has_pinned = True
            assert self.place.ledger.pinned >= entry.length + 4096 * (entry.body is not entry.blob)

    @invariant()
    def readers_are_undisturbed(self) -> None:
        """B5: whatever happens to an entry, who holds it can read it."""
        for held in self.held:
            self.check(held)

    def check(self, held: _Held) -> None:
        """Read all of what is held."""
        found = os.pread(held.lease.fileno(), len(held.body), held.offset)
        assert found == held.body

    def agree(self) -> None:
        """B3: at rest, what lies on the disk is what is stored or put aside, and nothing else."""
        found = [entry for entry in map(self.find, _NAMES) if entry is not None]
        kept = [it for it in (self.store.kept.find(target(name)) for name in _NAMES) if it]
        paths = {str(entry.blob.path) for entry in found}
        paths |= {str(entry.body.path) for entry in found}
        paths |= {str(draft.blob.path) for draft in kept}
        files = {str(self.place.path / "osproxy" / name) for name in self.place.files()}
        assert files == paths, (files, paths)
        for draft in kept:
            self.check_written(draft)
        aside = sum(-(-draft.size // 4096) * 4096 for draft in kept)
        assert (self.place.ledger.awaiting, self.place.ledger.reserved) == (0, aside)

    def end(self) -> None:
        """Let everybody leave and stop in good order: nothing is left over."""
        for work in [*(work for _, _, work in self.beginning), *self.resuming]:
            work.cancel()
        self.settle()
        self.collect()
        for draft, _ in self.drafts:
            draft.discard()
        for held in self.held:
            held.lease.close()
        self.settle()
        self.collect()
        for draft, _ in self.drafts:
            draft.discard()
        self.settle()
        self.agree()
        stopping = run(self.store.stop())
        self.settle()
        assert stopping.called
        stopping.addErrback(lambda failure: failure.raiseException())
        assert self.place.descriptors() == []

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.end()
        shutil.rmtree(self.root)


class StoreSequenceTests(SynchronousTestCase):
    """Every sequence of happenings."""

    def check(self, eviction: str) -> None:
        """Let hypothesis look for a sequence that breaks something."""
        machine = type(f"{eviction}Machine", (StoreMachine,), {"eviction": eviction})
        run_state_machine_as_test(
            machine,
            settings=settings(max_examples=60, stateful_step_count=60),
        )

    def test_clock(self) -> None:
        """B3, B5 and B6 hold after every step, and nothing leaks, whatever happens when."""
        self.check("clock")

    def test_gdsf(self) -> None:
        """B3, B5 and B6 hold after every step, and nothing leaks, whatever happens when."""
        self.check("gdsf")

    def test_lru(self) -> None:
        """B3, B5 and B6 hold after every step, and nothing leaks, whatever happens when."""
        self.check("lru")
