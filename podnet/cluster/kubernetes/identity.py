"""Who asks the API server: tokens, files with tokens, certificates, name and password."""

from base64 import b64encode

from podnet.cluster.remote.access import Certificate
from podnet.errors import InvalidConfiguration, IOFailure


class Identity:
    """What stays as it is: one header, or a certificate, or nothing at all (whoever is asked knows us otherwise)."""

    def __init__(self, authorization: str = "", certificate: Certificate | None = None) -> None:
        """Take the header Authorization, and the certificate."""
        self._authorization = authorization
        self._certificate = certificate

    def headers(self) -> dict[str, str]:
        """Return the header."""
        return {"Authorization": self._authorization} if self._authorization else {}

    def certificate(self) -> Certificate | None:
        """Return the certificate."""
        return self._certificate

    def refused(self) -> None:
        """Do nothing: there is no other."""


class TokenFile(Identity):
    """A token in a file that somebody else writes anew before it expires.

    Kubelet does that with a service account's in a pod, when four fifths of its hour are over.  The file is read for
    every request: there are few, and what was read earlier may have expired.
    """

    def __init__(self, path: str, certificate: Certificate | None = None) -> None:
        """Take the file's path."""
        super().__init__("", certificate)
        self.path = path

    def headers(self) -> dict[str, str]:
        """Return the header with the token that the file has now; raise IOFailure or InvalidConfiguration."""
        try:
            with open(self.path, encoding="ascii") as file:  # noqa: PTH123 - pathlib's import takes longer
                token = file.read().strip()
        except UnicodeDecodeError:
            token = ""
        except OSError as error:
            raise IOFailure(
                f"{self.path}: the token cannot be read: {error.strerror}; make it a file that podnet may read"
            ) from error
        return bearer(token, self.path)


def bearer(token: str, where: str) -> dict[str, str]:
    """Return the header for `token`, which `where` has; raise InvalidConfiguration where it is none."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidConfiguration(f"{where} holds no token; put one there (`kubectl create token` makes one)")
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, password: str) -> str:
    """Return the header's value for a name with its password (RFC 7617)."""
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()
