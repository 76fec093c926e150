"""
Who asks, and who may.

Who asks is the other end of the connection, unless that is a proxy that the operator trusts. Who
may ask for files of a backend is in the list of that backend, or else in the general one. The
general one is for all that is no backend's file, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from osproxy.config.clients import UNIX, allows
from osproxy.http import forwarded
from osproxy.web.routing import Refused

if TYPE_CHECKING:
    from osproxy.config.clients import Network, Peer
    from osproxy.http.fields import Fields
    from osproxy.model import Backend


@frozen
class Access:
    """
    The lists of who may ask.

    :ivar clients: networks that may.
    :ivar deny: networks that may not, be they in a list of those that may.
    :ivar trusted_proxies: those who are believed when they say for whom they ask.
    """

    clients: tuple[Network, ...]
    deny: tuple[Network, ...] = ()
    trusted_proxies: tuple[Peer, ...] = ()

    def asker(self, fields: Fields, sender: str) -> str | None:
        """Say who asks, None where a proxy says so twice and differently."""
        if not self.trusted_proxies:
            return sender
        return forwarded.asker(fields, sender, self._trusts)

    def admit(self, client: str, backend: Backend | None) -> None:
        """
        Let a client pass that may ask for files of a backend, or for what is none's.

        :raises Refused: with 403 for others.
        """
        if client == UNIX:
            return
        own = None if backend is None else backend.clients
        allowed = self.clients if own is None else own
        if not allows(allowed, client) or self._denies(client, backend):
            # Whose list it is that a client is not in, is no business of that client's.
            raise Refused(403, f"{client} may not use this proxy.")

    def _denies(self, client: str, backend: Backend | None) -> bool:
        more = () if backend is None else backend.deny
        return bool(self.deny or more) and allows((*self.deny, *more), client)

    def _trusts(self, address: str) -> bool:
        return allows(self.trusted_proxies, address)
