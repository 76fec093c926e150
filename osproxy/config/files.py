"""
The file of settings: TOML into what was given for options, and the tables of backends.

Keys are the names of options, with ``_`` or ``-``. What the tables of backends mean is told by
`osproxy.config.backends`.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.config.given import ConfigError, Given
from osproxy.config.options import CONFIG, OPTIONS
from osproxy.config.regular import read_regular

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_BACKENDS = "backend"


@frozen
class Table:
    """
    A table of a file, which knows where it stands.

    :ivar name: the dotted name, empty for the whole file.
    :ivar file: the path of the file.
    """

    name: str
    file: str
    content: Mapping[str, object]

    def named(self, key: str) -> str:
        """Give the full name of a key in this table."""
        return f"{self.name}.{key}" if self.name else key

    def given(self, key: str, shown: str = "") -> Given:
        """Make texts of the value of a key, for an option or under the key's own name."""
        value = self.content[key]
        items = value if isinstance(value, list) else [value]
        texts = tuple(_text(item) for item in items)
        source = f"{self.file}: {key}" if shown else self.file
        given = Given(shown or self.named(key), source, tuple(text or "" for text in texts))
        if None in texts:
            raise given.wrong("is no plain value; give a text, a number, true or false")
        return given

    def table(self, key: str) -> Table:
        """Give the table that a key names."""
        value = self.content[key]
        # A bare key has no slash; names of backends do.
        name = self.named(f'"{key}"' if "/" in key else key)
        if not isinstance(value, dict):
            raise ConfigError(f"{name} ({self.file}): is no table; write [{name}] above its keys")
        return Table(name, self.file, value)

    def tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """Give the tables below a key, if it is there, each with its name."""
        if key in self.content:
            below = self.table(key)
            for name in below.content:
                yield name, below.table(name)

    def keys(self, known: Collection[str]) -> dict[str, str]:
        """
        Map the keys of this table, spelled with dashes, to what is written.

        :raises ConfigError: when one is not known, or is there in both spellings.
        """
        found: dict[str, str] = {}
        for key in self.content:
            name = key.replace("_", "-")
            lead = f"{self.named(key)} ({self.file})"
            if name not in known:
                near = get_close_matches(name, known, 1) or sorted(known)
                raise ConfigError(f"{lead}: there is no such key here; give {' or '.join(near)}")
            if name in found:
                raise ConfigError(f"{lead}: is the same as {found[name]}; give one of them")
            found[name] = key
        return found


def read_file(given: Given, path: Path) -> Table:
    """
    Read the file that was given for an option.

    :raises ConfigError: when it cannot be read or is not TOML.
    """
    try:
        content = tomllib.loads(read_regular(path).decode("utf-8"))
    except OSError as error:
        raise given.wrong(f"{path} cannot be read ({error.strerror}); give a file") from None
    except (ValueError, RecursionError) as error:
        # Covers bad TOML and bad UTF-8 alike.
        raise given.wrong(f"{path} is not TOML: {error}") from None
    return Table("", str(path), content)


def options_in(file: Table) -> dict[str, Given]:
    """
    Find what a file gives for options, by their names.

    :raises ConfigError: when a key is no option.
    """
    names = {option.name for option in OPTIONS} - {CONFIG.name}
    keys = file.keys(names | {_BACKENDS})
    return {name: file.given(keys[name], f"--{name}") for name in keys if name != _BACKENDS}


def _text(value: object) -> str | None:
    """Write a plain value as a command line would have it, None for what is not plain."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | float) else None
