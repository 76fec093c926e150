"""
The command line, and what ``twistd`` makes of it.

This is the one module that names the reactor. What is wrong with the settings ends here as one
line on standard error and exit status 1, before anything is started.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import textFileLogObserver
from twisted.python import usage

from osproxy.config.given import ConfigError
from osproxy.config.options import OPTIONS
from osproxy.config.settings import load
from osproxy.service.activation import VARIABLES, first_environment, passed_sockets
from osproxy.service.assembly import assemble
from osproxy.service.renewal import read
from osproxy.store.layout import StoreError, open_directory
from osproxy.web.listeners import probe
from osproxy.web.tls import Renewable, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from osproxy.config.listeners import Listener
    from osproxy.config.options import Option
    from osproxy.config.settings import Settings
    from osproxy.service.server import Server
    from osproxy.store.layout import Directory


def _help(option: Option[Any]) -> str:
    default = option.default_text
    return f"{option.help} [{default}]" if default else option.help


class Options(usage.Options):
    """
    The command line: the options of `osproxy.config.options`, in Twisted's form.

    Only what was given is handed on; defaults, variables and the file are the settings' business.
    """

    synopsis = "[options]"
    longdesc = "A mirror-aware caching proxy for RPM repositories."
    optFlags: ClassVar = [[option.name, None, _help(option)] for option in OPTIONS if option.flag]
    optParameters: ClassVar = [
        [option.name, None, None, _help(option)]
        for option in OPTIONS
        if not (option.flag or option.repeatable)
    ]

    def __init__(self) -> None:
        self.repeated: dict[str, list[str]] = {}
        super().__init__()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the command line; what it does not know ends the process with one line."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(f"osproxy: {error} (command line); see osproxy --help") from error

    @property
    def given(self) -> dict[str, str | Sequence[str]]:
        """What was given, by option; a flag's value is ``yes``."""
        given: dict[str, str | Sequence[str]] = dict(self.repeated)
        for option in OPTIONS:
            value = self.get(option.name)
            if option.flag and value:
                given[option.name] = "yes"
            elif not option.flag and value is not None:
                given[option.name] = value
        return given


def _repeatable(option: Option[Any]) -> Callable[[Options, str], None]:
    def take(options: Options, text: str) -> None:
        options.repeated.setdefault(option.name, []).append(text)

    # Twisted shows it as the option's help.
    take.__doc__ = f"{_help(option)}; may be repeated."
    return take


for _option in OPTIONS:
    if _option.repeatable:
        setattr(Options, f"opt_{_option.name.replace('-', '_')}", _repeatable(_option))


def makeService(options: Options, checkpoint: Callable[[str], None] | None = None) -> Server:
    """
    Make the service of everything.

    :param checkpoint: told the steps of each commit, for tests that end the process there.
    :raises SystemExit: with the line to print, when the settings cannot be used.
    """
    from twisted.internet import reactor  # noqa: TID251

    try:
        passed = passed_sockets(first_environment(), os.getpid())
        for name in VARIABLES:
            os.environ.pop(name, None)
        reading = partial(
            load,
            options.given,
            os.environ,
            passed=passed,
            error_log="-" if _on_standard_output(options.parent) else None,
        )
        settings = reading()
        for listener in settings.listeners:
            _probe(listener)
        served = None if settings.tls is None else Renewable(read(settings.tls))
        directory = _opened(settings)
        return assemble(
            reactor,
            settings,
            directory,
            checkpoint or (lambda _: None),
            partial(reading, running=True),
            served,
        )
    except (ConfigError, Unusable) as error:
        raise SystemExit(f"osproxy: {error}") from error


def _on_standard_output(runner: Mapping[str, object] | None) -> bool:
    """
    Whether what runs us would have our log on standard output, for want of an option.

    The access log is there. Who has asked twistd or twist for a place or a form has that.
    """
    if runner is None:
        return False
    if "logFile" in runner:
        text = runner.get("fileLogObserverFactory") is textFileLogObserver
        return text and runner["logFile"] is sys.stdout
    asked = any(map(runner.get, ("logfile", "syslog", "logger")))
    return bool(runner.get("nodaemon")) and not asked


def _probe(listener: Listener) -> None:
    if listener.passed is not None:
        return
    try:
        problem = probe(listener.description, listener.value)
    except ValueError as error:
        problem = f"{listener.value} is no endpoint ({error}); give one such as tcp:8080"
    if problem is not None:
        raise ConfigError(f"{listener.source}: {problem}")


def _opened(settings: Settings) -> Directory:
    try:
        return open_directory(settings.cache.path)
    except StoreError as error:
        raise ConfigError(
            f"{settings.cache.source}: {error}; give --cache-path another directory"
        ) from error
