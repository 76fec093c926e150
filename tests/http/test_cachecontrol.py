"""Tests for `osproxy.http.cachecontrol`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.cachecontrol import (
    CacheControl,
    RequestControl,
    explicit_lifetime,
    may_be_stale,
)
from osproxy.http.fields import format_date

if TYPE_CHECKING:
    from random import Random

EVER = 2**31
HUGE = "9" * 9999
AGES = ("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error")
NOT_NUMBERS = (
    "",
    "=",
    "=-1",
    "=+1",
    "=x",
    "=1.5",
    "=1e3",
    "=6h",
    "=0x10",
    "=\N{ARABIC-INDIC DIGIT ONE}",
    "=\N{SUPERSCRIPT TWO}",
    "='60'",
    '=""',
    '=" 60"',
    '="60"x',
    '=60"',
    "=60;q=1",
    "=60;",
    '="60";',
    "= private",
    "==60",
)

# Lengths at which a reader that is not linear would be noticed.
HOSTILE = [
    text * 200_000
    for text in (
        " ", ",", ";", "=", '"', "\\", "a", "a ", "a;", "a=", "a=;", "a =", 'a="', '"a" ',
        'a="\\"', "\t=",
    )
] + ["max-age=" + " " * 400_000, "max-age" + " " * 400_000, "max-age=" + "0" * 400_000]  # fmt: skip

names = st.text(alphabet="abcxyz-", min_size=1, max_size=8)
seconds = st.none() | st.integers(0, EVER)
said = st.builds(
    CacheControl,
    **dict.fromkeys(("max_age", "s_maxage"), seconds),
    **dict.fromkeys(("stale_while_revalidate", "stale_if_error"), seconds),
    **dict.fromkeys(("no_store", "no_cache", "private", "public"), st.booleans()),
    **dict.fromkeys(("must_revalidate", "proxy_revalidate"), st.booleans()),
    **dict.fromkeys(("must_understand", "immutable"), st.booleans()),
    **dict.fromkeys(("no_cache_fields", "private_fields"), st.frozensets(names)),
)


def written(control: CacheControl) -> list[str]:
    """Write directives as a sender would."""
    directives = []
    for attribute, value in asdict(control).items():
        name = attribute.removesuffix("_fields").replace("_", "-")
        if isinstance(value, bool):
            directives += [name] * value
        elif isinstance(value, frozenset):
            directives += [f'{name}="{", ".join(sorted(value))}"'] * bool(value)
        elif value is not None:
            directives.append(f"{name}={value}")
    return directives


class ParseTests(SynchronousTestCase):
    """The directives of a response are read leniently."""

    def check(self, *rows: tuple[list[str], CacheControl]) -> None:
        """Read the fields of each row."""
        for values, expected in rows:
            with self.subTest(values=values):
                self.assertEqual(CacheControl.parse(values), expected)

    def age(self, directive: str) -> object:
        """Read the one age that a directive gives."""
        control = CacheControl.parse([directive])
        return getattr(control, directive.partition("=")[0].replace("-", "_"))

    def test_forms(self) -> None:
        """Case, quotes, blanks and the number of fields do not matter."""
        self.check(
            ([], CacheControl()),
            (["", " , ,"], CacheControl()),
            (["No-Store, PRIVATE"], CacheControl(no_store=True, private=True)),
            (["public", "max-age=60"], CacheControl(public=True, max_age=60)),
            (['max-age="60"'], CacheControl(max_age=60)),
            ([r'max-age="\6\0"'], CacheControl(max_age=60)),
            (["max-age = 60"], CacheControl(max_age=60)),
            (["max-age\t=\t60\t,public"], CacheControl(max_age=60, public=True)),
            (["s-maxage=0060,must-revalidate"], CacheControl(s_maxage=60, must_revalidate=True)),
            (["proxy-revalidate"], CacheControl(proxy_revalidate=True)),
            (
                ["must-understand, no-store, immutable"],
                CacheControl(must_understand=True, no_store=True, immutable=True),
            ),
            (
                ["stale-while-revalidate=9, stale-if-error=8"],
                CacheControl(stale_while_revalidate=9, stale_if_error=8),
            ),
        )

    def test_huge(self) -> None:
        """What is more than can be counted is as much as can be counted (section 1.2.2)."""
        for name in AGES:
            for value in ("2147483648", "4000000000", "99999999999999", HUGE):
                with self.subTest(name=name, value=value):
                    self.assertEqual(self.age(f"{name}={value}"), EVER)
            self.assertEqual(self.age(f"{name}=2147483647"), EVER - 1)

    def test_no_number(self) -> None:
        """An age that is no number is zero: stale at once (RFC 9111 section 4.2.1)."""
        for name in AGES:
            for text in NOT_NUMBERS:
                with self.subTest(name=name, text=text):
                    self.assertEqual(self.age(name + text), 0)

    def test_stricter(self) -> None:
        """Of directives that disagree the stricter one holds."""
        self.check(
            (["max-age=60, max-age=30"], CacheControl(max_age=30)),
            (["max-age=30", "max-age=60"], CacheControl(max_age=30)),
            (["max-age=60, max-age=x"], CacheControl(max_age=0)),
            (["max-age=60, max-age"], CacheControl(max_age=0)),
            (["max-age= private"], CacheControl(max_age=0, private=True)),
            (
                ["no-store=0, no-cache=no"],
                CacheControl(no_store=True, no_cache_fields=frozenset({"no"})),
            ),
            (
                ['private, private="a"'],
                CacheControl(private=True, private_fields=frozenset({"a"})),
            ),
        )

    def test_named_fields(self) -> None:
        """Directives that name fields are meant for those (sections 5.2.2.4 and 5.2.2.7)."""
        for argument, named in (
            ('="Set-Cookie"', {"set-cookie"}),
            ("=Set-Cookie", {"set-cookie"}),
            ('="a, B ,,c"', {"a", "b", "c"}),
            ('="a", {name}="b"', {"a", "b"}),
            ("", None),
            ("=", None),
            ('=""', None),
            ('=","', None),
            ('="a b"', None),
            ('="a, no:name"', None),
            ('="a"b', None),
            ('="\xe9"', None),
        ):
            for name in ("no-cache", "private"):
                with self.subTest(name=name, argument=argument):
                    control = CacheControl.parse([name + argument.format(name=name)])
                    attribute = name.replace("-", "_")
                    whole, fields = named is None, frozenset(named or ())
                    self.assertEqual(getattr(control, attribute), whole)
                    self.assertEqual(getattr(control, f"{attribute}_fields"), fields)

    def test_quoted(self) -> None:
        """What stands in quotes is no directive, unless the quotes never close."""
        self.check(
            (['x="no-store, private", max-age=1'], CacheControl(max_age=1)),
            ([r'x="\", no-store", max-age=1'], CacheControl(max_age=1)),
            (['"no-store, private", max-age=1'], CacheControl(max_age=1)),
            (["=no-store, max-age=1"], CacheControl(max_age=1)),
            (['x="a', "max-age=1"], CacheControl(max_age=1, no_store=True, private=True)),
            (['x="a, max-age=1'], CacheControl(no_store=True, private=True)),
            (['x="a\\'], CacheControl(no_store=True, private=True)),
            (['no-cache="a'], CacheControl(no_cache=True, no_store=True, private=True)),
            (['"'], CacheControl(no_store=True, private=True)),
        )

    def test_unknown(self) -> None:
        """Directives that nobody knows are ignored, also those that look like known ones."""
        for value in (
            "x",
            "x=1",
            "max_age=1",
            "xmax-age=1",
            "max-age-x=1",
            "nostore",
            "private.",
            "-",
        ):
            with self.subTest(value=value):
                self.assertEqual(CacheControl.parse([value]), CacheControl())

    def test_without_commas(self) -> None:
        """MirrorCache's directives, separated by blanks, are directives all the same."""
        self.check(
            (
                ["public, max-age=310 stale-while-revalidate=63 stale-if-error=86400"],
                CacheControl(
                    public=True, max_age=310, stale_while_revalidate=63, stale_if_error=86400
                ),
            ),
            (
                ["max-age=60 private\tno-store"],
                CacheControl(max_age=60, private=True, no_store=True),
            ),
        )

    def test_semicolons(self) -> None:
        """What a semicolon separates, as in other fields, is restricted all the same."""
        self.check(
            (["private; max-age=60"], CacheControl(private=True, max_age=60)),
            (["no-store;"], CacheControl(no_store=True)),
            (["no-cache;must-revalidate"], CacheControl(no_cache=True, must_revalidate=True)),
            (["max-age=60;private"], CacheControl(max_age=0, private=True)),
            (["max-age=60 ; private"], CacheControl(max_age=60, private=True)),
            (['private="a";public'], CacheControl(private=True, public=True)),
            (['x="a;private";y'], CacheControl()),
            ([";", ";;no-store;;"], CacheControl(no_store=True)),
        )

    @given(said, st.randoms(use_true_random=False))
    def test_round_trip(self, control: CacheControl, random: Random) -> None:
        """What is written is read, in any order, case and number of fields."""
        directives = [
            "".join(random.choice((c.lower(), c.upper())) for c in directive)
            for directive in written(control)
        ]
        random.shuffle(directives)
        values = [""]
        for directive in directives:
            if random.randrange(3):
                values[-1] += random.choice((",", ", ", " ,\t", " ", ",,")) + directive
            else:
                values.append(directive)
        self.assertEqual(CacheControl.parse(values), control)

    @given(st.lists(st.text() | st.text(alphabet='max-age=1" ,;\\')))
    def test_never_raises(self, values: list[str]) -> None:
        """No value makes the reader raise."""
        CacheControl.parse(values)
        RequestControl.parse(tuple(("Cache-Control", value) for value in values))
        RequestControl.parse(tuple(("Pragma", value) for value in values))

    @given(said, st.text(alphabet='max-age=1" ,;\\'))
    def test_restrictions_stay(self, control: CacheControl, more: str) -> None:
        """Nothing that is said besides takes a restriction back."""
        after = CacheControl.parse([*written(control), more])
        for name in ("no_store", "no_cache", "private", "must_revalidate", "proxy_revalidate"):
            self.assertGreaterEqual(getattr(after, name), getattr(control, name))
        if control.max_age is not None:
            assert after.max_age is not None
            self.assertLessEqual(after.max_age, control.max_age)

    def test_hostile(self) -> None:
        """A value of hundreds of thousands of octets is read in one go."""
        for value in HOSTILE:
            CacheControl.parse([value])


