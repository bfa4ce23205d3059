"""Certificates to test with, made anew each time."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Pki(NamedTuple):
    """Files: a CA, a server's certificate for api.test and 10.99.0.1 alone, a client's, each with its key."""

    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    def context(self) -> ssl.SSLContext:
        """Return the server's end of TLS; it asks for the client's certificate and does without."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(*self.server)
        return context


def make_pki(folder: Path) -> Pki:
    """Make them in `folder`, or skip where there is nothing to make them with."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: Debian's package openssl has it")

    def make(name: str, *more: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate, *more],
            check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key

    ca, ca_key = make("ca")
    signed = ["-CA", str(ca), "-CAkey", str(ca_key), "-addext", "basicConstraints=CA:FALSE"]
    server = make("server", *signed, "-addext", "subjectAltName=DNS:api.test,IP:10.99.0.1")
    return Pki(ca, server, make("client", *signed))
