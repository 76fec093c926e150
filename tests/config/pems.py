"""Keys and certificates, made for a test and good for nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_weak_key() -> rsa.RSAPrivateKey:
    """Make a private key that is too short for OpenSSL to speak TLS with."""
    return rsa.generate_private_key(65537, 1024)


def pem_of_key(key: Key, password: bytes | None = None) -> bytes:
    """Write a private key as a PEM file has it."""
    lock: KeySerializationEncryption = NoEncryption()
    if password is not None:
        lock = BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def pem_of_certificate(key: Key) -> bytes:
    """Certify a key by itself, and write that as a PEM file has it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "osproxy.example")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)