class RequestTests(SynchronousTestCase):
    """Clients may say what they will have (RFC 9111 section 5.2.1)."""

    def check(self, *rows: tuple[str, RequestControl]) -> None:
        """Read the Cache-Control of each row."""
        for value, expected in rows:
            with self.subTest(value=value):
                self.assertEqual(RequestControl.parse((("cache-control", value),)), expected)

    def test_forms(self) -> None:
        """Each directive is read."""
        self.check(
            ("", RequestControl()),
            ("no-cache, NO-STORE", RequestControl(no_cache=True, no_store=True)),
            ("only-if-cached", RequestControl(only_if_cached=True)),
            ('max-age=0, min-fresh="5"', RequestControl(max_age=0, min_fresh=5)),
            ("max-stale", RequestControl(max_stale=math.inf)),
            ("max-stale=7", RequestControl(max_stale=7.0)),
            ("stale-if-error=7", RequestControl(stale_if_error=7)),
            ("private, must-revalidate, s-maxage=1", RequestControl()),
        )

    def test_stricter(self) -> None:
        """Of directives that disagree, or are unreadable, the stricter meaning holds."""
        self.check(
            ("max-age=5, max-age=3", RequestControl(max_age=3)),
            ("min-fresh=5, min-fresh=7", RequestControl(min_fresh=7)),
            ("max-stale, max-stale=7", RequestControl(max_stale=7.0)),
            ("max-age=-1", RequestControl(max_age=0)),
            ("min-fresh=x", RequestControl(min_fresh=EVER)),
            ("min-fresh", RequestControl(min_fresh=EVER)),
            ("max-stale=", RequestControl(max_stale=0.0)),
            ("max-stale=x", RequestControl(max_stale=0.0)),
            (f"max-stale={HUGE}", RequestControl(max_stale=float(EVER))),
            ('no-cache="a"', RequestControl(no_cache=True)),
            ('x="', RequestControl(no_store=True)),
        )

    def test_pragma(self) -> None:
        """Pragma counts only where there is no Cache-Control (section 5.4)."""
        for fields, expected in (
            ((("Pragma", "no-cache"),), True),
            ((("Pragma", "x, No-Cache"),), True),
            ((("Pragma", "x"), ("pragma", "no-cache")), True),
            ((("Pragma", 'x="no-cache"'),), False),
            ((("Pragma", "no-store"),), False),
            ((("Pragma", "no-cache"), ("Cache-Control", "max-age=60")), False),
            ((("Pragma", "no-cache"), ("Cache-Control", "")), False),
            ((("Pragma", "no-cache"), ("Cache-Control", "no-cache")), True),
        ):
            with self.subTest(fields=fields):
                self.assertIs(RequestControl.parse(fields).no_cache, expected)


