"""Certificates for servers on 127.0.0.1: a good one, and those that must be refused."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """`ca` is the bundle to trust; the contexts are for servers."""

    ca: Path
    good: ssl.SSLContext
    expired: ssl.SSLContext
    of_another_host: ssl.SSLContext
    self_signed: ssl.SSLContext


def make_certificates(folder: Path) -> Certificates:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("a CA of these tests", authority_key, "a CA of these tests", authority_key, is_ca=True)
    bundle = folder / "ca.pem"
    bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))

    def server(name: str, host: str, until: datetime = NOW + 30 * DAY, *, by_itself: bool = False) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer, issuer_key = (name, key) if by_itself else ("a CA of these tests", authority_key)
        made = _certificate(name, key, issuer, issuer_key, host=host, until=until)
        path = folder / f"{name.replace(' ', '-')}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    return Certificates(
        ca=bundle,
        good=server("good", "127.0.0.1"),
        expired=server("expired", "127.0.0.1", NOW - DAY),
        of_another_host=server("of another host", "192.0.2.1"),
        self_signed=server("self signed", "127.0.0.1", by_itself=True),
    )


def make_pair(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of its own, and a certificate of it for 127.0.0.1 with its key: for the members of a cluster."""
    folder.mkdir()
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("a CA", ca_key, "a CA", ca_key, is_ca=True)
    made = _certificate("member", key, "a CA", ca_key, host="127.0.0.1")
    paths = folder / "ca.pem", folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[2].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return paths


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    host: str = "",
    until: datetime = NOW + 30 * DAY,
    is_ca: bool = False,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_ca:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    if host:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
