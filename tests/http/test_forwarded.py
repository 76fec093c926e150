"""Tests for `osproxy.http.forwarded`."""

from __future__ import annotations

import re
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import every
from osproxy.http.forwarded import add, asker, clients, sent_on

HOP = re.compile(
    r'for=([^;,"]+|"\[[0-9a-f:.]+\]")(;host=([^;,"\\]+|"(?:[^"\\]|\\.)+"))?;proto=http'
)


NEAR, FAR, CLIENT, EVIL = "10.0.0.1", "10.0.0.2", "192.0.2.1", "10.0.0.9"


def trusted(address: str) -> bool:
    """Tell the two proxies of ours."""
    return address in (NEAR, FAR)


class AskerTests(SynchronousTestCase):
    """From proxies that are trusted it is believed for whom they ask."""

    def test_forwarded(self) -> None:
        """The last address that no trusted proxy has is the client's (RFC 7239 section 5.2)."""
        for value, expected in (
            ("for=192.0.2.1", CLIENT),
            ("For=192.0.2.1;by=_x;proto=https", CLIENT),
            ("proto=https ; for=192.0.2.1", CLIENT),
            ('for="192.0.2.1:4000"', CLIENT),
            ('for="192.0.2.1:_port"', CLIENT),
            ("for=192.0.2.1:4000", CLIENT),
            ('for="[2001:DB8::1]:80"', "2001:db8::1"),
            ('for="[2001:db8::1]"', "2001:db8::1"),
            ("for=2001:db8::1", "2001:db8::1"),
            ('for="[::ffff:192.0.2.1]"', CLIENT),
            ("for=fe80::1%eth0", "fe80::1"),
            ('for="[fe80::1%eth0.1]:80"', "fe80::1"),
            (r'for="192\.0.2\.1"', CLIENT),
            ("for=10.0.0.9, for=192.0.2.1", CLIENT),
            ("for=10.0.0.9, for=192.0.2.1, for=10.0.0.2", CLIENT),
            ("for=10.0.0.9,for=192.0.2.1,for=10.0.0.2,for=10.0.0.1", CLIENT),
            ("for=192.0.2.1 , for=10.0.0.2;by=10.0.0.1", CLIENT),
            ("for=10.0.0.2", FAR),
            # Whatever a client has begun, ends where a proxy begins.
            ('for=", for=192.0.2.1', CLIENT),
            ('for="\\, for=192.0.2.1', CLIENT),
            ('"""""", for=192.0.2.1', CLIENT),
            (r'for="\", for=192.0.2.1;host="\\"', CLIENT),
            ('x, for=192.0.2.1;host="a, for=10.0.0.9"', CLIENT),
            (r'for=192.0.2.1;host="\", for=10.0.0.9, x=\""', CLIENT),
            (r'for=192.0.2.1;host="\\"', CLIENT),
            (r'for=10.0.0.9;host="\", for=192.0.2.1;host="\\\", for=10.0.0.9"', CLIENT),
            # What names nobody leaves the proxy that has written it.
            ("for=unknown", NEAR),
            ("for=_hidden", NEAR),
            ('for="_hidden:80"', NEAR),
            ("for=10.0.0.9, for=unknown", NEAR),
            ("for=10.0.0.9, for=unknown, for=10.0.0.2", FAR),
            ("for=10.0.0.9, proto=https", NEAR),
            ("for=10.0.0.9,", NEAR),
            ("for=10.0.0.9, ;", NEAR),
            ("for=192.0.2.1;for=10.0.0.9", NEAR),
            ("for=10.0.0.9, for=192.0.2", NEAR),
            ("for=10.0.0.9, for=192.0.2.1.", NEAR),
            ("for=10.0.0.9, for=192.0.2.1:123456", NEAR),
            ("for=10.0.0.9, for=[::1", NEAR),
            ("for=10.0.0.9, for=fe80::1%", NEAR),
            ("for=10.0.0.9, for=fe80::1%eth0%1", NEAR),
            ("for=10.0.0.9, for", NEAR),
            ("for=10.0.0.9, for=", NEAR),
            ("for=10.0.0.9, for = 192.0.2.1", NEAR),
            ('for=10.0.0.9, for=192.0.2.1"', NEAR),
            ("192.0.2.1", NEAR),
            ("", NEAR),
            (" ", NEAR),
        ):
            with self.subTest(value=value):
                self.assertEqual(asker((("forwarded", value),), NEAR, trusted), expected)

    def test_x_forwarded_for(self) -> None:
        """The same holds for the older field, which has addresses alone."""
        for value, expected in (
            ("192.0.2.1", CLIENT),
            ("10.0.0.9, 192.0.2.1", CLIENT),
            ("10.0.0.9,192.0.2.1 ,\t10.0.0.2", CLIENT),
            ("10.0.0.2, 10.0.0.1", FAR),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("10.0.0.9, fe80::1%wlan-0", "fe80::1"),
            ("::ffff:192.0.2.1", CLIENT),
            ("192.0.2.1:4000", CLIENT),
            ("10.0.0.9, unix:", NEAR),
            ("10.0.0.9, unknown, 10.0.0.2", FAR),
            ("10.0.0.9,", NEAR),
            ("10.0.0.9, 192.0.2.1 x", NEAR),
            ("10.0.0.9, 192.0.2.256", NEAR),
            ("10.0.0.9, for=192.0.2.1", NEAR),
            ("10.0.0.9, unix", NEAR),
        ):
            with self.subTest(value=value):
                self.assertEqual(asker((("X-FORWARDED-FOR", value),), NEAR, trusted), expected)

    def test_several(self) -> None:
        """Fields of one name are one list (RFC 9110 section 5.3)."""
        for name, prefix in (("Forwarded", "for="), ("X-Forwarded-For", "")):
            fields = tuple((name, prefix + it) for it in (EVIL, CLIENT, FAR))
            self.assertEqual(asker(fields, NEAR, trusted), CLIENT)
            self.assertEqual(asker(fields[:1], NEAR, trusted), EVIL)

    def test_not_trusted(self) -> None:
        """What others say means nothing."""
        fields = (("Forwarded", "for=10.0.0.9"), ("X-Forwarded-For", "10.0.0.9"))
        for sender in (CLIENT, "unix"):
            self.assertEqual(asker(fields, sender, trusted), sender)
        self.assertEqual(asker((("X-Forwarded-For", CLIENT),), "unix", "unix".__eq__), CLIENT)

    def test_nothing_said(self) -> None:
        """A proxy that says nothing asks for itself."""
        self.assertEqual(asker((("Host", "x"),), NEAR, trusted), NEAR)

    def test_both(self) -> None:
        """Both fields may be there if they mean the same."""
        for one, other, expected in (
            ("for=192.0.2.1", "192.0.2.1", CLIENT),
            ("for=x, for=192.0.2.1", "10.0.0.9, 192.0.2.1:80, 10.0.0.2", CLIENT),
            ("for=_x", "unknown", NEAR),
            ("", "192.0.2.1", CLIENT),
            ("for=192.0.2.1", "", CLIENT),
            ("for=10.0.0.9", "192.0.2.1", None),
            ("for=192.0.2.1", "10.0.0.9", None),
            ("for=_x", "192.0.2.1", None),
            ('for="', "192.0.2.1", None),
        ):
            with self.subTest(one=one, other=other):
                fields = (("Forwarded", one), ("X-Forwarded-For", other))
                self.assertEqual(asker(fields, NEAR, trusted), expected)

    @given(
        st.text() | st.text(alphabet='for=",;\\ []a1.0'),
        st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)),
        st.ip_addresses().map(str),
        st.booleans(),
    )
    def test_not_to_be_forged(self, said: str, host: str, client: str, apart: bool) -> None:
        """Whatever a client has said and is called, a proxy behind it has the last word."""
        own = add((), client, client, host, "http")
        values = (said, own) if apart else (f"{said}, {own}",)
        found = asker(tuple(("Forwarded", value) for value in values), NEAR, trusted)
        expected = asker((("X-Forwarded-For", client),), NEAR, trusted)
        self.assertEqual(found, expected)
        older = asker((("X-Forwarded-For", f"{said}, {client}"),), NEAR, trusted)
        self.assertEqual(older, expected)

    @given(st.text() | st.text(alphabet='for=",;\\ []:a1.0'))
    def test_nothing_raised(self, value: str) -> None:
        """Whatever is said, it is an address or nothing."""
        for name in ("Forwarded", "X-Forwarded-For"):
            found = asker(((name, value),), NEAR, trusted)
            assert found is not None
            ip_address(found)

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in (
            *(" ", ",", ";", "a=b;", "a=b, ", 'a="', '"', "a", "=", 'a="\\"",', ", ;", "\\"),
            *('\\"', '"\\', "for=10.0.0.1,", "10.0.0.1,", "1", ":", ".", " ;", '""'),
        ):
            for end in ("", '"', "\x00", "x"):
                for name in ("Forwarded", "X-Forwarded-For"):
                    asker(((name, end + text * 100_000 + end),), NEAR, trusted)


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
                self.assertEqual(add((), client, client, host, proto), expected)

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
                    add(fields, "192.0.2.1", "192.0.2.1", None, "http"),
                    f"{kept}for=192.0.2.1;proto=http",
                )

    @given(st.text() | st.ip_addresses().map(str), st.none() | st.text())
    def test_one_element(self, client: str, host: str | None) -> None:
        """Whatever client and host are called, they are one element."""
        self.assertTrue(HOP.fullmatch(add((), client, client, host or None, "http")))

    @given(st.text() | st.text(alphabet='for=",;\\ [:]a'))
    def test_ours_is_read(self, value: str) -> None:
        """Nothing that came before swallows our own word."""
        written = add((("Forwarded", value),), "192.0.2.1", "192.0.2.1", None, "http")
        unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", written)
        self.assertEqual(unquoted.split(",")[-1].strip(" "), "for=192.0.2.1;proto=http")

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in (" ", ",", ";", "a=b;", "a=b, ", 'a="', '"', "a", "=", 'a="\\"",', ", ;"):
            for end in ("", '"', "\x00"):
                add(
                    (("Forwarded", text * 100_000 + end),),
                    text,
                    text * 100_000,
                    text * 100_000,
                    "http",
                )


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
                self.assertEqual(clients(fields, "192.0.2.1", "192.0.2.1"), expected)

    def test_known_from_elsewhere(self) -> None:
        """Who asks is said where the proxy before us has said it otherwise, or unreadably."""
        for values, expected in (
            ((), "for=192.0.2.1, for=10.0.0.1"),
            (("for=192.0.2.1",), "for=192.0.2.1, for=10.0.0.1"),
            (("for=_a, for=192.0.2.1",), "for=_a, for=192.0.2.1, for=10.0.0.1"),
            (('for=", for=192.0.2.1',), "for=192.0.2.1, for=10.0.0.1"),
            (("for=_a", 'for=", for=192.0.2.1'), "for=192.0.2.1, for=10.0.0.1"),
        ):
            with self.subTest(values=values):
                fields = tuple(("Forwarded", value) for value in values)
                self.assertEqual(clients(fields, CLIENT, NEAR), expected)
                self.assertEqual(add(fields, CLIENT, NEAR, None, "http"), f"{expected};proto=http")


