"""
TLS towards clients: which versions and ciphers, whose certificate, and how a plain listener becomes
a TLS one.

Whether a key fits its certificate is checked where it is read (`osproxy.config.certificates`).
"""

from __future__ import annotations

from calendar import timegm
from time import strptime
from typing import TYPE_CHECKING

from attrs import define, frozen
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import FILETYPE_PEM, X509, load_privatekey
from OpenSSL.crypto import Error as CryptoError
from OpenSSL.SSL import Error as SslError
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

if TYPE_CHECKING:
    from OpenSSL.SSL import Context
    from twisted.internet.interfaces import IProtocolFactory, IReactorTime

    from osproxy.config.certificates import Pems

MOZILLA_INTERMEDIATE = ":".join(
    (
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)
"""
Mozilla's intermediate list (Server Side TLS 5.7), but for the DHE ones: they need a file of
parameters, and no client of ours is so old that it knows no elliptic curve.
"""


class Unusable(Exception):
    """OpenSSL does not take a key and certificate that fit each other; the text says why."""


@frozen
class Certificate:
    """
    What TLS connections are served with.

    :ivar since: from when on it counts, as certificates write it: YYYYMMDDhhmmssZ.
    :ivar until: when it ends.
    """

    pems: Pems
    context: Context
    since: str
    until: str

    @property
    def ends_at(self) -> float:
        """When it ends, in seconds since the epoch; 0 where that cannot be read."""
        return _seconds(self.until)

    def trouble(self, now: float) -> str | None:
        """Say why no client takes it at this time, if that is so."""
        if now < _seconds(self.since):
            return f"counts from {self.since} on only"
        if 0 < self.ends_at < now:
            return f"has ended at {self.until}"
        return None


@implementer(IOpenSSLContextFactory)
@define(eq=False)
class Renewable:
    """
    The certificate of all listeners, which may become another.

    Connections that are there then keep the one that they began with.
    """

    certificate: Certificate

    def getContext(self) -> Context:  # noqa: N802
        """Give what the next connection is to be served with."""
        return self.certificate.context


def certificate(pems: Pems) -> Certificate:
    """
    Make what connections are served with.

    :raises Unusable: when OpenSSL wants better, a longer key for one.
    """
    own, *others = (X509.from_cryptography(it) for it in load_pem_x509_certificates(pems.chain))
    try:
        context = _options(pems.key, own, others).getContext()
    except (CryptoError, SslError) as error:
        reasons = ", ".join(reason for *_, reason in error.args[0])
        raise Unusable(f"TLS cannot be spoken with this key and certificate: {reasons}") from error
    since, until = (
        (at or b"?").decode("ascii") for at in (own.get_notBefore(), own.get_notAfter())
    )
    return Certificate(pems, context, since, until)


def _seconds(written: str) -> float:
    try:
        return float(timegm(strptime(written, "%Y%m%d%H%M%SZ")))
    except ValueError:
        return 0.0


def _options(key: bytes, own: X509, others: list[X509]) -> CertificateOptions:
    """
    Choose TLS 1.2 and 1.3.

    Sessions and tickets are on, both off by default in Twisted: without them a client that comes
    back costs nine times the CPU.
    """
    # With a passphrase given, though none is needed, OpenSSL never asks for one at the terminal.
    private_key = load_privatekey(FILETYPE_PEM, key, b"")
    return CertificateOptions(
        privateKey=private_key,
        certificate=own,
        extraCertChain=others,
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(MOZILLA_INTERMEDIATE),
        enableSessions=True,
        enableSessionTickets=True,
    )


def wrap(
    factory: IProtocolFactory, certificate: IOpenSSLContextFactory, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """Put TLS in front of what a listener makes."""
    return TLSMemoryBIOFactory(certificate, False, factory, clock)
