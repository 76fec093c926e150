"""Tests for `osproxy.http.fields`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.fields import (
    end_to_end,
    every,
    first,
    format_date,
    is_token,
    only,
    parse_date,
    taken_for,
    tokens,
    without,
)

FIELDS = (("Accept", "a"), ("Host", "h"), ("ACCEPT", "b"))
MOMENT = 784111777.0


class LookUpTests(SynchronousTestCase):
    """Fields are found by their names."""

    def test_first(self) -> None:
        """The first field of a name is found whatever its case; None stands for none."""
        self.assertEqual(first(FIELDS, "accept"), "a")
        self.assertEqual(first(FIELDS, "HOST"), "h")
        self.assertIsNone(first(FIELDS, "Range"))

    def test_every(self) -> None:
        """All fields of a name are found, in the order received."""
        self.assertEqual(every(FIELDS, "Accept"), ["a", "b"])
        self.assertEqual(every(FIELDS, "Range"), [])

    def test_without(self) -> None:
        """Fields can be left out by several names at once."""
        self.assertEqual(without(FIELDS, "accept", "Range"), (("Host", "h"),))

    def test_only(self) -> None:
        """So can all but some be."""
        self.assertEqual(only(FIELDS, "accept", "Range"), (FIELDS[0], FIELDS[2]))
        self.assertEqual(only(FIELDS), ())


class EndToEndTests(SynchronousTestCase):
    """What is meant for the next hop stays there."""

    def test_hop_by_hop(self) -> None:
        """Fields that are hop-by-hop by their name do not pass, nor do a proxy's own."""
        hops = (
            "Connection Keep-Alive Proxy-Connection Proxy-Authorization Proxy-Authenticate"
            " proxy-authentication-info TE Trailer Transfer-Encoding upgrade"
        )
        fields = (*((name, "x") for name in hops.split()), ("ETag", '"e"'))
        self.assertEqual(end_to_end(fields), (("ETag", '"e"'),))

    def test_taken_for(self) -> None:
        """A name is also told as those read it who do not tell an underscore from a hyphen."""
        names = {"X_Forwarded-For": "x-forwarded-for", "ETag": "etag", "_": "-"}
        for name, expected in names.items():
            self.assertEqual(taken_for(name), expected)

    def test_unknown(self) -> None:
        """What is not known passes, whatever it is called (RFC 9110 section 5.1)."""
        fields = ("Proxy-Status", "a; error=dns_error"), ("Proxy-X", "1"), ("X-Connection", "close")
        self.assertEqual(end_to_end(fields), fields)

    def test_named_by_connection(self) -> None:
        """Fields that Connection names do not pass, however many Connection fields there are."""
        fields = (
            ("X-One", "1"),
            ("Connection", "close, x-one"),
            ("connection", "X-Two"),
            ("X-Two", "2"),
            ("X-Three", "3"),
        )
        self.assertEqual(end_to_end(fields), (("X-Three", "3"),))

    def test_for_all(self) -> None:
        """What caching depends on passes, though Connection names it (RFC 9110 section 7.6.1)."""
        fields = (
            ("Connection", "cache-control, vary, Set-Cookie, Age, expires, x-hop"),
            ("Cache-Control", "private"),
            ("Vary", "Cookie"),
            ("Set-Cookie", "a=b"),
            ("Age", "9"),
            ("Expires", "0"),
        )
        self.assertEqual(end_to_end((*fields, ("X-Hop", "1"))), fields[1:])


class TokensTests(SynchronousTestCase):
    """Comma-separated lists are taken apart."""

    def test_table(self) -> None:
        """Blanks go, empty members go, commas in quoted strings separate nothing."""
        for value, expected in (
            ("", []),
            (" , ,", []),
            ("a", ["a"]),
            ("a,b ,\tc", ["a", "b", "c"]),
            ('no-cache="a,b", x', ['no-cache="a,b"', "x"]),
            (r'a="\",", b', [r'a="\","', "b"]),
            ('a="never, closed', ['a="never, closed']),
            ('a="ends in \\', ['a="ends in \\']),
        ):
            with self.subTest(value=value):
                self.assertEqual(tokens(value), expected)

    @given(st.text(alphabet='a",\\ ', max_size=60))
    def test_nothing_lost(self, value: str) -> None:
        """Nothing but commas and blanks is ever dropped."""
        for character in 'a"\\':
            self.assertEqual("".join(tokens(value)).count(character), value.count(character))


class TokenTests(SynchronousTestCase):
    """Tokens have their octets (RFC 9110 section 5.6.2)."""

    def test_table(self) -> None:
        """Letters, digits and some marks make a token."""
        for text, expected in (
            ("x-one", True),
            ("!#$%&'*+-.^_`|~09azAZ", True),
            ("", False),
            ("a b", False),
            ("a\n", False),
            ("a,", False),
            ('"a"', False),
            ("a/b", False),
            ("\xe9", False),
        ):
            with self.subTest(text=text):
                self.assertIs(is_token(text), expected)


class DateTests(SynchronousTestCase):
    """Dates are read in three forms and written in one."""

    def test_three_forms(self) -> None:
        """The three forms of RFC 9110 section 5.6.7 mean the same."""
        for value in (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 nov 1994 08:49:37 GMT ",
            "SUN, 06 NOV 1994 08:49:37 gmt",
            "sunday, 06-nov-94 08:49:37 Gmt",
            "Sun Nov 06 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ):
            with self.subTest(value=value):
                self.assertEqual(parse_date(value), MOMENT)

    def test_century(self) -> None:
        """Years of two digits lie between 1970 and 2069."""
        self.assertEqual(parse_date("Thursday, 01-Jan-70 00:00:00 GMT"), 0.0)
        self.assertEqual(
            parse_date("Tuesday, 01-Jan-69 00:00:00 GMT"),
            parse_date("Tue, 01 Jan 2069 00:00:00 GMT"),
        )

    def test_leap_second(self) -> None:
        """A leap second is the first second of the next minute."""
        self.assertEqual(
            parse_date("Sat, 31 Dec 2016 23:59:60 GMT"), parse_date("Sun, 01 Jan 2017 00:00:00 GMT")
        )

    def test_no_dates(self) -> None:
        """Anything else is no date."""
        for value in (
            "",
            "0",
            "-1",
            "now",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT+1",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Nov 1994  08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
            "784111777",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "\N{LATIN SMALL LETTER LONG S}un, 06 Nov 1994 08:49:37 GMT",
            "Sun, \N{ARABIC-INDIC DIGIT ZERO}6 Nov 1994 08:49:37 GMT",
        ):
            with self.subTest(value=value):
                self.assertIsNone(parse_date(value))

    def test_format(self) -> None:
        """Dates are written as IMF-fixdate, fractions of a second cut off."""
        self.assertEqual(format_date(MOMENT + 0.9), "Sun, 06 Nov 1994 08:49:37 GMT")

    @given(st.integers(-62135596800, 253402300799))
    def test_round_trip(self, moment: int) -> None:
        """What is written is read as the same second."""
        self.assertEqual(parse_date(format_date(moment)), moment)

    @given(st.text())
    def test_never_raises(self, value: str) -> None:
        """No text makes the reader of dates raise."""
        parse_date(value)
