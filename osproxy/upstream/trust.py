"""
Whose word on an upstream's identity is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy

from osproxy.config.regular import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.web.iweb import IPolicyForHTTPS


def policy(authorities: Path | None) -> IPolicyForHTTPS:
    """
    Make the policy that verifies upstreams' certificates and names (RFC 9525).

    :param authorities: PEM certificates that are trusted instead of the system's.
    """
    # Twisted asks for each request, on connections that are kept too; reading the system's
    # certificates each time would hold up the reactor.
    return HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(_trust_root(authorities)))


def _trust_root(authorities: Path | None) -> Any:
    if authorities is None:
        return platformTrust()
    trusted = [
        Certificate.loadPEM(certificate.public_bytes(Encoding.PEM))
        for certificate in load_pem_x509_certificates(read_regular(authorities))
    ]
    return trustRootFromCertificates(trusted)
