"""Trusted CAs for client certificates: from the settings to a list of certificates.

Owns the sources (OpenSSLCADir, OpenSSLCAFile, SSLCACertFilePaths, SSLCACerts) and their errors,
TLSSetupError 273. OpenSSL itself silently accepts a missing directory, so the sources are read
here.
"""

import re
from typing import Final

from cryptography import x509

from shardws.errors import TLSSetupError
from shardws.tls import containers, files

PATH_SEPARATORS: Final = re.compile(r"[;:]")


def load(directory: str, file: str, paths: str, pem: str) -> tuple[x509.Certificate, ...]:
    """Return the CAs of all sources, each once; an empty source is none."""
    found: list[x509.Certificate] = []
    if directory:
        found += _from_directory(directory)
    if file:
        found += _read(files.read(file, 273), f"CA file {file!r}")
    if paths.strip():
        path = _first_of(paths)
        found += _read(files.read(path, 273), f"CA file {path!r}")
    if pem.strip():
        found += _read(pem.encode(), "SSLCACerts")
    return tuple(dict.fromkeys(found))


def _from_directory(directory: str) -> list[x509.Certificate]:
    """Read every file of a directory; files without certificates, such as CRLs, are skipped."""
    found: list[x509.Certificate] = []
    for path in files.names_in(directory, 273):
        try:
            found += _read(files.read(path, 273), path)
        except TLSSetupError:
            continue
    if not found:
        raise TLSSetupError(273, f"CA directory {directory!r} holds no certificate")
    return found


def _first_of(paths: str) -> str:
    for path in PATH_SEPARATORS.split(paths):
        if path.strip() and files.exists(path.strip()):
            return path.strip()
    raise TLSSetupError(273, f"SSLCACertFilePaths: none of these files exists: {paths!r}")


def _read(data: bytes, label: str) -> tuple[x509.Certificate, ...]:
    try:
        certificates = containers.read_certificate(data).certificates
    except TLSSetupError as error:
        raise TLSSetupError(273, f"{label}: {error.description}") from error
    if not certificates:
        raise TLSSetupError(273, f"{label} holds no certificate")
    return certificates