class MayBeStaleTests(SynchronousTestCase):
    """What is stale may be served unless it is forbidden (RFC 9111 section 4.2.4)."""

    def test_table(self) -> None:
        """A shared cache serves nothing stale of which it is told not to."""
        for value, may in (
            ("", True),
            ("max-age=1", True),
            ("stale-if-error=1", True),
            ('no-cache="a"', True),
            ("must-revalidate", False),
            ("proxy-revalidate", False),
            ("no-cache", False),
            ("s-maxage=1", False),
            ("s-maxage=1, stale-while-revalidate=9", False),
        ):
            with self.subTest(value=value):
                self.assertIs(may_be_stale((("Cache-Control", value),)), may)


class ExplicitLifetimeTests(SynchronousTestCase):
    """A response may say how long it stays fresh."""

    def test_table(self) -> None:
        """The word for shared caches comes first, then max-age, then Expires."""
        date = 1_000_000_000.0
        in_an_hour = ("Expires", format_date(date + 3600))
        for fields, expected in (
            ((), None),
            ((("Cache-Control", "public"),), None),
            ((in_an_hour,), 3600.0),
            ((("Cache-Control", "max-age=60"), in_an_hour), 60.0),
            ((("Cache-Control", "max-age=60, s-maxage=0"), in_an_hour), 0.0),
            ((("Cache-Control", "no-cache, max-age=60"),), 0.0),
            ((("Cache-Control", 'no-cache="a", max-age=60'),), 60.0),
            ((("Cache-Control", "max-age=x"), in_an_hour), 0.0),
            ((("Cache-Control", "s-maxage=x, max-age=60"),), 0.0),
            ((in_an_hour, ("Expires", format_date(date + 60))), 60.0),
            ((in_an_hour, ("expires", "soon")), 0.0),
            ((("Expires", "Sun, 09 Sep 2001 02:46:40 UTC"),), 0.0),
            ((("Expires", "Sunday, 09-Sep-01 02:46:40 GMT"),), 3600.0),
            ((("Expires", "sun sep  9 02:46:40 2001"),), 3600.0),
            ((("Expires", "Fri, 31 Dec 9999 23:59:59 GMT"),), float(EVER)),
            ((("Expires", "-1"),), 0.0),
            ((("Expires", ""),), 0.0),
            ((("Expires", "0"),), 0.0),
            ((("Expires", format_date(date - 60)),), 0.0),
        ):
            with self.subTest(fields=fields):
                self.assertEqual(explicit_lifetime(fields, date), expected)
