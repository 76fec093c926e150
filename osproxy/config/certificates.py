"""
Whether certificates and keys can be used, found out before anything listens.

The files are only looked at here; `osproxy.web.tls` and `osproxy.upstream` load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from osproxy.config.given import ConfigError
from osproxy.config.options import TLS_PEM_CHAIN, TLS_PEM_KEY, UPSTREAM_CA

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificatePublicKeyTypes,
        PublicKeyTypes,
    )
    from cryptography.x509 import Certificate

    from osproxy.config.given import Given
    from osproxy.config.listeners import Listener
    from osproxy.config.sources import Sources


def tls_pair(sources: Sources, listeners: Iterable[Listener]) -> tuple[Path, Path] | None:
    """
    Find the key and the chain that TLS is spoken with, None where nothing was given.

    :raises ConfigError: when one is missing, cannot be used, or does not fit the other.
    """
    key, chain = sources.found(TLS_PEM_KEY), sources.found(TLS_PEM_CHAIN)
    if key is None and chain is None:
        for listener in listeners:
            if listener.tls:
                raise ConfigError(
                    f"{listener.source}: cannot be without a certificate; give"
                    f" --{TLS_PEM_KEY.name} and --{TLS_PEM_CHAIN.name}"
                )
        return None
    if chain is None or key is None:
        alone, other = (key, TLS_PEM_CHAIN) if key else (chain, TLS_PEM_KEY)
        assert alone is not None
        raise alone[1].wrong(f"is of no use alone; give --{other.name} too")
    _check_pair(*key, *chain)
    return key[0], chain[0]


def trusted(sources: Sources) -> Path | None:
    """
    Find the certificates to trust in upstream servers, None where nothing was given.

    :raises ConfigError: when they cannot be used.
    """
    found = sources.found(UPSTREAM_CA)
    if found is None:
        return None
    _first_certificate(*found)
    return found[0]


def _check_pair(key: Path, key_given: Given, chain: Path, chain_given: Given) -> None:
    certificate = _first_certificate(chain, chain_given)
    content = _content(key, key_given)
    try:
        public_key = load_pem_private_key(content, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # cryptography's own words run over many lines.
        raise key_given.wrong(
            f"{key} holds no private key that can be used; give a PEM file without a password"
        ) from None
    if _octets(public_key) != _octets(certificate.public_key()):
        raise key_given.wrong(
            f"{key} does not fit the first certificate in {chain}, which is from"
            f" {chain_given}; give the key of that certificate"
        )


def _first_certificate(path: Path, given: Given) -> Certificate:
    content = _content(path, given)
    try:
        return load_pem_x509_certificates(content)[0]
    except ValueError:
        raise given.wrong(f"{path} holds no certificate; give a PEM file") from None


def _content(path: Path, given: Given) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise given.wrong(f"{path} cannot be read ({error.strerror}); give a PEM file") from None


def _octets(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