class SentOnTests(SynchronousTestCase):
    """The older field is gone on with where somebody has begun it."""

    def test_sent_on(self) -> None:
        """It ends with the one who has sent it to us, whatever it said before."""
        for values, sender, expected in (
            ((), CLIENT, []),
            (("10.0.0.9",), CLIENT, ["10.0.0.9, 192.0.2.1"]),
            (("10.0.0.9", " x "), CLIENT, ["10.0.0.9, x, 192.0.2.1"]),
            (("",), "2001:db8::1", ["2001:db8::1"]),
            (("192.0.2.1",), "unix", ["192.0.2.1, unknown"]),
            (("192.0.2.1",), "::ffff:10.0.0.1", ["192.0.2.1, 10.0.0.1"]),
        ):
            with self.subTest(values=values):
                fields = (("A", "b"), *(("x-forwarded-FOR", value) for value in values))
                sent = sent_on(fields, sender)
                self.assertEqual(every(sent, "x-forwarded-for"), expected)
                self.assertEqual(sent[0], ("A", "b"))

    @given(st.lists(st.sampled_from(("10.0.0.9", "x", NEAR, "")), max_size=3), st.booleans())
    def test_next_hop(self, before: list[str], older: bool) -> None:
        """What we say in both fields the next one of us reads as the same."""
        fields = (("X-Forwarded-For", ", ".join(before)),) if older else ()
        told = asker(fields, NEAR, trusted)
        assert told is not None
        sent = (*sent_on(fields, NEAR), ("Forwarded", clients(fields, told, NEAR)))
        self.assertEqual(asker(sent, FAR, trusted), told)
