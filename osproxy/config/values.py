"""
From what an operator writes to the value it stands for.

Each parser takes a text and raises `BadValue` with the second half of a sentence that begins with
that text: "... is not a size; give ...". Where the text came from is known to the caller; see
`osproxy.config.given`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

from osproxy.http.paths import BadTarget, canonical_path

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUE = frozenset({"yes", "true", "on", "1"})
FALSE = frozenset({"no", "false", "off", "0"})
_QUANTITY = re.compile(r"(?P<number>[0-9]{1,19}(?:\.[0-9]{1,9})?) ?(?P<unit>[a-z]*)", re.IGNORECASE)
# A letter alone is the power of two, as in systemd's and nginx's files.
_SIZES = {"": 1, "b": 1} | {
    letter + tail: base**power
    for power, letter in enumerate("kmgt", 1)
    for tail, base in (("", 1024), ("ib", 1024), ("b", 1000))
}
_DURATIONS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)(?: +burst=(?P<burst>[0-9]{1,9}))?")
_BURST_SECONDS = 10
# What SQLite and off_t can count.
_MOST_OCTETS = 2**63 - 1
_LONGEST = 100 * 366 * 86400
_URLS = "give one such as https://cdn.opensuse.org or http://mirror.lan:8080/opensuse"
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class BadValue(ValueError):
    """A text stands for no value; the message goes on after the text."""


def boolean(text: str) -> bool:
    """Read yes/no, true/false, on/off or 1/0, in any case."""
    word = text.strip().lower()
    if word in _TRUE or word in FALSE:
        return word in _TRUE
    raise BadValue("is neither yes nor no; give yes, no, true, false, on, off, 1 or 0")


def size(text: str) -> int:
    """Read octets: a number, alone or with kB, MB, GB, TB or KiB, MiB, GiB, TiB."""
    match = _QUANTITY.fullmatch(text.strip())
    unit = _SIZES.get(match["unit"].lower()) if match else None
    if match is None or unit is None:
        raise BadValue("is not a size; give octets, or a number with its unit such as 16GiB")
    octets = int(Fraction(match["number"]) * unit)
    if octets > _MOST_OCTETS:
        raise BadValue("is too large; give less than 8388608TiB")
    return octets


def size_of_at_least(least: int, shown: str) -> Callable[[str], int]:
    """Make a parser of sizes that refuses what is too small to be meant."""

    def parse(text: str) -> int:
        octets = size(text)
        if octets < least:
            raise BadValue(f"is too small; give at least {shown}")
        return octets

    return parse


def duration(text: str) -> float:
    """Read seconds: a number, alone or with s, min, h or d."""
    match = _QUANTITY.fullmatch(text.strip())
    unit = _DURATIONS.get(match["unit"].lower()) if match else None
    if match is None or unit is None:
        raise BadValue("is not a time; give seconds, or a number with s, min, h or d such as 15min")
    seconds = float(Fraction(match["number"]) * unit)
    if seconds > _LONGEST:
        raise BadValue("is too long; give at most 36600d")
    return seconds


def timeout(text: str) -> float:
    """Read a time that something is waited for, which is more than nothing."""
    seconds = duration(text)
    if not seconds:
        raise BadValue("leaves no time at all; give more than 0 seconds")
    return seconds


def count(text: str) -> int:
    """Read a whole number from 1 on."""
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or not int(text.strip()):
        raise BadValue("is not a number from 1 to 999999999; give one")
    return int(text.strip())


@frozen
class Rate:
    """
    So much a second, and so much at once.

    :ivar burst: what may be had at once by who has had nothing for a while; at least 1.
    """

    per_second: float
    burst: float

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.per_second:g} burst={self.burst:g}"


def rate(text: str) -> Rate | None:
    """Read how many a second, such as 20 or "20 burst=100"; None for 0, which is no limit."""
    match = _RATE.fullmatch(text.strip())
    if match is None or not int(match["burst"] or 1):
        raise BadValue('is not a rate; give a number a second such as 20, or "20 burst=100"')
    per_second = float(match["number"])
    if not per_second:
        return None
    # As much as in ten seconds: a client that begins asks for many small files in a row.
    return Rate(per_second, float(match["burst"] or max(1, _BURST_SECONDS * per_second)))


@frozen
class Share:
    """
    A part of something: a percentage of it, or so many octets whatever it is.

    :ivar percent: this much of the whole.
    :ivar size: and this many octets.
    """

    percent: float = 0.0
    size: int = 0

    def octets(self, total: int) -> int:
        """Say how much that is of so many octets."""
        return int(total * self.percent / 100) + self.size


def share(text: str) -> Share:
    """Read a size, or a percentage below 100 such as 5%."""
    found = part(text)
    if found.percent == 100:
        raise BadValue("leaves nothing; give 0% to 99%, or a size such as 10GiB")
    return found


def part(text: str) -> Share:
    """Read a size, or a percentage such as 5%."""
    number, percent, rest = text.strip().partition("%")
    if not percent:
        try:
            return Share(size=size(text))
        except BadValue as error:
            raise BadValue(f"{error}, or a percentage such as 5%") from None
    if rest or not re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]{1,9})?|100", number.strip()):
        raise BadValue("is not a percentage; give 0% to 100%, or a size such as 10GiB")
    return Share(percent=float(number))


@frozen
class OneOf:
    """
    A parser that knows some words only.

    :ivar words: two or more, in lower case.
    """

    words: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Read one of the words, in any case."""
        word = text.strip().lower()
        if word not in self.words:
            raise BadValue(f"is not known; give {', '.join(self.words[:-1])} or {self.words[-1]}")
        return word


