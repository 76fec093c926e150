"""
A value as the operator wrote it, and how to complain about it.

Whoever finds fault with a value asks the `Given` for the exception, so that each complaint names
the option and the place where its value was written. See `osproxy.config.settings` for the order
of the places.
"""

from __future__ import annotations

from attrs import frozen


class ConfigError(Exception):
    """
    The settings cannot be used; the text is one line for the operator.

    What does not print, a line break in a value for one, is escaped.
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


@frozen
class Given:
    """
    What was written for one option, and where.

    :ivar name: the option as its user knows it, ``--cache-size`` or ``backend."/x".hosts``.
    :ivar source: ``command line``, ``variable NAME``, ``FILE: key`` or ``default``.
    :ivar texts: the value; options that may be repeated have any number of them.
    """

    name: str
    source: str
    texts: tuple[str, ...]

    def __str__(self) -> str:
        """Name the option and its source, as complaints begin."""
        return f"{self.name} ({self.source})"

    def wrong(self, problem: str) -> ConfigError:
        """Make the exception that says what would be right."""
        return ConfigError(f"{self}: {problem}")
