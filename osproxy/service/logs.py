"""
The logs of a server, opened, and opened anew when somebody has moved their files away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from attrs import frozen
from twisted.logger import Logger

from osproxy.config.given import ConfigError
from osproxy.service.errorlog import open_errors
from osproxy.web.accesslog import open_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from osproxy.config.options import Option
    from osproxy.config.settings import Settings
    from osproxy.service.errorlog import ErrorLog
    from osproxy.threads import InThread
    from osproxy.web.accesslog import AccessLog

_Opened = TypeVar("_Opened")


def open_first(option: Option[str], opening: Callable[[], _Opened]) -> _Opened:
    """
    Open a log for the start.

    :raises ConfigError: when it cannot be, so that one line says so.
    """
    try:
        return opening()
    except OSError as error:
        raise ConfigError(
            f"--{option.name}: {error.filename or '-'} cannot be opened ({error.strerror})"
        ) from error


@frozen(eq=False)
class Logs:
    """
    Both of them.

    :ivar access: has an entry a request.
    :ivar errors: has what osproxy says of itself.
    """

    _log = Logger()

    access: AccessLog
    errors: ErrorLog
    _in_thread: InThread

    async def reopen(self, settings: Settings) -> None:
        """Open what the settings name; what cannot be opened stays as it is, and that is said."""
        try:
            access = await self._in_thread(
                open_log, settings.access_log, settings.access_log_format
            )
        except OSError as error:
            self._log.error("the access log cannot be opened again: {error}", error=error)
        else:
            self.access.change(access)
        try:
            errors = await self._in_thread(open_errors, settings.error_log)
        except OSError as error:
            self._log.error("the error log cannot be opened again: {error}", error=error)
        else:
            self.errors.change(errors)
