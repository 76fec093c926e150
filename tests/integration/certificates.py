"""
A private certification authority and what it signs.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.tools import run

if TYPE_CHECKING:
    from pathlib import Path

_PEM = serialization.Encoding.PEM


@frozen
class Certificates:
    """
    Files of one authority and of one server that it vouches for.

    :ivar authority: the authority's certificate.
    :ivar directory: the same under its hash, for those who want a directory.
    :ivar key: the server's private key.
    :ivar chain: the server's certificate.
    :ivar stray_key: a key that belongs to no certificate.
    """

    authority: Path
    directory: Path
    key: Path
    chain: Path
    stray_key: Path


def make_certificates(directory: Path) -> Certificates:
    """Make a certificate for localhost and the loopback addresses, and all that it needs."""
    directory.mkdir(parents=True)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _signed("Demo authority", root_key, "Demo authority", root_key, authority=True)
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _signed("localhost", server_key, "Demo authority", root_key, authority=False)
    files = Certificates(
        authority=directory / "ca.pem",
        directory=directory / "ca",
        key=directory / "server.key",
        chain=directory / "server.pem",
        stray_key=directory / "stray.key",
    )
    files.authority.write_bytes(root.public_bytes(_PEM))
    files.chain.write_bytes(server.public_bytes(_PEM))
    files.key.write_bytes(_pem_of(server_key))
    files.stray_key.write_bytes(_pem_of(ec.generate_private_key(ec.SECP256R1())))
    files.directory.mkdir()
    name = run(["openssl", "x509", "-hash", "-noout", "-in", files.authority]).out.strip()
    (files.directory / f"{name}.0").symlink_to(files.authority.absolute())
    return files


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    loopback = [ipaddress.ip_address(address) for address in ("127.0.0.1", "::1")]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + 30 * day)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), *(x509.IPAddress(address) for address in loopback)]
            ),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
