"""
Whether certificates and keys can be used, found out before anything listens.

What is read is given to `osproxy.web.tls` and `osproxy.upstream`, which make something of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from osproxy.config.given import ConfigError
from osproxy.config.options import TLS_PEM_CHAIN, TLS_PEM_KEY, UPSTREAM_CA
from osproxy.config.regular import read_regular

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


@frozen
class Pems:
    """What the files of a pair hold: a private key, and its certificate with those above it."""

    key: bytes = field(repr=False)
    chain: bytes


@frozen
class Pair:
    """The files of a private key and of its certificate, and where they were given."""

    key: Path
    chain: Path
    _key_given: Given = field(eq=False)
    _chain_given: Given = field(eq=False)

    def read(self) -> Pems:
        """
        Read both; the files may be others each time.

        :raises ConfigError: when one cannot be used, or does not fit the other.
        """
        key, chain = _content(self.key, self._key_given), _content(self.chain, self._chain_given)
        certificate = _first_certificate(self.chain, chain, self._chain_given)
        try:
            public_key = load_pem_private_key(key, password=None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # cryptography's own words run over many lines.
            raise self._key_given.wrong(
                f"{self.key} holds no private key that can be used;"
                " give a PEM file without a password"
            ) from None
        if _octets(public_key) != _octets(certificate.public_key()):
            raise self._key_given.wrong(
                f"{self.key} does not fit the first certificate in {self.chain}, which is from"
                f" {self._chain_given}; give the key of that certificate"
            )
        return Pems(key, chain)

    def __str__(self) -> str:
        """Name both files."""
        return f"{self.key} and {self.chain}"


def tls_pair(sources: Sources, listeners: Iterable[Listener]) -> Pair | None:
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
    pair = Pair(key[0], chain[0], key[1], chain[1])
    pair.read()
    return pair


def trusted(sources: Sources) -> Path | None:
    """
    Find the certificates to trust in upstream servers, None where nothing was given.

    :raises ConfigError: when they cannot be used.
    """
    found = sources.found(UPSTREAM_CA)
    if found is None:
        return None
    path, given = found
    _first_certificate(path, _content(path, given), given)
    return path


def _first_certificate(path: Path, content: bytes, given: Given) -> Certificate:
    try:
        return load_pem_x509_certificates(content)[0]
    except ValueError:
        raise given.wrong(f"{path} holds no certificate; give a PEM file") from None


def _content(path: Path, given: Given) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise given.wrong(f"{path} cannot be read ({error.strerror}); give a PEM file") from None


def _octets(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
