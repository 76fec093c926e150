"""
Somebody has been at the files: cut, altered, replaced, taken away, moved, or other ones put there.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from osproxy.store.records import read_header
from tests.integration.fsck import alter
from tests.integration.tools import require, require_root, threaded, until
from tests.integration.troubles import FILE, TroubleCase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.server import Osproxy

_SOMEBODY = 65534


def _shorten(path: Path) -> None:
    os.truncate(path, 1000)


def _lengthen(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


def _take_away(path: Path) -> None:
    path.unlink()


def _replace_by_link(path: Path) -> None:
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other.name)


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "somebody's").touch()


_CHANGES: list[Callable[[Path], None]] = [
    _shorten,
    _lengthen,
    alter,
    _take_away,
    _replace_by_link,
    _replace_by_pipe,
    _replace_by_folder,
]


def tree(root: Path) -> list[str]:
    """List all that lies there."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


class ChangedTests(TroubleCase):
    """Entries that are not any more what was stored."""

    def stored(self, server: Osproxy) -> dict[str, Path]:
        """Find the files of entries by what they are the entries of."""
        return {read_header(path).target.path: path for path in server.entry_files()}

    @threaded
    def test_while_it_runs(self) -> None:
        """What is not a file of the right size is fetched anew, in the same request."""
        files = self.publish(len(_CHANGES) + 1)
        server = self.osproxy(self.file_server().url, "--cache-size=100MiB")
        self.hits(server, files)
        stored = self.stored(server)
        for change, path in zip(_CHANGES, files, strict=False):
            change(stored[path])
        self.assertEqual(self.hits(server, files), 1)
        self.assertEqual(self.troubles(server)["read"], len(_CHANGES))
        # Of each kind of error one, and one of what cannot be removed.
        said = self.complaints(server)
        self.assertLessEqual(len(said), 4, said)
        self.assertEqual(self.hits(server, files), len(files))
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_while_it_was_stopped(self) -> None:
        """So it is after a start, whether the sweep or a client comes first."""
        files = self.publish(len(_CHANGES) + 1)
        server = self.osproxy(self.file_server().url, "--cache-size=100MiB")
        self.hits(server, files)
        stored = self.stored(server)
        self.assertEqual(server.stop(), 0)
        for change, path in zip(_CHANGES, files, strict=False):
            change(stored[path])
        server.start()
        self.assertEqual(self.hits(server, files), 1)
        self.assertEqual(self.hits(server, files), len(files))
        said = self.complaints(server)
        self.assertLessEqual(len(said), 5, said)
        self.assertEqual(server.stop(), 0)

    @threaded
    def test_unreadable_for_us(self) -> None:
        """Without root's privileges: a file that may not be read is fetched anew."""
        require("setpriv")
        require_root("give files to somebody else")
        files = self.publish(2)
        first, _ = files
        server = self.osproxy(self.file_server().url, start=False)
        server.without_privilege()
        server.start()
        self.hits(server, files)
        path = self.stored(server)[first]
        os.chown(path, _SOMEBODY, _SOMEBODY)
        self.assertEqual(self.hits(server, files), 1)
        self.assertEqual(self.hits(server, files), 2)
        (line,) = self.complaints(server)
        self.assertIn("Permission denied", line)

    @threaded
    def test_folder_not_writable(self) -> None:
        """Without root's privileges: where nothing can be written, files are passed through."""
        require("setpriv")
        require_root("give files to somebody else")
        files = self.publish(3)
        first, *_ = files
        server = self.osproxy(self.file_server().url, start=False)
        server.without_privilege()
        server.start()
        self.hits(server, files, [first])
        drafts = server.store / "drafts"
        drafts.chmod(0o500)
        for _ in range(2):
            self.assertEqual(self.hits(server, files), 1)
        (line,) = self.complaints(server)
        self.assertIn("Permission denied", line)
        drafts.chmod(0o700)
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 3)

    @threaded
    def test_not_readable_at_the_start(self) -> None:
        """Without root's privileges: somebody else's directory is left alone, in a line."""
        require("setpriv")
        require_root("give files to somebody else")
        server = self.osproxy(self.file_server().url)
        self.assertEqual(server.stop(), 0)
        before = tree(server.store)
        os.chown(server.store, _SOMEBODY, _SOMEBODY)
        server.without_privilege()
        server.launch()
        self.assertNotEqual(server.wait(), 0)
        self.assertIn("Permission denied", server.said())
        self.complaints(server)
        self.assertEqual(tree(server.store), before)


