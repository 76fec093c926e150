"""
A container file taken apart, as far as ours goes: its stages, and how the image is to be run.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERFILE = Path(__file__).parent.parent / "etc" / "Containerfile"

_FROM = re.compile(r"(?P<base>\S+)(?: AS (?P<name>\S+))?")
_HEALTH = re.compile(r"(?P<options>(?:--\S+ )*)CMD (?P<command>.*)")


@define
class Stage:
    """
    What begins with ``FROM``.

    :ivar base: the image that it begins with, as it is written.
    :ivar name: what other stages call it.
    :ivar steps: names of instructions in capitals, and what follows, lines joined.
    """

    base: str
    name: str | None
    steps: list[tuple[str, str]] = field(factory=list)

    def texts(self, name: str) -> list[str]:
        """Give what the instructions of one name say, in order."""
        return [text for each, text in self.steps if each == name]

    def text(self, name: str) -> str:
        """Give what the one instruction of a name says."""
        (text,) = self.texts(name)
        return text

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        words = [word for text in self.texts("ENV") for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)


@frozen
class Health:
    """How to find out whether a container is well: a command of the shell, and when it is run."""

    options: dict[str, str]
    command: str


def stages() -> tuple[Stage, ...]:
    """Take our container file apart; what stands before its first stage is left out."""
    found: list[Stage] = []
    for name, text in _instructions(CONTAINERFILE.read_text()):
        if name == "FROM":
            begun = _FROM.fullmatch(text)
            assert begun is not None, text
            found.append(Stage(begun["base"], begun["name"]))
        elif found:
            found[-1].steps.append((name, text))
    return tuple(found)


def health(stage: Stage) -> Health:
    """Read how the image of a stage is to be checked."""
    told = _HEALTH.fullmatch(stage.text("HEALTHCHECK"))
    assert told is not None
    options = dict(option.lstrip("-").split("=", 1) for option in told["options"].split())
    return Health(options, told["command"])


def _instructions(source: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in source.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", "").splitlines():
        name, _, text = line.partition(" ")
        yield name, text.strip()
