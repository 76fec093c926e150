"""Tests of `osproxy.config.values`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from osproxy.config.values import (
    BadValue,
    Rate,
    Share,
    bind_address,
    boolean,
    count,
    duration,
    host,
    one_of,
    part,
    path,
    rate,
    share,
    size,
    size_of_at_least,
    timeout,
    url,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ParserTests(SynchronousTestCase):
    """Each parser reads what the manual shows, and says what would be right otherwise."""

    def reads(self, parse: Callable[[str], object], values: Mapping[str, object]) -> None:
        """Make sure that each text stands for its value."""
        for text, value in values.items():
            self.assertEqual(parse(text), value, text)

    def refuses(self, parse: Callable[[str], object], *texts: str, saying: str = "give") -> None:
        """Make sure that each text is refused with a hint."""
        for text in texts:
            self.assertIn(saying, str(self.assertRaises(BadValue, parse, text)), text)

    def test_booleans(self) -> None:
        """Yes, true, on and 1 switch on, in any case; their opposites switch off."""
        self.reads(boolean, dict.fromkeys(("yes", "True", "ON", "1"), True))
        self.reads(boolean, dict.fromkeys(("no", "FALSE", "off", " 0 "), False))
        self.refuses(boolean, "", "2", "y", "enabled")

    def test_sizes(self) -> None:
        """A size is a number of octets, or of the usual multiples."""
        self.reads(
            size,
            {
                "17179869184": 2**34,
                "16GiB": 2**34,
                "16 gib": 2**34,
                "16G": 2**34,
                "16GB": 16 * 10**9,
                "1.5KiB": 1536,
                "3kB": 3000,
                "2TiB": 2**41,
                "7B": 7,
                "0": 0,
            },
        )
        self.refuses(size, "", "GiB", "-1", "1,5GiB", "16 Gibi", "1e9", "٣", "16GiB 2", "9" * 30)

    def test_size_beyond_counting(self) -> None:
        """A size that a file system cannot count is refused."""
        self.refuses(size, "9000000TiB", saying="too large")

    def test_least_size(self) -> None:
        """A cache of a few octets is a slip of the pen: somebody forgot the unit."""
        parse = size_of_at_least(2**20, "1MiB")
        self.assertEqual(parse("1MiB"), 2**20)
        self.refuses(parse, "16", saying="at least 1MiB")

    def test_durations(self) -> None:
        """A time is a number of seconds, or of minutes, hours and days."""
        self.reads(
            duration,
            {"10": 10, "0.5": 0.5, "15min": 900, "15 m": 900, "48h": 172800, "2d": 172800, "0s": 0},
        )
        self.refuses(duration, "", "min", "-1", "1h30min", "inf", "nan", "1w", "40000d")

    def test_timeouts(self) -> None:
        """A time-out of nothing would let nothing through, and is refused."""
        self.assertEqual(timeout("10s"), 10.0)
        self.refuses(timeout, "0", "0.0min")

    def test_counts(self) -> None:
        """A count is a whole number from 1 on."""
        self.reads(count, {"1": 1, "512": 512, "1\x1f": 1})
        self.refuses(count, "0", "-1", "1.5", "", "many", "9" * 10, "0\x1f")

    def test_rates(self) -> None:
        """A rate is a number a second, with what may come at once; 0 is no limit."""
        self.reads(
            rate,
            {
                "20": Rate(20, 200),
                "0.5": Rate(0.5, 5),
                "0.01": Rate(0.01, 1),
                " 20 burst=5 ": Rate(20, 5),
                "0": None,
                "0 burst=5": None,
            },
        )
        self.refuses(rate, "", "-1", "many", "20/s", "20 burst=0", "20 burst=1.5", "20burst=5")
        self.assertEqual(rate(str(Rate(2.5, 7))), Rate(2.5, 7))

    def test_shares(self) -> None:
        """What to leave free is a percentage of the disk, or a size whatever the disk's."""
        self.assertEqual(share("5%").octets(1000), 50)
        self.assertEqual(share("2.5 %").octets(1000), 25)
        self.assertEqual(share("10GiB").octets(1000), 10 * 2**30)
        self.assertEqual(share("0"), Share())
        self.refuses(share, "", "%", "100%", "-5%", "5%%", "5% of it", "five", saying="such as")

    def test_parts(self) -> None:
        """What a kind of file may take can be all there is."""
        self.assertEqual(part("100%").octets(1000), 1000)
        self.assertEqual(part("50%").octets(1000), 500)
        self.assertEqual(part("0%"), Share())
        self.refuses(part, "", "101%", "100.5%", "-5%", "half", saying="such as")

    def test_words(self) -> None:
        """A choice lists what may be chosen."""
        parse = one_of("debug", "info", "warn")
        self.assertEqual(parse("INFO"), "info")
        self.refuses(parse, "loud", saying="give debug, info or warn")

    def test_paths(self) -> None:
        """A relative path begins where the server was started, whatever directory it works in."""
        self.assertEqual(path("/var/cache"), Path("/var/cache"))
        self.assertEqual(path("cache"), Path.cwd() / "cache")
        self.refuses(path, "", " ", "a\0b")

    def test_urls(self) -> None:
        """An authority keeps its path and port, without a slash at the end."""
        self.reads(
            url,
            {
                "https://cdn.opensuse.org": "https://cdn.opensuse.org",
                "https://cdn.opensuse.org/": "https://cdn.opensuse.org",
                "HTTP://Mirror.LAN:8080/pub//openSUSE/": "http://mirror.lan:8080/pub/openSUSE",
                "http://[2001:DB8::1]:8080": "http://[2001:db8::1]:8080",
                "http://h/a%7Eb": "http://h/a~b",
            },
        )

    def test_urls_refused(self) -> None:
        """An authority that no file's path could follow is refused, and so is a password."""
        self.refuses(
            url, "", "https://", "https:///pub", "http://[::g]/", "http://h:0", "http://h:x"
        )
        self.refuses(url, "http://h:99999", "http://h_/../..", "http://-/", "http://[1.2.3.4]/")
        self.refuses(url, "cdn.opensuse.org", "/pub", "http:/h", saying="give one such as")
        self.refuses(url, "ftp://ftp.example", "file:///srv", saying="give one such as")
        self.refuses(
            url, "http://a:b@h", "http://h?", "http://h#x", "http://h x", "http://ö.example"
        )
        self.refuses(url, "http://h/%zz", "http://h/%00", saying="path")

    def test_hosts(self) -> None:
        """A host is a name with or without a port; a default port is as good as none."""
        self.reads(
            host,
            {
                "CDN.openSUSE.org": "cdn.opensuse.org",
                "mirror.lan:8080": "mirror.lan:8080",
                "mirror.lan:80": "mirror.lan",
                "mirror.lan:443": "mirror.lan",
                "[::1]:8080": "[::1]:8080",
                "192.168.0.1": "192.168.0.1",
            },
        )
        self.refuses(host, "", "http://h", "h/x", "a b", "h:", "h:0", "::1", "user@h", "*.lan")

    def test_bind_addresses(self) -> None:
        """An address with a port becomes the endpoint that listens there."""
        self.reads(
            bind_address,
            {
                "127.0.0.1:8080": "tcp:8080:interface=127.0.0.1",
                "[::]:8080": r"tcp6:8080:interface=\:\:",
                "[fe80::1%eth0]:0": r"tcp6:0:interface=fe80\:\:1%eth0",
            },
        )
        self.refuses(bind_address, "", "8080", ":8080", "localhost:8080", "::1:8080", "[::1]")
        self.refuses(bind_address, "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "[127.0.0.1]:80")

    @given(
        st.sampled_from(
            (boolean, size, duration, count, share, path, url, host, bind_address, timeout)
        ),
        st.text(),
    )
    def test_no_other_complaint(self, parse: Callable[[str], object], text: str) -> None:
        """Whatever is written, it is either read or refused with a hint."""
        try:
            parse(text)
        except BadValue as error:
            self.assertIn("give", str(error))
