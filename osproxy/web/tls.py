"""
TLS towards clients: which versions and ciphers, and how a plain listener becomes a TLS one.

Whether a key fits its certificate is checked with the settings (`osproxy.config`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import FILETYPE_PEM, X509, load_privatekey
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOFactory

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.interfaces import IProtocolFactory, IReactorTime

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


def context_factory(key: Path, chain: Path) -> CertificateOptions:
    """
    Make what TLS 1.2 and 1.3 connections are served with.

    Sessions and tickets are on, both off by default in Twisted: without them a client that comes
    back costs nine times the CPU.
    """
    # With a passphrase given, though none is needed, OpenSSL never asks for one at the terminal.
    private_key = load_privatekey(FILETYPE_PEM, key.read_bytes(), b"")
    own, *others = load_pem_x509_certificates(chain.read_bytes())
    return CertificateOptions(
        privateKey=private_key,
        certificate=X509.from_cryptography(own),
        extraCertChain=[X509.from_cryptography(other) for other in others],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(MOZILLA_INTERMEDIATE),
        enableSessions=True,
        enableSessionTickets=True,
    )


def wrap(
    factory: IProtocolFactory, context: CertificateOptions, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """Put TLS in front of what a listener makes."""
    return TLSMemoryBIOFactory(context, False, factory, clock)
