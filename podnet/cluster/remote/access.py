"""The API server and who asks it: values, and the TLS context that they amount to."""

import os
import ssl
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from podnet.errors import InvalidConfiguration, IOFailure

PORTS = {"https": 443, "http": 80}


class Server(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the API server is and by what it is known; `source` is where that is written, for errors.

    Certificates are in `ca_file` or `ca_data` (PEM), else those that this machine trusts; `name` is what the server's
    certificate is for where that is not `host`.
    """

    source: str
    scheme: str = "https"
    host: str
    port: int
    prefix: str = ""
    ca_file: str = ""
    ca_data: str = ""
    insecure: bool = False
    name: str = ""

    @property
    def url(self) -> str:
        """The server as one writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"


class Certificate(NamedTuple):
    """A client's certificate and its key: paths of files, or what would stand in these (PEM)."""

    certificate: str | bytes
    key: str | bytes
    source: str


class Credentials(Protocol):
    """Who asks.  Asked before each connection and each request, so that what rotates is always the newest."""

    def headers(self) -> dict[str, str]:
        """Return the header with which requests are sent, none where the certificate says it all."""
        ...

    def certificate(self) -> Certificate | None:
        """Return the client's certificate, if that is who asks."""
        ...

    def refused(self) -> None:
        """Take note that the server did not know who asks (401): what was remembered is to be had anew."""
        ...


class Access(NamedTuple):
    """A server, and who asks it."""

    server: Server
    credentials: Credentials


def split_url(
    url: str, where: str, *, example: str = "https://192.0.2.1:6443", port: int = 0
) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path prefix of a server's address; raise InvalidConfiguration.

    `where` names file, line and key; `port` is the one that goes without saying, 0: the scheme's.
    """
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        given = parts.port
    except ValueError:
        parts, given = urlsplit(""), None
    if parts.scheme not in PORTS or not parts.hostname or parts.username or parts.query:
        raise InvalidConfiguration(f"{where} {url!r} is no server's address; write one such as {example}")
    return parts.scheme, parts.hostname, given or port or PORTS[parts.scheme], parts.path.rstrip("/")


def tls_context(access: Access) -> ssl.SSLContext | None:
    """Return what a new connection is made with, None where it goes without TLS; raise IOFailure."""
    server = access.server
    if server.scheme == "http":
        return None
    try:
        context = ssl.create_default_context(cafile=server.ca_file or None, cadata=server.ca_data or None)
    except (OSError, ValueError) as error:
        where = server.ca_file or f"{server.source}: certificate-authority-data"
        raise IOFailure(
            f"{where} gives no certificates: {_reason(error)}; make it the PEM of the cluster's CA"
        ) from error
    # Python 3.13 asks of every CA what RFC 5280 asks; those of many a cluster lack the key's identifier.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if server.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = access.credentials.certificate()
    if certificate is not None:
        _load(context, certificate)
    return context


def _load(context: ssl.SSLContext, given: Certificate) -> None:
    """Load a client's certificate; one that is in no file never gets to a disk."""
    descriptors: list[int] = []

    def path(content: str | bytes) -> str:
        if isinstance(content, str):
            return content
        descriptors.append(os.memfd_create("podnet", os.MFD_CLOEXEC))
        os.write(descriptors[-1], content)
        return f"/proc/self/fd/{descriptors[-1]}"

    try:
        context.load_cert_chain(path(given.certificate), path(given.key), password=_no_password)
    except (OSError, ValueError) as error:
        raise IOFailure(
            f"{given.source}: the client's certificate and key cannot be used: {_reason(error)}; give the PEM of both"
        ) from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _no_password() -> str:
    """Refuse to ask a terminal for the password of an encrypted key."""
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return (isinstance(error, OSError) and error.strerror) or str(error)
