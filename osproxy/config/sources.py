"""
Which of the places where an option may be set has the last word.

The command line goes before ``OSPROXY_`` variables, those before the variables of the existing
proxy, those before the file, and the file before the default. An empty variable is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from osproxy.config.given import Given
from osproxy.config.options import OPTIONS, WITHOUT_MEANING
from osproxy.config.values import FALSE, BadValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from osproxy.config.options import Option

_T = TypeVar("_T")


@frozen
class Sources:
    """
    All that was given, and the values it stands for.

    :ivar arguments: from the command line, by the names of options; a flag's is ``yes``.
    :ivar environ: the environment.
    :ivar file: from the file, by the names of options.
    """

    arguments: Mapping[str, str | Sequence[str]]
    environ: Mapping[str, str]
    file: Mapping[str, Given]

    def given(self, option: Option[_T]) -> Given | None:
        """Find what was given for an option, from the place that goes first."""
        name = f"--{option.name}"
        written = self.arguments.get(option.name)
        if written is not None:
            texts = (written,) if isinstance(written, str) else tuple(written)
            return Given(name, "command line", texts)
        for variable in (option.variable, *option.variables):
            if text := self.environ.get(variable):
                texts = tuple(text.split()) if option.repeatable else (text,)
                return Given(name, f"variable {variable}", texts)
        return self.file.get(option.name)

    def value(self, option: Option[_T]) -> _T:
        """Read the value of an option that has a default and is not repeatable."""
        found = self.optional(option)
        return option.parse(option.default or "") if found is None else found

    def optional(self, option: Option[_T]) -> _T | None:
        """Read the value of an option, None where nothing was given."""
        found = self.found(option)
        return None if found is None else found[0]

    def found(self, option: Option[_T]) -> tuple[_T, Given] | None:
        """Read the value of an option with what was given, for those who check it further."""
        given = self.given(option)
        return None if given is None else (read_one(option.parse, given), given)

    def values(self, option: Option[_T]) -> list[_T]:
        """Read the values of an option that is repeatable."""
        given = self.given(option)
        if given is None:
            return [] if option.default is None else [option.parse(option.default)]
        return read_all(option.parse, given)


def read_one(parse: Callable[[str], _T], given: Given) -> _T:
    """
    Read the one text that was given.

    :raises ConfigError: when there is another number of texts, or it stands for no value.
    """
    if len(given.texts) != 1:
        raise given.wrong(f"takes one value and has {len(given.texts)}; give one")
    return read_all(parse, given)[0]


def read_all(parse: Callable[[str], _T], given: Given) -> list[_T]:
    """
    Read each text that was given.

    :raises ConfigError: when one stands for no value.
    """
    values = []
    for text in given.texts:
        try:
            values.append(parse(text))
        except BadValue as error:
            # What is refused for its password is not to be shown with it.
            shown = re.sub(r"//[^/]*@", "//...@", text)
            raise given.wrong(f"{shown!r} {error}") from None
    return values


def warnings_of_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell of variables that look as if they did something, and do not."""
    for variable in WITHOUT_MEANING:
        if environ.get(variable, "").strip().lower() not in ("", *FALSE):
            yield f"variable {variable} has no meaning to osproxy and is ignored"
    known = {option.variable for option in OPTIONS}
    strange = sorted(name for name in environ if name.startswith("OSPROXY_") and name not in known)
    if strange:
        yield f"no option goes by the name of these variables: {', '.join(strange)}"