def one_of(*words: str) -> OneOf:
    """Make a parser that knows these words only, in any case."""
    return OneOf(words)


def path(text: str) -> Path:
    """Read a path; one that is relative begins where the server was started."""
    if not text.strip() or "\0" in text:
        raise BadValue("is not a path; give one")
    return Path(text).absolute()


def url(text: str) -> str:
    """
    Read where an authority is: scheme, host, port and path, without a slash at the end.

    What has no place in front of a file's path is refused. So are a user's name and password:
    they would be shown in logs.
    """
    if not re.fullmatch(r"[!-~]+", text) or "?" in text or "#" in text or "@" in text:
        raise BadValue(f"must have no blanks, query, fragment or user name; {_URLS}")
    scheme, _, rest = text.partition("://")
    netloc, slash, below = rest.partition("/")
    try:
        location = _location(netloc)
        canonical = canonical_path(slash + below or "/").rstrip("/")
    except BadTarget as error:
        raise BadValue(f"has a path that cannot be ({error}); {_URLS}") from None
    except ValueError:
        raise BadValue(f"names no host; {_URLS}") from None
    if scheme.lower() not in ("http", "https"):
        raise BadValue(f"is neither http nor https; {_URLS}")
    return f"{scheme.lower()}://{location}{canonical}"


def host(text: str) -> str:
    """Read a host's name, or a name with a port, as parsed request targets have it."""
    try:
        location = _location(text.strip())
    except ValueError:
        raise BadValue(
            "is not a host name; give one such as cdn.opensuse.org or mirror.lan:8080"
        ) from None
    return location.removesuffix(":80").removesuffix(":443")


def bind_address(text: str) -> str:
    """Read ADDRESS:PORT, and give the endpoint that listens there."""
    address, _, port = text.strip().rpartition(":")
    bare = address.removeprefix("[").removesuffix("]")
    try:
        literal = ip_address(bare)
    except ValueError:
        literal = None
    if (
        literal is None
        or (address != bare) != (literal.version == 6)
        or not re.fullmatch(r"[0-9]{1,5}", port)
        or int(port) > 65535
    ):
        raise BadValue("is no address with a port; give one such as [::]:8080 or 127.0.0.1:8080")
    if literal.version == 4:
        return f"tcp:{int(port)}:interface={literal}"
    return f"tcp6:{int(port)}:interface=" + str(literal).replace("\\", r"\\").replace(":", r"\:")


def _location(netloc: str) -> str:
    """Check a host with or without a port, and give it in lower case."""
    parts = urlsplit(f"//{netloc}")
    name = parts.hostname or ""
    if ":" in name:
        ip_address(name)
    if parts.port == 0 or not _HOST.fullmatch(netloc.lower()):
        raise ValueError(netloc)
    return netloc.lower()