class PlaceTests(TroubleCase):
    """The directory as a whole: where it is, what else is there."""

    @threaded
    def test_moved(self) -> None:
        """A cache that was moved to another path is as full as it was."""
        files = self.publish(4)
        server = self.osproxy(self.file_server().url)
        self.hits(server, files)
        self.assertEqual(server.stop(), 0)
        server.move(self.place("elsewhere"))
        server.start()
        self.assertEqual(self.hits(server, files), 4)
        self.assertEqual(self.complaints(server), [])
        self.assert_ledger_is_right(server)

    @threaded
    def test_lowered_capacity(self) -> None:
        """With less capacity than before what was used last stays."""
        files = self.publish(8)
        server = self.osproxy(self.file_server().url, "--cache-size=40MiB")
        self.hits(server, files)
        *_, last_but_one, last = files
        self.assertEqual(server.stop(), 0)
        server.options.append("--cache-size=10MiB")
        server.start()
        until(lambda: server.status().stored <= 10 << 20, "it comes down")
        self.assert_ledger_is_right(server)
        self.assertGreaterEqual(server.status().entries, 2)
        self.assertEqual(self.hits(server, files, [last, last_but_one]), 2)
        text = server.fetch("/-/metrics").body.decode()
        self.assertIn(f"osproxy_evictions_total {8 - server.status().entries}.0", text)
        self.assertEqual(self.complaints(server), [])

    @threaded
    def test_foreign_files(self) -> None:
        """What is not named as we name files stays where it is, and costs nothing."""
        files = self.publish(2)
        server = self.osproxy(self.file_server().url)
        self.hits(server, files)
        folder = server.entry_files()[0].parent
        self.assertEqual(server.stop(), 0)
        elsewhere = self.place("elsewhere")
        elsewhere.mkdir()
        (elsewhere / "secret").write_text("a secret")
        for place in (server.store, server.store / "drafts", server.store / "entries", folder):
            (place / "README").write_text("somebody's")
            (place / "lost+found").mkdir()
            (place / "link").symlink_to(elsewhere)
            # Named as a file of ours, but none.
            (place / "0000000000000001").mkdir()
            (place / "0000000000000002").symlink_to(elsewhere / "secret")
        (server.store / "entries" / "1f").symlink_to(elsewhere)
        before = tree(server.cache_path)
        server.start()
        self.assertEqual(self.hits(server, files), 2)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.complaints(server), [])
        self.assertEqual([path for path in before if path not in tree(server.cache_path)], [])
        self.assertEqual(tree(elsewhere), ["secret"])

    @threaded
    def test_existing_proxy(self) -> None:
        """The files of the existing proxy in the cache path stay as they are, beside ours."""
        files = self.publish(1)
        server = self.osproxy(self.file_server().url, start=False)
        self.existing(server.cache_path)
        before = tree(server.cache_path)
        server.start()
        self.hits(server, files)
        self.assertEqual(self.hits(server, files), 1)
        self.assertEqual(server.stop(), 0)
        after = [path for path in tree(server.cache_path) if not path.startswith("osproxy")]
        self.assertEqual(after, before)
        self.assertEqual(self.complaints(server), [])

    @threaded
    def test_something_else_in_its_place(self) -> None:
        """Where the directory should be and something else is, that is left alone, in a line."""
        server = self.osproxy("http://127.0.0.1:9", start=False)
        store, elsewhere = server.store, self.place("elsewhere")
        elsewhere.mkdir()

        def marked(spoil: Callable[[], object]) -> None:
            store.mkdir()
            (store / "osproxy-cache").write_text("osproxy cache directory, format 1\n")
            spoil()

        def taken(name: str) -> None:
            marked(lambda: (store / name).mkdir())

        def linked(name: str) -> None:
            marked(lambda: (store / name).symlink_to(elsewhere))

        def without_marker(mark: Callable[[Path], object]) -> None:
            store.mkdir()
            mark(store / "osproxy-cache")

        def of_another_format(marker: Path) -> None:
            marker.write_text("osproxy cache directory, format 99\n")

        ways: list[Callable[[], object]] = [
            lambda: self.existing(store),
            lambda: store.write_text("a file"),
            lambda: os.mkfifo(store),
            lambda: store.symlink_to(elsewhere / "missing"),
            partial(without_marker, Path.mkdir),
            partial(without_marker, lambda it: it.symlink_to(elsewhere / "marker")),
            partial(without_marker, of_another_format),
            partial(taken, "run"),
            partial(taken, "catalogue.sqlite"),
            partial(linked, "drafts"),
            partial(linked, "entries"),
            partial(linked, "catalogue.sqlite"),
            lambda: marked(lambda: (store / "entries").write_text("a file")),
        ]
        for number, way in enumerate(ways):
            way()
            before = tree(server.cache_path)
            heard = len(server.said()) if number else 0
            server.launch()
            self.assertEqual(server.wait(), 1, number)
            said = server.said()[heard:]
            self.assertEqual(sum(str(store) in line for line in said.splitlines()), 1, said)
            self.assertNotIn("Traceback", said)
            lost = [path for path in before if path not in tree(server.cache_path)]
            self.assertEqual(lost, [], number)
            self.assertEqual(tree(elsewhere), [], number)
            if store.is_symlink() or not store.is_dir():
                store.unlink()
            else:
                shutil.rmtree(store)

    def existing(self, place: Path) -> None:
        """Make what the existing proxy has in its cache path."""
        for name in ("00", "7f", "ff", "tmp", "garbage"):
            (place / name).mkdir(parents=True, exist_ok=True)
        for name in ("a", "b"):
            entry = place / "7f" / (name * 64)
            entry.write_bytes(b"x" * FILE)
            entry.with_name(f"{entry.name}.meta").write_text('{"key": "/x"}')
        (place / "tmp" / ".tmpAbCdEf").write_bytes(b"half")
