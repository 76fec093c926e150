"""Tests for `osproxy.http.forwarded`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.forwarded import add, clients

HOP = re.compile(
    r'for=([^;,"]+|"\[[0-9a-f:.]+\]")(;host=([^;,"\\]+|"(?:[^"\\]|\\.)+"))?;proto=http'
)


class AddTests(SynchronousTestCase):
    """An upstream is told whom we ask for (RFC 7239)."""

    def test_element(self) -> None:
        """Addresses of IPv6 stand in brackets and quotes, and what is no token in quotes."""
        for client, host, proto, expected in (
            ("192.0.2.1", None, "http", "for=192.0.2.1;proto=http"),
            ("192.0.2.1", "h", "https", "for=192.0.2.1;host=h;proto=https"),
            ("192.0.2.1", "h:80", "http", 'for=192.0.2.1;host="h:80";proto=http'),
            ("2001:DB8:0::1", "[::1]:80", "http", 'for="[2001:db8::1]";host="[::1]:80";proto=http'),
            ("fe80::1%eth0", None, "http", 'for="[fe80::1]";proto=http'),
            ("::ffff:192.0.2.1", None, "http", "for=192.0.2.1;proto=http"),
            ("/run/osproxy.sock", None, "http", "for=unknown;proto=http"),
            ("", None, "http", "for=unknown;proto=http"),
            ("192.0.2.1, for=x", None, "http", "for=unknown;proto=http"),
            ("192.0.2.1:80", None, "http", "for=unknown;proto=http"),
            ("192.0.2.1", "", "http", 'for=192.0.2.1;host="";proto=http'),
            ("192.0.2.1", 'a"b\\c', "http", r'for=192.0.2.1;host="a\"b\\c";proto=http'),
            ("192.0.2.1", "h;for=x", "http", 'for=192.0.2.1;host="h;for=x";proto=http'),
            ("192.0.2.1", "h\r\nX: y", "http", "for=192.0.2.1;proto=http"),
            (
                "192.0.2.1",
                "\xe9",
                "http",
                "for=192.0.2.1;proto=http",
            ),
        ):
            with self.subTest(client=client, host=host):
                self.assertEqual(add((), client, host, proto), expected)

    def test_appended(self) -> None:
        """What was there stays in front, if it can be read."""
        for values, kept in (
            ([""], ""),
            (["for=_a"], "for=_a, "),
            ([" for=_a;by=b , For=c ", 'for="[::1]:80"'], 'for=_a;by=b , For=c, for="[::1]:80", '),
            (['for="a, b;\\"c"'], 'for="a, b;\\"c", '),
            (["for=a;;by=b,"], "for=a;;by=b,, "),
            (['for="never, closed'], ""),
            (['for="a\\'], ""),
            (['for="a"b'], ""),
            (["for=[::1]"], ""),
            (["for=a b"], ""),
            (["for"], ""),
            (["for = a"], ""),
            (['for="', "for=_b"], "for=_b, "),
        ):
            with self.subTest(values=values):
                fields = tuple(("FORWARDED", value) for value in values)
                self.assertEqual(
                    add(fields, "192.0.2.1", None, "http"), f"{kept}for=192.0.2.1;proto=http"
                )

    @given(st.text() | st.ip_addresses().map(str), st.none() | st.text())
    def test_one_element(self, client: str, host: str | None) -> None:
        """Whatever client and host are called, they are one element."""
        self.assertTrue(HOP.fullmatch(add((), client, host or None, "http")))

    @given(st.text() | st.text(alphabet='for=",;\\ [:]a'))
    def test_ours_is_read(self, value: str) -> None:
        """Nothing that came before swallows our own word."""
        written = add((("Forwarded", value),), "192.0.2.1", None, "http")
        unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", written)
        self.assertEqual(unquoted.split(",")[-1].strip(" "), "for=192.0.2.1;proto=http")

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in (" ", ",", ";", "a=b;", "a=b, ", 'a="', '"', "a", "=", 'a="\\"",', ", ;"):
            for end in ("", '"', "\x00"):
                add((("Forwarded", text * 100_000 + end),), text * 100_000, text * 100_000, "http")


class ClientsTests(SynchronousTestCase):
    """Where others may get the same answer the upstream is told who asks, and no more."""

    def test_clients(self) -> None:
        """Of what was said before only the clients are left."""
        for value, expected in (
            (None, "for=192.0.2.1"),
            ("for=_a;by=b;host=c;proto=https, host=d", "for=_a, for=192.0.2.1"),
            ('by="x;for=evil, for=evil";For="[::1]:80"', 'For="[::1]:80", for=192.0.2.1'),
            ('host="\\";for=evil"', "for=192.0.2.1"),
            ('for=_a;host="never', "for=192.0.2.1"),
        ):
            with self.subTest(value=value):
                fields = () if value is None else (("Forwarded", value),)
                self.assertEqual(clients(fields, "192.0.2.1"), expected)
