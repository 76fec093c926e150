"""Tests of `osproxy.store.inspection`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from osproxy.repo.kinds import Kind
from osproxy.store import inspection
from osproxy.store.inspection import BITE, Damaged, Fault, inspect
from osproxy.store.pagecache import cached
from osproxy.store.records import Record, header_of
from tests.store.doubles import HEAD, sha256, target

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = os.urandom(2 * BITE + 5000)
ATTEMPTS = 10


class InspectionTestCase(SynchronousTestCase):
    """One entry's file."""

    def setUp(self) -> None:
        """Write it."""
        self.path = Path(self.mktemp()) / f"{7:016x}"
        self.path.parent.mkdir()
        self.record = self.write(BODY)

    def write(self, body: bytes) -> Record:
        """Write the file of an entry with this body."""
        record = Record(
            7, target("a"), Kind.PACKAGE, HEAD, 4096, len(body), sha256(body), 1.5, 2.0, "g"
        )
        self.path.write_bytes(header_of(record) + body)
        return record

    def look(self, record: Record | None = None) -> list[int]:
        """Inspect it, and give the bites."""
        return list(inspect(self.path, record or self.record))

    def fault(self, record: Record | None = None) -> Fault:
        """Inspect it, and say what is wrong with it."""
        damaged: Damaged = self.assertRaises(Damaged, self.look, record)
        return damaged.fault

    def patch_file(self, position: int, octets: bytes) -> None:
        """Alter the file in its place."""
        with self.path.open("r+b") as file:
            file.seek(position)
            file.write(octets)


class FaultTests(InspectionTestCase):
    """What is wrong, and what is not."""

    def test_right(self) -> None:
        """A file that is as it was is read once, in bites."""
        self.assertEqual(self.look(), [BITE, BITE, 5000])

    def test_empty(self) -> None:
        """So is one without a body."""
        self.assertEqual(self.look(self.write(b"")), [])

    def test_confirmed_since(self) -> None:
        """What the source has confirmed since is in the catalogue only."""
        head = evolve(HEAD, date=99.0)
        self.assertEqual(sum(self.look(evolve(self.record, checked_at=99.0, head=head))), len(BODY))

    def make_link(self) -> None:
        """Put a symbolic link to the file in its place."""
        self.path.rename(self.path.with_name("moved"))
        self.path.symlink_to("moved")

    def test_each_fault(self) -> None:
        """One octet is enough."""
        flipped = bytes([BODY[-1] ^ 1])
        damages: list[tuple[Fault, Callable[[], object]]] = [
            (Fault.MISSING, self.path.unlink),
            (Fault.SIZE, lambda: os.truncate(self.path, self.record.size - 1)),
            (Fault.SIZE, lambda: os.truncate(self.path, self.record.size + 1)),
            (Fault.SIZE, lambda: os.truncate(self.path, 0)),
            (Fault.BODY, lambda: self.patch_file(self.record.size - 1, flipped)),
            (Fault.BODY, lambda: self.patch_file(4096, bytes([BODY[0] ^ 128]))),
            (Fault.HEADER, lambda: self.patch_file(0, b"O")),
            (Fault.HEADER, lambda: self.patch_file(16, b"[")),
            (Fault.UNREADABLE, self.make_link),
        ]
        for number, (fault, damage) in enumerate(damages):
            self.write(BODY)
            damage()
            self.assertEqual(self.fault(), fault, number)
            self.path.unlink(missing_ok=True)

    def test_another_entry(self) -> None:
        """A whole file that is another entry's is wrong, whichever way it shows."""
        for other in (
            evolve(self.record, target=target("b")),
            evolve(self.record, kind=Kind.MUTABLE),
            evolve(self.record, generation="h"),
            evolve(self.record, id=8),
            evolve(self.record, stored_at=9.0),
        ):
            self.assertEqual(self.fault(other), Fault.HEADER)

    def test_truncated_meanwhile(self) -> None:
        """A file that gets shorter while it is read is damaged, too."""
        reading = inspect(self.path, self.record)
        next(reading)
        os.truncate(self.path, 4096 + BITE + 7)
        damaged = self.assertRaises(Damaged, list, reading)
        self.assertEqual(damaged.fault, Fault.SIZE)

    def test_disk_error(self) -> None:
        """What the disk does not give is damaged; what cannot be told now is not."""
        for number, expected in ((errno.EIO, Damaged), (errno.EMFILE, OSError)):

            def fail(*_: object, number: int = number) -> bytes:
                raise OSError(number, os.strerror(number))

            self.patch(inspection, "_read", fail)
            self.assertRaises(expected, self.look)

    def test_text(self) -> None:
        """What is wrong is said in a few words."""
        os.truncate(self.path, 5000)
        damaged = self.assertRaises(Damaged, self.look)
        self.assertEqual(
            str(damaged), f"its file has another size (5000 octets instead of {self.record.size})"
        )


