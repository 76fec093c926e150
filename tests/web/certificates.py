"""Certificates for tests of TLS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from osproxy.config.certificates import Pems

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@frozen
class Files:
    """
    PEM files.

    :ivar chain: a certificate for 127.0.0.1 and the authority's that signed it.
    :ivar authority: the authority's certificate alone.
    """

    key: Path
    chain: Path
    authority: Path

    @property
    def pems(self) -> Pems:
        """What is in the files of the key and the chain."""
        return Pems(self.key.read_bytes(), self.chain.read_bytes())


def certificate_files(directory: str) -> Files:
    """Write a key, and a certificate of an authority of its own, below a new directory."""
    folder = Path(directory)
    folder.mkdir()
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _signed("authority", authority_key, "authority", authority_key)
    own = _signed("server", key, "authority", authority_key)
    files = Files(folder / "key.pem", folder / "chain.pem", folder / "authority.pem")
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.chain.write_bytes(own.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM))
    return files


def _signed(
    name: str,
    key: EllipticCurvePrivateKey,
    signer: str,
    signing_key: EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(signer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(name == signer, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(signing_key, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
