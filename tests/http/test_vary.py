"""Tests for `osproxy.http.vary`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.http.vary import selecting, variant_key

if TYPE_CHECKING:
    from random import Random

    from osproxy.http.fields import Fields

ENCODING = (("Vary", "Accept-Encoding"),)
FOUR = (("Vary", "Accept, Accept-Charset, Accept-Encoding, Accept-Language"),)

# All the ways to write a weight (RFC 9110 section 12.4.2), by thousandths.
SPELLINGS = {
    weight: [text[:end] for end in range(1, 6) if not text[end:].strip(".0")]
    for weight in range(1001)
    for text in [f"{weight / 1000:.3f}"]
}
WEIGHTS = {text: weight for weight, texts in SPELLINGS.items() for text in texts}

codings = st.sampled_from(("gzip", "br", "identity", "*", "zstd"))
weights = st.integers(0, 1000)
preferences = st.dictionaries(codings, weights)


def key(name: str, *values: str) -> str:
    """Name the variant of a request with these values of one field."""
    found = selecting(tuple((name, value) for value in values), (("Vary", name),))
    assert found is not None
    return variant_key(found)


def spelt(preference: dict[str, int], random: Random) -> Fields:
    """Write what somebody accepts in one of many ways."""
    members = []
    for coding, weight in random.sample(sorted(preference.items()), len(preference)):
        name = "".join(random.choice((c.lower(), c.upper())) for c in coding)
        blank = random.choice(("", " ", "\t"))
        if weight < 1000 or random.randrange(2):
            digits = random.choice(SPELLINGS[weight])
            name += f"{blank};{blank}{random.choice('qQ')}={digits}"
        members.append(name)
    lines = [""]
    for member in members:
        if random.randrange(3):
            lines[-1] += f"{random.choice((',', ' , ', ',,'))}{member}"
        else:
            lines.append(member)
    return tuple((random.choice(("Accept-Encoding", "accept-encoding")), line) for line in lines)


def meant(value: str) -> dict[str, int] | None:
    """Say what a value of Accept-Encoding means, read in another way; None for what is odd."""
    meaning: dict[str, int] = {}
    for member in value.split(","):
        if not member.strip(" \t"):
            continue
        coding, weighted, rest = member.partition(";")
        coding = coding.strip(" \t").lower()
        weight: int | None = 1000
        if weighted:
            name, _, number = rest.strip(" \t").partition("=")
            weight = WEIGHTS.get(number) if name.lower() == "q" else None
        if weight is None or not coding or not set(coding).isdisjoint(" \t="):
            return None
        if meaning.setdefault(coding, weight) != weight:
            return None
    return meaning


class SelectingTests(SynchronousTestCase):
    """Vary names what a response was selected by (RFC 9111 section 4.1)."""

    def test_nominated(self) -> None:
        """What is named is looked up, in one order, whatever the case; absent is not empty."""
        request = (("HOST", "h"), ("accept", "a/b"), ("X-One", " 1 "), ("x-one", "2"), ("E", ""))
        for values, expected in (
            ([], ()),
            ([""], ()),
            ([" ,, "], ()),
            (["Host"], (("host", "h"),)),
            (["X-One, hOST"], (("host", "h"), ("x-one", "1, 2"))),
            (["x-one", "Host ,X-ONE"], (("host", "h"), ("x-one", "1, 2"))),
            (["Cookie, E"], (("cookie", None), ("e", ""))),
        ):
            with self.subTest(values=values):
                response = tuple(("Vary", value) for value in values)
                self.assertEqual(selecting(request, response), expected)

    def test_anything(self) -> None:
        """A star, and what is no field name, means that nobody else may have it."""
        for value in ("*", "Accept, *", ",*,", '"Accept"', "Accept Encoding", "a:b", 'x="', "\xe9"):
            with self.subTest(value=value):
                self.assertIsNone(selecting((("Accept", "a"),), (("Vary", value),)))
                self.assertIsNone(selecting((), (("Vary", "Accept"), ("vary", value))))

    def test_normalised(self) -> None:
        """What follows the grammar has one form, and what does not stays as it is."""
        for name, value, expected in (
            ("Accept-Encoding", "GZIP , br;q=1.0", "br, gzip"),
            ("Accept-Encoding", "gzip;q=0.50, br;q=.5", "gzip;q=0.50, br;q=.5"),
            ("Accept-Encoding", "b;q=0.5, A; Q=0.50,*;q=0", "a;q=0.500, b;q=0.500, *;q=0.000"),
            ("Accept-Encoding", "gzip, gzip", "gzip"),
            ("Accept-Encoding", "gzip, gzip;q=0", "gzip, gzip;q=0"),
            ("Accept-Encoding", " , ,", ""),
            ("Accept-Encoding", "gzip;q=2", "gzip;q=2"),
            ("Accept-Encoding", "GZIP;q=1;q=0", "GZIP;q=1;q=0"),
            ("Accept-Encoding", "GZIP;level=9", "GZIP;level=9"),
            ("Accept-Encoding", ";q=1", ";q=1"),
            ("Accept-Encoding", "q=1", "q=1"),
            ("Accept-Encoding", '"GZIP', '"GZIP'),
            ("Accept-Charset", "UTF-8, a", "a, utf-8"),
            ("Accept-Language", "de-AT;q=0.8,EN", "en, de-at;q=0.800"),
            ("Accept-Language", "en, de", "en, de"),
            ("Accept-Language", "de, en", "de, en"),
            ("Accept-Language", "EN_us", "EN_us"),
            ("Accept-Language", "abcdefghi", "abcdefghi"),
            ("Accept", '*/*;q=0.1,A/B;C=X ; d="e, f"', 'a/b;c=X;d="e, f", */*;q=0.100'),
            ("Accept", "b/*, a/*;q=1", "b/*, a/*"),
            ("Accept", "a/b;q=1;X=1", "a/b;q=1;X=1"),
            ("Accept", "a/b;Q=x", "a/b;Q=x"),
            ("Accept", "a/b;", "a/b;"),
            ("Accept", "A", "A"),
            ("Accept", 'a/b;c="never, closed', 'a/b;c="never, closed'),
            ("Accept", r'a/b;c="\";q=0.5', r'a/b;c="\";q=0.5'),
            ("User-Agent", "A  (b,C)", "A  (b,C)"),
            ("Cookie", "b=1; a=2", "b=1; a=2"),
        ):  # fmt: skip
            with self.subTest(name=name, value=value):
                self.assertEqual(
                    selecting(((name, value),), (("Vary", name),)), ((name.lower(), expected),)
                )

    def test_same(self) -> None:
        """A request may have what was selected by the same."""
        selected = selecting((("Accept-Encoding", "gzip, br"),), ENCODING)
        assert selected is not None
        for request, expected in (
            ((("accept-encoding", "BR,gzip"), ("Cookie", "x")), True),
            ((("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")), True),
            ((("Accept-Encoding", "gzip"),), False),
            ((("Accept-Encoding", ""),), False),
            ((), False),
        ):
            with self.subTest(request=request):
                self.assertIs(selecting(request, ENCODING) == selected, expected)

    def test_obeyed(self) -> None:
        """Fields that are obeyed in place of the target select, though nobody says so."""
        request = (("X-Forwarded-Host", "b"), ("Cookie", "x"))
        self.assertEqual(selecting(request, ()), (("x-forwarded-host", "b"),))
        self.assertEqual(
            selecting(request, (("Vary", "Accept"),)),
            (("accept", None), ("x-forwarded-host", "b")),
        )

    def test_mistaken(self) -> None:
        """What an origin takes for a field that selects does select (RFC 3875 section 4.1.18)."""
        for name in ("X_Forwarded_Host", "x-forwarded_host"):
            request = ((name, "b"), ("X_Other", "x"))
            self.assertEqual(selecting(request, ()), ((name.lower(), "b"),))
        request = (("Accept_Language", "de"), ("Accept-Language", "en"))
        self.assertEqual(
            selecting(request, (("Vary", "Accept-Language"),)),
            (("accept-language", "en"), ("accept_language", "de")),
        )

    def test_said_anew(self) -> None:
        """What every proxy says anew cannot be asked for a second time."""
        for name in ("Via", "Accept, FORWARDED", "X-Forwarded-For"):
            self.assertIsNone(selecting((), (("Vary", name),)))


class KeyTests(SynchronousTestCase):
    """A variant has a short name."""

    def test_form(self) -> None:
        """It is empty where there is but one, and else hexadecimal, and stays so."""
        self.assertEqual(variant_key(()), "")
        self.assertEqual(variant_key((("accept", None),)), "602a63915dda815b6a9af852c2736c13")

    def test_apart(self) -> None:
        """What is not the same has other names, whatever is put into names and values."""
        several = (
            (),
            (("a", None),),
            (("a", ""),),
            (("a", "null"),),
            (("a", "b"),),
            (("a", 'b"],["c","d'),),
            (("a", "b"), ("c", "d")),
            (("a", "b, c"),),
            (("a", "b,c"),),
            (("ab", ""),),
            (("a", "\udcff"),),
            (("a", "\\udcff"),),
        )
        self.assertEqual(len({variant_key(selected) for selected in several}), len(several))

    @given(preferences, st.randoms(use_true_random=False))
    def test_spelling(self, preference: dict[str, int], random: Random) -> None:
        """However it is written, what means the same has the same name."""
        one = selecting(spelt(preference, random), ENCODING)
        other = selecting(spelt(preference, random), ENCODING)
        self.assertEqual(one, other)

    @given(preferences, preferences, st.randoms(use_true_random=False))
    def test_meaning(self, one: dict[str, int], other: dict[str, int], random: Random) -> None:
        """What does not mean the same does not have the same name."""
        keys = [selecting(spelt(preference, random), ENCODING) for preference in (one, other)]
        self.assertEqual(keys[0] == keys[1], one == other)

    @given(*[st.text(alphabet="gGz,; \tq=01.") for _ in range(2)])
    def test_odd_meaning(self, one: str, other: str) -> None:
        """That holds for what nobody should write, too."""
        equal = key("Accept-Encoding", one) == key("Accept-Encoding", other)
        if meant(one) is None:
            self.assertEqual(equal, one.strip(" \t") == other.strip(" \t"))
        else:
            self.assertEqual(equal, meant(one) == meant(other))

    @given(st.lists(st.text(alphabet='aA/*;,="\\ \tq.10-')))
    def test_one_form(self, values: list[str]) -> None:
        """The one form of a value is its own one form."""
        for name in ("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cookie"):
            vary = (("Vary", name),)
            found = selecting(tuple((name, value) for value in values), vary)
            assert found is not None
            ((_, value),) = found
            if value is not None:
                self.assertEqual(selecting(((name, value),), vary), found)

    def test_hostile(self) -> None:
        """A field of hundreds of thousands of octets is read in one go."""
        for text in (
            *("a, ", " ", ",", ";", ";q=0", "a/b;", "a/b;c=d;", '"', "\\", "a-", ";\t", "a;q=0.5,"),
            *(' ;a="', 'a/b;c="\\"",', "=", "a/b ;"),
        ):  # fmt: skip
            for prefix in ("", "a/b", 'a/b;c="'):
                request = tuple((name, prefix + text * 30_000) for name in FOUR[0][1].split(", "))
                self.assertIsNotNone(selecting(request, FOUR))
        many = ", ".join(f"a{number}" for number in range(50_000))
        request = tuple((f"a{number}", "") for number in range(50_000))
        found = selecting(request, (("Vary", many),))
        assert found is not None
        self.assertEqual(len(found), 50_000)