class TracesTests(InspectionTestCase):
    """What inspecting leaves behind."""

    def descriptors(self) -> int:
        """Count what is open."""
        return len(os.listdir("/proc/self/fd"))

    def test_closes(self) -> None:
        """However it ends, the file is closed."""
        before = self.descriptors()
        self.look()
        self.patch_file(5000, b"xyz")
        self.fault()
        reading = inspect(self.path, self.record)
        next(reading)
        reading.close()
        self.assertEqual(self.descriptors(), before)

    def resident(self) -> list[bool]:
        """Say what of the file is in memory, at the beginning, middle and end of each bite."""
        file = os.open(self.path, os.O_RDONLY)
        try:
            # Without reading ahead, a look brings in no more than one page.
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            places = (0, 4096, 4096 + BITE // 2, 4096 + BITE, 4096 + BITE * 3 // 2, 4096 + 2 * BITE)
            return [cached(file, place, unknown=True) for place in places]
        finally:
            os.close(file)

    def forget(self, path: Path) -> None:
        """Put a file out of memory."""
        file = os.open(path, os.O_RDWR)
        try:
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)

    def stays(self) -> bool:
        """Say whether all files are in memory here, whatever is done."""
        other = Path(self.mktemp())
        other.write_bytes(bytes(4096))
        self.forget(other)
        with other.open("rb") as file:
            return cached(file.fileno(), 0, unknown=True)

    def leaves(self, attempt: Callable[[], list[bool]]) -> None:
        """
        See that an inspection leaves in memory what an attempt says that it is to.

        The kernel is asked and not told (posix_fadvise(2)): while it does something else with a
        page, it keeps that, and where memory is short it keeps none. So it may take a few.
        """
        for _ in range(ATTEMPTS):
            expected = attempt()
            found = self.resident()
            if found == expected:
                return
        self.assertEqual(found, expected)

    def test_hot_stays(self) -> None:
        """What clients read stays in memory."""

        def attempt() -> list[bool]:
            # What is not on the disk yet would stay in any case.
            self.forget(self.path)
            self.path.read_bytes()
            self.look()
            return [True] * 6

        self.leaves(attempt)

    def test_cold_goes(self) -> None:
        """What nobody reads takes no memory away from what is read."""

        def attempt() -> list[bool]:
            self.forget(self.path)
            self.look()
            return [self.stays()] * 6

        self.leaves(attempt)

    def test_partly_hot(self) -> None:
        """A part that clients read stays, and the others go."""

        def attempt() -> list[bool]:
            self.forget(self.path)
            with self.path.open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                os.pread(file.fileno(), BITE, 4096 + BITE)
            self.look()
            stays = self.stays()
            return [stays, stays, stays, True, True, stays]

        self.leaves(attempt)

    def test_damaged_goes(self) -> None:
        """A second look at a damaged file is at the disk."""
        self.patch_file(4096 + BITE, bytes([BODY[BITE] ^ 1]))

        def attempt() -> list[bool]:
            self.forget(self.path)
            self.path.read_bytes()
            self.assertEqual(self.fault(), Fault.BODY)
            return [self.stays()] * 6

        self.leaves(attempt)
