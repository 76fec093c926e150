"""Tests of `osproxy.config.backends`."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.backends import (
    backends_elsewhere,
    complete,
    own_backends,
    warnings_of_keys,
)
from osproxy.config.clients import networks
from osproxy.config.files import Table
from osproxy.config.given import ConfigError, Given
from osproxy.config.kinds import guarded_kinds
from osproxy.repo.kinds import Kind

if TYPE_CHECKING:
    from osproxy.model import Backend

GUARDED = guarded_kinds("yes")
CHAIN = Given("--mirror-chain", "command line", ("http://parent:8080/",))


def table(text: str, name: str = "x.toml") -> Table:
    """Make a file of this text."""
    return Table("", name, tomllib.loads(text))


def backends(
    text: str = "",
    elsewhere: str = "",
    chain: Given | None = None,
    *,
    large_objects: bool = False,
    guarded: frozenset[Kind] = frozenset(),
) -> tuple[Backend, ...]:
    """Read a file, and one of the existing proxy, to the end."""
    declared = [
        *own_backends(table(text), large_objects=large_objects, guarded=guarded),
        *backends_elsewhere(
            table(elsewhere, "old.toml"), large_objects=large_objects, guarded=guarded
        ),
    ]
    return complete(declared, chain, large_objects=large_objects, guarded=guarded)


class BackendsTests(SynchronousTestCase):
    """Tables of the file say which files come from where."""

    def complaint(self, text: str, elsewhere: str = "", chain: Given | None = None) -> str:
        """Read what is wrong, and give the complaint."""
        return str(self.assertRaises(ConfigError, backends, text, elsewhere, chain))

    def test_default(self) -> None:
        """Without any table all files come from openSUSE, under the names clients know."""
        (backend,) = backends()
        self.assertEqual((backend.prefix, backend.authority), ("/", "https://cdn.opensuse.org"))
        self.assertEqual(backend.hosts, ("cdn.opensuse.org", "download.opensuse.org"))
        self.assertFalse(backend.large_objects)

    def test_chain(self) -> None:
        """One authority for everything may be given without a table."""
        (backend,) = backends(chain=CHAIN, large_objects=True)
        self.assertEqual(backend.authority, "http://parent:8080")
        self.assertTrue(backend.large_objects)

    def test_table(self) -> None:
        """A table has the authority, the host names, and what differs from the rest."""
        text = """
        [backend."/packman/"]
        authority = "https://packman.example/suse/"
        hosts = ["Packman.example", "packman.example:8080"]
        large_objects = true
        freshness = {index = 60, package = "15min"}
        """
        backend, default = backends(text)
        self.assertEqual(backend.prefix, "/packman")
        self.assertEqual(backend.authority, "https://packman.example/suse")
        self.assertEqual(backend.hosts, ("packman.example", "packman.example:8080"))
        self.assertTrue(backend.large_objects)
        self.assertEqual(backend.freshness, {Kind.INDEX: 60, Kind.PACKAGE: 900})
        self.assertEqual(default.prefix, "/")

    def test_policy(self) -> None:
        """A backend holds repositories unless it says that it is generic."""
        text = '[backend."/a"]\nauthority = "https://a.example"\npolicy = "Generic"\n'
        generic, default = backends(text)
        self.assertEqual((generic.generic, default.generic), (True, False))
        (repository, _) = backends(text.replace("Generic", "repository"))
        self.assertFalse(repository.generic)

    def test_policy_alone(self) -> None:
        """What is said of kinds of files means nothing to a generic backend."""
        text = '[backend."/a"]\nauthority = "https://a.example"\npolicy = "generic"\n'
        for more in ("large_objects = true", "freshness = {package = 60}"):
            complaint = self.complaint(text + more)
            name = more.partition(" ")[0]
            self.assertIn(f'backend."/a".{name} (x.toml): has no meaning with policy', complaint)
        self.assertIn(
            'backend."/a".policy', self.complaint(text.replace('"generic"', '"transparent"'))
        )

    def test_access(self) -> None:
        """Who may ask for files of a backend is a list of its own, where there is one."""
        for keys, clients, deny in (
            ("", None, ()),
            ('clients = "10.0.0.0/8,::1"', networks("10.0.0.0/8,::1"), ()),
            ('clients = ["10.0.0.0/8", "::1"]', networks("10.0.0.0/8,::1"), ()),
            ('clients = "all"\ndeny = ["192.0.2.1"]', networks("all"), networks("192.0.2.1")),
            ("deny = []", None, ()),
        ):
            backend = backends(f'[backend."/x"]\nauthority = "http://h"\n{keys}')[0]
            self.assertEqual((backend.clients, backend.deny), (clients, deny), keys)

    def test_order(self) -> None:
        """The longest prefix is looked at first."""
        text = "".join(
            f'[backend."{prefix}"]\nauthority = "http://h"\n'
            for prefix in ("/a", "/a/b", "/", "/b")
        )
        self.assertEqual([b.prefix for b in backends(text)], ["/a/b", "/a", "/b", "/"])

    def test_large_objects(self) -> None:
        """What a table does not say of large objects is as it is for all."""
        text = '[backend."/a"]\nauthority = "http://h"\n[backend."/b"]\nauthority = "http://h"\n'
        found = backends(text + "large-objects = false", large_objects=True)
        self.assertEqual([b.large_objects for b in found], [True, False, True])

    def test_default_is_declared(self) -> None:
        """A table for everything has the hosts that it names, and no others."""
        (backend,) = backends('[backend."/"]\nauthority = "http://h"')
        self.assertEqual((backend.authority, backend.hosts), ("http://h", ()))

    def test_two_for_everything(self) -> None:
        """An authority for everything and a table for everything are an error that names both."""
        complaint = self.complaint('[backend."/"]\nauthority = "http://h"', chain=CHAIN)
        self.assertIn("--mirror-chain (command line): ", complaint)
        self.assertIn('backend."/" (x.toml)', complaint)

    def test_one_prefix_twice(self) -> None:
        """Two tables for one prefix are an error that names both."""
        text = '[backend."/a"]\nauthority = "http://h"\n'
        self.assertIn('backend."/a" (x.toml)', self.complaint(text + text.replace("/a", "//a/")))
        complaint = self.complaint(text, '[prefix."a"]\nurl = "http://h"')
        self.assertIn("prefix.a (old.toml): /a is declared as backend.", complaint)

    def test_complaints(self) -> None:
        """What is wrong in a table is told with the table, the key and the file."""
        head = '[backend."/a"]\n'
        good = head + 'authority = "http://h"\n'
        for text, *parts in (
            (head, 'backend."/a".authority (x.toml): is missing'),
            (head + 'authority = "h"', "backend.\"/a\".authority (x.toml): 'h' names no host"),
            (head + 'authority = ["http://a", "http://b"]', "takes one value"),
            (good + "mirrors = []", 'backend."/a".mirrors (x.toml): there is no such key'),
            (good + 'hosts = ["a b"]', "backend.\"/a\".hosts (x.toml): 'a b' is not a host"),
            (good + "large_objects = 2", "backend.\"/a\".large_objects (x.toml): '2' is neither"),
            (good + "wonder_guard = 'rpm'", "wonder_guard (x.toml): 'rpm' names no kind"),
            (good + "freshness = 60", 'write [backend."/a".freshness] above'),
            (good + "freshness.rpm = 60", 'backend."/a".freshness.rpm (x.toml): there is no such'),
            (good + "freshness.addressed = 60", "there is no such key"),
            (good + 'freshness.index = "soon"', ".index (x.toml): 'soon' is not a time"),
            (good + "clients = []", 'backend."/a".clients (x.toml): lets nobody ask; give'),
            (good + 'clients = "lan"', "backend.\"/a\".clients (x.toml): 'lan' has 'lan', which"),
            (good + 'deny = "10.1.2.3/8"', 'backend."/a".deny (x.toml): '),
            ("[backend.a]", "backend.a (x.toml): 'a' does not begin with a slash; write \"/a\""),
            ('[backend."/../a"]', "'/../a' is no path"),
            ('[backend."/-/x"]', "pages of osproxy itself"),
            ("backend = 1", "backend (x.toml): is no table"),
        ):
            complaint = self.complaint(text)
            for part in parts:
                self.assertIn(part, complaint)

    def test_guarded(self) -> None:
        """What is kept only at a second request is said for all backends, or for one."""
        text = """
        [backend."/a"]
        authority = "http://h"
        wonder_guard = "image, package"
        [backend."/b"]
        authority = "http://h"
        [backend."/c"]
        authority = "http://h"
        wonder_guard = false
        [backend."/d"]
        authority = "http://h"
        wonder_guard = ["image", "package"]
        """
        some = {Kind.IMAGE, Kind.PACKAGE}
        guarded = [backend.guarded for backend in backends(text, guarded=GUARDED)]
        self.assertEqual(guarded, [some, GUARDED, set(), some, GUARDED])
        there = backends("", '[prefix."/a"]\nurl = "http://h"', guarded=GUARDED)
        self.assertEqual([backend.guarded for backend in there], [set(), GUARDED])

    def test_existing_proxy(self) -> None:
        """The existing proxy's file is read as it is; what means nothing is told of once."""
        text = """
        [prefix."pub"]
        url = "https://mirror.example"
        cache_large_objects = true
        wonder_guard = true
        [prefix."/"]
        url = "https://cdn.opensuse.org"
        check_upstream = true
        """
        backend, default = backends(elsewhere=text)
        self.assertEqual((backend.prefix, backend.large_objects), ("/pub", True))
        self.assertEqual((backend.guarded, default.guarded), (GUARDED, frozenset()))
        self.assertEqual(default.hosts, ("cdn.opensuse.org", "download.opensuse.org"))
        self.assertEqual(
            list(warnings_of_keys(table(text, "old.toml"))),
            ["key check_upstream in old.toml has no meaning to osproxy and is ignored"],
        )

    def test_existing_proxy_mistakes(self) -> None:
        """What is wrong in the existing proxy's file is told as in our own."""
        self.assertIn("prefix.a.url (old.toml): is missing", self.complaint("", "[prefix.a]"))
        self.assertIn("there is no such key", self.complaint("", "[backend.a]"))
        self.assertIn('"/" (old.toml)', self.complaint("", '[prefix."/"]\nurl = "http://h"', CHAIN))
