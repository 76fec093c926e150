"""Tests of `osproxy.config.options`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.options import LISTEN, OPTIONS, PIN, WITHOUT_MEANING
from osproxy.config.values import BadValue


class OptionsTests(SynchronousTestCase):
    """The table of options is in order."""

    def test_defaults(self) -> None:
        """Each default is a value that its option takes."""
        for option in OPTIONS:
            if option.default is not None:
                option.parse(option.default)

    def test_names(self) -> None:
        """No two options have a name, or a variable, in common."""
        names = [option.name for option in OPTIONS]
        variables = [
            name for option in OPTIONS for name in (option.variable, *option.variables)
        ] + list(WITHOUT_MEANING)
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(len(set(variables)), len(variables))

    def test_help(self) -> None:
        """Each option is explained in a line, with its default if it has one."""
        for option in OPTIONS:
            self.assertTrue(0 < len(option.help) < 72, option.name)
            self.assertNotEqual(option.help[-1], ".")
            self.assertTrue(option.default is None or option.default_text)

    def test_variable(self) -> None:
        """An option's variable is its name in capitals."""
        self.assertEqual(
            {o.variable for o in OPTIONS if o.flag},
            {"OSPROXY_CACHE_LARGE_OBJECTS", "OSPROXY_WONDER_GUARD", "OSPROXY_VERBOSE"},
        )

    def test_endpoints(self) -> None:
        """Endpoints are taken as they are, but those that would bring what is ours."""
        self.assertEqual(
            LISTEN.parse("unix:/run/osproxy/http:mode=660"), "unix:/run/osproxy/http:mode=660"
        )
        for text in ("", "8080", "tcp:"):
            self.assertIn("give", str(self.assertRaises(BadValue, LISTEN.parse, text)))
        self.assertIn("--tls-listen", str(self.assertRaises(BadValue, LISTEN.parse, "ssl:8443")))
        proxied = str(self.assertRaises(BadValue, LISTEN.parse, "haproxy:tcp:8080"))
        self.assertIn("--proxy-protocol", proxied)
        passed = "systemd:domain=INET:name=http"
        self.assertIn("is not needed", str(self.assertRaises(BadValue, LISTEN.parse, passed)))

    def test_pins(self) -> None:
        """A pin is a path in its one spelling; a slash at its end stays, and not all is pinned."""
        for text, pinned in (
            ("/oss/", "/oss/"),
            ("/oss//x/../a%7eb.rpm", "/oss/a~b.rpm"),
            (" /iso/a.iso ", "/iso/a.iso"),
        ):
            self.assertEqual(PIN.parse(text), pinned)
        for text in ("", "oss/", "/", "//", "/..", "/a%zz", "http://h/oss/"):
            self.assertIn("give", str(self.assertRaises(BadValue, PIN.parse, text)))
