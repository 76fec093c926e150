"""Tests of `osproxy.config.changes`."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, fields
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.certificates import Pair
from osproxy.config.changes import LIVE, adopt, attribute_of, changes
from osproxy.config.clients import networks
from osproxy.config.given import Given
from osproxy.config.options import CONFIG, OPTIONS
from osproxy.config.settings import Settings, load
from osproxy.config.values import Share
from osproxy.repo.kinds import Kind

# What is set when the server starts, and then stays.
FIXED = {
    *("listeners", "cache", "cache_size", "free_space", "durability", "image_space"),
    "wonder_guard_window",
    *("eviction", "pins", "upstream_ca", "control_socket", "scrub_rate", "scrub_interval"),
}


class ChangesTests(SynchronousTestCase):
    """What differs between settings, and what of it can change."""

    def setUp(self) -> None:
        """Load settings."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.settings = self.load()

    def load(self, **arguments: str) -> Settings:
        """Load settings with these options."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        return load({"cache-path": str(self.directory), **given}, {}, ipv6=lambda: True)

    def said(self, new: Settings, old: Settings | None = None) -> list[str]:
        """Say what has changed."""
        return [str(change) for change in changes(old or self.settings, new)]

    def test_each(self) -> None:
        """Of each setting it is known whether it can change; warnings are none."""
        known = {it.name for it in fields(Settings)} - {"warnings"}
        self.assertEqual(known, LIVE | FIXED)
        self.assertEqual(LIVE & FIXED, set())

    def test_options(self) -> None:
        """Each option but that of the file comes to a setting, and each setting from an option."""
        attributes = {attribute_of(option.name) for option in OPTIONS if option is not CONFIG}
        self.assertEqual(attributes, LIVE | FIXED)

    def test_names(self) -> None:
        """A change is told by a name that the operator knows."""
        self.assertEqual(self.said(self.load(pin="/a/")), ["--pin: changed, which takes a restart"])

    def test_nothing(self) -> None:
        """Settings that were written anew and are the same have not changed."""
        self.assertEqual(self.said(self.load()), [])
        self.assertEqual(adopt(self.settings, self.load()), self.settings)

    def test_warnings(self) -> None:
        """Another warning is no change."""
        self.assertEqual(self.said(evolve(self.settings, warnings=("ah",))), [])

    def test_live(self) -> None:
        """What can change is told with what it is and was."""
        new = self.load(
            client_timeout="5",
            clients="10.0.0.0/8,::1",
            acme_challenge_dir="/x",
            trusted_proxies="unix,::1",
        )
        old = evolve(self.settings, clients=networks("::1"), deny=networks("::2"))
        self.assertEqual(
            self.said(new, old),
            [
                "--acme-challenge-dir: /x from now on, no longer the default",
                "--clients: 10.0.0.0/8, ::1/128 from now on, no longer ::1/128",
                "--deny: none from now on, no longer ::2/128",
                "--trusted-proxies: unix, ::1/128 from now on, no longer none",
                "--client-timeout: 5.0 from now on, no longer 120.0",
            ],
        )
        self.assertEqual(adopt(old, new), evolve(new, warnings=old.warnings))

    def test_backends(self) -> None:
        """Backends are told of by their places; what else changes of one is not spelled out."""
        new = self.load(mirror_chain="http://parent")
        self.assertEqual(
            self.said(new),
            ["the backends: / from http://parent from now on, no longer / from "
             "https://cdn.opensuse.org"],
        )  # fmt: skip
        fresher = evolve(new.backends[0], freshness={Kind.INDEX: 1.0})
        self.assertEqual(
            self.said(evolve(new, backends=(fresher,)), new), ["the backends: as written now"]
        )

    def test_fixed(self) -> None:
        """What cannot change is told of, too, and stays as it was."""
        new = self.load(cache_size="1GiB", bind_address="[::1]:80", client_timeout="5")
        self.assertEqual(
            self.said(new)[:2],
            [
                "where to listen: changed, which takes a restart",
                "--cache-size: changed, which takes a restart",
            ],
        )
        using = adopt(self.settings, new)
        self.assertEqual((using.cache_size, using.client_timeout), (16 << 30, 5.0))
        self.assertEqual(using.listeners, self.settings.listeners)
        self.assertEqual(self.said(new, using), self.said(new)[:2])

    def test_certificate(self) -> None:
        """Other files of the certificate can be used if there is TLS, and goes on to be."""
        given = Given("--tls-pem-key", "default", ())
        first = Pair(Path("/k"), Path("/c"), given, given)
        other = evolve(first, key=Path("/l"))
        with_tls, without = evolve(self.settings, tls=first), self.settings
        self.assertEqual(
            self.said(evolve(with_tls, tls=other), with_tls),
            ["--tls-pem-key and --tls-pem-chain: /l and /c from now on, no longer /k and /c"],
        )
        for old, new in ((with_tls, without), (without, with_tls)):
            self.assertIn("takes a restart", self.said(new, old)[0])
            self.assertEqual(adopt(old, new), old)

    def test_free_space(self) -> None:
        """No value of a setting needs words of its own where it takes a restart."""
        new = evolve(self.settings, free_space=Share(size=5))
        self.assertEqual(self.said(new), ["--free-space: changed, which takes a restart"])
